//! Records that are read back from the arena, and written anew in front of their payload.

use crate::protocol::varint;
use crate::record::encode::{self, Place, Put};
use crate::state::State;
use crate::state::arena::Position;

/// A record's start, read back from the arena.
#[cfg_attr(not(feature = "split"), expect(dead_code, reason = "only splitting wants all of it"))]
pub(super) struct Parsed {
    pub(super) timestamp_delta: i64,
    /// Bytes after the offset delta: key, value, headers.
    pub(super) rest: u32,
    /// The whole record's size.
    pub(super) size: u32,
    pub(super) rest_at: Position,
}

impl State<'_> {
    /// Reads a record's start at `at`.
    pub(super) fn parse_record(&self, at: Position) -> Parsed {
        let mut start = [0u8; encode::PREFIX_MAX as usize];
        let filled = self.arena.fold(at, encode::PREFIX_MAX, 0usize, |filled, slice| {
            // Two steps, so that both sides of the copy are seen to be equally long.
            if let Some(to) = start.get_mut(filled..).and_then(|rest| rest.get_mut(..slice.len())) {
                to.copy_from_slice(slice);
            }
            filled.saturating_add(slice.len())
        });
        let start = start.get(..filled).unwrap_or(&[]);
        let after = |used: usize| start.get(used..).unwrap_or(&[]);
        // We wrote these bytes; zeros are for the compiler only.
        let (body, body_len) = varint::decode_varint(start).unwrap_or((0, 1));
        let timestamp_at = body_len.saturating_add(1);
        let (timestamp_delta, timestamp_len) = varint::decode_varlong(after(timestamp_at)).unwrap_or((0, 1));
        let offset_at = timestamp_at.saturating_add(timestamp_len);
        let (_, offset_len) = varint::decode_varint(after(offset_at)).unwrap_or((0, 1));
        let prefix = offset_at.saturating_add(offset_len) as u32;
        let size = (body as u32).saturating_add(body_len as u32);
        let rest_at = self.arena.advance(at, prefix);
        Parsed { timestamp_delta, rest: size.saturating_sub(prefix), size, rest_at }
    }

    /// A batch stamped by uptime leaves while no wall clock is set: its records get no timestamp (−1),
    /// which takes deltas of zero. The records only shrink, so they are written over themselves.
    pub(crate) fn erase_timestamps(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let (count, mut read) = (batch.count, batch.records_at());
        let (mut write, mut bytes) = (read, 0u32);
        for offset_delta in 0..count {
            let record = self.parse_record(read);
            let place = Place { timestamp_delta: 0, offset_delta: offset_delta as i32 };
            let (body, size) = encode::record_size(record.rest, place);
            let prefix = PrefixBytes::of(body, place);
            let mut out = self.arena.writer(write);
            out.put(prefix.as_slice());
            write = out.position();
            read = record.rest_at;
            let mut rest = record.rest;
            while rest > 0 {
                let (chunk, len) = self.read_chunk(&mut read, rest);
                let mut out = self.arena.writer(write);
                out.put(chunk.get(..len as usize).unwrap_or(&[]));
                write = out.position();
                rest = rest.saturating_sub(len.max(1));
            }
            bytes = bytes.saturating_add(size);
        }
        let batch = self.batches.at_mut(index);
        batch.record_bytes = bytes;
        batch.tail = write;
        batch.base_timestamp = -1;
        batch.max_timestamp = -1;
    }

    /// Up to 64 bytes at `read`, which moves on.
    pub(super) fn read_chunk(&self, read: &mut Position, len: u32) -> ([u8; 64], u32) {
        let mut chunk = [0; 64];
        let slice = self.arena.slice(*read, len.min(64));
        let taken = slice.len();
        if let Some(to) = chunk.get_mut(..taken) {
            to.copy_from_slice(slice);
        }
        *read = self.arena.advance(*read, taken as u32);
        (chunk, taken as u32)
    }
}

/// What stands before a record's payload, written anew.
pub(super) struct PrefixBytes {
    bytes: [u8; 32],
    len: usize,
}

impl PrefixBytes {
    pub(super) fn of(body: i32, place: Place) -> Self {
        let mut prefix = Self { bytes: [0; 32], len: 0 };
        encode::write_record_prefix(&mut prefix, body, place);
        prefix
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Put for PrefixBytes {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.len..).and_then(|rest| rest.get_mut(..bytes.len())) {
            to.copy_from_slice(bytes);
            self.len = self.len.saturating_add(bytes.len());
        }
    }
}
