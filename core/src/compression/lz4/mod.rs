//! LZ4 in a batch's own blocks. [`in_place`] moves the bytes, [`block`] compresses them.

mod block;
mod in_place;
#[cfg(all(test, feature = "alloc"))]
mod tests;

use crate::state::State;

impl State<'_> {
    /// Compresses a completed batch where it is, if that makes it smaller.
    pub(super) fn compress_in_place(&mut self, index: u32) {
        let raw = self.chain_of(index);
        let hold_above = self.surely_taken(index);
        if let Some(frame) = in_place::compress(&mut self.arena, &raw, hold_above) {
            self.replace_chain(index, &frame);
            let batch = self.batches.at_mut(index);
            (batch.compressed, batch.raw_blocks) = (true, raw.blocks as u16);
        }
        self.observe_ratio(index, raw.bytes);
    }

    /// Decompresses a batch where it is. False, and its bytes have not changed, if the blocks for the
    /// records are in use.
    pub(super) fn expand_in_place(&mut self, index: u32) -> bool {
        let raw_blocks = self.batches.at(index).raw_blocks.into();
        let frame = self.chain_of(index);
        let Some(chain) = in_place::expand(&mut self.arena, frame, raw_blocks) else { return false };
        debug_assert_eq!(chain.blocks, raw_blocks);
        self.replace_chain(index, &chain);
        self.is_raw_again(index);
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
}
