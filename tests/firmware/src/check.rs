//! Whether what a topic holds is what the firmware's sensors measured: each reading once, in order in each partition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use klamm_firmware_app::sensor::Reading;

use crate::Result;

/// A record as somebody read it back.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a topic holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) stored: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// Readings behind a later one in their partition.
    pub(crate) reordered: usize,
    /// Records that are no reading, or a damaged one.
    pub(crate) wrong: usize,
    pub(crate) partitions: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, lost, doubled, reordered, wrong, partitions } = self;
        write!(
            f,
            "{stored} readings in {partitions} partitions: {lost} lost, {doubled} doubled, {reordered} out of order"
        )?;
        if *wrong > 0 { write!(f, ", {wrong} not as measured") } else { Ok(()) }
    }
}

/// Who hands readings to the producer: what one sender has sent stays in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Senders {
    /// One for all.
    One,
    /// A task for those with a key, and one for those without.
    ByKind,
}

/// Compares a topic's records, in the order of their offsets in each partition, with the first `count` readings.
pub(crate) fn check(records: &[Stored], count: u32, bytes: u32, senders: Senders) -> Verdict {
    let mut seen = vec![0u32; count as usize];
    let mut last = BTreeMap::new();
    let mut verdict = Verdict { stored: records.len(), ..Verdict::default() };
    for record in records {
        let Some(number) = number(record).filter(|number| *number < count && is_reading(record, *number, bytes)) else {
            verdict.wrong += 1;
            continue;
        };
        seen[number as usize] += 1;
        let sender = senders == Senders::ByKind && record.key.is_some();
        let before = last.insert((record.partition, sender), number);
        verdict.reordered += usize::from(before.is_some_and(|before| before >= number));
    }
    verdict.lost = seen.iter().filter(|times| **times == 0).count();
    verdict.doubled = seen.iter().filter(|times| **times > 1).count();
    verdict.partitions = last.keys().map(|(partition, _)| partition).collect::<BTreeSet<_>>().len();
    verdict
}

impl Verdict {
    /// All is well, or what is not.
    pub(crate) fn require(self) -> Result<Self> {
        let is_good = self.lost + self.doubled + self.reordered + self.wrong == 0;
        if is_good { Ok(self) } else { Err(self.to_string()) }
    }
}

fn number(record: &Stored) -> Option<u32> {
    let value = std::str::from_utf8(record.value.as_deref()?).ok()?;
    value.strip_prefix("{\"n\":")?.split_once(',')?.0.parse().ok()
}

fn is_reading(record: &Stored, number: u32, bytes: u32) -> bool {
    let reading = Reading::new(number, bytes as usize);
    let headers = [("unit".to_owned(), Some(reading.unit.as_bytes().to_vec()))];
    record.key.as_deref() == reading.key.map(str::as_bytes)
        && record.value.as_deref() == Some(reading.value())
        && record.headers == headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(partition: i32, number: u32) -> Stored {
        let reading = Reading::new(number, 100);
        Stored {
            partition,
            key: reading.key.map(|key| key.as_bytes().to_vec()),
            value: Some(reading.value().to_vec()),
            headers: vec![("unit".into(), Some(reading.unit.as_bytes().to_vec()))],
        }
    }

    #[test]
    fn what_is_as_it_should_be_passes() {
        let records = [stored(0, 0), stored(1, 1), stored(0, 2)];
        assert!(check(&records, 3, 100, Senders::One).require().is_ok());
    }

    #[test]
    fn everything_that_can_be_wrong_is_seen() {
        let mut damaged = stored(0, 3);
        damaged.key = Some(b"elsewhere".to_vec());
        let records = [stored(0, 1), stored(0, 0), stored(1, 2), stored(1, 2), damaged];
        let verdict = check(&records, 4, 100, Senders::One);
        assert_eq!(verdict, Verdict { stored: 5, lost: 1, doubled: 1, reordered: 2, wrong: 1, partitions: 2 });
        assert!(verdict.require().is_err());
    }

    #[test]
    fn each_sender_has_an_order_of_its_own() {
        // Number 0 is a vibration, 8 and 9 are temperatures.
        let between = [stored(0, 8), stored(0, 0), stored(0, 9)];
        assert_eq!(check(&between, 10, 100, Senders::ByKind).reordered, 0);
        assert_eq!(check(&between, 10, 100, Senders::One).reordered, 1);
        let swapped = [stored(0, 9), stored(0, 0), stored(0, 8)];
        assert_eq!(check(&swapped, 10, 100, Senders::ByKind).reordered, 1);
    }
}
