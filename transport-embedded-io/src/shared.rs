//! The producer, shared by the tasks of an application and the driver.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::waitqueue::WakerRegistration;
use klamm_core::{Accepted, Action, ConnId, Event, Instant, Producer, Record, SendError, Target, TopicId};

use crate::Clock;
use crate::desk::Job;
use crate::waiting::{Listeners, WaitingRoom};

/// Tasks that may wait in [`Shared::next_event`] at a time; one is the rule.
const LISTENERS: usize = 2;

/// The producer in a mutex, with what wakes those who wait for it: the driver, and the application's tasks.
///
/// Sections under the mutex are short: one call of the core's each. `M` is the application's choice: a `NoopRawMutex` costs nothing where
/// all tasks, the driver among them, run in one executor; a `CriticalSectionRawMutex` serves interrupts, several executors and several
/// cores, and masks interrupts for the time of a `send`, or of sealing one batch (its CRC, that is).
///
/// **Somebody must take the events.** [`next_event`](Self::next_event) tells outcomes, and frees what they hold; the
/// waiting in [`send`](Self::send), [`flush`](Self::flush) and [`close`](Self::close) ends by events, too. So let one task (or one
/// side of a `join`) call it for as long as it gives some:
///
/// ```
/// # use klamm_embedded_io::{Clock, Shared};
/// # use embassy_sync::blocking_mutex::raw::NoopRawMutex;
/// # async fn listen<C: Clock>(shared: &Shared<'_, NoopRawMutex, C>) {
/// while let Some(event) = shared.next_event().await {
///     if let klamm_core::Event::Batch(outcome) = event { let _ = outcome.result; }
/// }
/// # }
/// ```
///
/// All futures here may be dropped at any time: nothing is lost by it.
///
/// `WAITERS` futures of `send`, `flush` and `close` can wait at a time. One more `send` is refused as [`SendError::Full`]; one more `flush`
/// or `close` is polled without pause until there is a place.
///
/// Code that runs under the mutex, which is a [`with`](Self::with) and a custom partitioner, must not use the same `Shared`: it finds it
/// taken, and a `send` from there is refused as [`SendError::Full`].
pub struct Shared<'a, M: RawMutex, C, const WAITERS: usize = 8> {
    inner: Mutex<M, RefCell<Inner<'a, WAITERS>>>,
    clock: C,
}

struct Inner<'a, const WAITERS: usize> {
    producer: Producer<'a>,
    driver: WakerRegistration,
    listeners: Listeners<LISTENERS>,
    waiters: WaitingRoom<WAITERS>,
    /// How often [`Event::Flushed`] was told.
    flushes: u32,
}

impl<'a, M: RawMutex, C: Clock, const WAITERS: usize> Shared<'a, M, C, WAITERS> {
    /// Shares a producer that was made with this clock's time.
    pub const fn new(producer: Producer<'a>, clock: C) -> Self {
        const { assert!(WAITERS > 0, "somebody waits") };
        let inner = Inner {
            producer,
            driver: WakerRegistration::new(),
            listeners: Listeners::new(),
            waiters: WaitingRoom::new(),
            flushes: 0,
        };
        Self { inner: Mutex::new(RefCell::new(inner)), clock }
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// As [`Producer::topic`].
    ///
    /// # Errors
    /// [`SendError::TopicName`], [`SendError::TooManyTopics`], [`SendError::Closed`].
    pub fn topic(&self, name: &str) -> Result<TopicId, SendError> {
        self.with(|producer, _| producer.topic(name)).unwrap_or(Err(SendError::Full))
    }

    /// Takes a record now or not at all, as [`Producer::send`] does.
    ///
    /// # Errors
    /// See [`SendError`]; nothing of the record was kept then.
    pub fn try_send(&self, topic: TopicId, record: &Record<'_>) -> Result<Accepted, SendError> {
        self.offer(topic, record, None).unwrap_or(Err(SendError::Full))
    }

    /// Takes a record, and waits for as long as there is no room for it or the topic's partitions are not known: without a limit, so
    /// put a timeout around it if that can be for ever. Who waits longest is not served first. Dropped before it ends, it has sent
    /// nothing.
    ///
    /// # Errors
    /// Those of [`SendError`] that waiting does not cure, and [`SendError::Full`] if `WAITERS` others wait already.
    pub async fn send(&self, topic: TopicId, record: &Record<'_>) -> Result<Accepted, SendError> {
        let mut waiting = self.waiting();
        poll_fn(|cx| {
            self.offer(topic, record, Some((&mut waiting.place, cx.waker()))).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// `None` if the record waits.
    fn offer(
        &self,
        topic: TopicId,
        record: &Record<'_>,
        waiter: Option<(&mut Option<usize>, &Waker)>,
    ) -> Option<Result<Accepted, SendError>> {
        let offered = self.locked(|inner, now| {
            let offered = inner.producer.send(now, topic, record);
            if offered.is_ok_and(|accepted| accepted.wake) {
                inner.driver.wake();
            }
            match (offered, waiter) {
                (Err(error), Some((place, waker))) if error.is_retriable() => {
                    if inner.waiters.wait(place, waker) {
                        None
                    } else {
                        Some(Err(SendError::Full))
                    }
                }
                _ => Some(offered),
            }
        });
        offered.unwrap_or(Some(Err(SendError::Full)))
    }

    /// Lets nothing wait for more records any longer, and ends when all that was accepted before has its outcome, which
    /// [`next_event`](Self::next_event) tells first. Dropped early, it has only not waited.
    pub async fn flush(&self) {
        let mut before = None;
        self.wait_until(|inner, now| {
            let before = *before.get_or_insert_with(|| {
                inner.producer.flush(now);
                inner.driver.wake();
                inner.listeners.wake(); // nothing may be left to wait for
                inner.flushes
            });
            inner.flushes != before || inner.producer.is_closed()
        })
        .await;
    }

    /// Refuses further records, drains for at most `within` what there is, and ends when everything has its outcome, every
    /// connection is gone, and [`Event::Closed`] was taken. Dropped early, it has only not waited; called again, it waits
    /// again, and the earlier deadline is replaced by its own.
    pub async fn close(&self, within: Duration) {
        let mut begun = false;
        self.wait_until(|inner, now| {
            if !core::mem::replace(&mut begun, true) {
                inner.producer.close(now, within);
                inner.wake_all();
            }
            inner.producer.is_closed()
        })
        .await;
    }

    async fn wait_until(&self, mut reached: impl FnMut(&mut Inner<'a, WAITERS>, Instant) -> bool) {
        let mut waiting = self.waiting();
        poll_fn(|cx| {
            let polled = self.locked(|inner, now| match reached(inner, now) {
                true => Some(Poll::Ready(())),
                false => inner.waiters.wait(&mut waiting.place, cx.waker()).then_some(Poll::Pending),
            });
            polled.flatten().unwrap_or_else(|| try_again(cx.waker()))
        })
        .await;
    }

    const fn waiting(&self) -> Waiting<'_, 'a, M, C, WAITERS> {
        Waiting { shared: self, place: None }
    }

    /// The next event; `None` once [`Event::Closed`] was told. For one task of the application. Dropped before it ends, it has taken no
    /// event.
    pub async fn next_event(&self) -> Option<Event> {
        poll_fn(|cx| {
            let polled = self.locked(|inner, _| match inner.producer.poll_event() {
                Some(event) => {
                    inner.heard(&event);
                    Poll::Ready(Some(event))
                }
                None if inner.producer.is_closed() => Poll::Ready(None),
                None => {
                    inner.listeners.register(cx.waker());
                    Poll::Pending
                }
            });
            polled.unwrap_or_else(|| try_again(cx.waker()))
        })
        .await
    }

    /// The next event, if there is one now.
    pub fn poll_event(&self) -> Option<Event> {
        self.locked(|inner, _| {
            let event = inner.producer.poll_event()?;
            inner.heard(&event);
            Some(event)
        })?
    }

    /// Does something with the producer, under the mutex, at the time that it is given: looks (`stats`, `partition_count`, `error_text` of
    /// the event told last), and commands that have no method here (`declare_partitions`, `set_wall_clock`, `forget_topic`,
    /// `fail_all`). What it leaves to be done is done by the driver. `handle_…` and `poll_…` are the driver's alone.
    ///
    /// `None` if it is called by code that runs under this mutex already.
    pub fn with<R>(&self, f: impl FnOnce(&mut Producer<'a>, Instant) -> R) -> Option<R> {
        self.locked(|inner, now| {
            let result = f(&mut inner.producer, now);
            inner.wake_all();
            result
        })
    }

    fn locked<R>(&self, f: impl FnOnce(&mut Inner<'a, WAITERS>, Instant) -> R) -> Option<R> {
        self.inner.lock(|inner| inner.try_borrow_mut().ok().map(|mut inner| f(&mut inner, self.clock.now())))
    }
}

/// The driver's side.
impl<'a, M: RawMutex, C: Clock, const WAITERS: usize> Shared<'a, M, C, WAITERS> {
    /// Tells the core what happened, and the application that there may be events.
    pub(crate) fn input<R>(&self, f: impl FnOnce(&mut Producer<'a>, Instant) -> R) -> Option<R> {
        self.locked(|inner, now| {
            let result = f(&mut inner.producer, now);
            inner.listeners.wake();
            result
        })
    }

    /// Asks the core something that makes no events.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&mut Producer<'a>, Instant) -> R) -> Option<R> {
        self.locked(|inner, now| f(&mut inner.producer, now))
    }

    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.locked(|inner, _| inner.driver.register(waker));
    }

    /// No driver runs any longer: nobody is to be woken.
    pub(crate) fn forget_driver(&self) {
        self.locked(|inner, _| inner.driver = WakerRegistration::new());
    }

    /// Fires the core's timers if they are due.
    pub(crate) fn pass_time(&self) {
        self.locked(|inner, now| {
            if inner.producer.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                inner.producer.handle_timeout(now);
                inner.listeners.wake();
            }
        });
    }

    /// The core's next action: the connection, and what to do for it; `None` as the latter ends it.
    pub(crate) fn next_action(&self) -> Option<(ConnId, Option<Job>)> {
        self.locked(|inner, _| {
            loop {
                return Some(match inner.producer.poll_action()? {
                    Action::Resolve { conn, .. } => (conn, Some(Job::Resolve)),
                    Action::Connect { conn, target: Target::Address(remote), .. } => (conn, Some(Job::Connect(remote))),
                    Action::Connect { conn, target: Target::Name { port, .. }, .. } => {
                        (conn, Some(Job::ConnectByName(port)))
                    }
                    Action::Disconnect { conn } => {
                        inner.listeners.wake(); // it may have been the last
                        (conn, None)
                    }
                    _ => continue,
                });
            }
        })?
    }

    /// The host of a connection's other end, copied to where it can be looked at without the mutex.
    pub(crate) fn host_of<'c>(&self, conn: ConnId, to: &'c mut [u8]) -> Option<&'c str> {
        let length = self.look(|producer, _| {
            let host = producer.connection_host(conn)?.0.as_bytes();
            to.get_mut(..host.len())?.copy_from_slice(host);
            Some(host.len())
        })??;
        core::str::from_utf8(to.get(..length)?).ok()
    }
}

impl<const WAITERS: usize> Inner<'_, WAITERS> {
    fn wake_all(&mut self) {
        self.driver.wake();
        self.listeners.wake();
        self.waiters.wake();
    }

    fn heard(&mut self, event: &Event) {
        match event {
            Event::Writable | Event::Topic(_) => self.waiters.wake(),
            Event::Flushed => {
                self.flushes = self.flushes.wrapping_add(1);
                self.waiters.wake();
            }
            Event::Closed => self.wake_all(),
            _ => {}
        }
    }
}

/// A place among those who wait, given back when its future ends or is dropped.
struct Waiting<'s, 'a, M: RawMutex, C: Clock, const WAITERS: usize> {
    shared: &'s Shared<'a, M, C, WAITERS>,
    place: Option<usize>,
}

impl<M: RawMutex, C: Clock, const WAITERS: usize> Drop for Waiting<'_, '_, M, C, WAITERS> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shared.locked(|inner, _| inner.waiters.leave(place));
        }
    }
}

/// There is no place to wait in, or whoever polls this future has the mutex.
fn try_again<R>(waker: &Waker) -> Poll<R> {
    waker.wake_by_ref();
    Poll::Pending
}

impl<M: RawMutex, C, const WAITERS: usize> core::fmt::Debug for Shared<'_, M, C, WAITERS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
