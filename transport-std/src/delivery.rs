//! What became of accepted records: one shared cell per batch, and handles into it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use klamm_core::{BatchOutcome, Delivered, Fate};

use crate::error::{DeliveryError, DeliveryErrorKind};
use crate::inside::on_io_thread;
use crate::wake::wake_all;

/// Where a delivered record is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset in the partition; −1 when the broker did not say: with `acks=0`, and when
    /// it recognised an old duplicate.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC: the record's own time, or the broker's for topics with
    /// `message.timestamp.type=LogAppendTime`.
    pub timestamp: i64,
}

/// The outcome of consecutive records of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    first_index: u32,
    count: u32,
    partition: i32,
    result: Result<Delivered, Failure>,
}

#[derive(Clone, Debug)]
struct Failure {
    kind: DeliveryErrorKind,
    fate: Fate,
    message: Option<Arc<str>>,
    /// Position of the first record that the broker named, after `first_index`.
    named: Option<u32>,
}

impl Segment {
    pub(crate) fn new(outcome: &BatchOutcome, message: Option<Arc<str>>) -> Self {
        let result = outcome.result.map_err(|failed| Failure {
            kind: DeliveryErrorKind::from_core(failed.error),
            fate: failed.fate,
            message,
            named: failed.record,
        });
        Self { first_index: outcome.first_index, count: outcome.count, partition: outcome.partition, result }
    }

    /// Covers every record that no other segment covers: the I/O thread is gone.
    pub(crate) fn broken() -> Self {
        let failure = Failure { kind: DeliveryErrorKind::Broken, fate: Fate::Unknown, message: None, named: None };
        Self { first_index: 0, count: u32::MAX, partition: -1, result: Err(failure) }
    }

    fn position(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.first_index).filter(|&position| position < self.count)
    }

    /// Whether the record's outcome is this one.
    pub(crate) fn covers(&self, index: u32) -> bool {
        self.position(index).is_some()
    }

    /// The outcome of one record, if this is its.
    pub(crate) fn outcome_of(
        &self,
        index: u32,
        topic: &Arc<str>,
        timestamp: i64,
    ) -> Option<Result<RecordMetadata, DeliveryError>> {
        let position = self.position(index)?;
        let topic = Arc::clone(topic);
        Some(match &self.result {
            Ok(delivered) => Ok(RecordMetadata {
                topic,
                partition: self.partition,
                offset: delivered.offset(position),
                timestamp: delivered.log_append_time.unwrap_or(timestamp),
            }),
            Err(failure) => Err(DeliveryError {
                kind: failure.kind,
                fate: failure.fate,
                message: failure.message.clone(),
                topic,
                partition: self.partition,
                collateral: failure.named.is_some_and(|named| named != position),
            }),
        })
    }
}

/// The shared state of one batch's records.
pub(crate) struct BatchCell {
    topic: Arc<str>,
    /// The outcome of nearly every batch: one segment, read without a lock.
    first: OnceLock<Segment>,
    rest: Mutex<Rest>,
    done: Condvar,
}

#[derive(Default)]
struct Rest {
    /// Further segments, of a batch that was split.
    segments: Vec<Segment>,
    /// Wakers of pending futures; a [`Delivery`] remembers its place.
    wakers: Vec<Waker>,
    /// Threads in [`Delivery::wait`].
    sleepers: u32,
}

impl BatchCell {
    pub(crate) fn new(topic: Arc<str>) -> Self {
        Self { topic, first: OnceLock::new(), rest: Mutex::default(), done: Condvar::new() }
    }

    /// The topic.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an outcome and wakes whoever waits; `last` says that every record is covered now.
    pub(crate) fn complete(&self, segment: Segment, last: bool) {
        // `first` is set before the lock is taken, and waiters look at it again under the lock:
        // either they see it or we see their waker.
        let further = self.first.set(segment).err();
        let mut rest = self.rest();
        rest.segments.extend(further);
        let wakers = if last { std::mem::take(&mut rest.wakers) } else { rest.wakers.clone() };
        if rest.sleepers > 0 {
            self.done.notify_all();
        }
        drop(rest);
        wake_all(wakers);
    }
}

/// The outcome of one accepted record, sooner or later: a [`Future`], with [`wait`](Self::wait) for
/// threads.
///
/// Dropping it cancels nothing. Every delivery is resolved, within `delivery.timeout.ms` and the
/// time an unanswered request takes to be given up.
///
/// ```no_run
/// # async fn example(producer: klamm::Producer) -> Result<(), Box<dyn std::error::Error>> {
/// use klamm::Record;
///
/// let delivery = producer.send(&Record::to("payments").value("1250"))?;
/// let metadata = delivery.await?; // or delivery.wait()?
/// println!("{}-{} at offset {}", metadata.topic, metadata.partition, metadata.offset);
/// # Ok(())
/// # }
/// ```
#[must_use = "a record that was accepted can still fail: wait for its delivery, or drop it on purpose"]
pub struct Delivery {
    cell: Arc<BatchCell>,
    index: u32,
    /// Place of our waker in the cell.
    waker: u32,
    timestamp: i64,
}

const NO_WAKER: u32 = u32::MAX;

impl Delivery {
    #[inline]
    pub(crate) fn new(cell: Arc<BatchCell>, index: u32, timestamp: i64) -> Self {
        Self { cell, index, waker: NO_WAKER, timestamp }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.cell.topic
    }

    pub(crate) fn cell(&self) -> &Arc<BatchCell> {
        &self.cell
    }

    /// The outcome, if it is known already.
    #[must_use]
    pub fn try_get(&self) -> Option<Result<RecordMetadata, DeliveryError>> {
        let first = self.cell.first.get()?;
        self.outcome(first).or_else(|| self.find(&self.cell.rest()))
    }

    /// Blocks the thread until the outcome is known. Not for the inside of an async task: there,
    /// await the delivery.
    ///
    /// In a callback it does not block: without an outcome it returns
    /// [`DeliveryErrorKind::InCallback`] at once, which says nothing about the record.
    ///
    /// # Errors
    /// The record was not delivered, or may not have been; see [`DeliveryError`].
    pub fn wait(self) -> Result<RecordMetadata, DeliveryError> {
        if on_io_thread() {
            return self.try_get().unwrap_or_else(|| Err(DeliveryError::in_callback(&self.cell.topic)));
        }
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    /// Blocks the thread until the outcome is known, for at most `timeout`; `None` if it is not. In a
    /// callback it does not block.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<RecordMetadata, DeliveryError>> {
        if on_io_thread() {
            return self.try_get();
        }
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<Result<RecordMetadata, DeliveryError>> {
        if let Some(outcome) = self.try_get() {
            return Some(outcome);
        }
        let mut rest = self.cell.rest();
        rest.sleepers += 1;
        let outcome = loop {
            if let Some(outcome) = self.find(&rest) {
                break Some(outcome);
            }
            rest = match deadline {
                None => self.cell.done.wait(rest).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                    else {
                        break None;
                    };
                    self.cell.done.wait_timeout(rest, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        rest.sleepers -= 1;
        outcome
    }

    /// Looks at every segment; the lock shows that none is being added.
    fn find(&self, rest: &Rest) -> Option<Result<RecordMetadata, DeliveryError>> {
        let mut segments = self.cell.first.get().into_iter().chain(&rest.segments);
        segments.find_map(|segment| self.outcome(segment))
    }

    fn outcome(&self, segment: &Segment) -> Option<Result<RecordMetadata, DeliveryError>> {
        segment.outcome_of(self.index, &self.cell.topic, self.timestamp)
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.try_get() {
            return Poll::Ready(outcome);
        }
        let this = &mut *self;
        let mut rest = this.cell.rest();
        if let Some(outcome) = this.find(&rest) {
            drop(rest);
            return Poll::Ready(outcome);
        }
        match rest.wakers.get_mut(this.waker as usize) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                this.waker = u32::try_from(rest.wakers.len()).unwrap_or(NO_WAKER);
                rest.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("topic", &self.cell.topic).field("outcome", &self.try_get()).finish()
    }
}
