//! klamm's core against the simulated cluster.

mod batching;
mod chaos;
mod codecs;
mod codes;
mod connection;
mod crowded;
mod errors;
mod happy;
mod hostile;
mod idempotence;
mod metadata;
mod negotiation;
mod offline;
mod partitioning;
mod peer_bugs;
mod scale;
mod sequences;
mod split;
mod timers;
