//! The protocol against vectors that independent implementations wrote.

mod errors;
mod fuzz;
mod primitives;
mod requests;
mod responses;

use std::borrow::ToOwned;
use std::format;
use std::string::String;
use std::vec::Vec;

use serde_json::Value;

use super::ApiKey;
use super::decode::{DEFAULT_MAX_FRAME, DecodeError, Decoder, Progress, Sink};

fn json(name: &str) -> Value {
    serde_json::from_str(&klamm_vectors::read(&format!("{name}.json"))).unwrap()
}

fn hex(name: &str) -> Vec<u8> {
    from_hex(klamm_vectors::read(&format!("{name}.hex")).trim())
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// All vectors of our APIs and versions: name, sidecar, API, version.
fn vectors(kind: &str) -> Vec<(String, Value, ApiKey, i16)> {
    let index = json("INDEX");
    let mut found = Vec::new();
    for entry in index.as_array().unwrap().iter().filter(|entry| entry["kind"] == kind) {
        let name = entry["name"].as_str().unwrap().to_owned();
        let sidecar = json(&name);
        let version = sidecar["api_version"].as_i64().unwrap() as i16;
        let Some(api) = ApiKey::from_key(sidecar["api_key"].as_i64().unwrap() as i16) else {
            continue;
        };
        if (api.ours().min..=api.ours().max).contains(&version) {
            found.push((name, sidecar, api, version));
        }
    }
    found
}

/// What a sink was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Int(u8, i64),
    Uuid(u8, [u8; 16]),
    Text(u8, Option<String>),
    Array(u8, u32),
    Begin(u8),
    End(u8),
}

/// Writes down everything; checks that text keeps its promises.
#[derive(Default)]
struct Recorder {
    told: Vec<Told>,
    text: Option<(u8, Option<u32>, Vec<u8>)>,
}

impl Sink for Recorder {
    fn int(&mut self, field: u8, value: i64) {
        self.told.push(Told::Int(field, value));
    }
    fn uuid(&mut self, field: u8, value: &[u8; 16]) {
        self.told.push(Told::Uuid(field, *value));
    }
    fn text_begin(&mut self, field: u8, len: Option<u32>) {
        assert!(self.text.is_none());
        self.text = Some((field, len, Vec::new()));
    }
    fn text(&mut self, field: u8, chunk: &[u8]) {
        let text = self.text.as_mut().unwrap();
        assert!(text.0 == field && !chunk.is_empty());
        text.2.extend_from_slice(chunk);
    }
    fn text_end(&mut self, field: u8) {
        let (begun, len, bytes) = self.text.take().unwrap();
        assert_eq!((begun, len.unwrap_or(0) as usize), (field, bytes.len()));
        self.told.push(Told::Text(field, len.map(|_| String::from_utf8_lossy(&bytes).into_owned())));
    }
    fn array(&mut self, field: u8, count: u32) {
        self.told.push(Told::Array(field, count));
    }
    fn element_begin(&mut self, field: u8) {
        self.told.push(Told::Begin(field));
    }
    fn element_end(&mut self, field: u8) {
        self.told.push(Told::End(field));
    }
}

/// What came of a stream of bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    correlation_id: Option<i32>,
    told: Vec<Told>,
    /// Whether the frame is complete.
    complete: bool,
    /// Bytes left behind it.
    left: usize,
}

/// Decodes one response, fed in pieces of `piece` bytes.
fn decode(api: ApiKey, version: i16, bytes: &[u8], piece: usize) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(DEFAULT_MAX_FRAME);
    let mut sink = Recorder::default();
    let mut correlation_id = None;
    let mut consumed = 0;
    for piece in bytes.chunks(piece) {
        let mut rest = piece;
        loop {
            let before = rest.len();
            let progress = decoder.advance(&mut rest, &mut sink)?;
            consumed += before - rest.len();
            match progress {
                Progress::NeedMore => {
                    assert!(rest.is_empty(), "asks for more while there is more");
                    break;
                }
                Progress::Header { correlation_id: id } => {
                    correlation_id = Some(id);
                    decoder.begin(api, version);
                }
                Progress::Frame => {
                    assert!(decoder.is_idle());
                    return Ok(Decoded {
                        correlation_id,
                        told: sink.told,
                        complete: true,
                        left: bytes.len() - consumed,
                    });
                }
            }
        }
    }
    Ok(Decoded { correlation_id, told: sink.told, complete: false, left: 0 })
}
