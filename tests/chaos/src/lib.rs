//! klamm against real Kafka while everything around it breaks.
//!
//! Three brokers, each a controller as well, are reached only through proxies of ours. In real time, driven by a seed, brokers are killed,
//! paused, stopped and lose their leaderships ([`nemesis`]), and connections are cut, stalled, swallowed and refused ([`weather`]),
//! while several differently configured producers send numbered records ([`sender`]). What the producers said of each record is kept in
//! a few bits ([`ledger`]); at the end Kafka's own console consumer reads the topic, and every word is held against it ([`verify`]).
//!
//! The program `klamm-chaos` runs it; `cargo xtask chaos` runs the program.
#![forbid(unsafe_code)]

pub mod chance;
pub mod evidence;
pub mod journal;
pub mod ledger;
pub mod memory;
pub mod monitor;
pub mod nemesis;
pub mod profile;
pub mod proxy;
pub mod run;
pub mod sender;
pub mod verify;
pub mod weather;

/// What goes wrong here is told to whoever runs it, as text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The topic of a run.
pub const TOPIC: &str = "chaos";
/// Its partitions.
pub const PARTITIONS: u32 = 12;
/// The ids of the brokers.
pub const BROKERS: [i32; 3] = [1, 2, 3];
