//! All of the producer's memory: caller-owned, of fixed size, cut into slots.
//!
//! Nothing in the core grows. Queues are intrusive lists of indices inside the slots
//! ([`crate::state::list`]), so no queue has memory of its own and none can overflow.

#[cfg(feature = "alloc")]
use crate::error::ConfigError;
use crate::state::arena::Block;
use crate::state::batch::Batch;
use crate::state::broker::Broker;
use crate::state::connection::Connection;
use crate::state::partition::Partition;
use crate::state::slots::{Bytes, Slab, Slots};
use crate::state::timer::TimerCell;
use crate::state::topic::Topic;

/// Smallest block: a batch's first block holds headroom and header in one piece.
pub(crate) const BLOCK_SIZE_MIN: usize = 128;
/// Free blocks that cutting a batch in two, or turning it back into records in place, may need for its time.
#[cfg(feature = "split")]
pub(crate) const SPARE_BLOCKS: u32 = 3;
/// Blocks that only splitting and in-place compression may take, at least: one is kept by an earlier cut.
#[cfg(feature = "split")]
pub(crate) const RESERVED_BLOCKS: u32 = SPARE_BLOCKS + 1;
#[cfg(not(feature = "split"))]
pub(crate) const RESERVED_BLOCKS: u32 = 0;
/// Batch slots that only splitting may take.
pub(crate) const RESERVED_BATCHES: u32 = if cfg!(feature = "split") { 1 } else { 0 };
/// Larger storages reserve an eighth, up to this many: more batches can be split at a time.
#[cfg(feature = "split")]
pub(crate) const RESERVED_PART: u32 = 8;
#[cfg(feature = "split")]
pub(crate) const RESERVED_MAX: u32 = 32;
/// Timers besides one per connection and one per broker; see [`crate::state::timer`].
#[doc(hidden)]
pub const SINGLE_TIMERS: usize = 4;
/// Bytes that a topic's text needs beside its name: both forms of the length prefix.
#[doc(hidden)]
pub const TOPIC_FRAMING: usize = 4;

/// Kafka's longest topic name.
pub(crate) const TOPIC_NAME_MAX: usize = 249;
/// What a Metadata request has beside a topic's name: its id, a compact length and its tags.
const TOPIC_REQUEST: usize = 16 + 2 + 1;
/// Smallest scratch, whatever the names.
const SCRATCH_MIN: usize = 96;

/// Smallest scratch for topic texts of this stride. Names go through it one by one: a name that does not fit whole would
/// leave its request unfinished for ever.
const fn scratch_min(topic_stride: usize) -> usize {
    let name = topic_stride.saturating_sub(TOPIC_FRAMING);
    let name = if name < TOPIC_NAME_MAX { name } else { TOPIC_NAME_MAX };
    let request = name.saturating_add(TOPIC_REQUEST);
    if request > SCRATCH_MIN { request } else { SCRATCH_MIN }
}

/// The producer's memory, checked for consistency when it is made.
///
/// On boards [`static_storage!`](crate::static_storage) gives it from a `static`; with the `alloc`
/// feature [`Storage::heap`] allocates it once.
#[derive(Debug)]
pub struct Storage<'a> {
    pub(crate) arena: Bytes<'a>,
    pub(crate) block_size: u32,
    pub(crate) blocks: Slots<'a, Block>,
    pub(crate) batches: Slots<'a, Batch>,
    pub(crate) partitions: Slots<'a, Partition>,
    pub(crate) topics: Slots<'a, Topic>,
    pub(crate) brokers: Slots<'a, Broker>,
    pub(crate) connections: Slots<'a, Connection>,
    pub(crate) timers: Slots<'a, TimerCell>,
    pub(crate) topic_names: Slab<'a>,
    pub(crate) hosts: Slab<'a>,
    pub(crate) scratch: Slab<'a>,
}

#[cfg(feature = "alloc")]
impl Storage<'_> {
    /// Checks that every part can hold what the core needs at least, as [`StaticStorage`] does while it is compiled.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let small = |part, min: usize| Err(ConfigError::StorageTooSmall { part, min: min as u32 });
        let block_size = self.block_size as usize;
        if block_size < BLOCK_SIZE_MIN {
            return small("block", BLOCK_SIZE_MIN);
        }
        if self.blocks.len() < RESERVED_BLOCKS + 1 {
            return small("blocks", RESERVED_BLOCKS as usize + 1);
        }
        if self.arena.as_slice().len() < block_size.saturating_mul(self.blocks.len() as usize) {
            return small("arena", block_size.saturating_mul(self.blocks.len() as usize));
        }
        if self.batches.len() < RESERVED_BATCHES + 1 {
            return small("batches", RESERVED_BATCHES as usize + 1);
        }
        if self.topic_names.stride <= TOPIC_FRAMING {
            return small("topic_bytes", 1);
        }
        let scratch = scratch_min(self.topic_names.stride);
        if self.scratch.stride < scratch {
            return small("scratch_bytes", scratch);
        }
        Ok(())
    }
}

/// How much of everything [`Storage::heap`] allocates.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `buffer.memory`: bytes for records that wait, travel or await their answer.
    pub buffer_memory: usize,
    /// Bytes per arena block, at least 128; a batch wastes half a block on average.
    pub block_size: usize,
    /// Batches that may exist at a time.
    pub batches: usize,
    /// Partitions that may be in use at a time, over all topics.
    pub partitions: usize,
    /// Topics.
    pub topics: usize,
    /// Brokers.
    pub brokers: usize,
    /// Connections open at a time.
    pub connections: usize,
    /// Longest topic name; Kafka's own limit is 249.
    pub topic_bytes: usize,
    /// Longest host name; DNS's own limit is 253.
    pub host_bytes: usize,
    /// A connection's scratch for request headers and control requests; at least 96, and 19 more than `topic_bytes`.
    pub scratch_bytes: usize,
}

#[cfg(feature = "alloc")]
impl Default for Limits {
    /// For servers: 32 MiB of records in 4 KiB blocks.
    fn default() -> Self {
        Self {
            buffer_memory: 32 << 20,
            block_size: 4096,
            batches: 8192,
            partitions: 4096,
            topics: 256,
            brokers: 128,
            connections: 128,
            topic_bytes: 249,
            host_bytes: 253,
            scratch_bytes: 512,
        }
    }
}

#[cfg(feature = "alloc")]
impl Storage<'static> {
    /// Allocates everything at once; the core allocates nothing after this.
    #[must_use]
    pub fn heap(limits: &Limits) -> Self {
        let block_size = limits.block_size.clamp(BLOCK_SIZE_MIN, 1 << 24);
        let blocks = (limits.buffer_memory / block_size).clamp(RESERVED_BLOCKS as usize + 1, u32::MAX as usize - 1);
        let slab = |stride: usize, count: usize| Slab {
            bytes: Bytes::Owned(alloc::vec![0; stride.saturating_mul(count.max(1))].into_boxed_slice()),
            stride,
        };
        Self {
            arena: Bytes::Owned(alloc::vec![0; blocks.saturating_mul(block_size)].into_boxed_slice()),
            block_size: block_size as u32,
            blocks: Slots::owned(blocks),
            batches: Slots::owned(limits.batches.max(RESERVED_BATCHES as usize + 1)),
            partitions: Slots::owned(limits.partitions),
            topics: Slots::owned(limits.topics.clamp(1, 0xfffe)),
            brokers: Slots::owned(limits.brokers.clamp(1, 0x7ffe)),
            connections: Slots::owned(limits.connections.clamp(1, 0x7ffe)),
            timers: Slots::owned(limits.connections.clamp(1, 0x7ffe) + limits.brokers.clamp(1, 0x7ffe) + SINGLE_TIMERS),
            topic_names: slab(limits.topic_bytes.saturating_add(TOPIC_FRAMING), limits.topics),
            hosts: slab(limits.host_bytes, limits.brokers),
            scratch: slab(limits.scratch_bytes.max(SCRATCH_MIN), limits.connections),
        }
    }
}

/// Memory for a producer in a `static`, sized at compile time; made by
/// [`static_storage!`](crate::static_storage), whose names keep the numbers apart.
#[derive(Debug)]
pub struct StaticStorage<
    const BLOCK: usize,
    const BLOCKS: usize,
    const BATCHES: usize,
    const PARTITIONS: usize,
    const TOPICS: usize,
    const BROKERS: usize,
    const CONNECTIONS: usize,
    const TIMERS: usize,
    const TOPIC_BYTES: usize,
    const HOST_BYTES: usize,
    const SCRATCH_BYTES: usize,
> {
    arena: [[u8; BLOCK]; BLOCKS],
    blocks: [Block; BLOCKS],
    batches: [Batch; BATCHES],
    partitions: [Partition; PARTITIONS],
    topics: [Topic; TOPICS],
    brokers: [Broker; BROKERS],
    connections: [Connection; CONNECTIONS],
    timers: [TimerCell; TIMERS],
    topic_names: [[u8; TOPIC_BYTES]; TOPICS],
    hosts: [[u8; HOST_BYTES]; BROKERS],
    scratch: [[u8; SCRATCH_BYTES]; CONNECTIONS],
}

impl<
    const BLOCK: usize,
    const BLOCKS: usize,
    const BATCHES: usize,
    const PARTITIONS: usize,
    const TOPICS: usize,
    const BROKERS: usize,
    const CONNECTIONS: usize,
    const TIMERS: usize,
    const TOPIC_BYTES: usize,
    const HOST_BYTES: usize,
    const SCRATCH_BYTES: usize,
>
    StaticStorage<
        BLOCK,
        BLOCKS,
        BATCHES,
        PARTITIONS,
        TOPICS,
        BROKERS,
        CONNECTIONS,
        TIMERS,
        TOPIC_BYTES,
        HOST_BYTES,
        SCRATCH_BYTES,
    >
{
    const FITS: () = assert!(
        BLOCK >= BLOCK_SIZE_MIN
            && BLOCKS > RESERVED_BLOCKS as usize
            && BATCHES > RESERVED_BATCHES as usize
            && PARTITIONS > 0
            && TOPICS > 0
            && BROKERS > 0
            && CONNECTIONS > 0
            && TIMERS == BROKERS + CONNECTIONS + SINGLE_TIMERS
            && TOPIC_BYTES > TOPIC_FRAMING
            && SCRATCH_BYTES >= scratch_min(TOPIC_BYTES),
        "static_storage!: block >= 128, blocks >= 5 and batches >= 2 (1 and 1 without the feature split), \
         scratch_bytes >= 96 and >= topic_bytes + 19, the others >= 1"
    );

    /// Fresh memory, usable in a `static` or `const`.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default would be one more name for a large value")]
    pub const fn new() -> Self {
        let () = Self::FITS;
        Self {
            arena: [[0; BLOCK]; BLOCKS],
            blocks: [Block { next: 0 }; BLOCKS],
            batches: [const { Batch::BLANK }; BATCHES],
            partitions: [const { Partition::BLANK }; PARTITIONS],
            topics: [const { Topic::BLANK }; TOPICS],
            brokers: [const { Broker::BLANK }; BROKERS],
            connections: [const { Connection::BLANK }; CONNECTIONS],
            timers: [const { TimerCell::BLANK }; TIMERS],
            topic_names: [[0; TOPIC_BYTES]; TOPICS],
            hosts: [[0; HOST_BYTES]; BROKERS],
            scratch: [[0; SCRATCH_BYTES]; CONNECTIONS],
        }
    }

    /// The memory, lent to one producer. `None` only if a size is zero, which [`Self::new`] refuses
    /// to compile.
    #[must_use]
    pub fn storage(&mut self) -> Option<Storage<'_>> {
        Some(Storage {
            arena: Bytes::Borrowed(self.arena.as_flattened_mut()),
            block_size: BLOCK as u32,
            blocks: Slots::borrowed(&mut self.blocks)?,
            batches: Slots::borrowed(&mut self.batches)?,
            partitions: Slots::borrowed(&mut self.partitions)?,
            topics: Slots::borrowed(&mut self.topics)?,
            brokers: Slots::borrowed(&mut self.brokers)?,
            connections: Slots::borrowed(&mut self.connections)?,
            timers: Slots::borrowed(&mut self.timers)?,
            topic_names: Slab { bytes: Bytes::Borrowed(self.topic_names.as_flattened_mut()), stride: TOPIC_BYTES },
            hosts: Slab { bytes: Bytes::Borrowed(self.hosts.as_flattened_mut()), stride: HOST_BYTES },
            scratch: Slab { bytes: Bytes::Borrowed(self.scratch.as_flattened_mut()), stride: SCRATCH_BYTES },
        })
    }
}

/// The type of a producer's memory, by named sizes:
///
/// ```
/// type Board = klamm_core::static_storage!(
///     block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 3, connections: 2
/// );
/// let mut board = Board::new(); // or a `static`, through a cell of your choice
/// let storage = board.storage().unwrap();
/// # let _ = storage;
/// ```
///
/// `topic_bytes: 64, host_bytes: 64, scratch_bytes: 160` may follow: the longest topic name, the
/// longest host name, and the room for a request's header, at least `topic_bytes` + 19.
#[macro_export]
macro_rules! static_storage {
    (block: $block:expr, blocks: $blocks:expr, batches: $batches:expr, partitions: $partitions:expr,
     topics: $topics:expr, brokers: $brokers:expr, connections: $connections:expr $(,)?) => {
        $crate::static_storage!(
            block: $block, blocks: $blocks, batches: $batches, partitions: $partitions,
            topics: $topics, brokers: $brokers, connections: $connections,
            topic_bytes: 64, host_bytes: 64, scratch_bytes: 160
        )
    };
    (block: $block:expr, blocks: $blocks:expr, batches: $batches:expr, partitions: $partitions:expr,
     topics: $topics:expr, brokers: $brokers:expr, connections: $connections:expr,
     topic_bytes: $topic_bytes:expr, host_bytes: $host_bytes:expr, scratch_bytes: $scratch_bytes:expr $(,)?) => {
        $crate::StaticStorage<
            { $block },
            { $blocks },
            { $batches },
            { $partitions },
            { $topics },
            { $brokers },
            { $connections },
            { $brokers + $connections + $crate::SINGLE_TIMERS },
            { $topic_bytes + $crate::TOPIC_FRAMING },
            { $host_bytes },
            { $scratch_bytes },
        >
    };
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    #[test]
    fn the_scratch_holds_every_topic_name() {
        let storage = |topic_bytes, scratch_bytes| {
            Storage::heap(&Limits { buffer_memory: 1 << 16, topic_bytes, scratch_bytes, ..Limits::default() })
        };
        assert_eq!(storage(249, 268).validate(), Ok(()));
        let refused = |min| Err(ConfigError::StorageTooSmall { part: "scratch_bytes", min });
        assert_eq!(storage(249, 267).validate(), refused(268));
        assert_eq!(storage(8, 96).validate(), Ok(()));
    }
}
