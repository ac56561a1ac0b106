//! Every accepted record and its one outcome.

use crate::batch::StoredRecord;
use klamm_core::{Accepted, BatchOutcome, DeliveryError, Fate, Record, TopicId};
use std::collections::BTreeMap;

/// What a record consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, if any.
    pub value: Option<Vec<u8>>,
    /// Header keys and values in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<&Record<'_>> for Content {
    fn from(record: &Record<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Self {
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.iter().map(|header| (header.key.to_owned(), owned(header.value))).collect(),
        }
    }
}

impl From<&StoredRecord> for Content {
    fn from(record: &StoredRecord) -> Self {
        Self { key: record.key.clone(), value: record.value.clone(), headers: record.headers.clone() }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was delivered.
    Delivered {
        /// Where.
        partition: i32,
        /// −1 if the broker did not say.
        offset: i64,
        /// The broker's time, for topics with `LogAppendTime`.
        log_append_time: Option<i64>,
    },
    /// It failed.
    Failed {
        /// Its partition; −1 if none was chosen.
        partition: i32,
        /// Why.
        error: DeliveryError,
        /// Whether it can be in the log all the same.
        fate: Fate,
        /// The broker named this very record as the bad one.
        named: bool,
    },
}

impl Outcome {
    /// Whether the record was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }

    /// The partition; −1 if none was chosen.
    #[must_use]
    pub fn partition(&self) -> i32 {
        match self {
            Self::Delivered { partition, .. } | Self::Failed { partition, .. } => *partition,
        }
    }

    /// The offset, if it was delivered and the broker told it.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        match self {
            Self::Delivered { offset, .. } if *offset >= 0 => Some(*offset),
            _ => None,
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> Option<DeliveryError> {
        match self {
            Self::Delivered { .. } => None,
            Self::Failed { error, .. } => Some(*error),
        }
    }

    /// What is known of it, if it failed.
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        match self {
            Self::Delivered { .. } => None,
            Self::Failed { fate, .. } => Some(*fate),
        }
    }

    /// Whether the record can be in a log.
    pub(crate) fn may_be_written(&self) -> bool {
        self.fate() != Some(Fate::NotWritten)
    }
}

/// One accepted record.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its topic's name.
    pub topic: String,
    /// What it consists of.
    pub content: Content,
    /// What `send` said of it.
    pub accepted: Accepted,
    /// When it was accepted, in microseconds of the world's clock.
    pub accepted_us: u64,
    /// What became of it, once that is known.
    pub outcome: Option<Outcome>,
    /// When that was told.
    pub settled_us: u64,
}

/// All of them, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// The records of each batch by their index.
    batches: BTreeMap<u32, Vec<usize>>,
    topics: BTreeMap<TopicId, String>,
    unsettled: usize,
}

impl Ledger {
    pub(crate) fn know_topic(&mut self, id: TopicId, name: &str) {
        self.topics.insert(id, name.to_owned());
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(crate) fn accept(
        &mut self,
        now_us: u64,
        topic: TopicId,
        record: &Record<'_>,
        accepted: Accepted,
    ) -> Result<usize, String> {
        let position = self.entries.len();
        let batch = self.batches.entry(accepted.id.batch).or_default();
        if batch.len() != accepted.id.index as usize {
            return Err(format!("{:?} is not the next record of its batch, which has {}", accepted.id, batch.len()));
        }
        if accepted.new_batch != batch.is_empty() {
            return Err(format!("new_batch is wrong in {accepted:?}"));
        }
        batch.push(position);
        self.entries.push(Entry {
            topic: self.topics.get(&topic).cloned().unwrap_or_default(),
            content: Content::from(record),
            accepted,
            accepted_us: now_us,
            outcome: None,
            settled_us: 0,
        });
        self.unsettled += 1;
        Ok(position)
    }

    /// Books an outcome. Each record has exactly one.
    pub(crate) fn settle(&mut self, now_us: u64, told: &BatchOutcome) -> Result<(), String> {
        let batch = self.batches.get(&told.batch).ok_or_else(|| format!("no batch {}: {told:?}", told.batch))?;
        let topic = self.topics.get(&told.topic).ok_or_else(|| format!("no such topic: {told:?}"))?;
        if told.count == 0 {
            return Err(format!("an outcome of nothing: {told:?}"));
        }
        for position in 0..told.count {
            let index = told.first_index + position;
            let entry = batch.get(index as usize).ok_or_else(|| format!("no record {index}: {told:?}"))?;
            let entry = &mut self.entries[*entry];
            if let Some(before) = entry.outcome {
                return Err(format!("a second outcome for {:?}: {told:?} after {before:?}", entry.accepted.id));
            }
            if entry.topic != *topic {
                return Err(format!("{told:?} names {topic}, the record went to {}", entry.topic));
            }
            let partition = told.partition;
            entry.outcome = Some(match told.result {
                Ok(delivered) => Outcome::Delivered {
                    partition,
                    offset: delivered.offset(position),
                    log_append_time: delivered.log_append_time,
                },
                Err(failed) => Outcome::Failed {
                    partition,
                    error: failed.error,
                    fate: failed.fate,
                    named: failed.record == Some(position),
                },
            });
            entry.settled_us = now_us;
            self.unsettled -= 1;
        }
        Ok(())
    }
}
