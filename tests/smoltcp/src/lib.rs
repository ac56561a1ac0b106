//! A board and a cluster on one simulated wire: [`klamm_smoltcp::Driver`] and a core in the board's smoltcp stack, and at the
//! other end a second stack whose sockets lead to [`klamm_sim::Cluster`]. Time is simulated, and all chance comes from one
//! seed, so that a failing seed fails again.
//!
//! The scenarios are in `tests/`; each ends with [`World::verify`], which compares every outcome with the cluster's log.

mod application;
mod board;
mod host;
mod leases;
mod names;
mod wire;
mod world;

pub use application::Application;
pub use board::Board;
pub use host::Host;
pub use leases::Leases;
pub use names::Names;
pub use wire::{Faults, Flags, Wire};
pub use world::{Setup, World};

use std::net::Ipv6Addr;

/// The topic that everything goes to.
pub const TOPIC: &str = "readings";
/// The address of all brokers, and of the name server.
pub const HOST: [u8; 4] = [10, 0, 0, 1];
/// The board's first address.
pub const BOARD: [u8; 4] = [10, 0, 0, 2];
/// The same over IPv6, of the brokers' machine.
pub const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// And of the board.
pub const BOARD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
/// Broker n listens at this + n − 1.
pub const FIRST_PORT: u16 = 9092;
