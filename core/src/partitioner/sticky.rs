//! The uniform sticky partitioner (KIP-794): keyless records stay with one partition until it took
//! `batch.size` bytes, then move on to a random one, or with [adaptive switching](super::adaptive) rather to a shorter queue.

use crate::accumulator::append::Sized;
use crate::error::SendError;
use crate::record::batch::HEADER_SIZE;
use crate::state::State;
use crate::state::batch::BatchState;
use crate::state::list::NIL;
use crate::state::partition::{NONE, UNASSIGNED};

/// Partitions that a choice looks at. A topic of more is seen through a window of this many from a
/// random start, so that the work of a choice is bounded.
pub(super) const WINDOW: u32 = 64;

impl State<'_> {
    /// The partition for a keyless record.
    pub(super) fn sticky_partition(&mut self, topic: u16) -> Result<u32, SendError> {
        let known = self.topics.at(topic.into());
        let (sticky, bytes) = (known.sticky, known.sticky_bytes);
        if !self.partitions_settled(topic) {
            return self.waiting_partition(topic);
        }
        if sticky == NIL || (bytes >= self.topic_batch_size(topic) && !self.has_open_batch(sticky)) {
            return self.switch_partition(topic);
        }
        Ok(sticky)
    }

    /// A record that does not fit the open batch closes it. If the partition had its share by then,
    /// the turn ends here: opening one more batch for one more record would leave it nearly empty.
    pub(crate) fn end_turn_if_full(&mut self, topic: u16, slot: u32, sized: Sized) -> Result<u32, SendError> {
        let last = self.partitions.at(slot).queue.back();
        if last == NIL || self.batches.at(last).state != BatchState::Open || self.has_room(last, sized) {
            return Ok(slot);
        }
        self.close_batch(last);
        self.settle(slot);
        let known = self.topics.at(topic.into());
        let turn_over = known.sticky == slot && known.sticky_bytes >= self.topic_batch_size(topic);
        if turn_over { self.switch_partition(topic) } else { Ok(slot) }
    }

    /// Counts what a keyless record added, and moves on once the partition had its share. It may go
    /// on a while to fill its last batch, but not beyond twice the share (KAFKA-14156).
    #[inline]
    pub(crate) fn count_sticky(&mut self, topic: u16, slot: u32, bytes: u32, new_batch: bool) {
        let added = if new_batch { bytes.saturating_add(HEADER_SIZE) } else { bytes };
        let share = self.topic_batch_size(topic).max(1);
        let known = self.topics.at_mut(topic.into());
        known.sticky_bytes = known.sticky_bytes.saturating_add(added);
        let total = known.sticky_bytes;
        if total < share || known.partitions < 0 {
            return;
        }
        self.end_share(topic, slot, total >= share.saturating_mul(2));
    }

    #[cold]
    fn end_share(&mut self, topic: u16, slot: u32, at_once: bool) {
        let last = self.partitions.at(slot).queue.back();
        if at_once || last == NIL || self.is_full(last) {
            // The next record chooses; its partition may be bound only then.
            let known = self.topics.at_mut(topic.into());
            known.sticky = NIL;
        }
    }

    fn has_open_batch(&self, slot: u32) -> bool {
        let last = self.partitions.at(slot).queue.back();
        last != NIL && self.batches.at(last).state == BatchState::Open && !self.is_full(last)
    }

    fn switch_partition(&mut self, topic: u16) -> Result<u32, SendError> {
        let index = self.next_partition(topic);
        let slot = self.bound(topic, index)?;
        let known = self.topics.at_mut(topic.into());
        known.sticky = slot;
        known.sticky_bytes = 0;
        Ok(slot)
    }

    /// A random partition among those with a leader.
    fn next_partition(&mut self, topic: u16) -> i32 {
        let partitions = u32::try_from(self.topics.at(topic.into()).partitions).unwrap_or(0).max(1);
        let start = if partitions > WINDOW { self.random.below(partitions) } else { 0 };
        let drawn = self.draw_partition(topic, partitions, start).or_else(|| self.bound_partition(topic));
        drawn.unwrap_or_else(|| self.random.below(partitions) as i32)
    }

    /// Each in the window is as likely as another.
    #[cfg(not(feature = "adaptive-partitioning"))]
    fn draw_partition(&mut self, topic: u16, partitions: u32, start: u32) -> Option<i32> {
        let (mut seen, mut drawn) = (0u32, None);
        for step in 0..partitions.min(WINDOW) {
            let index = (start.wrapping_add(step) % partitions.max(1)) as i32;
            let slot = self.find_partition(topic, index);
            if slot != NIL && self.partitions.at(slot).leader != NONE {
                seen = seen.wrapping_add(1);
                if self.random.below(seen) == 0 {
                    drawn = Some(index);
                }
            }
        }
        drawn
    }

    /// A partition that has a slot already, unless there are slots to spare: of a topic with many more partitions than slots the window
    /// rarely shows one, and to bind another means to let one go, and to ask for its leader.
    fn bound_partition(&mut self, topic: u16) -> Option<i32> {
        let slots = self.partitions.len();
        let start = self.random.below(slots);
        let mut bound = None;
        for step in 0..slots.min(WINDOW) {
            let partition = self.partitions.at(start.wrapping_add(step) % slots.max(1));
            if !partition.in_use {
                return None;
            }
            if partition.topic == topic && partition.leader != NONE && partition.index != UNASSIGNED {
                bound = bound.or(Some(partition.index));
            }
        }
        bound
    }
}
