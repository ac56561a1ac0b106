//! Compression. LZ4 works in place, in the batch's own blocks ([`lz4`]); codecs that need memory live
//! outside the core and are asked for as jobs ([`jobs`]).
//!
//! A batch is compressed once, when it takes no more records and before its size is counted, and only
//! if that makes it smaller; else it travels with codec `none`. If the broker finds it too large, it
//! is turned back into records and split, and each half is compressed by itself when it leaves.
//!
//! Turned back, a batch needs its raw size again, and when memory is short there is none: whatever is
//! freed is taken by those who wait to send. So a compressed batch holds on to the blocks it saved,
//! unless it is smaller than one that the broker took before (or cannot be refused, or not split). From
//! a topic's first answers on that is nearly every one.

#[cfg(feature = "codecs")]
pub(crate) mod jobs;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(any(feature = "lz4", feature = "codecs"))]
mod ratio;

use crate::state::State;
#[cfg(feature = "lz4")]
use crate::state::storage::SPARE_BLOCKS;
#[cfg(feature = "split")]
use crate::state::topic::RATIO_ONE;

/// Where the records of a batch are that is to be split.
#[cfg(feature = "split")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// In the batch.
    There,
    /// Compressed, and there is no room for more now.
    #[cfg(any(feature = "lz4", feature = "codecs"))]
    NoRoom,
    /// A codec outside the core is asked to give them back.
    #[cfg(feature = "codecs")]
    Outside,
}

#[cfg(feature = "split")]
impl State<'_> {
    /// Gets a batch that was refused as too large ready for [`Self::split`].
    pub(crate) fn make_splittable(&mut self, index: u32) -> Records {
        // PRODUCER a.4: what was expected of the topic's records led to this.
        let topic = self.partitions.at(self.batches.at(index).partition).topic;
        self.topics.at_mut(topic.into()).ratio = RATIO_ONE;
        self.restore(index)
    }
}

#[cfg(any(feature = "lz4", feature = "codecs"))]
impl State<'_> {
    /// Compresses a completed batch if that is configured and makes it smaller. False if a codec outside
    /// the core is to do that.
    pub(crate) fn compress(&mut self, index: u32) -> bool {
        #[cfg(feature = "codecs")]
        if self.config.compresses_outside() {
            self.ask_to_compress(index);
            return false;
        }
        #[cfg(feature = "lz4")]
        if self.config.compression == crate::Compression::Lz4 && !self.is_cut_from_the_reserve(index) {
            self.compress_in_place(index);
        }
        let _ = index;
        true
    }

    /// A part of a batch that was split while memory was scarce stays as it is: should it be refused as well, turning it back into
    /// records would take blocks of the reserve, which its other part has by now. A single record is never turned back.
    #[cfg(feature = "lz4")]
    fn is_cut_from_the_reserve(&self, index: u32) -> bool {
        let batch = self.batches.at(index);
        let scarce = self.arena.free() < SPARE_BLOCKS;
        scarce && batch.count > 1 && self.accumulator.reserve_used_by == Some(batch.id)
    }

    /// The codec's bits in a batch's attributes.
    pub(crate) fn codec_of(&self, index: u32) -> i16 {
        if self.batches.at(index).compressed { self.config.compression.attributes() } else { 0 }
    }

    fn restore(&mut self, index: u32) -> Records {
        if !self.batches.at(index).compressed {
            return Records::There;
        }
        self.note_refused(index);
        if self.accumulator.free_batch_count == 0 {
            return Records::NoRoom; // none for the other half
        }
        #[cfg(feature = "codecs")]
        if self.config.compresses_outside() {
            return self.ask_to_expand(index);
        }
        #[cfg(feature = "lz4")]
        if self.expand_in_place(index) {
            return Records::There;
        }
        Records::NoRoom
    }
}

#[cfg(not(any(feature = "lz4", feature = "codecs")))]
impl State<'_> {
    /// Compresses a completed batch if that is configured and makes it smaller.
    pub(crate) fn compress(&mut self, _batch: u32) -> bool {
        true
    }

    /// The codec's bits in a batch's attributes.
    pub(crate) fn codec_of(&self, _batch: u32) -> i16 {
        0
    }

    /// The broker took a batch.
    pub(crate) fn note_taken(&mut self, _batch: u32) {}

    #[cfg(feature = "split")]
    fn restore(&mut self, _batch: u32) -> Records {
        Records::There
    }
}
