//! Every record has exactly one outcome and one place.

use std::collections::{BTreeMap, VecDeque};

use klamm::{Delivery, RecordMetadata};

use crate::Result;

/// The offsets of one partition that records were told.
#[derive(Clone, Debug, Default)]
struct Places {
    /// One bit per offset.
    taken: Vec<u64>,
    count: u64,
}

impl Places {
    /// False if the place is taken.
    fn take(&mut self, offset: u64) -> bool {
        let (word, bit) = ((offset / 64) as usize, 1_u64 << (offset % 64));
        if word >= self.taken.len() {
            self.taken.resize(word + 1, 0);
        }
        let free = self.taken[word] & bit == 0;
        self.taken[word] |= bit;
        self.count += u64::from(free);
        free
    }

    /// The first offset beyond all that are taken.
    fn end(&self) -> u64 {
        let last = self.taken.iter().rposition(|word| *word != 0);
        last.map_or(0, |at| (at as u64 + 1) * 64 - u64::from(self.taken[at].leading_zeros()))
    }
}

/// What one sender found out about its records: their outcomes, in the order of its sends.
#[derive(Debug, Default)]
pub struct Ledger {
    open: VecDeque<Delivery>,
    places: BTreeMap<i32, Places>,
    /// The last offset per partition.
    last: BTreeMap<i32, i64>,
    /// Records sent.
    pub sent: u64,
    /// Acknowledged ones.
    pub delivered: u64,
    /// Those that failed.
    pub failed: u64,
    /// The first failure.
    pub first_failure: Option<String>,
}

impl Ledger {
    /// A record was accepted. Looks at outcomes now and then.
    ///
    /// # Errors
    /// An outcome contradicts an earlier one.
    pub fn sent(&mut self, delivery: Delivery) -> Result<()> {
        self.sent += 1;
        self.open.push_back(delivery);
        if self.open.len().is_multiple_of(1_024) { self.take() } else { Ok(()) }
    }

    /// Takes the outcomes that are there.
    ///
    /// # Errors
    /// A record of this sender has an offset before that of an earlier one in its partition, or one that another record has.
    pub fn take(&mut self) -> Result<()> {
        while let Some(outcome) = self.open.front().and_then(Delivery::try_get) {
            self.open.pop_front();
            match outcome {
                Ok(stored) => self.place(&stored)?,
                Err(error) => {
                    self.failed += 1;
                    self.first_failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
        Ok(())
    }

    /// After a flush: nothing may be open.
    ///
    /// # Errors
    /// As [`take`](Self::take), or an outcome is missing.
    pub fn finish(&mut self) -> Result<()> {
        self.take()?;
        match self.open.len() {
            0 => Ok(()),
            open => Err(format!("{open} records have no outcome").into()),
        }
    }

    /// Memory that its book-keeping takes, which grows with the records: one bit each.
    #[must_use]
    pub fn kib(&self) -> u64 {
        self.places.values().map(|places| places.taken.len() as u64 / 128).sum()
    }

    /// Records without an outcome.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.open.len()
    }

    fn place(&mut self, stored: &RecordMetadata) -> Result<()> {
        let RecordMetadata { partition, offset, .. } = *stored;
        self.delivered += 1;
        let last = self.last.insert(partition, offset).unwrap_or(-1);
        if offset <= last {
            return Err(format!("partition {partition}: offset {offset} after {last}").into());
        }
        let place = u64::try_from(offset).map_err(|_| "a record without an offset")?;
        if !self.places.entry(partition).or_default().take(place) {
            return Err(format!("partition {partition}: offset {offset} twice").into());
        }
        Ok(())
    }

    /// Adds another sender's records of the same topic.
    ///
    /// # Errors
    /// Two records were told the same place.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        for (partition, theirs) in other.places {
            let ours = self.places.entry(partition).or_default();
            ours.taken.resize(ours.taken.len().max(theirs.taken.len()), 0);
            for (our, their) in ours.taken.iter_mut().zip(&theirs.taken) {
                if *our & their != 0 {
                    return Err(format!("partition {partition}: an offset twice").into());
                }
                *our |= their;
            }
            ours.count += theirs.count;
        }
        self.open.extend(other.open);
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        Ok(())
    }

    /// Every record is delivered, and their places fill the topic without a gap: nothing is there twice, nothing is missing.
    ///
    /// # Errors
    /// That is not so.
    pub fn complete(&self) -> Result<()> {
        if self.sent != self.delivered || self.failed > 0 || !self.open.is_empty() {
            let why = self.first_failure.as_deref().unwrap_or("");
            let (sent, delivered, failed, open) = (self.sent, self.delivered, self.failed, self.open.len());
            return Err(format!("{sent} sent, {delivered} delivered, {failed} failed, {open} open {why}").into());
        }
        for (partition, places) in &self.places {
            if places.count != places.end() {
                let (count, end) = (places.count, places.end());
                return Err(format!("partition {partition}: {count} records up to offset {end}").into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_gaps_are_seen() {
        let mut places = Places::default();
        assert!(places.take(0) && places.take(1) && places.take(200));
        assert!(!places.take(200));
        assert_eq!((places.count, places.end()), (3, 201));
    }

    #[test]
    fn two_senders_cannot_have_one_place() {
        let ledger = |offsets: &[u64]| {
            let mut places = Places::default();
            assert!(offsets.iter().all(|&offset| places.take(offset)));
            let count = offsets.len() as u64;
            Ledger { places: [(0, places)].into(), sent: count, delivered: count, ..Ledger::default() }
        };
        let mut all = ledger(&[0, 2]);
        all.merge(ledger(&[1, 3])).unwrap();
        all.complete().unwrap();
        assert!(all.merge(ledger(&[2])).is_err());
        assert!(ledger(&[0, 2]).complete().is_err());
    }
}
