//! A send with code of the application's in its way: interceptors, a partitioner, a callback.
//!
//! None of that code runs under the lock. A partitioner needs to know how many partitions there are, so it
//! is asked between two looks under the lock, and asked again should their number have changed by the second.

use std::sync::Arc;
use std::task::{Poll, Waker};

use klamm_core::TopicId;

use crate::callbacks::Callback;
use crate::delivery::Delivery;
use crate::error::SendError;
use crate::inside::on_io_thread;
use crate::interceptor::{FailedRecord, Failure, Interceptors, OutgoingRecord};
use crate::partition::{PartitionFn, PartitionQuery};
use crate::record::Record;
use crate::sending::{Parker, Waiting};
use crate::shared::{Inner, Life, Patience, Shared};

/// The application's code that every send of a producer meets.
pub(crate) struct Hooks {
    pub(crate) way: Way,
    pub(crate) interceptors: Interceptors,
    pub(crate) partitioner: Option<PartitionFn>,
}

/// How records go where there are hooks. As values, which only those have who add hooks: a program without any has none of this
/// module's code.
pub(crate) struct Way {
    pub(crate) send: fn(&Inner, &Record<'_>, Option<Callback>, Patience) -> Result<Delivery, SendError>,
    /// The producer has ended.
    pub(crate) end: fn(&Hooks, &Inner),
}

impl Hooks {
    /// None yet, but there will be.
    pub(crate) fn new() -> Box<Self> {
        let way = Way { send, end: |hooks, inner| hooks.interceptors.close(inner) };
        Box::new(Self { way, interceptors: Interceptors::default(), partitioner: None })
    }
}

/// What an attempt came to.
enum Step {
    Accepted(Delivery),
    /// The partitioner must be asked first.
    Choose(TopicId, u32),
}

/// A partitioner's answer, and the count it was given for.
#[derive(Clone, Copy)]
struct Chosen {
    partition: i32,
    topic: TopicId,
    partitions: u32,
}

/// A record that the interceptors have seen.
pub(crate) struct Prepared<'r> {
    inner: &'r Inner,
    record: OutgoingRecord<'r>,
    callback: Option<Callback>,
    chosen: Option<Chosen>,
}

/// Accepts a record now, or as soon as it can be.
#[cold]
pub(crate) fn send(
    inner: &Inner,
    record: &Record<'_>,
    callback: Option<Callback>,
    patience: Patience,
) -> Result<Delivery, SendError> {
    let mut prepared = Prepared::new(inner, record, callback);
    let waits = patience == Patience::Waits && !on_io_thread();
    let result = match prepared.attempt_now(if waits { patience } else { Patience::None }) {
        Err(error) if waits && error.is_retriable() => prepared.block(),
        Err(error) if patience == Patience::Waits => Err(not_here(error)),
        result => result,
    };
    prepared.tell(&result);
    result
}

impl<'r> Prepared<'r> {
    pub(crate) fn new(inner: &'r Inner, record: &'r Record<'_>, callback: Option<Callback>) -> Self {
        let mut record = OutgoingRecord::new(record);
        if let Some(hooks) = &inner.hooks {
            hooks.interceptors.on_send(inner, &mut record);
        }
        Self { inner, record, callback, chosen: None }
    }

    /// Tells the interceptors if the record was refused.
    fn tell(&self, result: &Result<Delivery, SendError>) {
        if let (Some(hooks), Err(error)) = (&self.inner.hooks, result) {
            let partition = self.record.partition().or_else(|| Some(self.chosen?.partition));
            let failure = Failure::Refused(error);
            hooks.interceptors.failed(self.inner, &FailedRecord { topic: self.record.topic(), partition, failure });
        }
    }

    fn attempt_now(&mut self, patience: Patience) -> Result<Delivery, SendError> {
        loop {
            let step = self.inner.with(|shared| {
                let step = if shared.waiters.queued() && shared.life == Life::Open {
                    Err(klamm_core::SendError::Full)
                } else {
                    self.attempt(shared, patience)
                };
                step.map_err(|refused| shared.refusal(refused, self.record.topic()))
            })?;
            match step {
                Step::Accepted(delivery) => return Ok(delivery),
                Step::Choose(topic, partitions) => self.choose(topic, partitions)?,
            }
        }
    }

    /// Waits for space and metadata, sleeping.
    fn block(&mut self) -> Result<Delivery, SendError> {
        let mut waiting = Waiting::new(self.inner);
        let parker = Parker::current();
        let waker = Waker::from(Arc::clone(&parker));
        loop {
            if let Poll::Ready(result) = self.step(&mut waiting, &waker) {
                return result;
            }
            let deadline = waiting.deadline();
            parker.park(|| deadline.since(self.inner.now()));
        }
    }

    /// As a future; the outcome is told to the interceptors.
    pub(crate) fn poll(&mut self, waiting: &mut Waiting<'_>, waker: &Waker) -> Poll<Result<Delivery, SendError>> {
        let step = self.step(waiting, waker);
        if let Poll::Ready(result) = &step {
            self.tell(result);
        }
        step
    }

    fn step(&mut self, waiting: &mut Waiting<'_>, waker: &Waker) -> Poll<Result<Delivery, SendError>> {
        loop {
            let (inner, topic) = (self.inner, self.record.topic().to_owned());
            let attempt = |shared: &mut Shared| self.attempt(shared, Patience::Waits);
            let step = inner.with(|shared| waiting.step(shared, &topic, waker, attempt));
            let (topic, partitions) = match step {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Step::Accepted(delivery))) => return Poll::Ready(Ok(delivery)),
                Poll::Ready(Ok(Step::Choose(topic, partitions))) => (topic, partitions),
            };
            if let Err(error) = self.choose(topic, partitions) {
                return Poll::Ready(Err(error));
            }
            waiting.again();
        }
    }

    /// Asks the partitioner, without the lock.
    fn choose(&mut self, topic: TopicId, partitions: u32) -> Result<(), SendError> {
        let inner = self.inner;
        let Some(choose) = inner.hooks.as_ref().and_then(|hooks| hooks.partitioner.as_ref()) else { return Ok(()) };
        let partition = self.record.with_record(None, |record| {
            let klamm_core::Record { key, value, headers, .. } = record.as_core();
            PartitionQuery { topic: record.topic(), key, value, headers, partitions, inner, id: topic }.ask(choose)
        })?;
        self.chosen = Some(Chosen { partition, topic, partitions });
        Ok(())
    }

    /// Tries to accept the record.
    fn attempt(&mut self, shared: &mut Shared, patience: Patience) -> Result<Step, klamm_core::SendError> {
        let inner = self.inner;
        let hooks = inner.hooks.as_ref();
        if shared.life != Life::Open {
            return Err(klamm_core::SendError::Closed);
        }
        let mut partition = None;
        if hooks.is_some_and(|hooks| hooks.partitioner.is_some()) && self.record.partition().is_none() {
            let at = shared.topic(inner, self.record.topic())?;
            let topic = shared.topics.entries[at].id;
            let partitions = shared.core.learned_partition_count(topic);
            let partitions = partitions.ok_or(klamm_core::SendError::PartitionsUnknown)?;
            match self.chosen {
                Some(chosen) if chosen.topic == topic && chosen.partitions == partitions => {
                    partition = Some(chosen.partition);
                }
                _ => return Ok(Step::Choose(topic, partitions)),
            }
        }
        let callback = &mut self.callback;
        let told = callback.is_some() || hooks.is_some_and(|hooks| !hooks.interceptors.is_empty());
        let delivery = self.record.with_record(partition, |record| {
            if told {
                shared.accept_told(inner, record, patience, callback)
            } else {
                shared.accept(inner, record, patience)
            }
        })?;
        Ok(Step::Accepted(delivery))
    }
}

/// What a send hears that would have had to wait on the I/O thread.
pub(crate) fn not_here(error: SendError) -> SendError {
    match error {
        SendError::Full | SendError::PartitionsUnknown => SendError::InCallback,
        other => other,
    }
}
