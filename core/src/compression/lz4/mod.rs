//! LZ4: what becomes of a batch and of its topic's expectations. [`in_place`] moves the bytes,
//! [`block`] compresses them.
//!
//! A batch that the broker refuses as too large needs its raw size again, to be split, and when memory
//! is short there is none: whatever is freed is taken by those who wait to send. So a compressed
//! batch holds on to the blocks it saved, unless it is smaller than one that the broker took before
//! (or cannot be refused, or not split). From a topic's first answers on that is nearly every one.

mod block;
mod in_place;
#[cfg(all(test, feature = "alloc"))]
mod tests;

use crate::config::Compression;
use crate::state::State;
use crate::state::topic::RATIO_ONE;

/// LZ4 in the attributes of a batch.
const LZ4: i16 = 3;

/// Java's steps for the expected ratio, in 1/1024: up by at least 0.05, down by at most 0.005.
const RATIO_UP: u16 = 51;
const RATIO_DOWN: u16 = 5;

impl State<'_> {
    /// Compresses a completed batch if that is configured and makes it smaller.
    pub(crate) fn compress(&mut self, index: u32) {
        if self.config.compression != Compression::Lz4 {
            return;
        }
        let raw = self.chain_of(index);
        let hold_above = self.surely_taken(index);
        if let Some(frame) = in_place::compress(&mut self.arena, &raw, hold_above) {
            self.replace_chain(index, &frame);
            let batch = self.batches.at_mut(index);
            (batch.compressed, batch.raw_blocks) = (true, raw.blocks as u16);
        }
        self.observe_ratio(index, raw.bytes);
    }

    /// The codec's bits in a batch's attributes.
    pub(crate) fn codec_of(&self, index: u32) -> i16 {
        if self.batches.at(index).compressed { LZ4 } else { 0 }
    }

    /// The broker took a batch: smaller ones of the topic are not too large.
    pub(crate) fn note_taken(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
        topic.taken = topic.taken.max(batch.record_bytes);
    }

    /// Up to how many record bytes this batch will not come back to be split.
    fn surely_taken(&self, index: u32) -> u32 {
        let batch = self.batches.at(index);
        if batch.count <= 1 || !self.expects_answers() {
            return u32::MAX;
        }
        self.topics.at(self.partitions.at(batch.partition).topic.into()).taken
    }

    /// Decompresses a batch where it is. False, and its bytes have not changed, if the blocks for the
    /// records or the slot for the other half of the split are in use.
    pub(super) fn restore(&mut self, index: u32) -> bool {
        let batch = self.batches.at(index);
        if !batch.compressed {
            return true;
        }
        let raw_blocks = batch.raw_blocks.into();
        // Later batches of the topic need not run into the same limit, which is on compressed bytes.
        let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
        topic.batch_limit = topic.batch_limit.min(batch.wire_bytes() / 2);
        topic.taken = 0;
        if self.accumulator.free_batch_count == 0 {
            return false;
        }
        let frame = self.chain_of(index);
        let Some(chain) = in_place::expand(&mut self.arena, frame, raw_blocks) else { return false };
        debug_assert_eq!(chain.blocks, raw_blocks);
        self.replace_chain(index, &chain);
        let batch = self.batches.at_mut(index);
        (batch.compressed, batch.sealed) = (false, false);
        true
    }

    fn chain_of(&self, index: u32) -> in_place::Chain {
        let batch = self.batches.at(index);
        let (first, tail) = (batch.first_block, batch.tail);
        in_place::Chain { first, tail, blocks: batch.blocks, bytes: batch.record_bytes }
    }

    /// The batch's bytes are in another chain; of the old one nothing is left.
    fn replace_chain(&mut self, index: u32, chain: &in_place::Chain) {
        let batch = self.batches.at_mut(index);
        let before = core::mem::replace(&mut batch.blocks, chain.blocks);
        batch.first_block = chain.first;
        batch.tail = chain.tail;
        batch.record_bytes = chain.bytes;
        let partition = batch.partition;
        self.book_blocks(partition, chain.blocks, before);
        self.announce_room();
    }

    /// PRODUCER a.4: what the topic's records are expected to shrink to follows what they did. It rises
    /// fast and falls slowly, so that batches rather stay below `batch.size` than exceed it.
    fn observe_ratio(&mut self, index: u32, raw: u32) {
        let batch = self.batches.at(index);
        let ratio = (u64::from(batch.record_bytes) * u64::from(RATIO_ONE)).div_ceil(u64::from(raw).max(1));
        let observed = ratio.min(RATIO_ONE.into()) as u16;
        let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
        topic.ratio = if observed > topic.ratio {
            topic.ratio.saturating_add(RATIO_UP).max(observed)
        } else {
            topic.ratio.saturating_sub(RATIO_DOWN).max(observed)
        };
    }
}
