//! The queues over all batches and partitions.

use crate::state::batch::{ByAge, InState};
use crate::state::list::{List, NIL};
use crate::state::partition::ByUse;

/// Retry levels: failures beyond share the last one.
pub(crate) const RETRY_LEVELS: usize = 8;

/// The queues over all batches, and what is due to be told.
#[derive(Debug)]
pub(crate) struct Accumulator {
    pub(crate) free_batches: List<InState>,
    pub(crate) free_batch_count: u32,
    pub(crate) free_partitions: List<ByUse>,
    /// Partitions without batches, least recently used first: their slots may be bound anew.
    pub(crate) idle_partitions: List<ByUse>,
    /// Live batches, oldest first.
    pub(crate) by_age: List<ByAge>,
    /// The first batch in `by_age` that still lingers.
    pub(crate) lingering: u32,
    /// Batches that back off, a list per retry level, each in deadline order.
    pub(crate) backoffs: [List<InState>; RETRY_LEVELS],
    /// Batches for codecs outside the core, in the order in which they came up.
    #[cfg(feature = "codecs")]
    pub(crate) jobs: List<InState>,
    /// The number of the last job given out.
    #[cfg(feature = "codecs")]
    pub(crate) last_job: u32,
    /// Batches whose outcome is to be told.
    pub(crate) done: List<ByAge>,
    /// The batch last told, kept until the next poll for its error text.
    pub(crate) told: u32,
    pub(crate) next_batch_id: u32,
    /// Batches without a told outcome, and those among them not done.
    pub(crate) outstanding: u32,
    pub(crate) live: u32,
    /// Batches up to this one are being flushed; then `Event::Flushed` is due.
    pub(crate) flush_up_to: Option<u32>,
    /// The batch that is being split with the help of the reserve.
    #[cfg(feature = "split")]
    pub(crate) reserve_used_by: Option<u32>,
    /// `send` said `Full`: tell when there is room.
    pub(crate) wants_room: bool,
    pub(crate) writable_due: bool,
}

impl Accumulator {
    pub(crate) const fn new() -> Self {
        Self {
            free_batches: List::new(),
            free_batch_count: 0,
            free_partitions: List::new(),
            idle_partitions: List::new(),
            by_age: List::new(),
            lingering: NIL,
            backoffs: [const { List::new() }; RETRY_LEVELS],
            #[cfg(feature = "codecs")]
            jobs: List::new(),
            #[cfg(feature = "codecs")]
            last_job: 0,
            done: List::new(),
            told: NIL,
            next_batch_id: 0,
            outstanding: 0,
            live: 0,
            flush_up_to: None,
            #[cfg(feature = "split")]
            reserve_used_by: None,
            wants_room: false,
            writable_due: false,
        }
    }
}
