//! Writing requests into a fixed buffer.
//!
//! A [`Writer`] never fails half-way: what does not fit sets a sticky flag, and [`Writer::finish`] tells. So an
//! encoder is a plain sequence of fields with one check at its end, which is also the smallest code.

use super::varint::{self, uvarint_len};

/// Appends big-endian primitives to a borrowed buffer, remembering whether everything fitted.
pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `buffer`.
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, at: 0, overflow: false }
    }

    /// How many bytes were written, if all of them fitted.
    pub(crate) fn finish(self) -> Option<usize> {
        if self.overflow { None } else { Some(self.at) }
    }

    #[cfg(test)]
    /// How many bytes were written so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Appends bytes as they are.
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let room = self.buffer.get_mut(self.at..).and_then(|rest| rest.get_mut(..bytes.len()));
        match room {
            // Slot by slot instead of `copy_from_slice`, whose length check is a panic.
            Some(room) => {
                for (slot, byte) in room.iter_mut().zip(bytes) {
                    *slot = *byte;
                }
                self.at = self.at.wrapping_add(bytes.len());
            }
            None => self.overflow = true,
        }
    }

    /// One byte.
    pub(crate) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// A boolean: one byte, 0 or 1.
    pub(crate) fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    /// Two bytes.
    pub(crate) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes.
    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// An unsigned varint.
    pub(crate) fn uvarint(&mut self, value: u32) {
        let mut bytes = [0; varint::MAX_LEN];
        let len = varint::uvarint32(value, &mut bytes);
        self.raw(bytes.get(..len).unwrap_or_default());
    }

    /// An element count: `i32`, or the uvarint of `count + 1` in a flexible version (KIP-482).
    pub(crate) fn count(&mut self, flexible: bool, count: u32) {
        if flexible {
            self.uvarint(count.wrapping_add(1));
        } else {
            self.i32(count as i32);
        }
    }

    /// Length-prefixed bytes: `i32`, or uvarint of the length + 1 in a flexible version; `None` is null.
    pub(crate) fn bytes(&mut self, flexible: bool, bytes: Option<&[u8]>) {
        match (bytes, flexible) {
            (None, true) => self.uvarint(0),
            (None, false) => self.i32(-1),
            (Some(bytes), _) => {
                self.count(flexible, bytes.len() as u32);
                self.raw(bytes);
            }
        }
    }

    /// Text with an `i16` length. Longer text than that can say counts as overflow.
    pub(crate) fn string(&mut self, text: &str) {
        match i16::try_from(text.len()) {
            Ok(len) => {
                self.i16(len);
                self.raw(text.as_bytes());
            }
            Err(_) => self.overflow = true,
        }
    }

    /// Text with an `i16` length, −1 for null.
    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    /// Text with the uvarint of its length + 1.
    pub(crate) fn compact_string(&mut self, text: &str) {
        self.bytes(true, Some(text.as_bytes()));
    }

    /// Text with the uvarint of its length + 1, 0 for null.
    pub(crate) fn compact_nullable_string(&mut self, text: Option<&str>) {
        self.bytes(true, text.map(str::as_bytes));
    }

    /// Text in the form that the version asks for.
    pub(crate) fn text(&mut self, flexible: bool, text: Option<&str>) {
        if flexible {
            self.compact_nullable_string(text);
        } else {
            self.nullable_string(text);
        }
    }

    /// An empty tag buffer, which ends every structure of a flexible version (KIP-482).
    pub(crate) fn no_tags(&mut self, flexible: bool) {
        if flexible {
            self.raw(&[0]);
        }
    }

    /// Leaves room for the size of a frame that begins here, at the start of the buffer.
    pub(crate) fn begin_frame(&mut self) {
        self.i32(0);
    }

    /// Completes the frame begun with [`Writer::begin_frame`]: patches its size, returns its whole length.
    pub(crate) fn end_frame(self) -> Option<usize> {
        if self.overflow {
            return None;
        }
        let size = (self.at as u32).wrapping_sub(4);
        let prefix = self.buffer.first_chunk_mut::<4>()?;
        *prefix = size.to_be_bytes();
        Some(self.at)
    }
}

/// Encoded length of an element count.
pub(crate) const fn count_size(flexible: bool, count: u32) -> usize {
    if flexible { uvarint_len(count.wrapping_add(1)) } else { 4 }
}

/// Encoded length of non-null text with its prefix.
pub(crate) const fn text_size(flexible: bool, len: usize) -> usize {
    let prefix = if flexible { uvarint_len((len as u32).wrapping_add(1)) } else { 2 };
    len.wrapping_add(prefix)
}

/// Copies `bytes` so that they end at `buffer[..end]`'s end; returns where they begin, or `None` if they do not fit.
pub(crate) fn write_right_aligned(buffer: &mut [u8], end: usize, bytes: &[u8]) -> Option<usize> {
    let start = end.checked_sub(bytes.len())?;
    for (slot, byte) in buffer.get_mut(start..end)?.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    Some(start)
}

#[cfg(test)]
/// Writes an unsigned varint that ends at `end`; returns where it begins, or `None` if it does not fit.
pub(crate) fn write_uvarint_right_aligned(buffer: &mut [u8], end: usize, value: u32) -> Option<usize> {
    let mut bytes = [0; varint::MAX_LEN];
    let len = varint::uvarint32(value, &mut bytes);
    write_right_aligned(buffer, end, bytes.get(..len).unwrap_or_default())
}
