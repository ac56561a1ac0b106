//! The sizes of all memory, and the producer's part of it.

use klamm_core::static_storage;

/// Connections that can be open at a time, each with a socket of its own. A cluster may have more brokers: the producer closes
/// the connection that was used least recently then.
pub const CONNECTIONS: usize = 2;
/// Largest receive buffer of a socket, in bytes.
pub const RECEIVE_MAX: usize = 1024;
/// Largest transmit buffer of a socket, in bytes: what is on its way to the broker. Two batches of nearly 1 KiB.
pub const TRANSMIT_MAX: usize = 2048;

/// The producer's memory: 4 KiB for readings; one topic, four of its partitions at a time, three brokers.
pub type Tables = static_storage!(
    block: 256, blocks: 16, batches: 6, partitions: 4, topics: 1, brokers: 3, connections: 2,
    topic_bytes: 48, host_bytes: 40, scratch_bytes: 112
);

/// All that the producer has, with its 4 KiB for readings.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Tables>() + size_of::<klamm_core::Producer<'static>>() <= 8 << 10);
