//! The codec against the shared vectors, which Apache Kafka's own Java classes wrote.

use super::*;
use crate::batch::{Header, StoredRecord, decode_records};
use crate::compression::Codec;
use crate::wire::Uuid;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/data")
}

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn hex_file(name: &str) -> Vec<u8> {
    unhex(&fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap())
}

fn json_file(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All vectors of a kind ("request" or "response") whose version this codec speaks.
fn vectors(api: Api, kind: &str) -> Vec<(Value, Vec<u8>)> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .filter(|name| folder().join(format!("{name}.hex")).exists())
        // Another client's mistakes are not ours to reproduce.
        .filter(|name| !name.starts_with("quirk"))
        .collect();
    names.sort();
    let vectors: Vec<_> = names
        .iter()
        .map(|name| (json_file(name), hex_file(name)))
        .filter(|(json, _)| json["api_key"] == api.key() && json["kind"] == kind)
        .filter(|(json, _)| {
            let version = json["api_version"].as_i64().unwrap() as i16;
            (api.versions().0..=api.versions().1).contains(&version)
        })
        .collect();
    assert!(!vectors.is_empty(), "no {kind} vectors of {api:?}");
    vectors
}

fn int<T: TryFrom<i64>>(value: &Value, key: &str) -> T {
    let number = value[key].as_i64().unwrap_or_else(|| panic!("no {key}"));
    T::try_from(number).ok().unwrap()
}

fn int_or<T: TryFrom<i64>>(value: &Value, key: &str, default: T) -> T {
    if value[key].is_null() { default } else { int(value, key) }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn uuid(value: &Value, key: &str) -> Uuid {
    value[key].as_str().map_or([0; 16], |text| unhex(text).try_into().unwrap())
}

fn list<T>(value: &Value, key: &str, element: impl FnMut(&Value) -> T) -> Vec<T> {
    value[key].as_array().map(|array| array.iter().map(element).collect()).unwrap_or_default()
}

fn records(value: &Value) -> Option<Vec<u8>> {
    value["records_vector"].as_str().map(hex_file)
}

/// Decodes each request vector and hands it on; the frame must be used up.
fn each_request(api: Api, mut check: impl FnMut(&mut Reader<'_>, i16, &Value)) {
    for (json, bytes) in vectors(api, "request") {
        let version = int(&json, "api_version");
        let (header, mut body) = RequestHeader::decode(&bytes[4..], api).unwrap();
        assert_eq!(header.api_key, api.key());
        assert_eq!(header.api_version, version);
        assert_eq!(header.correlation_id, int::<i32>(&json["header"], "correlation_id"));
        assert_eq!(header.client_id.map(str::to_owned), text(&json["header"], "client_id"));
        check(&mut body, version, &json["body"]);
        assert_eq!(body.remaining(), 0, "{}", json["name"]);
    }
}

/// Encodes each response vector and compares the bytes.
fn each_response(api: Api, mut encode: impl FnMut(&mut Writer, i16, &Value)) {
    for (json, bytes) in vectors(api, "response") {
        let version = int(&json, "api_version");
        let mut writer = response(api, version, int::<i32>(&json["header"], "correlation_id"));
        encode(&mut writer, version, &json["body"]);
        assert_eq!(finish(writer), bytes, "{}", json["name"]);
    }
}

#[test]
fn api_versions_vectors() {
    each_request(Api::ApiVersions, |r, version, json| {
        let request = api_versions::Request::decode(r, version).unwrap();
        let name = text(json, "clientSoftwareName").unwrap_or_default();
        assert_eq!(request.client_software_name, name);
        let software = text(json, "clientSoftwareVersion").unwrap_or_default();
        assert_eq!(request.client_software_version, software);
        assert_eq!(request.cluster_id.map(str::to_owned), text(json, "clusterId"));
        assert_eq!(request.node_id, int_or::<i32>(json, "nodeId", -1));
    });
    each_response(Api::ApiVersions, |w, version, json| {
        let feature = |f: &Value, min: &str, max: &str| api_versions::Feature {
            name: text(f, "name").unwrap(),
            min: int(f, min),
            max: int(f, max),
        };
        api_versions::Response {
            error_code: int(json, "errorCode"),
            api_keys: list(json, "apiKeys", |key| api_versions::ApiKey {
                api_key: int(key, "apiKey"),
                min_version: int(key, "minVersion"),
                max_version: int(key, "maxVersion"),
            }),
            throttle_time_ms: int_or(json, "throttleTimeMs", 0),
            supported_features: list(json, "supportedFeatures", |f| feature(f, "minVersion", "maxVersion")),
            finalized_features_epoch: int_or(json, "finalizedFeaturesEpoch", -1),
            finalized_features: list(json, "finalizedFeatures", |f| feature(f, "minVersionLevel", "maxVersionLevel")),
        }
        .encode(w, version);
    });
}

fn metadata_response(json: &Value) -> metadata::Response {
    let ids = |p: &Value, key: &str| list(p, key, |id| id.as_i64().unwrap() as i32);
    metadata::Response {
        throttle_time_ms: int_or(json, "throttleTimeMs", 0),
        brokers: list(json, "brokers", broker),
        cluster_id: text(json, "clusterId"),
        controller_id: int_or(json, "controllerId", -1),
        topics: list(json, "topics", |topic| metadata::Topic {
            error_code: int(topic, "errorCode"),
            name: text(topic, "name"),
            topic_id: uuid(topic, "topicId"),
            is_internal: topic["isInternal"] == true,
            partitions: list(topic, "partitions", |p| metadata::Partition {
                error_code: int(p, "errorCode"),
                partition_index: int(p, "partitionIndex"),
                leader_id: int(p, "leaderId"),
                leader_epoch: int_or(p, "leaderEpoch", -1),
                replica_nodes: ids(p, "replicaNodes"),
                isr_nodes: ids(p, "isrNodes"),
                offline_replicas: ids(p, "offlineReplicas"),
            }),
            topic_authorized_operations: int_or(topic, "topicAuthorizedOperations", i32::MIN),
        }),
        cluster_authorized_operations: int_or(json, "clusterAuthorizedOperations", i32::MIN),
        error_code: int_or(json, "errorCode", 0),
    }
}

fn broker(json: &Value) -> metadata::Broker {
    metadata::Broker {
        node_id: int(json, "nodeId"),
        host: text(json, "host").unwrap(),
        port: int(json, "port"),
        rack: text(json, "rack"),
    }
}

#[test]
fn metadata_vectors() {
    each_request(Api::Metadata, |r, version, json| {
        let request = metadata::Request::decode(r, version).unwrap();
        let topics = json["topics"]
            .is_array()
            .then(|| list(json, "topics", |topic| (uuid(topic, "topicId"), text(topic, "name"))));
        let decoded = request.topics.as_ref().map(|topics| {
            let pair = |t: &metadata::RequestTopic<'_>| (t.topic_id, t.name.map(str::to_owned));
            topics.iter().map(pair).collect::<Vec<_>>()
        });
        assert_eq!(decoded, topics);
        let flag = |key: &str, default: bool| json[key].as_bool().unwrap_or(default);
        assert_eq!(request.allow_auto_topic_creation, flag("allowAutoTopicCreation", true));
        assert_eq!(request.include_cluster_authorized_operations, flag("includeClusterAuthorizedOperations", false));
        assert_eq!(request.include_topic_authorized_operations, flag("includeTopicAuthorizedOperations", false));
    });
    each_response(Api::Metadata, |w, version, json| {
        metadata_response(json).encode(w, version);
    });
    for (json, bytes) in vectors(Api::Metadata, "response") {
        let version = int(&json, "api_version");
        let mut r = Reader::new(&bytes[8..], Api::Metadata.is_flexible(version));
        r.tags().unwrap();
        let decoded = metadata::Response::decode(&mut r, version).unwrap();
        assert_eq!(decoded, metadata_response(&json["body"]), "{}", json["name"]);
    }
}

#[test]
fn produce_vectors() {
    each_request(Api::Produce, |r, version, json| {
        let request = produce::Request::decode(r, version).unwrap();
        assert_eq!(request.transactional_id.map(str::to_owned), text(json, "transactionalId"));
        assert_eq!(request.acks, int::<i16>(json, "acks"));
        assert_eq!(request.timeout_ms, int::<i32>(json, "timeoutMs"));
        let expected = list(json, "topicData", |topic| {
            let partitions = list(topic, "partitionData", |p| (int::<i32>(p, "index"), records(p)));
            let name = text(topic, "name").unwrap_or_default();
            (name, uuid(topic, "topicId"), partitions)
        });
        let decoded: Vec<(String, Uuid, Vec<_>)> = request
            .topics
            .iter()
            .map(|topic| {
                let partitions = topic.partitions.iter();
                let partitions = partitions.map(|p| (p.index, p.records.map(<[u8]>::to_vec))).collect();
                (topic.name.to_owned(), topic.topic_id, partitions)
            })
            .collect();
        assert_eq!(decoded, expected);
    });
    each_response(Api::Produce, |w, version, json| {
        produce::Response {
            topics: list(json, "responses", |topic| produce::ResponseTopic {
                name: text(topic, "name").unwrap_or_default(),
                topic_id: uuid(topic, "topicId"),
                partitions: list(topic, "partitionResponses", produce_partition),
            }),
            throttle_time_ms: int(json, "throttleTimeMs"),
            node_endpoints: list(json, "nodeEndpoints", broker),
        }
        .encode(w, version);
    });
}

fn produce_partition(json: &Value) -> produce::ResponsePartition {
    let leader = &json["currentLeader"];
    produce::ResponsePartition {
        index: int(json, "index"),
        error_code: int(json, "errorCode"),
        base_offset: int(json, "baseOffset"),
        log_append_time_ms: int(json, "logAppendTimeMs"),
        log_start_offset: int_or(json, "logStartOffset", -1),
        record_errors: list(json, "recordErrors", |e| produce::RecordError {
            batch_index: int(e, "batchIndex"),
            message: text(e, "batchIndexErrorMessage"),
        }),
        error_message: text(json, "errorMessage"),
        current_leader: (int_or(leader, "leaderId", -1), int_or(leader, "leaderEpoch", -1)),
    }
}

#[test]
fn init_producer_id_vectors() {
    each_request(Api::InitProducerId, |r, version, json| {
        let request = init_producer_id::Request::decode(r, version).unwrap();
        assert_eq!(request.transactional_id.map(str::to_owned), text(json, "transactionalId"));
        assert_eq!(request.transaction_timeout_ms, int::<i32>(json, "transactionTimeoutMs"));
        assert_eq!(request.producer_id, int_or::<i64>(json, "producerId", -1));
        assert_eq!(request.producer_epoch, int_or::<i16>(json, "producerEpoch", -1));
    });
    each_response(Api::InitProducerId, |w, _, json| {
        init_producer_id::Response {
            throttle_time_ms: int(json, "throttleTimeMs"),
            error_code: int(json, "errorCode"),
            producer_id: int(json, "producerId"),
            producer_epoch: int(json, "producerEpoch"),
        }
        .encode(w);
    });
}

#[test]
fn find_coordinator_vectors() {
    each_request(Api::FindCoordinator, |r, version, json| {
        let request = find_coordinator::Request::decode(r, version).unwrap();
        let key = text(json, "key").into_iter();
        let keys: Vec<String> = key.chain(list(json, "coordinatorKeys", |k| k.as_str().unwrap().to_owned())).collect();
        assert_eq!(request.keys, keys);
        assert_eq!(request.key_type, int_or::<i8>(json, "keyType", 0));
    });
    each_response(Api::FindCoordinator, |w, version, json| {
        let coordinator = |c: &Value| find_coordinator::Coordinator {
            key: text(c, "key").unwrap_or_default(),
            node_id: int(c, "nodeId"),
            host: text(c, "host").unwrap(),
            port: int(c, "port"),
            error_code: int(c, "errorCode"),
            error_message: text(c, "errorMessage"),
        };
        let coordinators = if version >= 4 { list(json, "coordinators", coordinator) } else { vec![coordinator(json)] };
        find_coordinator::Response { throttle_time_ms: int_or(json, "throttleTimeMs", 0), coordinators }
            .encode(w, version);
    });
}

/// Requests that the reader sends must come out as they went in.
fn encodes_back(api: Api, frame: &[u8], version: i16, encode: impl FnOnce(&mut Writer)) {
    let header = RequestHeader::decode(frame, api).unwrap().0;
    let mut writer = request(api, version, header.correlation_id, header.client_id.unwrap_or_default());
    encode(&mut writer);
    assert_eq!(&finish(writer)[4..], frame);
}

#[test]
fn list_offsets_vectors() {
    for (json, bytes) in vectors(Api::ListOffsets, "request") {
        let version = int(&json, "api_version");
        let (_, mut body) = RequestHeader::decode(&bytes[4..], Api::ListOffsets).unwrap();
        let request = list_offsets::Request::decode(&mut body, version).unwrap();
        let topic = &json["body"]["topics"][0];
        assert_eq!(Some(request.topics[0].name), topic["name"].as_str());
        let partition = &request.topics[0].partitions[0];
        let expected = &topic["partitions"][0];
        assert_eq!(partition.timestamp, int::<i64>(expected, "timestamp"));
        assert_eq!(partition.partition_index, int::<i32>(expected, "partitionIndex"));
        encodes_back(Api::ListOffsets, &bytes[4..], version, |w| {
            request.encode(w, version);
        });
    }
    let decoded = |json: &Value| list_offsets::Response {
        throttle_time_ms: int_or(json, "throttleTimeMs", 0),
        topics: list(json, "topics", |topic| list_offsets::ResponseTopic {
            name: text(topic, "name").unwrap(),
            partitions: list(topic, "partitions", |p| list_offsets::ResponsePartition {
                partition_index: int(p, "partitionIndex"),
                error_code: int(p, "errorCode"),
                timestamp: int(p, "timestamp"),
                offset: int(p, "offset"),
                leader_epoch: int_or(p, "leaderEpoch", -1),
            }),
        }),
    };
    each_response(Api::ListOffsets, |w, version, json| {
        let response = decoded(json);
        response.encode(w, version);
        let mut own = Writer::new(w.flex);
        response.encode(&mut own, version);
        let mut r = Reader::new(&own.out, w.flex);
        let back = list_offsets::Response::decode(&mut r, version);
        assert_eq!(back.unwrap(), response);
    });
}

#[test]
fn fetch_vectors() {
    for (json, bytes) in vectors(Api::Fetch, "request") {
        let version = int(&json, "api_version");
        let (_, mut body) = RequestHeader::decode(&bytes[4..], Api::Fetch).unwrap();
        let request = fetch::Request::decode(&mut body, version).unwrap();
        let expected = &json["body"];
        assert_eq!(request.max_bytes, int::<i32>(expected, "maxBytes"));
        let topic = &expected["topics"][0];
        assert_eq!(request.topics[0].topic_id, uuid(topic, "topicId"));
        let partition = &request.topics[0].partitions[0];
        let wanted = int::<i32>(&topic["partitions"][0], "partitionMaxBytes");
        assert_eq!(partition.partition_max_bytes, wanted);
        assert_eq!(body.remaining(), 0);
        if version < 13 {
            encodes_back(Api::Fetch, &bytes[4..], version, |w| {
                request.encode(w, version);
            });
        }
    }
    each_response(Api::Fetch, |w, version, json| {
        let response = fetch::Response {
            throttle_time_ms: int(json, "throttleTimeMs"),
            error_code: int_or(json, "errorCode", 0),
            session_id: int_or(json, "sessionId", 0),
            topics: list(json, "responses", |topic| fetch::ResponseTopic {
                topic: text(topic, "topic").unwrap_or_default(),
                topic_id: uuid(topic, "topicId"),
                partitions: list(topic, "partitions", |p| fetch::ResponsePartition {
                    partition_index: int(p, "partitionIndex"),
                    error_code: int(p, "errorCode"),
                    high_watermark: int(p, "highWatermark"),
                    last_stable_offset: int(p, "lastStableOffset"),
                    log_start_offset: int_or(p, "logStartOffset", -1),
                    preferred_read_replica: int_or(p, "preferredReadReplica", -1),
                    records: records(p),
                }),
            }),
        };
        response.encode(w, version);
        let mut own = Writer::new(w.flex);
        response.encode(&mut own, version);
        let mut r = Reader::new(&own.out, w.flex);
        assert_eq!(fetch::Response::decode(&mut r, version).unwrap(), response);
    });
}

#[test]
fn batch_vectors() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".json").filter(|n| n.starts_with("batch_")) else {
            continue;
        };
        let (json, bytes) = (json_file(name), hex_file(name));
        let header = Header::decode(&bytes).unwrap();
        let expected = &json["expected"];
        assert_eq!(header.total_bytes, bytes.len(), "{name}");
        let crc = format!("{:08x}", header.crc);
        assert_eq!(Some(crc.as_str()), expected["crc32c_hex"].as_str());
        assert_eq!(crc32c::crc32c(&bytes[21..]), header.crc);
        assert_eq!(header.attributes, int::<i16>(expected, "attributes"));
        assert_eq!(header.max_timestamp, int::<i64>(expected, "max_timestamp"));
        assert_eq!(header.record_count, int::<i32>(expected, "records_count"));
        if !header.is_control() {
            assert_eq!(header.last_sequence(), int::<i32>(expected, "last_sequence"));
        }
        if cfg!(not(feature = "codecs")) && !matches!(header.codec(), Some(Codec::None | Codec::Lz4)) {
            continue;
        }
        let mut records = Vec::new();
        decode_records(&header, &bytes, |record| records.push(record)).unwrap();
        check_records(name, &records, &json);
        seen += 1;
    }
    let wanted = if cfg!(feature = "codecs") { 30 } else { 20 };
    assert!(seen >= wanted, "{seen}");
}

fn check_records(name: &str, records: &[StoredRecord], json: &Value) {
    let inputs = json["input"]["records"].as_array().map_or(&[][..], Vec::as_slice);
    let decoded = json["decoded"].as_array().unwrap();
    // Long batches are described by their first records.
    let count = int::<i32>(&json["expected"], "records_count");
    assert_eq!(records.len(), count as usize, "{name}");
    assert!(!decoded.is_empty());
    for (record, expected) in records.iter().zip(decoded) {
        assert_eq!(record.offset, int::<i64>(expected, "offset"), "{name}");
        assert_eq!(record.timestamp, int::<i64>(expected, "timestamp"), "{name}");
    }
    let bytes = |value: &Value| value.as_str().map(unhex);
    for (record, input) in records.iter().zip(inputs) {
        // Long values are described instead of spelled out.
        if input.get("key_hex").is_some() && input.get("value_hex").is_some() {
            assert_eq!(record.key, bytes(&input["key_hex"]), "{name}");
            assert_eq!(record.value, bytes(&input["value_hex"]), "{name}");
        }
        let headers = list(input, "headers", |header| (text(header, "key").unwrap(), bytes(&header["value_hex"])));
        assert_eq!(record.headers, headers, "{name}");
    }
}

#[cfg(feature = "codecs")]
#[test]
fn codec_variants_are_judged_as_kafka_does() {
    let index = json_file("codec_variants/INDEX");
    for variant in index["variants"].as_array().unwrap() {
        let name = variant["name"].as_str().unwrap();
        let bytes = hex_file(&format!("codec_variants/{name}"));
        let header = Header::decode(&bytes).unwrap();
        let mut count = 0;
        let accepted = header.codec().is_some_and(|codec| {
            crate::compression::decompress(codec, &bytes[61..]).is_ok()
                && decode_records(&header, &bytes, |_| count += 1).is_ok()
        });
        let verdict = variant["verdict"] == "OK";
        assert_eq!(accepted, verdict, "{name}: {}", variant["detail"]);
        assert!(!accepted || count == header.record_count, "{name}");
    }
}

#[test]
fn hostile_lengths_are_refused() {
    // An array of two billion elements in a frame of ten bytes.
    let mut r = Reader::new(&[0x7f, 0xff, 0xff, 0xff, 0, 0], false);
    assert_eq!(r.list(Reader::i8), Err(crate::wire::Malformed::Truncated));
    let mut r = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f], true);
    assert_eq!(r.uvarint(), Err(crate::wire::Malformed::Varint));
    let mut r = Reader::new(&[0x80; 6], true);
    assert_eq!(r.uvarint(), Err(crate::wire::Malformed::Varint));
    // Tags that do not ascend.
    let mut r = Reader::new(&[2, 1, 0, 1, 0], true);
    assert_eq!(r.tags(), Err(crate::wire::Malformed::Tags));
}
