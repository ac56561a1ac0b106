//! Errors as JavaScript gets them: Kafka's code and name where Kafka has one that means the same.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use klamm_core::{DeliveryError, Disconnect, ErrorCode, Problem, SendError};

use crate::words::Words;

/// Codes that Kafka does not have; its own are −1 and up.
pub(crate) mod code {
    /// The producer is closed.
    pub(crate) const CLOSED: i32 = -101;
    /// `delivery.timeout.ms` passed.
    pub(crate) const DELIVERY_TIMEOUT: i32 = -103;
    /// The topic table is full.
    pub(crate) const TOO_MANY_TOPICS: i32 = -105;
    /// A problem that is no error of a record.
    pub(crate) const PROBLEM: i32 = -106;
    /// Host and module do not understand each other.
    pub(crate) const INTERNAL: i32 = -104;
}

/// What becomes a `KafkaError`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) name: Cow<'static, str>,
    pub(crate) retriable: bool,
    pub(crate) text: String,
}

impl Failure {
    fn new(code: i32, name: &'static str, retriable: bool, text: impl ToString) -> Self {
        Self { code, name: name.into(), retriable, text: text.to_string() }
    }

    fn of_kafka(code: ErrorCode, retriable: bool, text: impl ToString) -> Self {
        let name = code.name().map_or_else(|| format!("CODE_{}", code.code()).into(), Cow::Borrowed);
        Self { code: code.code().into(), name, retriable, text: text.to_string() }
    }

    /// A setting that cannot work.
    pub(crate) fn setting(text: impl ToString) -> Self {
        Self::of_kafka(ErrorCode::from(40), false, text) // INVALID_CONFIG
    }

    /// The host broke the agreement on bytes.
    pub(crate) fn internal(text: &str) -> Self {
        Self::new(code::INTERNAL, "INTERNAL_ERROR", false, text)
    }

    /// A record that was not accepted, for good.
    pub(crate) fn send(error: SendError) -> Self {
        let kafka = |code| Self::of_kafka(ErrorCode::from(code), error.is_retriable(), error);
        match error {
            SendError::TooLarge { .. } => kafka(10),
            SendError::NoSuchPartition { .. } => kafka(3),
            SendError::TopicName { .. } => kafka(17),
            SendError::Timestamp => kafka(32),
            SendError::TooManyTopics { .. } => Self::new(code::TOO_MANY_TOPICS, "TOO_MANY_TOPICS", false, error),
            SendError::Closed => Self::new(code::CLOSED, "CLOSED", false, error),
            SendError::Fatal(code) => Self::of_kafka(code, false, error),
            _ => Self::internal(&error.to_string()),
        }
    }

    /// An accepted record that was not delivered. `said` is what the broker said.
    pub(crate) fn delivery(error: DeliveryError, said: &str) -> Self {
        let text = if said.is_empty() { error.to_string() } else { format!("{error}: {said}") };
        let retriable = error.is_retriable();
        let kafka = |code| Self::of_kafka(code, retriable, &text);
        match error {
            DeliveryError::Broker(code) => kafka(code),
            DeliveryError::RecordTooLarge => kafka(ErrorCode::MESSAGE_TOO_LARGE),
            DeliveryError::NoSuchPartition => kafka(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            DeliveryError::SequenceGap => kafka(ErrorCode::from(45)),
            DeliveryError::UnsupportedVersion => kafka(ErrorCode::from(35)),
            DeliveryError::Closed => Self::new(code::CLOSED, "CLOSED", retriable, text),
            _ => Self::new(code::DELIVERY_TIMEOUT, "DELIVERY_TIMEOUT", retriable, text),
        }
    }

    /// The topic has no metadata.
    pub(crate) fn topic(name: &str, error: ErrorCode) -> Self {
        Self::of_kafka(error, error.is_retriable(), format!("topic {name}: {error}"))
    }

    /// Something that a person should know, but for what a topic has.
    pub(crate) fn problem(problem: &Problem) -> Self {
        let other = |name, retriable, text: &str| Self::new(code::PROBLEM, name, retriable, text);
        match *problem {
            Problem::Unreachable(why) => {
                let text = format!("no bootstrap server can be reached ({}); trying on", reason(why));
                other("UNREACHABLE", true, &text)
            }
            Problem::Peer(error) => {
                other("PROTOCOL", true, &format!("a server does not behave like a Kafka broker: {error}; trying on"))
            }
            Problem::Fatal(code) => Self::of_kafka(code, false, format!("the producer cannot go on: {code}")),
            Problem::TooManyBrokers => {
                other("TOO_MANY_BROKERS", true, "too many brokers: some partitions have to wait")
            }
            Problem::HostTooLong => other("HOST_TOO_LONG", false, "a broker's host name is too long to be used"),
            Problem::BrokerAddress => other("BROKER_ADDRESS", false, "a broker has no possible host or port"),
            Problem::EpochBumped => {
                other("EPOCH_BUMPED", true, "a gap in a partition's sequence: the producer went on with a new epoch")
            }
            _ => other("OTHER", true, "a problem that this version has no words for"),
        }
    }

    pub(crate) fn write(&self, out: &mut Words) {
        out.i32(self.code);
        out.u32(self.retriable.into());
        out.text(&self.name);
        out.text(&self.text);
    }
}

const fn reason(why: Disconnect) -> &'static str {
    match why {
        Disconnect::Closed => "closed",
        Disconnect::Refused => "refused",
        Disconnect::Unreachable => "no route",
        Disconnect::Dns => "unknown name",
        Disconnect::Tls => "TLS failed",
        Disconnect::TimedOut => "timed out",
        _ => "failed",
    }
}
