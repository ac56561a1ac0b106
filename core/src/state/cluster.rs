//! What is known of the cluster beyond the tables of topics and brokers, and what is due to be asked.

use crate::Instant;
use crate::error::ErrorCode;
use crate::protocol::NO_UUID;
use crate::state::broker::Backoff;
use crate::state::partition::NONE;
use crate::state::topic::FNV_START;

/// Knowledge of the cluster beyond the tables of topics and brokers.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Broker slots in use.
    pub(crate) brokers: u32,
    /// Brokers that wait for a connection slot.
    pub(crate) waiting: u32,
    /// Topics whose [`Event::Topic`](crate::Event::Topic) is due.
    pub(crate) topics_changed: u32,
    pub(crate) refresh: Refresh,
    pub(crate) reading: MetadataResponse,
    pub(crate) bootstrap: Bootstrap,
}

impl Cluster {
    /// With so many bootstrap servers.
    pub(crate) const fn new(servers: u16) -> Self {
        Self {
            brokers: 0,
            waiting: 0,
            topics_changed: 0,
            refresh: Refresh::new(),
            reading: MetadataResponse::new(),
            bootstrap: Bootstrap::new(servers),
        }
    }
}

/// When metadata is due.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    /// Something is wanted.
    pub(crate) needed: bool,
    /// All topics, not only those marked as wanted.
    pub(crate) full: bool,
    /// A connection has the request to form, or its answer to await.
    pub(crate) under_way: bool,
    /// The request names all topics; topics in it are marked as asked.
    pub(crate) next_topic: u32,
    /// No request before this.
    pub(crate) not_before: Instant,
    pub(crate) last_success: Instant,
    /// Failures in a row, and answers without news in a row.
    pub(crate) failures: u32,
    pub(crate) without_news: u32,
    /// Since when there was no successful answer although one was tried for (KIP-1102).
    pub(crate) outage_since: Option<Instant>,
}

impl Refresh {
    pub(crate) const fn new() -> Self {
        Self {
            needed: false,
            full: false,
            under_way: false,
            next_topic: 0,
            not_before: Instant::ZERO,
            last_success: Instant::ZERO,
            failures: 0,
            without_news: 0,
            outage_since: None,
        }
    }
}

/// The list is tried in turn; a round that failed whole backs off.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    /// Entries in the list.
    pub(crate) servers: u16,
    /// The next one to try.
    pub(crate) next: u16,
    /// Failed attempts in this round.
    pub(crate) tried: u16,
    pub(crate) backoff: Backoff,
    /// The connection to one of them, or [`NONE`].
    pub(crate) connection: u16,
}

impl Bootstrap {
    pub(crate) const fn new(servers: u16) -> Self {
        Self { servers, next: 0, tried: 0, backoff: Backoff::new(), connection: NONE }
    }
}

/// What is known so far of the response being read. There is at most one at a time.
#[derive(Clone, Debug)]
pub(crate) struct MetadataResponse {
    pub(crate) version: i16,
    pub(crate) broker: u16,
    pub(crate) brokers: u32,
    /// Bytes of the host taken so far, and whether they differ from what was known.
    pub(crate) host_at: usize,
    pub(crate) host_changed: bool,
    /// A broker found no slot.
    pub(crate) passed_over: bool,
    /// A leader of ours may be one of those.
    pub(crate) dropped_leader: bool,
    pub(crate) topic: u16,
    pub(crate) topic_error: ErrorCode,
    pub(crate) name_hash: u64,
    pub(crate) name_len: u32,
    pub(crate) id: [u8; 16],
    pub(crate) partition_error: ErrorCode,
    pub(crate) index: i32,
    /// The largest index of the topic so far; −1 before the first.
    pub(crate) last_index: i32,
    pub(crate) leader_id: i32,
    pub(crate) leader_epoch: i32,
    /// Something was learned: the brake on repeated requests is off (KIP-580).
    pub(crate) progress: bool,
    /// A topic or partition is not well yet: ask again.
    pub(crate) unwell: bool,
    pub(crate) error: ErrorCode,
    pub(crate) throttle_ms: u32,
}

impl MetadataResponse {
    pub(crate) const fn new() -> Self {
        Self {
            version: 0,
            broker: NONE,
            brokers: 0,
            host_at: 0,
            host_changed: false,
            passed_over: false,
            dropped_leader: false,
            topic: NONE,
            topic_error: ErrorCode::NONE,
            name_hash: FNV_START,
            name_len: 0,
            id: NO_UUID,
            partition_error: ErrorCode::NONE,
            index: -1,
            last_index: -1,
            leader_id: -1,
            leader_epoch: -1,
            progress: false,
            unwell: false,
            error: ErrorCode::NONE,
            throttle_ms: 0,
        }
    }
}
