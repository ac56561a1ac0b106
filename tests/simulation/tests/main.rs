//! klamm's core against the simulated cluster.

mod chaos;
mod happy;
