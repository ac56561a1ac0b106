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
    /// Times that `send` said `Full`; a transport that waits and tries again has its own `buffer-exhausted-total`.
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

/// Values that were measured: how many, their sum, the largest.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Measure {
    /// Their sum, since the producer was made.
    pub sum: u64,
    /// How many, since the producer was made.
    pub count: u64,
    /// The largest since the last [`restart_maxima`](crate::Producer::restart_maxima); 0 if there was none.
    pub max: u64,
}

#[cfg(feature = "metrics")]
impl Measure {
    pub(crate) fn add(&mut self, value: u64) {
        self.sum = self.sum.wrapping_add(value);
        self.count = self.count.wrapping_add(1);
        self.max = self.max.max(value);
    }
}

/// What Kafka's metrics need beyond [`Stats`]; counted per batch, request and response, never per record.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Measurements {
    /// Records put into requests, those sent again included (`record-send-total`).
    pub records_sent: u64,
    /// From a batch being opened to its first request, in microseconds (`record-queue-time-…`).
    pub queue_time_us: Measure,
    /// Bytes of each batch put into a request, header included, compressed (`batch-size-…`).
    pub batch_bytes: Measure,
    /// Bytes of those batches before compression.
    pub raw_batch_bytes: u64,
    /// Bytes of the records in those batches, before compression.
    pub record_bytes: u64,
    /// The largest mean size of a record over one batch, in bytes, since the last
    /// [`restart_maxima`](crate::Producer::restart_maxima). The largest record itself is not known: looking for it
    /// would cost something for every record.
    pub record_bytes_max: u64,
    /// Compressed by uncompressed size of each batch, in millionths (`compression-rate-avg`).
    pub compression_ppm: Measure,
    /// Bytes of each request, its length prefix included (`request-size-…`).
    pub request_bytes: Measure,
    /// Responses read to their end.
    pub responses: u64,
    /// Time from a Produce request being formed to its answer, in microseconds.
    pub produce_latency_us: Measure,
    /// The same for Metadata requests.
    pub metadata_latency_us: Measure,
    /// The same for ApiVersions requests.
    pub api_versions_latency_us: Measure,
    /// The same for InitProducerId requests.
    pub init_producer_id_latency_us: Measure,
    /// The throttle time in each Produce response, zeros included, in milliseconds (`produce-throttle-time-…`).
    pub throttle_ms: Measure,
    /// Connections that ended after they had been usable (`connection-close-total`).
    pub connections_ended: u64,
    /// Partitions in use whose leader moved from one broker to another.
    pub leader_changes: u64,
}

/// What became of one topic's records since the producer knows it; see
/// [`Producer::topic_stats`](crate::Producer::topic_stats).
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct TopicStats {
    /// Records put into requests, those sent again included.
    pub records_sent: u64,
    /// Records put into requests again.
    pub records_retried: u64,
    /// Records delivered.
    pub records_delivered: u64,
    /// Records failed.
    pub records_failed: u64,
    /// Batches put into requests, retries included.
    pub batches_sent: u64,
    /// Bytes of those batches, compressed.
    pub bytes_sent: u64,
    /// The sum of compressed by uncompressed size over those batches, in millionths.
    pub compression_ppm: u64,
}

#[cfg(feature = "metrics")]
impl TopicStats {
    pub(crate) const NEW: Self = Self {
        records_sent: 0,
        records_retried: 0,
        records_delivered: 0,
        records_failed: 0,
        batches_sent: 0,
        bytes_sent: 0,
        compression_ppm: 0,
    };
}

/// The traffic with one broker since the producer was made; see
/// [`Producer::node_stats`](crate::Producer::node_stats).
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct NodeStats {
    /// Bytes of each request, its length prefix included.
    pub request_bytes: Measure,
    /// Responses read to their end.
    pub responses: u64,
    /// Bytes that the transport took.
    pub bytes_out: u64,
    /// Bytes that the transport brought.
    pub bytes_in: u64,
    /// Time from a Produce request being formed to its answer, in microseconds.
    pub latency_us: Measure,
    /// Throttle times in Produce responses, summed, in milliseconds.
    pub throttle_ms: u64,
    /// Requests without an answer, now.
    pub in_flight: u32,
}

#[cfg(feature = "metrics")]
impl NodeStats {
    const NONE: Measure = Measure { sum: 0, count: 0, max: 0 };

    pub(crate) const NEW: Self = Self {
        request_bytes: Self::NONE,
        responses: 0,
        bytes_out: 0,
        bytes_in: 0,
        latency_us: Self::NONE,
        throttle_ms: 0,
        in_flight: 0,
    };

    pub(crate) const fn is_new(&self) -> bool {
        self.request_bytes.count == 0 && self.bytes_in == 0
    }
}
