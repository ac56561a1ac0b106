//! Kafka's metrics for the recorder of the crate `metrics`.

use std::collections::HashMap;
use std::fmt;

use ::metrics::{Label, counter, describe_counter, describe_gauge, gauge};

use crate::metrics::snapshot::{Metric, Metrics};
use crate::producer::Producer;

/// Publishes a producer's metrics to the recorder of the crate `metrics`; from
/// [`Producer::export_metrics`](crate::Producer::export_metrics).
///
/// | group | names | labels |
/// |---|---|---|
/// | `producer-metrics` | `kafka_producer_record_send_total` … | `client_id` |
/// | `producer-node-metrics` | `kafka_producer_node_request_total` … | `client_id`, `node_id` |
/// | `producer-topic-metrics` | `kafka_producer_topic_record_send_total` … | `client_id`, `topic` |
/// | `app-info` | `kafka_producer_start_time_ms` | `client_id` |
///
/// So the names are Kafka's with underscores, and no name stands for both a sum and its parts. What ends with `_total` is a
/// counter, everything else a gauge. An average or a maximum of nothing is published as NaN: nothing else would say that
/// the last one is over.
///
/// It has no thread: call [`publish`](Self::publish) as often as you want new values, for example before each scrape.
///
/// ```
/// use metrics_util::debugging::DebuggingRecorder; // metrics_exporter_prometheus::PrometheusBuilder in real life
///
/// let recorder = DebuggingRecorder::new();
/// let snapshotter = recorder.snapshotter();
/// recorder.install().expect("the only recorder");
///
/// let producer = klamm::Producer::builder().bootstrap_servers("localhost:9092").client_id("billing").build()?;
/// let mut exporter = producer.export_metrics();
/// exporter.publish(); // every few seconds, from wherever you like
/// let published = snapshotter.snapshot().into_vec();
/// assert!(published.iter().any(|(key, ..)| key.key().name() == "kafka_producer_record_send_total"));
/// producer.close_now();
/// # Ok::<(), klamm::ConfigError>(())
/// ```
pub struct MetricsExporter {
    producer: Producer,
    /// The recorder's names, by group and name.
    names: HashMap<(&'static str, &'static str), String>,
}

impl MetricsExporter {
    pub(crate) fn new(producer: Producer) -> Self {
        Self { producer, names: HashMap::new() }
    }

    /// Publishes every metric as of now, to the recorder that is installed or is the thread's own; without one, nothing
    /// happens. Metrics are described when they are first published.
    pub fn publish(&mut self) {
        let metrics = self.producer.metrics();
        self.publish_snapshot(&metrics);
    }

    fn publish_snapshot(&mut self, metrics: &Metrics) {
        for metric in metrics.iter().filter(|metric| metric.text.is_none()) {
            let name = self.names.entry((metric.group, metric.name)).or_insert_with(|| described(&metric)).clone();
            let labels: Vec<Label> =
                metric.tags.iter().map(|(name, value)| Label::new(name.replace('-', "_"), value.to_owned())).collect();
            if is_counter(&metric) {
                counter!(name, labels).absolute(metric.value as u64);
            } else {
                gauge!(name, labels).set(metric.value);
            }
        }
    }
}

fn is_counter(metric: &Metric<'_>) -> bool {
    metric.name.ends_with("-total")
}

/// The recorder's name for a metric, which it gets to know with its description.
fn described(metric: &Metric<'_>) -> String {
    let kind = match metric.group {
        "producer-node-metrics" => "node_",
        "producer-topic-metrics" => "topic_",
        _ => "",
    };
    let name = format!("kafka_producer_{kind}{}", metric.name.replace('-', "_"));
    if is_counter(metric) {
        describe_counter!(name.clone(), metric.description);
    } else {
        describe_gauge!(name.clone(), metric.description);
    }
    name
}

impl fmt::Debug for MetricsExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsExporter").field("producer", &self.producer).finish_non_exhaustive()
    }
}
