//! klamm's core against the simulated cluster.

mod batching;
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
mod outdated;
mod partitioning;
mod peer_bugs;
mod platforms;
mod scale;
mod sequences;
mod split;
mod swarm;
mod timers;
