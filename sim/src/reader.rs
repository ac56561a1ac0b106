//! Reads a topic back from any Kafka, simulated or real: a blocking helper for examples and tests, without groups, TLS or SASL.
//!
//! It reads what is committed or not (`read_uncommitted`), from the earliest offset to the one that was the latest at the start.

use crate::batch::{Header, StoredRecord, decode_records};
use crate::error;
use crate::protocol::{Api, api_versions, fetch, finish, list_offsets, metadata, request};
use crate::wire::{Decoded, Malformed, Reader, Writer};
use std::collections::BTreeMap;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

const CLIENT_ID: &str = "klamm-reader";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// Attempts without any progress before giving up.
const ATTEMPTS: u32 = 50;
const FETCH_BYTES: i32 = 8 << 20;
/// No sane answer to our requests is larger.
const MAX_ANSWER: usize = 256 << 20;

/// One record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// The partition that holds it.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Milliseconds since the epoch, or -1.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, if any.
    pub value: Option<Vec<u8>>,
    /// Header keys and values in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Reads all records of a topic, by partition and offset. `bootstrap` is `host:port[,host:port…]`.
///
/// # Errors
/// If no bootstrap server answers, the topic does not exist, or a partition cannot be read within a few attempts.
pub fn read_topic(bootstrap: &str, topic: &str) -> io::Result<Vec<ReadRecord>> {
    let mut records = Vec::new();
    read_batches(bootstrap, topic, |partition, wanted, header, batch| {
        let see = |record: StoredRecord| {
            // A fetch answers with whole batches, which may start before the offset and end behind the last one wanted.
            if wanted.contains(&record.offset) {
                records.push(ReadRecord {
                    partition,
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                });
            }
        };
        decode_records(header, batch, see).map_err(|_| corrupt("a batch cannot be decoded"))
    })?;
    Ok(records)
}

/// Counts the records of a topic without decoding them: from the batch headers alone, so that records which log compaction or
/// a moved log start removed from inside a batch may count.
///
/// # Errors
/// As for [`read_topic`].
pub fn count_topic(bootstrap: &str, topic: &str) -> io::Result<u64> {
    let mut count = 0;
    read_batches(bootstrap, topic, |_, _, header, _| {
        count += u64::from(header.record_count.unsigned_abs());
        Ok(())
    })?;
    Ok(count)
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn malformed(why: Malformed) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed answer: {why:?}"))
}

fn failed(what: &str, code: i16) -> Error {
    let name = error::name(code).unwrap_or("unknown error");
    Error::other(format!("{what}: {name} ({code})"))
}

type SeeBatch<'s> = dyn FnMut(i32, std::ops::Range<i64>, &Header, &[u8]) -> io::Result<()> + 's;

fn read_batches(
    bootstrap: &str,
    topic: &str,
    mut see: impl FnMut(i32, std::ops::Range<i64>, &Header, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut session = Session::new(bootstrap, topic);
    session.refresh()?;
    let partitions: Vec<i32> = session.leaders.keys().copied().collect();
    for partition in partitions {
        let earliest = session.offset(partition, list_offsets::EARLIEST)?;
        let latest = session.offset(partition, list_offsets::LATEST)?;
        session.read_partition(partition, earliest..latest, &mut see)?;
    }
    Ok(())
}

/// Where the topic is, and the connections to there.
struct Session<'a> {
    bootstrap: &'a str,
    topic: &'a str,
    leaders: BTreeMap<i32, String>,
    links: BTreeMap<String, Link>,
}

/// Why an attempt failed.
enum Trouble {
    /// It may work after a metadata refresh.
    Retry(Error),
    Fatal(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::Unsupported => Self::Fatal(error),
            _ => Self::Retry(error),
        }
    }
}

impl From<Malformed> for Trouble {
    fn from(why: Malformed) -> Self {
        Self::Fatal(malformed(why))
    }
}

fn check(what: &str, code: i16) -> Result<(), Trouble> {
    match code {
        error::NONE => Ok(()),
        error::UNKNOWN_TOPIC_OR_PARTITION
        | error::LEADER_NOT_AVAILABLE
        | error::NOT_LEADER_OR_FOLLOWER
        | error::REQUEST_TIMED_OUT
        | error::KAFKA_STORAGE_ERROR
        | error::FENCED_LEADER_EPOCH
        | error::UNKNOWN_LEADER_EPOCH => Err(Trouble::Retry(failed(what, code))),
        _ => Err(Trouble::Fatal(failed(what, code))),
    }
}

impl<'a> Session<'a> {
    fn new(bootstrap: &'a str, topic: &'a str) -> Self {
        Self { bootstrap, topic, leaders: BTreeMap::new(), links: BTreeMap::new() }
    }

    /// Repeats an attempt, with fresh metadata and fresh connections in between.
    fn persist<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T, Trouble>) -> io::Result<T> {
        let mut left = ATTEMPTS;
        loop {
            match attempt(self) {
                Ok(value) => return Ok(value),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Retry(error)) if left == 0 => return Err(error),
                Err(Trouble::Retry(_)) => {}
            }
            left -= 1;
            thread::sleep(RETRY_BACKOFF);
            self.links.clear();
            // The next attempt says what is wrong, if this did not help.
            let _ = self.ask_leaders();
        }
    }

    fn refresh(&mut self) -> io::Result<()> {
        self.persist(Self::ask_leaders)
    }

    /// Asks the bootstrap servers in turn who leads the topic's partitions.
    fn ask_leaders(&mut self) -> Result<(), Trouble> {
        let mut trouble = Error::new(ErrorKind::InvalidInput, "no bootstrap servers").into();
        for address in self.bootstrap.split(',').map(str::trim) {
            let answer = Link::open(address).and_then(|mut link| link.metadata(self.topic));
            match answer {
                Ok(answer) => return self.learn(&answer),
                Err(error) => trouble = Trouble::Retry(error),
            }
        }
        Err(trouble)
    }

    fn learn(&mut self, answer: &metadata::Response) -> Result<(), Trouble> {
        let what = format!("topic {}", self.topic);
        let topic = answer
            .topics
            .iter()
            .find(|topic| topic.name.as_deref() == Some(self.topic))
            .ok_or_else(|| corrupt("the topic is missing in the metadata"))?;
        check(&what, topic.error_code)?;
        self.leaders.clear();
        for partition in &topic.partitions {
            let leader = answer
                .brokers
                .iter()
                .find(|broker| broker.node_id == partition.leader_id)
                .ok_or_else(|| Error::other(format!("{what}: a partition has no leader")))?;
            let address = format!("{}:{}", leader.host, leader.port);
            self.leaders.insert(partition.partition_index, address);
        }
        Ok(())
    }

    /// The connection to the leader of a partition.
    fn link(&mut self, partition: i32) -> Result<&mut Link, Trouble> {
        let address = self.leaders.get(&partition).ok_or_else(|| Error::other("the partition has no leader"))?.clone();
        if !self.links.contains_key(&address) {
            let link = Link::open(&address)?;
            self.links.insert(address.clone(), link);
        }
        self.links.get_mut(&address).ok_or_else(|| Error::other("no connection").into())
    }

    fn offset(&mut self, partition: i32, which: i64) -> io::Result<i64> {
        let topic = self.topic;
        self.persist(|session| session.link(partition)?.offset(topic, partition, which))
    }

    fn read_partition(
        &mut self,
        partition: i32,
        wanted: std::ops::Range<i64>,
        see: &mut SeeBatch<'_>,
    ) -> io::Result<()> {
        let topic = self.topic;
        let mut offset = wanted.start;
        while offset < wanted.end {
            let records = self.persist(|session| {
                let records = session.link(partition)?.fetch(topic, partition, offset)?;
                if records.is_empty() {
                    return Err(Trouble::Retry(Error::other("nothing to fetch")));
                }
                Ok(records)
            })?;
            let see = &mut |header: &Header, batch: &[u8]| see(partition, offset..wanted.end, header, batch);
            offset = each_batch(&records, offset..wanted.end, see)?;
        }
        Ok(())
    }
}

/// Shows the whole batches of a fetch that hold any of the `wanted` offsets. Where to fetch next, which is beyond where this one
/// began.
pub(crate) fn each_batch(
    records: &[u8],
    wanted: std::ops::Range<i64>,
    see: &mut dyn FnMut(&Header, &[u8]) -> io::Result<()>,
) -> io::Result<i64> {
    let mut offset = wanted.start;
    let mut rest = records;
    // The last batch may be cut off.
    while let Ok(header) = Header::decode(rest)
        && let Some((batch, tail)) = rest.split_at_checked(header.total_bytes)
        && header.magic == 2
        && offset < wanted.end
    {
        rest = tail;
        let beyond =
            header.base_offset.checked_add(i64::from(header.last_offset_delta)).and_then(|last| last.checked_add(1));
        let beyond = beyond.ok_or_else(|| corrupt("a batch lies beyond all offsets"))?;
        if beyond <= offset {
            continue;
        }
        if !header.is_control() {
            see(&header, batch)?;
        }
        offset = beyond;
    }
    if offset == wanted.start {
        return Err(corrupt("a fetch brought no whole batch"));
    }
    Ok(offset)
}

/// A connection to one broker.
struct Link {
    stream: TcpStream,
    versions: BTreeMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Link {
    fn open(address: &str) -> io::Result<Self> {
        let mut link = Self { stream: dial(address)?, versions: BTreeMap::new(), correlation_id: 0 };
        // Version 0 is answered by every broker.
        let answer = link.call(Api::ApiVersions, 0, |_| (), api_versions::Response::decode_v0)?;
        if answer.error_code != error::NONE {
            return Err(failed("ApiVersions", answer.error_code));
        }
        for key in answer.api_keys {
            link.versions.insert(key.api_key, (key.min_version, key.max_version));
        }
        Ok(link)
    }

    /// The highest version that both sides know.
    fn version(&self, api: Api, min: i16, max: i16) -> io::Result<i16> {
        let (low, high) = self.versions.get(&api.key()).copied().unwrap_or((0, -1));
        let version = high.min(max);
        if version < min.max(low) {
            let message = format!("the broker has no usable version of {api:?}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(version)
    }

    fn call<T>(
        &mut self,
        api: Api,
        version: i16,
        encode: impl FnOnce(&mut Writer),
        decode: impl FnOnce(&mut Reader<'_>) -> Decoded<T>,
    ) -> io::Result<T> {
        self.correlation_id += 1;
        let mut writer = request(api, version, self.correlation_id, CLIENT_ID);
        encode(&mut writer);
        self.stream.write_all(&finish(writer))?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = u32::from_be_bytes(size) as usize;
        if size > MAX_ANSWER {
            return Err(corrupt("the answer is too large"));
        }
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame)?;
        let mut r = Reader::new(&frame, api.response_header_is_flexible(version));
        let answered = r.i32().map_err(malformed)?;
        r.tags().map_err(malformed)?;
        if answered != self.correlation_id {
            return Err(corrupt("the answer belongs to another request"));
        }
        r.flex = api.is_flexible(version);
        decode(&mut r).map_err(malformed)
    }

    fn metadata(&mut self, topic: &str) -> io::Result<metadata::Response> {
        let version = self.version(Api::Metadata, 1, 9)?;
        let ask = metadata::Request {
            topics: Some(vec![metadata::RequestTopic { topic_id: [0; 16], name: Some(topic) }]),
            allow_auto_topic_creation: false,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        };
        self.call(Api::Metadata, version, |w| ask.encode(w, version), |r| metadata::Response::decode(r, version))
    }

    fn offset(&mut self, topic: &str, partition: i32, which: i64) -> Result<i64, Trouble> {
        let version = self.version(Api::ListOffsets, 1, 6)?;
        let ask = list_offsets::Request {
            replica_id: -1,
            isolation_level: 0,
            topics: vec![list_offsets::RequestTopic {
                name: topic,
                partitions: vec![list_offsets::RequestPartition {
                    partition_index: partition,
                    current_leader_epoch: -1,
                    timestamp: which,
                }],
            }],
        };
        let answer = self.call(
            Api::ListOffsets,
            version,
            |w| ask.encode(w, version),
            |r| list_offsets::Response::decode(r, version),
        )?;
        let found = answer.topics.first().and_then(|t| t.partitions.first());
        let found = found.ok_or(Malformed::Truncated)?;
        check("ListOffsets", found.error_code)?;
        Ok(found.offset)
    }

    fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Vec<u8>, Trouble> {
        let version = self.version(Api::Fetch, 4, 12)?;
        let ask = fetch::Request {
            replica_id: -1,
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: vec![fetch::RequestTopic {
                topic,
                topic_id: [0; 16],
                partitions: vec![fetch::RequestPartition {
                    partition,
                    current_leader_epoch: -1,
                    fetch_offset: offset,
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    partition_max_bytes: FETCH_BYTES,
                }],
            }],
            rack_id: "",
        };
        let answer =
            self.call(Api::Fetch, version, |w| ask.encode(w, version), |r| fetch::Response::decode(r, version))?;
        check("Fetch", answer.error_code)?;
        let found = answer.topics.into_iter().flat_map(|topic| topic.partitions).next().ok_or(Malformed::Truncated)?;
        check("Fetch", found.error_code)?;
        Ok(found.records.unwrap_or_default())
    }
}

fn dial(address: &str) -> io::Result<TcpStream> {
    let mut last = Error::new(ErrorKind::InvalidInput, format!("no address: {address}"));
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
