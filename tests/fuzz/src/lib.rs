//! What klamm's fuzzers do, one function of bytes per target.
#![forbid(unsafe_code)]
#![allow(unexpected_cfgs, reason = "included files ask for features of the crates they come from")]

mod books;
mod broker;
pub mod corpus;
mod input;
mod machine;
mod records;
mod responses;
mod rig;
mod setup;
mod shapes;
mod text;
mod world;

/// The core's protocol code, as it is in the core; see [`responses`].
#[path = "../../../core/src/protocol/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::all, reason = "used in part, and linted where it belongs")]
mod core_protocol;

/// The codecs of transport-std, as they are there: a producer of its own, with its threads, would be slow.
#[path = "../../../transport-std/src/codec/mod.rs"]
#[allow(dead_code, missing_docs, clippy::all, reason = "used in part, and linted where it belongs")]
mod codec;
#[path = "../../../transport-std/src/levels.rs"]
#[allow(dead_code, missing_docs, clippy::all, reason = "used in part, and linted where it belongs")]
mod levels;

/// Of the command, which is a program and no library: how it takes lines apart.
#[path = "../../../cli/src/lines.rs"]
#[allow(dead_code, clippy::all, reason = "used in part, and linted where it belongs")]
mod lines;
#[path = "../../../cli/src/reader.rs"]
#[allow(dead_code, clippy::all, reason = "used in part, and linted where it belongs")]
mod reader;

/// What the included reader expects at this place.
mod config {
    pub(crate) fn did_you_mean(_: &str, _: &[&str]) -> String {
        String::new()
    }
}

/// What the included codecs expect at this place.
mod error {
    pub(crate) use klamm::ConfigError;
}

pub use broker::{answers_to_reader, batches, requests};
pub use machine::machine;
pub use records::records;
pub use responses::{response_api_versions, response_init_producer_id, response_metadata, response_produce};
pub use text::{hosts, lines, properties};
pub use world::world;

/// A target: bytes in, a panic if something is wrong.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("answers_to_reader", answers_to_reader),
    ("batches", batches),
    ("hosts", hosts),
    ("lines", lines),
    ("machine", machine),
    ("properties", properties),
    ("records", records),
    ("requests", requests),
    ("response_api_versions", response_api_versions),
    ("response_init_producer_id", response_init_producer_id),
    ("response_metadata", response_metadata),
    ("response_produce", response_produce),
    ("world", world),
];
