//! A send that may have to wait: for its turn, for space, for metadata.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use klamm_core::Instant;

use crate::delivery::Delivery;
use crate::error::SendError;
use crate::inside::on_io_thread;
use crate::prepared::{Prepared, not_here};
use crate::record::Record;
use crate::shared::{Inner, Life, Patience, Shared};
use crate::waiters::Turn;

/// The future of [`Producer::send_async`](crate::Producer::send_async). Dropping it gives up the
/// place in the queue; the record was not accepted then.
#[must_use = "a future does nothing until it is polled"]
pub struct SendFuture<'p> {
    inner: &'p Inner,
    record: &'p Record<'p>,
    wait: Waiting<'p>,
    /// Where there is code of the application's to run.
    prepared: Option<Box<Prepared<'p>>>,
}

impl<'p> SendFuture<'p> {
    pub(crate) fn new(inner: &'p Inner, record: &'p Record<'p>) -> Self {
        Self { inner, record, wait: Waiting::new(inner), prepared: None }
    }
}

impl Future for SendFuture<'_> {
    type Output = Result<Delivery, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { inner, record, wait, prepared } = &mut *self;
        if inner.hooks.is_some() {
            let prepared = prepared.get_or_insert_with(|| Box::new(Prepared::new(inner, record, None)));
            return prepared.poll(wait, context.waker());
        }
        let attempt = |shared: &mut Shared| shared.accept(inner, record, Patience::Waits);
        inner.with(|shared| {
            let step = wait.step(shared, record.topic(), context.waker(), attempt);
            if let Poll::Ready(Err(error)) = &step {
                shared.count_refusal(error);
            }
            step
        })
    }
}

impl std::fmt::Debug for SendFuture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendFuture").field("record", self.record).finish_non_exhaustive()
    }
}

/// Where a caller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It did not try yet.
    New,
    /// In the queue for space.
    Space(u64),
    /// Among those who wait for a topic.
    Topic(u64),
    /// Nowhere any more.
    Done,
}

/// One call's way through the queues. Dropping it leaves them.
pub(crate) struct Waiting<'p> {
    inner: &'p Inner,
    place: Place,
    started: Option<Instant>,
    /// Since when it has been in its place.
    since: Option<Instant>,
}

impl<'p> Waiting<'p> {
    pub(crate) fn new(inner: &'p Inner) -> Self {
        Self { inner, place: Place::New, started: None, since: None }
    }

    /// For an attempt that takes no memory: it begins without a look at the queue for space.
    fn question(inner: &'p Inner) -> Self {
        Self { place: Place::Done, ..Self::new(inner) }
    }

    /// The attempt succeeded and was not the last: the next one begins anew, within the same time.
    pub(crate) fn again(&mut self) {
        self.place = Place::New;
    }

    /// Tries `attempt`, if it is this caller's turn.
    pub(crate) fn step<T>(
        &mut self,
        shared: &mut Shared,
        topic: &str,
        waker: &Waker,
        attempt: impl FnOnce(&mut Shared) -> Result<T, klamm_core::SendError>,
    ) -> Poll<Result<T, SendError>> {
        match self.place {
            Place::New if shared.waiters.queued() && shared.life == Life::Open => {
                return self.wait_for_space(shared, waker, false);
            }
            Place::Space(id) => match shared.waiters.turn(id, waker) {
                Turn::Yes => {}
                Turn::No => return self.pending_or_timeout(shared, topic),
                Turn::Gone if shared.life == Life::Open => return self.time_is_up(shared, topic),
                Turn::Gone => {}
            },
            Place::Topic(id) => {
                self.count_wait(shared);
                shared.waiters.leave_topic(id);
            }
            Place::New | Place::Done => {}
        }
        let refused = match attempt(shared) {
            Ok(accepted) => {
                self.leave(shared);
                return Poll::Ready(Ok(accepted));
            }
            Err(refused) => refused,
        };
        match shared.refusal(refused, topic) {
            SendError::Full => {
                let limited = refused == klamm_core::SendError::BrokerShare;
                self.wait_for_space(shared, waker, limited)
            }
            SendError::PartitionsUnknown => self.wait_for_topic(shared, topic, waker),
            error => {
                self.leave(shared);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Measured from the first attempt, which took no time worth measuring.
    fn started(&mut self) -> Instant {
        *self.started.get_or_insert_with(|| self.inner.now())
    }

    pub(crate) fn deadline(&mut self) -> Instant {
        self.started().after(self.inner.max_block)
    }

    fn wait_for_space<T>(&mut self, shared: &mut Shared, waker: &Waker, limited: bool) -> Poll<Result<T, SendError>> {
        let deadline = self.deadline();
        if let Place::Space(id) = self.place {
            let next = shared.waiters.stay(id, waker, limited);
            shared.released.extend(next);
        } else {
            self.place = Place::Space(shared.waiters.join_space(deadline, waker, limited));
            self.since = Some(self.inner.now());
            shared.wake_for(deadline);
        }
        self.pending_or_timeout(shared, "")
    }

    fn wait_for_topic<T>(&mut self, shared: &mut Shared, topic: &str, waker: &Waker) -> Poll<Result<T, SendError>> {
        self.leave(shared);
        let deadline = self.deadline();
        // Its name is known since the attempt.
        let Some(id) = shared.topics.id(topic) else { return Poll::Ready(Err(SendError::Closed)) };
        self.place = Place::Topic(shared.waiters.join_topic(id, deadline, waker));
        self.since = Some(self.inner.now());
        shared.wake_for(deadline);
        self.pending_or_timeout(shared, topic)
    }

    fn pending_or_timeout<T>(&mut self, shared: &mut Shared, topic: &str) -> Poll<Result<T, SendError>> {
        if self.inner.now() < self.deadline() { Poll::Pending } else { self.time_is_up(shared, topic) }
    }

    fn time_is_up<T>(&mut self, shared: &mut Shared, topic: &str) -> Poll<Result<T, SendError>> {
        let cause = match self.place {
            Place::Topic(_) => shared.metadata_cause(self.inner, topic),
            _ => {
                shared.metering.meters.exhausted += 1;
                shared.space_cause(self.inner)
            }
        };
        self.leave(shared);
        let waited = self.inner.now().since(self.started());
        Poll::Ready(Err(SendError::Timeout { waited, cause: cause.into_boxed_str() }))
    }

    /// The wait in its place is over.
    fn count_wait(&mut self, shared: &mut Shared) {
        let Some(since) = self.since.take() else { return };
        let micros = self.inner.now().since(since).as_micros() as u64;
        let meters = &mut shared.metering.meters;
        match self.place {
            Place::Space(_) => meters.space_wait_us += micros,
            Place::Topic(_) => meters.metadata_wait_us += micros,
            Place::New | Place::Done => {}
        }
    }

    fn leave(&mut self, shared: &mut Shared) {
        self.count_wait(shared);
        match std::mem::replace(&mut self.place, Place::Done) {
            Place::Space(id) => {
                let next = shared.waiters.leave_space(id);
                shared.released.extend(next);
            }
            Place::Topic(id) => shared.waiters.leave_topic(id),
            Place::New | Place::Done => {}
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if matches!(self.place, Place::Space(_) | Place::Topic(_)) {
            self.inner.with(|shared| self.leave(shared));
        }
    }
}

/// Runs the steps of a call on this thread, sleeping between them. On the I/O thread it tries once:
/// sleeping there would be for ever.
pub(crate) fn block<T>(
    inner: &Inner,
    topic: &str,
    attempt: impl FnMut(&mut Shared) -> Result<T, klamm_core::SendError>,
) -> Result<T, SendError> {
    run(inner, Waiting::new(inner), topic, attempt)
}

/// As [`block`], for what takes no memory: it does not queue behind those who wait for some.
pub(crate) fn ask<T>(
    inner: &Inner,
    topic: &str,
    attempt: impl FnMut(&mut Shared) -> Result<T, klamm_core::SendError>,
) -> Result<T, SendError> {
    run(inner, Waiting::question(inner), topic, attempt)
}

fn run<T>(
    inner: &Inner,
    mut waiting: Waiting<'_>,
    topic: &str,
    mut attempt: impl FnMut(&mut Shared) -> Result<T, klamm_core::SendError>,
) -> Result<T, SendError> {
    if on_io_thread() {
        let once = |shared: &mut Shared| attempt(shared).map_err(|refused| shared.refusal(refused, topic));
        return inner.with(once).map_err(not_here);
    }
    let parker = Parker::current();
    let waker = Waker::from(Arc::clone(&parker));
    loop {
        let step = inner.with(|shared| waiting.step(shared, topic, &waker, &mut attempt));
        if let Poll::Ready(result) = step {
            return result;
        }
        let deadline = waiting.deadline();
        parker.park(|| deadline.since(inner.now()));
    }
}

/// Wakes a thread.
pub(crate) struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Parker {
    pub(crate) fn current() -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), woken: AtomicBool::new(false) })
    }

    /// Sleeps until it is woken or no time is left.
    pub(crate) fn park(&self, left: impl Fn() -> Duration) {
        while !self.woken.swap(false, Ordering::Acquire) {
            let left = left();
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
