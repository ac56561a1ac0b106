//! A door for fuzzers to what otherwise is only reached through sockets. No part of the interface.

use std::io;
use std::ops::Range;

use crate::batch::{StoredRecord, decode_records};
use crate::protocol::{Api, api_versions, fetch, list_offsets, metadata};
use crate::reader::each_batch;
use crate::wire::Reader;

/// Reads the body of an answer as the reader does. Whether it could.
pub fn read_answer(api: Api, version: i16, body: &[u8]) -> bool {
    let mut r = Reader::new(body, api.is_flexible(version));
    match api {
        Api::ApiVersions => api_versions::Response::decode_v0(&mut r).is_ok(),
        Api::Metadata => metadata::Response::decode(&mut r, version).is_ok(),
        Api::ListOffsets => list_offsets::Response::decode(&mut r, version).is_ok(),
        Api::Fetch => fetch::Response::decode(&mut r, version).is_ok(),
        _ => false,
    }
}

/// Reads what a fetch brought as the reader does.
///
/// # Errors
/// As the reader has them.
pub fn read_batches(records: &[u8], wanted: Range<i64>) -> io::Result<Vec<StoredRecord>> {
    let mut read = Vec::new();
    each_batch(records, wanted, &mut |header, batch| {
        decode_records(header, batch, |record| read.push(record)).map_err(|_| io::ErrorKind::InvalidData.into())
    })?;
    Ok(read)
}
