//! How brokers learn of the controller's decisions, and what they do then.

use super::agenda::Due;
use super::controller::CONTROLLER;
use super::node::Power;
use super::replica::{Leadership, Role};
use super::topic::{Place, State};
use super::{Cluster, error};
use std::collections::BTreeSet;

impl Cluster {
    pub(super) fn tell_all(&mut self) {
        let nodes: Vec<i32> = self.brokers.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.tell(node));
    }

    /// Puts everything that is decided so far on its way to a broker, if it can be reached.
    pub(super) fn tell(&mut self, node: i32) {
        let version = self.controller.version;
        if !self.controller.running || self.cuts.contains(&(CONTROLLER, node)) {
            return;
        }
        let Some(broker) = self.brokers.get(&node) else { return };
        let told = broker.learning.back().map_or(broker.known, |(_, version)| *version);
        if broker.power == Power::Dead || broker.paused || told >= version {
            return;
        }
        let delay = self.chance.within(&self.options.replication.propagation_ms);
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        let mut due_ms = self.now_ms.saturating_add(delay);
        if let Some((newest_ms, newest)) = broker.learning.back_mut() {
            due_ms = due_ms.max(*newest_ms);
            if due_ms == *newest_ms {
                *newest = version;
                return;
            }
        }
        broker.learning.push_back((due_ms, version));
        self.agenda.add(due_ms, Due::Learn(node));
    }

    /// Decisions reach a broker.
    pub(super) fn learn(&mut self, node: i32) {
        let now_ms = self.now_ms;
        let unreachable = self.cuts.contains(&(CONTROLLER, node));
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        if unreachable || broker.paused || broker.power == Power::Dead {
            broker.learning.clear();
            return;
        }
        let mut version = None;
        while let Some((_, due)) = broker.learning.front().copied().filter(|(due_ms, _)| *due_ms <= now_ms) {
            broker.learning.pop_front();
            version = Some(due);
        }
        let Some(version) = version else { return };
        if broker.power == Power::Starting {
            return self.finish_start(node);
        }
        let from = broker.known;
        broker.known = version;
        let news = self.controller.changes.range(from + 1..=version);
        let places: BTreeSet<Place> = news.filter_map(|(_, touched)| touched.get(&node)).flatten().copied().collect();
        for place in places {
            self.apply(place, node);
        }
        self.bury();
    }

    /// A broker acts upon what it knows of a partition that it has a replica of.
    pub(super) fn apply(&mut self, place: Place, node: i32) {
        self.changes_applied += 1;
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        let known = broker.known;
        let Some(topic) = self.topics.get(&place.topic) else {
            broker.hosted.remove(&place);
            return;
        };
        if topic.deleted.is_some_and(|deleted| deleted <= known) {
            broker.hosted.remove(&place);
            return self.resign(place, node, error::UNKNOWN_TOPIC_OR_PARTITION);
        }
        let Some(partition) = topic.partitions.get(place.partition as usize) else { return };
        let Some((version, state)) = partition.states.at(known) else { return };
        let Some(replica) = partition.replica(node).filter(|replica| replica.version < version) else { return };
        let leads = state.leader == node;
        let goes_on = replica.epoch == state.leader_epoch;
        let state = state.clone();
        if leads && goes_on && replica.leadership().is_some() {
            self.with_replica(place, node, |replica| {
                replica.version = version;
                if let Some(leadership) = replica.leadership_mut() {
                    leadership.isr.clone_from(&state.isr);
                }
            });
            self.tend(place, node);
            // It may have been refused another ISR because it did not know this one.
            self.wish_isr(place);
        } else if leads {
            self.lead(place, node, version, &state);
        } else {
            self.follow(place, node, version, &state);
        }
    }

    fn lead(&mut self, place: Place, node: i32, version: u64, state: &State) {
        self.resign(place, node, error::NOT_LEADER_OR_FOLLOWER);
        let now_ms = self.now_ms;
        let Some(partition) = self.partition_at_mut(place) else { return };
        let followers: Vec<i32> = partition.nodes().filter(|other| *other != node).collect();
        self.with_replica(place, node, |replica| {
            replica.version = version;
            replica.epoch = state.leader_epoch;
            let start = replica.log.end_offset();
            let leadership = Leadership::new(start, state.isr.clone(), followers.into_iter(), now_ms);
            replica.role = Role::Leader(Box::new(leadership));
        });
        self.replicate(place, node);
        self.tend(place, node);
        self.wish_isr(place);
    }

    fn follow(&mut self, place: Place, node: i32, version: u64, state: &State) {
        let same = |role: &Role| matches!(role, Role::Follower { leader, .. } if *leader == state.leader);
        let goes_on = self.with_replica(place, node, |replica| {
            replica.version = version;
            let goes_on = replica.epoch == state.leader_epoch && same(&replica.role);
            replica.epoch = state.leader_epoch;
            goes_on
        });
        if goes_on != Some(false) {
            return;
        }
        self.resign(place, node, error::NOT_LEADER_OR_FOLLOWER);
        if state.leader != -1 {
            let role = Role::Follower { leader: state.leader, joined: false };
            self.with_replica(place, node, |replica| replica.role = role);
            self.replicate(place, state.leader);
        }
    }

    /// A replica gives up its part; a leader's requests that wait are answered with a code.
    pub(super) fn resign(&mut self, place: Place, node: i32, code: i16) {
        let role = self.with_replica(place, node, |replica| std::mem::replace(&mut replica.role, Role::Idle));
        if let Some(Role::Leader(leadership)) = role {
            self.agenda.cancel(leadership.lag_check);
            for (_, wait) in leadership.waiting {
                self.refuse_waiting(wait, place, code);
            }
        }
    }
}
