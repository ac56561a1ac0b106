//! `klamm perf`: how fast, with the flags and the lines of Kafka's `ProducerPerformance`.

mod collector;
mod metrics;
mod payload;
mod stats;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm::{Delivery, Producer, Record, SendError};

use crate::args::Perf;
use crate::config::{Settings, Usage};
use crate::failure::Failure;
use crate::output::print;
use crate::progress::Progress;
use collector::{Clock, Collector, Plan};
use payload::Payload;

/// Records between two readings of the clock, while nothing waits.
const CLOCK_STEP: u32 = 8;
/// Sleeps shorter than this are saved up.
const LEAST_SLEEP: Duration = Duration::from_millis(2);

/// The name by which Kafka's tool is known to brokers.
const CLIENT_ID: &str = "perf-producer-client";

/// Runs the command; whether every record was delivered.
pub(crate) fn run(args: &Perf) -> Result<bool, Usage> {
    check(args)?;
    let settings = settings(args)?;
    let producer = settings.producer(CLIENT_ID)?;
    if let Some(path) = &args.payload_file {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        print(&format!("Reading payloads from: {}\n", path.display()));
    }
    let payload = Payload::new(args)?;
    if let Some(count) = payload.pieces() {
        print(&format!("Number of messages read: {count}\n"));
    }
    if args.warmup_records > 0 {
        print(&format!(
            "Warmup first {} records. Steady state results will print after the complete test summary.\n",
            args.warmup_records
        ));
    }

    let progress = Progress::records(Some(args.num_records));
    let clock = Clock::start();
    let plan = Plan {
        num_records: args.num_records,
        warmup_records: args.warmup_records,
        reporting_interval_ms: args.reporting_interval,
    };
    let mut sender = Sender {
        producer: &producer,
        topic: &args.topic,
        collector: Collector::start(plan, clock, progress.clone()),
        clock,
        now_ms: 0,
        reads: 0,
        failures: BTreeMap::new(),
    };
    let stopped = sender.run(args, payload);
    let Sender { collector, mut failures, .. } = sender;
    producer.flush();
    let mut collected = collector.finish();
    progress.finish();

    print(&collected.stats.summary(clock.now_ms()));
    if let Some(steady) = &mut collected.steady {
        print(&steady.summary(clock.now_ms()));
    }
    if args.print_metrics {
        // A pipe whose reader has left is no reason to fail the run.
        let _ = metrics::print(&producer, &mut std::io::stdout().lock());
    }
    producer.close_now();
    for (kind, count) in collected.failures {
        *failures.entry(kind).or_default() += count;
    }
    for (kind, count) in &failures {
        progress.say(format_args!("{count} records failed: {kind}"));
    }
    if let Some(sent) = stopped {
        let left = args.num_records - sent;
        progress.say(format_args!("stopped after {sent} records, {left} were not tried"));
    }
    Ok(failures.is_empty() && stopped.is_none())
}

fn check(args: &Perf) -> Result<(), Usage> {
    let transactions =
        [("--transactional-id", &args.transactional_id), ("--transaction-duration-ms", &args.transaction_duration_ms)];
    if let Some((flag, _)) = transactions.iter().find(|(_, value)| value.is_some()) {
        return Err(format!(
            "{flag} is not implemented yet: leave it out; records are idempotent without transactions"
        ));
    }
    if args.throughput == 0.0 || args.throughput.is_nan() {
        return Err("--throughput 0 would never send: give records per second, or -1 for no limit".to_owned());
    }
    if args.warmup_records >= args.num_records {
        return Err("--warmup-records must be fewer than --num-records".to_owned());
    }
    Ok(())
}

fn settings(args: &Perf) -> Result<Settings, Usage> {
    let mut settings = Settings::read(args.command_config.as_deref(), &args.command_property)?;
    if let Some(servers) = &args.bootstrap_server {
        settings.set("bootstrap.servers", servers);
    }
    Ok(settings)
}

struct Sender<'a> {
    producer: &'a Producer,
    topic: &'a str,
    collector: Collector,
    clock: Clock,
    /// The clock as of the last reading, and records since.
    now_ms: u64,
    reads: u32,
    /// Records not accepted, by reason.
    failures: BTreeMap<String, u64>,
}

impl Sender<'_> {
    /// Sends all records. If going on made no sense: how many were tried.
    fn run(&mut self, args: &Perf, mut payload: Payload) -> Option<u64> {
        let mut throttle = Throttle::new(args.throughput);
        for i in 0..args.num_records {
            if args.warmup_records > 0 && i == args.warmup_records {
                self.collector.begin_steady_state();
            }
            let value = payload.next();
            let sent_ms = self.time();
            match self.connect(i).and_then(|()| self.send(value)) {
                Ok(delivery) => self.collector.add(delivery, sent_ms, value.len()),
                Err(error) => {
                    let ends = ends_the_run(&error, i == 0);
                    *self.failures.entry(Failure::from(error).cause).or_default() += 1;
                    if ends {
                        return Some(i + 1);
                    }
                }
            }
            if let Some(pause) = throttle.pause(i + 1) {
                self.collector.hand_over();
                std::thread::sleep(pause);
                self.reads = 0;
            }
        }
        None
    }

    /// The time just before a send, in milliseconds. A reading serves a few records: they take a microsecond, and
    /// whoever waits in between has the clock read anew.
    #[inline]
    fn time(&mut self) -> u64 {
        if self.reads == 0 {
            self.reads = CLOCK_STEP;
            self.now_ms = self.clock.now_ms();
        }
        self.reads -= 1;
        self.now_ms
    }

    /// Before the first record: waits for the topic, within its latency, as Kafka's producer would. So a cluster that
    /// cannot be reached is told after max.block.ms, not after delivery.timeout.ms.
    #[inline]
    fn connect(&mut self, i: u64) -> Result<(), SendError> {
        if i == 0 {
            self.reads = 0;
            self.producer.partition_count(self.topic)?;
        }
        Ok(())
    }

    #[inline]
    fn send(&mut self, value: &[u8]) -> Result<Delivery, SendError> {
        let record = Record::to(self.topic).value(value);
        match self.producer.try_send(&record) {
            Err(error) if error.is_retriable() => {
                self.collector.hand_over();
                self.reads = 0;
                self.producer.send(&record)
            }
            other => other,
        }
    }
}

/// Whether every further record would fail the same way, each perhaps after a long wait.
fn ends_the_run(error: &SendError, first: bool) -> bool {
    match error {
        SendError::Closed | SendError::Fatal(_) | SendError::Broken => true,
        SendError::Topic { .. } | SendError::TopicName { .. } | SendError::Timeout { .. } => first,
        _ => false,
    }
}

/// Keeps the rate of records below a limit.
struct Throttle {
    start: Instant,
    /// Seconds per record; none without a limit.
    period: Option<f64>,
}

impl Throttle {
    fn new(throughput: f64) -> Self {
        Self { start: Instant::now(), period: (throughput > 0.0).then(|| 1.0 / throughput) }
    }

    /// How long to sleep after `sent` records. A sender that fell behind catches up.
    #[inline]
    fn pause(&mut self, sent: u64) -> Option<Duration> {
        let period = self.period?;
        let due = Duration::try_from_secs_f64(sent as f64 * period).unwrap_or(Duration::MAX);
        due.checked_sub(self.start.elapsed()).filter(|&ahead| ahead >= LEAST_SLEEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle() {
        let mut none = Throttle::new(-1.0);
        assert_eq!(none.pause(1_000_000_000), None);
        let mut slow = Throttle::new(10.0);
        let pause = slow.pause(10).unwrap();
        assert!(pause <= Duration::from_secs(1) && pause > Duration::from_millis(900), "{pause:?}");
        // Close enough: sleeping is not worth it yet.
        assert_eq!(Throttle::new(1000.0).pause(1), None);
        // Behind: no sleep.
        slow.start -= Duration::from_secs(5);
        assert_eq!(slow.pause(10), None);
    }
}
