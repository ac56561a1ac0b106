//! Sequence numbers: how brokers drop duplicates and keep order (PRODUCER k).
//!
//! A batch gets its sequence when it is first sent and keeps it for every retry under the same
//! epoch. A *hole* is a sequence that will never be filled: the batch that had it failed. Whether it
//! was appended decides what follows: if it surely was not, the next batches will be refused, and the
//! partition goes on in a new epoch; if nothing is known, nothing new leaves until everything in
//! flight is answered, and then the last acknowledged sequence tells (k.6).

use crate::config::OnGap;
use crate::error::{DeliveryError, ErrorCode, Fate, Problem};
use crate::protocol::init_producer_id;
use crate::record::batch::{sequence_after, sequence_distance};
use crate::state::State;
use crate::state::batch::{BatchState, InQueue};
use crate::state::identity::{Identity, IdentityState};
use crate::state::list::{List, NIL};

impl State<'_> {
    /// Whether idempotence lets this batch of the partition leave now.
    pub(crate) fn sequence_allows(&self, slot: u32, batch: u32) -> bool {
        let partition = self.partitions.at(slot);
        if self.identity.state != IdentityState::Ready {
            return false;
        }
        if self.batches.at(batch).attempts > 0 {
            // Retries go one by one, first in line first.
            return partition.in_flight == 0 && !partition.gap;
        }
        if partition.unresolved || partition.gap {
            return false;
        }
        if partition.in_flight == 0 {
            return true;
        }
        // A broker remembers five batches. One of unknown fate that is being sent again must not fall
        // out of that memory, so nothing new may follow it yet.
        let front = partition.queue.front();
        if front != NIL && self.batches.at(front).uncertain {
            return false;
        }
        // One batch until the leader has accepted one of this epoch: a broker without state for us
        // takes any first sequence, and would take the second batch before the first (k.7).
        partition.carries(&self.identity) && partition.proven
    }

    /// Whether a batch would be stamped with sequences of the last epoch that its partition may have used and forgotten. Then
    /// a new producer id is asked for, and the batch leaves once it is there.
    pub(crate) fn needs_new_id(&mut self, slot: u32, batch: u32) -> bool {
        let needed = self.identity.stale
            && self.config.enable_idempotence
            && self.identity.epoch == i16::MAX
            && !self.batches.at(batch).sequenced
            && !self.partitions.at(slot).carries(&self.identity);
        if needed {
            self.next_epoch();
        }
        needed
    }

    /// Stamps a batch that leaves for the first time.
    pub(crate) fn assign_sequence(&mut self, slot: u32, batch: u32) {
        if self.identity.stale && !self.partitions.at(slot).carries(&self.identity) {
            self.next_epoch();
        }
        let partition = self.partitions.at_mut(slot);
        if !partition.carries(&self.identity) {
            debug_assert_eq!(partition.in_flight, 0, "adopted only between batches");
            partition.producer_id = self.identity.producer_id;
            partition.producer_epoch = self.identity.epoch;
            partition.next_sequence = 0;
            partition.last_acked = -1;
            partition.proven = false;
        }
        let batch = self.batches.at_mut(batch);
        batch.base_sequence = partition.next_sequence;
        batch.sequenced = true;
        partition.next_sequence = sequence_after(partition.next_sequence, batch.count);
    }

    /// A batch was appended.
    pub(crate) fn acknowledge_sequence(&mut self, slot: u32, batch: u32) {
        let batch = self.batches.at(batch);
        if !batch.sequenced {
            return;
        }
        let last = sequence_after(batch.base_sequence, batch.count.wrapping_sub(1));
        let partition = self.partitions.at_mut(slot);
        partition.proven = true;
        if partition.last_acked < 0 || sequence_distance(partition.last_acked, last) > 0 {
            partition.last_acked = last;
        }
    }

    /// A batch with a sequence is given up. [`Self::resolve`] acts on it once nothing is in flight.
    pub(crate) fn leave_hole(&mut self, batch: u32) {
        let batch = self.batches.at(batch);
        if !batch.sequenced {
            return;
        }
        let uncertain = batch.uncertain;
        let partition = self.partitions.at_mut(batch.partition);
        if uncertain {
            partition.unresolved = true;
        } else {
            partition.gap = true;
        }
    }

    /// Settles holes once the partition has nothing in flight: either everything did arrive, or the
    /// partition goes on in a new epoch.
    pub(crate) fn resolve(&mut self, slot: u32) {
        let partition = self.partitions.at(slot);
        if partition.in_flight > 0 || !(partition.unresolved || partition.gap) {
            return;
        }
        let expected = if partition.last_acked < 0 { 0 } else { sequence_after(partition.last_acked, 1) };
        if !partition.gap && self.first_pending_sequence(slot) == expected {
            self.partitions.at_mut(slot).unresolved = false;
            return;
        }
        self.begin_epoch(slot);
    }

    /// The sequence that the partition would send next: of the first batch to be sent again, or new.
    fn first_pending_sequence(&self, slot: u32) -> i32 {
        let front = self.partitions.at(slot).queue.front();
        if front != NIL && self.batches.at(front).sequenced {
            return self.batches.at(front).base_sequence;
        }
        self.partitions.at(slot).next_sequence
    }

    /// Lets the partition go on in a new epoch (KIP-360). A batch that may have been appended fails
    /// rather than be duplicated, unless the caller chose `on_gap = resend`.
    fn begin_epoch(&mut self, slot: u32) {
        if self.partitions.at(slot).carries(&self.identity) {
            self.next_epoch();
            self.stats.epoch_bumps = self.stats.epoch_bumps.wrapping_add(1);
            self.problems.report(Problem::EpochBumped);
        }
        let partition = self.partitions.at_mut(slot);
        partition.producer_id = -1;
        partition.producer_epoch = -1;
        partition.unresolved = false;
        partition.gap = false;
        partition.proven = false;
        let mut batch = partition.queue.front();
        while batch != NIL && self.batches.at(batch).sequenced {
            let next = List::<InQueue>::after(&self.batches, batch);
            if self.batches.at(batch).uncertain && self.config.on_gap == OnGap::Fail {
                if self.batches.at(batch).state == BatchState::Backoff {
                    self.leave_backoff(batch);
                }
                self.fail(batch, DeliveryError::SequenceGap, Fate::Unknown);
            } else {
                let batch = self.batches.at_mut(batch);
                batch.sequenced = false;
                batch.sealed = false;
                batch.base_sequence = -1;
            }
            batch = next;
        }
    }

    /// Moves on to an epoch that nobody has used. Brokers accept any higher epoch from an idempotent
    /// producer, so no request is needed; when epochs run out a new producer id is (k.8).
    fn next_epoch(&mut self) {
        self.identity.stale = false;
        match self.identity.epoch.checked_add(1) {
            Some(epoch) => self.identity.epoch = epoch,
            None => {
                self.identity.state = IdentityState::Needed;
                self.wake = true;
                self.schedule_producer_id();
            }
        }
    }

    /// InitProducerId was answered.
    pub(crate) fn producer_id_answered(&mut self, error: ErrorCode, producer_id: i64, epoch: i16) {
        if error == ErrorCode::NONE && producer_id >= 0 && epoch >= 0 {
            self.identity = Identity { state: IdentityState::Ready, producer_id, epoch, ..Identity::new(true) };
            self.settle_all();
            return;
        }
        if error != ErrorCode::NONE && !init_producer_id::may_ask_again(error) {
            return self.become_fatal(error);
        }
        if error == ErrorCode::CLUSTER_AUTHORIZATION_FAILED {
            // What is queued cannot leave; a later send tries anew, perhaps after an ACL was mended.
            self.problems.report(Problem::Fatal(error));
            self.give_up_all(DeliveryError::Broker(error));
        }
        self.producer_id_lost();
    }

    /// The request got no usable answer: again after a backoff, at whichever broker (PITFALLS 35, 54).
    pub(crate) fn producer_id_lost(&mut self) {
        if self.identity.state != IdentityState::Asked {
            return;
        }
        self.identity.state = IdentityState::Needed;
        let failures = self.identity.failures;
        self.identity.failures = failures.saturating_add(1);
        let wait = self.backoff_ms(self.config.retry_backoff_ms, self.config.retry_backoff_max_ms, failures);
        self.identity.retry_at = self.now.after_ms(wait);
        self.schedule_producer_id();
    }
}
