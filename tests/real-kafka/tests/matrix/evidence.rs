//! What one version of Kafka did with everything that klamm can send it, gathered in one go.
//!
//! Starting a broker, a reader and a dump costs seconds each, so all tests of a version share one of each: the broker is started,
//! fed, read, and gone before the first test looks at what was found.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use klamm::{ConfigError, Delivery, Header, Producer, Record, RecordMetadata};
use klamm_kafka_harness::{Kafka, LogBatch, ReadRecord};
use klamm_real_kafka::CLOSE;

/// All codecs of Kafka. Those that klamm says it does not have are left out, so that what it has is tested the day it has it.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// `acks` and `enable.idempotence`, as far as they go together.
const PROMISES: [(&str, bool); 4] = [("0", false), ("1", false), ("all", false), ("all", true)];

/// Partitions of each topic.
const PARTITIONS: i32 = 2;

/// Small batches, so that each partition gets several of them.
const BATCH_SIZE: &str = "2048";

/// A time long ago, in Unix milliseconds; each record's own is a little later.
const LONG_AGO: i64 = 1_500_000_000_000;

/// Everything that was found about one version.
pub(crate) struct Run {
    pub(crate) scenarios: Vec<Scenario>,
}

/// One way to configure a producer, and what became of its records.
pub(crate) struct Scenario {
    pub(crate) codec: &'static str,
    pub(crate) acks: &'static str,
    pub(crate) idempotence: bool,
    /// `CreateTime` or `LogAppendTime`: what the topic's timestamps are.
    pub(crate) timestamps: &'static str,
    /// Every record with what the Java consumer read at its place; a text if there is no such pairing.
    pub(crate) records: Result<Vec<Pair>, String>,
    pub(crate) batches: Vec<LogBatch>,
}

/// A record as it was sent, as klamm said it was stored, and as it was read.
pub(crate) struct Pair {
    pub(crate) sent: Case,
    /// Milliseconds just before and just after the send.
    pub(crate) sent_between: (i64, i64),
    pub(crate) told: RecordMetadata,
    pub(crate) read: ReadRecord,
}

/// Names and values, in order.
type Headers = Vec<(&'static str, Option<Vec<u8>>)>;

/// A record to send.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Headers,
    /// `None` for the time of the send.
    pub(crate) timestamp: Option<i64>,
}

/// The evidence for a version, gathered by whoever asks first. One broker runs at a time, also when tests run at the same time.
pub(crate) fn of(version: &'static str) -> Result<&'static Run, String> {
    type Known = BTreeMap<&'static str, Result<&'static Run, String>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(version).or_insert_with(|| gather(version).map(|run| &*Box::leak(Box::new(run)))).clone()
}

fn gather(version: &str) -> Result<Run, String> {
    let kafka = Kafka::builder().version(version).start().map_err(|error| error.to_string())?;
    let mut plans = plans();
    for timestamps in ["CreateTime", "LogAppendTime"] {
        let topics: Vec<&str> =
            plans.iter().filter(|plan| plan.timestamps == timestamps).map(|plan| plan.topic.as_str()).collect();
        kafka
            .create_topics(&topics, PARTITIONS, 1, &[("message.timestamp.type", timestamps)])
            .map_err(|error| error.to_string())?;
    }
    let sent: Vec<_> = plans.iter().map(|plan| plan.produce(&kafka.bootstrap_servers())).collect();
    let topics: Vec<&str> = plans.iter().map(|plan| plan.topic.as_str()).collect();
    let read = kafka.read_back_all(&topics).map_err(|error| error.to_string())?;
    let batches = kafka.dump_batches(1, &topics).map_err(|error| error.to_string())?;
    drop(kafka);

    let scenarios = plans.drain(..).zip(sent).map(|(plan, sent)| {
        let read: Vec<ReadRecord> = read.iter().filter(|record| record.topic == plan.topic).cloned().collect();
        let batches = batches.iter().filter(|batch| batch.topic == plan.topic).cloned().collect();
        let Plan { codec, acks, idempotence, timestamps, .. } = plan;
        let records = sent.and_then(|sent| pair(sent, &read));
        Scenario { codec, acks, idempotence, timestamps, records, batches }
    });
    Ok(Run { scenarios: scenarios.collect() })
}

/// One scenario before it was played.
struct Plan {
    topic: String,
    codec: &'static str,
    acks: &'static str,
    idempotence: bool,
    timestamps: &'static str,
}

fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for codec in CODECS {
        let known = Producer::builder().property("compression.type", codec);
        if matches!(known, Err(ConfigError::NotYet { .. })) {
            continue;
        }
        for (acks, idempotence) in PROMISES {
            for timestamps in ["CreateTime", "LogAppendTime"] {
                let topic = format!("{codec}-{acks}-{idempotence}-{timestamps}");
                plans.push(Plan { topic, codec, acks, idempotence, timestamps });
            }
        }
    }
    plans
}

/// A record with its place, and when it was sent.
type Sent = (Case, (i64, i64), RecordMetadata);

impl Plan {
    fn produce(&self, servers: &str) -> Result<Vec<Sent>, String> {
        let idempotence = self.idempotence.to_string();
        let producer = Producer::from_properties([
            ("bootstrap.servers", servers),
            ("compression.type", self.codec),
            ("acks", self.acks),
            ("enable.idempotence", &idempotence),
            ("batch.size", BATCH_SIZE),
            // Long enough that batches fill up, also on a machine that is busy with other things.
            ("linger.ms", "500"),
        ]);
        let producer = producer.map_err(|error| error.to_string())?;
        // The first send waits for metadata; then the clock readings around the others lie close together.
        producer.partition_count(&self.topic).map_err(|error| error.to_string())?;
        let mut sent: Vec<(Case, (i64, i64), Delivery)> = Vec::new();
        for case in cases() {
            let before = unix_ms();
            let delivery = send(&producer, &self.topic, &case).map_err(|error| format!("{case:?}: {error}"))?;
            sent.push((case, (before, unix_ms()), delivery));
        }
        producer.close(CLOSE).map_err(|error| error.to_string())?;
        let told = sent.into_iter().map(|(case, between, delivery)| match delivery.wait() {
            Ok(told) => Ok((case, between, told)),
            Err(error) => Err(format!("{case:?}: {error}")),
        });
        told.collect()
    }
}

fn send(producer: &Producer, topic: &str, case: &Case) -> Result<Delivery, klamm::SendError> {
    let headers: Vec<Header<'_>> =
        case.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    let mut record = Record::to(topic).headers(&headers);
    if let Some(key) = &case.key {
        record = record.key(key);
    }
    if let Some(value) = &case.value {
        record = record.value(value);
    }
    if let Some(timestamp) = case.timestamp {
        record = record.timestamp(timestamp);
    }
    producer.send(&record)
}

/// Every combination of key, value, headers and timestamp.
fn cases() -> Vec<Case> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let bytes = [None, Some(Vec::new()), Some("text, and ☃ more text, and more text".repeat(2).into_bytes())];
    let bytes: Vec<Option<Vec<u8>>> = bytes.into_iter().chain([Some(every_byte.clone())]).collect();
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let headers: [Headers; 7] = [
        vec![],
        vec![("name", text("value"))],
        vec![("", Some(Vec::new()))],
        vec![("null", None)],
        vec![("twice", text("1")), ("once", text("2")), ("twice", text("1")), ("twice", None)],
        vec![("clé-☃", text("naïve-☃"))],
        vec![("binary", Some(every_byte))],
    ];
    let mut cases = Vec::new();
    for key in &bytes {
        for value in &bytes {
            for headers in &headers {
                let later = LONG_AGO + cases.len() as i64;
                for timestamp in [Some(later), None, Some(0)] {
                    cases.push(Case { key: key.clone(), value: value.clone(), headers: headers.clone(), timestamp });
                }
            }
        }
    }
    cases
}

/// Puts what was read beside what was sent: by offset, or, where none was told, by the order within the partition.
fn pair(sent: Vec<Sent>, read: &[ReadRecord]) -> Result<Vec<Pair>, String> {
    if sent.len() != read.len() {
        return Err(format!("{} records were sent and {} are in the topic", sent.len(), read.len()));
    }
    let by_place: BTreeMap<(i32, i64), &ReadRecord> = read.iter().map(|r| ((r.partition, r.offset), r)).collect();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let pairs = sent.into_iter().map(|(sent, sent_between, told)| {
        let next = next.entry(told.partition).or_default();
        let offset = if told.offset < 0 { *next } else { told.offset };
        *next = offset + 1;
        let read = by_place.get(&(told.partition, offset));
        let read = read.ok_or_else(|| format!("nothing in partition {} at offset {offset}", told.partition))?;
        Ok(Pair { sent, sent_between, told, read: (*read).clone() })
    });
    pairs.collect()
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_millis() as i64
}
