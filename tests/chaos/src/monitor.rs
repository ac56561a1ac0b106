//! Watches the producers: progress, gaps in it, memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use klamm::Stats;
use klamm_load::usage::resident_kib;

use crate::memory::Memory;
use crate::nemesis::Deeds;
use crate::proxy::Proxy;
use crate::sender::Sender;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The longest time without an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct Gap {
    delivered: u64,
    since: Instant,
    longest: Duration,
}

impl Gap {
    fn new() -> Self {
        Self { delivered: 0, since: Instant::now(), longest: Duration::ZERO }
    }

    fn look(&mut self, delivered: u64) {
        self.longest = self.longest.max(self.since.elapsed());
        if delivered != self.delivered {
            (self.delivered, self.since) = (delivered, Instant::now());
        }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Memory of this process.
    pub memory: Memory,
    /// The longest time in which no producer got an acknowledgement.
    pub gap: Duration,
    /// The same for each producer.
    pub gaps: Vec<Duration>,
}

/// Prints a line every ten seconds until `done`. Memory is looked at after `warm_up` only.
pub fn watch(senders: &[Sender], deeds: &Deeds, proxies: &[Proxy], warm_up: Duration, done: &AtomicBool) -> Seen {
    let began = Instant::now();
    let mut memory = Memory::default();
    let mut gaps = vec![Gap::new(); senders.len() + 1];
    let (mut next_sample, mut next_line) = (warm_up, LINE_EVERY);
    println!(
        "{:>7} {:>10} {:>10} {:>8} {:>8} {:>6} {:>7} {:>6} {:>6} {:>6} {:>8} {:>8}",
        "seconds",
        "accepted",
        "acked",
        "failed",
        "retried",
        "kills",
        "pauses",
        "stops",
        "moves",
        "cuts",
        "gap s",
        "RSS MiB"
    );
    while !done.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
        let mut delivered = 0;
        for (sender, gap) in senders.iter().zip(&mut gaps) {
            let own = sender.producer.stats().records_delivered;
            gap.look(own);
            delivered += own;
        }
        gaps[senders.len()].look(delivered);
        let elapsed = began.elapsed();
        if elapsed >= next_sample {
            next_sample = elapsed + SAMPLE_EVERY;
            memory.add(resident_kib());
        }
        if elapsed >= next_line {
            next_line += LINE_EVERY;
            line(elapsed, &total(senders), deeds, proxies, gaps[senders.len()].longest);
        }
    }
    let mut gaps: Vec<Duration> = gaps.iter().map(|gap| gap.longest).collect();
    let gap = gaps.pop().unwrap_or_default();
    Seen { memory, gap, gaps }
}

fn line(elapsed: Duration, total: &Stats, deeds: &Deeds, proxies: &[Proxy], gap: Duration) {
    let pauses = deeds.pauses.load(Ordering::Relaxed) + deeds.double_pauses.load(Ordering::Relaxed);
    println!(
        "{:>7.0} {:>10} {:>10} {:>8} {:>8} {:>6} {pauses:>7} {:>6} {:>6} {:>6} {:>8.1} {:>8.1}",
        elapsed.as_secs_f64(),
        total.records_accepted,
        total.records_delivered,
        total.records_failed,
        total.records_retried,
        deeds.kills.load(Ordering::Relaxed),
        deeds.stops.load(Ordering::Relaxed),
        deeds.moves.load(Ordering::Relaxed),
        proxies.iter().map(Proxy::cuts).sum::<u64>(),
        gap.as_secs_f64(),
        resident_kib() as f64 / 1024.0,
    );
}

/// The counters of all producers together, as far as they are told here.
#[must_use]
pub fn total(senders: &[Sender]) -> Stats {
    let mut total = Stats::default();
    for sender in senders {
        let stats = sender.producer.stats();
        total.records_accepted += stats.records_accepted;
        total.records_delivered += stats.records_delivered;
        total.records_failed += stats.records_failed;
        total.records_retried += stats.records_retried;
        total.connections_opened += stats.connections_opened;
        total.request_timeouts += stats.request_timeouts;
        total.epoch_bumps += stats.epoch_bumps;
        total.rebootstraps += stats.rebootstraps;
        total.batches_expired += stats.batches_expired;
    }
    total
}
