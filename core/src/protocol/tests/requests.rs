//! Every request vector of our versions comes out byte for byte.

use std::vec::Vec;
use std::{println, vec};

use serde_json::Value;

use super::super::write::Writer;
use super::super::{ApiKey, ApiRange, api_versions, init_producer_id, metadata, negotiate, produce};
use super::super::{request_header_size, write_request_header};
use super::{from_hex, hex, vectors};

/// Bytes that `write` writes.
fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xee; 4096];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer);
    let len = writer.finish().unwrap();
    buffer.truncate(len);
    buffer
}

fn metadata_body(version: i16, body: &Value) -> Vec<u8> {
    let topics = body["topics"].as_array().unwrap();
    let count = topics.len() as u32;
    let mut out = written(|w| metadata::write_prefix(w, version, count));
    assert_eq!(out.len(), metadata::prefix_size(version, count));
    for topic in topics {
        let name = topic["name"].as_str().unwrap();
        let bytes = written(|w| metadata::write_topic(w, version, name));
        assert_eq!(bytes.len(), metadata::topic_size(version, name.len()));
        out.extend(bytes);
    }
    let allow = body["allowAutoTopicCreation"].as_bool().unwrap();
    let suffix = written(|w| metadata::write_suffix(w, version, allow));
    assert_eq!(suffix.len(), metadata::suffix_size(version));
    out.extend(suffix);
    out
}

fn produce_body(version: i16, body: &Value) -> Vec<u8> {
    let topics = body["topicData"].as_array().unwrap();
    let transactional_id = body["transactionalId"].as_str();
    let acks = body["acks"].as_i64().unwrap() as i16;
    let timeout = body["timeoutMs"].as_i64().unwrap() as i32;
    let count = topics.len() as u32;
    let mut out = written(|w| produce::write_prefix(w, version, transactional_id, acks, timeout, count));
    assert_eq!(out.len(), produce::prefix_size(version, transactional_id, count));
    for (nth, topic) in topics.iter().enumerate() {
        if nth > 0 {
            out.extend_from_slice(produce::close_topic(version));
        }
        let name = topic["name"].as_str().unwrap_or_default();
        let id = topic["topicId"].as_str().map_or([0; 16], |id| from_hex(id).try_into().unwrap());
        let bytes = written(|w| produce::write_topic(w, version, name, &id));
        assert_eq!(bytes.len(), produce::topic_size(version, name.len()));
        out.extend(bytes);
        let partitions = topic["partitionData"].as_array().unwrap();
        for (nth, partition) in partitions.iter().enumerate() {
            let records = hex(partition["records_vector"].as_str().unwrap());
            let index = partition["index"].as_i64().unwrap() as i32;
            let opening = match nth {
                0 => produce::Opening::First { partitions: partitions.len() as u32 },
                _ => produce::Opening::Next,
            };
            let mut headroom = [0xee; produce::MAX_PARTITION_FRAME];
            let len = records.len() as u32;
            let start = produce::partition_frame(version, opening, index, len, &mut headroom).unwrap();
            assert_eq!(headroom.len() - start, produce::partition_frame_size(version, opening, len));
            out.extend_from_slice(&headroom[start..]);
            out.extend(records);
        }
    }
    out.extend_from_slice(produce::close_body(version));
    out
}

fn body(api: ApiKey, version: i16, body: &Value) -> Vec<u8> {
    match api {
        ApiKey::Metadata => metadata_body(version, body),
        ApiKey::Produce => produce_body(version, body),
        ApiKey::ApiVersions => written(|w| {
            let name = body["clientSoftwareName"].as_str().unwrap_or_default();
            api_versions::write_request_as(
                w,
                version,
                name,
                body["clientSoftwareVersion"].as_str().unwrap_or_default(),
            );
        }),
        ApiKey::InitProducerId => written(|w| {
            let timeout = body["transactionTimeoutMs"].as_i64().unwrap() as i32;
            let id = body["producerId"].as_i64().unwrap_or(-1);
            let epoch = body["producerEpoch"].as_i64().unwrap_or(-1) as i16;
            init_producer_id::write_request(w, version, body["transactionalId"].as_str(), timeout, (id, epoch));
        }),
    }
}

#[test]
fn every_request_vector() {
    let mut seen = Vec::new();
    for (name, sidecar, api, version) in vectors("request") {
        // What a producer never asks: all topics, topics by id, no client id.
        let by_name =
            |topics: &Value| topics.as_array().is_some_and(|t| t.iter().all(|topic| topic["name"].is_string()));
        let Some(client_id) = sidecar["header"]["client_id"].as_str() else {
            continue;
        };
        if api == ApiKey::Metadata && !by_name(&sidecar["body"]["topics"]) {
            continue;
        }
        // Metadata with authorized operations, likewise.
        if sidecar["body"]["includeTopicAuthorizedOperations"] == true {
            continue;
        }
        let bytes = hex(&name);
        let correlation_id = sidecar["header"]["correlation_id"].as_i64().unwrap() as i32;
        let header = written(|w| write_request_header(w, api, version, correlation_id, client_id));
        assert_eq!(header.len(), request_header_size(api, version, client_id.len()), "{name}");
        assert_eq!(i64::from(api.request_header_version(version)), sidecar["header_version"], "{name}");
        let body = body(api, version, &sidecar["body"]);
        let size = ((header.len() + body.len()) as u32).to_be_bytes();
        assert_eq!([&size[..], &header, &body].concat(), bytes, "{name}");
        seen.push((api, version));
    }
    println!("{} request vectors", seen.len());
    for api in ApiKey::ALL {
        for version in api.ours().min..=api.ours().max {
            assert!(seen.contains(&(api, version)), "{api:?} {version}");
        }
    }
}

#[test]
fn a_request_that_fits_a_buffer_patches_its_size() {
    let mut buffer = [0xee; 100];
    let mut w = Writer::new(&mut buffer);
    w.begin_frame();
    write_request_header(&mut w, ApiKey::ApiVersions, 4, 7, "me");
    api_versions::write_request(&mut w, 4);
    let len = w.end_frame().unwrap();
    assert_eq!(buffer[..4], (len as u32 - 4).to_be_bytes());
    assert_eq!(&buffer[len - 13..len - 7], b"\x06klamm");
}

#[test]
fn what_does_not_fit_is_an_overflow_at_the_end() {
    for room in 0..30 {
        let mut buffer = vec![0; room];
        let mut w = Writer::new(&mut buffer);
        w.begin_frame();
        write_request_header(&mut w, ApiKey::InitProducerId, 5, 7, "me");
        init_producer_id::write_request(&mut w, 5, None, 1, (-1, -1));
        // 4 + 8 + 4 + 1 header bytes, 16 body bytes.
        assert_eq!(w.end_frame(), None);
    }
    let mut buffer = [0; 40_000];
    let mut w = Writer::new(&mut buffer);
    w.string(&"x".repeat(32_768));
    assert_eq!(w.finish(), None);
}

#[test]
fn headroom_holds_the_longest_partition_frame_and_no_less_is_written() {
    let opening = produce::Opening::First { partitions: u32::MAX - 1 };
    let mut out = [0; produce::MAX_PARTITION_FRAME];
    assert_eq!(produce::partition_frame(9, opening, i32::MAX, u32::MAX - 1, &mut out), Some(0));
    assert_eq!(produce::partition_frame(9, opening, i32::MAX, u32::MAX - 1, &mut out[1..]), None);
    assert_eq!(produce::partition_frame(7, produce::Opening::Next, 1, 2, &mut out), Some(6));
    assert_eq!(out[6..], [0, 0, 0, 1, 0, 0, 0, 2]);
}

#[test]
fn negotiation_takes_the_greatest_common_version_and_never_clamps() {
    let range = |min, max| ApiRange { min, max };
    let ours = range(7, 13);
    assert_eq!(negotiate(ours, range(0, 9)), Some(9));
    assert_eq!(negotiate(ours, range(3, 20)), Some(13));
    assert_eq!(negotiate(ours, range(13, 13)), Some(13));
    assert_eq!(negotiate(ours, range(0, 6)), None);
    assert_eq!(negotiate(ours, range(14, 20)), None);
    assert_eq!(negotiate(ours, range(9, 8)), None);
    assert_eq!(negotiate(ours, range(-1, -1)), None);
}
