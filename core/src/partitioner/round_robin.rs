//! Kafka's `RoundRobinPartitioner`, with the feature `round-robin`.

use super::Choice;
use super::sticky::WINDOW;
use crate::error::SendError;
use crate::state::State;
use crate::state::list::NIL;
use crate::state::partition::NONE;

impl State<'_> {
    /// The next partition with a leader, in turn; any partition if none has one.
    pub(super) fn round_robin_partition(&mut self, topic: u16) -> Result<Choice, SendError> {
        let choice = |slot| Choice { slot, sticky: false, hashed: false };
        if !self.partitions_settled(topic) {
            return self.waiting_partition(topic).map(choice);
        }
        let partitions = self.known_partitions(topic)?.max(1);
        for _ in 0..partitions.min(WINDOW) {
            let turn = self.topics.at(topic.into()).round_robin;
            self.topics.at_mut(topic.into()).round_robin = turn.wrapping_add(1);
            let slot = self.find_partition(topic, (turn % partitions) as i32);
            if slot != NIL && self.partitions.at(slot).leader != NONE {
                return Ok(choice(slot));
            }
        }
        let turn = self.topics.at(topic.into()).round_robin;
        self.topics.at_mut(topic.into()).round_robin = turn.wrapping_add(1);
        self.bound(topic, (turn % partitions) as i32).map(choice)
    }
}
