//! The end of `delivery.timeout.ms`, and of everything by force.

use crate::error::{DeliveryError, ErrorCode, Fate};
use crate::event::Failed;
use crate::state::State;
use crate::state::batch::{BatchState, Outcome};
use crate::state::list::NIL;

impl State<'_> {
    /// Fails the batches that are older than `delivery.timeout.ms`.
    pub(crate) fn expire_due(&mut self) {
        loop {
            let oldest = self.accumulator.by_age.front();
            if oldest == NIL || self.batches.at(oldest).created_at.after_ms(self.config.delivery_timeout_ms) > self.now
            {
                return;
            }
            self.stats.batches_expired = self.stats.batches_expired.wrapping_add(1);
            let last = self.last_error_of(oldest);
            self.give_up(oldest, DeliveryError::TimedOut { last });
        }
    }

    /// The error that explains best why a batch did not get through: its own, its topic's, or that nobody
    /// leads its partition.
    fn last_error_of(&self, batch: u32) -> ErrorCode {
        let batch = self.batches.at(batch);
        if batch.last_error != ErrorCode::NONE {
            return batch.last_error;
        }
        let partition = self.partitions.at(batch.partition);
        let topic = self.topics.at(partition.topic.into());
        let is_leaderless = topic.partitions > partition.index && partition.index >= 0 && partition.leader_id < 0;
        if topic.error == ErrorCode::NONE && is_leaderless { ErrorCode::LEADER_NOT_AVAILABLE } else { topic.error }
    }

    /// Fails everything that has no outcome.
    pub(crate) fn give_up_all(&mut self, error: DeliveryError) {
        while self.accumulator.by_age.front() != NIL {
            self.give_up(self.accumulator.by_age.front(), error);
        }
    }

    /// Fails one live batch, wherever it is. What may be on the wire keeps its bytes until the
    /// connection lets go of it (KAFKA-19012), and its sequence stays in doubt.
    pub(crate) fn give_up(&mut self, batch: u32, error: DeliveryError) {
        let slot = self.batches.at(batch).partition;
        if self.batches.at(batch).last_error == ErrorCode::NOT_LEADER_OR_FOLLOWER {
            // As after many attempts (see `answered`), for which there may not have been the time.
            self.partitions.at_mut(slot).leader_epoch = -1;
        }
        if self.batches.at(batch).state == BatchState::InFlight {
            self.leave_age_list(batch);
            self.batches.at_mut(batch).expired = true;
            if self.config.enable_idempotence {
                self.partitions.at_mut(slot).unresolved = true;
            }
            // Bytes that the transport has not taken whole cannot have been acted on, but they may be
            // taken in the next moment: nothing is known.
            let failed = Failed { error, fate: Fate::Unknown, record: None };
            self.tell(batch, Outcome::Failed(failed));
            return;
        }
        if self.batches.at(batch).state == BatchState::Backoff {
            self.leave_backoff(batch);
        }
        let fate = self.batches.at(batch).fate();
        self.leave_hole(batch);
        self.fail(batch, error, fate);
        self.resolve(slot);
        self.settle(slot);
    }
}
