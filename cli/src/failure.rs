//! Why a record failed, as it is told.

use klamm::{DeliveryError, Fate, SendError};

/// Why a record failed, and what is known of it.
pub(crate) struct Failure {
    pub(crate) message: String,
    /// The message without what differs from record to record.
    pub(crate) cause: String,
    pub(crate) fate: Fate,
}

impl Failure {
    /// A record that never left this process.
    pub(crate) fn not_sent(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { cause: message.clone(), message, fate: Fate::NotWritten }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let mut failure = Self::not_sent(error.to_string());
        if let SendError::TooLarge { max, .. } = error {
            failure.cause =
                format!("larger than {max} bytes: raise max.request.size (and buffer.memory if that is smaller)");
        }
        failure
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        let fate = match error.fate {
            Fate::NotWritten => "not in the log",
            Fate::Unknown => "may be in the log",
        };
        Self { message: error.to_string(), cause: format!("{} ({fate})", error.kind), fate: error.fate }
    }
}
