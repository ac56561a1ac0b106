//! Decides what leaves and what an answer means.
//!
//! * [`idempotence`]: producer id, epochs, sequence numbers, gaps (PRODUCER k).
//! * [`drain`]: takes batches for one connection and seals them (i.3).
//! * `error_text`: a broker's words on a batch that it refuses.
//! * [`outcome`]: what each error code, disconnect or timeout does to a batch (j).
//! * [`response`]: a Produce response, as it streams by.

pub(crate) mod drain;
#[cfg(feature = "error-text")]
mod error_text;
pub(crate) mod idempotence;
pub(crate) mod outcome;
pub(crate) mod response;
mod seal;
#[cfg(all(test, feature = "alloc"))]
mod tests;
