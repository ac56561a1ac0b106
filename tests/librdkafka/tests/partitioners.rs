//! klamm and librdkafka put the same key into the same partition.

use std::collections::BTreeMap;

use klamm::Record;
use klamm_librdkafka_tests::{Mock, Numbers, PATIENCE};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// klamm's `partitioner.class`, librdkafka's `partitioner`.
const PARTITIONERS: &[(&str, &str)] = &[
    ("murmur2", "murmur2"),
    ("murmur2_random", "murmur2_random"),
    ("consistent", "consistent"),
    ("consistent_random", "consistent_random"),
    ("fnv1a", "fnv1a"),
    ("fnv1a_random", "fnv1a_random"),
    // Java's default, by its own name.
    ("org.apache.kafka.clients.producer.internals.DefaultPartitioner", "murmur2"),
];

/// Partition counts: one, a power of two, and others.
const COUNTS: [i32; 4] = [1, 7, 16, 100];

const KEYS: usize = 10_000;

/// Keys of every length up to 40, some long ones, bytes of all values.
fn keys(with_empty: bool) -> Vec<Vec<u8>> {
    let mut numbers = Numbers::from(2026);
    let mut keys: Vec<Vec<u8>> = if with_empty { vec![Vec::new()] } else { Vec::new() };
    while keys.len() < KEYS {
        let len = match numbers.below(20) {
            0 => 1 + numbers.below(1000),
            _ => 1 + numbers.below(40),
        };
        keys.push(numbers.bytes(len));
    }
    keys
}

/// Where the consumer found each key.
fn places(mock: &Mock, topic: &str, partitions: i32) -> BTreeMap<Vec<u8>, i32> {
    let mut places = BTreeMap::new();
    for record in mock.read(topic, partitions).into_iter().flatten() {
        let before = places.insert(record.key.expect("a key"), record.partition);
        assert!(before.is_none_or(|before| before == record.partition), "one key, two partitions");
    }
    places
}

fn produce_ours(mock: &Mock, class: &str, topic: &str, keys: &[Vec<u8>]) {
    let producer =
        mock.producer(|builder| builder.property("partitioner.class", class).expect("a partitioner of klamm's"));
    for key in keys {
        drop(producer.send(&Record::to(topic).key(key).value("")).expect("accepted"));
    }
    producer.close(PATIENCE).expect("delivered");
}

fn produce_theirs(mock: &Mock, name: &str, topic: &str, keys: &[Vec<u8>]) {
    let producer: BaseProducer =
        mock.client().set("partitioner", name).set("linger.ms", "1").create().expect("a producer of librdkafka's");
    for key in keys {
        producer.send(BaseRecord::to(topic).key(key).payload("")).map_err(|(error, _)| error).expect("accepted");
    }
    producer.flush(PATIENCE).expect("delivered");
}

#[test]
fn keys_go_where_librdkafka_puts_them() {
    for (class, name) in PARTITIONERS {
        // Its `consistent_random` takes an empty key for none.
        let keys = keys(*name != "consistent_random");
        let mock = Mock::start(1);
        for count in COUNTS {
            let (ours, theirs) = (format!("ours-{count}"), format!("theirs-{count}"));
            mock.create(&ours, count);
            mock.create(&theirs, count);
            produce_ours(&mock, class, &ours, &keys);
            produce_theirs(&mock, name, &theirs, &keys);
            let (ours, theirs) = (places(&mock, &ours, count), places(&mock, &theirs, count));
            assert!(ours.len() > KEYS * 9 / 10, "keys are nearly all different");
            assert!(ours == theirs, "{class} and {name} differ with {count} partitions");
        }
    }
}
