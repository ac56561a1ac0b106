#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, unused_must_use)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unreachable)]

// First: its macros are for the others.
#[macro_use]
mod fmt;

mod clock;
mod connector;
mod desk;
mod driver;
mod duplex;
#[cfg(feature = "edge-nal")]
mod edge;
#[cfg(feature = "embassy-net")]
mod embassy;
mod shared;
mod slot;
mod traffic;
mod waiting;

pub use clock::Clock;
pub use connector::{Connector, NoDns, Tcp, disconnect_of, refusal_of};
pub use driver::Driver;
pub use duplex::Duplex;
#[cfg(feature = "edge-nal")]
pub use edge::EdgeTcp;
#[cfg(feature = "embassy-net")]
pub use embassy::EmbassyTcp;
pub use shared::Shared;
pub use traffic::Traffic;
