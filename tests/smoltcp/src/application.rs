//! What uses the producer: a sensor with a reading now and then, that keeps account of every one.

use klamm_core::{Accepted, Event, Failed, Fate, Instant, Problem, Producer, Record, SendError, TopicId};
use klamm_sim::Cluster;
use std::collections::{BTreeMap, BTreeSet};

use crate::TOPIC;

/// A sensor and its accounts.
#[derive(Debug)]
pub struct Application {
    topic: TopicId,
    /// How many readings it will have sent in the end.
    records: u32,
    interval_us: u64,
    value_bytes: usize,
    sent: u32,
    /// Readings without an outcome, by batch and index.
    open: BTreeMap<(u32, u32), u32>,
    delivered: BTreeSet<u32>,
    failed: BTreeMap<u32, Failed>,
    /// What the producer complained of.
    pub problems: Vec<Problem>,
    /// `Event::Closed` was told.
    pub closed: bool,
}

impl Application {
    pub(crate) fn new(producer: &mut Producer<'_>, records: u32, interval_us: u64, value_bytes: usize) -> Self {
        let topic = producer.topic(TOPIC).expect("there is room for a topic");
        Self {
            topic,
            records,
            interval_us,
            value_bytes,
            sent: 0,
            open: BTreeMap::new(),
            delivered: BTreeSet::new(),
            failed: BTreeMap::new(),
            problems: Vec::new(),
            closed: false,
        }
    }

    /// More readings to send.
    pub fn add(&mut self, records: u32) {
        self.records += records;
    }

    /// Readings with an outcome.
    #[must_use]
    pub fn settled(&self) -> u32 {
        (self.delivered.len() + self.failed.len()) as u32
    }

    /// Readings that were delivered.
    #[must_use]
    pub fn delivered(&self) -> u32 {
        self.delivered.len() as u32
    }

    /// Every reading was sent and has its outcome.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.settled() == self.records
    }

    /// When the next reading is due.
    pub(crate) fn next(&self) -> Option<u64> {
        (self.sent < self.records).then(|| u64::from(self.sent) * self.interval_us)
    }

    fn value(&self, index: u32) -> String {
        format!("{index:0width$}", width = self.value_bytes)
    }

    /// Sends the readings that are due, while the producer takes them. Says whether it sent any.
    pub(crate) fn send(&mut self, producer: &mut Producer<'_>, now: Instant) -> bool {
        let before = self.sent;
        while self.next().is_some_and(|at| at <= now.as_micros()) {
            let (key, value) = (format!("key-{}", self.sent % 17), self.value(self.sent));
            match producer.send(now, self.topic, &Record::keyed(key.as_bytes(), value.as_bytes())) {
                Ok(Accepted { id, .. }) => {
                    assert_eq!(self.open.insert((id.batch, id.index), self.sent), None);
                    self.sent += 1;
                }
                Err(SendError::Full | SendError::BrokerShare | SendError::PartitionsUnknown) => break,
                Err(error) => panic!("reading {}: {error}", self.sent),
            }
        }
        self.sent > before
    }

    /// Hears what became of them. Says whether there was anything to hear.
    pub(crate) fn listen(&mut self, producer: &mut Producer<'_>) -> bool {
        let mut heard = false;
        while let Some(event) = producer.poll_event() {
            heard = true;
            match event {
                Event::Batch(outcome) => {
                    for index in (outcome.first_index..).take(outcome.count as usize) {
                        let reading = self.open.remove(&(outcome.batch, index)).expect("one outcome for each");
                        match outcome.result {
                            Ok(_) => drop(self.delivered.insert(reading)),
                            Err(failed) => drop(self.failed.insert(reading, failed)),
                        }
                    }
                }
                Event::Problem(problem) => self.problems.push(problem),
                Event::Closed => self.closed = true,
                _ => {}
            }
        }
        heard
    }

    /// Compares every outcome with the log: what was delivered is there once, what was not written is not there, and each
    /// partition has its readings in the order in which they were sent.
    ///
    /// # Panics
    /// If not.
    pub fn verify(&self, cluster: &Cluster) {
        let mut seen = BTreeSet::new();
        for partition in 0..cluster.partition_count(TOPIC) {
            let mut last = None;
            for record in cluster.log(TOPIC, partition) {
                let value = String::from_utf8(record.value.expect("sent")).expect("sent as text");
                let index: u32 = value.parse().expect("a reading of ours");
                assert_eq!(value, self.value(index));
                assert_eq!(record.key, Some(format!("key-{}", index % 17).into_bytes()));
                assert!(last < Some(index), "partition {partition}: {index} after {last:?}");
                assert!(seen.insert(index), "reading {index} is there twice");
                last = Some(index);
            }
        }
        assert!(self.delivered.is_subset(&seen), "lost: {:?}", self.delivered.difference(&seen));
        for (index, failed) in &self.failed {
            assert!(failed.fate == Fate::Unknown || !seen.contains(index), "reading {index} was written: {failed:?}");
        }
        assert_eq!(self.settled() as usize + self.open.len(), self.sent as usize);
    }

    /// As [`verify`](Self::verify), and everything was delivered.
    ///
    /// # Panics
    /// If not.
    pub fn verify_all_delivered(&self, cluster: &Cluster) {
        assert_eq!(self.failed, BTreeMap::new());
        assert_eq!(self.delivered(), self.records);
        self.verify(cluster);
        assert_eq!(cluster.record_count(TOPIC), self.records.into());
    }
}
