//! Codecs that the core has itself. LZ4 works in place, in the batch's own blocks; codecs that need
//! memory live outside.
//!
//! A batch is compressed once, when it takes no more records and before its size is counted, and only
//! if that makes it smaller; else it travels with codec `none`. If the broker finds it too large, it
//! is turned back into records and split, and each half is compressed by itself when it leaves.

#[cfg(feature = "lz4")]
mod lz4;

use crate::state::State;
use crate::state::topic::RATIO_ONE;

impl State<'_> {
    /// Gets a batch that was refused as too large ready for [`Self::split`]: its records can be read.
    /// False if there is no room for that now.
    pub(crate) fn make_splittable(&mut self, index: u32) -> bool {
        // PRODUCER a.4: what was expected of the topic's records led to this.
        let topic = self.partitions.at(self.batches.at(index).partition).topic;
        self.topics.at_mut(topic.into()).ratio = RATIO_ONE;
        self.restore(index)
    }
}

#[cfg(not(feature = "lz4"))]
impl State<'_> {
    /// Compresses a completed batch if that is configured and makes it smaller.
    pub(crate) fn compress(&mut self, _batch: u32) {}

    /// The codec's bits in a batch's attributes.
    pub(crate) fn codec_of(&self, _batch: u32) -> i16 {
        0
    }

    /// The broker took a batch.
    pub(crate) fn note_taken(&mut self, _batch: u32) {}

    fn restore(&mut self, _batch: u32) -> bool {
        true
    }
}
