//! Batches byte for byte as the Java client writes them (`tests/vectors/data/batch_*`), written into
//! arenas of several block sizes, so that records straddle blocks everywhere.

use crate::state::arena::Position;
use crate::state::batch::{BatchState, HEADROOM};
use crate::state::identity::{Identity, IdentityState};
use crate::state::list::NIL;
use crate::state::storage::{Limits, Storage};
use std::format;
use std::string::String;
use std::vec::Vec;

use serde_json::Value;

use super::{Header, Record};
use crate::config::Config;
use crate::state::State;
use crate::time::Instant;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn bytes_or_null(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(unhex)
}

fn state(block_size: usize, idempotent: bool) -> State<'static> {
    let limits = Limits { buffer_memory: 1 << 20, block_size, ..Limits::default() };
    let mut config = Config::new("a:1");
    config.enable_idempotence = idempotent;
    config.batch_size = 1 << 19;
    State::new(config, Storage::heap(&limits), [1; 32], Instant::ZERO).unwrap()
}

/// Appends the vector's records, stamps and seals the batch, and returns its bytes.
fn encode(input: &Value, block_size: usize) -> Vec<u8> {
    let producer_id = input["producer_id"].as_i64().unwrap();
    let mut state = state(block_size, producer_id >= 0);
    let topic = state.add_topic("t").unwrap().slot;
    let slot = state.bind_partition(topic, 0).unwrap();
    for record in input["records"].as_array().unwrap() {
        let (key, value) = (bytes_or_null(&record["key_hex"]), bytes_or_null(&record["value_hex"]));
        let headers: Vec<(String, Option<Vec<u8>>)> = record["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header["key"].as_str().unwrap().into(), bytes_or_null(&header["value_hex"])))
            .collect();
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let timestamp = record["timestamp"].as_i64().unwrap();
        let record = Record { key: key.as_deref(), value: value.as_deref(), headers: &headers, ..Record::default() };
        let mut sized = state.size_record(&record).unwrap();
        sized.set_timestamp_for_test(timestamp);
        state.append(slot, &record, sized).unwrap();
    }
    let batch = state.partitions.at(slot).queue.back();
    assert_ne!(batch, NIL);
    if producer_id >= 0 {
        let epoch = input["producer_epoch"].as_i64().unwrap() as i16;
        state.identity = Identity { state: IdentityState::Ready, producer_id, epoch, ..Identity::new(true) };
        state.assign_sequence(slot, batch);
        state.batches.at_mut(batch).base_sequence = input["base_sequence"].as_i64().unwrap() as i32;
    }
    if input["records"][0]["timestamp"].as_i64() == Some(-1) {
        state.batches.at_mut(batch).max_timestamp = -1;
    }
    state.complete(batch);
    state.seal(batch);
    assert_eq!(state.batches.at(batch).state, BatchState::Closed);
    let at = Position { block: state.batches.at(batch).first_block, at: HEADROOM };
    let len = state.batches.at(batch).wire_bytes();
    state.arena.fold(at, len, Vec::new(), |mut bytes, slice| {
        bytes.extend_from_slice(slice);
        bytes
    })
}

#[test]
fn every_batch_a_producer_can_write_is_byte_exact() {
    let index: Value = serde_json::from_str(&klamm_vectors::read("INDEX.json")).unwrap();
    let entries = index.as_array().cloned().unwrap_or_else(|| index["vectors"].as_array().unwrap().clone());
    let mut checked = 0;
    for entry in entries {
        let name = entry["name"].as_str().unwrap();
        if !name.starts_with("batch_") {
            continue;
        }
        let vector: Value = serde_json::from_str(&klamm_vectors::read(&format!("{name}.json"))).unwrap();
        let input = &vector["input"];
        let producible = vector["byte_exact_required"] == true
            && input["compression"] == "none"
            && input["is_transactional"] == false
            && input["is_control"] == false
            && input["base_offset"] == 0
            && input["timestamp_type"] == "CreateTime";
        if !producible {
            continue;
        }
        let expected = unhex(klamm_vectors::read(&format!("{name}.hex")).trim());
        for block_size in [128, 129, 200, 256, 1024, 4096, 65_536] {
            assert_eq!(encode(input, block_size), expected, "{name} in blocks of {block_size}");
        }
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} vectors were found");
}
