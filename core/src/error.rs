//! Errors, split by who must act: the configuration's author, the caller of `send`, the peer.

use core::fmt;

pub use crate::protocol::error_code::ErrorCode;

/// A configuration or storage that cannot work. Mend the setting it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// `bootstrap.servers` is empty.
    NoBootstrapServers,
    /// An entry of `bootstrap.servers` is not `host:port`; its position, from 0.
    BadBootstrapServer {
        /// Position in the list, from 0.
        index: u32,
    },
    /// A setting lies outside its range.
    OutOfRange {
        /// Kafka's property name.
        name: &'static str,
        /// Smallest legal value.
        min: u32,
        /// Largest legal value.
        max: u32,
    },
    /// Two settings contradict each other.
    Conflict {
        /// Kafka's name of the one property.
        name: &'static str,
        /// What it demands, in words.
        needs: &'static str,
    },
    /// This build cannot compress like that.
    Codec(crate::Compression),
    /// `client.id` is longer than the connections' scratch allows.
    ClientIdTooLong {
        /// Longest legal `client.id`, in bytes.
        max: u32,
    },
    /// A host of `bootstrap.servers` is longer than the storage's `host_bytes`.
    HostTooLong {
        /// Longest legal host, in bytes.
        max: u32,
    },
    /// A part of the storage is too small.
    StorageTooSmall {
        /// Which part.
        part: &'static str,
        /// What it must at least be.
        min: u32,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoBootstrapServers => f.write_str("bootstrap.servers is empty: name at least one host:port"),
            Self::BadBootstrapServer { index } => {
                write!(f, "bootstrap.servers: entry {} is not host:port", index.saturating_add(1))
            }
            Self::OutOfRange { name, min, max } => write!(f, "{name} must be between {min} and {max}"),
            Self::Conflict { name, needs } => write!(f, "{name} needs {needs}"),
            Self::Codec(codec) => write!(f, "compression.type={}: this build has no such codec", codec.name()),
            Self::ClientIdTooLong { max } => write!(f, "client.id is longer than {max} bytes"),
            Self::HostTooLong { max } => write!(f, "a host in bootstrap.servers is longer than {max} bytes"),
            Self::StorageTooSmall { part, min } => write!(f, "storage too small: {part} must be at least {min}"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Why a record was not accepted. Nothing of it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// No room now. Retry after [`Event::Writable`](crate::Event::Writable).
    Full,
    /// The batches for this partition's leader hold their share of the memory
    /// ([`Config::broker_share_percent`](crate::Config::broker_share_percent)); there is room for other
    /// brokers' partitions. Retry after [`Event::Writable`](crate::Event::Writable).
    BrokerShare,
    /// The record can never fit: it exceeds `max.request.size` or the arena. Do not retry.
    TooLarge {
        /// The record's size with key, value, headers and framing, in bytes.
        size: u32,
        /// The largest that is accepted.
        max: u32,
    },
    /// The record needs the topic's partition count, and it is not known yet. Retry after
    /// [`Event::Topic`](crate::Event::Topic), or declare it with
    /// [`Producer::declare_partitions`](crate::Producer::declare_partitions).
    PartitionsUnknown,
    /// The partition does not exist. Retry only if the topic may have grown.
    NoSuchPartition {
        /// How many partitions the topic has.
        partitions: u32,
    },
    /// The topic table is full. [`forget_topic`](crate::Producer::forget_topic) one, or give more.
    TooManyTopics {
        /// Size of the table.
        max: u32,
    },
    /// The topic's name is empty or longer than the storage's `topic_bytes` (Kafka's own limit is 249).
    TopicName {
        /// Longest legal name, in bytes.
        max: u32,
    },
    /// The `TopicId` was forgotten.
    UnknownTopic,
    /// The timestamp is negative.
    Timestamp,
    /// The producer is closing or closed.
    Closed,
    /// The producer met an error it cannot recover from; see the [`Problem`] reported.
    Fatal(ErrorCode),
}

impl SendError {
    /// Whether the same record may be accepted later.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::Full | Self::BrokerShare | Self::PartitionsUnknown)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("the buffer is full"),
            Self::BrokerShare => f.write_str("the partition's broker holds its share of the buffer"),
            Self::TooLarge { size, max } => write!(f, "the record takes {size} bytes, and {max} are allowed"),
            Self::PartitionsUnknown => f.write_str("the topic's partitions are not known yet"),
            Self::NoSuchPartition { partitions } => write!(f, "no such partition: the topic has {partitions}"),
            Self::TooManyTopics { max } => write!(f, "more than {max} topics"),
            Self::TopicName { max } => write!(f, "a topic name has 1 to {max} bytes"),
            Self::UnknownTopic => f.write_str("the topic was forgotten"),
            Self::Timestamp => f.write_str("a timestamp must not be negative"),
            Self::Closed => f.write_str("the producer is closed"),
            Self::Fatal(code) => write!(f, "the producer cannot go on: {code}"),
        }
    }
}

impl core::error::Error for SendError {}

/// What is known of records that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fate {
    /// They are not in the log: they never left, or the broker refused every attempt.
    NotWritten,
    /// They may be in the log: bytes left, and no answer settled what became of them.
    Unknown,
}

/// Why accepted records failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeliveryError {
    /// The broker refused them.
    Broker(ErrorCode),
    /// `delivery.timeout.ms` passed first; the last error met on the way, if any.
    TimedOut {
        /// The last error of the batch or of its topic's metadata, `LEADER_NOT_AVAILABLE` while the partition has no
        /// leader, `NONE` if there was none.
        last: ErrorCode,
    },
    /// The record alone exceeds the broker's `max.message.bytes`.
    RecordTooLarge,
    /// An earlier batch of the partition was lost, so sending this one again could duplicate or
    /// reorder it ([`OnGap::Fail`](crate::OnGap::Fail)).
    SequenceGap,
    /// The partition, accepted on a declared count, does not exist.
    NoSuchPartition,
    /// The broker is too old for what the batch needs.
    UnsupportedVersion,
    /// The producer was closed by force.
    Closed,
}

impl DeliveryError {
    /// Whether sending the same record anew may succeed. With [`Fate::Unknown`] it may also
    /// duplicate the record.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        match self {
            // The same bytes were refused twice: it was not the wire.
            Self::Broker(ErrorCode::CORRUPT_MESSAGE) => false,
            Self::Broker(code) => code.is_retriable(),
            Self::TimedOut { .. } | Self::SequenceGap | Self::Closed => true,
            Self::RecordTooLarge | Self::NoSuchPartition | Self::UnsupportedVersion => false,
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Broker(code) => write!(f, "the broker answered {code}"),
            Self::TimedOut { last } if last == ErrorCode::NONE => {
                f.write_str("not delivered within delivery.timeout.ms")
            }
            Self::TimedOut { last } => write!(f, "not delivered within delivery.timeout.ms; last error {last}"),
            Self::RecordTooLarge => f.write_str("the record exceeds the topic's max.message.bytes"),
            Self::SequenceGap => {
                f.write_str("an earlier batch of the partition was lost; sending again could duplicate")
            }
            Self::NoSuchPartition => f.write_str("the partition does not exist"),
            Self::UnsupportedVersion => f.write_str("the broker is too old"),
            Self::Closed => f.write_str("the producer was closed by force"),
        }
    }
}

impl core::error::Error for DeliveryError {}

/// A peer broke the protocol; the connection is already being closed and its requests are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PeerError {
    /// A frame or a field in it is malformed.
    Malformed,
    /// A response that belongs to no request, or out of order.
    Unexpected,
    /// A response lacks a partition that was asked for, or has one that was not.
    Mismatch,
    /// The peer offers no version of an API that we speak (brokers before 2.1).
    UnsupportedVersion,
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed response",
            Self::Unexpected => "response without a request",
            Self::Mismatch => "response does not match its request",
            Self::UnsupportedVersion => "no common API version: brokers from 2.1 on are supported",
        })
    }
}

impl core::error::Error for PeerError {}

/// Why a stream ended, as far as the transport knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer closed it.
    Closed,
    /// Nothing listens there.
    Refused,
    /// No route.
    Unreachable,
    /// The name cannot be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The transport itself timed out.
    TimedOut,
    /// Anything else.
    Other,
}

/// Something a person should know. Each is reported once until it is cured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Problem {
    /// No bootstrap server can be reached; why the last one failed. Attempts go on.
    Unreachable(Disconnect),
    /// A peer does not speak Kafka, or no version of it that we do. Attempts go on.
    Peer(PeerError),
    /// The producer cannot go on; `send` refuses.
    Fatal(ErrorCode),
    /// The cluster has more brokers with leaders of our partitions than the storage has slots:
    /// partitions of the others wait. Give `brokers` more.
    TooManyBrokers,
    /// A broker's host is longer than the storage's `host_bytes`; it cannot be used.
    HostTooLong,
    /// A broker has no address that can be: its host is empty, or its port is not one of 1 to 65535. It cannot be
    /// used, and nobody is contacted in its place.
    BrokerAddress,
    /// A declared partition count was wrong.
    DeclaredPartitions(crate::TopicId),
    /// The topic's metadata has an error that retrying will not cure.
    Topic(crate::TopicId, ErrorCode),
    /// A gap in a partition's sequence: the producer went on with a new epoch.
    EpochBumped,
    /// Code of the application's that a transport calls failed, such as an interceptor. Transports
    /// report this; the core calls no such code.
    Application,
}
