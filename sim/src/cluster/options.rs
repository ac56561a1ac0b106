//! What a cluster and its topics are like.

use crate::versions::VersionSet;
use std::ops::RangeInclusive;

/// What a cluster is like. The default is three brokers of Kafka 4.3 that create no topics by themselves.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many brokers; their node ids are 1, 2, ….
    pub brokers: u32,
    /// Topic ids, the cluster id and the first producer id derive from it.
    pub seed: u64,
    /// What every broker advertises; [`Cluster::set_versions`](crate::Cluster::set_versions) changes one of them.
    pub versions: VersionSet,
    /// Whether asking for the metadata of an unknown topic creates it.
    pub auto_create_topics: bool,
    /// Partitions of an automatically created topic.
    pub default_partitions: u32,
    /// Replicas per partition; `None` puts one on every broker.
    pub replication_factor: Option<u32>,
    /// `max.message.bytes` of topics that do not say otherwise.
    pub max_message_bytes: usize,
    /// `segment.bytes`: a larger batch is RECORD_LIST_TOO_LARGE.
    pub segment_bytes: usize,
    /// `min.insync.replicas`, checked for acks=-1.
    pub min_insync_replicas: u32,
    /// `socket.request.max.bytes`: a larger frame closes the connection.
    pub max_request_bytes: usize,
    /// The host that brokers advertise.
    pub host: String,
    /// Broker n advertises port `base_port + n - 1`.
    pub base_port: u16,
    /// Milliseconds between the Unix epoch and `now_ms` 0: the brokers' wall clock.
    pub wall_clock_base_ms: i64,
    /// A partition that never held a record accepts only base sequence 0 (KAFKA-15591, announced for Kafka 4.5). Off, any first
    /// sequence is accepted, as by every release before.
    pub strict_first_sequence: bool,
    /// Whether a partition, with all its replicas, forgets its producers when its leader is killed.
    pub lose_producer_state: bool,
    /// Whether a request is processed although earlier ones on the connection are not answered yet. Apache Kafka reads one
    /// request at a time (off); other servers, and this default, do not.
    pub pipelined: bool,
    /// Each partition keeps about this many bytes and forgets the oldest batches beyond; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// Whether [`Cluster::requests`](crate::Cluster::requests) is kept. Switch it off to move many records.
    pub keep_history: bool,
    /// How replicas follow, and how the cluster learns of its own state.
    pub replication: Replication,
    /// Milliseconds that an append takes, drawn for each: the answer leaves so much later, followers get the batch no earlier, and
    /// later appends to the partition wait. [`Cluster::set_disk`](crate::Cluster::set_disk) changes it for one broker.
    pub disk_ms: RangeInclusive<u64>,
    /// `producer.id.expiration.ms`: a partition forgets a producer that wrote nothing for longer; `None` never does.
    pub producer_id_expiration_ms: Option<u64>,
    /// `producer_byte_rate`: bytes per second that a broker takes from each client id before it throttles it (KIP-219); `None` takes
    /// any. A client that was quiet may send a second's worth at once.
    pub producer_byte_rate: Option<u64>,
}

/// How replicas follow their leaders, and how the cluster learns of its own state.
///
/// By default there are no delays: followers hold at once what their leader appended, the controller notices a death at once, and
/// every broker learns at once of what the controller decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// Milliseconds from an append until a follower has it, drawn for each fetch. The leader hears of it in the same moment; the
    /// follower learns the new high watermark by its next fetch.
    pub fetch_ms: RangeInclusive<u64>,
    /// `replica.lag.time.max.ms`: the leader has a follower that was behind for longer removed from the ISR.
    pub lag_time_max_ms: u64,
    /// `broker.session.timeout.ms`: how long the controller hears nothing from a broker before it takes it for dead.
    pub session_ms: u64,
    /// Milliseconds from the controller's decision until a broker learns of it, drawn for each broker and decision. A broker hears
    /// of decisions in their order.
    pub propagation_ms: RangeInclusive<u64>,
    /// `unclean.leader.election.enable`: whether a replica out of sync may lead if no other is left. What it misses is lost.
    pub unclean: bool,
}

impl Default for Replication {
    fn default() -> Self {
        Self { fetch_ms: 0..=0, lag_time_max_ms: 30_000, session_ms: 0, propagation_ms: 0..=0, unclean: false }
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            brokers: 3,
            seed: 0,
            versions: VersionSet::default(),
            auto_create_topics: false,
            default_partitions: 1,
            replication_factor: None,
            max_message_bytes: 1_048_588,
            segment_bytes: 1 << 30,
            min_insync_replicas: 1,
            max_request_bytes: 100 << 20,
            host: "broker.sim".to_owned(),
            base_port: 9092,
            wall_clock_base_ms: 1_700_000_000_000,
            strict_first_sequence: false,
            lose_producer_state: false,
            pipelined: true,
            retention_bytes: None,
            keep_history: true,
            replication: Replication::default(),
            disk_ms: 0..=0,
            producer_id_expiration_ms: None,
            producer_byte_rate: None,
        }
    }
}

/// What a topic is like; fields that are `None` follow the cluster's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOptions {
    /// How many partitions.
    pub partitions: u32,
    /// Replicas per partition.
    pub replication_factor: Option<u32>,
    /// `max.message.bytes`, of a whole batch as it is sent.
    pub max_message_bytes: Option<usize>,
    /// `min.insync.replicas`.
    pub min_insync_replicas: Option<u32>,
    /// `message.timestamp.type=LogAppendTime`: the broker's clock replaces the records' timestamps.
    pub log_append_time: bool,
    /// `cleanup.policy=compact`: a record without a key is refused. Nothing is ever compacted.
    pub compacted: bool,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: Option<u64>,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: Option<u64>,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            replication_factor: None,
            max_message_bytes: None,
            min_insync_replicas: None,
            log_append_time: false,
            compacted: false,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: None,
        }
    }
}
