//! klamm under load.
//!
//! * [`sink`]: a broker that acknowledges as cheaply as it can, for measuring clients;
//! * [`workload`]: what a client is measured with, the same for klamm and its peers (`tests/peers`);
//! * [`stress`]: many threads, a starved I/O thread, many producers; every outcome is checked;
//! * [`soak`]: a long run through a proxy that breaks connections;
//! * [`signals`]: what signals and child processes do to a producer.
//!
//! The program `klamm-load` runs them; `cargo xtask bench --peer`, `stress` and `soak` run the program.
#![forbid(unsafe_code)]

pub mod args;
pub mod child;
pub mod klamm_client;
pub mod proxy;
pub mod signals;
pub mod sink;
pub mod soak;
pub mod stress;
pub mod usage;
pub mod verify;
pub mod workload;

/// What goes wrong here is told to whoever runs it, as text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
