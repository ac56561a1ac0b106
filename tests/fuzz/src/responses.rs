//! The core's resumable response decoder, on any bytes, in any version, cut anywhere.
//!
//! The decoder is private to the core. Its files are included here as they are: a door in the product that only fuzzers use
//! would be there for everybody. The sinks behind it, which a producer has, are reached by [`machine`](crate::machine).

use crate::core_protocol::ApiKey;
use crate::core_protocol::decode::{DEFAULT_MAX_FRAME, DecodeError, Decoder, Progress, Sink};
use crate::input::{Input, Pieces};

/// Everything that a sink is told, as a sum that does not see where text was cut; and how often it is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    sum: u64,
    events: usize,
    /// The text that has begun, and how many bytes of it are still to come.
    text: Option<(u8, u32)>,
    depth: i32,
}

impl Told {
    const NOTHING: Self = Self { sum: 0xcbf2_9ce4_8422_2325, events: 0, text: None, depth: 0 };

    fn add(&mut self, number: u64) {
        self.sum = (self.sum ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn event(&mut self, kind: u8, field: u8, number: u64) {
        assert!(self.text.is_none(), "a field within a text");
        self.events += 1;
        self.add(u64::from(kind) << 8 | u64::from(field));
        self.add(number);
    }
}

impl Sink for Told {
    fn int(&mut self, field: u8, value: i64) {
        self.event(0, field, value as u64);
    }
    fn uuid(&mut self, field: u8, value: &[u8; 16]) {
        self.event(1, field, u128::from_be_bytes(*value) as u64);
    }
    fn text_begin(&mut self, field: u8, len: Option<u32>) {
        self.event(2, field, len.map_or(u64::MAX, u64::from));
        self.text = Some((field, len.unwrap_or(0)));
    }
    fn text(&mut self, field: u8, chunk: &[u8]) {
        let (begun, left) = self.text.expect("a chunk outside of a text");
        assert!(begun == field && !chunk.is_empty());
        let left = left.checked_sub(chunk.len() as u32).expect("more text than was announced");
        self.text = Some((begun, left));
        chunk.iter().for_each(|byte| self.add((*byte).into()));
    }
    fn text_end(&mut self, field: u8) {
        assert_eq!(self.text.take(), Some((field, 0)), "a text that ends early");
    }
    fn array(&mut self, field: u8, count: u32) {
        self.event(3, field, count.into());
    }
    fn element_begin(&mut self, field: u8) {
        self.event(4, field, 0);
        self.depth += 1;
    }
    fn element_end(&mut self, field: u8) {
        self.event(5, field, 0);
        self.depth -= 1;
        assert!(self.depth >= 0);
    }
}

/// What came of a stream of frames.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    told: Told,
    frames: u32,
    headers: i64,
    error: Option<DecodeError>,
}

/// Reads a connection's bytes to their end or to the first error. Each second frame is skipped if `skip`.
fn decode(api: ApiKey, version: i16, skip: bool, mut bytes: &[u8], mut piece: impl FnMut() -> usize) -> Decoded {
    let mut decoder = Decoder::new(DEFAULT_MAX_FRAME);
    let mut read = Decoded { told: Told::NOTHING, frames: 0, headers: 0, error: None };
    while !bytes.is_empty() {
        let (mut rest, later) = bytes.split_at(piece().min(bytes.len()));
        bytes = later;
        loop {
            match decoder.advance(&mut rest, &mut read.told) {
                Ok(Progress::NeedMore) => {
                    assert!(rest.is_empty(), "asks for more while there is more");
                    break;
                }
                Ok(Progress::Header { correlation_id }) => {
                    read.headers = read.headers.wrapping_mul(31).wrapping_add(correlation_id.into());
                    if skip && read.frames % 2 == 1 {
                        decoder.skip_frame();
                    } else {
                        decoder.begin(api, version);
                    }
                }
                Ok(Progress::Frame) => {
                    read.frames += 1;
                    // A sink outlives a frame that broke off within its fields.
                    read.told.text = None;
                    read.told.depth = 0;
                    if rest.is_empty() {
                        break;
                    }
                }
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
        }
    }
    read
}

fn any_response(api: ApiKey, data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, pattern) = (input.u8(), input.u8());
    // Mostly a version that is ours; a caller's mistake may not panic either.
    let ours = api.ours();
    let versions = ours.max - ours.min + 1;
    let version = match choice >> 4 {
        15 => i16::from(input.u8() as i8),
        n => ours.min + i16::from(n) % versions,
    };
    let body = input.rest();
    let mut framed = Vec::new();
    let bytes = if choice & 1 == 0 {
        // A size that is right, so that the body is what is fuzzed.
        framed.extend_from_slice(&(body.len() as u32).to_be_bytes());
        framed.extend_from_slice(body);
        if choice & 2 != 0 {
            framed.extend_from_within(..);
        }
        &framed[..]
    } else {
        body
    };
    let skip = choice & 4 != 0;
    let whole = decode(api, version, skip, bytes, || usize::MAX);
    // Each event has a byte of its own; begin and end of an element share theirs.
    assert!(whole.told.events <= 3 * bytes.len(), "{} events of {} bytes", whole.told.events, bytes.len());
    let mut pieces = Pieces::new(pattern);
    let pieced = decode(api, version, skip, bytes, || pieces.size());
    assert_eq!(whole, pieced, "{api:?} v{version}, pattern {pattern}");
}

/// Answers to ApiVersions.
pub fn response_api_versions(data: &[u8]) {
    any_response(ApiKey::ApiVersions, data);
}

/// Answers to Metadata.
pub fn response_metadata(data: &[u8]) {
    any_response(ApiKey::Metadata, data);
}

/// Answers to Produce.
pub fn response_produce(data: &[u8]) {
    any_response(ApiKey::Produce, data);
}

/// Answers to InitProducerId.
pub fn response_init_producer_id(data: &[u8]) {
    any_response(ApiKey::InitProducerId, data);
}
