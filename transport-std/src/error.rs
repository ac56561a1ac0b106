//! Errors, split by who must act: the configuration's author, the caller of `send`, the owner of a
//! record that was accepted and then failed.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use klamm_core::{ErrorCode, Fate};

use crate::config::SyntaxError;
use crate::config::unknown;

pub use crate::serializer::SerializationError;

/// A configuration that cannot work. The message names the property, and never shows a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// No client has a property of this name
    /// (with [`Builder::refuse_unknown`](crate::Builder::refuse_unknown)).
    Unknown {
        /// The name as given.
        name: String,
        /// The known name that comes nearest, if one is near.
        suggestion: Option<&'static str>,
    },
    /// The property, or this value of it, is Kafka's but not implemented yet.
    NotYet {
        /// The property.
        name: String,
        /// What works today instead.
        instead: &'static str,
    },
    /// The property configures a part of the Java client that has no counterpart here.
    NoCounterpart {
        /// The property.
        name: String,
        /// Why, or what to do instead.
        instead: &'static str,
    },
    /// The value cannot be read, or is out of range.
    Invalid {
        /// The property.
        name: String,
        /// The value as given; not that of a secret.
        value: String,
        /// What would be legal.
        expected: Cow<'static, str>,
    },
    /// This build of klamm was made without the codec: its feature has the codec's name.
    NoCodec {
        /// The `compression.type`.
        codec: klamm_core::Compression,
    },
    /// A value is out of range, or two contradict each other.
    Settings(klamm_core::ConfigError),
    /// A file of properties cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A text of properties is malformed.
    Syntax(SyntaxError),
    /// An error in a file or text.
    At {
        /// Where: e.g. `producer.properties, line 3`.
        place: String,
        /// What.
        error: Box<Self>,
    },
    /// The operating system refused a poller or a thread.
    Io(io::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, suggestion } => unknown(f, name, *suggestion),
            Self::NotYet { name, instead } => write!(f, "{name} is not implemented yet: {instead}"),
            Self::NoCounterpart { name, instead } => {
                write!(f, "{name} configures a part of the Java client that klamm does not have: {instead}")
            }
            Self::Invalid { name, value, expected } => write!(f, "{name}: expected {expected}, not {value:?}"),
            Self::NoCodec { codec } => {
                let name = codec.name();
                write!(f, "compression.type={name}: this build has no {name}, enable klamm's feature `{name}`")
            }
            Self::Settings(error) => error.fmt(f),
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Syntax(error) => f.write_str(error.what()),
            Self::At { place, error } => write!(f, "{place}: {error}"),
            Self::Io(error) => write!(f, "cannot start the I/O thread: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(error) => Some(error),
            Self::File { error, .. } | Self::Io(error) => Some(error),
            Self::Syntax(error) => Some(error),
            Self::At { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<klamm_core::ConfigError> for ConfigError {
    fn from(error: klamm_core::ConfigError) -> Self {
        Self::Settings(error)
    }
}

/// Why a record was not accepted. Nothing of it was kept, nothing of it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// [`try_send`](crate::Producer::try_send): `buffer.memory` is exhausted now, or others wait for
    /// it already. [`send`](crate::Producer::send) would wait.
    Full,
    /// [`try_send`](crate::Producer::try_send): the record needs the topic's partition count, which
    /// is not known yet; it was asked for. [`send`](crate::Producer::send) would wait.
    PartitionsUnknown,
    /// `max.block.ms` passed without space or metadata.
    Timeout {
        /// How long the call waited.
        waited: Duration,
        /// What it waited for, and why that did not come.
        cause: Box<str>,
    },
    /// The record can never fit: it exceeds `max.request.size` or `buffer.memory`.
    TooLarge {
        /// The record's size with key, value, headers and framing, in bytes.
        size: u32,
        /// What there is room for: `max.request.size`, or what `buffer.memory` can hold if that is less.
        max: u32,
    },
    /// The cluster refuses the topic, and waiting will not change that.
    Topic {
        /// Why, e.g. `TOPIC_AUTHORIZATION_FAILED` or `INVALID_TOPIC_EXCEPTION`.
        error: ErrorCode,
        /// The topic.
        topic: Box<str>,
    },
    /// The topic's name is empty or too long.
    TopicName {
        /// Longest legal name, in bytes.
        max: u32,
    },
    /// More topics are in use than [`Limits::topics`](crate::Limits::topics).
    TooManyTopics {
        /// The limit.
        max: u32,
    },
    /// The record names a partition that the topic does not have, or a custom partitioner did.
    NoSuchPartition {
        /// How many partitions the topic has.
        partitions: u32,
    },
    /// The timestamp is negative.
    InvalidTimestamp,
    /// A serializer refused the key or the value, see [`TypedProducer`](crate::TypedProducer).
    Serialization(Box<SerializationError>),
    /// The function given to [`Builder::partitioner_with`](crate::Builder::partitioner_with) panicked, or
    /// named a partition that the topic does not have.
    Partitioner {
        /// What it did, with the topic's name.
        cause: Box<str>,
    },
    /// The call would have to wait, and it was made where nothing may wait: on the producer's own I/O
    /// thread, in a callback, an interceptor or a waker. There [`send`](crate::Producer::send) does
    /// what [`try_send`](crate::Producer::try_send) does. Send again later, from another callback or
    /// thread.
    InCallback,
    /// The producer is closing or closed.
    Closed,
    /// The producer met an error it cannot recover from; make a new one.
    Fatal(ErrorCode),
    /// The producer's I/O thread panicked, which is a bug in klamm; make a new producer.
    Broken,
}

impl SendError {
    /// Whether the same record may be accepted later by this producer.
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::Full | Self::PartitionsUnknown | Self::Timeout { .. } | Self::InCallback)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("buffer.memory is exhausted"),
            Self::PartitionsUnknown => f.write_str("the topic's partitions are not known yet"),
            Self::Timeout { cause, .. } => f.write_str(cause),
            Self::TooLarge { size, max } => {
                write!(f, "the record takes {size} bytes, and {max} are allowed: ")?;
                f.write_str("raise max.request.size (and buffer.memory if that is smaller), or send less")
            }
            Self::Topic { error, topic } => write!(f, "topic {topic:?}: {error}"),
            Self::TopicName { max } => write!(f, "a topic name has 1 to {max} bytes"),
            Self::TooManyTopics { max } => write!(f, "more than {max} topics in use: raise Limits::topics"),
            Self::NoSuchPartition { partitions } => {
                write!(f, "no such partition: the topic has {partitions}, counted from 0")
            }
            Self::InvalidTimestamp => f.write_str("a timestamp must not be negative"),
            Self::Serialization(error) => error.fmt(f),
            Self::Partitioner { cause } => f.write_str(cause),
            Self::InCallback => f.write_str(
                "the call would have to wait for space or for the topic's partitions, which it must not on \
                 the producer's own I/O thread: send again later, or from another thread",
            ),
            Self::Closed => f.write_str("the producer is closed"),
            Self::Fatal(code) => write!(f, "the producer cannot go on: {code}; make a new one"),
            Self::Broken => f.write_str("klamm's I/O thread panicked, which is a bug; make a new producer"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Serialization(error) => error.source(),
            _ => None,
        }
    }
}

/// Why an accepted record was not delivered, and whether it can be in the log all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryError {
    /// The cause.
    pub kind: DeliveryErrorKind,
    /// What is known: certainly not written, or possibly written.
    pub fate: Fate,
    /// The broker's own words, if it sent some; after a timeout without any answer, why connections failed.
    pub message: Option<Arc<str>>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; −1 if the record failed before one was chosen.
    pub partition: i32,
    /// The broker named other records of the same batch as invalid (KIP-467): this one failed only
    /// because it travelled with them, and can be sent again.
    pub collateral: bool,
}

/// The cause of a [`DeliveryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryErrorKind {
    /// The broker refused the record.
    Broker(ErrorCode),
    /// `delivery.timeout.ms` passed first.
    TimedOut {
        /// The last error met on the way, `LEADER_NOT_AVAILABLE` while the partition had no leader, `NONE` if
        /// there was none.
        last: ErrorCode,
    },
    /// The record alone exceeds the topic's `max.message.bytes`.
    RecordTooLarge,
    /// An earlier batch of the partition was lost; sending this one could have duplicated or
    /// reordered it ([`OnGap::Fail`](crate::OnGap::Fail)).
    SequenceGap,
    /// The partition does not exist.
    NoSuchPartition,
    /// The broker is too old for what the record needs.
    UnsupportedVersion,
    /// The producer was closed before the record was delivered.
    Closed,
    /// The producer's I/O thread panicked, which is a bug in klamm.
    Broken,
    /// [`Delivery::wait`](crate::Delivery::wait) was called in a callback, where nothing may wait. The
    /// record's outcome is still to come.
    InCallback,
    /// A cause that this version of klamm has no word for.
    Other,
}

impl DeliveryErrorKind {
    pub(crate) fn from_core(error: klamm_core::DeliveryError) -> Self {
        use klamm_core::DeliveryError as Core;
        match error {
            Core::Broker(code) => Self::Broker(code),
            Core::TimedOut { last } => Self::TimedOut { last },
            Core::RecordTooLarge => Self::RecordTooLarge,
            Core::SequenceGap => Self::SequenceGap,
            Core::NoSuchPartition => Self::NoSuchPartition,
            Core::UnsupportedVersion => Self::UnsupportedVersion,
            Core::Closed => Self::Closed,
            _ => Self::Other,
        }
    }
}

impl DeliveryError {
    /// The outcome was waited for where nothing may wait.
    pub(crate) fn in_callback(topic: &Arc<str>) -> Self {
        let topic = Arc::clone(topic);
        let kind = DeliveryErrorKind::InCallback;
        Self { kind, fate: Fate::Unknown, message: None, topic, partition: -1, collateral: false }
    }

    /// Whether sending the same record anew may succeed. With [`Fate::Unknown`] it may also
    /// duplicate the record.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        if self.collateral {
            return true;
        }
        match self.kind {
            // The same bytes were refused twice: it was not the wire.
            DeliveryErrorKind::Broker(ErrorCode::CORRUPT_MESSAGE) => false,
            DeliveryErrorKind::Broker(code) => code.is_retriable(),
            DeliveryErrorKind::TimedOut { .. }
            | DeliveryErrorKind::SequenceGap
            | DeliveryErrorKind::Closed
            | DeliveryErrorKind::Broken => true,
            _ => false,
        }
    }

    /// What the reader of a log should do about it.
    fn advice(&self) -> &'static str {
        use DeliveryErrorKind as Kind;
        match self.kind {
            Kind::RecordTooLarge | Kind::Broker(ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE) => {
                "send smaller records, or raise the topic's max.message.bytes"
            }
            // What they say of every record that does not suit its topic.
            Kind::Broker(ErrorCode::CORRUPT_MESSAGE) => {
                "give it a key if the topic is compacted: brokers before 2.4 say it this way"
            }
            Kind::Broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED) => "allow this client to write to the topic",
            Kind::Broker(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) => "allow this client to write idempotently",
            Kind::NoSuchPartition => "correct the declared partition count",
            Kind::UnsupportedVersion => "upgrade the broker, or turn off what it does not know",
            Kind::Broken => "report this bug, and make a new producer",
            Kind::InCallback => "wait for it on another thread",
            _ if self.is_retriable() && self.fate == Fate::NotWritten => "it can be sent again",
            _ if self.is_retriable() => "sending it again may duplicate it",
            _ => "sending it again will not help",
        }
    }
}

impl fmt::Display for DeliveryErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Broker(code) => write!(f, "the broker answered {code}"),
            Self::TimedOut { last } if last == ErrorCode::NONE => {
                f.write_str("not delivered within delivery.timeout.ms")
            }
            Self::TimedOut { last } => write!(f, "not delivered within delivery.timeout.ms, last error {last}"),
            Self::RecordTooLarge => f.write_str("larger than the topic's max.message.bytes"),
            Self::SequenceGap => f.write_str("an earlier batch of the partition was lost"),
            Self::NoSuchPartition => f.write_str("the partition does not exist"),
            Self::UnsupportedVersion => f.write_str("the broker is too old"),
            Self::Closed => f.write_str("the producer was closed before it was delivered"),
            Self::Broken => f.write_str("klamm's I/O thread panicked"),
            Self::InCallback => f.write_str("its outcome is still to come, and a callback must not wait for it"),
            Self::Other => f.write_str("not delivered"),
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record for {}", self.topic)?;
        if self.partition >= 0 {
            write!(f, "-{}", self.partition)?;
        }
        write!(f, ": {}", self.kind)?;
        if let Some(message) = &self.message {
            write!(f, " ({message})")?;
        }
        if self.collateral {
            f.write_str(", but named other records of the batch")?;
        }
        f.write_str(match self.fate {
            Fate::NotWritten => "; it is not in the log: ",
            Fate::Unknown => "; it may be in the log: ",
        })?;
        f.write_str(self.advice())
    }
}

impl std::error::Error for DeliveryError {}

/// Records that were not delivered before a [`close`](crate::Producer::close) ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseError {
    /// How many of the records outstanding at the call failed. Each one's
    /// [`Delivery`](crate::Delivery) says why, and what is known of it.
    pub undelivered: u64,
    /// The producer's thread is still in code of the application's that has not returned, such as a callback. It ends,
    /// and the records that are counted here have their outcomes, once that code returns.
    pub stuck: bool,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed with {} records undelivered", self.undelivered)?;
        if self.stuck {
            f.write_str("; a callback or other code of the application's has not returned")?;
        }
        Ok(())
    }
}

impl std::error::Error for CloseError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every send returns one: a larger error would be paid for by every record.
    #[test]
    fn the_error_of_a_send_stays_small() {
        assert!(size_of::<SendError>() <= 32);
    }
}
