//! Kafka's metrics, by name: what each means and how it follows from the counters.

use klamm_core::{Measure, NodeStats, TopicStats};

use crate::metrics::totals::Totals;
use crate::metrics::windows::View;

/// A metric of each producer, node or topic.
pub(super) struct Definition<T> {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) value: fn(&View<T>) -> f64,
}

const fn def<T>(name: &'static str, about: &'static str, value: fn(&View<T>) -> f64) -> Definition<T> {
    Definition { name, about, value }
}

/// Microseconds to Kafka's milliseconds.
const MS: f64 = 1e-3;
/// Microseconds to Kafka's nanoseconds.
const NS: f64 = 1e3;
/// Millionths to a ratio.
const PPM: f64 = 1e-6;

/// `producer-metrics`, sorted by name.
pub(super) const PRODUCER: &[Definition<Totals>] = &[
    def("batch-size-avg", "mean bytes of a batch, compressed", |v| v.average(|t| t.core.batch_bytes)),
    def("batch-size-max", "bytes of the largest batch, compressed", |v| v.max(|t| t.core.batch_bytes)),
    def("batch-split-rate", "batches split per second", |v| v.rate(|t| t.stats.batches_split)),
    def("batch-split-total", "batches split, too large for the broker", |v| v.total(|t| t.stats.batches_split)),
    def("buffer-available-bytes", "bytes of buffer.memory that are free", |v| v.now.gauges.buffer_available as f64),
    def("buffer-exhausted-rate", "records refused per second for lack of memory", |v| v.rate(|t| t.meters.exhausted)),
    def("buffer-exhausted-total", "records refused for lack of memory", |v| v.total(|t| t.meters.exhausted)),
    def("buffer-total-bytes", "bytes of buffer.memory", |v| v.now.gauges.buffer_total as f64),
    def("bufferpool-wait-ratio", "time that senders waited for memory, per time; several waiters add up", |v| {
        v.rate(|t| t.meters.space_wait_us) * 1e-6
    }),
    def("bufferpool-wait-time-ns-total", "time that senders waited for memory, in ns", |v| {
        v.total(|t| t.meters.space_wait_us) * NS
    }),
    def("compression-rate-avg", "mean of compressed by uncompressed size of batches", |v| {
        v.average(|t| t.core.compression_ppm) * PPM
    }),
    def("connection-close-rate", "connections ended per second", |v| v.rate(|t| t.core.connections_ended)),
    def("connection-close-total", "connections ended that had been usable", |v| v.total(|t| t.core.connections_ended)),
    def("connection-count", "open connections", |v| v.now.gauges.connections.into()),
    def("connection-creation-rate", "connections per second that became usable", |v| {
        v.rate(|t| t.stats.connections_opened)
    }),
    def("connection-creation-total", "connections that became usable", |v| v.total(|t| t.stats.connections_opened)),
    def("flush-time-ns-total", "time that callers waited in flush, in ns", |v| v.total(|t| t.meters.flush_us) * NS),
    def("incoming-byte-rate", "bytes read per second", |v| v.rate(|t| t.stats.bytes_in)),
    def("incoming-byte-total", "bytes read", |v| v.total(|t| t.stats.bytes_in)),
    def("io-ratio", "share of its time in which the I/O thread worked", |v| v.per(Totals::io_us, |t| t.up_us)),
    def("io-time-ns-avg", "mean time that a turn of the I/O thread worked, in ns", |v| {
        v.per(Totals::io_us, |t| t.meters.selects) * NS
    }),
    def("io-time-ns-total", "time that the I/O thread worked, in ns", |v| v.total(Totals::io_us) * NS),
    def("io-wait-ratio", "share of its time in which the I/O thread slept", |v| {
        v.per(|t| t.meters.io_wait_us, |t| t.up_us)
    }),
    def("io-wait-time-ns-avg", "mean time that a turn of the I/O thread slept, in ns", |v| {
        v.per(|t| t.meters.io_wait_us, |t| t.meters.selects) * NS
    }),
    def("io-wait-time-ns-total", "time that the I/O thread slept, in ns", |v| v.total(|t| t.meters.io_wait_us) * NS),
    def("metadata-age", "seconds since metadata was last learned", |v| v.now.gauges.metadata_age.unwrap_or(f64::NAN)),
    def("metadata-wait-time-ns-total", "time that senders waited for metadata, in ns", |v| {
        v.total(|t| t.meters.metadata_wait_us) * NS
    }),
    def("network-io-rate", "requests and responses per second", |v| v.rate(Totals::network_io)),
    def("network-io-total", "requests and responses", |v| v.total(Totals::network_io)),
    def("outgoing-byte-rate", "bytes written per second", |v| v.rate(|t| t.stats.bytes_out)),
    def("outgoing-byte-total", "bytes written", |v| v.total(|t| t.stats.bytes_out)),
    def("produce-throttle-time-avg", "mean throttle time of Produce responses, in ms", |v| {
        v.average(|t| t.core.throttle_ms)
    }),
    def("produce-throttle-time-max", "longest throttle time of a Produce response, in ms", |v| {
        v.max(|t| t.core.throttle_ms)
    }),
    def("record-error-rate", "records failed or refused per second", |v| v.rate(Totals::failed)),
    def("record-error-total", "records failed or refused", |v| v.total(Totals::failed)),
    def("record-queue-time-avg", "mean time from a batch's creation to its first request, in ms", |v| {
        v.average(|t| t.core.queue_time_us) * MS
    }),
    def("record-queue-time-max", "longest time from a batch's creation to its first request, in ms", |v| {
        v.max(|t| t.core.queue_time_us) * MS
    }),
    def("record-retry-rate", "records sent again per second", |v| v.rate(|t| t.stats.records_retried)),
    def("record-retry-total", "records sent again", |v| v.total(|t| t.stats.records_retried)),
    def("record-send-rate", "records put into requests per second", |v| v.rate(|t| t.core.records_sent)),
    def("record-send-total", "records put into requests", |v| v.total(|t| t.core.records_sent)),
    def("record-size-avg", "mean bytes of a record, uncompressed", |v| {
        v.per(|t| t.core.record_bytes, |t| t.core.records_sent)
    }),
    def("record-size-max", "largest mean bytes of a record in one batch, uncompressed", |v| {
        v.largest(|t| t.core.record_bytes_max, |t| t.core.records_sent)
    }),
    def("records-per-request-avg", "mean records of a Produce request", |v| {
        v.per(|t| t.core.records_sent, |t| t.stats.produce_requests)
    }),
    def("request-latency-avg", "mean time from a Produce request to its answer, in ms", |v| {
        v.average(|t| t.core.produce_latency_us) * MS
    }),
    def("request-latency-max", "longest time from a Produce request to its answer, in ms", |v| {
        v.max(|t| t.core.produce_latency_us) * MS
    }),
    def("request-rate", "requests per second", |v| v.rate(|t| t.stats.requests)),
    def("request-size-avg", "mean bytes of a request", |v| v.average(|t| t.core.request_bytes)),
    def("request-size-max", "bytes of the largest request", |v| v.max(|t| t.core.request_bytes)),
    def("request-total", "requests", |v| v.total(|t| t.stats.requests)),
    def("requests-in-flight", "requests without an answer", |v| v.now.gauges.in_flight.into()),
    def("response-rate", "responses per second", |v| v.rate(|t| t.core.responses)),
    def("response-total", "responses", |v| v.total(|t| t.core.responses)),
    def("select-rate", "turns of the I/O thread per second", |v| v.rate(|t| t.meters.selects)),
    def("select-total", "turns of the I/O thread", |v| v.total(|t| t.meters.selects)),
    def("waiting-threads", "senders that wait for memory", |v| v.now.gauges.waiting_threads as f64),
];

/// `producer-node-metrics`, sorted by name.
pub(super) const NODE: &[Definition<NodeStats>] = &[
    def("incoming-byte-rate", "bytes read per second", |v| v.rate(|n| n.bytes_in)),
    def("incoming-byte-total", "bytes read", |v| v.total(|n| n.bytes_in)),
    def("outgoing-byte-rate", "bytes written per second", |v| v.rate(|n| n.bytes_out)),
    def("outgoing-byte-total", "bytes written", |v| v.total(|n| n.bytes_out)),
    def("request-latency-avg", "mean time from a Produce request to its answer, in ms", |v| {
        v.average(|n| n.latency_us) * MS
    }),
    def("request-latency-max", "longest time from a Produce request to its answer, in ms", |v| {
        v.max(|n| n.latency_us) * MS
    }),
    def("request-rate", "requests per second", |v| v.rate(|n| n.request_bytes.count)),
    def("request-size-avg", "mean bytes of a request", |v| v.average(|n| n.request_bytes)),
    def("request-size-max", "bytes of the largest request", |v| v.max(|n| n.request_bytes)),
    def("request-total", "requests", |v| v.total(|n| n.request_bytes.count)),
    def("response-rate", "responses per second", |v| v.rate(|n| n.responses)),
    def("response-total", "responses", |v| v.total(|n| n.responses)),
];

/// `producer-topic-metrics`, sorted by name.
pub(super) const TOPIC: &[Definition<TopicStats>] = &[
    def("byte-rate", "bytes of batches per second, compressed", |v| v.rate(|t| t.bytes_sent)),
    def("byte-total", "bytes of batches, compressed", |v| v.total(|t| t.bytes_sent)),
    def("compression-rate", "mean of compressed by uncompressed size of batches", |v| v.average(compression) * PPM),
    def("record-error-rate", "records failed per second", |v| v.rate(|t| t.records_failed)),
    def("record-error-total", "records failed", |v| v.total(|t| t.records_failed)),
    def("record-retry-rate", "records sent again per second", |v| v.rate(|t| t.records_retried)),
    def("record-retry-total", "records sent again", |v| v.total(|t| t.records_retried)),
    def("record-send-rate", "records put into requests per second", |v| v.rate(|t| t.records_sent)),
    def("record-send-total", "records put into requests", |v| v.total(|t| t.records_sent)),
];

fn compression(topic: &TopicStats) -> Measure {
    Measure { sum: topic.compression_ppm, count: topic.batches_sent, max: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_single() {
        fn sorted<T>(definitions: &[Definition<T>]) -> bool {
            definitions.is_sorted_by(|a, b| a.name < b.name)
        }
        assert!(sorted(PRODUCER) && sorted(NODE) && sorted(TOPIC));
    }

    /// Every name of PRODUCER (o), but for those of transactions and authentication, which klamm does not have yet.
    #[test]
    fn no_name_of_kafkas_is_missing() {
        let pairs = |names: &str| -> Vec<String> {
            names.split(' ').flat_map(|name| [format!("{name}-rate"), format!("{name}-total")]).collect()
        };
        let extremes = |names: &str| -> Vec<String> {
            names.split(' ').flat_map(|name| [format!("{name}-avg"), format!("{name}-max")]).collect()
        };
        let single = |names: &str| -> Vec<String> { names.split(' ').map(str::to_owned).collect() };
        let has = |known: &[&str], wanted: &[Vec<String>]| {
            for name in wanted.iter().flatten() {
                assert!(known.contains(&name.as_str()), "{name}");
            }
            assert_eq!(known.len(), wanted.iter().map(Vec::len).sum::<usize>());
        };
        let names: Vec<_> = PRODUCER.iter().map(|def| def.name).collect();
        let traffic = "request response incoming-byte outgoing-byte";
        has(
            &names,
            &[
                pairs("record-send record-retry record-error batch-split buffer-exhausted network-io select"),
                pairs("connection-creation connection-close"),
                pairs(traffic),
                extremes("record-size record-queue-time batch-size request-latency produce-throttle-time request-size"),
                single("records-per-request-avg compression-rate-avg requests-in-flight metadata-age connection-count"),
                single("buffer-total-bytes buffer-available-bytes waiting-threads bufferpool-wait-ratio"),
                single("bufferpool-wait-time-ns-total flush-time-ns-total metadata-wait-time-ns-total"),
                single(
                    "io-time-ns-avg io-time-ns-total io-wait-time-ns-avg io-wait-time-ns-total io-ratio io-wait-ratio",
                ),
            ],
        );
        let names: Vec<_> = NODE.iter().map(|def| def.name).collect();
        has(&names, &[pairs(traffic), extremes("request-size request-latency")]);
        let names: Vec<_> = TOPIC.iter().map(|def| def.name).collect();
        has(&names, &[pairs("record-send byte record-retry record-error"), single("compression-rate")]);
    }
}
