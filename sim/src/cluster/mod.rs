//! The cluster: brokers, topics, leaders, connections.

mod agenda;
pub(crate) mod connection;
mod controller;
mod election;
mod log;
mod metadata;
mod node;
mod options;
mod produce;
mod propagation;
mod purgatory;
mod quota;
mod read;
mod replica;
mod replication;
mod serve;
#[cfg(test)]
mod tests;
mod timeline;
mod topic;
mod topics;

pub use connection::ConnectionId;
pub use controller::CONTROLLER;
pub use options::{ClusterOptions, Replication, TopicOptions};

use crate::batch::StoredRecord;
use crate::error;
use crate::fault::FaultScript;
use crate::history::SeenRequest;
use crate::wire::Uuid;
use agenda::{Agenda, Due};
use connection::Connection;
use controller::Controller;
use node::Broker;
use purgatory::Purgatory;
use quota::Quotas;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use topic::Topic;

/// News that nobody took yet; the oldest go when there are too many.
const NEWS: usize = 10_000;

/// splitmix64.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from a range; one that leaves no choice costs no draw.
    fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let (low, high) = (*range.start(), *range.end());
        if high <= low {
            return low;
        }
        match (high - low).checked_add(1) {
            Some(span) => low + self.draw() % span,
            None => self.draw(),
        }
    }
}

#[derive(Debug, Default)]
struct News(VecDeque<String>);

impl News {
    fn push(&mut self, line: String) {
        if self.0.len() == NEWS {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }
}

/// A simulated Kafka cluster; see the [crate's documentation](crate).
///
/// Times are milliseconds of one clock that the caller owns; it may start anywhere and must not go back. Broker ids, topic and
/// partition names that do not exist are ignored by the methods that change something. Methods that take no time happen at the
/// latest time that the cluster was told.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    cluster_id: String,
    now_ms: u64,
    brokers: BTreeMap<i32, Broker>,
    controller: Controller,
    agenda: Agenda,
    /// Links that are cut, from and to.
    cuts: BTreeSet<(i32, i32)>,
    topics: BTreeMap<u32, Topic>,
    /// The topics that had a name, the newest last; older ones only while some broker still believes in them.
    topic_numbers: BTreeMap<String, Vec<u32>>,
    topic_ids: BTreeMap<Uuid, u32>,
    topics_made: u32,
    /// Deleted topics that some broker may still believe in.
    graveyard: Vec<u32>,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_made: u64,
    purgatory: Purgatory,
    quotas: Quotas,
    next_producer_id: i64,
    random: Chance,
    /// For what takes its time; a source of its own, so that delays change no ids.
    chance: Chance,
    faults: FaultScript,
    history: Vec<SeenRequest>,
    requests_forgotten: usize,
    news: News,
    changes_applied: u64,
}

impl Cluster {
    /// A cluster without topics, all brokers alive.
    #[must_use]
    pub fn new(options: ClusterOptions) -> Self {
        let brokers = (0..options.brokers)
            .map(|index| {
                let port = options.base_port.wrapping_add(index as u16);
                (index as i32 + 1, Broker::new(options.host.clone(), port, options.versions.clone()))
            })
            .collect();
        let mut cluster = Self {
            random: Chance(options.seed),
            chance: Chance(options.seed ^ 0x5bf0_3635_dcf5_9e1d),
            options,
            cluster_id: String::new(),
            now_ms: 0,
            brokers,
            controller: Controller::new(),
            agenda: Agenda::default(),
            cuts: BTreeSet::new(),
            topics: BTreeMap::new(),
            topic_numbers: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
            topics_made: 0,
            graveyard: Vec::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            purgatory: Purgatory::default(),
            quotas: Quotas::default(),
            next_producer_id: 0,
            faults: FaultScript::default(),
            history: Vec::new(),
            requests_forgotten: 0,
            news: News::default(),
            changes_applied: 0,
        };
        cluster.cluster_id = format!("sim-{:016x}", cluster.draw());
        // Brokers hand out ids from blocks of 1000.
        cluster.next_producer_id = (cluster.draw() % 1_000_000) as i64 * 1000;
        cluster
    }

    fn draw(&mut self) -> u64 {
        self.random.draw()
    }

    /// The brokers' wall clock.
    fn wall_clock_ms(&self, now_ms: u64) -> i64 {
        self.options.wall_clock_base_ms.saturating_add_unsigned(now_ms)
    }

    // ---- time ----

    /// Does what is due inside the cluster by now: replication, elections, news that reach brokers, answers that waited.
    pub fn advance(&mut self, now_ms: u64) {
        while let Some((at_ms, due)) = self.agenda.take(now_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            match due {
                Due::Learn(node) => self.learn(node),
                Due::Session(node) => self.end_session(node),
                Due::Fetch(place, node) => self.end_fetch(place, node),
                Due::Lag(place, node) => self.check_lag(place, node),
                Due::AlterIsr => self.alter_isrs(),
                Due::Timeout(wait) => self.time_out(wait),
                Due::Stop(node) => self.stop(node),
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// When something happens inside the cluster next; `None` if nothing is under way. Answers have times of their own
    /// ([`next_due`](Self::next_due)).
    #[must_use]
    pub fn next_event(&self) -> Option<u64> {
        self.agenda.next()
    }

    /// Does what follows at once from what just happened.
    fn settle(&mut self) {
        self.advance(self.now_ms);
    }

    /// What the cluster has to tell since this was asked last, a line each: elections, ISRs, brokers that come and go, log ends that
    /// were cut. Only the newest 10 000 lines are kept.
    pub fn take_news(&mut self) -> Vec<String> {
        if self.news.0.is_empty() {
            return Vec::new();
        }
        std::mem::take(&mut self.news.0).into()
    }

    /// How many changes of partitions brokers have acted upon so far, each replica for itself: what time inside large clusters goes into.
    #[must_use]
    pub fn changes_applied(&self) -> u64 {
        self.changes_applied
    }

    // ---- what is decided ----

    /// How many partitions a topic has; 0 if there is none.
    #[must_use]
    pub fn partition_count(&self, topic: &str) -> u32 {
        self.topic(topic).map_or(0, |topic| topic.partitions.len() as u32)
    }

    /// The id of a topic.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> Option<[u8; 16]> {
        self.topic(topic).map(|topic| topic.id)
    }

    /// The leader (-1: none) and the leader epoch of a partition, as the controller knows them.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: u32) -> Option<(i32, i32)> {
        self.partition(topic, partition).map(|partition| (partition.state().leader, partition.state().leader_epoch))
    }

    /// The replicas in sync, as the controller knows them.
    #[must_use]
    pub fn isr(&self, topic: &str, partition: u32) -> Option<Vec<i32>> {
        self.partition(topic, partition).map(|partition| partition.state().isr.clone())
    }

    // ---- what the logs hold ----

    /// All records that a partition keeps, decoded, in offset order: what the leader holds, or without a leader, the replica in sync
    /// that holds most.
    #[must_use]
    pub fn log(&self, topic: &str, partition: u32) -> Vec<StoredRecord> {
        self.best(topic, partition).map(|replica| replica.log.records()).unwrap_or_default()
    }

    /// The same as one broker's replica holds it.
    #[must_use]
    pub fn log_of(&self, broker: i32, topic: &str, partition: u32) -> Vec<StoredRecord> {
        let replica = self.partition(topic, partition).and_then(|partition| partition.replica(broker));
        replica.map(|replica| replica.log.records()).unwrap_or_default()
    }

    /// How many records were appended to a topic, those that retention removed included.
    #[must_use]
    pub fn record_count(&self, topic: &str) -> u64 {
        let partitions = self.topic(topic).map(|topic| &topic.partitions).into_iter().flatten();
        partitions.filter_map(|partition| partition.best()).map(|replica| replica.log.end_offset().unsigned_abs()).sum()
    }

    /// The first offset that a partition keeps, and the offset of the next record.
    #[must_use]
    pub fn offsets(&self, topic: &str, partition: u32) -> Option<(i64, i64)> {
        self.best(topic, partition).map(|replica| (replica.log.start_offset(), replica.log.end_offset()))
    }

    /// The offset before which everything is on all replicas in sync, as far as the leader knows.
    #[must_use]
    pub fn high_watermark(&self, topic: &str, partition: u32) -> Option<i64> {
        self.best(topic, partition).map(|replica| replica.high_watermark)
    }

    /// Deletes the records before an offset, as retention does; the producers are not forgotten.
    pub fn delete_records(&mut self, topic: &str, partition: u32, before_offset: i64) {
        self.each_replica(topic, partition, |replica| replica.log.delete_before(before_offset));
    }

    /// Loses the end of a log from an offset on (from its batch's start), on all replicas, as an unclean leader election does.
    pub fn truncate(&mut self, topic: &str, partition: u32, from_offset: i64) {
        let expiration_ms = self.options.producer_id_expiration_ms;
        self.each_replica(topic, partition, |replica| {
            replica.truncate(from_offset, expiration_ms);
        });
    }

    /// Forgets what a partition remembers of its producers, as after `producer.id.expiration.ms`.
    pub fn forget_producers(&mut self, topic: &str, partition: u32) {
        self.each_replica(topic, partition, |replica| replica.log.forget_producers());
    }

    /// The same for good, on all replicas, and after a restart, too: for tests that let sequence numbers jump.
    pub(crate) fn forget_sequences(&mut self, topic: &str, partition: u32) {
        self.each_replica(topic, partition, |replica| replica.log.forget_sequences());
    }

    fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(&self.topic_now(name)?)
    }

    fn partition(&self, topic: &str, partition: u32) -> Option<&topic::Partition> {
        self.topic(topic)?.partitions.get(partition as usize)
    }

    fn best(&self, topic: &str, partition: u32) -> Option<&replica::Replica> {
        self.partition(topic, partition)?.best()
    }

    fn each_replica(&mut self, topic: &str, partition: u32, change: impl FnMut(&mut replica::Replica)) {
        if let Some(place) = self.place_of(topic, partition)
            && let Some(partition) = self.partition_at_mut(place)
        {
            partition.replicas.iter_mut().for_each(change);
        }
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
        self.requests_forgotten += self.history.len();
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

    /// Opens a connection to a broker; `None` if it is dead, not ready yet, or does not exist.
    pub fn connect(&mut self, now_ms: u64, broker: i32) -> Option<ConnectionId> {
        self.advance(now_ms);
        if !self.brokers.get(&broker)?.is_running() {
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
        self.advance(now_ms);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if state.is_closing() {
            return;
        }
        if !state.input.is_empty() {
            state.input.extend_from_slice(bytes);
            self.process_input(now_ms, connection);
            return self.settle();
        }
        // The common case: whole frames, processed where they are.
        let used = self.process(now_ms, connection, bytes);
        if let Some(state) = self.connections.get_mut(&connection)
            && !state.is_closing()
        {
            state.input.extend_from_slice(&bytes[used..]);
        }
        self.settle();
    }

    /// Appends to `out` the bytes from broker to client that are due. False once the broker closed the connection: these bytes are its
    /// last, and the id is of no use any more.
    pub fn transmit(&mut self, now_ms: u64, connection: ConnectionId, out: &mut Vec<u8>) -> bool {
        self.advance(now_ms);
        if self.is_mute(connection) {
            return true;
        }
        // A broker that reads one request at a time gets to the next one when the last answer is out.
        self.process_input(now_ms, connection);
        self.settle();
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
        self.connections.keys().filter_map(|id| self.next_due_of(*id)).min()
    }

    /// The same for one connection.
    #[must_use]
    pub fn next_due_of(&self, connection: ConnectionId) -> Option<u64> {
        if self.is_mute(connection) {
            return None;
        }
        self.connections.get(&connection)?.next_due()
    }

    /// Whether a connection's broker is paused.
    fn is_mute(&self, connection: ConnectionId) -> bool {
        let broker = self.connections.get(&connection).and_then(|connection| self.brokers.get(&connection.broker));
        broker.is_some_and(|broker| broker.paused)
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
