//! What the module tells the host: numbers in little endian, one behind the other, texts with their length before them.
//! `wasm/js/core.js` reads it.

use alloc::vec::Vec;

/// Tags of the entries in a list.
pub(crate) mod tag {
    /// Slot, port, host: open a stream there.
    pub(crate) const CONNECT: u32 = 1;
    /// Slot: close its stream.
    pub(crate) const DISCONNECT: u32 = 2;
    /// Slot: it has bytes to send.
    pub(crate) const WRITABLE: u32 = 3;
    /// Batch, first index, count, topic, partition, base offset (i64), the broker's time (i64, −1 if it gave none).
    pub(crate) const DELIVERED: u32 = 4;
    /// Batch, first index, count, topic, partition, fate (1: unknown), the record to blame (−1 if none was named), failure.
    pub(crate) const FAILED: u32 = 5;
    /// Topic, whether it has an error (1), that as a failure: its partitions are known, or its error changed.
    pub(crate) const TOPIC: u32 = 6;
    /// There is room again.
    pub(crate) const ROOM: u32 = 7;
    /// What was accepted before the last flush has its outcome.
    pub(crate) const FLUSHED: u32 = 8;
    /// Failure: something that a person should know.
    pub(crate) const PROBLEM: u32 = 9;
    /// The last entry ever.
    pub(crate) const CLOSED: u32 = 10;
}

/// A list under construction.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<u8>);

impl Words {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Offsets and times: the host reads them as `BigInt`, as a double has only 53 bits.
    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Changes a number that was written before, at this place in bytes.
    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(at..).and_then(|rest| rest.get_mut(..4)) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}
