//! One broker of the current Kafka.

use std::collections::BTreeSet;

use klamm::Record;
use klamm_kafka_harness::Kafka;
use klamm_real_kafka::{CLOSE, Plain, assert_read_back, delivered, edge_cases, producer, send};

fn kafka() -> &'static Kafka {
    Kafka::shared_single().expect("Kafka starts")
}

/// Sends every edge case with the given properties and has Java read them back.
fn round_trip(topic: &str, properties: &[(&str, &str)]) {
    let kafka = kafka();
    kafka.create_topic(topic, 3, 1, &[]).unwrap();
    let producer = producer(kafka, properties);
    let sent: Vec<_> = edge_cases().into_iter().map(|plain| (send(&producer, topic, &plain), plain)).collect();
    let sent: Vec<_> = sent.into_iter().map(|(delivery, plain)| (plain, delivered(delivery))).collect();
    producer.close(CLOSE).unwrap();
    assert_read_back(&kafka.read_back(topic).unwrap(), &sent);
}

#[test]
fn null_empty_and_binary_fields_come_back_byte_for_byte_idempotent() {
    round_trip("edges-idempotent", &[]);
}

#[test]
fn null_empty_and_binary_fields_come_back_byte_for_byte_acks_1() {
    round_trip("edges-acks-1", &[("acks", "1"), ("enable.idempotence", "false")]);
}

#[test]
fn null_empty_and_binary_fields_come_back_byte_for_byte_lz4() {
    round_trip("edges-lz4", &[("compression.type", "lz4")]);
}

#[test]
fn null_empty_and_binary_fields_come_back_byte_for_byte_one_record_a_batch() {
    round_trip("edges-single", &[("batch.size", "0"), ("linger.ms", "0")]);
}

#[test]
fn acks_0_is_delivered_without_an_offset_and_arrives() {
    let (kafka, topic) = (kafka(), "acks-0");
    kafka.create_topic(topic, 1, 1, &[]).unwrap();
    let producer = producer(kafka, &[("acks", "0"), ("enable.idempotence", "false")]);
    let deliveries: Vec<_> = edge_cases().iter().map(|plain| send(&producer, topic, plain)).collect();
    for delivery in deliveries {
        assert_eq!(delivered(delivery).offset, -1);
    }
    producer.close(CLOSE).unwrap();
    let read = kafka.read_back(topic).unwrap();
    let got: Vec<_> = read
        .into_iter()
        .map(|r| Plain { key: r.key, value: r.value, headers: r.headers, timestamp: r.timestamp })
        .collect();
    assert_eq!(got, edge_cases(), "one partition keeps the order");
}

/// Pseudorandom numbers (xorshift64*): the same keys in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn ten_thousand_random_keys_go_to_the_partitions_that_java_chooses() {
    let (kafka, topic) = (kafka(), "java-partitions");
    kafka.create_topic(topic, 17, 1, &[]).unwrap();
    let mut random = Random(0x6b6c_616d_6d21);
    let keys: Vec<Vec<u8>> =
        (0..10_000).map(|_| (0..random.next() % 100).map(|_| (random.next() >> 56) as u8).collect()).collect();
    let producer = producer(kafka, &[]);
    let deliveries: Vec<_> =
        keys.iter().map(|key| producer.send(&Record::to(topic).key(key).value("v")).unwrap()).collect();
    let chosen: Vec<i32> = deliveries.into_iter().map(|delivery| delivered(delivery).partition).collect();
    producer.close(CLOSE).unwrap();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    assert_eq!(chosen, kafka.partition_of(17, &keys).unwrap());
    assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 17, "keys spread");
}

#[test]
fn compressible_records_travel_as_lz4_and_come_back() {
    let (kafka, topic) = (kafka(), "lz4-bulk");
    kafka.create_topic(topic, 2, 1, &[]).unwrap();
    let producer = producer(kafka, &[("compression.type", "lz4"), ("batch.size", "65536"), ("linger.ms", "20")]);
    let sent: Vec<_> = (0..20_000)
        .map(|n| {
            let value = format!("{{\"sensor\":\"boiler-{}\",\"temperature\":{}.5}}", n % 7, n % 90);
            let plain = Plain {
                key: Some(format!("boiler-{}", n % 7).into_bytes()),
                value: Some(value.into_bytes()),
                headers: Vec::new(),
                timestamp: 1_700_000_000_000 + n,
            };
            (send(&producer, topic, &plain), plain)
        })
        .collect();
    let sent: Vec<_> = sent.into_iter().map(|(delivery, plain)| (plain, delivered(delivery))).collect();
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert!(stats.batch_bytes_sent * 2 < stats.bytes_accepted, "compressed at least by half: {stats:?}");
    let read = kafka.read_back(topic).unwrap();
    assert_eq!(read.len(), sent.len());
    let places: std::collections::HashMap<_, _> = read.iter().map(|r| ((r.partition, r.offset), r)).collect();
    for (plain, place) in &sent {
        let got = places[&(place.partition, place.offset)];
        assert_eq!((&got.key, &got.value, got.timestamp), (&plain.key, &plain.value, plain.timestamp));
    }
    let dump = kafka.dump_log(1, topic, 0).unwrap();
    assert!(dump.to_lowercase().contains("compresscodec: lz4"), "the log holds what was sent");
}
