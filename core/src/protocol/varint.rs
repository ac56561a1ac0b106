//! Variable-length integers, as records and flexible messages use them.
//!
//! *Unsigned varints* (seven bits a byte, least significant first) are lengths and counts of flexible
//! messages (KIP-482). *Zigzag* varints and varlongs are the numbers inside a record (KIP-98).

/// Room for the longest encoding, that of a 64-bit value.
pub(crate) const MAX_LEN: usize = 10;

/// Maps small negative numbers to small unsigned ones: 0, −1, 1, −2 … become 0, 1, 2, 3 ….
pub(crate) const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// [`zigzag32`] for 64 bits.
pub(crate) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Encoded length of an unsigned varint: 1 to 5.
pub(crate) const fn uvarint_len(value: u32) -> usize {
    len_of_bits(32u32.wrapping_sub((value | 1).leading_zeros()))
}

/// Encoded length of an unsigned varlong: 1 to 10.
pub(crate) const fn uvarlong_len(value: u64) -> usize {
    len_of_bits(64u32.wrapping_sub((value | 1).leading_zeros()))
}

/// Encoded length of a zigzag varint: 1 to 5.
pub(crate) const fn varint_len(value: i32) -> usize {
    uvarint_len(zigzag32(value))
}

/// Encoded length of a zigzag varlong: 1 to 10.
pub(crate) const fn varlong_len(value: i64) -> usize {
    uvarlong_len(zigzag64(value))
}

/// `ceil(bits / 7)` for 1..=64 bits, without the division that small cores lack.
const fn len_of_bits(bits: u32) -> usize {
    (bits.wrapping_mul(9).wrapping_add(64) >> 6) as usize
}

/// Encodes an unsigned varint at the front of `out`; returns its length.
pub(crate) fn uvarint32(mut value: u32, out: &mut [u8; MAX_LEN]) -> usize {
    let mut len = 0usize;
    for slot in out {
        len = len.wrapping_add(1);
        if value < 0x80 {
            *slot = value as u8;
            break;
        }
        *slot = value as u8 | 0x80;
        value >>= 7;
    }
    len
}

/// Encodes an unsigned varlong at the front of `out`; returns its length.
///
/// Not shared with [`uvarint32`]: 64-bit shifts are several instructions each on a 32-bit core.
pub(crate) fn uvarint64(mut value: u64, out: &mut [u8; MAX_LEN]) -> usize {
    let mut len = 0usize;
    for slot in out {
        len = len.wrapping_add(1);
        if value < 0x80 {
            *slot = value as u8;
            break;
        }
        *slot = value as u8 | 0x80;
        value >>= 7;
    }
    len
}

/// Encodes a zigzag varint at the front of `out`; returns its length.
pub(crate) fn varint(value: i32, out: &mut [u8; MAX_LEN]) -> usize {
    uvarint32(zigzag32(value), out)
}

/// Encodes a zigzag varlong at the front of `out`; returns its length.
pub(crate) fn varlong(value: i64, out: &mut [u8; MAX_LEN]) -> usize {
    uvarint64(zigzag64(value), out)
}

/// Reads an unsigned varint from the front of `bytes`: its value and how many bytes it took.
///
/// `None` when `bytes` ends too early, or when the encoding is longer than 5 bytes or overflows 32 bits.
pub(crate) fn decode_uvarint32(bytes: &[u8]) -> Option<(u32, usize)> {
    let (value, used) = decode_uvarint64(bytes.get(..5).unwrap_or(bytes))?;
    Some((u32::try_from(value).ok()?, used))
}

/// Reads an unsigned varlong from the front of `bytes`; `None` as in [`decode_uvarint32`], with 10 bytes and 64 bits.
pub(crate) fn decode_uvarint64(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    let mut shift = 0u32;
    for (index, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if shift == 63 && group > 1 {
            return None;
        }
        value |= group.wrapping_shl(shift);
        if byte < 0x80 {
            return Some((value, index.wrapping_add(1)));
        }
        shift = shift.wrapping_add(7);
    }
    None
}

/// Reads a zigzag varint from the front of `bytes`.
pub(crate) fn decode_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    let (value, used) = decode_uvarint32(bytes)?;
    Some(((value >> 1) as i32 ^ 0i32.wrapping_sub((value & 1) as i32), used))
}

/// Reads a zigzag varlong from the front of `bytes`.
pub(crate) fn decode_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    let (value, used) = decode_uvarint64(bytes)?;
    Some(((value >> 1) as i64 ^ 0i64.wrapping_sub((value & 1) as i64), used))
}
