//! Records as the host lays them into the staging area.
//!
//! Numbers in little endian: topic (u32), partition (i32, −1: not chosen), timestamp (f64, below 0: none), length of the key
//! (i32, −1: null), length of the value (same), number of headers (u32); then the bytes of key and value; then for each header the
//! length of its name (u32), of its value (i32, −1: null), and the bytes of both.

use alloc::vec::Vec;

use klamm_core::Header;

/// Bytes of a record before its key.
#[cfg(test)]
pub(crate) const FIXED: usize = 28;

/// A record before its headers, which are of unknown number.
#[derive(Debug)]
pub(crate) struct Staged<'s> {
    pub(crate) topic: u32,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'s [u8]>,
    pub(crate) value: Option<&'s [u8]>,
    pub(crate) headers: Vec<Header<'s>>,
}

/// Takes the next record off. `None` if the bytes are not one.
pub(crate) fn take<'s>(rest: &mut &'s [u8]) -> Option<Staged<'s>> {
    let topic = take_u32(rest)?;
    let partition = take_i32(rest)?;
    let timestamp = f64::from_le_bytes(take_array(rest)?);
    let (key, value) = (take_i32(rest)?, take_i32(rest)?);
    let headers = take_u32(rest)?;
    Some(Staged {
        topic,
        partition: (partition >= 0).then_some(partition),
        timestamp: (timestamp >= 0.0).then_some(timestamp as i64),
        key: take_optional(rest, key)?,
        value: take_optional(rest, value)?,
        headers: take_headers(rest, headers)?,
    })
}

fn take_headers<'s>(rest: &mut &'s [u8], count: u32) -> Option<Vec<Header<'s>>> {
    // Nothing is allocated for records without headers, nor ahead of a count that may be wrong.
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = take_u32(rest)?;
        let value = take_i32(rest)?;
        let key = core::str::from_utf8(take_bytes(rest, name as usize)?).ok()?;
        headers.push(Header { key, value: take_optional(rest, value)? });
    }
    Some(headers)
}

fn take_bytes<'s>(rest: &mut &'s [u8], len: usize) -> Option<&'s [u8]> {
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(bytes)
}

/// The outer `None` is an error, the inner one null.
#[allow(clippy::option_option, reason = "both can be missing: the bytes, and by the host's will the value")]
fn take_optional<'s>(rest: &mut &'s [u8], len: i32) -> Option<Option<&'s [u8]>> {
    match usize::try_from(len) {
        Ok(len) => take_bytes(rest, len).map(Some),
        Err(_) => Some(None),
    }
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take_bytes(rest, N)?.try_into().ok()
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take_array(rest).map(u32::from_le_bytes)
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    take_array(rest).map(i32::from_le_bytes)
}
