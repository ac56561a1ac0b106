//! What must be true of the logs, whatever happened.

use super::ledger::{Content, Entry, Ledger, Outcome, Stranger};
use super::options::Checks;
use crate::batch::StoredRecord;
use crate::cluster::Cluster;
use klamm_core::Fate;
use std::collections::{BTreeMap, BTreeSet};

/// Compares the ledger with what the cluster holds; the first thing that is wrong, in words.
pub(crate) fn verify(ledger: &Ledger, cluster: &Cluster, checks: &Checks) -> Result<(), String> {
    let strangers = ledger.strangers().iter().map(|stranger| stranger.topic.as_str());
    let topics: BTreeSet<&str> = ledger.entries().iter().map(|entry| entry.topic.as_str()).chain(strangers).collect();
    for topic in topics {
        let entries: Vec<&Entry> = ledger.entries().iter().filter(|entry| entry.topic == topic).collect();
        let strangers: Vec<&Stranger> = ledger.strangers().iter().filter(|stranger| stranger.topic == topic).collect();
        // Records without outcome may have gone to any topic.
        let known: u64 = ledger.strangers().iter().map(|stranger| u64::from(stranger.count)).sum();
        let open = ledger.strangers_accepted().saturating_sub(known);
        if checks.fates {
            let may = |stranger: &&&Stranger| stranger.result != Err(Fate::NotWritten);
            let written: u64 = strangers.iter().filter(may).map(|stranger| u64::from(stranger.count)).sum();
            nothing_else_was_written(topic, &entries, written + open, cluster)?;
        }
        for partition in 0..cluster.partition_count(topic) {
            let log = cluster.log(topic, partition);
            if checks.offsets {
                let taken = offsets_are_right(topic, partition, &entries, &log)?;
                strangers_are_there(topic, partition, &strangers, taken, &log)?;
            }
            // Records that nobody knows may be equal to known ones: then counting them is all there is.
            if checks.once_in_order && strangers.is_empty() && open == 0 {
                once_and_in_order(topic, partition, &entries, &log)?;
            }
        }
    }
    Ok(())
}

/// Delivered records that the world did not send lie in the log, each at a place of its own.
fn strangers_are_there(
    topic: &str,
    partition: u32,
    strangers: &[&Stranger],
    mut taken: BTreeSet<i64>,
    log: &[StoredRecord],
) -> Result<(), String> {
    if strangers.is_empty() {
        return Ok(());
    }
    let offsets: BTreeSet<i64> = log.iter().map(|record| record.offset).collect();
    for stranger in strangers.iter().filter(|stranger| stranger.partition == partition as i32) {
        let Ok(base @ 0..) = stranger.result else { continue };
        for offset in base..base + i64::from(stranger.count) {
            if !offsets.contains(&offset) {
                return Err(format!("{topic}-{partition}: nothing at {offset}: {stranger:?}"));
            }
            if !taken.insert(offset) {
                return Err(format!("{topic}-{partition}: two records were said to be at {offset}: {stranger:?}"));
            }
        }
    }
    Ok(())
}

/// A delivered record is where it was said to be.
fn offsets_are_right(
    topic: &str,
    partition: u32,
    entries: &[&Entry],
    log: &[StoredRecord],
) -> Result<BTreeSet<i64>, String> {
    let mut taken = BTreeSet::new();
    let by_offset: BTreeMap<i64, &StoredRecord> = log.iter().map(|record| (record.offset, record)).collect();
    let mut elsewhere = Vec::new();
    for entry in entries {
        let Some(Outcome::Delivered { partition: own, offset, log_append_time }) = entry.outcome else { continue };
        if own != partition as i32 {
            continue;
        }
        if offset < 0 {
            elsewhere.push(entry);
            continue;
        }
        let id = entry.accepted.id;
        let stored = by_offset
            .get(&offset)
            .ok_or_else(|| format!("{topic}-{partition}: nothing at {offset}, where {id:?} was said to be"))?;
        if Content::from(*stored) != entry.content {
            return Err(format!("{topic}-{partition}: {id:?} is not what lies at offset {offset}: {stored:?}"));
        }
        if !taken.insert(offset) {
            return Err(format!("{topic}-{partition}: two records were said to be at {offset}, {id:?} is one"));
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
    they_are_somewhere(topic, partition, &elsewhere, log, &taken)?;
    Ok(taken)
}

/// Delivered records of which no broker said where lie in the log all the same: an old duplicate is there (PRODUCER j.3).
fn they_are_somewhere(
    topic: &str,
    partition: u32,
    entries: &[&&Entry],
    log: &[StoredRecord],
    taken: &BTreeSet<i64>,
) -> Result<(), String> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut rest: BTreeMap<Content, usize> = BTreeMap::new();
    for record in log.iter().filter(|record| !taken.contains(&record.offset)) {
        *rest.entry(Content::from(record)).or_default() += 1;
    }
    for entry in entries {
        let id = entry.accepted.id;
        let left = rest.get_mut(&entry.content).filter(|left| **left > 0);
        *left.ok_or_else(|| format!("{topic}-{partition}: {id:?} was delivered, and is nowhere in the log"))? -= 1;
    }
    Ok(())
}

/// Every record in the log was accepted, and may have been written; `strangers` more may be there.
fn nothing_else_was_written(
    topic: &str,
    entries: &[&Entry],
    mut strangers: u64,
    cluster: &Cluster,
) -> Result<(), String> {
    let may = |entry: &&&Entry| entry.outcome.as_ref().is_none_or(Outcome::may_be_written);
    let possible: BTreeSet<&Content> = entries.iter().filter(may).map(|entry| &entry.content).collect();
    for partition in 0..cluster.partition_count(topic) {
        for record in cluster.log(topic, partition) {
            if !possible.contains(&Content::from(&record)) {
                if strangers > 0 {
                    strangers -= 1;
                    continue;
                }
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
    for (at, record) in log.iter().enumerate() {
        let content = Content::from(record);
        let before = rest.clone();
        if rest.any(|entry| entry.content == content) {
            continue;
        }
        rest = before;
        if !was_late(partition, record, entries, &log[..at]) {
            return Err(format!("{topic}-{partition}: a duplicate or out of order: {record:?}"));
        }
    }
    Ok(())
}

/// Whether a record was given up, and came to the log behind those of a later producer id. A new epoch fences what is still on its way,
/// but after the last of an id's epochs the producer has to take another id, and knows of no way to fence the former.
fn was_late(partition: u32, record: &StoredRecord, entries: &[&Entry], before: &[StoredRecord]) -> bool {
    let content = Content::from(record);
    let told = || entries.iter().filter(|entry| entry.content == content).filter_map(|entry| entry.outcome.as_ref());
    let here = |outcome: &&Outcome| outcome.partition() == partition as i32 && outcome.may_be_written();
    // Records without key and value are alike: as many as were sent.
    let so_far = before.iter().filter(|other| Content::from(*other) == content).count();
    so_far < told().filter(here).count()
        && told().filter(here).any(|outcome| outcome.fate() == Some(Fate::Unknown))
        && before.iter().any(|other| other.producer_id > record.producer_id)
}

#[cfg(test)]
mod tests {
    use crate::Cluster;
    use crate::world::{Checks, World, WorldOptions};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Two records are delivered; then somebody meddles. What the world says to that.
    fn meddled(strangers: bool, meddle: impl FnOnce(&mut Cluster)) -> String {
        let mut world = World::new(WorldOptions::seeded(1));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        for value in ["a", "b"] {
            if strangers {
                world.with_producer(|producer, now| {
                    producer.send(now, topic, &klamm_core::Record::value(value.as_bytes())).map(|_| ()).unwrap();
                });
            } else {
                world.send_value(topic, value).unwrap();
            }
            assert!(world.run_until_idle(10_000));
        }
        world.assert_delivered();
        meddle(world.cluster_mut());
        match catch_unwind(AssertUnwindSafe(|| world.verify())) {
            Ok(()) => String::new(),
            Err(words) => words.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    /// Another producer's record in the log.
    fn append(cluster: &mut Cluster, value: &str) {
        let mut other = World::new(WorldOptions::seeded(2).checks(Checks::NONE));
        std::mem::swap(cluster, other.cluster_mut());
        let topic = other.topic("t");
        other.send_value(topic, value).unwrap();
        assert!(other.run_until_idle(10_000));
        std::mem::swap(cluster, other.cluster_mut());
    }

    /// DUPLICATE_SEQUENCE_NUMBER is a delivery without an offset: the record has to be there all the same.
    #[test]
    fn a_delivery_without_a_place_is_looked_for() {
        for (action, fits) in [(crate::Action::AppendThenError(46), true), (crate::Action::Error(46), false)] {
            let mut world = World::new(WorldOptions::seeded(1));
            world.cluster_mut().create_topic("t", 1);
            world.cluster_mut().faults().push(crate::Fault::on(crate::Api::Produce).then(action));
            let topic = world.topic("t");
            world.send_value(topic, "a").unwrap();
            match catch_unwind(AssertUnwindSafe(|| world.run_until_idle(10_000))) {
                Ok(idle) => assert!(idle && fits),
                Err(words) => {
                    let words = words.downcast_ref::<String>().unwrap();
                    assert!(!fits && words.contains("is nowhere in the log"), "{words}");
                }
            }
        }
    }

    #[test]
    fn what_the_log_lost_or_gained_is_noticed() {
        for strangers in [false, true] {
            assert_eq!(meddled(strangers, |_| ()), "");
            let lost = meddled(strangers, |cluster| cluster.truncate("t", 0, 1));
            assert!(lost.contains("nothing at 1"), "{lost}");
            let invented = meddled(strangers, |cluster| append(cluster, "c"));
            assert!(invented.contains("nobody sent it"), "{invented}");
        }
        let doubled = meddled(false, |cluster| append(cluster, "a"));
        assert!(doubled.contains("a duplicate or out of order"), "{doubled}");
        let changed = meddled(false, |cluster| {
            cluster.truncate("t", 0, 1);
            append(cluster, "a");
        });
        assert!(changed.contains("is not what lies at offset 1"), "{changed}");
    }
}
