//! The broker's behaviour, byte for byte: a hand-made client against the cluster.

use super::*;
use crate::fault::{Action, Fault};
use crate::protocol::{Api, finish, request};
use crate::wire::{Reader, Writer};
use crate::{Codec, VersionSet, error};

/// What a test puts into a batch.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) producer: (i64, i16, i32),
    pub(crate) attributes: i16,
    pub(crate) timestamp: i64,
    pub(crate) records: Vec<(Option<&'static str>, &'static str)>,
}

impl Sketch {
    fn of(count: usize) -> Self {
        Self {
            producer: (-1, -1, -1),
            attributes: 0,
            timestamp: 1_700_000_000_000,
            records: vec![(Some("k"), "value"); count],
        }
    }

    fn by(count: usize, id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer: (id, epoch, sequence), ..Self::of(count) }
    }

    fn records(&self) -> Vec<u8> {
        let mut out = Writer::new(false);
        for (index, (key, value)) in self.records.iter().enumerate() {
            let mut body = Writer::new(false);
            body.i8(0);
            body.uvarint(0);
            body.uvarint(index as u32 * 2);
            body.uvarint(key.map_or(1, |key| key.len() as u32 * 2));
            body.raw(key.unwrap_or_default().as_bytes());
            body.uvarint(value.len() as u32 * 2);
            body.raw(value.as_bytes());
            body.uvarint(0);
            out.uvarint(body.out.len() as u32 * 2);
            out.raw(&body.out);
        }
        out.out
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.around(&self.records())
    }

    /// A batch with this payload instead of the plain records.
    fn around(&self, payload: &[u8]) -> Vec<u8> {
        let count = self.records.len() as i32;
        let mut w = Writer::new(false);
        w.i64(0);
        w.i32(49 + payload.len() as i32);
        w.i32(-1);
        w.i8(2);
        w.i32(0);
        w.i16(self.attributes);
        w.i32(count - 1);
        w.i64(self.timestamp);
        w.i64(self.timestamp);
        w.i64(self.producer.0);
        w.i16(self.producer.1);
        w.i32(self.producer.2);
        w.i32(count);
        w.raw(payload);
        seal(w.out)
    }
}

fn seal(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn patched(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(batch)
}

/// One partition of a Produce answer.
#[derive(Debug, PartialEq, Eq)]
struct Ack {
    topic: String,
    partition: i32,
    error: i16,
    offset: i64,
    append_time: i64,
    record_errors: Vec<i32>,
    leader: Option<(i32, i32)>,
}

struct Client {
    cluster: Cluster,
    connection: ConnectionId,
    now_ms: u64,
    correlation_id: i32,
}

impl Client {
    fn with(options: ClusterOptions) -> Self {
        let mut cluster = Cluster::new(options);
        cluster.create_topic("t", 3);
        let connection = cluster.connect(0, 1).unwrap();
        Self { cluster, connection, now_ms: 0, correlation_id: 0 }
    }

    fn new() -> Self {
        Self::with(ClusterOptions::default())
    }

    fn to(mut self, broker: i32) -> Self {
        self.connection = self.cluster.connect(self.now_ms, broker).unwrap();
        self
    }

    fn send(&mut self, api: Api, version: i16, encode: impl FnOnce(&mut Writer)) {
        self.correlation_id += 1;
        let mut w = request(api, version, self.correlation_id, "test");
        encode(&mut w);
        let frame = finish(w);
        self.cluster.receive(self.now_ms, self.connection, &frame);
    }

    /// Everything that comes, and whether the connection is still open.
    fn collect(&mut self) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let open = self.cluster.transmit(self.now_ms, self.connection, &mut out);
        (out, open)
    }

    /// Exactly one answer; the body without header.
    fn answer(&mut self, api: Api, version: i16) -> Vec<u8> {
        let (out, open) = self.collect();
        assert!(open);
        assert_eq!(u32::from_be_bytes(out[..4].try_into().unwrap()) as usize, out.len() - 4);
        assert_eq!(out[4..8], self.correlation_id.to_be_bytes());
        let skip = 8 + usize::from(api.response_header_is_flexible(version));
        out[skip..].to_vec()
    }

    fn produce_frame(&mut self, version: i16, acks: i16, parts: &[(&str, i32, Vec<u8>)]) {
        let ids: Vec<Uuid> = parts.iter().map(|(topic, ..)| self.cluster.topic_id(topic).unwrap_or([9; 16])).collect();
        self.send(Api::Produce, version, |w| {
            w.nullable_string(None);
            w.i16(acks);
            w.i32(30_000);
            let parts: Vec<_> = parts.iter().zip(ids).collect();
            w.list(&parts, |w, ((topic, index, batch), id)| {
                if version >= 13 {
                    w.raw(id);
                } else {
                    w.string(topic);
                }
                w.list(&[()], |w, ()| {
                    w.i32(*index);
                    w.nullable_bytes(Some(batch));
                    w.tags();
                });
                w.tags();
            });
            w.tags();
        });
    }

    fn acks(&mut self, version: i16) -> Vec<Ack> {
        let body = self.answer(Api::Produce, version);
        let mut r = Reader::new(&body, Api::Produce.is_flexible(version));
        let topics = r.list(|r| {
            let topic = if version >= 13 { format!("{:02x?}", r.uuid()?) } else { r.string()?.to_owned() };
            let acks = r.list(|r| read_ack(r, version, &topic))?;
            r.tags()?;
            Ok(acks)
        });
        topics.unwrap().into_iter().flatten().collect()
    }

    fn produce_many(&mut self, version: i16, parts: &[(&str, i32, Vec<u8>)]) -> Vec<Ack> {
        self.produce_frame(version, -1, parts);
        self.acks(version)
    }

    /// One batch to partition 0 of "t".
    fn produce(&mut self, version: i16, batch: Vec<u8>) -> Ack {
        self.produce_many(version, &[("t", 0, batch)]).remove(0)
    }

    fn outcome(&mut self, sketch: &Sketch) -> (i16, i64) {
        let ack = self.produce(9, sketch.encode());
        (ack.error, ack.offset)
    }

    fn metadata(&mut self, version: i16, topic: &str) -> crate::protocol::metadata::Response {
        self.send(Api::Metadata, version, |w| {
            w.list(&[()], |w, ()| {
                if version >= 10 {
                    w.raw(&[0; 16]);
                }
                w.string(topic);
                w.tags();
            });
            w.bool(true);
            if (8..=10).contains(&version) {
                w.bool(false);
            }
            if version >= 8 {
                w.bool(false);
            }
            w.tags();
        });
        let body = self.answer(Api::Metadata, version);
        let mut r = Reader::new(&body, Api::Metadata.is_flexible(version));
        crate::protocol::metadata::Response::decode(&mut r, version).unwrap()
    }
}

fn read_ack(r: &mut Reader<'_>, version: i16, topic: &str) -> crate::wire::Decoded<Ack> {
    let mut ack = Ack {
        topic: topic.to_owned(),
        partition: r.i32()?,
        error: r.i16()?,
        offset: r.i64()?,
        append_time: r.i64()?,
        record_errors: Vec::new(),
        leader: None,
    };
    if version >= 5 {
        r.i64()?;
    }
    if version >= 8 {
        ack.record_errors = r.list(|r| {
            let index = r.i32()?;
            r.nullable_string()?;
            r.tags()?;
            Ok(index)
        })?;
        r.nullable_string()?;
    }
    r.tags_with(|_, r| {
        ack.leader = Some((r.i32()?, r.i32()?));
        Ok(())
    })?;
    Ok(ack)
}

#[test]
fn records_come_back_as_they_were_sent() {
    for version in 3..=13 {
        let mut client = Client::new();
        let sketch =
            Sketch { records: vec![(None, "a"), (Some(""), "b"), (Some("key"), "")], ..Sketch::by(0, 7, 0, 5) };
        let ack = client.produce(version, sketch.encode());
        assert_eq!((ack.error, ack.offset, ack.append_time), (0, 0, -1));
        let second = client.produce(version, Sketch::of(2).encode());
        assert_eq!(second.offset, 3);
        let log = client.cluster.log("t", 0);
        assert_eq!(log.len(), 5);
        assert_eq!(client.cluster.record_count("t"), 5);
        assert_eq!(log[2].key.as_deref(), Some(&b"key"[..]));
        assert_eq!((log[2].sequence, log[2].batch_base_sequence), (7, 5));
        assert_eq!((log[4].offset, log[4].batch_base_offset), (4, 3));
        assert_eq!(log[0].codec, Codec::None);
    }
}

#[test]
fn idempotence_follows_the_table() {
    const MAX: i32 = i32::MAX;
    let refused = |code| (code, -1);
    // (records, epoch, base sequence) and what the broker says.
    let script = [
        // No state: any first sequence.
        ((3, 0, 10), (0, 0)),
        // The next one.
        ((2, 0, 13), (0, 3)),
        // A duplicate, also of an older batch.
        ((2, 0, 13), (0, 3)),
        ((3, 0, 10), (0, 0)),
        // The same base with another count is no duplicate.
        ((1, 0, 13), refused(error::OUT_OF_ORDER_SEQUENCE_NUMBER)),
        // A gap.
        ((1, 0, 16), refused(error::OUT_OF_ORDER_SEQUENCE_NUMBER)),
        ((1, 0, 15), (0, 5)),
        // A newer epoch must restart at 0.
        ((1, 2, 16), refused(error::OUT_OF_ORDER_SEQUENCE_NUMBER)),
        ((1, 2, 0), (0, 6)),
        // The older epoch is over.
        ((1, 0, 16), refused(error::INVALID_PRODUCER_EPOCH)),
        ((1, 2, 0), (0, 6)),
        // A new epoch at the end of the sequence space wraps to 0.
    ];
    let mut client = Client::new();
    for ((count, epoch, sequence), expected) in script {
        let outcome = client.outcome(&Sketch::by(count, 42, epoch, sequence));
        assert_eq!(outcome, expected, "{count} records, {epoch}/{sequence}");
    }
    let mut client = Client::new();
    assert_eq!(client.outcome(&Sketch::by(4, 1, 0, MAX - 1)), (0, 0));
    assert_eq!(client.cluster.log("t", 0)[3].sequence, 1);
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 2)), (0, 4));
    let mut client = Client::new();
    assert_eq!(client.outcome(&Sketch::by(2, 1, 0, MAX - 1)), (0, 0));
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 0)), (0, 2));
}

#[test]
fn five_batches_are_remembered() {
    let mut client = Client::new();
    for index in 0..6 {
        assert_eq!(client.outcome(&Sketch::by(1, 1, 0, index)), (0, i64::from(index)));
    }
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 1)), (0, 1));
    let forgotten = client.outcome(&Sketch::by(1, 1, 0, 0));
    assert_eq!(forgotten.0, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    client.cluster.forget_producers("t", 0);
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 77)), (0, 6));
}

#[test]
fn strict_first_sequence_is_about_logs_that_never_held_a_record() {
    let mut client = Client::with(ClusterOptions { strict_first_sequence: true, ..ClusterOptions::default() });
    let early = client.outcome(&Sketch::by(1, 1, 0, 5));
    assert_eq!(early.0, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 0)), (0, 0));
    client.cluster.delete_records("t", 0, 1);
    assert_eq!(client.outcome(&Sketch::by(1, 2, 0, 5)), (0, 1));
}

#[test]
fn bad_batches_are_refused() {
    let good = Sketch::by(2, 1, 0, 0).encode();
    let mut broken_crc = good.clone();
    broken_crc[17] ^= 1;
    let zstd = Sketch { attributes: 4, ..Sketch::of(1) };
    let unordered = {
        let at = good.len() - Sketch::of(1).records().len() + 3;
        patched(&good, at, &[4])
    };
    let cases: Vec<(&str, i16, Vec<u8>, i16)> = vec![
        ("crc", 9, broken_crc, error::CORRUPT_MESSAGE),
        ("magic", 9, patched(&good, 16, &[1]), error::INVALID_RECORD),
        ("base offset", 9, patched(&good, 7, &[1]), error::INVALID_RECORD),
        ("count", 9, patched(&good, 60, &[3]), error::INVALID_RECORD),
        ("last delta", 9, patched(&good, 26, &[2]), error::INVALID_RECORD),
        ("both", 9, patched(&patched(&good, 26, &[0]), 60, &[1]), error::INVALID_RECORD),
        ("control", 9, patched(&good, 22, &[0x20]), error::INVALID_RECORD),
        ("codec 5", 9, patched(&good, 22, &[5]), error::INVALID_RECORD),
        ("not lz4", 9, patched(&good, 22, &[3]), error::INVALID_RECORD),
        ("sequence", 9, Sketch::by(1, 1, 0, -1).encode(), error::INVALID_RECORD),
        ("deltas", 9, unordered, error::INVALID_RECORD),
        ("two", 9, [good.clone(), good.clone()].concat(), error::INVALID_RECORD),
        ("none", 9, Vec::new(), error::INVALID_RECORD),
        ("zstd", 6, zstd.encode(), error::UNSUPPORTED_COMPRESSION_TYPE),
        ("transaction", 9, patched(&good, 22, &[0x10]), error::INVALID_TXN_STATE),
        ("transaction", 11, patched(&good, 22, &[0x10]), error::TRANSACTION_ABORTABLE),
    ];
    for (what, version, batch, expected) in cases {
        let mut client = Client::new();
        let ack = client.produce(version, batch);
        assert_eq!((ack.error, ack.offset), (expected, -1), "{what}");
        assert_eq!(client.cluster.record_count("t"), 0, "{what}");
    }
}

#[test]
fn lz4_is_looked_into() {
    let sketch = Sketch { attributes: 3, ..Sketch::of(20) };
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, &sketch.records()).unwrap();
    let payload = encoder.finish().unwrap();
    let mut client = Client::new();
    assert_eq!(client.produce(9, sketch.around(&payload)).error, 0);
    let log = client.cluster.log("t", 0);
    assert_eq!((log.len(), log[19].codec), (20, Codec::Lz4));
    // One record more than the header says.
    let mut liar = sketch.clone();
    liar.records.pop();
    let ack = client.produce(9, liar.around(&payload));
    assert_eq!(ack.error, error::INVALID_RECORD);
}

#[test]
fn topics_have_rules() {
    let mut client = Client::new();
    let topic = |name: &str, options: TopicOptions, client: &mut Client| {
        client.cluster.create_topic_with(name, options);
    };
    topic("compacted", TopicOptions { compacted: true, ..TopicOptions::default() }, &mut client);
    topic("small", TopicOptions { max_message_bytes: Some(100), ..TopicOptions::default() }, &mut client);
    topic(
        "bounded",
        TopicOptions {
            timestamp_before_max_ms: Some(1000),
            timestamp_after_max_ms: Some(1000),
            ..TopicOptions::default()
        },
        &mut client,
    );
    topic("stamped", TopicOptions { log_append_time: true, ..TopicOptions::default() }, &mut client);
    let keyless = Sketch { records: vec![(Some("k"), "v"), (None, "v"), (None, "v")], ..Sketch::of(0) };
    let ack = client.produce_many(8, &[("compacted", 0, keyless.encode())]).remove(0);
    assert_eq!((ack.error, ack.record_errors), (error::INVALID_RECORD, vec![1, 2]));
    let ack = client.produce_many(8, &[("small", 0, Sketch::of(9).encode())]).remove(0);
    assert_eq!(ack.error, error::MESSAGE_TOO_LARGE);
    let ack = client.produce_many(8, &[("small", 0, Sketch::of(1).encode())]).remove(0);
    assert_eq!(ack.error, 0);
    client.now_ms = 5000;
    let mut timed = Sketch::of(1);
    for (timestamp, expected) in [
        (1_700_000_003_999, error::INVALID_TIMESTAMP),
        (1_700_000_004_000, 0),
        (1_700_000_006_000, 0),
        (1_700_000_006_001, error::INVALID_TIMESTAMP),
        (-1, 0),
    ] {
        timed.timestamp = timestamp;
        let ack = client.produce_many(8, &[("bounded", 0, timed.encode())]).remove(0);
        assert_eq!(ack.error, expected, "{timestamp}");
    }
    let ack = client.produce_many(8, &[("stamped", 0, Sketch::of(2).encode())]).remove(0);
    assert_eq!(ack.append_time, 1_700_000_005_000);
    assert_eq!(client.cluster.log("stamped", 0)[1].timestamp, 1_700_000_005_000);
}

#[test]
fn leaders_move_and_hints_follow() {
    let mut client = Client::new();
    assert_eq!(client.cluster.leader("t", 1), Some((2, 0)));
    // Broker 1 does not lead partition 1.
    for (version, leader) in [(9, None), (10, Some((2, 0))), (13, Some((2, 0)))] {
        let ack = client.produce_many(version, &[("t", 1, Sketch::of(1).encode())]).remove(0);
        assert_eq!((ack.error, ack.leader), (error::NOT_LEADER_OR_FOLLOWER, leader));
    }
    client.cluster.kill(1);
    assert!(!client.collect().1);
    assert!(client.cluster.connect(0, 1).is_none());
    assert_eq!(client.cluster.leader("t", 0), Some((2, 1)));
    let mut client = client.to(2);
    assert_eq!(client.outcome(&Sketch::of(1)), (0, 0));
    let metadata = client.metadata(9, "t");
    assert_eq!(metadata.brokers.len(), 2);
    assert_eq!(metadata.topics[0].partitions[0].isr_nodes, [2, 3]);
    client.cluster.options_mut().min_insync_replicas = 3;
    assert_eq!(client.outcome(&Sketch::of(1)).0, error::NOT_ENOUGH_REPLICAS);
    client.cluster.kill(2);
    client.cluster.kill(3);
    assert_eq!(client.cluster.leader("t", 0), Some((-1, 3)));
    client.cluster.restart(0, 3);
    assert_eq!(client.cluster.leader("t", 0), Some((3, 4)));
    assert_eq!(client.cluster.log("t", 0).len(), 1);
}

#[test]
fn unknown_topics_and_ids() {
    let mut client = Client::new();
    let parts = [("nope", 0, Sketch::of(1).encode())];
    assert_eq!(client.produce_many(12, &parts)[0].error, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.produce_many(13, &parts)[0].error, error::UNKNOWN_TOPIC_ID);
    let parts = [("t", 9, Sketch::of(1).encode())];
    assert_eq!(client.produce_many(12, &parts)[0].error, error::UNKNOWN_TOPIC_OR_PARTITION);
    let old = client.cluster.topic_id("t");
    client.cluster.recreate_topic("t");
    assert_ne!(client.cluster.topic_id("t"), old);
    assert_eq!(client.cluster.partition_count("t"), 3);
    // Auto creation: the first answer still says no.
    assert_eq!(client.metadata(9, "made").topics[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    client.cluster.options_mut().auto_create_topics = true;
    assert_eq!(client.metadata(9, "made").topics[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.metadata(9, "made").topics[0].partitions.len(), 1);
    assert_eq!(client.metadata(12, "no/t").topics[0].error_code, error::INVALID_TOPIC_EXCEPTION);
}

#[test]
fn large_topics_are_described_whole() {
    let mut client =
        Client::with(ClusterOptions { brokers: 100, replication_factor: Some(3), ..ClusterOptions::default() });
    client.cluster.create_topic("big", 10_000);
    let metadata = client.metadata(12, "big");
    assert_eq!(metadata.brokers.len(), 100);
    assert_eq!(metadata.topics[0].partitions.len(), 10_000);
    assert_eq!(metadata.topics[0].partitions[9_999].replica_nodes.len(), 3);
}

#[test]
fn acks_zero_is_silent_and_failures_close() {
    let mut client = Client::new();
    client.produce_frame(9, 0, &[("t", 0, Sketch::of(1).encode())]);
    assert_eq!(client.collect(), (Vec::new(), true));
    assert_eq!(client.cluster.record_count("t"), 1);
    client.cluster.faults().push(Fault::on(Api::Produce).then(Action::AnswerAcksZero));
    client.produce_frame(9, 0, &[("t", 0, Sketch::of(1).encode())]);
    assert_eq!(client.acks(9)[0].offset, 1);
    client.produce_frame(9, 0, &[("t", 1, Sketch::of(1).encode())]);
    assert_eq!(client.collect(), (Vec::new(), false));
    let mut client = Client::new();
    client.produce_frame(9, 2, &[("t", 0, Sketch::of(1).encode())]);
    assert_eq!(client.acks(9)[0].error, error::INVALID_REQUIRED_ACKS);
}

#[test]
fn unsupported_requests_close_except_api_versions() {
    for (versions, range) in [
        (VersionSet::kafka_4_3(), Some((0, 4))),
        (VersionSet::kafka_2_8(), Some((0, 3))),
        (VersionSet::kafka_2_1(), None),
    ] {
        let mut client = Client::with(ClusterOptions { versions, ..ClusterOptions::default() });
        client.send(Api::ApiVersions, 9, |_| {});
        let body = client.answer(Api::ApiVersions, 0);
        let mut r = Reader::new(&body, false);
        let answer = crate::protocol::api_versions::Response::decode_v0(&mut r).unwrap();
        assert_eq!(answer.error_code, error::UNSUPPORTED_VERSION);
        let key = answer.api_keys.first();
        assert_eq!(key.map(|key| (key.min_version, key.max_version)), range);
    }
    for (api, version) in [(Api::Produce, 2), (Api::Metadata, 14), (Api::Fetch, 3)] {
        let mut client = Client::new();
        client.send(api, version, |_| {});
        assert_eq!(client.collect(), (Vec::new(), false));
    }
    let mut client = Client::new();
    client.cluster.receive(0, client.connection, &[0x7f, 0, 0, 0]);
    assert!(!client.collect().1);
    let mut client = Client::new();
    client.cluster.receive(0, client.connection, &[0, 0, 0, 2, 0, 3]);
    assert!(!client.collect().1);
}

#[test]
fn producer_ids_are_new_each_time() {
    let mut client = Client::new();
    let mut ids = Vec::new();
    for version in 0..=5 {
        client.send(Api::InitProducerId, version, |w| {
            w.nullable_string(None);
            w.i32(i32::MAX);
            if version >= 3 {
                w.i64(4);
                w.i16(2);
            }
            w.tags();
        });
        let body = client.answer(Api::InitProducerId, version);
        let mut r = Reader::new(&body, false);
        assert_eq!((r.i32(), r.i16()), (Ok(0), Ok(0)));
        ids.push(r.i64().unwrap());
        assert_eq!(r.i16(), Ok(0));
    }
    let first = ids[0];
    assert_eq!(ids, (first..first + 6).collect::<Vec<_>>());
}

#[test]
fn fragments_and_order() {
    let mut client = Client::new();
    let mut stream = Vec::new();
    for id in 0..3 {
        let mut w = request(Api::ApiVersions, 0, id, "x");
        w.tags();
        stream.extend(finish(w));
    }
    for byte in stream {
        client.cluster.receive(0, client.connection, &[byte]);
    }
    let (out, _) = client.collect();
    let one = out.len() / 3;
    for id in 0..3 {
        assert_eq!(out[id * one + 4..id * one + 8], (id as i32).to_be_bytes());
    }
}

#[test]
fn the_history_shows_what_came() {
    let mut client = Client::new();
    client.produce(9, Sketch::by(2, 5, 1, 0).encode());
    client.produce(9, Sketch::by(2, 5, 1, 0).encode());
    let seen = client.cluster.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].api_key, seen[0].api_version, seen[0].acks), (0, 9, -1));
    assert_eq!(seen[1].client_id.as_deref(), Some("test"));
    let batch = &seen[1].batches[0];
    assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (5, 1, 0));
    assert_eq!((batch.records, batch.base_offset, batch.appended), (2, 0, false));
    assert!(seen[0].batches[0].appended);
}

#[test]
fn logs_are_cut_and_producers_lost() {
    let mut client = Client::new();
    for sequence in [0, 2, 4] {
        client.outcome(&Sketch::by(2, 1, 0, sequence));
    }
    client.cluster.truncate("t", 0, 3);
    assert_eq!(client.cluster.offsets("t", 0), Some((0, 2)));
    assert_eq!(client.cluster.record_count("t"), 2);
    // The producer state is what the rest of the log says.
    assert_eq!(client.outcome(&Sketch::by(2, 1, 0, 4)).0, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(client.outcome(&Sketch::by(2, 1, 0, 2)), (0, 2));
    client.cluster.options_mut().lose_producer_state = true;
    client.cluster.kill(1);
    let mut client = client.to(2);
    assert_eq!(client.outcome(&Sketch::by(1, 1, 0, 9)), (0, 4));
    client.cluster.options_mut().retention_bytes = Some(200);
    for sequence in 10..20 {
        client.outcome(&Sketch::by(1, 1, 0, sequence));
    }
    assert_eq!(client.cluster.offsets("t", 0), Some((13, 15)));
    assert_eq!(client.cluster.log("t", 0).len(), 2);
    assert_eq!(client.cluster.record_count("t"), 15);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed: u64| {
        let mut client = Client::with(ClusterOptions { seed, ..ClusterOptions::default() });
        client.produce(9, Sketch::by(1, 1, 0, 0).encode());
        client.cluster.kill(3);
        format!("{:?}{:?}", client.metadata(13, "t"), client.cluster)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

mod elections;
mod faults;
mod limits;
mod reading;
mod replicas;
mod schedules;
