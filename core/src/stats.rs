//! Counters, since the producer was made.

/// What the producer did; every counter only grows (and wraps after 2⁶⁴ or 2³²).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Records accepted by `send`.
    pub records_accepted: u64,
    /// Their size in wire form, before compression.
    pub bytes_accepted: u64,
    /// Records delivered.
    pub records_delivered: u64,
    /// Records failed.
    pub records_failed: u64,
    /// Records put into requests again (`record-retry-total`).
    pub records_retried: u64,
    /// Batches put into requests, retries included.
    pub batches_sent: u64,
    /// Bytes of those batches, compressed.
    pub batch_bytes_sent: u64,
    /// Produce requests.
    pub produce_requests: u64,
    /// All requests.
    pub requests: u64,
    /// Bytes that transports took.
    pub bytes_out: u64,
    /// Bytes that transports brought.
    pub bytes_in: u64,
    /// Batches split after `MESSAGE_TOO_LARGE` (`batch-split-total`).
    pub batches_split: u32,
    /// Batches that met `delivery.timeout.ms`.
    pub batches_expired: u32,
    /// Metadata responses applied.
    pub metadata_refreshes: u32,
    /// Connections that became usable (`connection-creation-total`).
    pub connections_opened: u32,
    /// Connections that ended, or could not be opened.
    pub connections_closed: u32,
    /// Requests that met `request.timeout.ms`.
    pub request_timeouts: u32,
    /// New epochs after sequence gaps.
    pub epoch_bumps: u32,
    /// Returns to `bootstrap.servers`.
    pub rebootstraps: u32,
    /// Times that `send` said `Full` (`buffer-exhausted-total`).
    pub buffer_full: u32,
    /// Throttle times asked for by brokers, in milliseconds.
    pub throttle_ms: u64,
    /// Time from sending a produce request to its answer, summed, in microseconds.
    pub request_latency_us: u64,
    /// The longest of them, in microseconds.
    pub request_latency_us_max: u64,
    /// Answers that `request_latency_us` sums.
    pub request_latency_count: u64,
}
