//! What a caller hears whose record was not accepted, or waited in vain: the cause, in words.

use std::fmt::Write as _;
use std::sync::Arc;

use klamm_core::{BatchOutcome, ErrorCode};

use crate::error::SendError;
use crate::shared::{Inner, Life, Shared};

impl Shared {
    /// What a caller hears who waited for space in vain.
    pub(crate) fn space_cause(&self, inner: &Inner) -> String {
        let mut text = format!(
            "no space for the record within {} ms (max.block.ms): buffer.memory ({} bytes) is exhausted: ",
            inner.max_block_ms(),
            self.core.buffer_total_bytes()
        );
        if !self.failures.describe(inner.now(), &mut text) {
            text.push_str("the brokers accept data more slowly than it is sent");
        }
        text
    }

    /// What a caller hears who waited for metadata in vain.
    pub(crate) fn metadata_cause(&self, inner: &Inner, name: &str) -> String {
        let mut text = format!("no metadata for topic '{name}' within {} ms (max.block.ms): ", inner.max_block_ms());
        let error = self.topics.id(name).map_or(ErrorCode::NONE, |id| self.core.topic_error(id));
        if error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            // Brokers do not tell the two apart (PITFALLS 60).
            let _ = write!(text, "{error}: it does not exist, or this client may not describe it");
        } else if error != ErrorCode::NONE {
            let _ = write!(text, "{error}");
        } else if !self.failures.describe(inner.now(), &mut text) {
            text.push_str("no broker has answered yet");
        }
        text
    }

    /// A caller of `try_send`, or one whom waiting does not help, hears of this error.
    pub(crate) fn count_refusal(&mut self, error: &SendError) {
        let meters = &mut self.metering.meters;
        match error {
            SendError::Full => meters.exhausted += 1,
            SendError::PartitionsUnknown => {}
            _ => meters.refused += 1,
        }
    }

    /// Why a batch met its delivery timeout, if no broker said so: why connections failed.
    pub(crate) fn timeout_cause(&self, outcome: &BatchOutcome) -> Option<Arc<str>> {
        use klamm_core::DeliveryError::TimedOut;
        let TimedOut { last: ErrorCode::NONE | ErrorCode::NETWORK_EXCEPTION } = outcome.result.err()?.error else {
            return None;
        };
        let mut text = String::new();
        self.failures.describe(self.now, &mut text).then(|| Arc::from(text))
    }

    /// The error of a caller whose record the core refused, if waiting does not help.
    pub(crate) fn refusal(&self, error: klamm_core::SendError, name: &str) -> SendError {
        use klamm_core::SendError as Core;
        if self.life == Life::Broken {
            return SendError::Broken;
        }
        match error {
            Core::Full | Core::BrokerShare => SendError::Full,
            Core::PartitionsUnknown => {
                let error = self.topics.id(name).map_or(ErrorCode::NONE, |id| self.core.topic_error(id));
                if error == ErrorCode::NONE || error.is_retriable() {
                    SendError::PartitionsUnknown
                } else {
                    SendError::Topic { error, topic: name.into() }
                }
            }
            Core::TooLarge { size, max } => SendError::TooLarge { size, max },
            Core::NoSuchPartition { partitions } => SendError::NoSuchPartition { partitions },
            Core::TooManyTopics { max } => SendError::TooManyTopics { max },
            Core::TopicName { max } => SendError::TopicName { max },
            Core::Timestamp => SendError::InvalidTimestamp,
            Core::Fatal(code) => SendError::Fatal(code),
            _ => SendError::Closed,
        }
    }
}
