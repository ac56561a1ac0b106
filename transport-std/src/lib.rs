#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod callbacks;
mod cells;
#[cfg(feature = "codecs")]
mod codec;
pub mod config;
mod delivery;
mod error;
mod events;
mod failures;
pub mod guide;
mod inside;
mod interceptor;
mod io;
mod levels;
mod metrics;
mod partition;
mod prepared;
mod problem;
mod producer;
mod record;
mod refusals;
mod seed;
mod sending;
mod serializer;
mod shared;
mod sorted;
mod topics;
mod typed;
mod waiters;
mod wake;

pub use config::{Builder, ConfigWarning, ConfigWarningKind};
pub use delivery::{Delivery, RecordMetadata};
pub use error::{
    CloseError, ConfigError, DeliveryError, DeliveryErrorKind, ErrorCode, Fate, SendError, SerializationError,
};
pub use interceptor::{FailedRecord, Failure, Interceptor, OutgoingRecord};
pub use klamm_core::{
    Acks, Compression, Disconnect, Limits, Measure, Measurements, MetadataRecoveryStrategy, NodeStats, OnGap,
    PartitionRequest, Partitioner, PeerError, Problem, Stats, TopicId, TopicStats,
};
#[cfg(feature = "metrics")]
pub use metrics::MetricsExporter;
pub use metrics::{Metric, Metrics, Tags};
pub use partition::{Leader, PartitionInfo, PartitionQuery};
pub use producer::{FlushFuture, Producer};
pub use record::{Header, Record};
pub use sending::SendFuture;
#[cfg(feature = "serde")]
pub use serializer::Json;
pub use serializer::{Native, Nullable, RecordPart, Serialized, Serializer, SerializerContext};
pub use typed::{TypedProducer, TypedRecord};
