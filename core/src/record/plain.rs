//! The wire form of the usual record, in few instructions: no headers, a key of less than 64 bytes,
//! all in all less than 8 KiB, so that every varint has one byte or two.
//!
//! [`encode`](super::encode) writes the same bytes for any record.

use super::Record;
use super::encode::Put;

/// Below this, two bytes hold a zigzag varint.
const TWO_BYTES: u64 = 1 << 14;
/// Key and value together. With what stands around them a body stays below 2^13.
const BYTES_MAX: usize = (1 << 13) - 32;
const KEY_MAX: usize = 64;

/// Such a record, measured for its place in a batch. With or without a key is known when compiling:
/// the usual record has few registers to spare.
pub(crate) struct Plain<'r, const KEYED: bool> {
    key: &'r [u8],
    value: &'r [u8],
    /// What stands before the key, its length included, least significant byte first.
    prefix: u64,
    /// 5 to 8.
    prefix_len: u32,
    value_len: Varint,
    pub(crate) size: u32,
}

/// A number below [`TWO_BYTES`] as a varint in a register, least significant byte first.
#[derive(Clone, Copy)]
struct Varint {
    bytes: u32,
    /// How many bytes more than one, 0 or 1.
    more: u32,
}

impl Varint {
    #[inline]
    const fn new(number: u32) -> Self {
        if number < 0x80 {
            Self { bytes: number, more: 0 }
        } else {
            // The high bits move one up, and the low byte says that they follow.
            Self { bytes: number.wrapping_add(number & 0x3f80).wrapping_add(0x80), more: 1 }
        }
    }

    /// This varint with `behind` behind it.
    #[inline]
    const fn before(self, behind: u64) -> u64 {
        behind.wrapping_shl(self.more.wrapping_mul(8).wrapping_add(8)) | self.bytes as u64
    }
}

impl<'r, const KEYED: bool> Plain<'r, KEYED> {
    /// `None` if the record is not of this kind; whether it has a key is for the caller to see.
    #[inline(always)] // else the fields go through memory
    pub(crate) fn new(record: &Record<'r>, timestamp_delta: i64, offset_delta: u32) -> Option<Self> {
        let key: &[u8] = if KEYED { record.key? } else { &[] };
        let value = record.value?;
        let timestamp = crate::protocol::varint::zigzag64(timestamp_delta);
        let offset = u64::from(offset_delta) << 1;
        // Slices are at most half the address space each.
        let bytes = key.len().wrapping_add(value.len());
        if key.len() >= KEY_MAX || bytes >= BYTES_MAX || (timestamp | offset) >= TWO_BYTES || !record.headers.is_empty()
        {
            return None;
        }
        let (timestamp, offset) = (Varint::new(timestamp as u32), Varint::new(offset as u32));
        let value_len = Varint::new((value.len() as u32) << 1);
        // −1, which is 1 in zigzag, where there is no key.
        let key_len = if KEYED { (key.len() as u64) << 1 } else { 1 };
        let more = timestamp.more.wrapping_add(offset.more);
        // One byte each for attributes, both deltas, both lengths and the count of headers.
        let body = (bytes as u32).wrapping_add(6).wrapping_add(more).wrapping_add(value_len.more);
        let body_len = Varint::new(body << 1);
        let attributes = timestamp.before(offset.before(key_len)) << 8; // none are defined
        Some(Self {
            key,
            value,
            prefix: body_len.before(attributes),
            prefix_len: more.wrapping_add(body_len.more).wrapping_add(5),
            value_len,
            size: body.wrapping_add(body_len.more).wrapping_add(1),
        })
    }

    /// Writes the record into `room`, which has its exact size. `None` if that is less than eight
    /// bytes: the prefix is stored whole, and what is too much of it overwritten.
    #[inline(always)] // else the fields go through memory
    pub(crate) fn write(&self, room: &mut [u8]) -> Option<()> {
        *room.first_chunk_mut()? = self.prefix.to_le_bytes();
        let mut room = room.get_mut(self.prefix_len as usize..)?;
        if KEYED {
            let (key, rest) = room.split_at_mut_checked(self.key.len())?;
            key.copy_from_slice(self.key);
            room = rest;
        }
        // Two bytes of length; where one is enough, the value or the count of headers goes over it.
        *room.first_chunk_mut()? = (self.value_len.bytes as u16).to_le_bytes();
        let room = room.get_mut(1usize.wrapping_add(self.value_len.more as usize)..)?;
        let (value, headers) = room.split_at_mut_checked(self.value.len())?;
        value.copy_from_slice(self.value);
        *headers.first_mut()? = 0;
        Some(())
    }

    /// Writes the record piece by piece.
    pub(crate) fn put(&self, out: &mut impl Put) {
        out.put(self.prefix.to_le_bytes().get(..self.prefix_len as usize).unwrap_or(&[]));
        if KEYED {
            out.put(self.key);
        }
        let len = (self.value_len.bytes as u16).to_le_bytes();
        out.put(len.get(..1usize.wrapping_add(self.value_len.more as usize)).unwrap_or(&[]));
        out.put(self.value);
        out.put(&[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{self, Place, PutSlice};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Writes at once and piece by piece.
    fn both_ways<const KEYED: bool>(plain: Option<Plain<'_, KEYED>>, to: &mut [u8]) -> Option<(u32, Option<()>)> {
        let plain = plain?;
        let at_once = plain.write(to);
        let mut pieces = vec![0; plain.size as usize];
        plain.put(&mut PutSlice::new(&mut pieces));
        assert!(at_once.is_none() || pieces == to);
        Some((plain.size, at_once))
    }

    /// The same bytes as the encoder for all records.
    #[test]
    fn equals_the_general_form() {
        let text: Vec<u8> = (0..9_000u32).map(|at| at as u8).collect();
        let lengths = [0, 1, 2, 7, 55, 62, 63, 64, 65, 127, 128, 8_100, 8_159, 8_160, 8_300].map(Some);
        let mut plain_ones = 0;
        for key in [None, Some(0), Some(1), Some(9), Some(63), Some(64), Some(200)] {
            for value in lengths.into_iter().chain([None]) {
                for timestamp_delta in [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, -8_192, -8_193, i64::MAX, i64::MIN] {
                    for offset_delta in [0, 63, 64, 8_191, 8_192, i32::MAX] {
                        let field = |len: Option<usize>| len.map(|len| &text[..len]);
                        let record = Record { key: field(key), value: field(value), ..Record::default() };
                        let payload = encode::payload_size(&record).unwrap();
                        let place = Place { timestamp_delta, offset_delta };
                        let (body, size) = encode::record_size(payload, place);
                        let mut expected = vec![0xee; size as usize];
                        encode::write_record(&mut PutSlice::new(&mut expected), &record, body, place);
                        let mut written = vec![0xdd; size as usize];
                        let offset_delta = offset_delta as u32;
                        let result = if key.is_some() {
                            both_ways(Plain::<true>::new(&record, timestamp_delta, offset_delta), &mut written)
                        } else {
                            both_ways(Plain::<false>::new(&record, timestamp_delta, offset_delta), &mut written)
                        };
                        let Some((measured, result)) = result else { continue };
                        assert_eq!(measured, size);
                        if result.is_some() {
                            assert_eq!(written, expected);
                            plain_ones += 1;
                        } else {
                            assert!(size < 8);
                        }
                    }
                }
            }
        }
        assert!(plain_ones > 1_000, "{plain_ones}");
    }

    #[test]
    fn others_are_left_to_the_general_form() {
        let headers = [crate::Header { key: "", value: None }];
        assert!(Plain::<false>::new(&Record::value(b"v").with_headers(&headers), 0, 0).is_none());
        assert!(Plain::<true>::new(&Record::keyed(&[0; 64], b"v"), 0, 0).is_none());
        assert!(Plain::<false>::new(&Record::value(&[0; BYTES_MAX]), 0, 0).is_none());
    }
}
