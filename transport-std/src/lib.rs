#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cells;
#[cfg(feature = "codecs")]
mod codec;
pub mod config;
mod delivery;
mod error;
mod events;
mod failures;
mod io;
mod levels;
mod metrics;
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
    Acks, Compression, Disconnect, Limits, Measure, Measurements, MetadataRecoveryStrategy, NodeStats, OnGap,
    PartitionRequest, Partitioner, PeerError, Problem, Stats, TopicId, TopicStats,
};
#[cfg(feature = "metrics")]
pub use metrics::MetricsExporter;
pub use metrics::{Metric, Metrics, Tags};
pub use producer::{FlushFuture, Producer};
pub use record::{Header, Record};
pub use sending::SendFuture;
