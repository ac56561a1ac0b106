//! Batches that are sent again, after a backoff.

use crate::state::State;
use crate::state::batch::{BatchState, InQueue};
use crate::state::list::{List, NIL};
use crate::state::queues::RETRY_LEVELS;

/// Attempts so far decide the level; beyond the last level, deadlines are all alike (the maximum).
fn level(attempts: u32) -> usize {
    (attempts.saturating_sub(1) as usize).min(RETRY_LEVELS - 1)
}

impl State<'_> {
    /// Lets a batch that came back wait for its retry. If its partition has a newer leader meanwhile,
    /// there is nothing to wait for (KAFKA-15415). The caller settles the partition.
    pub(crate) fn back_off(&mut self, batch: u32) {
        let slot = self.batches.at(batch).partition;
        let (attempts, sent_to_epoch) = (self.batches.at(batch).attempts, self.batches.at(batch).leader_epoch);
        if self.partitions.at(slot).leader_epoch > sent_to_epoch && sent_to_epoch >= 0 {
            self.batches.at_mut(batch).state = BatchState::Retry;
            return;
        }
        let (initial, max) = (self.config.retry_backoff_ms, self.config.retry_backoff_max_ms);
        let wait = self.backoff_ms(initial, max, attempts.saturating_sub(1));
        let level = level(attempts);
        let Some(list) = self.accumulator.backoffs.get_mut(level) else { return };
        // Jitter must not break the list's order: a deadline is at least its predecessor's.
        let tail = list.back();
        let floor = if tail == NIL { self.now } else { self.batches.at(tail).retry_at };
        let retry = self.batches.at_mut(batch);
        retry.state = BatchState::Backoff;
        retry.retry_at = self.now.after_ms(wait).max(floor);
        list.push_back(&mut self.batches, batch);
    }

    /// Takes a batch out of its backoff list.
    pub(crate) fn leave_backoff(&mut self, batch: u32) {
        let level = level(self.batches.at(batch).attempts);
        if let Some(list) = self.accumulator.backoffs.get_mut(level) {
            list.remove(&mut self.batches, batch);
        }
        self.batches.at_mut(batch).state = BatchState::Retry;
    }

    /// Ends the backoffs whose time has come.
    pub(crate) fn end_due_backoffs(&mut self) {
        for level in 0..RETRY_LEVELS {
            while let Some(batch) = self.first_backing_off(level) {
                if self.batches.at(batch).retry_at > self.now {
                    break;
                }
                self.leave_backoff(batch);
                self.settle(self.batches.at(batch).partition);
            }
        }
    }

    pub(crate) fn first_backing_off(&self, level: usize) -> Option<u32> {
        self.accumulator.backoffs.get(level).map(List::front).filter(|&batch| batch != NIL)
    }

    /// A newer leader is known: retries of what was not sent to it yet need not wait any longer. (After a rebootstrap every
    /// leader is news, though it may be the same.)
    pub(crate) fn end_backoffs_of(&mut self, slot: u32) {
        let leader_epoch = self.partitions.at(slot).leader_epoch;
        let mut batch = self.partitions.at(slot).queue.front();
        // Only batches that were sent can back off, and those stand at the front.
        while batch != NIL && self.batches.at(batch).attempts > 0 {
            let (state, sent_to_epoch) = (self.batches.at(batch).state, self.batches.at(batch).leader_epoch);
            if state == BatchState::Backoff && (leader_epoch < 0 || sent_to_epoch != leader_epoch) {
                self.leave_backoff(batch);
            }
            batch = List::<InQueue>::after(&self.batches, batch);
        }
        self.settle(slot);
    }
}
