//! Metrics count what happened, exactly.

mod common;

use std::cell::RefCell;
use std::time::Duration;

use common::{PATIENCE, builder, cluster, eventually, producer};
use klamm::{Metrics, Producer, Record, SendError, Stats};
use klamm_sim::{Action, Api, Fault, TopicOptions};

fn value(metrics: &Metrics, name: &str) -> f64 {
    metrics.get(name).unwrap_or_else(|| panic!("no metric {name}"))
}

fn topic(metrics: &Metrics, topic: &str, name: &str) -> f64 {
    metrics.topic(topic, name).unwrap_or_else(|| panic!("no metric {name} of {topic}"))
}

fn deliver(producer: &Producer, topic: &str, count: usize, size: usize) {
    let value = vec![b'v'; size];
    let deliveries: Vec<_> =
        (0..count).map(|_| producer.send(&Record::to(topic).value(&value)).expect("accepted")).collect();
    producer.flush();
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
}

/// Metrics and counters of the same moment, when everything is answered.
fn at_rest(producer: &Producer) -> (Metrics, Stats) {
    let found = RefCell::new(None);
    eventually("a moment without a request", || {
        let (before, metrics, after) = (producer.stats(), producer.metrics(), producer.stats());
        let rests = before == after && value(&metrics, "requests-in-flight") == 0.0;
        *found.borrow_mut() = Some((metrics, after));
        rests
    });
    found.into_inner().expect("a moment")
}

#[test]
fn every_record_batch_and_request_counts_once() {
    let cluster = cluster(2, 4);
    cluster.with(|cluster| cluster.create_topic("u", 1));
    let producer = builder(&cluster.bootstrap_servers()).client_id("me").build().unwrap();
    let fresh = producer.metrics();
    assert_eq!((value(&fresh, "record-send-total"), value(&fresh, "record-send-rate")), (0.0, 0.0));
    for name in ["batch-size-avg", "batch-size-max", "request-latency-avg", "record-queue-time-max"] {
        assert!(value(&fresh, name).is_nan(), "{name}");
    }
    assert_eq!((fresh.get("no-such-metric"), fresh.topic("t", "record-send-total")), (None, None));

    deliver(&producer, "t", 1_000, 100);
    deliver(&producer, "u", 50, 10);
    let (metrics, stats) = at_rest(&producer);
    assert_eq!(value(&metrics, "record-send-total"), 1_050.0);
    assert_eq!(topic(&metrics, "t", "record-send-total"), 1_000.0);
    assert_eq!(topic(&metrics, "u", "record-send-total"), 50.0);
    assert_eq!(producer.topic_stats("u").unwrap().records_delivered, 50);
    assert!(producer.topic_stats("no such topic").is_none());
    for name in ["record-retry-total", "record-error-total", "batch-split-total", "buffer-exhausted-total"] {
        assert_eq!(value(&metrics, name), 0.0, "{name}");
    }
    // Sums over topics and over brokers are those of the producer.
    let bytes = topic(&metrics, "t", "byte-total") + topic(&metrics, "u", "byte-total");
    assert_eq!(bytes, stats.batch_bytes_sent as f64);
    for (name, expected) in [
        ("request-total", stats.requests),
        ("outgoing-byte-total", stats.bytes_out),
        ("incoming-byte-total", stats.bytes_in),
        ("response-total", stats.requests),
    ] {
        let sum: f64 = metrics.nodes().map(|node| metrics.node(node, name).unwrap()).sum();
        assert_eq!((sum, value(&metrics, name)), (expected as f64, expected as f64), "{name}");
    }
    // Every request was written whole.
    assert_eq!(value(&metrics, "request-size-avg"), stats.bytes_out as f64 / stats.requests as f64);
    assert_eq!(value(&metrics, "batch-size-avg"), stats.batch_bytes_sent as f64 / stats.batches_sent as f64);
    assert!(value(&metrics, "batch-size-max") >= value(&metrics, "batch-size-avg"));
    assert_eq!(value(&metrics, "records-per-request-avg"), 1_050.0 / stats.produce_requests as f64);
    assert_eq!(value(&metrics, "record-size-avg"), stats.bytes_accepted as f64 / 1_050.0);
    assert!((100.0..120.0).contains(&value(&metrics, "record-size-max")));
    assert_eq!(value(&metrics, "compression-rate-avg"), 1.0);
    assert_eq!(value(&metrics, "requests-in-flight"), 0.0);
    assert!(value(&metrics, "request-latency-max") > 0.0 && value(&metrics, "record-queue-time-max") > 0.0);
    assert!(value(&metrics, "metadata-age") < 60.0);
    assert_eq!(value(&metrics, "connection-count"), f64::from(stats.connections_opened));
    assert_eq!(value(&metrics, "produce-throttle-time-max"), 0.0);
    let (total, available) = producer.buffer();
    assert_eq!(value(&metrics, "buffer-total-bytes"), total as f64);
    assert_eq!(value(&metrics, "buffer-available-bytes"), available as f64);
    assert!(value(&metrics, "flush-time-ns-total") > 0.0 && value(&metrics, "metadata-wait-time-ns-total") > 0.0);
    let ratios = value(&metrics, "io-ratio") + value(&metrics, "io-wait-ratio");
    assert!((ratios - 1.0).abs() < 1e-9, "{ratios}");
    producer.close(PATIENCE).unwrap();
    // Still told after the end, and connections are gone.
    let closed = producer.metrics();
    assert_eq!((value(&closed, "record-send-total"), value(&closed, "connection-count")), (1_050.0, 0.0));
    assert_eq!(value(&closed, "connection-close-total"), value(&closed, "connection-creation-total"));
}

#[test]
fn retries_failures_and_throttles_are_told_apart() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(10_000).build().unwrap();
    producer.partition_count("t").unwrap();
    let retry = Fault::on(Api::Produce).times(2).then(Action::Error(6)).then(Action::Throttle(30));
    cluster.with(|cluster| _ = cluster.faults().push(retry));
    deliver(&producer, "t", 7, 10);
    let metrics = producer.metrics();
    assert_eq!(value(&metrics, "record-retry-total"), 14.0);
    assert_eq!(topic(&metrics, "t", "record-retry-total"), 14.0);
    assert_eq!(topic(&metrics, "t", "record-send-total"), 21.0);
    assert_eq!(value(&metrics, "produce-throttle-time-max"), 30.0);
    assert_eq!(value(&metrics, "produce-throttle-time-avg"), 20.0);
    // A batch waits for its first request only once.
    assert_eq!(producer.measurements().queue_time_us.count, 1);

    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Error(29))));
    let doomed: Vec<_> = (0..3).map(|_| producer.send(&Record::to("t").value("v")).unwrap()).collect();
    producer.flush();
    assert!(doomed.into_iter().all(|delivery| delivery.wait().is_err()));
    let metrics = producer.metrics();
    assert_eq!((value(&metrics, "record-error-total"), topic(&metrics, "t", "record-error-total")), (3.0, 3.0));
    assert_eq!(producer.topic_stats("t").unwrap().records_delivered, 7);
    // A send that is refused is an error of the producer, as in Java, but of no topic.
    assert!(producer.send(&Record::to("t").partition(99)).is_err());
    assert!(producer.try_send(&Record::to("t").timestamp(-1)).is_err());
    let metrics = producer.metrics();
    assert_eq!((value(&metrics, "record-error-total"), topic(&metrics, "t", "record-error-total")), (5.0, 3.0));
    producer.close(PATIENCE).unwrap();
}

#[test]
fn a_split_counts_once_and_its_halves_as_sent_again() {
    let cluster = cluster(1, 1);
    let options = TopicOptions { max_message_bytes: Some(2_000), ..TopicOptions::default() };
    cluster.with(|cluster| cluster.create_topic_with("small", options));
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(10_000).build().unwrap();
    deliver(&producer, "small", 10, 300);
    let metrics = producer.metrics();
    assert_eq!(value(&metrics, "batch-split-total"), 1.0);
    assert_eq!(topic(&metrics, "small", "record-send-total"), 20.0);
    assert_eq!(topic(&metrics, "small", "record-retry-total"), 10.0);
    assert_eq!(topic(&metrics, "small", "record-error-total"), 0.0);
    producer.close(PATIENCE).unwrap();
}

#[test]
#[cfg(feature = "lz4")]
fn compression_is_compressed_by_uncompressed() {
    let cluster = cluster(1, 1);
    let producer =
        builder(&cluster.bootstrap_servers()).compression(klamm::Compression::Lz4).linger_ms(10_000).build().unwrap();
    deliver(&producer, "t", 100, 100);
    let (metrics, counted, stats) = (producer.metrics(), producer.measurements(), producer.stats());
    let rate = stats.batch_bytes_sent as f64 / counted.raw_batch_bytes as f64;
    assert!(rate < 0.2, "{rate}");
    assert!((value(&metrics, "compression-rate-avg") - rate).abs() < 1e-5);
    assert!((topic(&metrics, "t", "compression-rate") - rate).abs() < 1e-5);
    assert_eq!(counted.record_bytes, stats.bytes_accepted, "records count as they were");
    producer.close(PATIENCE).unwrap();
}

#[test]
fn waiting_for_memory_is_told() {
    let cluster = cluster(1, 1);
    let small = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).max_block_ms(1_000);
    let producer = small.build().unwrap();
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    cluster.kill(1);
    let value_bytes = [0; 1_000];
    let record = Record::to("t").value(&value_bytes);
    while producer.try_send(&record).is_ok() {}
    assert_eq!(producer.try_send(&record).unwrap_err(), SendError::Full);
    assert_eq!(value(&producer.metrics(), "buffer-exhausted-total"), 2.0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| producer.send(&record));
        eventually("somebody waits", || value(&producer.metrics(), "waiting-threads") == 1.0 || waiter.is_finished());
        assert!(matches!(waiter.join().unwrap(), Err(SendError::Timeout { .. })));
    });
    let metrics = producer.metrics();
    assert_eq!((value(&metrics, "buffer-exhausted-total"), value(&metrics, "waiting-threads")), (3.0, 0.0));
    assert_eq!(value(&metrics, "record-error-total"), 1.0, "try_send's Full is no failure");
    assert!(value(&metrics, "bufferpool-wait-time-ns-total") >= 990e6);
    assert!(value(&metrics, "bufferpool-wait-ratio") > 0.0);
    eventually("its loss is noticed", || value(&producer.metrics(), "connection-close-total") >= 1.0);
    producer.close_now();
}

#[test]
fn windows_pass_without_waking_anyone() {
    let cluster = cluster(1, 1);
    let producer =
        builder(&cluster.bootstrap_servers()).metrics_num_samples(50).metrics_sample_window_ms(20).build().unwrap();
    deliver(&producer, "t", 100, 10);
    let turns = value(&producer.metrics(), "select-total");
    eventually("the rates fall to 0", || {
        let metrics = producer.metrics();
        value(&metrics, "record-send-rate") == 0.0 && metrics.node(1, "request-rate") == Some(0.0)
    });
    let metrics = producer.metrics();
    assert_eq!(topic(&metrics, "t", "record-send-rate"), 0.0);
    assert!(value(&metrics, "batch-size-max").is_nan() && topic(&metrics, "t", "compression-rate").is_nan());
    assert_eq!(value(&metrics, "record-send-total"), 100.0);
    // Fifty windows and more went by meanwhile.
    assert!(value(&metrics, "select-total") < turns + 20.0, "the I/O thread slept");
    // The next maximum is that of the new windows, not of the old ones.
    deliver(&producer, "t", 1, 10);
    let max = value(&producer.metrics(), "batch-size-max");
    assert!(max < 100.0 || max.is_nan(), "{max}");
    producer.close(PATIENCE).unwrap();
}

#[test]
fn a_broker_keeps_its_counters_when_it_goes_and_comes_back() {
    let cluster = cluster(2, 2);
    let producer = builder(&cluster.bootstrap_servers()).build().unwrap();
    for partition in 0..2 {
        producer.send(&Record::to("t").partition(partition).value("v")).unwrap().wait().unwrap();
    }
    let before: Vec<u64> = [1, 2].map(|node| producer.node_stats(node).unwrap().request_bytes.count).into();
    cluster.kill(1);
    for partition in 0..2 {
        producer.send(&Record::to("t").partition(partition).value("v")).unwrap().wait().unwrap();
    }
    cluster.restart(1).unwrap();
    let (requests, metrics) = (producer.stats().requests, producer.metrics());
    for (node, before) in [1, 2].into_iter().zip(before) {
        assert!(producer.node_stats(node).unwrap().request_bytes.count >= before, "node {node}");
        assert!(metrics.node(node, "request-total").unwrap() >= before as f64);
        assert!(metrics.node(node, "request-rate").unwrap() < 1e6, "no wrapped difference");
    }
    let sum: f64 = metrics.nodes().map(|node| metrics.node(node, "request-total").unwrap()).sum();
    assert!(sum >= requests as f64, "{sum} of {requests}");
    producer.close(PATIENCE).unwrap();
}

#[test]
fn names_tags_and_layout_are_kafkas() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).client_id("me").build().unwrap();
    deliver(&producer, "t", 3, 10);
    let metrics = producer.metrics();
    let text = metrics.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Metric Name ") && lines[0].ends_with("   Value"), "{}", lines[0]);
    let (first, rest) = (lines[1], &lines[1..]);
    assert!(first.starts_with("app-info:commit-id:{client-id=me} ") && first.ends_with(" : unknown"), "{first}");
    assert!(rest.is_sorted());
    let column = first.find(" : ").unwrap();
    assert!(rest.iter().all(|line| line.get(column..column + 3) == Some(" : ")), "{text}");
    let has = |start: &str, end: &str| rest.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(has("producer-metrics:record-send-total:{client-id=me} ", " : 3.000"), "{text}");
    assert!(has("producer-topic-metrics:record-send-total:{client-id=me, topic=t} ", " : 3.000"), "{text}");
    assert!(has("producer-node-metrics:request-latency-avg:{client-id=me, node-id=node-1} ", ""), "{text}");
    assert!(has("app-info:version:{client-id=me} ", env!("CARGO_PKG_VERSION")), "{text}");
    let count = metrics.iter().count();
    assert_eq!(rest.len(), count);
    let metric = metrics.iter().find(|metric| metric.tags.get("topic") == Some("t")).unwrap();
    assert_eq!((metric.group, metric.tags.get("client-id")), ("producer-topic-metrics", Some("me")));
    assert!(metrics.iter().all(|metric| !metric.description.is_empty()));
    assert_eq!((metrics.client_id(), metrics.topics().collect::<Vec<_>>()), ("me", vec!["t"]));
    producer.close(PATIENCE).unwrap();
}

#[test]
fn a_thousand_topics_are_a_thousand_copies_of_counters() {
    let cluster = cluster(1, 1);
    cluster.with(|cluster| {
        for n in 0..1_000 {
            cluster.create_topic(&format!("topic-{n:04}"), 1);
        }
    });
    let producer = producer(&cluster);
    let topics: Vec<_> = (0..1_000).map(|n| format!("topic-{n:04}")).collect();
    let deliveries: Vec<_> = topics.iter().map(|topic| producer.send(&Record::to(topic).value("v")).unwrap()).collect();
    producer.flush();
    for delivery in deliveries {
        delivery.wait().unwrap();
    }
    let metrics = producer.metrics();
    assert_eq!(metrics.topics().count(), 1_000);
    assert_eq!(metrics.topic("topic-0999", "record-send-total"), Some(1.0));
    let per_topic = metrics.iter().filter(|metric| metric.group == "producer-topic-metrics").count();
    assert_eq!(per_topic, 9_000);
    // Not a measurement: twenty snapshots in this time only if one is no more than a copy.
    let started = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(producer.metrics().get("record-send-total"), Some(1_000.0));
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    producer.close(PATIENCE).unwrap();
}

#[cfg(feature = "metrics")]
mod export {
    use std::collections::HashMap;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;

    /// What the recorder holds, by name and labels, with descriptions.
    fn published(snapshotter: &Snapshotter) -> HashMap<String, (DebugValue, String)> {
        let entries = snapshotter.snapshot().into_vec().into_iter();
        entries
            .map(|(key, _, description, value)| {
                let labels: Vec<_> =
                    key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
                let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
                (name, (value, description.map(|text| text.to_string()).unwrap_or_default()))
            })
            .collect()
    }

    fn counter(published: &HashMap<String, (DebugValue, String)>, name: &str) -> u64 {
        match published.get(name) {
            Some((DebugValue::Counter(value), about)) if !about.is_empty() => *value,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn gauge(published: &HashMap<String, (DebugValue, String)>, name: &str) -> f64 {
        match published.get(name) {
            Some((DebugValue::Gauge(value), about)) if !about.is_empty() => value.into_inner(),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn the_recorder_gets_every_metric() {
        let cluster = cluster(1, 1);
        let producer = builder(&cluster.bootstrap_servers()).client_id("me").build().unwrap();
        let mut exporter = producer.export_metrics();
        exporter.publish(); // nobody listens
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let mut exporter = producer.export_metrics();
        ::metrics::with_local_recorder(&recorder, || exporter.publish());
        let first = published(&snapshotter);
        assert!(gauge(&first, "kafka_producer_batch_size_avg{client_id=me}").is_nan());
        deliver(&producer, "t", 12, 10);
        ::metrics::with_local_recorder(&recorder, || exporter.publish());
        let second = published(&snapshotter);
        assert_eq!(counter(&second, "kafka_producer_record_send_total{client_id=me}"), 12);
        assert_eq!(counter(&second, "kafka_producer_topic_record_send_total{client_id=me,topic=t}"), 12);
        assert!(counter(&second, "kafka_producer_node_request_total{client_id=me,node_id=node-1}") > 0);
        assert!(gauge(&second, "kafka_producer_batch_size_avg{client_id=me}") > 100.0);
        assert!(gauge(&second, "kafka_producer_start_time_ms{client_id=me}") > 1.6e12);
        let metrics = producer.metrics();
        let numbers = metrics.iter().filter(|metric| metric.text.is_none()).count();
        assert_eq!(second.len(), numbers);
        producer.close(PATIENCE).unwrap();
    }
}
