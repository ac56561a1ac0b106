//! What a topic's records are expected to shrink to, and which of its batches may be refused for their
//! size: the same for every codec, wherever it runs.

use crate::state::State;
use crate::state::topic::RATIO_ONE;

/// Java's steps for the expected ratio, in 1/1024: up by at least 0.05, down by at most 0.005.
const RATIO_UP: u16 = 51;
const RATIO_DOWN: u16 = 5;

impl State<'_> {
    /// PRODUCER a.4: what the topic's records are expected to shrink to follows what they did. It rises
    /// fast and falls slowly, so that batches rather stay below `batch.size` than exceed it.
    pub(super) fn observe_ratio(&mut self, index: u32, raw: u32) {
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

    /// The broker took a batch: smaller ones of the topic are not too large.
    pub(crate) fn note_taken(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
        topic.taken = topic.taken.max(batch.record_bytes);
    }

    /// The broker refused a compressed batch for its size, which is that of the compressed bytes: later
    /// batches of the topic need not run into the same limit.
    pub(super) fn note_refused(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
        topic.batch_limit = topic.batch_limit.min(batch.wire_bytes() / 2);
        topic.taken = 0;
    }

    /// Up to how many record bytes this batch will not come back to be split.
    pub(super) fn surely_taken(&self, index: u32) -> u32 {
        let batch = self.batches.at(index);
        if batch.count <= 1 || !self.expects_answers() {
            return u32::MAX;
        }
        self.topics.at(self.partitions.at(batch.partition).topic.into()).taken
    }

    /// A batch's bytes are its records again; they are sealed anew before they leave.
    pub(super) fn is_raw_again(&mut self, index: u32) {
        let batch = self.batches.at_mut(index);
        (batch.compressed, batch.sealed) = (false, false);
    }
}
