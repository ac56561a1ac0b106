//! Codecs that the core has itself. LZ4 works in place, in the batch's own blocks; codecs that need
//! memory live outside.

use crate::state::State;

impl State<'_> {
    /// Compresses a completed batch if that is configured and gains anything.
    pub(crate) fn compress(&mut self, _batch: u32) {}

    /// The codec's bits in a batch's attributes.
    pub(crate) fn codec_of(&self, _batch: u32) -> i16 {
        0
    }

    /// Whether a batch's records can be read for a split.
    pub(crate) fn make_splittable(&mut self, batch: u32) -> bool {
        !self.batches.at(batch).compressed
    }
}
