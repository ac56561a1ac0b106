//! The topic table. A topic's text holds its name in both wire forms at once:
//! `[i16 length][name][compact length]`, so that a request of any version lends it as it lies.

use crate::error::{DeliveryError, ErrorCode, Fate, Problem, SendError};
use crate::event::TopicId;
use crate::state::State;
use crate::state::batch::{BatchState, InQueue};
use crate::state::list::{List, NIL};
use crate::state::partition::{ByUse, NONE, UNASSIGNED};
use crate::state::storage::{TOPIC_FRAMING, TOPIC_NAME_MAX};
use crate::state::topic::{FNV_START, fnv1a};

impl State<'_> {
    fn topic_bucket(&self, hash: u64) -> u32 {
        // The hash is well mixed in its low bits; multiply-shift takes the high ones of these.
        ((u64::from(hash as u32 ^ (hash >> 32) as u32) * u64::from(self.topics.len())) >> 32) as u32
    }

    /// The slot of the topic with this name hash and length, or [`NONE`].
    pub(crate) fn find_topic_by_hash(&self, hash: u64, len: u32) -> u16 {
        let mut slot = self.topics.at(self.topic_bucket(hash)).bucket;
        while slot != NIL {
            let topic = self.topics.at(slot);
            if topic.name_hash == hash && u32::from(topic.name_len) == len {
                return slot as u16;
            }
            slot = topic.hash_next;
        }
        NONE
    }

    /// The topic's slot for a valid id.
    pub(crate) fn topic_slot(&self, topic: TopicId) -> Option<u16> {
        let slot = self.topics.nearest(topic.slot.into()); // the id may be another producer's
        (slot.in_use && slot.generation == topic.generation).then_some(topic.slot)
    }

    /// Finds or adds a topic; metadata for a new one is asked for.
    pub(crate) fn add_topic(&mut self, name: &str) -> Result<TopicId, SendError> {
        let hash = fnv1a(FNV_START, name.as_bytes());
        let max = self.topic_names.stride().saturating_sub(TOPIC_FRAMING).min(TOPIC_NAME_MAX);
        if name.is_empty() || name.len() > max {
            return Err(SendError::TopicName { max: max as u32 });
        }
        let found = self.find_topic_by_hash(hash, name.len() as u32);
        if found != NONE {
            return Ok(TopicId { slot: found, generation: self.topics.at(found.into()).generation });
        }
        let free = self.topics.iter().find(|(_, topic)| !topic.in_use).map(|(slot, _)| slot);
        let slot = free.ok_or(SendError::TooManyTopics { max: self.topics.len() })?;
        self.write_topic_name(slot, name);
        let bucket = self.topic_bucket(hash);
        let next = core::mem::replace(&mut self.topics.at_mut(bucket).bucket, slot);
        let topic = self.topics.at_mut(slot);
        topic.reset();
        topic.in_use = true;
        topic.name_len = name.len() as u8;
        topic.name_hash = hash;
        topic.hash_next = next;
        let generation = topic.generation;
        self.want_new_topic(slot as u16);
        Ok(TopicId { slot: slot as u16, generation })
    }

    fn write_topic_name(&mut self, slot: u32, name: &str) {
        let text = self.topic_names.get_mut(slot);
        let len = name.len();
        let compact = len.wrapping_add(1); // at most 250: two bytes as a uvarint
        let prefix = (len as u16).to_be_bytes();
        let suffix = if compact < 0x80 { [compact as u8, 0] } else { [compact as u8 | 0x80, (compact >> 7) as u8] };
        for (to, from) in text.iter_mut().zip(prefix.iter().chain(name.as_bytes()).chain(&suffix)) {
            *to = *from;
        }
    }

    /// The name as text.
    pub(crate) fn topic_name(&self, slot: u16) -> &str {
        let len = usize::from(self.topics.at(slot.into()).name_len);
        let bytes = self.topic_names.get(slot.into()).get(2..len.saturating_add(2)).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }

    /// What names the topic in a Produce request: the id from v13 on, else the name (before v9 with its
    /// length, from v9 on without).
    pub(crate) fn topic_wire_name(&self, slot: u16, version: i16, former: bool) -> &[u8] {
        let topic = self.topics.at(slot.into());
        if version >= 13 {
            return if former { &topic.previous_id } else { &topic.id };
        }
        let end = usize::from(topic.name_len).saturating_add(2);
        let start = if version >= 9 { 2 } else { 0 };
        self.topic_names.get(slot.into()).get(start..end).unwrap_or(&[])
    }

    /// The name's length as a compact string has it.
    pub(crate) fn topic_compact_length(&self, slot: u16) -> &[u8] {
        let len = usize::from(self.topics.at(slot.into()).name_len);
        let start = len.saturating_add(2);
        let size = if len.saturating_add(1) < 0x80 { 1 } else { 2 };
        self.topic_names.get(slot.into()).get(start..start.saturating_add(size)).unwrap_or(&[])
    }

    /// Forgets a topic without records. A metadata request under way may still be writing its name.
    pub(crate) fn remove_topic(&mut self, slot: u16) -> bool {
        let topic = self.topics.at(slot.into());
        if topic.batches > 0 || topic.asked {
            return false;
        }
        let mut partition = self.accumulator.idle_partitions.front();
        while partition != NIL {
            let next = List::<ByUse>::after(&self.partitions, partition);
            if self.partitions.at(partition).topic == slot {
                // Its sequence is forgotten: should the topic come back, then under a new epoch.
                self.identity.stale |= self.partitions.at(partition).carries(&self.identity);
                self.unbind_partition(partition);
            }
            partition = next;
        }
        let (hash, after) = (self.topics.at(slot.into()).name_hash, self.topics.at(slot.into()).hash_next);
        let bucket = self.topic_bucket(hash);
        if self.topics.at(bucket).bucket == u32::from(slot) {
            self.topics.at_mut(bucket).bucket = after;
        } else {
            let mut before = self.topics.at(bucket).bucket;
            while before != NIL && self.topics.at(before).hash_next != u32::from(slot) {
                before = self.topics.at(before).hash_next;
            }
            if before != NIL {
                self.topics.at_mut(before).hash_next = after;
            }
        }
        let topic = self.topics.at_mut(slot.into());
        if topic.changed {
            self.cluster.topics_changed = self.cluster.topics_changed.wrapping_sub(1);
        }
        topic.generation = topic.generation.wrapping_add(1);
        topic.reset();
        true
    }

    /// Tells the caller that the topic can be looked at again.
    pub(crate) fn announce_topic(&mut self, slot: u16) {
        let topic = self.topics.at_mut(slot.into());
        if !topic.changed {
            topic.changed = true;
            self.cluster.topics_changed = self.cluster.topics_changed.wrapping_add(1);
        }
    }

    pub(crate) fn take_changed_topic(&mut self) -> Option<TopicId> {
        if self.cluster.topics_changed == 0 {
            return None;
        }
        let slot = self.topics.iter().find(|(_, topic)| topic.changed).map(|(slot, _)| slot)?;
        self.cluster.topics_changed = self.cluster.topics_changed.wrapping_sub(1);
        let topic = self.topics.at_mut(slot);
        topic.changed = false;
        Some(TopicId { slot: slot as u16, generation: topic.generation })
    }

    /// The partition count is known now, or declared.
    pub(crate) fn set_partition_count(&mut self, slot: u16, count: i32, declared: bool) {
        let topic = self.topics.at_mut(slot.into());
        let (was, was_declared) = (topic.partitions, topic.declared);
        topic.partitions = count;
        topic.declared = declared;
        if was != count {
            self.announce_topic(slot);
        }
        if was_declared && !declared && was != count {
            self.fail_declared(slot);
        }
        if was < 0 || was_declared {
            self.assign_unassigned(slot);
        }
    }

    /// A declared count proved wrong: what relied on it goes to the wrong partitions, or to one that does
    /// not exist, so it fails (promise 6). Nothing of it can have been sent, since leaders were not known.
    fn fail_declared(&mut self, slot: u16) {
        let (generation, count) = (self.topics.at(slot.into()).generation, self.topics.at(slot.into()).partitions);
        self.problems.report(Problem::DeclaredPartitions(TopicId { slot, generation }));
        for partition in 0..self.partitions.len() {
            if self.partitions.at(partition).topic != slot || !self.partitions.at(partition).in_use {
                continue;
            }
            let missing = self.partitions.at(partition).index >= count;
            let mut batch = self.partitions.at(partition).queue.front();
            while batch != NIL {
                let next = List::<InQueue>::after(&self.batches, batch);
                if (self.batches.at(batch).declared || missing) && self.batches.at(batch).attempts == 0 {
                    self.fail(batch, DeliveryError::NoSuchPartition, Fate::NotWritten);
                }
                batch = next;
            }
        }
    }

    /// Keyless records from before the first metadata get their partition.
    fn assign_unassigned(&mut self, slot: u16) {
        let waiting = core::mem::replace(&mut self.topics.at_mut(slot.into()).unassigned, NIL);
        if waiting == NIL {
            return;
        }
        let count = u32::try_from(self.topics.at(slot.into()).partitions).unwrap_or(0).max(1);
        let start = self.random.below(count);
        // One that has no queue of its own yet, so that no two queues need joining.
        let free = (0..count).map(|step| (start.wrapping_add(step) % count) as i32);
        let unbound = { free }.find(|&index| self.find_partition(slot, index) == NIL);
        match unbound {
            Some(index) => {
                self.assign_partition(waiting, index);
                self.topics.at_mut(slot.into()).sticky = waiting;
                self.want_topic(slot); // its leader
            }
            None => self.join_queues(waiting, self.find_partition(slot, start as i32)),
        }
    }

    /// Moves the batches of one partition slot to the end of another's queue.
    fn join_queues(&mut self, from: u32, to: u32) {
        let open = self.partitions.at(to).queue.back();
        if open != NIL && self.batches.at(open).state == BatchState::Open {
            self.close_batch(open);
        }
        while self.partitions.at(from).queue.front() != NIL {
            let batch = self.partitions.at(from).queue.front();
            let blocks = self.batches.at(batch).blocks;
            self.book_blocks(from, 0, blocks);
            self.leave_partition_queue(batch);
            self.batches.at_mut(batch).partition = to;
            self.book_blocks(to, blocks, 0);
            if self.partitions.at(to).queued == 0 {
                self.accumulator.idle_partitions.remove(&mut self.partitions, to);
            }
            let partition = self.partitions.at_mut(to);
            partition.queue.push_back(&mut self.batches, batch);
            partition.queued = partition.queued.wrapping_add(1);
            let topic = self.topics.at_mut(partition.topic.into());
            topic.batches = topic.batches.wrapping_add(1);
        }
        self.unbind_partition(from);
        self.settle(to);
    }

    /// A topic's metadata error. Records that wait for a partition fail if there can be no such topic, or not for
    /// us; any other error is asked about again, and records that have a partition are not touched by it (g.2).
    pub(crate) fn set_topic_error(&mut self, slot: u16, error: ErrorCode) {
        let topic = self.topics.at_mut(slot.into());
        let changed = topic.error != error;
        topic.error = error;
        if changed {
            self.announce_topic(slot);
        }
        if error == ErrorCode::NONE || error.is_retriable() {
            self.topics.at_mut(slot.into()).reported = false;
            return;
        }
        let topic = self.topics.at(slot.into());
        let (reported, generation) = (topic.reported, topic.generation);
        if !reported {
            // Without room for it now, the next answer says it again.
            let reported = self.problems.report(Problem::Topic(TopicId { slot, generation }, error));
            self.topics.at_mut(slot.into()).reported = reported;
        }
        if !matches!(error, ErrorCode::INVALID_TOPIC_EXCEPTION | ErrorCode::TOPIC_AUTHORIZATION_FAILED) {
            return;
        }
        let waiting = self.topics.at(slot.into()).unassigned;
        while waiting != NIL && self.partitions.at(waiting).queue.front() != NIL {
            let batch = self.partitions.at(waiting).queue.front();
            self.fail(batch, DeliveryError::Broker(error), Fate::NotWritten);
        }
    }

    /// The slot in which keyless records wait for the first metadata.
    pub(crate) fn unassigned_partition(&mut self, slot: u16) -> Option<u32> {
        let waiting = self.topics.at(slot.into()).unassigned;
        if waiting != NIL {
            return Some(waiting);
        }
        let bound = self.bind_partition(slot, UNASSIGNED)?;
        self.topics.at_mut(slot.into()).unassigned = bound;
        Some(bound)
    }
}
