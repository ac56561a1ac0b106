//! Which slot holds which partition: a hash table whose buckets are the slots themselves.

use crate::state::State;
use crate::state::list::NIL;
use crate::state::partition::{NONE, UNASSIGNED};

impl State<'_> {
    #[inline]
    fn partition_bucket(&self, topic: u16, index: i32) -> u32 {
        let mixed = (u32::from(topic).wrapping_mul(0x9e37_79b9) ^ index as u32).wrapping_mul(0x85eb_ca6b);
        // Multiply-shift instead of a remainder: no division on a Cortex-M0.
        ((u64::from(mixed) * u64::from(self.partitions.len())) >> 32) as u32
    }

    /// The slot of a partition, or [`NIL`].
    #[cfg_attr(feature = "fast", inline)]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn find_partition(&self, topic: u16, index: i32) -> u32 {
        let mut slot = self.partitions.at(self.partition_bucket(topic, index)).bucket;
        while slot != NIL {
            let partition = self.partitions.at(slot);
            if partition.topic == topic && partition.index == index {
                break;
            }
            slot = partition.hash_next;
        }
        slot
    }

    /// The slot of a partition, bound now if need be. Without a free slot the least recently used
    /// idle one makes room; `None` while all have batches.
    pub(crate) fn bind_partition(&mut self, topic: u16, index: i32) -> Option<u32> {
        let found = self.find_partition(topic, index);
        if found != NIL {
            return Some(found);
        }
        let slot = match self.accumulator.free_partitions.pop_front(&mut self.partitions) {
            Some(slot) => slot,
            None => self.evict_partition()?,
        };
        let partition = self.partitions.at_mut(slot);
        let bucket = partition.bucket;
        partition.renew();
        (partition.topic, partition.index, partition.bucket, partition.in_use) = (topic, index, bucket, true);
        self.insert_into_bucket(slot);
        self.accumulator.idle_partitions.push_back(&mut self.partitions, slot);
        let topic = self.topics.at_mut(topic.into());
        topic.bound = topic.bound.wrapping_add(1);
        Some(slot)
    }

    /// Binds a partition only if a slot is free: metadata fills spare slots with leaders.
    pub(crate) fn bind_spare_partition(&mut self, topic: u16, index: i32) -> u32 {
        let found = self.find_partition(topic, index);
        if found == NIL && !self.accumulator.free_partitions.is_empty() {
            return self.bind_partition(topic, index).unwrap_or(NIL);
        }
        found
    }

    /// Lets the least recently used idle partition go. Its sequence goes with it: unless it never
    /// used the current epoch, the epoch must move on before the partition comes back (PITFALLS 5).
    fn evict_partition(&mut self) -> Option<u32> {
        let slot = self.accumulator.idle_partitions.front();
        if slot == NIL {
            return None;
        }
        if self.partitions.at(slot).carries(&self.identity) {
            self.identity.stale = true;
        }
        self.unbind_partition(slot);
        self.accumulator.free_partitions.pop_front(&mut self.partitions)
    }

    /// Frees the slot of a partition without batches.
    pub(crate) fn unbind_partition(&mut self, slot: u32) {
        debug_assert_eq!(self.partitions.at(slot).queued, 0, "only idle partitions are unbound");
        self.set_leader(slot, NONE, -1);
        self.remove_from_bucket(slot);
        self.accumulator.idle_partitions.remove(&mut self.partitions, slot);
        let topic = self.topics.at_mut(self.partitions.at(slot).topic.into());
        topic.bound = topic.bound.wrapping_sub(1);
        if topic.sticky == slot {
            topic.sticky = NIL;
        }
        if topic.unassigned == slot {
            topic.unassigned = NIL;
        }
        let partition = self.partitions.at_mut(slot);
        partition.in_use = false;
        partition.topic = NONE;
        self.accumulator.free_partitions.push_back(&mut self.partitions, slot);
    }

    /// Gives records that waited without a partition theirs: the slot becomes that of `index`.
    pub(crate) fn assign_partition(&mut self, slot: u32, index: i32) {
        debug_assert_eq!(self.partitions.at(slot).index, UNASSIGNED);
        self.remove_from_bucket(slot);
        self.partitions.at_mut(slot).index = index;
        self.insert_into_bucket(slot);
    }

    fn insert_into_bucket(&mut self, slot: u32) {
        let (topic, index) = (self.partitions.at(slot).topic, self.partitions.at(slot).index);
        let bucket = self.partition_bucket(topic, index);
        let head = core::mem::replace(&mut self.partitions.at_mut(bucket).bucket, slot);
        self.partitions.at_mut(slot).hash_next = head;
    }

    fn remove_from_bucket(&mut self, slot: u32) {
        let (topic, index, next) = {
            let partition = self.partitions.at(slot);
            (partition.topic, partition.index, partition.hash_next)
        };
        let bucket = self.partition_bucket(topic, index);
        if self.partitions.at(bucket).bucket == slot {
            self.partitions.at_mut(bucket).bucket = next;
            return;
        }
        let mut before = self.partitions.at(bucket).bucket;
        while before != NIL {
            let after = self.partitions.at(before).hash_next;
            if after == slot {
                self.partitions.at_mut(before).hash_next = next;
                return;
            }
            before = after;
        }
    }
}
