//! All of the application's memory but the producer's tables. Its size is the linker's business; nothing else is ever asked for.

use core::mem::MaybeUninit;

use klamm_core::Producer;
use klamm_firmware_app::{CONNECTIONS, RECEIVE_MAX, TRANSMIT_MAX};
use smoltcp::iface::{Interface, SocketStorage};
use smoltcp::socket::dns::DnsQuery;

/// What [`run`](crate::run) works in besides [`Tables`](klamm_firmware_app::Tables). Like these it is for a `static`; but these have
/// initial values, which take as much flash as they take RAM, and here is nothing that has.
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
