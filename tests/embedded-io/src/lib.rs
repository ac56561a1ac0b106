//! An application on `klamm-embedded-io`, its tasks, sockets, brokers and time all simulated, from one seed.

mod executor;
mod ledger;
mod scenario;
mod sockets;
mod world;

pub use executor::{Executor, for_polls};
pub use ledger::{Ledger, Name};
pub use scenario::Scenario;
pub use sockets::{SimDns, SimStream, SimTcp};
pub use world::{HOST, Nap, Reach, SimClock, Weather, World};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use klamm_core::{Config, Limits, Producer, Storage};
use klamm_embedded_io::{Clock, Driver, Shared, Tcp};

/// The topic that everything goes to.
pub const TOPIC: &str = "readings";
/// Connections of the board's.
pub const CONNECTIONS: usize = 2;
/// Bytes that go between core and socket at a time.
pub const CHUNK: usize = 512;

/// The producer, shared by the tasks of one executor.
pub type SimShared = Shared<'static, NoopRawMutex, SimClock>;
/// Its driver over simulated sockets.
pub type SimDriver<'s> = Driver<'s, 'static, NoopRawMutex, SimClock, Tcp<SimTcp, SimDns>, CONNECTIONS, CHUNK>;

/// A producer with a board's memory in this world.
///
/// # Panics
/// If the configuration cannot work.
#[must_use]
pub fn share(world: &World, change: impl FnOnce(&mut Config<'static>)) -> SimShared {
    let mut config = Config::new(world.with(|state| state.cluster.bootstrap_servers()));
    config.batch_size = 1024;
    config.connections_max_idle_ms = 0;
    change(&mut config);
    let storage = Storage::heap(&Limits {
        buffer_memory: 8 << 10,
        block_size: 256,
        batches: 12,
        partitions: 4,
        topics: 1,
        brokers: 3,
        connections: CONNECTIONS,
        topic_bytes: 64,
        host_bytes: 64,
        scratch_bytes: 160,
    });
    let clock = world.clock();
    let seed = world.with(|state| state.random.draw()).to_le_bytes();
    let mut long_seed = [0; 32];
    long_seed[..8].copy_from_slice(&seed);
    let now = clock.now();
    Shared::new(Producer::new(config, storage, long_seed, now).expect("a configuration that works"), clock)
}

/// The driver for it.
#[must_use]
pub fn drive<'s>(world: &World, shared: &'s SimShared) -> SimDriver<'s> {
    Driver::new(shared, Tcp::new(world.tcp(), world.dns()))
}
