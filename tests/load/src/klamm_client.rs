//! klamm under measurement.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use klamm::{Builder, Delivery, Producer, Record};

use crate::Result;
use crate::workload::{Client, Outcomes, Settings, Task, TimedClient, Workload, latency, throughput};

const PATIENCE: Duration = Duration::from_secs(120);

fn builder(settings: &Settings) -> Builder {
    Producer::builder()
        .bootstrap_servers(settings.bootstrap.as_str())
        .batch_size(settings.batch_size)
        .linger_ms(settings.linger_ms)
}

/// Runs a workload. With `each`, the outcome of every single record is looked at; without, outcomes are counted by the
/// producer's own statistics and deliveries are dropped, which is the usual way to publish much (a failure still shows in the
/// count). librdkafka tells outcomes one record at a time in either case; its runs do the least that counts them.
///
/// # Errors
/// The producer cannot be made, a record was refused, or outcomes are missing.
pub fn run(workload: &Workload, each: bool) -> Result<()> {
    let (settings, size) = (&workload.settings, workload.size);
    let producer = builder(settings).build()?;
    producer.partition_count(&settings.topic)?;
    let topic = settings.topic.clone();
    match workload.task {
        Task::Throughput { warm_up, records } if each => {
            let mut client = Each { producer, topic, open: VecDeque::new(), outcomes: Outcomes::default() };
            throughput(&mut client, warm_up, records, size)
        }
        Task::Throughput { warm_up, records } => throughput(&mut Counted { producer, topic }, warm_up, records, size),
        Task::Latency { rate, seconds } => latency(Timed::new(producer, topic), rate, seconds, size),
    }
}

/// Outcomes counted by the producer.
struct Counted {
    producer: Producer,
    topic: String,
}

impl Client for Counted {
    #[inline]
    fn send(&mut self, value: &[u8]) -> Result<()> {
        drop(self.producer.send(&Record::to(&self.topic).value(value))?);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.producer.flush_timeout(PATIENCE) { Ok(()) } else { Err("not flushed in time".into()) }
    }

    fn outcomes(&self) -> Outcomes {
        let stats = self.producer.stats();
        Outcomes { delivered: stats.records_delivered, failed: stats.records_failed }
    }
}

/// Outcomes taken one by one, in the order of the sends.
struct Each {
    producer: Producer,
    topic: String,
    open: VecDeque<Delivery>,
    outcomes: Outcomes,
}

impl Each {
    /// Takes the outcomes that are there; at the front of the queue the oldest waits.
    fn take(&mut self) {
        while let Some(outcome) = self.open.front().and_then(Delivery::try_get) {
            self.open.pop_front();
            match outcome {
                Ok(_) => self.outcomes.delivered += 1,
                Err(_) => self.outcomes.failed += 1,
            }
        }
    }
}

/// How many records may be sent before outcomes are looked at.
const LOOK_EVERY: usize = 1_000;

impl Client for Each {
    #[inline]
    fn send(&mut self, value: &[u8]) -> Result<()> {
        self.open.push_back(self.producer.send(&Record::to(&self.topic).value(value))?);
        if self.open.len().is_multiple_of(LOOK_EVERY) {
            self.take();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let flushed = self.producer.flush_timeout(PATIENCE);
        self.take();
        if flushed && self.open.is_empty() { Ok(()) } else { Err("outcomes are missing".into()) }
    }

    fn outcomes(&self) -> Outcomes {
        self.outcomes
    }
}

/// A thread of the program waits for each delivery, as librdkafka's polling thread does.
struct Timed {
    producer: Producer,
    topic: String,
    sent: Sender<(Instant, Delivery)>,
    waiter: JoinHandle<Vec<Duration>>,
}

impl Timed {
    fn new(producer: Producer, topic: String) -> Self {
        let (sent, open) = channel::<(Instant, Delivery)>();
        let waiter = std::thread::spawn(move || {
            let acknowledged = |(begun, delivery): (Instant, Delivery)| delivery.wait().ok().map(|_| begun.elapsed());
            open.into_iter().filter_map(acknowledged).collect()
        });
        Self { producer, topic, sent, waiter }
    }
}

impl TimedClient for Timed {
    fn send(&mut self, value: &[u8], begun: Instant) -> Result<()> {
        let delivery = self.producer.send(&Record::to(&self.topic).value(value))?;
        self.sent.send((begun, delivery)).map_err(|_| "the waiting thread is gone".into())
    }

    fn finish(self) -> Result<Vec<Duration>> {
        self.producer.flush();
        drop(self.sent);
        self.waiter.join().map_err(|_| "the waiting thread panicked".into())
    }
}
