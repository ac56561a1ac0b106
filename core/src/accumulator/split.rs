//! Splitting a batch that the broker finds too large, in place.
//!
//! The first half stays where it is. The records of the second half move to a chain of their own,
//! their offsets counted anew, and every block that was read to its end is free for writing: three
//! spare blocks are enough. The reserve has one more, which a first cut keeps while its smaller part is
//! cut again, then by single records: those are taken or fail, and give their blocks back. The base timestamp stays, so that timestamp
//! deltas need not change (any base is legal); offset deltas only shrink.

use super::rewrite::PrefixBytes;
use crate::record::encode::{self, Place, Put};
use crate::state::State;
use crate::state::arena::Position;
use crate::state::batch::{BatchState, RECORDS_AT};
use crate::state::list::{Link, NIL};
use crate::state::storage::RESERVED_BLOCKS;

/// A refused batch is halved.
const HALF: u32 = 2;
/// While memory is scarce, an eighth at a time: fewer levels of splitting are open at once.
const SMALL_BITE: u32 = 8;
/// One record, with the last batch slot, or when an earlier cut keeps some of the reserve: a part that is refused as well could not be
/// split again, and what waits behind it would wait for ever. A record by itself is taken or fails.
const ONE_RECORD: u32 = u32::MAX;

/// Where a batch is cut.
struct Cut {
    records: u32,
    bytes: u32,
    at: Position,
    max_timestamp: i64,
}

impl Cut {
    /// The block stays with the first part, and what is behind the cut does not fit into as many blocks any more: it has a header of
    /// its own. Any other cut keeps no more than one block until the parts are delivered.
    const fn is_early_in_its_block(&self) -> bool {
        self.at.at > 0 && self.at.at < RECORDS_AT
    }
}

impl State<'_> {
    /// Splits a closed, uncompressed batch of at least two records in two. Both are ready to be sent
    /// again, in order, under consecutive sequence numbers. `None` if there is no room for that now.
    ///
    /// Each split keeps a block or two until its parts are delivered. While memory is scarce, only one
    /// batch at a time may therefore use the reserve, the first in line of its partition, and it takes
    /// small bites that keep one, or single records: what the reserve has is enough for it to be delivered
    /// bite by bite.
    pub(crate) fn split(&mut self, batch: u32) -> Option<u32> {
        let scarce = self.arena.free() < self.reserved_blocks().saturating_add(RESERVED_BLOCKS)
            || self.accumulator.free_batch_count <= self.reserved_batches();
        if scarce && !self.may_use_reserve(batch) {
            return None;
        }
        let part = match (scarce, self.accumulator.free_batch_count) {
            (_, ..=1) => ONE_RECORD,
            (true, _) if self.arena.free() < RESERVED_BLOCKS => ONE_RECORD,
            (true, _) if self.find_cut(batch, SMALL_BITE).is_early_in_its_block() => ONE_RECORD,
            (true, _) => SMALL_BITE,
            (false, _) => HALF,
        };
        let cut = self.find_cut(batch, part);
        if self.arena.free() < self.blocks_to_cut(batch, &cut) {
            return None;
        }
        let refused = self.batches.at(batch).wire_bytes();
        let second = self.take_batch(0)?;
        if scarce {
            self.accumulator.reserve_used_by = Some(self.batches.at(batch).id);
        }
        self.stats.batches_split = self.stats.batches_split.wrapping_add(1);
        self.inherit(batch, second, &cut);
        self.move_tail(batch, second, &cut);
        let slot = self.batches.at(batch).partition;
        let partition = self.partitions.at_mut(slot);
        partition.queue.insert_after(&mut self.batches, batch, second);
        partition.queued = partition.queued.wrapping_add(1);
        let topic = self.topics.at_mut(partition.topic.into());
        topic.batches = topic.batches.wrapping_add(1);
        // Later batches of the topic need not run into the same limit.
        topic.batch_limit = topic.batch_limit.min(refused / HALF);
        self.accumulator.by_age.insert_after(&mut self.batches, batch, second);
        self.accumulator.live = self.accumulator.live.wrapping_add(1);
        self.accumulator.outstanding = self.accumulator.outstanding.wrapping_add(1);
        Some(second)
    }

    /// First in line, and the reserve is nobody else's: what is before a batch would need it too.
    fn may_use_reserve(&self, batch: u32) -> bool {
        let id = self.batches.at(batch).id;
        let first = self.partitions.at(self.batches.at(batch).partition).queue.front() == batch;
        first && self.accumulator.reserve_used_by.is_none_or(|user| user == id)
    }

    /// Blocks that must be free to move what is behind the cut. The first block of the new chain is
    /// needed before the old chain frees any, and so is the second if a block that is shared with the
    /// first part has less room behind the cut than a header takes before the records.
    fn blocks_to_cut(&self, batch: u32, cut: &Cut) -> u32 {
        let behind = self.batches.at(batch).record_bytes.saturating_sub(cut.bytes);
        let whole = behind.saturating_add(RECORDS_AT).div_ceil(self.arena.block_size().max(1));
        let at_once = if cut.is_early_in_its_block() { 3 } else { 2 };
        whole.min(at_once)
    }

    /// The record boundary nearest behind the batch's `part`-th part; both sides get at least one
    /// record.
    fn find_cut(&self, batch: u32, part: u32) -> Cut {
        let batch = self.batches.at(batch);
        let mut cut = Cut { records: 0, bytes: 0, at: batch.records_at(), max_timestamp: -1 };
        while cut.records < batch.count.saturating_sub(1)
            && (cut.bytes < batch.record_bytes / part.max(1) || cut.records == 0)
        {
            let record = self.parse_record(cut.at);
            cut.at = self.arena.advance(record.rest_at, record.rest);
            cut.bytes = cut.bytes.saturating_add(record.size);
            cut.records = cut.records.wrapping_add(1);
            cut.max_timestamp = cut.max_timestamp.max(batch.base_timestamp.wrapping_add(record.timestamp_delta));
        }
        cut
    }

    /// Makes `second` the continuation of `first`, and `first` end at the cut.
    fn inherit(&mut self, first: u32, second: u32, cut: &Cut) {
        let parent = self.batches.at_mut(first);
        parent.sealed = false;
        parent.complete = false; // each half is compressed by itself
        #[cfg(feature = "error-text")]
        {
            parent.text_len = 0;
        }
        parent.state = BatchState::Retry;
        let mut child = parent.clone();
        child.first_block = NIL;
        child.blocks = 0;
        child.record_bytes = 0;
        child.count = parent.count.wrapping_sub(cut.records);
        child.first_index = parent.first_index.wrapping_add(cut.records);
        child.base_sequence = crate::record::batch::sequence_after(parent.base_sequence, cut.records);
        child.max_timestamp = -1;
        child.in_queue = Link::new();
        child.by_age = Link::new();
        child.in_state = Link::new();
        parent.count = cut.records;
        parent.record_bytes = cut.bytes;
        parent.max_timestamp = cut.max_timestamp;
        *self.batches.at_mut(second) = child;
    }

    /// Moves the records behind the cut to a new chain, freeing what was read.
    fn move_tail(&mut self, first: u32, second: u32, cut: &Cut) {
        let (records, base, slot) = {
            let child = self.batches.at(second);
            (child.count, child.base_timestamp, child.partition)
        };
        // The block of the cut is shared with the first half, unless the cut lies on its border.
        let shared = if cut.at.at == 0 { NIL } else { cut.at.block };
        let mut mover =
            Mover { read: cut.at, shared, write: Position { block: NIL, at: 0 }, first: NIL, taken: 0, freed: 0 };
        mover.begin(self);
        let (mut bytes, mut max_timestamp) = (0u32, -1i64);
        for index in 0..records {
            let record = self.parse_record(mover.read);
            let place = Place { timestamp_delta: record.timestamp_delta, offset_delta: index as i32 };
            let (body, size) = encode::record_size(record.rest, place);
            mover.pass(self, record.rest_at);
            let prefix = PrefixBytes::of(body, place);
            mover.write(self, prefix.as_slice());
            mover.copy(self, record.rest);
            bytes = bytes.saturating_add(size);
            max_timestamp = max_timestamp.max(base.wrapping_add(record.timestamp_delta));
        }
        let freed = mover.finish(self, first, cut);
        let child = self.batches.at_mut(second);
        child.first_block = mover.first;
        child.tail = mover.write;
        child.blocks = mover.taken;
        child.record_bytes = bytes;
        child.max_timestamp = max_timestamp;
        let parent = self.batches.at_mut(first);
        parent.blocks = parent.blocks.wrapping_sub(freed);
        self.book_blocks(slot, mover.taken, freed);
    }
}

/// Copies from one chain to another that grows, freeing blocks that were read to their end.
struct Mover {
    read: Position,
    /// Belongs to the first half too: never freed.
    shared: u32,
    write: Position,
    first: u32,
    taken: u32,
    freed: u32,
}

impl Mover {
    fn begin(&mut self, state: &mut State<'_>) {
        self.extend(state);
        self.first = self.write.block;
        self.write.at = RECORDS_AT;
    }

    fn extend(&mut self, state: &mut State<'_>) {
        let Some(block) = state.arena.take() else {
            debug_assert!(false, "the reserve is large enough for a split");
            return;
        };
        if self.write.block != NIL {
            state.arena.set_next(self.write.block, block);
        }
        self.write = Position { block, at: 0 };
        self.taken = self.taken.wrapping_add(1);
    }

    fn write(&mut self, state: &mut State<'_>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.write.at >= state.arena.block_size() {
                self.extend(state);
            }
            let room = state.arena.block_size().saturating_sub(self.write.at) as usize;
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let mut out = state.arena.writer(self.write);
            out.put(now);
            self.write = out.position();
            bytes = later;
            if now.is_empty() {
                return; // no block could be had
            }
        }
    }

    /// Reading goes on at `position`: the blocks before it are read to their end and free, unless the
    /// first half shares them.
    fn pass(&mut self, state: &mut State<'_>, position: Position) {
        while self.read.block != position.block {
            let before = self.read.block;
            self.read.block = state.arena.next(before);
            if before != self.shared {
                state.arena.set_next(before, NIL);
                self.freed = self.freed.wrapping_add(state.arena.free_chain(before));
            }
        }
        self.read = position;
    }

    fn copy(&mut self, state: &mut State<'_>, mut len: u32) {
        while len > 0 {
            let mut read = self.read;
            let (chunk, taken) = state.read_chunk(&mut read, len);
            if taken == 0 {
                return;
            }
            self.pass(state, read);
            self.write(state, chunk.get(..taken as usize).unwrap_or(&[]));
            len = len.saturating_sub(taken);
        }
    }

    /// Frees the block that was read last and cuts the first half's chain; says how many blocks the
    /// first half lost.
    fn finish(&mut self, state: &mut State<'_>, first: u32, cut: &Cut) -> u32 {
        if self.read.block != self.shared {
            self.freed = self.freed.wrapping_add(state.arena.free_chain(self.read.block));
        } else {
            let behind = state.arena.next(self.shared);
            self.freed = self.freed.wrapping_add(state.arena.free_chain(behind));
        }
        let last = if self.shared == NIL { state.last_block_before(first, cut.bytes) } else { self.shared };
        state.arena.set_next(last, NIL);
        state.batches.at_mut(first).tail =
            if self.shared == NIL { Position { block: last, at: state.arena.block_size() } } else { cut.at };
        self.freed
    }
}

impl State<'_> {
    /// The block that holds the last of a batch's first `bytes` record bytes.
    fn last_block_before(&self, batch: u32, bytes: u32) -> u32 {
        self.arena.advance(self.batches.at(batch).records_at(), bytes.saturating_sub(1)).block
    }
}
