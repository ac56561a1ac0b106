//! klamm's core against the simulated cluster.

mod chaos;
mod connection;
mod happy;
mod idempotence;
