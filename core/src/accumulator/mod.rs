//! Records that wait, travel or await their answer: the arena, the batches, the partitions' queues.
//!
//! Every live batch is in its partition's queue, in the order of its records, and in the list of all
//! batches by age. A third link puts it into its request while in flight, or into the list of its
//! retry level while it backs off. Linger and delivery timeout are constant delays after a batch's
//! creation, so the age list is in deadline order for both: a cursor marks the first batch that
//! still lingers.
//!
//! [`State::settle`] is the one place that decides whether a partition has something to send. It is
//! called after whatever may have changed the answer.

pub(crate) mod append;
mod done;
mod expire;
#[cfg(feature = "fast")]
mod plain;
mod ready;
mod retry;
mod rewrite;
#[cfg(feature = "split")]
mod split;
pub(crate) mod table;

use crate::state::State;
use crate::state::batch::BatchState;
use crate::state::list::NIL;
use crate::state::partition::NONE;
#[cfg(feature = "split")]
use crate::state::storage::{RESERVED_BATCHES, RESERVED_BLOCKS, RESERVED_MAX, RESERVED_PART};

impl State<'_> {
    /// Puts every slot on its free list. Storage may have served another producer before.
    pub(crate) fn init_accumulator(&mut self) {
        for batch in 0..self.batches.len() {
            self.batches.at_mut(batch).renew();
            self.accumulator.free_batches.push_back(&mut self.batches, batch);
            self.accumulator.free_batch_count = self.accumulator.free_batch_count.wrapping_add(1);
        }
        for partition in 0..self.partitions.len() {
            self.partitions.at_mut(partition).renew();
            self.accumulator.free_partitions.push_back(&mut self.partitions, partition);
        }
    }

    /// Blocks that appending leaves to splitting and to compression in place.
    #[cfg(feature = "split")]
    pub(crate) fn reserved_blocks(&self) -> u32 {
        (self.arena.blocks() / RESERVED_PART).clamp(RESERVED_BLOCKS, RESERVED_MAX)
    }

    /// Batch slots that appending leaves to splitting.
    #[cfg(feature = "split")]
    pub(crate) fn reserved_batches(&self) -> u32 {
        (self.batches.len() / RESERVED_PART).clamp(RESERVED_BATCHES, RESERVED_MAX)
    }

    /// Nothing is split: all of the memory is for records.
    #[cfg(not(feature = "split"))]
    pub(crate) fn reserved_blocks(&self) -> u32 {
        0
    }

    #[cfg(not(feature = "split"))]
    pub(crate) fn reserved_batches(&self) -> u32 {
        0
    }

    /// Takes a batch slot, all but the last `kept` ones.
    pub(crate) fn take_batch(&mut self, kept: u32) -> Option<u32> {
        if self.accumulator.free_batch_count <= kept {
            return None;
        }
        let batch = self.accumulator.free_batches.pop_front(&mut self.batches)?;
        self.accumulator.free_batch_count = self.accumulator.free_batch_count.wrapping_sub(1);
        self.batches.at_mut(batch).renew();
        Some(batch)
    }

    pub(crate) fn free_batch(&mut self, batch: u32) {
        self.batches.at_mut(batch).state = BatchState::Free;
        self.accumulator.free_batches.push_back(&mut self.batches, batch);
        self.accumulator.free_batch_count = self.accumulator.free_batch_count.wrapping_add(1);
        self.announce_room();
    }

    /// Books `blocks` more (or fewer) arena blocks on a partition and its leader.
    pub(crate) fn book_blocks(&mut self, partition: u32, more: u32, fewer: u32) {
        let partition = self.partitions.at_mut(partition);
        partition.blocks = partition.blocks.wrapping_add(more).wrapping_sub(fewer);
        let leader = partition.leader;
        if leader != NONE {
            let broker = self.brokers.at_mut(leader.into());
            broker.blocks = broker.blocks.wrapping_add(more).wrapping_sub(fewer);
        }
    }

    /// Gives a batch's blocks back to the arena, all but the first `keep` (0 or 1).
    pub(crate) fn free_blocks(&mut self, batch: u32, keep: u32) {
        let (first, partition) = (self.batches.at(batch).first_block, self.batches.at(batch).partition);
        if first == NIL {
            return;
        }
        let freed = if keep == 0 {
            self.batches.at_mut(batch).first_block = NIL;
            self.arena.free_chain(first)
        } else {
            let rest = self.arena.next(first);
            self.arena.set_next(first, NIL);
            self.arena.free_chain(rest)
        };
        self.batches.at_mut(batch).blocks = keep;
        self.book_blocks(partition, 0, freed);
        self.announce_room();
    }

    /// After a `Full`, tells once that there is room again.
    pub(crate) fn announce_room(&mut self) {
        let room =
            self.arena.free() > self.reserved_blocks() && self.accumulator.free_batch_count > self.reserved_batches();
        if self.accumulator.wants_room && room {
            self.accumulator.wants_room = false;
            self.accumulator.writable_due = true;
        }
    }
}
