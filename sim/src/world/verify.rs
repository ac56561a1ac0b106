//! What must be true of the logs, whatever happened.

use super::ledger::{Content, Entry, Ledger, Outcome};
use super::options::Checks;
use crate::batch::StoredRecord;
use crate::cluster::Cluster;
use std::collections::{BTreeMap, BTreeSet};

/// Compares the ledger with what the cluster holds; the first thing that is wrong, in words.
pub(crate) fn verify(ledger: &Ledger, cluster: &Cluster, checks: &Checks) -> Result<(), String> {
    let topics: BTreeSet<&str> = ledger.entries().iter().map(|entry| entry.topic.as_str()).collect();
    for topic in topics {
        let entries: Vec<&Entry> = ledger.entries().iter().filter(|entry| entry.topic == topic).collect();
        if checks.fates {
            nothing_else_was_written(topic, &entries, cluster)?;
        }
        for partition in 0..cluster.partition_count(topic) {
            let log = cluster.log(topic, partition);
            if checks.offsets {
                offsets_are_right(topic, partition, &entries, &log)?;
            }
            if checks.once_in_order {
                once_and_in_order(topic, partition, &entries, &log)?;
            }
        }
    }
    Ok(())
}

/// A delivered record is where it was said to be.
fn offsets_are_right(topic: &str, partition: u32, entries: &[&Entry], log: &[StoredRecord]) -> Result<(), String> {
    let by_offset: BTreeMap<i64, &StoredRecord> = log.iter().map(|record| (record.offset, record)).collect();
    for entry in entries {
        let Some(Outcome::Delivered { partition: own, offset, log_append_time }) = entry.outcome else { continue };
        if own != partition as i32 || offset < 0 {
            continue;
        }
        let id = entry.accepted.id;
        let stored = by_offset
            .get(&offset)
            .ok_or_else(|| format!("{topic}-{partition}: nothing at {offset}, where {id:?} was said to be"))?;
        if Content::from(*stored) != entry.content {
            return Err(format!("{topic}-{partition}: {id:?} is not what lies at offset {offset}: {stored:?}"));
        }
        // For a duplicate, brokers tell the batch's largest timestamp here even if the topic keeps the producer's.
        let own = entry.accepted.timestamp;
        let stamped = log_append_time.unwrap_or(own);
        // A retry's append time that equals that is taken for a duplicate's, and not told: nothing tells the two apart.
        let looks_like_duplicate = || {
            let batch = entries.iter().filter(|other| other.accepted.id.batch == id.batch);
            log_append_time.is_none()
                && batch.map(|other| other.accepted.timestamp).any(|time| time == stored.timestamp)
        };
        let wrong = stored.timestamp != stamped && stored.timestamp != own;
        if stamped >= 0 && own >= 0 && wrong && !looks_like_duplicate() {
            return Err(format!("{topic}-{partition}: {id:?} has the time {} instead of {stamped}", stored.timestamp));
        }
    }
    Ok(())
}

/// Every record in the log was accepted, and may have been written.
fn nothing_else_was_written(topic: &str, entries: &[&Entry], cluster: &Cluster) -> Result<(), String> {
    let may = |entry: &&&Entry| entry.outcome.as_ref().is_none_or(Outcome::may_be_written);
    let possible: BTreeSet<&Content> = entries.iter().filter(may).map(|entry| &entry.content).collect();
    for partition in 0..cluster.partition_count(topic) {
        for record in cluster.log(topic, partition) {
            if !possible.contains(&Content::from(&record)) {
                let refused = entries.iter().find(|entry| entry.content == Content::from(&record));
                let why = refused.map_or_else(
                    || "nobody sent it".to_owned(),
                    |entry| format!("{:?} had the outcome {:?}", entry.accepted.id, entry.outcome),
                );
                return Err(format!("{topic}-{partition} holds a record that cannot be there: {why}: {record:?}"));
            }
        }
    }
    Ok(())
}

/// The log is a part of what was accepted for the partition, in that order: no duplicates, nothing reordered.
fn once_and_in_order(topic: &str, partition: u32, entries: &[&Entry], log: &[StoredRecord]) -> Result<(), String> {
    let mut rest = entries.iter().filter(|entry| match &entry.outcome {
        Some(outcome) => outcome.may_be_written() && outcome.partition() == partition as i32,
        None => true, // its partition is not told yet
    });
    for record in log {
        let content = Content::from(record);
        if !rest.any(|entry| entry.content == content) {
            return Err(format!("{topic}-{partition}: a duplicate or out of order: {record:?}"));
        }
    }
    Ok(())
}
