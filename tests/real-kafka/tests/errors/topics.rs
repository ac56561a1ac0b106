//! Topics that are missing, or change while records flow.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use klamm::{Delivery, DeliveryErrorKind, ErrorCode, Fate, Record, RecordMetadata};
use klamm_real_kafka::{CLOSE, assert_numbered, delivered, producer, stream_while, wait_until};

use crate::broker;

#[test]
fn an_unknown_topic_is_named_after_max_block_ms() {
    let producer = producer(broker(), &[("max.block.ms", "2000")]);
    let begin = Instant::now();
    let error = producer.send(&Record::to("nowhere").value("v")).unwrap_err();
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(
        error.to_string(),
        "no metadata for topic 'nowhere' within 2000 ms (max.block.ms): UNKNOWN_TOPIC_OR_PARTITION (3): it does not exist, \
         or this client may not describe it"
    );
    assert!(error.is_retriable(), "someone may create it");
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_record_for_an_unknown_topic_fails_after_delivery_timeout_ms() {
    let properties = [("delivery.timeout.ms", "3000"), ("request.timeout.ms", "2000"), ("linger.ms", "0")];
    let producer = producer(broker(), &properties);
    // `try_send` does not wait for metadata.
    let error = producer.try_send(&Record::to("nowhere").value("v")).unwrap().wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "record for nowhere: not delivered within delivery.timeout.ms, last error UNKNOWN_TOPIC_OR_PARTITION (3); \
         it is not in the log: it can be sent again"
    );
    assert_eq!(error.kind, DeliveryErrorKind::TimedOut { last: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION });
    assert_eq!((error.fate, error.is_retriable(), error.partition), (Fate::NotWritten, true, -1));
    producer.close(CLOSE).unwrap();
}

/// What was acknowledged before the deletion is gone with the topic; everything else is in the new one, once and in order.
#[test]
fn a_topic_is_deleted_and_made_again() {
    let (kafka, topic) = (broker(), "made-again");
    kafka.create_topic(topic, 1, 1, &[]).unwrap();
    let producer = producer(kafka, &[]);
    let outcomes = stream_while(&producer, topic, || {
        kafka.delete_topic(topic).unwrap();
        kafka.create_topic(topic, 1, 1, &[]).unwrap();
    });
    let places: Vec<RecordMetadata> = outcomes.into_iter().map(|outcome| outcome.expect("delivered")).collect();
    producer.close(CLOSE).unwrap();
    let read = kafka.read_back(topic).unwrap();
    let first = places.len() - read.len();
    assert!(first > 0 && !read.is_empty(), "{first} before, {} after", read.len());
    for (offset, record) in read.iter().enumerate() {
        let number = first + offset;
        assert_eq!(record.value.as_deref(), Some(number.to_string().as_bytes()), "the tail of what was sent");
        assert_eq!((places[number].offset, record.offset), (offset as i64, offset as i64));
    }
}

#[test]
fn a_topic_gets_more_partitions() {
    let (kafka, topic) = (broker(), "growing");
    kafka.create_topic(topic, 2, 1, &[]).unwrap();
    let producer = producer(kafka, &[("metadata.max.age.ms", "500"), ("batch.size", "200")]);
    let watcher = producer.clone();
    let outcomes = stream_while(&producer, topic, || {
        kafka.tool_text("topics", &["--alter", "--topic", topic, "--partitions", "5"], b"").unwrap();
        wait_until("the producer to see the new partitions", || watcher.partition_count(topic) == Ok(5));
    });
    let mut places: Vec<RecordMetadata> = outcomes.into_iter().map(|outcome| outcome.expect("delivered")).collect();
    assert!(places[0].partition < 2);
    let deliver = |delivery: Delivery| delivered(delivery);
    let numbers: Vec<String> = (places.len()..places.len() + 500).map(|number| number.to_string()).collect();
    let keyless: Vec<Delivery> =
        numbers.iter().map(|number| producer.send(&Record::to(topic).value(number)).unwrap()).collect();
    let keyless: Vec<RecordMetadata> = keyless.into_iter().map(deliver).collect();
    let used: BTreeSet<i32> = keyless.iter().map(|place| place.partition).collect();
    assert!(used.iter().any(|partition| *partition >= 2), "new partitions are used: {used:?}");
    places.extend(keyless);

    let first = places.len();
    let numbers: Vec<String> = (first..first + 100).map(|number| number.to_string()).collect();
    let keyed: Vec<Delivery> =
        numbers.iter().map(|number| producer.send(&Record::to(topic).key(number).value(number)).unwrap()).collect();
    places.extend(keyed.into_iter().map(deliver));
    let chosen: Vec<i32> = places[first..].iter().map(|place| place.partition).collect();
    let keys: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
    assert_eq!(chosen, kafka.partition_of(5, &keys).unwrap(), "as Java's, by the new count");
    producer.close(CLOSE).unwrap();
    assert_numbered(&kafka.read_back(topic).unwrap(), &places);
}
