#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, unused_must_use)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unreachable)]

// First: its macros are for the others.
#[macro_use]
mod fmt;

mod connection;
mod driver;
#[cfg(feature = "dns")]
mod resolve;
mod time;

pub use connection::Connection;
pub use driver::{Driver, Next, Options};
pub use time::{from_smoltcp, to_smoltcp};
