//! An application's account of every record.

use klamm_core::{Accepted, Event, Failed, Fate, Problem, Record, SendError, TopicId};
use klamm_sim::Cluster;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::{SimShared, TOPIC};

/// A record: the task that sent it, and how many that task had sent before.
pub type Name = (u32, u32);

/// What was sent and what became of it.
#[derive(Debug, Default)]
pub struct Ledger(RefCell<Accounts>);

/// The accounts themselves.
#[derive(Debug, Default)]
pub struct Accounts {
    open: BTreeMap<(u32, u32), Name>,
    /// Records that are in the log, by the producer's word.
    pub delivered: BTreeSet<Name>,
    /// Records that are not, or perhaps not.
    pub failed: BTreeMap<Name, Failed>,
    /// Accepted records.
    pub accepted: usize,
    /// What the producer complained of.
    pub problems: Vec<Problem>,
    /// How often all was flushed.
    pub flushes: usize,
    /// How often there was room again.
    pub writables: usize,
    /// The producer is closed.
    pub closed: bool,
}

impl Ledger {
    /// Looks at the accounts.
    pub fn with<R>(&self, f: impl FnOnce(&mut Accounts) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }

    /// Records with an outcome.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.with(|accounts| accounts.delivered.len() + accounts.failed.len())
    }

    fn accept(&self, name: Name, accepted: Accepted) {
        self.with(|accounts| {
            assert_eq!(accounts.open.insert((accepted.id.batch, accepted.id.index), name), None);
            accounts.accepted += 1;
        });
    }

    /// Sends a record, once there is room.
    ///
    /// # Errors
    /// As `Shared::send`.
    pub async fn send(&self, shared: &SimShared, topic: TopicId, name: Name) -> Result<(), SendError> {
        let (key, value) = (format!("key-{}", name.0), text(name));
        let record = Record::keyed(key.as_bytes(), value.as_bytes());
        let accepted = shared.send(topic, &record).await?;
        self.accept(name, accepted);
        Ok(())
    }

    /// Sends a record now or not at all.
    ///
    /// # Errors
    /// As `Shared::try_send`.
    pub fn try_send(&self, shared: &SimShared, topic: TopicId, name: Name) -> Result<(), SendError> {
        let (key, value) = (format!("key-{}", name.0), text(name));
        let accepted = shared.try_send(topic, &Record::keyed(key.as_bytes(), value.as_bytes()))?;
        self.accept(name, accepted);
        Ok(())
    }

    /// Takes all events until the last.
    pub async fn listen(&self, shared: &SimShared) {
        while let Some(event) = shared.next_event().await {
            self.hear(event);
        }
    }

    /// Enters an event.
    ///
    /// # Panics
    /// If a record has two outcomes.
    pub fn hear(&self, event: Event) {
        self.with(|accounts| match event {
            Event::Batch(outcome) => {
                for index in (outcome.first_index..).take(outcome.count as usize) {
                    let name = accounts.open.remove(&(outcome.batch, index)).expect("one outcome for each");
                    match outcome.result {
                        Ok(_) => drop(accounts.delivered.insert(name)),
                        Err(failed) => drop(accounts.failed.insert(name, failed)),
                    }
                }
            }
            Event::Problem(problem) => accounts.problems.push(problem),
            Event::Flushed => accounts.flushes += 1,
            Event::Writable => accounts.writables += 1,
            Event::Closed => accounts.closed = true,
            _ => {}
        });
    }

    /// Compares every outcome with the log: what was delivered is there once, what was not written is not there, and the records of
    /// each task are in its partition in the order in which they were sent.
    ///
    /// # Panics
    /// If not.
    pub fn verify(&self, cluster: &Cluster) {
        let accounts = self.0.borrow();
        let mut seen = BTreeSet::new();
        for partition in 0..cluster.partition_count(TOPIC) {
            let mut last = BTreeMap::new();
            for record in cluster.log(TOPIC, partition) {
                let value = String::from_utf8(record.value.expect("sent")).expect("sent as text");
                let mut parts = value.split(':').map(|part| part.parse::<u32>().expect("a record of ours"));
                let name = (parts.next().expect("a task"), parts.next().expect("a number"));
                assert_eq!(value, text(name));
                let before = last.insert(name.0, name.1);
                assert!(before < Some(name.1), "partition {partition}: {name:?} after {before:?}");
                assert!(seen.insert(name), "{name:?} is there twice");
            }
        }
        assert!(accounts.delivered.is_subset(&seen), "lost: {:?}", accounts.delivered.difference(&seen));
        for (name, failed) in &accounts.failed {
            assert!(failed.fate == Fate::Unknown || !seen.contains(name), "{name:?} was written: {failed:?}");
        }
        let settled = accounts.delivered.len() + accounts.failed.len();
        assert_eq!(settled + accounts.open.len(), accounts.accepted);
    }

    /// As [`verify`](Self::verify), and everything that was accepted was delivered, `expected` records in all.
    ///
    /// # Panics
    /// If not.
    pub fn verify_all_delivered(&self, cluster: &Cluster, expected: usize) {
        self.verify(cluster);
        self.with(|accounts| {
            assert_eq!(accounts.failed, BTreeMap::new());
            assert_eq!((accounts.accepted, accounts.delivered.len()), (expected, expected));
        });
        assert_eq!(cluster.record_count(TOPIC), expected as u64);
    }
}

fn text((task, number): Name) -> String {
    format!("{task}:{number:060}")
}
