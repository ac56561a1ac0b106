//! All of the application's memory. Its size is the linker's business; nothing else is ever asked for.

use core::mem::MaybeUninit;

use klamm_core::{Producer, static_storage};
use smoltcp::iface::{Interface, SocketStorage};
use smoltcp::socket::dns::DnsQuery;

/// Connections that can be open at a time, each with a socket of its own. A cluster may have more brokers: the producer closes
/// the connection that was used least recently then.
pub const CONNECTIONS: usize = 2;
/// Largest receive buffer of a socket, in bytes.
pub const RECEIVE_MAX: usize = 1024;
/// Largest transmit buffer of a socket, in bytes: what is on its way to the broker. Two batches of nearly 1 KiB.
pub const TRANSMIT_MAX: usize = 2048;

/// The producer's memory: 4 KiB for readings; one topic, four of its partitions at a time, three brokers.
pub type Tables = static_storage!(
    block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 3, connections: 2
);

/// The rest of what [`run`](crate::run) works in. Like [`Tables`] it is for a `static`; but these have initial values, which
/// take as much flash as they take RAM, and here is nothing that has.
pub struct Memory {
    pub(crate) producer: MaybeUninit<Producer<'static>>,
    pub(crate) network: NetworkMemory,
}

/// What smoltcp works in.
pub(crate) struct NetworkMemory {
    pub(crate) interface: MaybeUninit<Interface>,
    pub(crate) sockets: MaybeUninit<Sockets>,
    pub(crate) receive: [[u8; RECEIVE_MAX]; CONNECTIONS],
    pub(crate) transmit: [[u8; TRANSMIT_MAX]; CONNECTIONS],
    pub(crate) queries: MaybeUninit<Queries>,
}

/// One for each connection, DHCP and DNS.
pub(crate) type Sockets = [SocketStorage<'static>; CONNECTIONS + 2];
/// As many names can be looked up at a time as connections can be opened.
pub(crate) type Queries = [Option<DnsQuery>; CONNECTIONS];

impl Memory {
    /// Memory for one [`run`](crate::run).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            producer: MaybeUninit::uninit(),
            network: NetworkMemory {
                interface: MaybeUninit::uninit(),
                sockets: MaybeUninit::uninit(),
                receive: [[0; RECEIVE_MAX]; CONNECTIONS],
                transmit: [[0; TRANSMIT_MAX]; CONNECTIONS],
                queries: MaybeUninit::uninit(),
            },
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
