//! What is known so far of the responses that connections are reading.

use crate::error::ErrorCode;
use crate::state::list::NIL;
use crate::state::partition::NONE;
use crate::state::topic::FNV_START;

/// A broker's answer for one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) error: ErrorCode,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time: i64,
    pub(crate) log_start_offset: i64,
    /// The first record that the broker named as bad.
    pub(crate) record: Option<u32>,
}

pub(crate) const NO_ANSWER: Answer =
    Answer { error: ErrorCode::NONE, base_offset: -1, log_append_time: -1, log_start_offset: -1, record: None };

/// What is known so far of the response that a connection is reading.
#[derive(Clone, Debug)]
pub(crate) struct ProduceResponse {
    pub(crate) name_hash: u64,
    pub(crate) name_len: u32,
    /// The topic's slot, or [`NONE`].
    pub(crate) topic: u16,
    /// Where in the request the last topic was found: answers mostly come in order.
    pub(crate) cursor: u32,
    pub(crate) index: i32,
    pub(crate) answer: Answer,
    pub(crate) leader_id: i32,
    pub(crate) leader_epoch: i32,
    /// The batch whose first block takes the broker's words, or [`NIL`].
    #[cfg(feature = "error-text")]
    pub(crate) text_batch: u32,
    pub(crate) node: u16,
    pub(crate) throttle_ms: u32,
    /// The response has a partition that was not asked for.
    pub(crate) mismatch: bool,
}

impl ProduceResponse {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        name_hash: 0,
        topic: 0,
        cursor: 0,
        index: 0,
        answer: Answer {
            error: ErrorCode::NONE,
            base_offset: 0,
            log_append_time: 0,
            log_start_offset: 0,
            record: None,
        },
        leader_id: 0,
        leader_epoch: 0,
        #[cfg(feature = "error-text")]
        text_batch: 0,
        node: 0,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            name_hash: FNV_START,
            name_len: 0,
            topic: NONE,
            cursor: NIL,
            index: -1,
            answer: NO_ANSWER,
            leader_id: -1,
            leader_epoch: -1,
            #[cfg(feature = "error-text")]
            text_batch: NIL,
            node: NONE,
            throttle_ms: 0,
            mismatch: false,
        }
    }
}

/// The versions agreed on with one broker; [`Versions::NONE`] where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    pub(crate) produce: i8,
    pub(crate) metadata: i8,
    pub(crate) init_producer_id: i8,
}

impl Versions {
    pub(crate) const NONE: i8 = -1;
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { produce: 0, metadata: 0, init_producer_id: 0 };

    pub(crate) const fn new() -> Self {
        Self { produce: Self::NONE, metadata: Self::NONE, init_producer_id: Self::NONE }
    }
}

/// What is known so far of an ApiVersions response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionsRead {
    pub(crate) error: ErrorCode,
    pub(crate) key: i16,
    pub(crate) min: i16,
    pub(crate) versions: Versions,
    pub(crate) api_versions_max: i8,
    /// It takes Produce requests that name topics by id only.
    pub(crate) ids_only: bool,
    pub(crate) throttle_ms: u32,
}

impl VersionsRead {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { key: 0, versions: Versions::BLANK, ..Self::new() };

    pub(crate) const fn new() -> Self {
        Self {
            error: ErrorCode::NONE,
            key: -1,
            min: 0,
            versions: Versions::new(),
            api_versions_max: 0,
            ids_only: false,
            throttle_ms: 0,
        }
    }
}

/// What is known so far of an InitProducerId response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerIdRead {
    pub(crate) error: ErrorCode,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) throttle_ms: u32,
}

impl ProducerIdRead {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { producer_id: 0, epoch: 0, ..Self::new() };

    pub(crate) const fn new() -> Self {
        Self { error: ErrorCode::NONE, producer_id: -1, epoch: -1, throttle_ms: 0 }
    }
}
