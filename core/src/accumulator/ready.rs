//! Which partitions have something to send, and when lingering ends.

use crate::config::Acks;
use crate::state::State;
use crate::state::batch::{BatchState, ByAge, InQueue};
use crate::state::list::{List, NIL};
use crate::state::partition::{NONE, UNASSIGNED};

impl State<'_> {
    /// The batch that the partition may send now, or [`NIL`].
    ///
    /// Batches leave in queue order. A batch that is sent again goes first and, with idempotence,
    /// only once everything before it is settled (PRODUCER i.3).
    pub(crate) fn next_to_send(&self, slot: u32) -> u32 {
        let partition = self.partitions.at(slot);
        let in_flight_max = u32::from(self.config.max_in_flight_requests_per_connection);
        if partition.leader == NONE || partition.index == UNASSIGNED || partition.in_flight >= in_flight_max {
            return NIL;
        }
        let mut batch = partition.queue.front();
        // At most `in_flight_max` steps.
        while batch != NIL && self.batches.at(batch).state == BatchState::InFlight {
            batch = List::<InQueue>::after(&self.batches, batch);
        }
        if batch == NIL {
            return NIL;
        }
        let candidate = self.batches.at(batch);
        let may = match candidate.state {
            BatchState::Open => candidate.lingered || self.is_full(batch),
            BatchState::Closed | BatchState::Retry => true,
            BatchState::Backoff | BatchState::InFlight | BatchState::Done | BatchState::Free => false,
            #[cfg(feature = "codecs")]
            BatchState::Compressing | BatchState::Expanding => false,
        };
        if may && (!self.config.enable_idempotence || self.sequence_allows(slot, batch)) { batch } else { NIL }
    }

    /// Decides anew whether the partition has something to send, and tells its leader.
    pub(crate) fn settle(&mut self, slot: u32) {
        let (was, leader) = (self.partitions.at(slot).ready, self.partitions.at(slot).leader);
        let ready = self.next_to_send(slot) != NIL;
        if ready == was {
            return if ready { self.kick_broker(leader) } else { self.note_stall(slot) };
        }
        if leader != NONE {
            let broker = self.brokers.at_mut(leader.into());
            if ready {
                broker.ready.push_back(&mut self.partitions, slot);
                broker.has_more(self.now);
            } else {
                broker.ready.remove(&mut self.partitions, slot);
            }
        }
        self.partitions.at_mut(slot).ready = ready;
        if ready {
            self.kick_broker(leader);
        }
    }

    /// More waits behind a full window of batches in flight: the leader has data that it does not take
    /// (KIP-794's availability).
    fn note_stall(&mut self, slot: u32) {
        let partition = self.partitions.at(slot);
        if partition.leader != NONE && partition.in_flight > 0 && partition.queued > partition.in_flight {
            self.brokers.at_mut(partition.leader.into()).has_more(self.now);
        }
    }

    /// Settles every partition that has batches: after a change that concerns all of them.
    pub(crate) fn settle_all(&mut self) {
        let mut batch = self.accumulator.by_age.front();
        while batch != NIL {
            self.settle(self.batches.at(batch).partition);
            batch = List::<ByAge>::after(&self.batches, batch);
        }
    }

    /// The batch need not wait for more records. The caller settles its partition.
    pub(crate) fn end_linger(&mut self, batch: u32) {
        self.batches.at_mut(batch).lingered = true;
        self.skip_lingered();
    }

    /// Moves the cursor to the first batch that still lingers.
    pub(crate) fn skip_lingered(&mut self) {
        while self.accumulator.lingering != NIL && self.batches.at(self.accumulator.lingering).lingered {
            self.accumulator.lingering = List::<ByAge>::after(&self.batches, self.accumulator.lingering);
        }
    }

    /// Ends the lingering of batches whose time has come.
    pub(crate) fn end_due_lingers(&mut self) {
        while let Some(batch) = self.lingering_batch() {
            if self.batches.at(batch).created_at.after_ms(self.config.linger_ms) > self.now {
                break;
            }
            self.end_linger(batch);
            self.settle(self.batches.at(batch).partition);
        }
    }

    /// Nothing waits for more records any longer: flush, close, a full buffer.
    pub(crate) fn end_all_lingers(&mut self) {
        while let Some(batch) = self.lingering_batch() {
            self.end_linger(batch);
            self.settle(self.batches.at(batch).partition);
        }
    }

    pub(crate) fn lingering_batch(&self) -> Option<u32> {
        (self.accumulator.lingering != NIL).then_some(self.accumulator.lingering)
    }

    /// Moves a partition to another leader: its place in the ready list and its memory go along.
    pub(crate) fn set_leader(&mut self, slot: u32, leader: u16, leader_id: i32) {
        let partition = self.partitions.at_mut(slot);
        let (old, blocks) = (partition.leader, partition.blocks);
        partition.leader_id = leader_id;
        if old == leader {
            return;
        }
        if old != NONE {
            let broker = self.brokers.at_mut(old.into());
            if partition.ready {
                broker.ready.remove(&mut self.partitions, slot);
                self.partitions.at_mut(slot).ready = false;
                // An idle partition's link belongs to the idle list; a ready one's to its leader's.
            }
            broker.leads = broker.leads.wrapping_sub(1);
            broker.blocks = broker.blocks.wrapping_sub(blocks);
        }
        let partition = self.partitions.at_mut(slot);
        partition.leader = leader;
        partition.proven = false;
        if leader != NONE {
            let broker = self.brokers.at_mut(leader.into());
            broker.leads = broker.leads.wrapping_add(1);
            broker.blocks = broker.blocks.wrapping_add(blocks);
        }
        self.settle(slot);
    }

    /// Whether answers are expected at all.
    pub(crate) fn expects_answers(&self) -> bool {
        self.config.acks != Acks::None
    }
}
