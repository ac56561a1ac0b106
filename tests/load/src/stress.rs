//! Many threads, too little CPU, many producers. Each returns what it measured, and an error if any record has not exactly one
//! outcome, one place, and its order.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use klamm::{Builder, Producer, Record};

use crate::Result;
use crate::usage::{CpuTime, descriptors, resident_kib, threads as thread_count};
use crate::verify::Ledger;

/// How long everything may take that has to come to an end by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a record's value.
const SIZE: usize = 100;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Records, all of them delivered.
    pub records: u64,
    /// From the first send to the last outcome.
    pub elapsed: Duration,
    /// CPU time of the process meanwhile.
    pub cpu: Duration,
}

impl Report {
    /// Records per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The settings of all producers here: Kafka's defaults, but for a short linger.
pub fn builder(bootstrap: &str) -> Builder {
    Producer::builder().bootstrap_servers(bootstrap).linger_ms(5)
}

/// The value of a sender's record `n`: who sent it, and which of theirs it is.
#[must_use]
pub fn value(sender: u64, n: u64) -> [u8; SIZE] {
    let mut value = [b'.'; SIZE];
    value[..8].copy_from_slice(&sender.to_be_bytes());
    value[8..16].copy_from_slice(&n.to_be_bytes());
    value
}

/// Reads such a value.
#[must_use]
pub fn parse(value: &[u8]) -> Option<(u64, u64)> {
    let (sender, rest) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*sender), u64::from_be_bytes(*rest.first_chunk()?)))
}

/// `threads` threads share one producer and send `each` records each, to all partitions of `topic` in turn. The topic must be
/// new, and nobody else's.
///
/// # Errors
/// A record was refused, has no outcome or two, failed, or is out of its thread's order.
pub fn threads(bootstrap: &str, topic: &str, threads: u64, each: u64) -> Result<Report> {
    let producer = builder(bootstrap).build()?;
    let partitions = u64::from(producer.partition_count(topic)?);
    let start = Barrier::new(threads as usize + 1);
    let (began, ledgers) = thread::scope(|scope| {
        let sender = |sender: u64| {
            let (producer, start) = (producer.clone(), &start);
            move || {
                let mut ledger = Ledger::default();
                start.wait();
                for n in 0..each {
                    let value = value(sender, n);
                    let record = Record::to(topic).value(&value).partition(((sender + n) % partitions) as i32);
                    ledger.sent(producer.send(&record)?)?;
                }
                if !producer.flush_timeout(PATIENCE) {
                    return Err("not flushed in time".into());
                }
                ledger.finish()?;
                Result::Ok(ledger)
            }
        };
        let senders: Vec<_> = (0..threads).map(|number| scope.spawn(sender(number))).collect();
        let cpu = CpuTime::now();
        start.wait();
        let began = (Instant::now(), cpu);
        let ledgers: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
        (began, ledgers)
    });
    let (began, cpu) = began;
    let (elapsed, cpu) = (began.elapsed(), CpuTime::now()?.since(cpu?).total());
    let mut all = Ledger::default();
    for ledger in ledgers {
        all.merge(ledger.map_err(|_| "a sender panicked")??)?;
    }
    all.complete()?;
    settle(&producer, threads * each)?;
    Ok(Report { records: all.delivered, elapsed, cpu })
}

/// Closes the producer, whose own counts must agree.
fn settle(producer: &Producer, records: u64) -> Result<()> {
    let stats = producer.stats();
    let counted = (stats.records_accepted, stats.records_delivered, stats.records_failed);
    if counted != (records, records, 0) {
        return Err(format!("{records} sent; accepted, delivered, failed: {counted:?}").into());
    }
    producer.close(PATIENCE)?;
    Ok(())
}

/// As [`threads`] with one thread, while twice as many busy loops as there are processors take the I/O thread's time.
///
/// # Errors
/// As [`threads`].
pub fn starved(bootstrap: &str, topic: &str, records: u64) -> Result<Report> {
    let loops = 2 * thread::available_parallelism().map_or(2, usize::from).min(8);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..loops {
            scope.spawn(|| {
                let mut spin = 0_u64;
                while !over.load(Ordering::Relaxed) {
                    spin = black_box(spin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
        let report = threads(bootstrap, topic, 1, records);
        over.store(true, Ordering::Relaxed);
        report
    })
}

/// `count` producers at once in this process, each sending `each` records to `topic`, which must be new, and nobody else's.
///
/// # Errors
/// As [`threads`], or a thread is left behind.
pub fn producers(bootstrap: &str, topic: &str, count: u64, each: u64) -> Result<Report> {
    let before = thread_count();
    let mut producers = Vec::new();
    for _ in 0..count {
        let producer = builder(bootstrap).buffer_memory(1 << 20).build()?;
        producer.partition_count(topic)?;
        producers.push((producer, Ledger::default()));
    }
    let (began, cpu) = (Instant::now(), CpuTime::now()?);
    for n in 0..each {
        for (sender, (producer, ledger)) in (0..).zip(&mut producers) {
            let value = value(sender, n);
            ledger.sent(producer.send(&Record::to(topic).value(&value))?)?;
        }
    }
    let mut all = Ledger::default();
    for (producer, mut ledger) in producers {
        if !producer.flush_timeout(PATIENCE) {
            return Err("not flushed in time".into());
        }
        ledger.finish()?;
        all.merge(ledger)?;
        settle(&producer, each)?;
    }
    let (elapsed, cpu) = (began.elapsed(), CpuTime::now()?.since(cpu).total());
    all.complete()?;
    wait_until("the producers' threads are gone", || thread_count() <= before)?;
    Ok(Report { records: all.delivered, elapsed, cpu })
}

/// What is left of a producer that is gone.
#[derive(Clone, Copy, Debug)]
pub struct Leaks {
    /// More threads than before.
    pub threads: usize,
    /// More file descriptors than before.
    pub descriptors: usize,
    /// KiB of memory that the second half of the rounds added, beyond what the first half needed.
    pub memory_kib: u64,
}

/// Creates a producer and ends it, `rounds` times: by turns it delivers a record and is closed, delivers one and is dropped, and is
/// closed while nobody is there to connect to.
///
/// # Errors
/// A record is not delivered, or one that cannot be is.
pub fn cycles(bootstrap: &str, topic: &str, rounds: u32) -> Result<Leaks> {
    let round = |number: u32| {
        let bootstrap = if number % 3 == 2 { NOBODY } else { bootstrap };
        let producer = builder(bootstrap).linger_ms(0).buffer_memory(1 << 20).build()?;
        let record = Record::to(topic).value("v");
        if number % 3 == 2 {
            let delivery = producer.try_send(&record)?;
            let undelivered = producer.close(Duration::ZERO).err().map(|error| error.undelivered);
            let failed = delivery.try_get().is_some_and(|outcome| outcome.is_err());
            return if undelivered == Some(1) && failed { Ok(()) } else { Err("delivered to nobody".into()) };
        }
        producer.send(&record)?.wait()?;
        if number.is_multiple_of(3) {
            producer.close(PATIENCE)?;
        }
        Result::Ok(())
    };
    // What is only ever allocated once is there after a few rounds.
    (0..30).try_for_each(round)?;
    wait_until("the I/O threads of dropped producers end", || io_threads() == 0)?;
    let (threads, files) = (thread_count(), descriptors());
    (0..rounds / 2).try_for_each(round)?;
    let half = resident_kib();
    (rounds / 2..rounds).try_for_each(round)?;
    wait_until("the I/O threads of dropped producers end", || io_threads() == 0)?;
    Ok(Leaks {
        threads: thread_count().saturating_sub(threads),
        descriptors: descriptors().saturating_sub(files),
        memory_kib: resident_kib().saturating_sub(half),
    })
}

/// An address where nobody listens: a port of the system's that is not in use.
const NOBODY: &str = "127.0.0.1:1";

/// How many of this process's threads are klamm's.
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| ["klamm-io", "klamm-dns"].contains(&name.trim())).count()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > PATIENCE {
            return Err(format!("not in time: {what}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
