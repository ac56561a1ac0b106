#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cells;
pub mod config;
mod delivery;
mod error;
mod failures;
mod io;
mod problem;
mod producer;
mod record;
mod seed;
mod sending;
mod shared;
mod waiters;
mod wake;

pub use config::{Builder, ConfigWarning, ConfigWarningKind};
pub use delivery::{Delivery, RecordMetadata};
pub use error::{CloseError, ConfigError, DeliveryError, DeliveryErrorKind, ErrorCode, Fate, SendError};
pub use klamm_core::{
    Acks, Compression, Disconnect, Limits, MetadataRecoveryStrategy, OnGap, PartitionRequest, Partitioner, PeerError,
    Problem, Stats, TopicId,
};
pub use producer::{FlushFuture, Producer};
pub use record::{Header, Record};
pub use sending::SendFuture;
