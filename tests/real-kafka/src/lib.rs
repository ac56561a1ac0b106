//! What the suites against real Kafka share.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use klamm::{Delivery, DeliveryError, Producer, Record, RecordMetadata};
use klamm_kafka_harness::{Kafka, ReadRecord};

/// A producer with Kafka's property names on top of the cluster's address.
///
/// # Panics
/// If the properties are refused.
#[must_use]
pub fn producer(kafka: &Kafka, properties: &[(&str, &str)]) -> Producer {
    let servers = kafka.bootstrap_servers();
    let base = [("bootstrap.servers", servers.as_str())];
    Producer::from_properties(base.iter().chain(properties).copied()).expect("a producer")
}

/// A record as the tests speak of it: key, value, headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Unix milliseconds.
    pub timestamp: i64,
}

/// Every combination of null, empty, text and binary keys, values and headers.
#[must_use]
pub fn edge_cases() -> Vec<Plain> {
    let bytes: [Option<Vec<u8>>; 4] =
        [None, Some(Vec::new()), Some(b"text".to_vec()), Some(vec![0, 1, 0xff, 0x80, 10, 13])];
    let headers = vec![
        ("h".to_owned(), None),
        ("h".to_owned(), Some(Vec::new())),
        ("clé-☃".to_owned(), Some(vec![0, 0xff, 7])),
        (String::new(), Some(b"v".to_vec())),
    ];
    let mut cases = Vec::new();
    for key in &bytes {
        for value in &bytes {
            for with_headers in [false, true] {
                let headers = if with_headers { headers.clone() } else { Vec::new() };
                let timestamp = 1_700_000_000_000 + cases.len() as i64;
                cases.push(Plain { key: key.clone(), value: value.clone(), headers, timestamp });
            }
        }
    }
    cases
}

/// Sends one record and returns its delivery.
///
/// # Panics
/// If it is not accepted.
pub fn send(producer: &Producer, topic: &str, plain: &Plain) -> Delivery {
    let headers: Vec<klamm::Header<'_>> =
        plain.headers.iter().map(|(key, value)| klamm::Header { key, value: value.as_deref() }).collect();
    let mut record = Record::to(topic).headers(&headers).timestamp(plain.timestamp);
    if let Some(key) = &plain.key {
        record = record.key(key);
    }
    if let Some(value) = &plain.value {
        record = record.value(value);
    }
    producer.send(&record).expect("accepted")
}

/// Waits for a delivery.
///
/// # Panics
/// If it failed.
#[must_use]
pub fn delivered(delivery: Delivery) -> RecordMetadata {
    delivery.wait().expect("delivered")
}

/// Checks that what the Java consumer read at the told places is what was sent.
///
/// # Panics
/// If a record is missing, doubled or different.
pub fn assert_read_back(read: &[ReadRecord], sent: &[(Plain, RecordMetadata)]) {
    assert_eq!(read.len(), sent.len(), "as many records as were sent");
    for (plain, place) in sent {
        let found = read.iter().find(|record| record.partition == place.partition && record.offset == place.offset);
        let found = found.unwrap_or_else(|| panic!("nothing at {place:?}"));
        let got = Plain {
            key: found.key.clone(),
            value: found.value.clone(),
            headers: found.headers.clone(),
            timestamp: found.timestamp,
        };
        assert_eq!(&got, plain, "at {place:?}");
    }
}

/// How long the suites wait for a clean close.
pub const CLOSE: Duration = Duration::from_secs(30);

/// Sends numbered records, about a thousand a second, while `meanwhile` runs; each one's outcome, in order.
///
/// # Panics
/// If a record is not accepted, or if `meanwhile` panics.
pub fn stream_while(
    producer: &Producer,
    topic: &str,
    meanwhile: impl FnOnce() + Send,
) -> Vec<Result<RecordMetadata, DeliveryError>> {
    let mut deliveries = Vec::new();
    std::thread::scope(|scope| {
        let meanwhile = scope.spawn(meanwhile);
        // At least a few, before it begins and after it has ended.
        let mut rest = 50;
        while !meanwhile.is_finished() || rest > 0 {
            rest -= usize::from(meanwhile.is_finished());
            let number = deliveries.len().to_string();
            deliveries.push(producer.send(&Record::to(topic).value(&number)).expect("accepted"));
            std::thread::sleep(Duration::from_millis(1));
        }
        meanwhile.join().expect("what went on meanwhile");
    });
    deliveries.into_iter().map(Delivery::wait).collect()
}

/// Checks that numbered records are where they were told to be, each once, in order within their partitions.
///
/// # Panics
/// If one is lost, doubled or out of order.
pub fn assert_numbered(read: &[ReadRecord], places: &[RecordMetadata]) {
    assert_eq!(read.len(), places.len(), "none lost, none doubled");
    let mut last = HashMap::new();
    for record in read {
        let number: usize = std::str::from_utf8(record.value.as_deref().unwrap_or_default()).unwrap().parse().unwrap();
        let place = &places[number];
        assert_eq!((place.partition, place.offset), (record.partition, record.offset), "where {number} is");
        let before = last.insert(record.partition, number);
        assert!(before.is_none_or(|before| before < number), "partition {} keeps the order", record.partition);
    }
}

/// Waits until a condition holds.
///
/// # Panics
/// If it does not within two minutes.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited two minutes for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
