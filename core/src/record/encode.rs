//! One record's wire form (record batch v2): sizes, and writing it in place.

use super::Record;
use crate::protocol::varint;

/// What a record's length, attributes, timestamp delta and offset delta can take at most.
pub(crate) const PREFIX_MAX: u32 = 21;

/// Takes the bytes of a record, in order.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);
}

/// Writes into a slice that has the record's exact size.
pub(crate) struct PutSlice<'b> {
    rest: &'b mut [u8],
}

impl<'b> PutSlice<'b> {
    pub(crate) fn new(rest: &'b mut [u8]) -> Self {
        Self { rest }
    }
}

impl Put for PutSlice<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        if let Some((to, rest)) = rest.split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            self.rest = rest;
        } else {
            debug_assert!(false, "record larger than computed");
        }
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> Option<u32> {
    let Some(bytes) = bytes else { return Some(1) };
    let len = i32::try_from(bytes.len()).ok()?;
    (varint::varint_len(len) as u32).checked_add(len as u32)
}

/// The size of key, value and headers with their lengths; `None` if it overflows.
#[inline]
pub(crate) fn payload_size(record: &Record<'_>) -> Option<u32> {
    let size = nullable_size(record.key)?.checked_add(nullable_size(record.value)?)?;
    if record.headers.is_empty() { size.checked_add(1) } else { size.checked_add(headers_size(record)?) }
}

#[cold]
fn headers_size(record: &Record<'_>) -> Option<u32> {
    let count = i32::try_from(record.headers.len()).ok()?;
    record.headers.iter().try_fold(varint::varint_len(count) as u32, |size, header| {
        size.checked_add(nullable_size(Some(header.key.as_bytes()))?)?.checked_add(nullable_size(header.value)?)
    })
}

/// A record's place in its batch.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
}

/// The length that the record's first varint says, and the whole record's size.
#[inline]
pub(crate) fn record_size(payload: u32, place: Place) -> (i32, u32) {
    let deltas = varint::varlong_len(place.timestamp_delta).wrapping_add(varint::varint_len(place.offset_delta));
    let body = payload.saturating_add(1).saturating_add(deltas as u32);
    // `payload` was checked against max.request.size, so a body never exceeds i32.
    (body as i32, body.saturating_add(varint::varint_len(body as i32) as u32))
}

/// A few varints in a row, so that they are copied at once.
struct Prefix {
    bytes: [u8; 32],
    len: usize,
}

impl Prefix {
    const fn new() -> Self {
        Self { bytes: [0; 32], len: 0 }
    }

    fn varint(&mut self, value: i32) {
        let mut bytes = [0; varint::MAX_LEN];
        let len = varint::varint(value, &mut bytes);
        bytes.iter().take(len).for_each(|&byte| self.byte(byte));
    }

    fn varlong(&mut self, value: i64) {
        let mut bytes = [0; varint::MAX_LEN];
        let len = varint::varlong(value, &mut bytes);
        bytes.iter().take(len).for_each(|&byte| self.byte(byte));
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.len) {
            *to = byte;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn nullable_len(&mut self, bytes: Option<&[u8]>) {
        self.varint(bytes.map_or(-1, |bytes| bytes.len() as i32));
    }

    #[inline]
    fn put(&self, out: &mut impl Put) {
        out.put(self.bytes.get(..self.len).unwrap_or(&[]));
    }
}

/// Writes the record; `body` is the first of [`record_size`]'s results.
#[inline]
pub(crate) fn write_record(out: &mut impl Put, record: &Record<'_>, body: i32, place: Place) {
    write_prefix(out, body, place, |prefix| prefix.nullable_len(record.key));
    if let Some(key) = record.key {
        out.put(key);
    }
    let mut lengths = Prefix::new();
    lengths.nullable_len(record.value);
    lengths.put(out);
    if let Some(value) = record.value {
        out.put(value);
    }
    if record.headers.is_empty() { out.put(&[0]) } else { write_headers(out, record) }
}

/// Writes what stands before a record's payload; splitting writes it anew.
#[inline]
pub(crate) fn write_record_prefix(out: &mut impl Put, body: i32, place: Place) {
    write_prefix(out, body, place, |_| ());
}

#[inline]
fn write_prefix(out: &mut impl Put, body: i32, place: Place, more: impl FnOnce(&mut Prefix)) {
    let mut prefix = Prefix::new();
    prefix.varint(body);
    prefix.byte(0); // attributes: none are defined
    prefix.varlong(place.timestamp_delta);
    prefix.varint(place.offset_delta);
    more(&mut prefix);
    prefix.put(out);
}

#[cold]
fn write_headers(out: &mut impl Put, record: &Record<'_>) {
    let mut count = Prefix::new();
    count.varint(record.headers.len() as i32);
    count.put(out);
    for header in record.headers {
        let mut lengths = Prefix::new();
        lengths.nullable_len(Some(header.key.as_bytes()));
        lengths.put(out);
        out.put(header.key.as_bytes());
        let mut lengths = Prefix::new();
        lengths.nullable_len(header.value);
        lengths.put(out);
        out.put(header.value.unwrap_or(&[]));
    }
}
