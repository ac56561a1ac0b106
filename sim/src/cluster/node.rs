//! Brokers: their lives, and the links between them.

use super::Cluster;
use super::agenda::{Due, Key};
use super::controller::CONTROLLER;
use super::replica::Role;
use super::timeline::Timeline;
use super::topic::Place;
use crate::error;
use crate::versions::VersionSet;
use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Dead,
    /// It runs, but has not heard yet what the cluster is like, and listens to no client.
    Starting,
    Running,
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) versions: VersionSet,
    pub(super) power: Power,
    pub(super) paused: bool,
    /// Whether the controller takes it for dead.
    pub(super) fenced: Timeline<bool>,
    /// When the controller will take it for dead, while it is silent.
    pub(super) session: Option<Key>,
    /// Whether it is in a controlled shutdown.
    pub(super) leaving: bool,
    /// What it will run when it starts again, in an upgrade.
    pub(super) upgrade: Option<VersionSet>,
    /// Up to which decision it knows the cluster.
    pub(super) known: u64,
    /// What is on its way to it: when it arrives, and up to which decision.
    pub(super) learning: VecDeque<(u64, u64)>,
    pub(super) disk_ms: Option<RangeInclusive<u64>>,
    /// Where it has replicas.
    pub(super) hosted: BTreeSet<Place>,
}

impl Broker {
    pub(super) fn new(host: String, port: u16, versions: VersionSet) -> Self {
        Self {
            host,
            port,
            versions,
            power: Power::Running,
            paused: false,
            fenced: Timeline::new(0, false),
            session: None,
            leaving: false,
            upgrade: None,
            known: 0,
            learning: VecDeque::new(),
            disk_ms: None,
            hosted: BTreeSet::new(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.power == Power::Running
    }
}

impl Cluster {
    /// The node ids, dead brokers included.
    pub fn brokers(&self) -> impl Iterator<Item = i32> {
        self.brokers.keys().copied()
    }

    /// The address that a broker advertises; an empty one if there is no such broker.
    #[must_use]
    pub fn address(&self, broker: i32) -> (String, u16) {
        self.brokers.get(&broker).map(|broker| (broker.host.clone(), broker.port)).unwrap_or_default()
    }

    /// All addresses in the form of Kafka's `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let addresses: Vec<String> =
            self.brokers.values().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
        addresses.join(",")
    }

    /// Changes the address that a broker advertises and is found at. Connections stay.
    pub fn set_address(&mut self, broker: i32, host: &str, port: u16) {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            host.clone_into(&mut broker.host);
            broker.port = port;
        }
    }

    /// Changes what one broker advertises, without the restart that Kafka needs; [`upgrade`](Self::upgrade) does it with one.
    pub fn set_versions(&mut self, broker: i32, versions: VersionSet) {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.versions = versions;
        }
    }

    /// Changes how long appends take on one broker, in milliseconds. What waits for the disk keeps its time, and what comes does not wait
    /// behind it: a producer that sends again what has no answer yet can queue up more than its disk will write for minutes.
    pub fn set_disk(&mut self, broker: i32, disk_ms: RangeInclusive<u64>) {
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.disk_ms = Some(disk_ms);
        }
        for place in self.hosted(broker) {
            self.with_replica(place, broker, |replica| replica.stored_ms = 0);
        }
    }

    /// Whether a broker exists and is alive; a paused one is.
    #[must_use]
    pub fn is_alive(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.power != Power::Dead)
    }

    pub(super) fn hosted(&self, node: i32) -> Vec<Place> {
        self.brokers.get(&node).map(|broker| broker.hosted.iter().copied().collect()).unwrap_or_default()
    }

    // ---- life and death ----

    /// Kills a broker: its connections break with all answers not taken yet. What is in its logs stays. When the controller notices,
    /// its partitions move to the next live replica in sync, or to none.
    pub fn kill(&mut self, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        if state.power == Power::Dead {
            // It may lead all the same, if a partition was moved to it.
            if self.controller.running {
                let mut draft = self.draft();
                self.remove_from_partitions(&mut draft, broker);
                self.publish(draft);
                self.settle();
            }
            return;
        }
        self.news.push(format!("broker {broker} killed"));
        self.power_off(broker);
        self.reassess(broker);
        self.settle();
    }

    /// Everything that a broker holds in memory is gone.
    fn power_off(&mut self, node: i32) {
        if self.options.lose_producer_state {
            self.lose_producers(node);
        }
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        broker.power = Power::Dead;
        broker.paused = false;
        broker.leaving = false;
        broker.upgrade = None;
        broker.learning.clear();
        self.connections.retain(|_, connection| connection.broker != node);
        self.drop_waits_of(node);
        for place in self.hosted(node) {
            // Nobody waits for an answer any more: the code is never seen.
            self.resign(place, node, error::NOT_LEADER_OR_FOLLOWER);
        }
    }

    fn lose_producers(&mut self, node: i32) {
        for place in self.hosted(node) {
            if let Some(partition) = self.partition_at_mut(place).filter(|partition| partition.state().leader == node) {
                partition.replicas.iter_mut().for_each(|replica| replica.log.forget_producers());
            }
        }
    }

    /// Starts a killed broker again. It builds its producers' state from its logs, hears from the controller what the cluster is like,
    /// and then listens to clients, follows the leaders and takes over the partitions that have no leader but could have it.
    pub fn restart(&mut self, now_ms: u64, broker: i32) {
        self.advance(now_ms);
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        if state.power != Power::Dead {
            return;
        }
        self.news.push(format!("broker {broker} starts"));
        state.power = Power::Starting;
        state.known = 0;
        let fenced = *state.fenced.latest();
        let (forget, expiration_ms) = (self.options.lose_producer_state, self.options.producer_id_expiration_ms);
        for place in self.hosted(broker) {
            self.with_replica(place, broker, |replica| {
                replica.version = 0;
                replica.epoch = -1;
                replica.role = Role::Idle;
                replica.stored_ms = 0;
                if forget {
                    replica.log.forget_producers();
                } else {
                    replica.log.rebuild_producers(expiration_ms);
                }
            });
        }
        // A new incarnation registers: what the controller thought of the old one is over.
        if !fenced && self.controller.running && !self.cuts.contains(&(broker, CONTROLLER)) {
            self.fence(broker);
        }
        self.tell(broker);
        self.settle();
    }

    /// A starting broker knows the cluster now.
    pub(super) fn finish_start(&mut self, node: i32) {
        let version = self.controller.version;
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        broker.power = Power::Running;
        broker.known = version;
        broker.learning.clear();
        for place in self.hosted(node) {
            self.apply(place, node);
        }
        self.reassess(node);
        self.bury();
    }

    /// Shuts a broker down in the orderly way: its leaderships move to other replicas in sync first, where there are any; when all
    /// brokers had the time to learn of that, it stops. Without a controller in reach, it just stops.
    pub fn shutdown(&mut self, now_ms: u64, broker: i32) {
        self.advance(now_ms);
        let Some(state) = self.brokers.get_mut(&broker).filter(|broker| broker.is_running() && !broker.leaving) else {
            return;
        };
        state.leaving = true;
        self.news.push(format!("broker {broker} shuts down"));
        let mut stops_ms = self.now_ms;
        if self.is_in_touch(broker) {
            let mut draft = self.draft();
            self.remove_from_partitions_politely(&mut draft, broker);
            self.publish(draft);
            let learning = self.brokers.values().filter_map(|broker| broker.learning.back());
            stops_ms = learning.map(|(due_ms, _)| *due_ms).fold(stops_ms, u64::max);
        }
        self.agenda.add(stops_ms, Due::Stop(broker));
        self.settle();
    }

    fn remove_from_partitions_politely(&mut self, draft: &mut super::controller::Draft, broker: i32) {
        for place in self.hosted(broker) {
            let Some(partition) = self.partition_at(place) else { continue };
            let state = super::election::without(partition, broker, |node| self.is_usable(node), false);
            // A partition that nobody else may lead stays until the end.
            if let Some(state) = state.filter(|state| state.leader != -1) {
                self.decide(draft, place, state);
            }
        }
    }

    pub(super) fn stop(&mut self, node: i32) {
        let Some(broker) = self.brokers.get_mut(&node).filter(|broker| broker.leaving) else { return };
        if broker.paused {
            // It goes on with that when it goes on at all.
            return;
        }
        let upgrade = broker.upgrade.take();
        let registered = self.is_in_touch(node);
        self.power_off(node);
        if registered {
            // It says good-bye, so nobody waits for its session to end.
            self.fence(node);
        } else {
            self.reassess(node);
        }
        self.news.push(format!("broker {node} stopped"));
        if let Some(versions) = upgrade {
            self.set_versions(node, versions);
            self.restart(self.now_ms, node);
        }
    }

    /// Shuts a broker down and starts it again with another release's versions, as a rolling upgrade does with one broker after the
    /// other.
    pub fn upgrade(&mut self, now_ms: u64, broker: i32, versions: VersionSet) {
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        if state.is_running() {
            state.upgrade = Some(versions);
            self.shutdown(now_ms, broker);
        } else {
            state.versions = versions;
            self.restart(now_ms, broker);
        }
    }

    // ---- silence ----

    /// Stops a broker's threads (SIGSTOP): connections stay and can even be made, but nothing is read or answered, and to the
    /// others it is silent.
    pub fn pause(&mut self, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker).filter(|broker| broker.power != Power::Dead) else { return };
        state.paused = true;
        self.news.push(format!("broker {broker} paused"));
        self.reassess(broker);
        self.settle();
    }

    /// Lets a paused broker go on where it stopped.
    pub fn resume(&mut self, now_ms: u64, broker: i32) {
        self.advance(now_ms);
        let Some(state) = self.brokers.get_mut(&broker).filter(|broker| broker.paused) else { return };
        state.paused = false;
        if state.leaving {
            self.agenda.add(self.now_ms, Due::Stop(broker));
        }
        self.news.push(format!("broker {broker} resumed"));
        self.reconnect(broker);
        self.expire_waits_of(broker);
        let own = self.connections.iter().filter(|(_, connection)| connection.broker == broker);
        let ids: Vec<_> = own.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.process_input(self.now_ms, id));
        self.settle();
    }

    /// Cuts a link between two brokers, or a broker and [`CONTROLLER`], in one direction. Replication and whatever else needs an
    /// answer is over in both; heartbeats to the controller and news from it need their own direction only. Clients are not
    /// concerned.
    pub fn cut(&mut self, from: i32, to: i32) {
        if self.cuts.insert((from, to)) {
            self.news.push(format!("link {from} -> {to} cut"));
            self.reassess(from);
            self.settle();
        }
    }

    /// Mends a link.
    pub fn mend(&mut self, now_ms: u64, from: i32, to: i32) {
        self.advance(now_ms);
        if self.cuts.remove(&(from, to)) {
            self.news.push(format!("link {from} -> {to} mended"));
            self.reconnect(from);
            self.reconnect(to);
            self.settle();
        }
    }

    /// Mends all links.
    pub fn mend_all(&mut self, now_ms: u64) {
        self.advance(now_ms);
        let cuts = std::mem::take(&mut self.cuts);
        let ends: BTreeSet<i32> = cuts.into_iter().flat_map(|(from, to)| [from, to]).collect();
        if !ends.is_empty() {
            self.news.push("all links mended".to_owned());
        }
        ends.into_iter().for_each(|node| self.reconnect(node));
        self.settle();
    }

    /// A broker can be reached again, or reach others.
    fn reconnect(&mut self, node: i32) {
        if !self.brokers.contains_key(&node) {
            return;
        }
        self.tell(node);
        self.reassess(node);
        self.replicate_all_of(node);
        self.wish_isrs_of(node);
    }
}
