//! Who the producer is to brokers.

use crate::Instant;
use crate::error::ErrorCode;

/// Where the producer id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityState {
    /// No idempotence.
    Off,
    /// None yet; to be asked for.
    Needed,
    /// InitProducerId is under way.
    Asked,
    /// Usable.
    Ready,
    /// Refused for good.
    Fatal,
}

/// The producer's identity towards brokers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) state: IdentityState,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// A partition slot that used this epoch was given up: nobody may adopt it any more.
    pub(crate) stale: bool,
    pub(crate) failures: u32,
    /// Why the state is fatal.
    pub(crate) fatal: ErrorCode,
    /// No attempt before this.
    pub(crate) retry_at: Instant,
}

impl Identity {
    pub(crate) const fn new(idempotent: bool) -> Self {
        Self {
            state: if idempotent { IdentityState::Needed } else { IdentityState::Off },
            producer_id: -1,
            epoch: -2, // no partition carries it
            stale: false,
            failures: 0,
            fatal: ErrorCode::NONE,
            retry_at: Instant::ZERO,
        }
    }
}
