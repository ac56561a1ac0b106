//! klamm against librdkafka: its mock cluster takes what klamm produces, its consumer reads it back.
//!
//! The mock cluster runs in this process, on loopback ports of its own. It checks less than a broker: it keeps batches as they
//! came, and does not look for duplicates outside of transactions. What it does not check the consumer does: it decodes every
//! batch and compares its CRC.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm::{Builder, Producer};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
pub use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};

/// Longer than anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A record as the consumer saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Unix milliseconds.
    pub timestamp: Option<i64>,
}

/// A mock cluster. Its brokers have the ids 1, 2, …
pub struct Mock {
    /// librdkafka's handle, to break things.
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    bootstrap: String,
}

impl Mock {
    /// Starts it.
    ///
    /// # Panics
    /// If librdkafka cannot.
    #[must_use]
    pub fn start(brokers: i32) -> Self {
        let cluster = MockCluster::new(brokers).expect("a mock cluster");
        let bootstrap = cluster.bootstrap_servers();
        Self { cluster, bootstrap }
    }

    /// Starts it with a topic `t`.
    #[must_use]
    pub fn with_topic(brokers: i32, partitions: i32) -> Self {
        let mock = Self::start(brokers);
        mock.create("t", partitions);
        mock
    }

    /// Makes a topic. Its partitions are led by the brokers in turn.
    ///
    /// # Panics
    /// If there is one of that name.
    pub fn create(&self, topic: &str, partitions: i32) {
        self.cluster.create_topic(topic, partitions, 1).expect("a new topic");
    }

    /// The next requests of that API get these answers.
    pub fn refuse(&self, api: Api, codes: &[Code]) {
        self.cluster.request_errors(api, codes);
    }

    /// Settings for an impatient producer of this cluster.
    pub fn builder(&self) -> Builder {
        Producer::builder()
            .bootstrap_servers(&*self.bootstrap)
            .reconnect_backoff_ms(20)
            .retry_backoff_ms(20)
            .retry_backoff_max_ms(100)
            .linger_ms(1)
    }

    /// A producer with these settings.
    ///
    /// # Panics
    /// If they contradict each other.
    #[must_use]
    pub fn producer(&self, change: impl FnOnce(Builder) -> Builder) -> Producer {
        change(self.builder()).build().expect("a producer")
    }

    /// A client of librdkafka for this cluster.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Reads partitions `0..partitions` of a topic to their ends, by partition.
    ///
    /// # Panics
    /// If the consumer finds anything wrong, or does not come to an end.
    #[must_use]
    pub fn read(&self, topic: &str, partitions: i32) -> Vec<Vec<Stored>> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "judge")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            // Not `Beginning`: looking that up waits half a second for the leader to be known.
            list.add_partition_offset(topic, partition, Offset::Offset(0)).expect("a partition");
        }
        consumer.assign(&list).expect("an assignment");
        let mut read: BTreeMap<i32, Vec<Stored>> = (0..partitions).map(|partition| (partition, Vec::new())).collect();
        let mut ended = vec![false; read.len()];
        let started = Instant::now();
        while ended.iter().any(|ended| !ended) {
            assert!(started.elapsed() < PATIENCE, "not read to the end of {topic}");
            match consumer.poll(Duration::from_millis(20)) {
                None => {}
                Some(Ok(message)) => read.entry(message.partition()).or_default().push(stored(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended[usize::try_from(partition).expect("a partition")] = true;
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
        let read: Vec<Vec<Stored>> = read.into_values().collect();
        for records in &read {
            let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, (0..).take(records.len()).collect::<Vec<_>>(), "offsets without a gap");
        }
        read
    }

    /// The values of a topic, by partition.
    ///
    /// # Panics
    /// If one is no text.
    #[must_use]
    pub fn values(&self, topic: &str, partitions: i32) -> Vec<Vec<String>> {
        let text = |record: Stored| String::from_utf8(record.value.unwrap_or_default()).expect("text");
        self.read(topic, partitions).into_iter().map(|records| records.into_iter().map(text).collect()).collect()
    }
}

fn stored(message: &impl Message) -> Stored {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis(),
    }
}

/// Numbers without a pattern, the same each time.
pub struct Numbers(u64);

impl Numbers {
    /// The numbers that follow from a seed.
    #[must_use]
    pub fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one (splitmix64).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next one below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % bound.max(1) as u64).expect("below a usize")
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.draw().to_le_bytes()[0]).collect()
    }
}
