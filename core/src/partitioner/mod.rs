//! Which partition a record goes to (PRODUCER h): the record's own, the caller's function, the key's
//! hash, or a turn.
//!
//! A choice yields a partition *slot*. Slots are bound on use, so a topic may have more partitions
//! than there are slots.

#[cfg(feature = "adaptive-partitioning")]
mod adaptive;
#[cfg(feature = "librdkafka-partitioners")]
mod librdkafka;
mod murmur2;
#[cfg(feature = "round-robin")]
mod round_robin;
mod sticky;

#[cfg(test)]
mod tests;

use crate::config::{PartitionRequest, Partitioner};
use crate::error::SendError;
use crate::record::Record;
use crate::state::State;
use crate::state::list::NIL;

use murmur2::{murmur2, to_positive};

/// A partition, and how it was come by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) slot: u32,
    /// Chosen by turn: the record's bytes count towards the next turn (KIP-794).
    pub(crate) sticky: bool,
    /// Chosen by hash or by the caller's function, so that it depends on the partition count.
    pub(crate) hashed: bool,
}

impl State<'_> {
    /// Chooses for one record.
    pub(crate) fn choose_partition(&mut self, topic: u16, record: &Record<'_>) -> Result<Choice, SendError> {
        if let Some(index) = record.partition {
            return self.named_partition(topic, index);
        }
        match self.config.partitioner {
            Partitioner::Custom(choose) => {
                let partitions = self.known_partitions(topic)?;
                let random = self.random.next() as u32;
                let Record { key, value, .. } = *record;
                let request = PartitionRequest { topic: self.topic_name(topic), key, value, partitions, random };
                let index = choose(&request);
                self.named_partition(topic, index).map(|choice| Choice { hashed: true, ..choice })
            }
            #[cfg(feature = "round-robin")]
            Partitioner::RoundRobin => self.round_robin_partition(topic),
            Partitioner::Default => match record.key {
                Some(key) if !self.config.partitioner_ignore_keys => {
                    let index = self.partition_of_key(topic, key).ok_or(SendError::PartitionsUnknown)?;
                    self.bound(topic, index).map(|slot| Choice { slot, sticky: false, hashed: true })
                }
                _ => self.sticky_choice(topic),
            },
            #[cfg(feature = "librdkafka-partitioners")]
            other => self.librdkafka_choice(other, topic, record.key),
        }
    }

    #[inline]
    fn sticky_choice(&mut self, topic: u16) -> Result<Choice, SendError> {
        self.sticky_partition(topic).map(|slot| Choice { slot, sticky: true, hashed: false })
    }

    /// Where a key belongs; `None` while the partition count is unknown. All partitions count, those
    /// without a leader included.
    #[inline]
    pub(crate) fn partition_of_key(&self, topic: u16, key: &[u8]) -> Option<i32> {
        let partitions = u32::try_from(self.topics.at(topic.into()).partitions).ok()?;
        Some((to_positive(murmur2(key)) % partitions.max(1)) as i32)
    }

    fn known_partitions(&self, topic: u16) -> Result<u32, SendError> {
        u32::try_from(self.topics.at(topic.into()).partitions).map_err(|_| SendError::PartitionsUnknown)
    }

    /// A partition that the caller names must exist; the topic may have grown, so it is looked up.
    fn named_partition(&mut self, topic: u16, index: i32) -> Result<Choice, SendError> {
        let partitions = self.known_partitions(topic)?;
        if u32::try_from(index).is_ok_and(|index| index < partitions) {
            return self.bound(topic, index).map(|slot| Choice { slot, sticky: false, hashed: false });
        }
        if !self.topics.at(topic.into()).wanted {
            self.want_topic(topic);
        }
        Err(SendError::NoSuchPartition { partitions })
    }

    /// The partition's slot. Without a free one the record waits for room like any other.
    pub(crate) fn bound(&mut self, topic: u16, index: i32) -> Result<u32, SendError> {
        let found = self.find_partition(topic, index);
        if found != NIL {
            return Ok(found);
        }
        match self.bind_partition(topic, index) {
            Some(slot) => {
                if !self.topics.at(topic.into()).wanted {
                    self.want_topic(topic); // its leader is not known yet
                }
                Ok(slot)
            }
            None => {
                self.accumulator.wants_room = true;
                Err(SendError::Full)
            }
        }
    }

    /// The partition count came from the cluster. What may go anywhere does not rely on a declared one.
    fn partitions_settled(&self, topic: u16) -> bool {
        let topic = self.topics.at(topic.into());
        topic.partitions >= 0 && !topic.declared
    }

    /// Where a record waits that may go to any partition, until it is known which ones there are.
    fn waiting_partition(&mut self, topic: u16) -> Result<u32, SendError> {
        self.accumulator.wants_room |= self.accumulator.free_partitions.is_empty();
        self.unassigned_partition(topic).ok_or(SendError::Full)
    }
}
