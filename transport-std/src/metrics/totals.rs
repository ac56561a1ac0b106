//! What is counted for the producer as a whole, by the core and by this crate.

use klamm_core::{Measurements, Stats};

/// What this crate counts itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meters {
    /// Records that a send refused for good: waiting is over, or would not have helped.
    pub(crate) refused: u64,
    /// Those among them, and of `try_send`, that found no memory.
    pub(crate) exhausted: u64,
    /// Time that callers waited for memory, in microseconds; several at a time count several times.
    pub(crate) space_wait_us: u64,
    /// Time that callers waited for metadata.
    pub(crate) metadata_wait_us: u64,
    /// Time that callers waited in `flush`.
    pub(crate) flush_us: u64,
    /// Turns of the I/O thread.
    pub(super) selects: u64,
    /// Time that the I/O thread slept.
    pub(super) io_wait_us: u64,
}

/// What is true now, and is not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    pub(super) buffer_total: u64,
    pub(super) buffer_available: u64,
    pub(super) waiting_threads: u64,
    pub(super) in_flight: u32,
    pub(super) connections: u32,
    /// Seconds.
    pub(super) metadata_age: Option<f64>,
}

/// Everything about the producer as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) stats: Stats,
    pub(super) core: Measurements,
    pub(super) meters: Meters,
    /// Since the start, in microseconds.
    pub(super) up_us: u64,
    /// Filled in for snapshots only.
    pub(super) gauges: Gauges,
}

impl Totals {
    pub(super) fn io_us(&self) -> u64 {
        self.up_us.saturating_sub(self.meters.io_wait_us)
    }

    pub(super) fn failed(&self) -> u64 {
        self.stats.records_failed.wrapping_add(self.meters.refused)
    }

    /// Requests and responses.
    pub(super) fn network_io(&self) -> u64 {
        self.stats.requests.wrapping_add(self.core.responses)
    }
}
