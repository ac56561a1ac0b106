//! Every response vector, whole and in pieces, gives the fields of its sidecar.

use std::borrow::ToOwned;
use std::vec::Vec;
use std::{println, vec};

use serde_json::Value;

use super::super::decode::{DecodeError, Decoder, Progress};
use super::super::{ApiKey, api_versions, init_producer_id, metadata, produce};
use super::{Decoded, Told, decode, from_hex, hex, json, vectors};

/// Collects what a sink should be told, from a sidecar's body.
#[derive(Default)]
struct Expect(Vec<Told>);

impl Expect {
    fn int(&mut self, field: u8, value: &Value) -> &mut Self {
        self.0.push(Told::Int(field, value.as_i64().unwrap()));
        self
    }
    fn text(&mut self, field: u8, value: &Value) -> &mut Self {
        self.0.push(Told::Text(field, value.as_str().map(ToOwned::to_owned)));
        self
    }
    fn uuid(&mut self, field: u8, value: &Value) -> &mut Self {
        self.0.push(Told::Uuid(field, from_hex(value.as_str().unwrap()).try_into().unwrap()));
        self
    }
    fn array(&mut self, field: u8, value: &Value, mut element: impl FnMut(&mut Self, &Value)) -> &mut Self {
        let elements = value.as_array().unwrap();
        self.0.push(Told::Array(field, elements.len() as u32));
        for value in elements {
            self.group(field, |this| element(this, value));
        }
        self
    }
    fn group(&mut self, field: u8, contents: impl FnOnce(&mut Self)) {
        self.0.push(Told::Begin(field));
        contents(self);
        self.0.push(Told::End(field));
    }
}

fn expected(api: ApiKey, version: i16, body: &Value) -> Vec<Told> {
    let mut e = Expect::default();
    match api {
        ApiKey::ApiVersions => expect_api_versions(&mut e, version, body),
        ApiKey::Metadata => expect_metadata(&mut e, version, body),
        ApiKey::Produce => expect_produce(&mut e, version, body),
        ApiKey::InitProducerId => {
            use init_producer_id::field;
            e.int(field::THROTTLE, &body["throttleTimeMs"]).int(field::ERROR, &body["errorCode"]);
            e.int(field::PRODUCER_ID, &body["producerId"]).int(field::PRODUCER_EPOCH, &body["producerEpoch"]);
        }
    }
    e.0
}

fn expect_api_versions(e: &mut Expect, version: i16, body: &Value) {
    use api_versions::field;
    e.int(field::ERROR, &body["errorCode"]).array(field::API, &body["apiKeys"], |e, api| {
        e.int(field::API_KEY, &api["apiKey"]);
        e.int(field::API_MIN, &api["minVersion"]).int(field::API_MAX, &api["maxVersion"]);
    });
    if version >= 1 {
        e.int(field::THROTTLE, &body["throttleTimeMs"]);
    }
}

fn expect_metadata(e: &mut Expect, version: i16, body: &Value) {
    use metadata::field;
    e.int(field::THROTTLE, &body["throttleTimeMs"]);
    e.array(field::BROKER, &body["brokers"], |e, broker| {
        e.int(field::BROKER_ID, &broker["nodeId"]).text(field::BROKER_HOST, &broker["host"]);
        e.int(field::BROKER_PORT, &broker["port"]);
    });
    e.array(field::TOPIC, &body["topics"], |e, topic| {
        e.int(field::TOPIC_ERROR, &topic["errorCode"]).text(field::TOPIC_NAME, &topic["name"]);
        if version >= 10 {
            e.uuid(field::TOPIC_ID, &topic["topicId"]);
        }
        e.array(field::PARTITION, &topic["partitions"], |e, partition| {
            e.int(field::PARTITION_ERROR, &partition["errorCode"]);
            e.int(field::PARTITION_INDEX, &partition["partitionIndex"]);
            e.int(field::PARTITION_LEADER, &partition["leaderId"]);
            e.int(field::PARTITION_LEADER_EPOCH, &partition["leaderEpoch"]);
        });
    });
    if version >= 13 {
        e.int(field::ERROR, &body["errorCode"]);
    }
}

fn expect_produce(e: &mut Expect, version: i16, body: &Value) {
    use produce::field;
    e.array(field::TOPIC, &body["responses"], |e, topic| {
        if version >= 13 {
            e.uuid(field::TOPIC_ID, &topic["topicId"]);
        } else {
            e.text(field::TOPIC_NAME, &topic["name"]);
        }
        e.array(field::PARTITION, &topic["partitionResponses"], |e, partition| {
            e.int(field::PARTITION_INDEX, &partition["index"]).int(field::ERROR, &partition["errorCode"]);
            e.int(field::BASE_OFFSET, &partition["baseOffset"]);
            e.int(field::LOG_APPEND_TIME, &partition["logAppendTimeMs"]);
            e.int(field::LOG_START_OFFSET, &partition["logStartOffset"]);
            if version >= 8 {
                e.array(field::RECORD_ERROR, &partition["recordErrors"], |e, record| {
                    e.int(field::RECORD_INDEX, &record["batchIndex"]);
                    e.text(field::RECORD_MESSAGE, &record["batchIndexErrorMessage"]);
                });
                e.text(field::ERROR_MESSAGE, &partition["errorMessage"]);
            }
            if let Some(leader) = partition.get("currentLeader") {
                e.group(field::CURRENT_LEADER, |e| {
                    e.int(field::LEADER_ID, &leader["leaderId"]).int(field::LEADER_EPOCH, &leader["leaderEpoch"]);
                });
            }
        });
    });
    e.int(field::THROTTLE, &body["throttleTimeMs"]);
    if let Some(nodes) = body.get("nodeEndpoints") {
        e.group(field::NODE_ENDPOINTS, |e| {
            e.array(field::NODE, nodes, |e, node| {
                e.int(field::NODE_ID, &node["nodeId"]).text(field::NODE_HOST, &node["host"]);
                e.int(field::NODE_PORT, &node["port"]);
            });
        });
    }
}

#[test]
fn every_response_vector_in_pieces_of_every_size() {
    let vectors = vectors("response");
    for (name, sidecar, api, version) in &vectors {
        let bytes = hex(name);
        // An answer to a version that the broker did not know is decoded as that version.
        let asked = sidecar["request_api_version"].as_i64().map_or(*version, |asked| asked as i16);
        let expected = Decoded {
            correlation_id: Some(sidecar["header"]["correlation_id"].as_i64().unwrap() as i32),
            told: expected(*api, *version, &sidecar["body"]),
            complete: true,
            left: 0,
        };
        assert_eq!(i64::from(api.response_header_version(*version)), sidecar["header_version"], "{name}");
        for piece in 1..=bytes.len() {
            assert_eq!(decode(*api, asked, &bytes, piece).as_ref(), Ok(&expected), "{name} in pieces of {piece}");
        }
    }
    println!("{} response vectors", vectors.len());
    assert!(vectors.len() >= 25);
}

#[test]
fn every_version_has_a_response_vector() {
    let vectors = vectors("response");
    for api in ApiKey::ALL {
        for version in api.ours().min..=api.ours().max {
            assert!(vectors.iter().any(|vector| vector.2 == api && vector.3 == version), "{api:?} {version}");
        }
    }
}

#[test]
fn trailing_bytes_in_the_frame_are_skipped_and_the_next_frame_is_left() {
    for (name, sidecar, api, version) in vectors("response") {
        let mut bytes = hex(&name);
        bytes.extend_from_slice(b"trailing");
        let size = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(b"next");
        let decoded = decode(api, version, &bytes, bytes.len()).unwrap();
        assert_eq!((decoded.complete, decoded.left), (true, 4), "{name}");
        assert_eq!(decoded.told, expected(api, version, &sidecar["body"]), "{name}");
    }
}

#[test]
fn a_frame_that_ends_within_its_fields_is_refused() {
    for (name, sidecar, api, version) in vectors("response") {
        // After error 35 anything is tolerated.
        if sidecar["body"]["errorCode"] == 35 {
            continue;
        }
        let whole = hex(&name);
        for len in 8..whole.len() {
            let mut bytes = whole[..len].to_vec();
            bytes[..4].copy_from_slice(&(len as u32 - 4).to_be_bytes());
            let error = decode(api, version, &bytes, 7).unwrap_err();
            let expected = [DecodeError::Truncated, DecodeError::Count, DecodeError::Length];
            assert!(expected.contains(&error), "{name} cut to {len}: {error:?}");
        }
    }
}

#[test]
fn librdkafka_mock_answer_without_layout_tells_the_error_only() {
    use api_versions::field;
    let bytes = hex("quirk_librdkafka_mock_apiversions_unsupported");
    for version in 3..=4 {
        for piece in 1..=bytes.len() {
            let decoded = decode(ApiKey::ApiVersions, version, &bytes, piece).unwrap();
            assert!(decoded.complete && decoded.left == 0);
            assert_eq!(decoded.told, vec![Told::Int(field::ERROR, 35)]);
        }
    }
}

#[test]
fn every_trace_decodes() {
    let mut frames = 0;
    for trace in ["java_idempotent", "java_acks1_gzip", "java_acks0", "librdkafka_idempotent", "kafka_python"] {
        for frame in json(&std::format!("traces/{trace}"))["frames"].as_array().unwrap() {
            let api = ApiKey::ALL.into_iter().find(|api| frame["api"] == std::format!("{api:?}"));
            let (Some(api), true) = (api, frame["dir"] == "broker->client") else {
                continue;
            };
            let version = frame["api_version"].as_i64().unwrap() as i16;
            let bytes = from_hex(frame["frame_hex"].as_str().unwrap());
            if version < api.ours().min {
                continue;
            }
            let whole = decode(api, version, &bytes, bytes.len()).unwrap_or_else(|e| panic!("{trace} {frame}: {e:?}"));
            assert!(whole.complete && whole.left == 0 && !whole.told.is_empty(), "{trace} {frame}");
            assert_eq!(i64::from(whole.correlation_id.unwrap()), frame["correlation_id"]);
            assert_eq!(decode(api, version, &bytes, 1), Ok(whole));
            frames += 1;
        }
    }
    println!("{frames} frames");
    assert!(frames > 20);
}

#[test]
fn frames_follow_one_another_and_may_be_skipped() {
    let names = ["metadata_resp_v12", "apiversions_resp_v3", "produce_resp_v13", "initproducerid_resp_v5"];
    let stream: Vec<u8> = names.iter().flat_map(|name| hex(name)).collect();
    for piece in 1..stream.len() {
        let mut decoder = Decoder::new(1000);
        let mut ids = Vec::new();
        let mut frames = 0;
        for piece in stream.chunks(piece) {
            let mut rest = piece;
            loop {
                match decoder.advance(&mut rest, &mut ()).unwrap() {
                    Progress::NeedMore => break,
                    Progress::Frame => frames += 1,
                    Progress::Header { correlation_id } => {
                        ids.push(correlation_id);
                        decoder.skip_frame();
                    }
                }
            }
        }
        assert_eq!((ids.len(), frames, decoder.is_idle()), (4, 4, true));
    }
}

#[test]
fn the_header_is_told_until_decided() {
    let bytes = hex("metadata_resp_v12");
    let mut decoder = Decoder::new(1000);
    let mut rest = &bytes[..];
    let header = decoder.advance(&mut rest, &mut ()).unwrap();
    assert_eq!(decoder.advance(&mut rest, &mut ()), Ok(header));
    decoder.begin(ApiKey::Metadata, 12);
    assert_eq!(decoder.advance(&mut rest, &mut ()), Ok(Progress::Frame));
}

/// A frame with this body behind correlation id 1.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 1]);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn hostile_lengths_and_counts_are_refused() {
    use DecodeError::{Count, FrameSize, Length, TagOrder, Truncated, Varint};
    let refused = |api, version, body: &[u8], error| {
        for piece in [1, 1000] {
            assert_eq!(decode(api, version, &frame(body), piece), Err(error), "{api:?} {version} {body:?}");
        }
    };
    for size in [0u32, 3, 0x8000_0000, u32::MAX, 100 * 1024 * 1024 + 1] {
        assert_eq!(decode(ApiKey::Metadata, 7, &size.to_be_bytes(), 4), Err(FrameSize));
    }
    // A size of exactly the correlation id is a frame, but too short for any body.
    refused(ApiKey::Metadata, 7, &[], Truncated);
    // Header tags: a varint of six bytes, of 33 bits, more tags than bytes, a tag longer than the frame, repeated tags.
    refused(ApiKey::Metadata, 9, &[0x80; 6], Varint);
    refused(ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x1f], Varint);
    refused(ApiKey::Metadata, 9, &[2, 0, 0], Count);
    refused(ApiKey::Metadata, 9, &[1, 5, 9], Length);
    refused(ApiKey::Metadata, 9, &[2, 5, 0, 5, 0], TagOrder);
    refused(ApiKey::Metadata, 9, &[2, 5, 0, 4, 0], TagOrder);
    // Counts of brokers: beyond the frame, absurd, negative below −1.
    refused(ApiKey::Metadata, 7, &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0], Count);
    refused(ApiKey::Metadata, 7, &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0], Count);
    refused(ApiKey::Metadata, 7, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe, 0, 0], Length);
    refused(ApiKey::Metadata, 9, &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], Count);
    // A cluster id beyond the frame, and of negative length.
    refused(ApiKey::Metadata, 7, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0], Length);
    refused(ApiKey::Metadata, 7, &[0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0], Length);
}

#[test]
fn null_arrays_and_text_are_empty() {
    use metadata::field;
    let body = [0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
    let decoded = decode(ApiKey::Metadata, 7, &frame(&body), 3).unwrap();
    let told = vec![Told::Int(field::THROTTLE, 5), Told::Array(field::BROKER, 0), Told::Array(field::TOPIC, 0)];
    assert!(decoded.complete);
    assert_eq!(decoded.told, told);
}

#[test]
fn unknown_tags_are_skipped_and_known_ones_may_grow() {
    use produce::field;
    // Header tag 300 of two bytes; no topics; throttle 1; tag 0 with an empty array and three bytes that we do not
    // know, tag 7 with one.
    let body = [1, 0xac, 2, 2, 9, 9, 1, 0, 0, 0, 1, 2, 0, 4, 1, 8, 8, 8, 7, 1, 5];
    for piece in 1..body.len() {
        let decoded = decode(ApiKey::Produce, 12, &frame(&body), piece).unwrap();
        assert!(decoded.complete && decoded.left == 0);
        let told = vec![
            Told::Array(field::TOPIC, 0),
            Told::Int(field::THROTTLE, 1),
            Told::Begin(field::NODE_ENDPOINTS),
            Told::Array(field::NODE, 0),
            Told::End(field::NODE_ENDPOINTS),
        ];
        assert_eq!(decoded.told, told);
        // Version 9 does not know tag 0.
        assert_eq!(decode(ApiKey::Produce, 9, &frame(&body), piece).unwrap().told.len(), 2);
    }
    // The tag's size is a bound: its array may not take bytes of what follows.
    let body = [0, 1, 0, 0, 0, 1, 1, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode(ApiKey::Produce, 12, &frame(&body), 4), Err(DecodeError::Count));
}

#[test]
fn unsupported_version_without_a_range_and_with_leftovers() {
    use api_versions::field;
    for leftovers in [&[][..], &[0], &[0, 0, 0, 0], &[0, 0, 0, 0, 1, 2, 3], &[0xff; 9]] {
        let mut body = vec![0, 35];
        body.extend_from_slice(leftovers);
        for version in 0..=4 {
            let decoded = decode(ApiKey::ApiVersions, version, &frame(&body), 1).unwrap();
            assert!(decoded.complete);
            assert_eq!(decoded.told[0], Told::Int(field::ERROR, 35));
            assert!(decoded.told.iter().all(|told| !matches!(told, Told::Int(field::THROTTLE, _))));
        }
    }
}
