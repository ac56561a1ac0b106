//! librdkafka's partitioners (PRODUCER h.5). Where it draws lots for a record without a key, it keeps to
//! one partition for a while (`sticky.partitioning.linger.ms`); here that is KIP-794's turn.

use super::Choice;
use super::murmur2::{murmur2, to_positive};
use crate::config::Partitioner;
use crate::error::SendError;
use crate::state::State;
use crate::state::list::NIL;
use crate::state::partition::NONE;

/// The number whose remainder is the partition; `None` if the record may go anywhere. The partitioners
/// differ in what becomes of records without a key, and with an empty one.
pub(super) fn hash(partitioner: Partitioner, key: Option<&[u8]>) -> Option<u32> {
    let bytes = key.unwrap_or(&[]);
    match partitioner {
        Partitioner::Consistent => Some(crc32(bytes)),
        Partitioner::ConsistentRandom => (!bytes.is_empty()).then(|| crc32(bytes)),
        Partitioner::Murmur2 => Some(to_positive(murmur2(bytes))),
        Partitioner::Murmur2Random => key.map(|key| to_positive(murmur2(key))),
        Partitioner::Fnv1a => Some(fnv1a(bytes)),
        Partitioner::Fnv1aRandom => key.map(fnv1a),
        _ => None,
    }
}

/// CRC-32 as in zlib, bit by bit: keys are short, and a table is flash.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    !crc
}

/// FNV-1a, 32 bits, without its sign as Sarama takes it: the absolute value.
fn fnv1a(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash as i32).unsigned_abs()
}

impl State<'_> {
    /// Chooses as `partitioner`, one of librdkafka's. Apart, so that the others do not pay for it.
    #[inline(never)]
    pub(super) fn librdkafka_choice(
        &mut self,
        partitioner: Partitioner,
        topic: u16,
        key: Option<&[u8]>,
    ) -> Result<Choice, SendError> {
        if matches!(partitioner, Partitioner::Random) {
            return self.random_choice(topic);
        }
        let Some(hash) = hash(partitioner, key) else { return self.sticky_choice(topic) };
        let index = (hash % self.known_partitions(topic)?.max(1)) as i32;
        self.bound(topic, index).map(|slot| Choice { slot, sticky: false, hashed: true })
    }

    /// Any partition. One without a leader gets a second draw, which counts whatever it is.
    fn random_choice(&mut self, topic: u16) -> Result<Choice, SendError> {
        let choice = |slot| Choice { slot, sticky: false, hashed: false };
        if !self.partitions_settled(topic) {
            return self.waiting_partition(topic).map(choice);
        }
        let partitions = self.known_partitions(topic)?.max(1);
        let mut index = self.random.below(partitions) as i32;
        let slot = self.find_partition(topic, index);
        if slot == NIL || self.partitions.at(slot).leader == NONE {
            index = self.random.below(partitions) as i32;
        }
        self.bound(topic, index).map(choice)
    }
}
