//! Records of every shape arrive as they were sent.

use std::sync::Arc;

use klamm::{Acks, Compression, Delivery, Header, Record};
use klamm_librdkafka_tests::{Api, Mock, Numbers, Stored};

/// Codecs that the consumer here can read.
const CODECS: &[Compression] =
    &[Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// One record, owned.
#[derive(Clone)]
struct Sent {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

/// Null, empty, small and large keys and values, headers of the same name, without a value, without a name.
fn records(seed: u64, count: usize, partitions: i32) -> Vec<Sent> {
    let mut numbers = Numbers::from(seed);
    let bytes = |numbers: &mut Numbers| match numbers.below(8) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(numbers.bytes(1)),
        // As a compressor likes it, and as it does not.
        3 => Some(b"again and again ".repeat(numbers.below(300))),
        4 => {
            let len = numbers.below(4000);
            Some(numbers.bytes(len))
        }
        _ => {
            let len = numbers.below(60);
            Some(numbers.bytes(len))
        }
    };
    let record = |_| Sent {
        partition: i32::try_from(numbers.below(partitions as usize)).expect("few"),
        key: bytes(&mut numbers),
        value: bytes(&mut numbers),
        headers: (0..numbers.below(4))
            .map(|_| (["", "h", "h", "clé ☃"][numbers.below(4)].to_owned(), bytes(&mut numbers)))
            .collect(),
        timestamp: 1_700_000_000_000 + numbers.below(1_000_000) as i64,
    };
    (0..count).map(record).collect()
}

fn send(producer: &klamm::Producer, topic: &str, sent: &Sent) -> Delivery {
    let headers: Vec<Header<'_>> =
        sent.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    let mut record = Record::to(topic).partition(sent.partition).timestamp(sent.timestamp).headers(&headers);
    if let Some(key) = &sent.key {
        record = record.key(key);
    }
    if let Some(value) = &sent.value {
        record = record.value(value);
    }
    producer.send(&record).expect("accepted")
}

fn assert_same(found: &[Vec<Stored>], sent: &[Sent], what: &str) {
    for (partition, found) in (0i32..).zip(found) {
        let sent: Vec<&Sent> = sent.iter().filter(|sent| sent.partition == partition).collect();
        assert_eq!(found.len(), sent.len(), "{what}: records in {partition}");
        for (found, sent) in found.iter().zip(sent) {
            assert_eq!(found.key, sent.key, "{what}");
            assert_eq!(found.value, sent.value, "{what}");
            assert_eq!(found.headers, sent.headers, "{what}");
            assert_eq!(found.timestamp, Some(sent.timestamp), "{what}");
        }
    }
}

/// With every `acks`, with and without idempotence, with every codec.
#[test]
fn records_arrive_as_sent() {
    for (acks, idempotence) in [(Acks::None, false), (Acks::Leader, false), (Acks::All, false), (Acks::All, true)] {
        for (seed, codec) in (0..).zip(CODECS) {
            let what = format!("{acks:?}, idempotence {idempotence}, {codec:?}");
            let mock = Mock::with_topic(2, 3);
            let producer =
                mock.producer(|builder| builder.acks(acks).enable_idempotence(idempotence).compression(*codec));
            let sent = records(seed, 1000, 3);
            let deliveries: Vec<Delivery> = sent.iter().map(|sent| send(&producer, "t", sent)).collect();
            producer.flush();
            for delivery in &deliveries {
                let told = delivery.try_get().expect("flushed").unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(told.offset < 0, acks == Acks::None, "{what}");
            }
            assert_same(&mock.read("t", 3), &sent, &what);
        }
    }
}

/// What a delivery says is where the record lies.
#[test]
fn deliveries_name_the_place() {
    let mock = Mock::with_topic(3, 6);
    let producer = mock.producer(|builder| builder);
    let sent = records(9, 2000, 6);
    let deliveries: Vec<Delivery> = sent.iter().map(|sent| send(&producer, "t", sent)).collect();
    producer.flush();
    let found = mock.read("t", 6);
    for (delivery, sent) in deliveries.iter().zip(&sent) {
        let told = delivery.try_get().expect("flushed").expect("delivered");
        assert_eq!((&*told.topic, told.partition), ("t", sent.partition));
        let stored = &found[told.partition as usize][told.offset as usize];
        assert_eq!((&stored.key, &stored.value), (&sent.key, &sent.value));
    }
}

/// The mock speaks up to Produce 10, Metadata 12, InitProducerId 4; it can be held to less.
#[test]
fn older_versions_are_spoken() {
    for produce in 7..=10 {
        let mock = Mock::with_topic(1, 2);
        let at = |api, version| mock.cluster.apiversion(api, Some(0), Some(version)).expect("a version");
        at(Api::Produce, produce);
        at(Api::Metadata, produce + 2);
        at(Api::InitProducerId, produce - 6);
        let producer = mock.producer(|builder| builder);
        let sent = records(produce as u64, 300, 2);
        sent.iter().for_each(|sent| drop(send(&producer, "t", sent)));
        producer.flush();
        assert_same(&mock.read("t", 2), &sent, &format!("Produce v{produce}"));
    }
}

/// Several topics in one request, created by asking for them.
#[test]
fn topics_are_created_by_the_first_record() {
    let mock = Mock::start(2);
    let producer = mock.producer(|builder| builder.linger_ms(20));
    let topics: Vec<String> = (0..20).map(|topic| format!("topic-{topic}")).collect();
    for topic in &topics {
        producer.partition_count(topic).expect("created");
    }
    for round in 0..50 {
        for topic in &topics {
            let value = format!("{topic} {round}");
            drop(producer.send(&Record::to(topic).partition(0).value(&value)).expect("accepted"));
        }
    }
    producer.flush();
    for topic in &topics {
        let expected: Vec<String> = (0..50).map(|round| format!("{topic} {round}")).collect();
        assert_eq!(mock.values(topic, 1)[0], expected);
    }
}

/// Several threads, small batches, five requests in flight: all there, once, and each thread's records in order within each
/// partition.
#[test]
fn threads_keep_their_order() {
    const THREADS: usize = 4;
    const EACH: usize = 10_000;
    let mock = Mock::with_topic(3, 8);
    let producer = Arc::new(mock.producer(|builder| builder.batch_size(2000).compression(Compression::Lz4)));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let producer = &producer;
            scope.spawn(move || {
                for number in 0..EACH {
                    let (key, value) = (format!("{}", number % 97), format!("{thread} {number}"));
                    let record = Record::to("t").key(&key).value(&value);
                    drop(producer.send(&record).expect("accepted"));
                }
            });
        }
    });
    producer.close(klamm_librdkafka_tests::PATIENCE).expect("delivered");
    let found = mock.values("t", 8);
    assert_eq!(found.iter().map(Vec::len).sum::<usize>(), THREADS * EACH);
    for values in &found {
        let mut last = [None; THREADS];
        for value in values {
            let (thread, number) = value.split_once(' ').expect("two numbers");
            let (thread, number): (usize, usize) = (thread.parse().expect("one"), number.parse().expect("one"));
            assert!(last[thread] < Some(number), "{value} after {:?}", last[thread]);
            last[thread] = Some(number);
        }
    }
}
