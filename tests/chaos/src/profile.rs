//! Differently configured producers, and the records that they send: all of a record follows from its producer and its number.

use std::fmt::Write;

use crate::PARTITIONS;
use crate::chance::mix;

/// What decides a record's partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One of [`KEYS`].
    Some,
    /// None: the sticky partitioner chooses.
    Null,
    /// The record names its partition.
    Partition,
}

/// How the program learns of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// From the value that the send returned.
    Deliveries,
    /// From a callback on the producer's I/O thread.
    Callbacks,
}

/// How many keys there are.
pub const KEYS: u64 = 97;

/// A configuration of a producer.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// For people.
    pub name: &'static str,
    /// Beside those that all have.
    pub properties: &'static [(&'static str, &'static str)],
    /// What decides the partition.
    pub key: Key,
    /// How outcomes are told.
    pub outcomes: Outcomes,
}

/// In the order in which they are used; further producers begin anew. Buffers are small, so that memory is full when brokers are away.
pub const PROFILES: [Profile; 6] = [
    Profile {
        name: "plain",
        properties: &[("linger.ms", "0"), ("buffer.memory", "2097152"), ("request.timeout.ms", "5000")],
        key: Key::Some,
        outcomes: Outcomes::Deliveries,
    },
    Profile {
        name: "lz4",
        properties: &[
            ("compression.type", "lz4"),
            ("linger.ms", "20"),
            ("batch.size", "65536"),
            ("buffer.memory", "4194304"),
            ("request.timeout.ms", "8000"),
        ],
        key: Key::Null,
        outcomes: Outcomes::Callbacks,
    },
    Profile {
        name: "tight",
        properties: &[
            ("compression.type", "gzip"),
            ("linger.ms", "20"),
            ("batch.size", "4096"),
            ("buffer.memory", "262144"),
            ("max.block.ms", "2000"),
            ("request.timeout.ms", "3000"),
        ],
        key: Key::Partition,
        outcomes: Outcomes::Deliveries,
    },
    Profile {
        name: "hasty",
        properties: &[
            ("linger.ms", "0"),
            ("batch.size", "1024"),
            ("buffer.memory", "1048576"),
            ("request.timeout.ms", "1000"),
            ("delivery.timeout.ms", "2500"),
        ],
        key: Key::Some,
        outcomes: Outcomes::Callbacks,
    },
    Profile {
        name: "single",
        properties: &[
            ("compression.type", "snappy"),
            ("max.in.flight.requests.per.connection", "1"),
            ("linger.ms", "5"),
            ("buffer.memory", "1048576"),
            ("request.timeout.ms", "4000"),
        ],
        key: Key::Some,
        outcomes: Outcomes::Deliveries,
    },
    Profile {
        name: "tiny",
        properties: &[
            ("linger.ms", "0"),
            ("batch.size", "256"),
            ("buffer.memory", "524288"),
            ("request.timeout.ms", "3000"),
        ],
        key: Key::Null,
        outcomes: Outcomes::Callbacks,
    },
];

/// A record, rebuilt in place for each number.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its key, unless the profile has none.
    pub key: String,
    /// The number, and a filling that compresses somewhat.
    pub value: String,
    /// Headers: the producer and the number, in decimal.
    pub headers: [String; 2],
    /// For profiles that name partitions.
    pub partition: u32,
}

/// Names of the headers.
pub const HEADERS: [&str; 2] = ["producer", "number"];

impl Content {
    /// Becomes this record.
    pub fn make(&mut self, producer: usize, number: u64) {
        self.key.clear();
        self.value.clear();
        self.headers.iter_mut().for_each(String::clear);
        let chance = mix(number ^ (producer as u64) << 48);
        // Writing to a string cannot fail.
        let _ = write!(self.key, "k{}", chance % KEYS);
        let _ = write!(self.value, "{producer}-{number}-");
        for _ in 0..chance % 12 {
            let _ = write!(self.value, "{chance:x}");
        }
        let _ = write!(self.headers[0], "{producer}");
        let _ = write!(self.headers[1], "{number}");
        self.partition = (mix(chance) % u64::from(PARTITIONS)) as u32;
    }
}

/// The producer and the number of a value.
#[must_use]
pub fn identity(value: &str) -> Option<(usize, u64)> {
    let mut parts = value.splitn(3, '-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_whose_it_is() {
        let mut content = Content::default();
        content.make(3, 1_234_567);
        assert_eq!(identity(&content.value), Some((3, 1_234_567)));
        let again = content.value.clone();
        content.make(3, 1);
        content.make(3, 1_234_567);
        assert_eq!(content.value, again);
        assert_eq!(identity("x-1-"), None);
    }
}
