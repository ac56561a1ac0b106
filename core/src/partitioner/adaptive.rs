//! Adaptive switching (KIP-794), with the feature `adaptive-partitioning`: the shorter a partition's queue, the more likely it is
//! the next one, and brokers that stall are passed over.

use super::sticky::WINDOW;
use crate::state::State;
use crate::state::list::NIL;
use crate::state::partition::NONE;

/// What the partitions in the window are like.
#[derive(Default)]
struct Survey {
    available: u32,
    longest: u32,
    shortest: u32,
    queued: u32,
}

impl State<'_> {
    /// A random partition among those in the window that have a leader; weighted by queue length if that is wanted and
    /// lengths differ.
    pub(super) fn draw_partition(&mut self, topic: u16, partitions: u32, start: u32) -> Option<i32> {
        let mut timely = true;
        let mut survey = self.survey(topic, partitions, start, timely);
        if survey.available == 0 {
            timely = false; // every broker stalls: better one of those than a partition without leader
            survey = self.survey(topic, partitions, start, timely);
        }
        if survey.available == 0 {
            return None;
        }
        let adaptive = self.config.partitioner_adaptive_partitioning_enable && survey.longest != survey.shortest;
        // Weights are longest + 1 − queued, so their sum follows from the survey.
        let top = survey.longest.saturating_add(1);
        let total = if adaptive {
            survey.available.saturating_mul(top).saturating_sub(survey.queued)
        } else {
            survey.available
        };
        let mut draw = self.random.below(total);
        for step in 0..partitions.min(WINDOW) {
            let index = start.wrapping_add(step) % partitions.max(1);
            let Some(queued) = self.queued_if_available(topic, index, timely) else { continue };
            let weight = if adaptive { top.saturating_sub(queued) } else { 1 };
            if draw < weight {
                return Some(index as i32);
            }
            draw = draw.wrapping_sub(weight);
        }
        Some(start as i32)
    }

    fn survey(&self, topic: u16, partitions: u32, start: u32, timely: bool) -> Survey {
        let mut survey = Survey { shortest: u32::MAX, ..Survey::default() };
        for step in 0..partitions.min(WINDOW) {
            let index = start.wrapping_add(step) % partitions.max(1);
            if let Some(queued) = self.queued_if_available(topic, index, timely) {
                survey.available = survey.available.wrapping_add(1);
                survey.longest = survey.longest.max(queued);
                survey.shortest = survey.shortest.min(queued);
                survey.queued = survey.queued.saturating_add(queued);
            }
        }
        survey
    }

    /// How many batches wait in a partition whose leader is known and, if `timely`, takes data.
    fn queued_if_available(&self, topic: u16, index: u32, timely: bool) -> Option<u32> {
        let slot = self.find_partition(topic, index as i32);
        if slot == NIL || self.partitions.at(slot).leader == NONE {
            return None;
        }
        let timeout = self.config.partitioner_availability_timeout_ms;
        let stalled_since = self.brokers.at(self.partitions.at(slot).leader.into()).stalled_since;
        let stalls = timely && timeout > 0 && stalled_since.after_ms(timeout) < self.now;
        (!stalls).then(|| self.partitions.at(slot).queued)
    }
}
