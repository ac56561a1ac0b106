//! The slot of one topic. Its name, in wire form, lives in the storage's text.

use crate::error::ErrorCode;
use crate::protocol::NO_UUID;
use crate::state::list::NIL;

/// One topic.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[repr(C)]
pub(crate) struct Topic {
    pub(crate) in_use: bool,
    /// Metadata for it is wanted.
    pub(crate) wanted: bool,
    /// Named in the metadata request under way.
    pub(crate) asked: bool,
    /// The partition count was declared, not learned.
    pub(crate) declared: bool,
    /// The last answer about it told an id. In a cluster of several versions one broker may, and another not: then the id may
    /// be that of a topic that is gone.
    pub(crate) id_told: bool,
    /// [`Event::Topic`](crate::Event::Topic) is due.
    pub(crate) changed: bool,
    /// A lasting metadata error was reported as a problem.
    pub(crate) reported: bool,
    pub(crate) name_len: u8,
    pub(crate) generation: u16,
    /// The last metadata error.
    pub(crate) error: ErrorCode,
    /// Expected size after compression, in 1/1024 (Java's `CompressionRatioEstimator`).
    pub(crate) ratio: u16,
    /// −1 while unknown.
    pub(crate) partitions: i32,
    /// Batches that hold its records.
    pub(crate) batches: u32,
    /// Partition slots bound to it.
    pub(crate) bound: u32,
    /// The partition that keyless records go to (KIP-794), and the bytes it took since it was chosen.
    pub(crate) sticky: u32,
    pub(crate) sticky_bytes: u32,
    /// Queue of keyless records from before the first metadata.
    pub(crate) unassigned: u32,
    #[cfg(feature = "round-robin")]
    pub(crate) round_robin: u32,
    /// Largest batch that the broker did not refuse as too large.
    pub(crate) batch_limit: u32,
    /// Record bytes of the largest batch that the broker took since it last found one too large.
    #[cfg(any(feature = "lz4", feature = "codecs"))]
    pub(crate) taken: u32,
    /// The request being formed that the topic is part of, its last batch there, its first one, and
    /// how many partitions it has there.
    pub(crate) request: u32,
    pub(crate) request_first: u32,
    pub(crate) request_last: u32,
    pub(crate) request_partitions: u32,
    pub(crate) bucket: u32,
    pub(crate) hash_next: u32,
    pub(crate) name_hash: u64,
    /// Topic id (KIP-516), zero while unknown; and the one before it, which answers to requests under
    /// way may still carry after the topic was recreated.
    pub(crate) id: [u8; 16],
    pub(crate) previous_id: [u8; 16],
    #[cfg(feature = "metrics")]
    pub(crate) counts: crate::TopicStats,
}

#[cfg(not(feature = "metrics"))]
const _: () = assert!(size_of::<Topic>() <= 128);

/// A ratio of 1.
pub(crate) const RATIO_ONE: u16 = 1024;

impl Topic {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        partitions: 0,
        sticky: 0,
        unassigned: 0,
        batch_limit: 0,
        ratio: 0,
        request_first: 0,
        request_last: 0,
        bucket: 0,
        hash_next: 0,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            generation: 0,
            in_use: false,
            wanted: false,
            asked: false,
            declared: false,
            id_told: false,
            changed: false,
            reported: false,
            name_len: 0,
            error: ErrorCode::NONE,
            partitions: -1,
            name_hash: 0,
            id: NO_UUID,
            previous_id: NO_UUID,
            batches: 0,
            bound: 0,
            sticky: NIL,
            sticky_bytes: 0,
            unassigned: NIL,
            #[cfg(feature = "round-robin")]
            round_robin: 0,
            batch_limit: u32::MAX,
            ratio: RATIO_ONE,
            #[cfg(any(feature = "lz4", feature = "codecs"))]
            taken: 0,
            request: 0,
            request_first: NIL,
            request_last: NIL,
            request_partitions: 0,
            bucket: NIL,
            hash_next: NIL,
            #[cfg(feature = "metrics")]
            counts: crate::TopicStats::NEW,
        }
    }

    /// A fresh slot that keeps what outlives a topic: its generation and its role as hash bucket.
    pub(crate) fn reset(&mut self) {
        let (generation, bucket) = (self.generation, self.bucket);
        *self = Self { generation, bucket, ..Self::new() };
    }

    pub(crate) fn has_id(&self) -> bool {
        self.id != NO_UUID
    }

    /// Whether an answer that names `id` can mean this topic.
    pub(crate) fn answers_to(&self, id: &[u8; 16]) -> bool {
        *id != NO_UUID && (self.id == *id || self.previous_id == *id)
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self::new()
    }
}

/// FNV-1a, 64 bits: topic names are compared by hash and length as they stream by.
pub(crate) fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The hash of no bytes.
pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
