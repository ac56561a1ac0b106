//! The simulated cluster, which judges the producer and so must stand anything itself: requests, batches, and what its reader
//! is answered.

use klamm_sim::{Api, Cluster, ClusterOptions, TopicOptions};

use crate::input::{Input, Pieces};

const TOPIC: &str = "t";

fn cluster(choice: u8) -> Cluster {
    let mut cluster = Cluster::new(ClusterOptions { brokers: 2, ..crate::setup::cluster(choice) });
    let compacted = choice & 16 != 0;
    cluster.create_topic_with(TOPIC, TopicOptions { partitions: 2, compacted, ..TopicOptions::default() });
    cluster
}

/// What a broker answers, and whether it keeps the connection.
fn answers(cluster: &mut Cluster, bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let Some(connection) = cluster.connect(0, 1) else { return (out, false) };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(piece().min(rest.len()));
        cluster.receive(0, connection, head);
        rest = tail;
    }
    let open = cluster.transmit(0, connection, &mut out);
    (out, open)
}

/// The bytes of a connection to a broker, with the first frame's size set right or as they are. Cut anywhere, the same comes of
/// them.
pub fn requests(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, pattern) = (input.u8(), input.u8());
    let mut bytes = input.rest().to_vec();
    if choice & 8 == 0 && bytes.len() > 4 {
        let size = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
    }
    let (mut one, mut other) = (cluster(choice), cluster(choice));
    let whole = answers(&mut one, &bytes, || usize::MAX);
    let mut pieces = Pieces::new(pattern);
    let pieced = answers(&mut other, &bytes, || pieces.size());
    assert_eq!(whole, pieced, "pattern {pattern}");
    assert_eq!(one.log(TOPIC, 0), other.log(TOPIC, 0));
}

/// Produce v7 with these records for partition 0.
fn produce(records: &[u8]) -> Vec<u8> {
    let mut frame =
        b"\0\0\0\0\0\0\0\x07\0\0\0\x01\xff\xff\xff\xff\xff\xff\0\0\x03\xe8\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0".to_vec();
    frame.extend_from_slice(&(records.len() as u32).to_be_bytes());
    frame.extend_from_slice(records);
    let size = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

/// A record batch, with length and checksum set right: what a leader takes, it can give back.
pub fn batches(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    let mut batch = input.rest().to_vec();
    if choice & 1 == 0 && batch.len() >= 61 {
        let length = batch.len() as u32 - 12;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let mut cluster = cluster(choice & 0xf4);
    let request = produce(&batch);
    for _ in 0..2 {
        answers(&mut cluster, &request, || usize::MAX);
    }
    let log = cluster.log(TOPIC, 0);
    if let Some((_, end)) = cluster.offsets(TOPIC, 0) {
        assert_eq!(end, log.len() as i64, "the log does not hold what was appended");
    }
    for (offset, record) in (0..).zip(&log) {
        assert_eq!(record.offset, offset);
    }
}

/// What a broker may say to the reader, and the batches of a fetch.
pub fn answers_to_reader(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    if choice & 128 != 0 {
        let from = i64::from(input.u8());
        let _ = klamm_sim::fuzzing::read_batches(input.rest(), from..from + 1000);
        return;
    }
    let api = [Api::ApiVersions, Api::Metadata, Api::ListOffsets, Api::Fetch][usize::from(choice & 3)];
    let (low, high) = api.versions();
    let version = low + i16::from(choice >> 2) % (high - low + 1);
    klamm_sim::fuzzing::read_answer(api, version, input.rest());
}
