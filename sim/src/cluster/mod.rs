//! The cluster: brokers, topics, leaders, connections.

pub(crate) mod connection;
mod log;
mod metadata;
mod options;
mod produce;
mod read;
mod serve;
#[cfg(test)]
mod tests;

pub use connection::ConnectionId;
pub use options::{ClusterOptions, TopicOptions};

use crate::batch::StoredRecord;
use crate::fault::FaultScript;
use crate::history::SeenRequest;
use crate::versions::VersionSet;
use crate::wire::Uuid;
use connection::Connection;
use log::Log;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Broker {
    host: String,
    port: u16,
    alive: bool,
    versions: VersionSet,
}

#[derive(Debug)]
struct Partition {
    /// Node ids, the preferred leader first.
    replicas: Vec<i32>,
    /// -1 is none.
    leader: i32,
    leader_epoch: i32,
    log: Log,
}

#[derive(Debug)]
struct Topic {
    id: Uuid,
    options: TopicOptions,
    partitions: Vec<Partition>,
}

impl Topic {
    /// The partition of an index that came over the wire.
    fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }
}

/// A simulated Kafka cluster; see the [crate's documentation](crate).
///
/// Times are milliseconds of one clock that the caller owns; it may start anywhere and must not go back. Broker ids, topic and
/// partition names that do not exist are ignored by the methods that change something.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    cluster_id: String,
    brokers: BTreeMap<i32, Broker>,
    topics: BTreeMap<String, Topic>,
    topic_names: BTreeMap<Uuid, String>,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_made: u64,
    next_producer_id: i64,
    random: u64,
    faults: FaultScript,
    history: Vec<SeenRequest>,
}

impl Cluster {
    /// A cluster without topics, all brokers alive.
    #[must_use]
    pub fn new(options: ClusterOptions) -> Self {
        let brokers = (0..options.brokers)
            .map(|index| {
                let broker = Broker {
                    host: options.host.clone(),
                    port: options.base_port.wrapping_add(index as u16),
                    alive: true,
                    versions: options.versions.clone(),
                };
                (index as i32 + 1, broker)
            })
            .collect();
        let mut cluster = Self {
            random: options.seed,
            options,
            cluster_id: String::new(),
            brokers,
            topics: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            next_producer_id: 0,
            faults: FaultScript::default(),
            history: Vec::new(),
        };
        cluster.cluster_id = format!("sim-{:016x}", cluster.draw());
        // Brokers hand out ids from blocks of 1000.
        cluster.next_producer_id = (cluster.draw() % 1_000_000) as i64 * 1000;
        cluster
    }

    /// splitmix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The brokers' wall clock.
    fn wall_clock_ms(&self, now_ms: u64) -> i64 {
        self.options.wall_clock_base_ms.saturating_add_unsigned(now_ms)
    }

    // ---- topics ----

    /// Creates a topic with default settings. An existing topic of this name is left alone.
    pub fn create_topic(&mut self, name: &str, partitions: u32) {
        let options = TopicOptions { partitions, ..TopicOptions::default() };
        self.create_topic_with(name, options);
    }

    /// Creates a topic. An existing topic of this name is left alone.
    pub fn create_topic_with(&mut self, name: &str, options: TopicOptions) {
        if self.topics.contains_key(name) {
            return;
        }
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.draw().to_be_bytes());
        id[8..].copy_from_slice(&self.draw().to_be_bytes());
        self.topic_names.insert(id, name.to_owned());
        let count = options.partitions;
        let topic = Topic { id, options, partitions: Vec::new() };
        self.topics.insert(name.to_owned(), topic);
        self.add_partitions(name, count);
    }

    /// Deletes a topic with all it holds.
    pub fn delete_topic(&mut self, name: &str) {
        if let Some(topic) = self.topics.remove(name) {
            self.topic_names.remove(&topic.id);
        }
    }

    /// Deletes a topic and creates it again with the same settings: another topic id, empty logs, leader epochs from 0.
    pub fn recreate_topic(&mut self, name: &str) {
        let Some(topic) = self.topics.get(name) else {
            return;
        };
        let mut options = topic.options.clone();
        options.partitions = topic.partitions.len() as u32;
        self.delete_topic(name);
        self.create_topic_with(name, options);
    }

    /// Adds partitions to a topic.
    pub fn add_partitions(&mut self, name: &str, more: u32) {
        let nodes: Vec<i32> = self.brokers.keys().copied().collect();
        let alive = |id: &i32| self.brokers[id].alive;
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let wanted =
            topic.options.replication_factor.or(self.options.replication_factor).map_or(nodes.len(), |n| n as usize);
        for _ in 0..more {
            let first = topic.partitions.len();
            let replicas: Vec<i32> =
                (0..wanted.min(nodes.len())).map(|offset| nodes[(first + offset) % nodes.len()]).collect();
            topic.partitions.push(Partition {
                leader: replicas.iter().copied().find(alive).unwrap_or(-1),
                replicas,
                leader_epoch: 0,
                log: Log::default(),
            });
        }
    }

    /// How many partitions a topic has; 0 if there is none.
    #[must_use]
    pub fn partition_count(&self, topic: &str) -> u32 {
        self.topics.get(topic).map_or(0, |topic| topic.partitions.len() as u32)
    }

    /// The id of a topic.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> Option<[u8; 16]> {
        self.topics.get(topic).map(|topic| topic.id)
    }

    // ---- what the logs hold ----

    /// All records that a partition keeps, decoded, in offset order.
    #[must_use]
    pub fn log(&self, topic: &str, partition: u32) -> Vec<StoredRecord> {
        self.partition(topic, partition).map(|partition| partition.log.records()).unwrap_or_default()
    }

    /// How many records were appended to a topic, those that retention removed included.
    #[must_use]
    pub fn record_count(&self, topic: &str) -> u64 {
        let partitions = self.topics.get(topic).map(|topic| &topic.partitions);
        partitions.into_iter().flatten().map(|partition| partition.log.appended()).sum()
    }

    /// The first offset that a partition keeps, and the offset of the next record.
    #[must_use]
    pub fn offsets(&self, topic: &str, partition: u32) -> Option<(i64, i64)> {
        let log = &self.partition(topic, partition)?.log;
        Some((log.start_offset(), log.end_offset()))
    }

    /// Deletes the records before an offset, as retention does; the producers are not forgotten.
    pub fn delete_records(&mut self, topic: &str, partition: u32, before_offset: i64) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.log.delete_before(before_offset);
        }
    }

    /// Loses the end of a log from an offset on (from its batch's start), as an unclean leader election does.
    pub fn truncate(&mut self, topic: &str, partition: u32, from_offset: i64) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.log.truncate(from_offset);
        }
    }

    /// Forgets what a partition remembers of its producers, as after `producer.id.expiration.ms`.
    pub fn forget_producers(&mut self, topic: &str, partition: u32) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.log.forget_producers();
        }
    }

    fn partition(&self, topic: &str, partition: u32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(partition as usize)
    }

    fn partition_mut(&mut self, topic: &str, partition: u32) -> Option<&mut Partition> {
        let topic = self.topics.get_mut(topic)?;
        topic.partitions.get_mut(partition as usize)
    }

    // ---- brokers ----

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

    /// Changes what one broker advertises, as in a rolling upgrade. Kafka does that with a restart; this does without.
    pub fn set_versions(&mut self, broker: i32, versions: VersionSet) {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.versions = versions;
        }
    }

    /// Whether a broker exists and is alive.
    #[must_use]
    pub fn is_alive(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.alive)
    }

    /// Kills a broker: its connections break with all answers not taken yet, and its partitions move to the next live replica, or to
    /// none. What is in the logs stays.
    pub fn kill(&mut self, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker) else {
            return;
        };
        state.alive = false;
        self.connections.retain(|_, connection| connection.broker != broker);
        let forget = self.options.lose_producer_state;
        let brokers = &self.brokers;
        for topic in self.topics.values_mut() {
            for partition in &mut topic.partitions {
                if partition.leader != broker {
                    continue;
                }
                let alive = |id: &i32| brokers[id].alive;
                partition.leader = partition.replicas.iter().copied().find(alive).unwrap_or(-1);
                partition.leader_epoch += 1;
                if forget {
                    partition.log.forget_producers();
                }
            }
        }
    }

    /// Starts a killed broker again. It takes over the partitions that have no leader; the others stay where they are.
    pub fn restart(&mut self, _now_ms: u64, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker) else {
            return;
        };
        state.alive = true;
        for topic in self.topics.values_mut() {
            for partition in &mut topic.partitions {
                if partition.leader == -1 && partition.replicas.contains(&broker) {
                    partition.leader = broker;
                    partition.leader_epoch += 1;
                }
            }
        }
    }

    /// Makes a broker the leader of a partition, under the next leader epoch. With broker -1 the partition has no leader until it is
    /// moved again.
    pub fn move_leader(&mut self, topic: &str, partition: u32, broker: i32) {
        if broker != -1 && !self.brokers.contains_key(&broker) {
            return;
        }
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.leader = broker;
            partition.leader_epoch += 1;
            if broker != -1 && !partition.replicas.contains(&broker) {
                partition.replicas.push(broker);
            }
        }
    }

    /// The leader (-1: none) and the leader epoch of a partition.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: u32) -> Option<(i32, i32)> {
        self.partition(topic, partition).map(|partition| (partition.leader, partition.leader_epoch))
    }

    // ---- script and history ----

    /// The faults to come.
    pub fn faults(&mut self) -> &mut FaultScript {
        &mut self.faults
    }

    /// All requests so far, in the order in which brokers read them; empty if the history is switched off.
    #[must_use]
    pub fn requests(&self) -> &[SeenRequest] {
        &self.history
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&mut self) {
        self.history.clear();
    }

    /// Switches the history on or off; what it holds stays.
    pub fn keep_history(&mut self, keep: bool) {
        self.options.keep_history = keep;
    }

    /// The options, to be changed at any time. Those that only matter at creation have no effect then.
    pub fn options_mut(&mut self) -> &mut ClusterOptions {
        &mut self.options
    }

    // ---- connections ----

    /// Opens a connection to a broker; `None` if it is dead or does not exist.
    pub fn connect(&mut self, _now_ms: u64, broker: i32) -> Option<ConnectionId> {
        if !self.is_alive(broker) {
            return None;
        }
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made);
        self.connections.insert(id, Connection::new(broker));
        Some(id)
    }

    /// Opens a connection to the broker that advertises this address; `None` if none does, or it is dead.
    pub fn connect_to(&mut self, now_ms: u64, host: &str, port: u16) -> Option<ConnectionId> {
        let (&broker, _) = self.brokers.iter().find(|(_, broker)| broker.port == port && broker.host == host)?;
        self.connect(now_ms, broker)
    }

    /// The broker that a connection leads to, while it is open.
    #[must_use]
    pub fn broker_of(&self, connection: ConnectionId) -> Option<i32> {
        self.connections.get(&connection).map(|state| state.broker)
    }

    /// How many connections are open.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Bytes from client to broker, cut in any way. Requests that become complete are processed at once.
    pub fn receive(&mut self, now_ms: u64, connection: ConnectionId, bytes: &[u8]) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if state.is_closing() {
            return;
        }
        if !state.input.is_empty() {
            state.input.extend_from_slice(bytes);
            self.process_input(now_ms, connection);
            return;
        }
        // The common case: whole frames, processed where they are.
        let used = self.process(now_ms, connection, bytes);
        if let Some(state) = self.connections.get_mut(&connection)
            && !state.is_closing()
        {
            state.input.extend_from_slice(&bytes[used..]);
        }
    }

    /// Appends to `out` the bytes from broker to client that are due. False once the broker closed the connection: these bytes are its
    /// last, and the id is of no use any more.
    pub fn transmit(&mut self, now_ms: u64, connection: ConnectionId, out: &mut Vec<u8>) -> bool {
        // A broker that reads one request at a time gets to the next one when the last answer is out.
        self.process_input(now_ms, connection);
        let Some(state) = self.connections.get_mut(&connection) else {
            return false;
        };
        let open = state.transmit(now_ms, out);
        if !open {
            self.connections.remove(&connection);
        }
        open
    }

    /// The client closed a connection. What arrived stays processed.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    /// When [`transmit`](Self::transmit) has something to give next, on any connection; a time in the past means now.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.connections.values().filter_map(Connection::next_due).min()
    }

    /// The same for one connection.
    #[must_use]
    pub fn next_due_of(&self, connection: ConnectionId) -> Option<u64> {
        self.connections.get(&connection)?.next_due()
    }

    fn process_input(&mut self, now_ms: u64, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if state.input.is_empty() {
            return;
        }
        let mut input = std::mem::take(&mut state.input);
        let used = self.process(now_ms, connection, &input);
        if let Some(state) = self.connections.get_mut(&connection)
            && !state.is_closing()
        {
            input.drain(..used);
            state.input = input;
        }
    }
}
