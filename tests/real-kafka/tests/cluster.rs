//! Three brokers of the current Kafka, replication factor 3.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use klamm::{Record, RecordMetadata};
use klamm_kafka_harness::Kafka;
use klamm_real_kafka::{CLOSE, Plain, assert_read_back, delivered, edge_cases, producer, send};

/// Records of the kill test; `KLAMM_RECORDS` sets another number.
fn records() -> u64 {
    std::env::var("KLAMM_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

#[test]
fn three_brokers() {
    // One cluster for all of it: starting one takes longer than any of these.
    let kafka = Kafka::builder().brokers(3).start().expect("Kafka starts");
    every_field_comes_back(&kafka, "edges-all", &[]);
    every_field_comes_back(&kafka, "edges-lz4", &[("compression.type", "lz4")]);
    every_field_comes_back(&kafka, "edges-acks-1", &[("acks", "1"), ("enable.idempotence", "false")]);
    brokers_are_killed_and_restarted(&kafka);
}

fn every_field_comes_back(kafka: &Kafka, topic: &str, properties: &[(&str, &str)]) {
    kafka.create_topic(topic, 6, 3, &[]).unwrap();
    let producer = producer(kafka, properties);
    let sent: Vec<(_, Plain)> = edge_cases().into_iter().map(|plain| (send(&producer, topic, &plain), plain)).collect();
    let sent: Vec<_> = sent.into_iter().map(|(delivery, plain)| (plain, delivered(delivery))).collect();
    producer.close(CLOSE).unwrap();
    assert_read_back(&kafka.read_back(topic).unwrap(), &sent);
}

/// Numbered records flow while two of the three brokers are killed and restarted, twice each: none is
/// lost, none doubled, and each partition keeps the order in which they were sent.
fn brokers_are_killed_and_restarted(kafka: &Kafka) {
    let (topic, total) = ("kills", records());
    kafka.create_topic(topic, 6, 3, &[("min.insync.replicas", "2")]).unwrap();
    // A stopped broker must be noticed; everything else is Kafka's default.
    let producer = producer(kafka, &[("request.timeout.ms", "5000")]);
    let done = AtomicBool::new(false);
    let mut deliveries = Vec::with_capacity(total as usize);
    let sent_during_kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for broker in [2, 3, 2, 3] {
                std::thread::sleep(Duration::from_secs(1));
                kafka.kill(broker).unwrap();
                std::thread::sleep(Duration::from_secs(3));
                kafka.restart(broker).unwrap();
                kafka.wait_in_sync().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        // Paced so that the records last as long as the kills: about 45 seconds.
        let (start, per_second) = (Instant::now(), (total / 45).max(1));
        let mut during = 0u64;
        for number in 0..total {
            if number % 64 == 0 && !done.load(Ordering::Relaxed) {
                let due = Duration::from_micros(number * 1_000_000 / per_second);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            during += u64::from(!done.load(Ordering::Relaxed));
            let text = number.to_string();
            deliveries.push(producer.send(&Record::to(topic).key(&text).value(&text)).expect("accepted"));
        }
        killer.join().unwrap();
        during
    });
    let places: Vec<RecordMetadata> = deliveries.into_iter().map(delivered).collect();
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    let read = kafka.read_back(topic).unwrap();
    assert_eq!(read.len() as u64, total, "none lost, none doubled");
    let mut last = std::collections::HashMap::new();
    for record in &read {
        let number: u64 = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap().parse().unwrap();
        let place = &places[usize::try_from(number).unwrap()];
        assert_eq!((place.partition, place.offset), (record.partition, record.offset), "told where {number} is");
        let before = last.insert(record.partition, number);
        assert!(before.is_none_or(|before| before < number), "partition {} keeps the order", record.partition);
    }
    println!(
        "{total} records, {sent_during_kills} of them while brokers were killed 4 times: 0 lost, 0 doubled, in order; \
         {} retried, {} connections lost, {} epoch bumps",
        stats.records_retried, stats.connections_closed, stats.epoch_bumps
    );
    assert!(stats.records_retried > 0, "the kills were felt");
}
