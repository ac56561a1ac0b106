//! What clients are measured with: the same loop, the same clock, the same figures for each of them.
//!
//! A run is a process of its own, so that its CPU time and its memory are the client's alone: `klamm-load run` for klamm, the
//! program in `tests/peers` for others.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::args::Args;
use crate::usage::{CpuTime, peak_kib};

/// What every client is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kafka's `bootstrap.servers`.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// `batch.size` in bytes.
    pub batch_size: u32,
    /// `linger.ms`.
    pub linger_ms: u32,
}

/// What a run does.
#[derive(Clone, Debug)]
pub enum Task {
    /// As many records as go through.
    Throughput {
        /// Records sent before the measurement begins.
        warm_up: u64,
        /// Records that are measured.
        records: u64,
    },
    /// Records at a steady pace, each timed from its send to its acknowledgement.
    Latency {
        /// Records per second, 1 to 1 000 000.
        rate: u64,
        /// How long, in seconds.
        seconds: u64,
    },
}

/// One run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What every client is told.
    pub settings: Settings,
    /// What to do.
    pub task: Task,
    /// Bytes of each record's value.
    pub size: usize,
}

impl Workload {
    /// From `--bootstrap`, `--topic`, `--batch-size`, `--linger`, `--size`, and `--records`, `--warm-up` or `--rate`, `--seconds`.
    ///
    /// # Errors
    /// Something is missing or is not a number.
    pub fn from_args(args: &mut Args) -> Result<Self> {
        let settings = Settings {
            bootstrap: args.required("bootstrap")?,
            topic: args.required("topic")?,
            batch_size: args.or("batch-size", 16_384)?,
            linger_ms: args.or("linger", 5)?,
        };
        let task = match args.optional("rate")? {
            Some(rate) => Task::Latency { rate, seconds: args.or("seconds", 10)? },
            None => Task::Throughput { records: args.required("records")?, warm_up: args.or("warm-up", 0)? },
        };
        Ok(Self { settings, task, size: args.or("size", 100)? })
    }
}

/// How many records have their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
}

/// A client that sends as fast as it can.
pub trait Client {
    /// Hands a record over, waiting for room if need be.
    ///
    /// # Errors
    /// The client refuses it for good.
    fn send(&mut self, value: &[u8]) -> Result<()>;

    /// Waits until every record has its outcome.
    ///
    /// # Errors
    /// The client gives up.
    fn finish(&mut self) -> Result<()>;

    /// The outcomes so far, each record counted once.
    fn outcomes(&self) -> Outcomes;
}

/// A client that notes when each record is acknowledged.
pub trait TimedClient {
    /// Hands a record over, which the caller began at `begun`.
    ///
    /// # Errors
    /// The client refuses it.
    fn send(&mut self, value: &[u8], begun: Instant) -> Result<()>;

    /// Waits for all outcomes. One time per acknowledged record, from `begun` until the program was told.
    ///
    /// # Errors
    /// The client gives up.
    fn finish(self) -> Result<Vec<Duration>>;
}

/// Sends the warm-up, then the records; prints the figures, one `name value` per line.
///
/// # Errors
/// A record was refused, or not each has exactly one outcome.
pub fn throughput(client: &mut impl Client, warm_up: u64, records: u64, size: usize) -> Result<()> {
    let value = value(size);
    for _ in 0..warm_up {
        client.send(&value)?;
    }
    client.finish()?;
    let (cpu, began) = (CpuTime::now()?, Instant::now());
    for _ in 0..records {
        client.send(&value)?;
    }
    client.finish()?;
    let (cpu, elapsed) = (CpuTime::now()?.since(cpu), began.elapsed());
    let Outcomes { delivered, failed } = client.outcomes();
    if delivered + failed != warm_up + records {
        let sent = warm_up + records;
        return Err(format!("{sent} records sent, {delivered} delivered, {failed} failed").into());
    }
    let per_record = |time: Duration| time.as_nanos() as f64 / records.max(1) as f64;
    figure("records_per_second", records as f64 / elapsed.as_secs_f64());
    figure("user_ns", per_record(cpu.user));
    figure("system_ns", per_record(cpu.system));
    figure("cpu_ns", per_record(cpu.user + cpu.system));
    figure("rss_mib", peak_kib() as f64 / 1024.0);
    figure("failed", failed as f64);
    Ok(())
}

/// Sends at a steady pace for so many seconds after one second of warm-up; prints the figures, one `name value` per line.
///
/// # Errors
/// A record was refused, or was not acknowledged.
pub fn latency(mut client: impl TimedClient, rate: u64, seconds: u64, size: usize) -> Result<()> {
    let value = value(size);
    let (warm_up, records) = (rate, rate * seconds);
    let cpu = CpuTime::now()?;
    let began = Instant::now();
    for n in 0..warm_up + records {
        let due = began + Duration::from_nanos(n.saturating_mul(1_000_000_000 / rate.max(1)));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        client.send(&value, Instant::now())?;
    }
    let mut times = client.finish()?;
    let cpu = CpuTime::now()?.since(cpu);
    let failed = (warm_up + records).saturating_sub(times.len() as u64);
    // Connecting belongs to the first records.
    let mut times = times.split_off(times.len().min(warm_up as usize));
    times.sort_unstable();
    let at = |per_mille: usize| {
        let rank = (times.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        times.get(rank).map_or(0.0, |time| time.as_nanos() as f64 / 1_000.0)
    };
    figure("p50_us", at(500));
    figure("p99_us", at(990));
    figure("max_us", at(1_000));
    figure("cpu_ns", (cpu.user + cpu.system).as_nanos() as f64 / (warm_up + records).max(1) as f64);
    figure("rss_mib", peak_kib() as f64 / 1024.0);
    figure("failed", failed as f64);
    Ok(())
}

fn figure(name: &str, value: f64) {
    println!("{name} {value:.1}");
}

fn value(size: usize) -> Vec<u8> {
    (0..size).map(|n| b'a' + (n % 26) as u8).collect()
}
