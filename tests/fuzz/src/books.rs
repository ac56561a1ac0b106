//! Which records were accepted, and what was told of them.

use std::collections::BTreeMap;

use klamm_core::{Accepted, BatchOutcome, TopicId};

/// A batch of which not all outcomes are known.
#[derive(Debug)]
struct Open {
    topic: TopicId,
    /// When its first record was accepted, in microseconds.
    since_us: u64,
    /// Per record: whether its outcome was told.
    told: Vec<bool>,
    left: usize,
}

/// Every accepted record without an outcome.
#[derive(Debug, Default)]
pub(crate) struct Books {
    open: BTreeMap<u32, Open>,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
}

impl Books {
    /// Books a record; its id must be the next one of its batch.
    pub(crate) fn accept(&mut self, now_us: u64, topic: TopicId, accepted: Accepted) {
        let fresh = || Open { topic, since_us: now_us, told: Vec::new(), left: 0 };
        let batch = self.open.entry(accepted.id.batch).or_insert_with(fresh);
        assert_eq!(accepted.id.index as usize, batch.told.len(), "not the next record of its batch");
        assert_eq!(accepted.new_batch, batch.told.is_empty(), "new_batch is wrong");
        assert_eq!(batch.topic, topic, "a batch of two topics");
        batch.told.push(false);
        batch.left += 1;
        self.accepted += 1;
    }

    /// Books an outcome: of accepted records, which had none.
    pub(crate) fn settle(&mut self, told: &BatchOutcome) {
        let batch = self.open.get_mut(&told.batch);
        let batch = batch.unwrap_or_else(|| panic!("a batch that is not open: {told:?}"));
        assert!(told.count > 0, "an outcome of nothing: {told:?}");
        assert_eq!(batch.topic, told.topic, "another topic");
        let first = told.first_index as usize;
        let records = batch.told.get_mut(first..first + told.count as usize);
        for record in records.unwrap_or_else(|| panic!("records that were never accepted: {told:?}")) {
            assert!(!std::mem::replace(record, true), "a second outcome: {told:?}");
            batch.left -= 1;
        }
        if batch.left == 0 {
            self.open.remove(&told.batch);
        }
        match told.result {
            Ok(_) => self.delivered += u64::from(told.count),
            Err(failed) => {
                self.failed += u64::from(told.count);
                assert!(failed.record.is_none_or(|record| record < told.count), "{told:?}");
            }
        }
    }

    /// Whether every record has its outcome.
    pub(crate) fn all_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// When the oldest record without outcome was accepted. Batches are numbered as they are made.
    pub(crate) fn oldest_us(&self) -> Option<u64> {
        self.open.values().next().map(|batch| batch.since_us)
    }
}
