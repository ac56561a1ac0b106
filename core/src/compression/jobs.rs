//! Codecs outside the core: a batch is lent as a job and comes back smaller, or as it was.
//!
//! A batch in a job keeps its place in its partition's queue and may not be sent, so nothing behind it
//! is sent either: order is kept however late the job is done. What becomes of it meanwhile (its time
//! runs out, everything is failed) takes no notice of the job; a result that no batch waits for any
//! longer is ignored. A job that nobody ever does ends with `delivery.timeout.ms`.
//!
//! The batch's bytes are only read while they are out. The result is written over them: it is smaller,
//! so no memory has to be found for it.

use crate::Compression;
use crate::error::{DeliveryError, ErrorCode};
use crate::record::encode::Put;
use crate::state::State;
use crate::state::arena::{Arena, Position};
use crate::state::batch::{BatchState, RECORDS_AT};
use crate::state::list::NIL;

use super::Records;

#[cfg(all(test, feature = "alloc"))]
mod tests;

/// Names one job of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JobId {
    batch: u32,
    /// Not 0; counted over the producer's life (wrapping after 2³²).
    number: u32,
}

/// What a [`CodecJob`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CodecTask {
    /// The bytes in the codec's format. `None` as result, or one that is not smaller, and they travel as
    /// they are.
    Compress,
    /// The other way: bytes that an earlier job gave, as they were before. The broker found them too
    /// large, and they are to be split.
    Expand {
        /// How many bytes that makes. Another number counts as a failure.
        bytes: u32,
    },
}

/// Work for a codec outside the core, from [`Producer::poll_compress`](crate::Producer::poll_compress).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CodecJob<'p> {
    /// To be given back with the result.
    pub id: JobId,
    /// What to do.
    pub task: CodecTask,
    /// The format, never [`Compression::None`]: as Kafka has it (see `compression.type` there), which is
    /// xerial's framing for snappy, and frames of independent blocks for LZ4.
    pub codec: Compression,
    /// The bytes, in the arena's pieces.
    pub bytes: Chunks<'p>,
}

/// Consecutive pieces of a batch's bytes, lent by the arena.
#[derive(Clone, Debug)]
pub struct Chunks<'p> {
    arena: &'p Arena<'p>,
    at: Position,
    left: u32,
}

impl Chunks<'_> {
    /// Bytes in all pieces that are still to come.
    #[must_use]
    pub const fn bytes_left(&self) -> usize {
        self.left as usize
    }
}

impl<'p> Iterator for Chunks<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        while self.left > 0 && self.at.block != NIL {
            let slice = self.arena.slice(self.at, self.left);
            self.left = self.left.saturating_sub(slice.len() as u32);
            self.at = Position { block: self.arena.next(self.at.block), at: 0 };
            if !slice.is_empty() {
                return Some(slice);
            }
        }
        None
    }
}

impl State<'_> {
    /// A batch takes no more records: the codec can begin while it waits for its turn to leave. One that
    /// is stamped by uptime cannot: its records may have to be written anew when it leaves.
    pub(crate) fn compress_early(&mut self, index: u32) {
        let batch = self.batches.at(index);
        if self.config.compresses_outside() && !batch.complete && !batch.uptime {
            self.ask_to_compress(index);
        }
    }

    /// Closes a batch that no further record fits into, if a codec can begin on it.
    pub(crate) fn close_if_full(&mut self, index: u32) {
        if self.config.compresses_outside() && self.is_full(index) {
            self.close_batch(index);
        }
    }

    pub(super) fn ask_to_compress(&mut self, index: u32) {
        if self.batches.at(index).state != BatchState::Compressing {
            self.ask(index, BatchState::Compressing);
        }
    }

    pub(super) fn ask_to_expand(&mut self, index: u32) -> Records {
        if self.arena.free() < self.blocks_to_expand(index) {
            return Records::NoRoom;
        }
        self.ask(index, BatchState::Expanding);
        Records::Outside
    }

    /// A batch that is in no request and in no backoff list becomes a job.
    fn ask(&mut self, index: u32, state: BatchState) {
        let batch = self.batches.at_mut(index);
        batch.state = state;
        batch.request = 0;
        self.accumulator.jobs.push_back(&mut self.batches, index);
        self.new_job = true;
    }

    /// The next job, which is given out now.
    pub(crate) fn next_job(&mut self) -> Option<CodecJob<'_>> {
        let index = self.accumulator.jobs.pop_front(&mut self.batches)?;
        let number = self.accumulator.last_job.checked_add(1).unwrap_or(1);
        self.accumulator.last_job = number;
        let batch = self.batches.at_mut(index);
        batch.request = number;
        let task = if batch.state == BatchState::Expanding {
            CodecTask::Expand { bytes: batch.raw_bytes }
        } else {
            CodecTask::Compress
        };
        let bytes = Chunks { arena: &self.arena, at: batch.records_at(), left: batch.record_bytes };
        Some(CodecJob { id: JobId { batch: index, number }, task, codec: self.config.compression, bytes })
    }

    /// A batch gets its outcome: it is no job any longer.
    pub(crate) fn withdraw_job(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let asked = matches!(batch.state, BatchState::Compressing | BatchState::Expanding);
        if asked && batch.request == 0 {
            self.accumulator.jobs.remove(&mut self.batches, index);
        }
    }

    /// A job is done, or cannot be.
    pub(crate) fn job_done(&mut self, id: JobId, result: Option<&[u8]>) {
        let batch = self.batches.nearest(id.batch); // the id may be another producer's
        if batch.request != id.number || id.number == 0 {
            return;
        }
        let slot = batch.partition;
        match batch.state {
            BatchState::Compressing => self.compressed(id.batch, result),
            BatchState::Expanding => self.expanded(id.batch, result),
            _ => return,
        }
        self.resolve(slot);
        self.settle(slot);
    }

    /// The batch may leave, smaller if that is how it came back.
    fn compressed(&mut self, index: u32, result: Option<&[u8]>) {
        let raw = self.batches.at(index).record_bytes;
        let smaller = result.filter(|bytes| !bytes.is_empty() && bytes.len() < raw as usize);
        if let Some(bytes) = smaller {
            let hold = bytes.len() as u64 > self.surely_taken(index).into();
            self.overwrite(index, bytes, hold);
            self.batches.at_mut(index).compressed = true;
        }
        self.observe_ratio(index, raw);
        let batch = self.batches.at_mut(index);
        batch.raw_bytes = raw;
        batch.complete = true;
        batch.state = if batch.attempts > 0 { BatchState::Retry } else { BatchState::Closed };
    }

    /// The batch has its records again and is split. Without them it fails: it is too large as it is.
    fn expanded(&mut self, index: u32, result: Option<&[u8]>) {
        self.wake = true; // an outcome, a backoff or two batches: there is something to do in each case
        let error = ErrorCode::MESSAGE_TOO_LARGE;
        let raw = self.batches.at(index).raw_bytes as usize;
        let Some(bytes) = result.filter(|bytes| bytes.len() == raw) else {
            let fate = self.batches.at(index).fate();
            self.leave_hole(index);
            return self.fail(index, DeliveryError::Broker(error), fate);
        };
        let wanted = self.blocks_to_expand(index);
        if self.arena.free() < wanted {
            return self.retry(index, error); // others were faster; it comes back to this
        }
        self.lengthen(index, wanted);
        self.overwrite(index, bytes, false);
        self.is_raw_again(index);
        self.split_or_retry(index, error);
    }

    /// Blocks that a compressed batch needs beside its own to hold its records.
    fn blocks_to_expand(&self, index: u32) -> u32 {
        let batch = self.batches.at(index);
        self.blocks_for(batch.raw_bytes).saturating_sub(batch.blocks)
    }

    fn blocks_for(&self, record_bytes: u32) -> u32 {
        RECORDS_AT.saturating_add(record_bytes).div_ceil(self.arena.block_size().max(1))
    }

    /// Puts `more` blocks, which must be free, behind a batch's last one.
    fn lengthen(&mut self, index: u32, more: u32) {
        let mut last = self.batches.at(index).first_block;
        while self.arena.next(last) != NIL {
            last = self.arena.next(last);
        }
        for _ in 0..more {
            let Some(block) = self.arena.take() else { break };
            self.arena.set_next(last, block);
            last = block;
        }
        let batch = self.batches.at_mut(index);
        batch.blocks = batch.blocks.wrapping_add(more);
        let partition = batch.partition;
        self.book_blocks(partition, more, 0);
    }

    /// Writes other record bytes over a batch's own. Blocks behind them are free then, unless the batch
    /// is to `hold` them.
    fn overwrite(&mut self, index: u32, bytes: &[u8], hold: bool) {
        let start = self.batches.at(index).records_at();
        let mut out = self.arena.writer(start);
        out.put(bytes);
        let tail = out.position();
        let len = bytes.len() as u32;
        let used = self.blocks_for(len);
        let batch = self.batches.at_mut(index);
        batch.tail = tail;
        batch.record_bytes = len;
        let (partition, blocks) = (batch.partition, batch.blocks);
        if hold || used >= blocks {
            return;
        }
        batch.blocks = used;
        let behind = self.arena.next(tail.block);
        self.arena.set_next(tail.block, NIL);
        let freed = self.arena.free_chain(behind);
        debug_assert_eq!(freed, blocks.wrapping_sub(used));
        self.book_blocks(partition, 0, freed);
        self.announce_room();
    }
}
