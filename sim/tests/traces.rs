//! Requests that real clients sent to another server, replayed: every one must be answered or, for acks=0, appended.

use klamm_sim::{Cluster, ClusterOptions};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn trace(name: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/data/traces");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    json["frames"].as_array().unwrap().clone()
}

/// Answers and records of a trace; the topics that it names are created on demand.
fn replay(name: &str) -> (usize, usize) {
    let mut cluster = Cluster::new(ClusterOptions {
        brokers: 1,
        auto_create_topics: true,
        default_partitions: 4,
        ..ClusterOptions::default()
    });
    let mut connections = BTreeMap::new();
    let (mut answered, mut appended) = (0, 0);
    for frame in trace(name) {
        if frame["dir"] != "client->broker" {
            continue;
        }
        let bytes = unhex(frame["frame_hex"].as_str().unwrap());
        let conn = frame["conn"].as_u64().unwrap();
        let connection = *connections.entry(conn).or_insert_with(|| cluster.connect(0, 1).unwrap());
        cluster.receive(0, connection, &bytes);
        let mut out = Vec::new();
        assert!(cluster.transmit(0, connection, &mut out), "{name}: {frame}");
        let seen = cluster.requests().last().unwrap();
        assert_eq!(Some(i64::from(seen.api_version)), frame["api_version"].as_i64());
        for batch in &seen.batches {
            assert_eq!(batch.error_code, 0, "{name}: {frame}");
            appended += batch.records as usize;
        }
        if seen.api_key == 0 && seen.acks == 0 {
            assert!(out.is_empty());
        } else {
            assert_eq!(out[4..8], bytes[8..12], "{name}: correlation id");
            answered += 1;
        }
    }
    (answered, appended)
}

#[test]
fn traces_of_real_clients_are_answered() {
    for name in ["java_idempotent", "java_acks1_gzip", "java_acks0", "librdkafka_idempotent", "kafka_python"] {
        // Without the codecs a gzip batch is refused.
        if name.ends_with("gzip") && cfg!(not(feature = "codecs")) {
            continue;
        }
        let (answered, appended) = replay(name);
        assert!(answered >= 3, "{name}: {answered} answers");
        assert!(appended > 0, "{name}");
    }
}
