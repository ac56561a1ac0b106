//! The oldest broker that klamm speaks to, whose answers differ: no broker's words, no names of bad records, no topic ids, and
//! InitProducerId without epochs.

use std::sync::OnceLock;

use klamm::{Delivery, Fate, Record, RecordMetadata};
use klamm_kafka_harness::Kafka;
use klamm_real_kafka::{CLOSE, assert_numbered, delivered, producer, stream_while};

use crate::{failure, outcome};

fn old() -> &'static Kafka {
    static OLD: OnceLock<Kafka> = OnceLock::new();
    OLD.get_or_init(|| Kafka::builder().version("2.1.1").start().expect("Kafka starts"))
}

#[test]
fn too_large_is_split_or_named() {
    let kafka = old();
    kafka.create_topic("big", 1, 1, &[("max.message.bytes", "1000")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "100")]);
    let value = [b'x'; 100];
    let sent: Vec<Delivery> = (0..100).map(|_| producer.send(&Record::to("big").value(&value)).unwrap()).collect();
    let offsets: Vec<i64> = sent.into_iter().map(|delivery| delivered(delivery).offset).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    assert!(producer.stats().batches_split > 0);
    let error = failure(&producer, &Record::to("big").value(&[b'y'; 2000]));
    assert_eq!(
        error.to_string(),
        "record for big-0: larger than the topic's max.message.bytes; it is not in the log: \
         send smaller records, or raise the topic's max.message.bytes"
    );
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_refused_record_fails_with_its_batch() {
    let kafka = old();
    kafka.create_topic("compacted", 1, 1, &[("cleanup.policy", "compact")]).unwrap();
    let producer = producer(kafka, &[]);
    // Brokers before 2.4 say CORRUPT_MESSAGE; it is tried once more, since the wire may have been at fault.
    let error = failure(&producer, &Record::to("compacted").value("v"));
    assert_eq!(
        error.to_string(),
        "record for compacted-0: the broker answered CORRUPT_MESSAGE (2); it is not in the log: \
         give it a key if the topic is compacted: brokers before 2.4 say it this way"
    );
    assert_eq!((error.fate, error.is_retriable(), error.collateral), (Fate::NotWritten, false, false));
    assert_eq!(outcome(&producer, &Record::to("compacted").key("k").value("v")).unwrap().offset, 0);

    kafka.create_topic("recent", 1, 1, &[("message.timestamp.difference.max.ms", "3600000")]).unwrap();
    let error = failure(&producer, &Record::to("recent").value("v").timestamp(1000));
    assert_eq!(
        error.to_string(),
        "record for recent-0: the broker answered INVALID_TIMESTAMP (32); it is not in the log: \
         sending it again will not help"
    );
    assert_eq!(outcome(&producer, &Record::to("recent").value("v")).unwrap().offset, 0);
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_restart_loses_and_repeats_nothing() {
    let (kafka, topic) = (old(), "restarted");
    kafka.create_topic(topic, 3, 1, &[]).unwrap();
    let producer = producer(kafka, &[]);
    let outcomes = stream_while(&producer, topic, || kafka.restart(1).unwrap());
    let places: Vec<RecordMetadata> = outcomes.into_iter().map(|outcome| outcome.expect("delivered")).collect();
    assert!(producer.stats().connections_closed > 0, "the restart was felt");
    producer.close(CLOSE).unwrap();
    assert_numbered(&kafka.read_back(topic).unwrap(), &places);
}
