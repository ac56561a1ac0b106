//! Records and their wire form: record batch v2 (magic 2), written once, in place.

pub(crate) mod batch;
#[allow(clippy::indexing_slicing, reason = "tables are built while compiling, and indices masked to their size")]
pub mod crc32c;
pub(crate) mod encode;
#[cfg(feature = "fast")]
pub(crate) mod plain;

#[cfg(all(test, feature = "alloc"))]
mod tests;

/// One record, borrowed from the caller for the duration of a `send`.
///
/// Nothing is copied before [`Producer::send`](crate::Producer::send) writes the record, in its
/// final wire form, into the arena.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'r> {
    /// The key, or `None`. An empty key is a key: it is hashed, and it satisfies compacted topics.
    pub key: Option<&'r [u8]>,
    /// The value, or `None` for a tombstone.
    pub value: Option<&'r [u8]>,
    /// Headers in order; names may repeat.
    pub headers: &'r [Header<'r>],
    /// Milliseconds since 1970-01-01 UTC, never negative; `None` takes the wall clock (see
    /// [`Producer::set_wall_clock`](crate::Producer::set_wall_clock)).
    pub timestamp: Option<i64>,
    /// A partition chosen by the caller, or `None` for the configured partitioner.
    pub partition: Option<i32>,
}

/// One record header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'r> {
    /// The name; may be empty, may repeat.
    pub key: &'r str,
    /// The value, or `None`.
    pub value: Option<&'r [u8]>,
}

impl<'r> Record<'r> {
    /// A record with a value and no key.
    #[must_use]
    pub const fn value(value: &'r [u8]) -> Self {
        Self { key: None, value: Some(value), headers: &[], timestamp: None, partition: None }
    }

    /// A record with a key and a value.
    #[must_use]
    pub const fn keyed(key: &'r [u8], value: &'r [u8]) -> Self {
        Self { key: Some(key), value: Some(value), headers: &[], timestamp: None, partition: None }
    }

    /// The same record with `headers`.
    #[must_use]
    pub const fn with_headers(mut self, headers: &'r [Header<'r>]) -> Self {
        self.headers = headers;
        self
    }

    /// The same record at `unix_ms` milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn at(mut self, unix_ms: i64) -> Self {
        self.timestamp = Some(unix_ms);
        self
    }

    /// The same record for `partition`.
    #[must_use]
    pub const fn to_partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}
