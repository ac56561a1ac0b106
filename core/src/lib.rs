#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, unused_must_use)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unreachable)
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod accumulator;
mod address;
mod cluster;
mod compression;
mod config;
mod connection;
mod error;
mod event;
mod measure;
mod partitioner;
mod producer;
mod protocol;
mod random;
pub mod record;
mod sender;
mod state;
mod stats;
mod time;

#[cfg(feature = "codecs")]
pub use compression::jobs::{Chunks, CodecJob, CodecTask, JobId};
pub use config::{
    Acks, Compression, Config, Crc32c, MetadataRecoveryStrategy, OnGap, PartitionRequest, Partitioner, Text,
};
pub use error::{ConfigError, DeliveryError, Disconnect, ErrorCode, Fate, PeerError, Problem, SendError};
pub use event::{
    Accepted, Action, BatchOutcome, ConnId, Deadline, Delivered, Event, Failed, Leader, RecordId, Target, Timer,
    TopicId, Transmit,
};
pub use producer::Producer;
pub use record::{Header, Record};
#[cfg(feature = "alloc")]
pub use state::storage::Limits;
pub use state::storage::{StaticStorage, Storage};
pub use stats::Stats;
#[cfg(feature = "metrics")]
pub use stats::{Measure, Measurements, NodeStats, TopicStats};
pub use time::{Instant, TickExtender};

#[doc(hidden)]
pub use state::storage::{SINGLE_TIMERS, TOPIC_FRAMING};
