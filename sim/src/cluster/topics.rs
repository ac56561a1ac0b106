//! Creating and deleting topics, and finding them.

use super::controller::Command;
use super::replica::Replica;
use super::timeline::Timeline;
use super::topic::{Partition, Place, State, Topic};
use super::{Cluster, TopicOptions};
use crate::wire::Uuid;

impl Cluster {
    /// Creates a topic with default settings. An existing topic of this name is left alone.
    pub fn create_topic(&mut self, name: &str, partitions: u32) {
        let options = TopicOptions { partitions, ..TopicOptions::default() };
        self.create_topic_with(name, options);
    }

    /// Creates a topic. An existing topic of this name is left alone.
    pub fn create_topic_with(&mut self, name: &str, options: TopicOptions) {
        if self.postpone(|| Command::Create(name.to_owned(), options.clone())) || self.topic_now(name).is_some() {
            return;
        }
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.draw().to_be_bytes());
        id[8..].copy_from_slice(&self.draw().to_be_bytes());
        self.topics_made += 1;
        let number = self.topics_made;
        self.topic_ids.insert(id, number);
        self.topic_numbers.entry(name.to_owned()).or_default().push(number);
        let count = options.partitions;
        // The version that the draft for the partitions is going to have.
        let created = self.controller.version + 1;
        let topic = Topic { name: name.to_owned(), id, options, created, deleted: None, partitions: Vec::new() };
        self.topics.insert(number, topic);
        self.grow(number, count);
        self.settle();
    }

    /// Deletes a topic with all it holds.
    pub fn delete_topic(&mut self, name: &str) {
        if self.postpone(|| Command::Delete(name.to_owned())) {
            return;
        }
        let Some(number) = self.topic_now(name) else { return };
        let mut draft = self.draft();
        let Some(topic) = self.topics.get_mut(&number) else { return };
        topic.deleted = Some(draft.version);
        for (index, partition) in topic.partitions.iter().enumerate() {
            let place = Place { topic: number, partition: index as u32 };
            partition.nodes().for_each(|node| draft.touch(node, place));
        }
        self.graveyard.push(number);
        self.publish(draft);
        self.settle();
    }

    /// Deletes a topic and creates it again with the same settings: another topic id, empty logs, leader epochs from 0.
    pub fn recreate_topic(&mut self, name: &str) {
        if self.postpone(|| Command::Recreate(name.to_owned())) {
            return;
        }
        let Some(topic) = self.topic_now(name).and_then(|number| self.topics.get(&number)) else { return };
        let mut options = topic.options.clone();
        options.partitions = topic.partitions.len() as u32;
        self.delete_topic(name);
        self.create_topic_with(name, options);
    }

    /// Adds partitions to a topic.
    pub fn add_partitions(&mut self, name: &str, more: u32) {
        if self.postpone(|| Command::Grow(name.to_owned(), more)) {
            return;
        }
        if let Some(number) = self.topic_now(name) {
            self.grow(number, more);
            self.settle();
        }
    }

    fn grow(&mut self, number: u32, more: u32) {
        let nodes: Vec<i32> = self.brokers.keys().copied().collect();
        let usable: Vec<bool> = nodes.iter().map(|node| self.is_usable(*node)).collect();
        let mut draft = self.draft();
        let Some(topic) = self.topics.get_mut(&number) else { return };
        let factor = topic.options.replication_factor.or(self.options.replication_factor);
        let wanted = factor.map_or(nodes.len(), |n| n as usize).min(nodes.len());
        for _ in 0..more {
            let first = topic.partitions.len();
            let place = Place { topic: number, partition: first as u32 };
            let chosen: Vec<usize> = (0..wanted).map(|offset| (first + offset) % nodes.len()).collect();
            let in_sync = chosen.iter().filter(|at| usable[**at]).map(|at| nodes[*at]);
            let mut isr: Vec<i32> = in_sync.collect();
            let leader = isr.first().copied().unwrap_or(-1);
            if isr.is_empty() {
                isr.extend(chosen.first().map(|at| nodes[*at]));
            }
            for at in &chosen {
                draft.touch(nodes[*at], place);
                if let Some(broker) = self.brokers.get_mut(&nodes[*at]) {
                    broker.hosted.insert(place);
                }
            }
            topic.partitions.push(Partition {
                created: draft.version,
                states: Timeline::new(draft.version, State { leader, leader_epoch: 0, isr }),
                commits_from_epoch: 0,
                replicas: chosen.into_iter().map(|at| Replica::new(nodes[at])).collect(),
            });
        }
        self.publish(draft);
    }

    /// Drops the deleted topics that no broker believes in any more.
    pub(super) fn bury(&mut self) {
        if self.graveyard.is_empty() {
            return;
        }
        let running = self.brokers.values().filter(|broker| broker.is_running());
        let oldest = running.map(|broker| broker.known).min().unwrap_or(u64::MAX);
        for number in std::mem::take(&mut self.graveyard) {
            let over = |topic: &Topic| topic.deleted.is_some_and(|deleted| deleted <= oldest);
            if !self.topics.get(&number).is_none_or(over) {
                self.graveyard.push(number);
                continue;
            }
            let Some(topic) = self.topics.remove(&number) else { continue };
            self.topic_ids.remove(&topic.id);
            if let Some(numbers) = self.topic_numbers.get_mut(&topic.name) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    self.topic_numbers.remove(&topic.name);
                }
            }
        }
    }

    // ---- finding them ----

    /// The topic that a name stands for, as the controller knows it.
    pub(super) fn topic_now(&self, name: &str) -> Option<u32> {
        let newest = *self.topic_numbers.get(name)?.last()?;
        self.topics.get(&newest).filter(|topic| topic.deleted.is_none()).map(|_| newest)
    }

    /// The topic that a name stands for, as a broker knows it.
    pub(super) fn topic_known(&self, broker: i32, name: &str) -> Option<u32> {
        let known = self.brokers.get(&broker)?.known;
        let numbers = self.topic_numbers.get(name)?;
        numbers.iter().rev().copied().find(|number| self.topics[number].is_there(known))
    }

    /// The topic with this id, if a broker knows of it.
    pub(super) fn topic_known_by_id(&self, broker: i32, id: &Uuid) -> Option<u32> {
        let known = self.brokers.get(&broker)?.known;
        self.topic_ids.get(id).copied().filter(|number| self.topics[number].is_there(known))
    }

    /// The partition of an index that came over the wire, as far as a broker knows it.
    pub(super) fn place_known(&self, broker: i32, topic: u32, index: i32) -> Option<Place> {
        let known = self.brokers.get(&broker)?.known;
        let partition = u32::try_from(index).ok()?;
        let created = self.topics.get(&topic)?.partitions.get(partition as usize)?.created;
        (created <= known).then_some(Place { topic, partition })
    }

    pub(super) fn place_of(&self, topic: &str, partition: u32) -> Option<Place> {
        let place = Place { topic: self.topic_now(topic)?, partition };
        self.partition_at(place).map(|_| place)
    }

    pub(super) fn partition_at(&self, place: Place) -> Option<&Partition> {
        self.topics.get(&place.topic)?.partitions.get(place.partition as usize)
    }

    pub(super) fn partition_at_mut(&mut self, place: Place) -> Option<&mut Partition> {
        self.topics.get_mut(&place.topic)?.partitions.get_mut(place.partition as usize)
    }

    /// Does something with a broker's replica.
    pub(super) fn with_replica<T>(
        &mut self,
        place: Place,
        node: i32,
        change: impl FnOnce(&mut Replica) -> T,
    ) -> Option<T> {
        self.partition_at_mut(place)?.replica_mut(node).map(change)
    }
}
