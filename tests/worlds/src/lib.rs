//! What the three worlds share: the records to publish, and the look into the cluster's log afterwards.
//!
//! What differs is all in the tests: how bytes and time move.

use klamm_core::{Config, Event, Instant, Limits, Producer, Record, SendError, Storage, TopicId};
use klamm_sim::Cluster;
use std::collections::BTreeMap;

/// The topic that everything goes to.
pub const TOPIC: &str = "readings";
/// Its partitions.
pub const PARTITIONS: u32 = 6;
/// Brokers that lead them.
pub const BROKERS: u32 = 3;
/// Records to publish.
pub const RECORDS: u32 = 1_000;
/// Unix time at the clocks' origin.
pub const WALL_CLOCK_MS: i64 = 1_700_000_000_000;

/// The key of a record; `worlds.mjs` knows it as well.
#[must_use]
pub fn key(index: u32) -> String {
    format!("key-{}", index % 97)
}

/// The value of a record; `worlds.mjs` knows it as well.
#[must_use]
pub fn value(index: u32) -> String {
    format!("value-{index}")
}

/// A producer in as little memory as it takes to meet a full buffer now and then.
#[must_use]
pub fn producer(bootstrap_servers: String, now: Instant) -> Producer<'static> {
    let limits = Limits {
        buffer_memory: 32 << 10,
        block_size: 1024,
        batches: 16,
        partitions: 8,
        topics: 1,
        brokers: 4,
        connections: 4,
        ..Limits::default()
    };
    let mut config = Config::new(bootstrap_servers);
    config.batch_size = 2048;
    let mut producer = Producer::new(config, Storage::heap(&limits), [1; 32], now).expect("the settings are legal");
    producer.set_wall_clock(now, WALL_CLOCK_MS);
    producer
}

/// An application: it sends as fast as the producer takes, and counts what was delivered.
#[derive(Debug)]
pub struct Application {
    topic: TopicId,
    sent: u32,
    delivered: u32,
}

impl Application {
    /// An application that has sent nothing yet.
    ///
    /// # Panics
    /// If the producer refuses the topic.
    #[must_use]
    pub fn new(producer: &mut Producer<'_>) -> Self {
        let topic = producer.topic(TOPIC).expect("there is room for a topic");
        Self { topic, sent: 0, delivered: 0 }
    }

    /// Sends what the producer takes now, and hears what became of what was sent.
    ///
    /// # Panics
    /// If a record is refused for good, or fails.
    pub fn step(&mut self, producer: &mut Producer<'_>, now: Instant) {
        while self.sent < RECORDS {
            let (key, value) = (key(self.sent), value(self.sent));
            match producer.send(now, self.topic, &Record::keyed(key.as_bytes(), value.as_bytes())) {
                Ok(_) => self.sent += 1,
                Err(SendError::Full | SendError::BrokerShare | SendError::PartitionsUnknown) => break,
                Err(error) => panic!("record {}: {error}", self.sent),
            }
        }
        if self.sent == RECORDS {
            producer.flush(now);
        }
        while let Some(event) = producer.poll_event() {
            match event {
                Event::Batch(outcome) => {
                    outcome.result.expect("no broker fails");
                    self.delivered += outcome.count;
                }
                Event::Problem(problem) => panic!("{problem:?}"),
                _ => {}
            }
        }
    }

    /// Everything has arrived.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.delivered == RECORDS
    }
}

/// Checks that every record is in the log once, the records of a key in one partition and in order, and that each broker
/// had its part.
///
/// # Panics
/// If not.
pub fn check_log(cluster: &Cluster) {
    let mut indices = Vec::new();
    let mut partition_of_key = BTreeMap::new();
    let mut leaders = Vec::new();
    for partition in 0..PARTITIONS {
        let mut last_of_key = BTreeMap::new();
        let log = cluster.log(TOPIC, partition);
        assert!(!log.is_empty(), "keys spread over all partitions");
        leaders.extend(cluster.leader(TOPIC, partition));
        for record in log {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("sent")).expect("sent as text");
            let (found_key, found_value) = (text(record.key), text(record.value));
            let index: u32 = found_value.strip_prefix("value-").and_then(|n| n.parse().ok()).expect("a value of ours");
            assert_eq!((&found_key, &found_value), (&key(index), &value(index)));
            assert!(record.timestamp >= WALL_CLOCK_MS, "{}", record.timestamp);
            assert_eq!(*partition_of_key.entry(found_key.clone()).or_insert(partition), partition);
            assert!(last_of_key.insert(found_key, index).is_none_or(|last| last < index), "out of order: {index}");
            indices.push(index);
        }
    }
    indices.sort_unstable();
    assert!(indices.iter().copied().eq(0..RECORDS), "{} records", indices.len());
    leaders.sort_unstable();
    leaders.dedup();
    assert_eq!(leaders.len(), BROKERS as usize);
}
