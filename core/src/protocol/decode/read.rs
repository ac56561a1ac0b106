//! Primitives, resumable at every byte: what the input splits waits in the scratch.

use super::super::varint;
use super::{DecodeError, Decoder, Stop};

impl Decoder {
    /// Up to `want` bytes of the input, counted against the bound. All of them, unless the input ends before.
    pub(super) fn take<'i>(&mut self, input: &mut &'i [u8], want: u32) -> Result<&'i [u8], Stop> {
        if want > self.bound {
            return Err(DecodeError::Truncated.into());
        }
        let len = input.len().min(want as usize);
        let (taken, rest) = input.split_at_checked(len).unwrap_or((*input, &[]));
        *input = rest;
        self.bound = self.bound.wrapping_sub(len as u32);
        Ok(taken)
    }

    /// As much as there is of the `pending` bytes.
    pub(super) fn take_pending<'i>(&mut self, input: &mut &'i [u8]) -> Result<&'i [u8], Stop> {
        let taken = self.take(input, self.pending)?;
        self.pending = self.pending.wrapping_sub(taken.len() as u32);
        Ok(taken)
    }

    /// Completes `width` bytes in the scratch.
    pub(super) fn gather(&mut self, input: &mut &[u8], width: u8) -> Result<(), Stop> {
        let missing = width.saturating_sub(self.have);
        let taken = self.take(input, u32::from(missing))?;
        for (slot, byte) in self.scratch.iter_mut().skip(usize::from(self.have)).zip(taken) {
            *slot = *byte;
        }
        self.have = self.have.wrapping_add(taken.len() as u8);
        if self.have < width {
            return Err(Stop::NeedMore);
        }
        self.have = 0;
        Ok(())
    }

    /// A big-endian signed integer of 1 to 8 bytes.
    pub(super) fn int(&mut self, input: &mut &[u8], width: u8) -> Result<i64, Stop> {
        if self.have == 0 && input.len() >= usize::from(width) {
            return Ok(big_endian(self.take(input, width.into())?)); // whole, as it nearly always is
        }
        self.gather(input, width)?;
        Ok(big_endian(self.scratch.get(..usize::from(width)).unwrap_or(&[])))
    }

    /// An unsigned varint of at most 5 bytes and 32 bits.
    pub(super) fn uvarint(&mut self, input: &mut &[u8]) -> Result<u32, Stop> {
        loop {
            let &[byte] = self.take(input, 1)? else {
                return Err(Stop::NeedMore);
            };
            let at = usize::from(self.have);
            if at == 0 && byte < 0x80 {
                return Ok(byte.into());
            }
            if let Some(slot) = self.scratch.get_mut(at) {
                *slot = byte;
            }
            self.have = self.have.wrapping_add(1);
            if byte < 0x80 {
                self.have = 0;
                let (value, _) = varint::decode_uvarint32(&self.scratch).ok_or(DecodeError::Varint)?;
                return Ok(value);
            }
            if self.have >= 5 {
                return Err(DecodeError::Varint.into());
            }
        }
    }

    /// The flexible form of a length or count: one more than it, 0 for null.
    pub(super) fn compact(&mut self, input: &mut &[u8]) -> Result<Option<u32>, Stop> {
        Ok(self.uvarint(input)?.checked_sub(1))
    }

    /// A count of elements of at least `least` bytes each; null counts as none.
    pub(super) fn count(&mut self, input: &mut &[u8], least: u8) -> Result<u32, Stop> {
        let count = if self.flexible { self.compact(input)? } else { nullable(self.int(input, 4)?)? };
        let count = count.unwrap_or(0);
        match count.checked_mul(u32::from(least)) {
            Some(bytes) if bytes <= self.bound => Ok(count),
            _ => Err(DecodeError::Count.into()),
        }
    }
}

fn big_endian(bytes: &[u8]) -> i64 {
    let sign = bytes.first().map_or(0, |&byte| i64::from(byte as i8 >> 7));
    bytes.iter().fold(sign, |value, &byte| value.wrapping_shl(8) | i64::from(byte))
}

/// The inflexible form of a length or count: −1 is null, less is nonsense.
pub(super) fn nullable(value: i64) -> Result<Option<u32>, Stop> {
    match value {
        -1 => Ok(None),
        0.. => Ok(Some(value as u32)),
        _ => Err(DecodeError::Length.into()),
    }
}
