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

#[test]
fn a_thousand_keys_go_to_the_partitions_that_java_chooses() {
    let (kafka, topic) = (kafka(), "java-partitions");
    kafka.create_topic(topic, 17, 1, &[]).unwrap();
    // Lengths 0 to 99, bytes of every value.
    let keys: Vec<Vec<u8>> = (0..1000u32)
        .map(|n| (0..n % 100).map(|at| (n.wrapping_mul(2_654_435_761) >> (at % 24)) as u8 ^ at as u8).collect())
        .collect();
    let producer = producer(kafka, &[]);
    let deliveries: Vec<_> =
        keys.iter().map(|key| producer.send(&Record::to(topic).key(key).value("v")).unwrap()).collect();
    let chosen: Vec<i32> = deliveries.into_iter().map(|delivery| delivered(delivery).partition).collect();
    producer.close(CLOSE).unwrap();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    assert_eq!(chosen, kafka.partition_of(17, &keys).unwrap());
    assert!(chosen.iter().collect::<BTreeSet<_>>().len() > 10, "keys spread");
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

#[test]
fn log_append_time_is_the_brokers() {
    let (kafka, topic) = (kafka(), "log-append-time");
    kafka.create_topic(topic, 1, 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let producer = producer(kafka, &[]);
    let delivery = producer.send(&Record::to(topic).value("v").timestamp(1_000)).unwrap();
    let told = delivered(delivery).timestamp;
    producer.close(CLOSE).unwrap();
    let read = kafka.read_back(topic).unwrap();
    assert_eq!(read[0].timestamp, told);
    assert!(told > 1_700_000_000_000, "not the record's own");
}

#[test]
fn a_batch_above_the_topics_limit_is_split_and_a_record_above_it_fails_alone() {
    let (kafka, topic) = (kafka(), "small-messages");
    kafka.create_topic(topic, 1, 1, &[("max.message.bytes", "1000")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "100")]);
    let value = [b'x'; 100];
    let small: Vec<_> = (0..200).map(|_| producer.send(&Record::to(topic).value(&value)).unwrap()).collect();
    for delivery in small {
        let _ = delivered(delivery);
    }
    let big = producer.send(&Record::to(topic).value(&[b'y'; 2000])).unwrap().wait().unwrap_err();
    assert!(big.to_string().contains("max.message.bytes"), "{big}");
    assert_eq!(big.fate, klamm::Fate::NotWritten);
    let after = producer.send(&Record::to(topic).value("after")).unwrap();
    let _ = delivered(after);
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert!(stats.batches_split > 0);
    assert_eq!(kafka.read_back(topic).unwrap().len(), 201);
}

#[test]
fn an_invalid_topic_and_a_refused_record_say_why() {
    let kafka = kafka();
    let producer = producer(kafka, &[("max.block.ms", "8000")]);
    let error = producer.send(&Record::to("not a topic!").value("v")).unwrap_err();
    assert!(error.to_string().contains("INVALID_TOPIC_EXCEPTION"), "{error}");
    kafka.create_topic("compacted", 1, 1, &[("cleanup.policy", "compact")]).unwrap();
    let error = producer.send(&Record::to("compacted").value("no key")).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("INVALID_RECORD"), "{error}");
    let keyed = producer.send(&Record::to("compacted").key("k").value("v")).unwrap();
    let _ = delivered(keyed);
    producer.close(CLOSE).unwrap();
}
