//! Callbacks of accepted records, until it is their turn.
//!
//! They are called in the order of their records, per partition. Outcomes need not come in that order: a
//! record that is too large fails while those before it are still being sent again. So each partition
//! has a lane, first in, first out, and an outcome waits there for those before it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use klamm_core::{Accepted, BatchOutcome, TopicId};

use crate::delivery::{BatchCell, Delivery, RecordMetadata, Segment};
use crate::error::DeliveryError;
use crate::inside::caught;
use crate::shared::Inner;

/// Told a record's outcome.
pub(crate) type Callback = Box<dyn FnOnce(Result<RecordMetadata, DeliveryError>) + Send>;

/// A record whose outcome is to be told.
struct Pending {
    batch: u32,
    index: u32,
    timestamp: i64,
    cell: Arc<BatchCell>,
    /// `None`: only interceptors are to be told.
    callback: Option<Callback>,
    outcome: Option<Arc<Segment>>,
}

/// A record whose turn it is to be told its outcome. Not under the lock: it runs code of the
/// application's, and drops what that code holds, such as a producer's last handle.
pub(crate) struct Call {
    record: Pending,
    outcome: Arc<Segment>,
}

/// Calls that are due, for those who only pass them on.
pub(crate) trait Calls: Send {
    /// Runs them in their order.
    fn run(self: Box<Self>, inner: &Inner);
}

impl Calls for Vec<Call> {
    fn run(self: Box<Self>, inner: &Inner) {
        for call in *self {
            call.run(inner);
        }
    }
}

/// [`Callbacks`], for those who only pass outcomes on. By way of this, a program that never asks to be told has none of their code.
pub(crate) trait Settle: Send {
    /// See [`Callbacks::add`].
    fn add(
        &mut self,
        accepted: &Accepted,
        topic: TopicId,
        delivery: &Delivery,
        callback: Option<Callback>,
        partition: &dyn Fn(u32, u32) -> Option<i32>,
    );
    /// See [`Callbacks::settle`].
    fn settle(
        &mut self,
        outcome: &BatchOutcome,
        segment: &Segment,
        partition: &dyn Fn(u32, u32) -> Option<i32>,
    ) -> Option<Box<dyn Calls>>;
    /// See [`Callbacks::fail_all`].
    fn fail_all(&mut self) -> Box<dyn Calls>;
}

impl Settle for Callbacks {
    fn add(
        &mut self,
        accepted: &Accepted,
        topic: TopicId,
        delivery: &Delivery,
        callback: Option<Callback>,
        partition: &dyn Fn(u32, u32) -> Option<i32>,
    ) {
        self.add(accepted, topic, delivery, callback, partition);
    }

    fn settle(
        &mut self,
        outcome: &BatchOutcome,
        segment: &Segment,
        partition: &dyn Fn(u32, u32) -> Option<i32>,
    ) -> Option<Box<dyn Calls>> {
        let calls = self.settle(outcome, segment, partition);
        if calls.is_empty() { None } else { Some(Box::new(calls)) }
    }

    fn fail_all(&mut self) -> Box<dyn Calls> {
        Box::new(self.fail_all())
    }
}

impl Call {
    /// Tells the interceptors, then the callback.
    fn run(self, inner: &Inner) {
        let Self { record, outcome } = self;
        let Some(outcome) = outcome.outcome_of(record.index, record.cell.topic(), record.timestamp) else { return };
        if let Some(hooks) = &inner.hooks {
            hooks.interceptors.told(inner, &outcome);
        }
        if let Some(callback) = record.callback
            && let Err(panic) = caught(|| callback(outcome))
        {
            inner.report(format!("a callback panicked: {panic}"));
        }
    }
}

/// A partition; [`UNCHOSEN`] for records without a key from before the first metadata.
type Lane = (TopicId, i32);
const UNCHOSEN: i32 = -1;

/// A batch with callbacks to be called.
struct Batch {
    lane: Lane,
    slot: u32,
    /// Callbacks of records without outcome.
    open: u32,
}

/// All callbacks.
#[derive(Default)]
pub(crate) struct Callbacks {
    batches: HashMap<u32, Batch>,
    lanes: HashMap<Lane, VecDeque<Pending>>,
    /// How many of the batches have no partition yet.
    unchosen: usize,
}

/// Batch ids count up, and wrap.
fn before(batch: u32, other: u32) -> bool {
    (batch.wrapping_sub(other) as i32) < 0
}

impl Callbacks {
    /// Takes the callback of a record that was accepted just now. `partition` is the core's answer to which
    /// partition a batch (by id and slot) is for.
    pub(crate) fn add(
        &mut self,
        accepted: &Accepted,
        topic: TopicId,
        delivery: &Delivery,
        callback: Option<Callback>,
        partition: impl Fn(u32, u32) -> Option<i32>,
    ) {
        self.assign(&partition);
        let id = accepted.id.batch;
        let unchosen = &mut self.unchosen;
        let batch = self.batches.entry(id).or_insert_with(|| {
            let partition = partition(id, accepted.slot).unwrap_or(UNCHOSEN);
            *unchosen += usize::from(partition == UNCHOSEN);
            Batch { lane: (topic, partition), slot: accepted.slot, open: 0 }
        });
        batch.open += 1;
        self.lanes.entry(batch.lane).or_default().push_back(Pending {
            batch: id,
            index: accepted.id.index,
            timestamp: accepted.timestamp,
            cell: Arc::clone(delivery.cell()),
            callback,
            outcome: None,
        });
    }

    /// Notes an outcome, and returns the calls whose turn has come.
    pub(crate) fn settle(
        &mut self,
        outcome: &BatchOutcome,
        segment: &Segment,
        partition: impl Fn(u32, u32) -> Option<i32>,
    ) -> Vec<Call> {
        if self.batches.is_empty() {
            return Vec::new();
        }
        self.assign(&partition);
        let id = outcome.batch;
        let Some(batch) = self.batches.get_mut(&id) else { return Vec::new() };
        let lane = batch.lane;
        if let Some(queue) = self.lanes.get_mut(&lane) {
            let first = queue.partition_point(|record| {
                before(record.batch, id) || (record.batch == id && record.index < outcome.first_index)
            });
            let shared = Arc::new(segment.clone());
            for record in queue.range_mut(first..) {
                if record.batch != id || !segment.covers(record.index) {
                    break;
                }
                record.outcome = Some(Arc::clone(&shared));
                batch.open = batch.open.saturating_sub(1);
            }
        }
        if batch.open == 0 {
            self.batches.remove(&id);
            self.unchosen -= usize::from(lane.1 == UNCHOSEN);
        }
        self.release(lane)
    }

    /// Takes the calls from the front of a lane that have their outcome.
    fn release(&mut self, lane: Lane) -> Vec<Call> {
        let mut calls = Vec::new();
        let Some(queue) = self.lanes.get_mut(&lane) else { return calls };
        while let Some(outcome) = queue.front_mut().and_then(|record| record.outcome.take()) {
            calls.extend(queue.pop_front().map(|record| Call { record, outcome }));
        }
        if queue.is_empty() {
            self.lanes.remove(&lane);
        }
        calls
    }

    /// Batches whose partition was chosen meanwhile go to its lane.
    fn assign(&mut self, partition: &impl Fn(u32, u32) -> Option<i32>) {
        if self.unchosen == 0 {
            return;
        }
        let unchosen = self.batches.iter().filter(|(_, batch)| batch.lane.1 == UNCHOSEN);
        let chosen: Vec<_> =
            unchosen.filter_map(|(&id, batch)| Some((id, batch.lane, partition(id, batch.slot)?))).collect();
        for (id, from, partition) in chosen {
            self.move_batch(id, from, (from.0, partition));
        }
    }

    fn move_batch(&mut self, id: u32, from: Lane, to: Lane) {
        let Some(queue) = self.lanes.get_mut(&from) else { return };
        let first = queue.partition_point(|record| before(record.batch, id));
        let end = queue.partition_point(|record| !before(id, record.batch));
        let moved: VecDeque<_> = queue.drain(first..end).collect();
        if queue.is_empty() {
            self.lanes.remove(&from);
        }
        // In the order of the batches, and so of the flushes that wait for them.
        let queue = self.lanes.entry(to).or_default();
        let mut behind = queue.split_off(queue.partition_point(|record| before(record.batch, id)));
        queue.extend(moved);
        queue.append(&mut behind);
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.lane = to;
        }
        self.unchosen -= 1;
    }

    /// Takes everything: there will be no more outcomes from the core.
    pub(crate) fn fail_all(&mut self) -> Vec<Call> {
        let broken = Arc::new(Segment::broken());
        let mut calls = Vec::new();
        for mut record in self.lanes.drain().flat_map(|(_, queue)| queue) {
            let outcome = record.outcome.take().unwrap_or_else(|| Arc::clone(&broken));
            calls.push(Call { record, outcome });
        }
        self.batches.clear();
        self.unchosen = 0;
        calls
    }
}

#[cfg(test)]
mod tests {
    use klamm_core::{Config, Delivered, DeliveryError as Core, Failed, Fate, Instant, RecordId, Storage};

    use super::*;

    fn topic() -> TopicId {
        let storage = Storage::heap(&klamm_core::Limits::default());
        let mut core = klamm_core::Producer::new(Config::new("a:1"), storage, [1; 32], Instant::ZERO).unwrap();
        core.topic("t").unwrap()
    }

    /// Callbacks by batch and index, with outcomes as batch, first index and count.
    struct Lanes {
        callbacks: Callbacks,
        topic: TopicId,
        /// The partition of every batch; `None`: not chosen yet.
        partition: Option<i32>,
    }

    impl Lanes {
        fn new() -> Self {
            Self { callbacks: Callbacks::default(), topic: topic(), partition: Some(0) }
        }

        fn add(&mut self, batch: u32, index: u32) {
            let id = RecordId { batch, index };
            let accepted = Accepted {
                id,
                slot: 0,
                timestamp: 0,
                new_batch: index == 0,
                wake: false,
                #[cfg(feature = "codecs")]
                compress: false,
            };
            let delivery = Delivery::new(Arc::new(BatchCell::new("t".into())), index, 0);
            let partition = self.partition;
            self.callbacks.add(&accepted, self.topic, &delivery, None, |_, _| partition);
        }

        fn settle(&mut self, batch: u32, first_index: u32, count: u32, well: bool) -> Vec<(u32, u32)> {
            let result = if well {
                Ok(Delivered { base_offset: 0, log_append_time: None })
            } else {
                Err(Failed { error: Core::RecordTooLarge, fate: Fate::NotWritten, record: None })
            };
            let partition = self.partition.unwrap_or(UNCHOSEN);
            let outcome = BatchOutcome { batch, slot: 0, first_index, count, topic: self.topic, partition, result };
            let chosen = self.partition;
            let calls = self.callbacks.settle(&outcome, &Segment::new(&outcome, None), |_, _| chosen);
            calls.iter().map(|call| (call.record.batch, call.record.index)).collect()
        }

        fn is_empty(&self) -> bool {
            self.callbacks.batches.is_empty() && self.callbacks.lanes.is_empty() && self.callbacks.unchosen == 0
        }
    }

    #[test]
    fn outcomes_wait_for_those_before_them() {
        let mut lanes = Lanes::new();
        [(7, 0), (7, 1), (7, 3), (8, 0), (9, 2)].into_iter().for_each(|(batch, index)| lanes.add(batch, index));
        assert!(lanes.settle(9, 0, 3, false).is_empty());
        assert!(lanes.settle(7, 2, 2, false).is_empty(), "the first half of its batch is missing");
        assert_eq!(lanes.settle(7, 0, 2, true), [(7, 0), (7, 1), (7, 3)]);
        assert!(lanes.settle(6, 0, 5, true).is_empty(), "a batch without callbacks");
        assert_eq!(lanes.settle(8, 0, 1, true), [(8, 0), (9, 2)]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn partitions_do_not_wait_for_each_other_and_ids_may_wrap() {
        let mut lanes = Lanes::new();
        lanes.add(u32::MAX, 0);
        lanes.add(1, 0);
        lanes.partition = Some(1);
        lanes.add(0, 0);
        assert_eq!(lanes.settle(0, 0, 1, true), [(0, 0)]);
        assert!(lanes.settle(1, 0, 1, true).is_empty());
        assert_eq!(lanes.settle(u32::MAX, 0, 1, true), [(u32::MAX, 0), (1, 0)]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn records_find_their_lane_when_their_partition_is_chosen() {
        let mut lanes = Lanes::new();
        lanes.add(5, 0);
        lanes.partition = None;
        lanes.add(3, 0);
        lanes.add(4, 0);
        assert_eq!(lanes.callbacks.unchosen, 2);
        lanes.partition = Some(0);
        lanes.add(6, 0);
        assert_eq!(lanes.callbacks.unchosen, 0);
        assert!(lanes.settle(5, 0, 1, true).is_empty());
        assert!(lanes.settle(4, 0, 1, true).is_empty());
        assert_eq!(lanes.settle(3, 0, 1, true), [(3, 0), (4, 0), (5, 0)]);
        assert_eq!(lanes.settle(6, 0, 1, true), [(6, 0)]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn records_that_fail_without_a_partition_are_told() {
        let mut lanes = Lanes::new();
        lanes.partition = None;
        lanes.add(3, 0);
        lanes.add(3, 1);
        assert_eq!(lanes.settle(3, 0, 2, false), [(3, 0), (3, 1)]);
        assert!(lanes.is_empty());
        lanes.add(4, 0);
        lanes.partition = Some(2);
        lanes.add(5, 0);
        assert!(lanes.settle(5, 0, 1, true).is_empty());
        let rest: Vec<_> = lanes.callbacks.fail_all().iter().map(|call| call.record.batch).collect();
        assert_eq!(rest, [4, 5]);
        assert!(lanes.is_empty());
    }
}
