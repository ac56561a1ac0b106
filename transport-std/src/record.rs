//! Records as callers write them down.

use std::borrow::Cow;

pub use klamm_core::Header;

/// One record for one topic, borrowed from the caller for the duration of a send.
///
/// ```
/// use klamm::Record;
///
/// let record = Record::to("payments")
///     .key("customer-17")
///     .value(r#"{"cents":1250}"#)
///     .header("trace", "4bf92f35")
///     .partition(3)
///     .timestamp(1_700_000_000_000);
/// assert_eq!(record.topic(), "payments");
/// ```
///
/// A record without a value is a tombstone: a compacted topic forgets its key. Making a record does
/// not allocate unless [`header`](Self::header) is used; [`headers`](Self::headers) takes a slice.
#[derive(Clone, Debug)]
#[must_use = "a record does nothing until it is sent"]
pub struct Record<'r> {
    topic: &'r str,
    key: Option<&'r [u8]>,
    value: Option<&'r [u8]>,
    headers: Cow<'r, [Header<'r>]>,
    timestamp: Option<i64>,
    partition: Option<i32>,
}

impl<'r> Record<'r> {
    /// An empty record for `topic`.
    pub const fn to(topic: &'r str) -> Self {
        Self { topic, key: None, value: None, headers: Cow::Borrowed(&[]), timestamp: None, partition: None }
    }

    pub(crate) const fn from_parts(
        topic: &'r str,
        key: Option<&'r [u8]>,
        value: Option<&'r [u8]>,
        headers: &'r [Header<'r>],
        timestamp: Option<i64>,
        partition: Option<i32>,
    ) -> Self {
        Self { topic, key, value, headers: Cow::Borrowed(headers), timestamp, partition }
    }

    /// The key. It decides the partition, and what a compacted topic keeps. An empty key is a key.
    #[inline]
    pub fn key<B: AsRef<[u8]> + ?Sized>(mut self, key: &'r B) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// The value. Without one the record is a tombstone.
    #[inline]
    pub fn value<B: AsRef<[u8]> + ?Sized>(mut self, value: &'r B) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Adds a header. Names may repeat; their order is kept. Allocates: see [`headers`](Self::headers).
    pub fn header<B: AsRef<[u8]> + ?Sized>(mut self, name: &'r str, value: &'r B) -> Self {
        self.headers.to_mut().push(Header { key: name, value: Some(value.as_ref()) });
        self
    }

    /// Adds a header without a value.
    pub fn null_header(mut self, name: &'r str) -> Self {
        self.headers.to_mut().push(Header { key: name, value: None });
        self
    }

    /// All headers at once, without allocating; replaces those added before.
    pub fn headers(mut self, headers: &'r [Header<'r>]) -> Self {
        self.headers = Cow::Borrowed(headers);
        self
    }

    /// The partition; without it the configured partitioner chooses.
    #[inline]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Milliseconds since 1970-01-01 UTC; without it the time of the send.
    #[inline]
    pub fn timestamp(mut self, unix_ms: i64) -> Self {
        self.timestamp = Some(unix_ms);
        self
    }

    /// The topic's name.
    #[inline]
    #[must_use]
    pub const fn topic(&self) -> &'r str {
        self.topic
    }

    /// As the core wants it.
    #[inline]
    pub(crate) fn as_core(&self) -> klamm_core::Record<'_> {
        klamm_core::Record {
            key: self.key,
            value: self.value,
            headers: &self.headers,
            timestamp: self.timestamp,
            partition: self.partition,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_the_cores() {
        let name = String::from("n");
        let record =
            Record::to("t").key(&[1u8, 2]).value("v").header(&name, "x").null_header("y").partition(2).timestamp(9);
        let core = record.as_core();
        assert_eq!((core.key, core.value), (Some(&[1u8, 2][..]), Some(&b"v"[..])));
        assert_eq!((core.partition, core.timestamp), (Some(2), Some(9)));
        let headers: Vec<_> = core.headers.iter().map(|header| (header.key, header.value)).collect();
        assert_eq!(headers, [("n", Some(&b"x"[..])), ("y", None)]);
    }

    #[test]
    fn a_borrowed_slice_of_headers_stays_borrowed() {
        let headers = [Header { key: "a", value: None }];
        assert!(matches!(Record::to("t").headers(&headers).headers, Cow::Borrowed(_)));
    }
}
