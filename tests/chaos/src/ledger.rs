//! What a producer said of each of its records, in one word of memory each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use klamm::{DeliveryError, Fate, RecordMetadata};

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its number was never used.
    Nothing,
    /// Accepted, or about to be; no outcome yet.
    Open,
    /// Not accepted.
    Refused,
    /// Delivered to a partition, at an offset if the broker said which.
    Delivered {
        /// The partition.
        partition: u32,
        /// The offset.
        offset: Option<u64>,
    },
    /// Failed, certainly not written.
    NotWritten,
    /// Failed, and possibly written.
    Unknown,
}

const STATE_BITS: u32 = 3;
/// Not 0: that way the pages of a new ledger are all in use from the start, and memory that grows is somebody else's.
const NOTHING: u64 = 7;
const OPEN: u64 = 1;
const REFUSED: u64 = 2;
const DELIVERED: u64 = 3;
const NOT_WRITTEN: u64 = 4;
const UNKNOWN: u64 = 5;
/// Bits 4 to 15 are the partition, those above the offset + 1.
const PARTITION_SHIFT: u32 = 4;
const OFFSET_SHIFT: u32 = 16;

fn pack(told: Told) -> u64 {
    match told {
        Told::Nothing => NOTHING,
        Told::Open => OPEN,
        Told::Refused => REFUSED,
        Told::NotWritten => NOT_WRITTEN,
        Told::Unknown => UNKNOWN,
        Told::Delivered { partition, offset } => {
            let offset = offset.map_or(0, |offset| offset + 1);
            DELIVERED | u64::from(partition) << PARTITION_SHIFT | offset << OFFSET_SHIFT
        }
    }
}

fn unpack(word: u64) -> Told {
    match word & ((1 << STATE_BITS) - 1) {
        OPEN => Told::Open,
        REFUSED => Told::Refused,
        NOT_WRITTEN => Told::NotWritten,
        UNKNOWN => Told::Unknown,
        DELIVERED => {
            let partition = (word >> PARTITION_SHIFT & 0xfff) as u32;
            Told::Delivered { partition, offset: (word >> OFFSET_SHIFT).checked_sub(1) }
        }
        _ => Told::Nothing,
    }
}

/// The records of one producer, by their numbers.
#[derive(Debug)]
pub struct Ledger {
    words: Vec<AtomicU64>,
    /// Outcomes for records that had one, or were never accepted.
    again: AtomicU64,
    delivered: AtomicU64,
    /// Causes of failures; a handful, however many records failed of them.
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Ledger {
    /// A ledger for so many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self {
            words: (0..records).map(|_| AtomicU64::new(NOTHING)).collect(),
            again: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failures: Mutex::default(),
        }
    }

    /// For how many records there is room.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.words.len() as u64
    }

    /// The next record is about to be sent: its outcome may come before the call returns.
    pub fn open(&self, number: u64) {
        self.words[number as usize].store(OPEN, Ordering::Release);
    }

    /// It was not accepted.
    pub fn refused(&self, number: u64) {
        self.end(number, Told::Refused);
    }

    /// Its outcome came.
    pub fn outcome(&self, number: u64, outcome: &Result<RecordMetadata, DeliveryError>) {
        let told = match outcome {
            Ok(place) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                let partition = u32::try_from(place.partition).unwrap_or(u32::MAX) & 0xfff;
                Told::Delivered { partition, offset: u64::try_from(place.offset).ok() }
            }
            Err(error) => {
                let cause = format!("{:?}, fate {:?}", error.kind, error.fate);
                *self.failures.lock().unwrap_or_else(PoisonError::into_inner).entry(cause).or_default() += 1;
                if error.fate == Fate::NotWritten { Told::NotWritten } else { Told::Unknown }
            }
        };
        self.end(number, told);
    }

    fn end(&self, number: u64, told: Told) {
        if self.words[number as usize].swap(pack(told), Ordering::AcqRel) != OPEN {
            self.again.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(crate) fn set(&self, number: u64, told: Told) {
        if told != Told::Open {
            self.end(number, told);
        }
    }

    /// What is known of a record; nothing of numbers beyond the last.
    #[must_use]
    pub fn told(&self, number: u64) -> Told {
        let word = usize::try_from(number).ok().and_then(|at| self.words.get(at));
        word.map_or(Told::Nothing, |word| unpack(word.load(Ordering::Acquire)))
    }

    /// Records delivered so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records that got a second outcome.
    #[must_use]
    pub fn again(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    /// Failed records by cause.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_everything() {
        for told in [
            Told::Nothing,
            Told::Open,
            Told::Refused,
            Told::NotWritten,
            Told::Unknown,
            Told::Delivered { partition: 0, offset: Some(0) },
            Told::Delivered { partition: 4095, offset: Some((1 << 48) - 2) },
            Told::Delivered { partition: 11, offset: None },
        ] {
            assert_eq!(unpack(pack(told)), told);
        }
    }

    #[test]
    fn a_second_outcome_is_counted() {
        let ledger = Ledger::new(2);
        ledger.open(0);
        ledger.refused(0);
        assert_eq!((ledger.told(0), ledger.told(1), ledger.told(2)), (Told::Refused, Told::Nothing, Told::Nothing));
        assert_eq!(ledger.again(), 0);
        ledger.refused(0);
        assert_eq!(ledger.again(), 1);
    }
}
