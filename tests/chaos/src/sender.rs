//! One producer that sends numbered records at a steady rate, and writes down what it is told of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use klamm::{Delivery, Header, Producer, Record, SendError};

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::profile::{Content, HEADERS, Key, Outcomes, PROFILES, Profile};
use crate::{Result, TOPIC};

/// How long the last records may take: `delivery.timeout.ms` and a little.
const PATIENCE: Duration = Duration::from_secs(180);

/// A producer with its ledger.
#[derive(Debug)]
pub struct Sender {
    /// Its number, which is in its records.
    pub id: usize,
    /// Its configuration.
    pub profile: Profile,
    /// The producer.
    pub producer: Producer,
    /// What became of its records.
    pub ledger: Arc<Ledger>,
}

impl Sender {
    /// Makes the producer.
    ///
    /// # Errors
    /// The configuration is refused.
    pub fn new(id: usize, bootstrap: &str, idempotence: bool, records: usize) -> Result<Self> {
        let profile = PROFILES[id % PROFILES.len()];
        let name = format!("{}-{id}", profile.name);
        // A connection that was swallowed must not hold up the others for long.
        let common = [
            ("bootstrap.servers", bootstrap),
            ("client.id", &name),
            ("enable.idempotence", if idempotence { "true" } else { "false" }),
            ("socket.connection.setup.timeout.ms", "3000"),
        ];
        let producer = Producer::from_properties(common.iter().chain(profile.properties).copied())?;
        Ok(Self { id, profile, producer, ledger: Arc::new(Ledger::new(records)) })
    }

    /// Sends `rate` records per second until told to stop, then waits for the last outcomes and ends the producer; how many
    /// numbers were used.
    ///
    /// # Errors
    /// A record was refused for another reason than time, or outcomes are missing.
    pub fn run(&self, rate: f64, stop: &AtomicBool, journal: &Journal) -> Result<u64> {
        let mut open = VecDeque::new();
        let mut content = Content::default();
        let (began, mut number) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) && number < self.ledger.capacity() {
            if number as f64 >= began.elapsed().as_secs_f64() * rate {
                self.take(&mut open);
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            content.make(self.id, number);
            self.send(number, &content, &mut open)?;
            number += 1;
            if number % 256 == 0 {
                self.take(&mut open);
            }
        }
        journal.note("sender", format_args!("{} stops after {number} records", self.profile.name));
        let flushed = self.producer.flush_timeout(PATIENCE);
        self.take(&mut open);
        if !flushed || !open.is_empty() {
            let left = self.producer.outstanding();
            return Err(
                format!("{}: {left} records have no outcome {PATIENCE:?} after the end", self.profile.name).into()
            );
        }
        self.producer.close(PATIENCE)?;
        Ok(number)
    }

    fn send(&self, number: u64, content: &Content, open: &mut VecDeque<(u64, Delivery)>) -> Result<()> {
        let values = [0, 1].map(|at| Header { key: HEADERS[at], value: Some(content.headers[at].as_bytes()) });
        let mut record = Record::to(TOPIC).value(&content.value).headers(&values);
        match self.profile.key {
            Key::Some => record = record.key(&content.key),
            Key::Null => {}
            Key::Partition => record = record.partition(content.partition as i32),
        }
        self.ledger.open(number);
        let sent = match self.profile.outcomes {
            Outcomes::Deliveries => self.producer.send(&record).map(|delivery| open.push_back((number, delivery))),
            Outcomes::Callbacks => {
                let ledger = Arc::clone(&self.ledger);
                self.producer.send_with(&record, move |outcome| ledger.outcome(number, &outcome))
            }
        };
        match sent {
            Ok(()) => Ok(()),
            Err(SendError::Timeout { .. }) => {
                self.ledger.refused(number);
                self.take(open);
                Ok(())
            }
            Err(error) => Err(format!("{}: {error}", self.profile.name).into()),
        }
    }

    /// Takes the outcomes that are there, those of the oldest records first.
    fn take(&self, open: &mut VecDeque<(u64, Delivery)>) {
        while let Some((number, outcome)) =
            open.front().and_then(|(number, delivery)| Some((*number, delivery.try_get()?)))
        {
            open.pop_front();
            self.ledger.outcome(number, &outcome);
        }
    }
}
