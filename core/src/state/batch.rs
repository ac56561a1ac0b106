//! The slot of one batch.

use crate::Instant;
use crate::error::{DeliveryError, ErrorCode, Fate};
use crate::event::{Accepted, Failed, RecordId, TopicId};
use crate::record::batch::HEADER_SIZE;
use crate::state::arena::Position;
use crate::state::list::{Link, NIL, chain};

/// Room before a batch's header, in its first block, for the framing that the Produce request puts
/// before each batch (at most 14 bytes, see `protocol::produce`).
pub(crate) const HEADROOM: u32 = 16;
/// Where the records begin in a batch's first block.
pub(crate) const RECORDS_AT: u32 = HEADROOM + HEADER_SIZE;

/// Where a batch stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchState {
    /// The slot is free.
    Free,
    /// Takes records.
    Open,
    /// Takes no more; never sent.
    Closed,
    /// In a request that is being written or awaits its answer.
    InFlight,
    /// Waits for its retry backoff.
    Backoff,
    /// To be sent again now.
    Retry,
    /// Takes no more; a codec outside the core has its records, or is to get them.
    #[cfg(feature = "codecs")]
    Compressing,
    /// Was found too large; a codec outside the core is to give its records back, so that it can be split.
    #[cfg(feature = "codecs")]
    Expanding,
    /// Has its outcome; [`poll_event`](crate::Producer::poll_event) has yet to tell it.
    Done,
}

/// What became of the records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Delivered { base_offset: i64, log_append_time: i64 },
    Failed(Failed),
}

/// One batch. Its bytes are a chain of arena blocks: headroom, header, records.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[repr(C)]
pub(crate) struct Batch {
    pub(crate) state: BatchState,
    /// Where the framing begins in the first block.
    pub(crate) frame_at: u8,
    /// First of its topic in its request.
    pub(crate) opens_topic: bool,
    /// Its request was formed before the topic was made again, and names it by the id of that time.
    pub(crate) former_id: bool,
    /// Waited `linger.ms`, or was told not to.
    pub(crate) lingered: bool,
    /// The records are as they will travel: stamped, compressed.
    pub(crate) complete: bool,
    /// The header is patched and summed; the bytes are frozen.
    pub(crate) sealed: bool,
    /// Holds a producer id, an epoch and a base sequence.
    pub(crate) sequenced: bool,
    /// An earlier attempt may have reached the log.
    pub(crate) uncertain: bool,
    /// Failed by its deadline while in flight: told to the caller, but its bytes may still be on
    /// the wire, so its blocks stay until it is answered or the connection is gone (KAFKA-19012).
    pub(crate) expired: bool,
    /// In the list of batches whose outcome is to be told.
    pub(crate) untold: bool,
    /// Has keyed records that relied on a declared partition count.
    pub(crate) declared: bool,
    /// Timestamps count from the clock's origin: no wall clock was set (promise 7).
    pub(crate) uptime: bool,
    #[cfg(any(feature = "lz4", feature = "codecs"))]
    pub(crate) compressed: bool,
    /// The broker's words on a refused record are kept in the first block, this many bytes of them.
    #[cfg(feature = "error-text")]
    pub(crate) text_len: u8,
    pub(crate) last_error: ErrorCode,
    /// Blocks that the records took before they were compressed; fits, see `compression::in_place`.
    #[cfg(feature = "lz4")]
    pub(crate) raw_blocks: u16,
    pub(crate) first_block: u32,
    pub(crate) blocks: u32,
    /// Bytes of the records on the wire.
    pub(crate) record_bytes: u32,
    pub(crate) count: u32,
    /// Counts batches over the whole producer; the parts of a split keep it.
    pub(crate) id: u32,
    /// Index of the first record in the batch as first filled.
    pub(crate) first_index: u32,
    pub(crate) partition: u32,
    /// Valid if `sequenced`.
    pub(crate) base_sequence: i32,
    pub(crate) attempts: u32,
    /// The request that carries it, or carried it last. While a codec has it, the number of that job; 0
    /// until the job was given out.
    pub(crate) request: u32,
    /// Leader epoch when the batch was last sent: a newer one skips the backoff (KAFKA-15415).
    pub(crate) leader_epoch: i32,
    /// Bytes of the records before they were compressed, once that is over.
    #[cfg(any(feature = "codecs", feature = "metrics"))]
    pub(crate) raw_bytes: u32,
    /// The block that is being written, and the bytes used in it.
    pub(crate) tail: Position,
    pub(crate) in_queue: Link,
    /// In the list of all live batches by age, or of those done.
    pub(crate) by_age: Link,
    /// In the list of its request, of a retry level, of jobs to be given out, or of free slots.
    pub(crate) in_state: Link,
    pub(crate) created_at: Instant,
    /// When the backoff ends, in [`BatchState::Backoff`].
    pub(crate) retry_at: Instant,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    /// What the outcome is told of.
    pub(crate) told_topic: TopicId,
    pub(crate) told_index: i32,
    pub(crate) outcome: Outcome,
}

/// RAM per batch; the formula in the README counts on it.
const _: () = assert!(size_of::<Batch>() <= 168);

chain!(
    /// A partition's batches in the order of their records.
    InQueue, Batch, in_queue
);
chain!(
    /// Live batches by creation, or done batches.
    ByAge, Batch, by_age
);
chain!(
    /// A request's, a retry level's, those to be compressed, or free batches.
    InState, Batch, in_state
);

impl Batch {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        first_block: 0,
        tail: Position { block: 0, at: 0 },
        max_timestamp: 0,
        base_sequence: 0,
        leader_epoch: 0,
        outcome: Outcome::Delivered { base_offset: 0, log_append_time: 0 },
        in_queue: Link::BLANK,
        by_age: Link::BLANK,
        in_state: Link::BLANK,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            first_block: NIL,
            tail: Position { block: NIL, at: 0 },
            blocks: 0,
            record_bytes: 0,
            count: 0,
            id: 0,
            first_index: 0,
            partition: 0,
            created_at: Instant::ZERO,
            retry_at: Instant::ZERO,
            base_timestamp: 0,
            max_timestamp: -1,
            base_sequence: -1,
            attempts: 0,
            request: 0,
            leader_epoch: -1,
            told_topic: TopicId { slot: 0, generation: 0 },
            told_index: 0,
            outcome: Outcome::Failed(Failed { error: DeliveryError::Closed, fate: Fate::NotWritten, record: None }),
            last_error: ErrorCode::NONE,
            state: BatchState::Free,
            frame_at: 0,
            opens_topic: false,
            former_id: false,
            lingered: false,
            complete: false,
            sealed: false,
            sequenced: false,
            uncertain: false,
            expired: false,
            untold: false,
            declared: false,
            uptime: false,
            #[cfg(any(feature = "lz4", feature = "codecs"))]
            compressed: false,
            #[cfg(feature = "lz4")]
            raw_blocks: 0,
            #[cfg(any(feature = "codecs", feature = "metrics"))]
            raw_bytes: 0,
            #[cfg(feature = "error-text")]
            text_len: 0,
            in_queue: Link::new(),
            by_age: Link::new(),
            in_state: Link::new(),
        }
    }

    /// Counts a record that was written; `slot` is the batch's own.
    #[inline]
    pub(crate) fn count_record(&mut self, slot: u32, tail: Position, size: u32, timestamp: i64) -> Accepted {
        self.tail = tail;
        self.record_bytes = self.record_bytes.wrapping_add(size);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let id = RecordId { batch: self.id, index: self.count };
        self.count = self.count.wrapping_add(1);
        let timestamp = if self.uptime { -1 } else { timestamp };
        Accepted {
            id,
            slot,
            timestamp,
            new_batch: false,
            wake: false,
            #[cfg(feature = "codecs")]
            compress: false,
        }
    }

    /// Header and records.
    pub(crate) const fn wire_bytes(&self) -> u32 {
        HEADER_SIZE.saturating_add(self.record_bytes)
    }

    pub(crate) const fn records_at(&self) -> Position {
        Position { block: self.first_block, at: RECORDS_AT }
    }

    pub(crate) const fn fate(&self) -> Fate {
        if self.uncertain { Fate::Unknown } else { Fate::NotWritten }
    }

    /// The broker's words are kept in the first block.
    pub(crate) const fn has_text(&self) -> bool {
        #[cfg(feature = "error-text")]
        return self.text_len > 0;
        #[cfg(not(feature = "error-text"))]
        false
    }

    /// A fresh slot.
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn renew(&mut self) {
        *self = Self::new();
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
