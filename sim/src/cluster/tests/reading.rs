//! Fetch and ListOffsets.

use super::*;
use crate::batch::Header;
use crate::protocol::{fetch, list_offsets};

impl Client {
    fn fetch(&mut self, version: i16, ask: &fetch::Request<'_>) -> fetch::Response {
        self.send(Api::Fetch, version, |w| ask.encode(w, version));
        let body = self.answer(Api::Fetch, version);
        let mut r = Reader::new(&body, Api::Fetch.is_flexible(version));
        fetch::Response::decode(&mut r, version).unwrap()
    }

    fn offset(&mut self, version: i16, epoch: i32, timestamp: i64) -> (i16, i64) {
        self.send(Api::ListOffsets, version, |w| {
            list_offsets::Request {
                replica_id: -1,
                isolation_level: 0,
                topics: vec![list_offsets::RequestTopic {
                    name: "t",
                    partitions: vec![list_offsets::RequestPartition {
                        partition_index: 0,
                        current_leader_epoch: epoch,
                        timestamp,
                    }],
                }],
            }
            .encode(w, version);
        });
        let body = self.answer(Api::ListOffsets, version);
        let mut r = Reader::new(&body, Api::ListOffsets.is_flexible(version));
        let answer = list_offsets::Response::decode(&mut r, version).unwrap();
        let partition = &answer.topics[0].partitions[0];
        (partition.error_code, partition.offset)
    }
}

fn ask(offset: i64) -> fetch::Request<'static> {
    fetch::Request {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: 0,
        session_id: 0,
        session_epoch: -1,
        topics: vec![fetch::RequestTopic {
            topic: "t",
            topic_id: [0; 16],
            partitions: vec![fetch::RequestPartition {
                partition: 0,
                current_leader_epoch: -1,
                fetch_offset: offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1 << 20,
            }],
        }],
        rack_id: "",
    }
}

/// Three batches of two records each, a second apart.
fn filled() -> Client {
    let mut client = Client::new();
    for index in 0..3 {
        let sketch = Sketch { timestamp: 1_700_000_000_000 + index * 1000, ..Sketch::of(2) };
        client.outcome(&sketch);
    }
    client
}

fn base_offsets(response: &fetch::Response) -> Vec<i64> {
    let mut rest = response.topics[0].partitions[0].records.as_deref().unwrap();
    let mut offsets = Vec::new();
    while let Ok(header) = Header::decode(rest) {
        offsets.push(header.base_offset);
        rest = &rest[header.total_bytes..];
    }
    offsets
}

#[test]
fn fetch_gives_whole_batches_within_limits() {
    let mut client = filled();
    for version in 4..=12 {
        let response = client.fetch(version, &ask(3));
        assert_eq!(base_offsets(&response), [2, 4]);
        assert_eq!(response.topics[0].partitions[0].high_watermark, 6);
    }
    // The first batch comes even if it is larger than the limit.
    let mut small = ask(0);
    small.topics[0].partitions[0].partition_max_bytes = 1;
    assert_eq!(base_offsets(&client.fetch(12, &small)), [0]);
    let error = |response: &fetch::Response| response.topics[0].partitions[0].error_code;
    assert_eq!(error(&client.fetch(12, &ask(7))), error::OFFSET_OUT_OF_RANGE);
    client.cluster.delete_records("t", 0, 2);
    assert_eq!(error(&client.fetch(12, &ask(1))), error::OFFSET_OUT_OF_RANGE);
    let mut fenced = ask(2);
    fenced.topics[0].partitions[0].current_leader_epoch = 1;
    assert_eq!(error(&client.fetch(12, &fenced)), error::UNKNOWN_LEADER_EPOCH);
    client.cluster.move_leader("t", 0, 2);
    assert_eq!(error(&client.fetch(12, &ask(2))), error::NOT_LEADER_OR_FOLLOWER);
    client.cluster.move_leader("t", 0, 1);
    assert_eq!(error(&client.fetch(12, &fenced)), error::FENCED_LEADER_EPOCH);
    let mut session = ask(2);
    session.session_id = 5;
    assert_eq!(client.fetch(12, &session).error_code, error::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn an_idle_fetch_waits() {
    let mut client = filled();
    let mut idle = ask(6);
    idle.max_wait_ms = 500;
    client.send(Api::Fetch, 12, |w| idle.encode(w, 12));
    assert_eq!(client.collect(), (Vec::new(), true));
    assert_eq!(client.cluster.next_due(), Some(500));
    client.now_ms = 500;
    client.answer(Api::Fetch, 12);
}

#[test]
fn fetch_by_topic_id() {
    for (id, expected) in [(None, error::UNKNOWN_TOPIC_ID), (Some(()), error::NONE)] {
        let mut client = filled();
        let known = client.cluster.topic_id("t").unwrap();
        let id = id.map_or([7; 16], |()| known);
        client.send(Api::Fetch, 13, |w| {
            for number in [-1, 0, 1, 1 << 20] {
                w.i32(number);
            }
            w.i8(0);
            w.i32(0);
            w.i32(-1);
            w.list(&[()], |w, ()| {
                w.raw(&id);
                w.list(&[()], |w, ()| {
                    w.i32(0);
                    w.i32(-1);
                    w.i64(0);
                    w.i32(-1);
                    w.i64(-1);
                    w.i32(1 << 20);
                    w.tags();
                });
                w.tags();
            });
            w.i32_list(&[]);
            w.string("");
            w.tags();
        });
        let body = client.answer(Api::Fetch, 13);
        let mut r = Reader::new(&body, true);
        let response = fetch::Response::decode(&mut r, 13).unwrap();
        assert_eq!(response.topics[0].topic_id, id);
        assert_eq!(response.topics[0].partitions[0].error_code, expected);
    }
}

#[test]
fn offsets_are_found() {
    let mut client = filled();
    for version in 1..=7 {
        assert_eq!(client.offset(version, -1, list_offsets::EARLIEST), (0, 0));
        assert_eq!(client.offset(version, -1, list_offsets::LATEST), (0, 6));
        assert_eq!(client.offset(version, -1, 1_700_000_000_500), (0, 2));
        assert_eq!(client.offset(version, -1, 1_700_000_009_000), (0, -1));
    }
    assert_eq!(client.offset(7, -1, list_offsets::MAX_TIMESTAMP), (0, 4));
    assert_eq!(client.offset(7, 0, list_offsets::LATEST), (0, 6));
    assert_eq!(client.offset(7, 3, list_offsets::LATEST).0, error::UNKNOWN_LEADER_EPOCH);
}
