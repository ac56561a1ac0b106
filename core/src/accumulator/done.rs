//! Batches that have their outcome: they leave the queues, are told, and their slots are free.

use crate::error::{DeliveryError, Fate};
use crate::event::{BatchOutcome, Delivered, Failed, TopicId};
use crate::state::State;
use crate::state::batch::{BatchState, ByAge, Outcome};
use crate::state::list::{List, NIL};

impl State<'_> {
    /// Settles a batch that is in no request and in no backoff list.
    pub(crate) fn finish(&mut self, batch: u32, outcome: Outcome) {
        #[cfg(feature = "codecs")]
        self.withdraw_job(batch);
        self.leave_queues(batch);
        let keep = u32::from(self.batches.at(batch).has_text());
        self.free_blocks(batch, keep);
        self.batches.at_mut(batch).state = BatchState::Done;
        self.tell(batch, outcome);
    }

    /// Fails a batch that is in no request and in no backoff list.
    pub(crate) fn fail(&mut self, batch: u32, error: DeliveryError, fate: Fate) {
        self.finish(batch, Outcome::Failed(Failed { error, fate, record: None }));
    }

    /// Queues the outcome for [`Self::next_outcome`].
    pub(crate) fn tell(&mut self, batch: u32, outcome: Outcome) {
        // By the time it is told, the partition's slot may be another's, and so may the topic's.
        let partition = self.partitions.at(self.batches.at(batch).partition);
        let topic = TopicId { slot: partition.topic, generation: self.topics.at(partition.topic.into()).generation };
        let index = partition.index;
        let slot = self.batches.at_mut(batch);
        (slot.told_topic, slot.told_index) = (topic, index);
        slot.outcome = outcome;
        slot.untold = true;
        let counter = match outcome {
            Outcome::Delivered { .. } => &mut self.stats.records_delivered,
            Outcome::Failed(_) => &mut self.stats.records_failed,
        };
        *counter = counter.wrapping_add(slot.count.into());
        self.measure_outcome(batch, matches!(outcome, Outcome::Delivered { .. }));
        self.accumulator.done.push_back(&mut self.batches, batch);
    }

    /// Out of the partition's queue and of the age list.
    pub(crate) fn leave_queues(&mut self, batch: u32) {
        self.leave_age_list(batch);
        self.leave_partition_queue(batch);
    }

    /// The batch no longer counts as live: its deadlines are void.
    pub(crate) fn leave_age_list(&mut self, batch: u32) {
        if self.accumulator.lingering == batch {
            self.accumulator.lingering = List::<ByAge>::after(&self.batches, batch);
        }
        self.accumulator.by_age.remove(&mut self.batches, batch);
        self.skip_lingered();
        self.accumulator.live = self.accumulator.live.wrapping_sub(1);
    }

    pub(crate) fn leave_partition_queue(&mut self, batch: u32) {
        let slot = self.batches.at(batch).partition;
        let partition = self.partitions.at_mut(slot);
        partition.queue.remove(&mut self.batches, batch);
        partition.queued = partition.queued.wrapping_sub(1);
        let topic = self.topics.at_mut(partition.topic.into());
        topic.batches = topic.batches.wrapping_sub(1);
        #[cfg(feature = "split")]
        self.return_reserve(slot, batch);
        if self.partitions.at(slot).queued == 0 {
            self.settle(slot); // out of the ready list: its link is the idle list's now
            self.accumulator.idle_partitions.push_back(&mut self.partitions, slot);
        }
    }

    /// The last part of the batch that was split with the help of the reserve is gone.
    #[cfg(feature = "split")]
    fn return_reserve(&mut self, slot: u32, batch: u32) {
        let id = Some(self.batches.at(batch).id);
        let first = self.partitions.at(slot).queue.front();
        if self.accumulator.reserve_used_by == id && (first == NIL || Some(self.batches.at(first).id) != id) {
            self.accumulator.reserve_used_by = None;
        }
    }

    /// An expired batch is off the wire at last: its blocks and, once told, its slot are free.
    pub(crate) fn release_expired(&mut self, batch: u32) {
        self.leave_partition_queue(batch);
        self.free_blocks(batch, 0);
        self.batches.at_mut(batch).state = BatchState::Done;
        if !self.batches.at(batch).untold {
            self.free_batch(batch);
        }
    }

    /// The next outcome to tell. The batch told before it is let go now; its error text was its last
    /// use.
    pub(crate) fn next_outcome(&mut self) -> Option<BatchOutcome> {
        let told = core::mem::replace(&mut self.accumulator.told, NIL);
        if told != NIL {
            self.free_blocks(told, 0);
            self.free_batch(told);
        }
        let index = self.accumulator.done.pop_front(&mut self.batches)?;
        self.accumulator.outstanding = self.accumulator.outstanding.wrapping_sub(1);
        let batch = self.batches.at_mut(index);
        batch.untold = false;
        if batch.state == BatchState::Done {
            self.accumulator.told = index;
        } // else expired and still on the wire: `release_expired` frees it
        let batch = self.batches.at(index);
        let result = match batch.outcome {
            Outcome::Delivered { base_offset, log_append_time } => {
                Ok(Delivered { base_offset, log_append_time: (log_append_time >= 0).then_some(log_append_time) })
            }
            Outcome::Failed(failed) => Err(failed),
        };
        Some(BatchOutcome {
            batch: batch.id,
            slot: index,
            first_index: batch.first_index,
            count: batch.count,
            topic: batch.told_topic,
            partition: batch.told_index,
            result,
        })
    }

    /// Every batch up to the one that was open at the last flush has its outcome.
    pub(crate) fn take_flushed(&mut self) -> bool {
        let Some(up_to) = self.accumulator.flush_up_to else { return false };
        let oldest = self.accumulator.by_age.front();
        let flushed = oldest == NIL || (self.batches.at(oldest).id.wrapping_sub(up_to) as i32) > 0;
        if flushed {
            self.accumulator.flush_up_to = None;
        }
        flushed
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use crate::state::storage::{Limits, Storage};
    use crate::{Config, Event, Instant, Producer, Record};

    /// An outcome was told of whatever partition had the slot by then: records accepted between a failure and its telling are enough.
    #[test]
    fn an_outcome_is_told_of_the_partition_that_it_is_of() {
        let limits = Limits { buffer_memory: 1 << 16, partitions: 1, ..Limits::default() };
        let config = Config::new("localhost:9092");
        let timeout_ms = config.delivery_timeout_ms;
        let mut producer = Producer::new(config, Storage::heap(&limits), [7; 32], Instant::ZERO).unwrap();
        let topic = producer.topic("t").unwrap();
        producer.declare_partitions(topic, 2);
        let to = |partition| Record { value: Some(b"v"), partition: Some(partition), ..Record::default() };
        producer.send(Instant::ZERO, topic, &to(0)).unwrap();
        let late = Instant::ZERO.after_ms(timeout_ms + 1);
        producer.handle_timeout(late);
        producer.send(late, topic, &to(1)).unwrap();
        let told = core::iter::from_fn(|| producer.poll_event()).find_map(|event| match event {
            Event::Batch(outcome) => Some((outcome.topic, outcome.partition, outcome.result.is_err())),
            _ => None,
        });
        assert_eq!(told, Some((topic, 0, true)));
    }
}
