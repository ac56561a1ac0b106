//! A long run through proxies that break connections: every record has one outcome and one place, and memory stays flat.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use klamm::{Producer, Record};
use klamm_sim::ClusterOptions;
use klamm_sim::tcp::TcpCluster;

use crate::Result;
use crate::child::Server;
use crate::proxy::{Cut, Proxy};
use crate::stress::value;
use crate::usage::resident_kib;
use crate::verify::Ledger;

/// The topic of the run.
const TOPIC: &str = "soak";
/// Its partitions.
const PARTITIONS: u32 = 6;
/// What each partition keeps: the brokers' memory is to stay flat too.
const RETENTION: u64 = 1 << 20;
/// Memory may grow by this much and 5 percent.
const SLACK_KIB: u64 = 4 << 10;
/// How long the last records may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// A simulated cluster of three brokers, each behind a proxy.
#[derive(Debug)]
pub struct Brokers {
    cluster: TcpCluster,
    proxies: Vec<Proxy>,
    next: usize,
}

impl Brokers {
    /// Starts it, with the topic of the run.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub fn start() -> io::Result<Self> {
        let options =
            ClusterOptions { retention_bytes: Some(RETENTION), keep_history: false, ..ClusterOptions::default() };
        let cluster = TcpCluster::start(options)?;
        cluster.with(|cluster| cluster.create_topic(TOPIC, PARTITIONS));
        let mut proxies = Vec::new();
        for broker in cluster.with(|cluster| cluster.brokers().collect::<Vec<i32>>()) {
            let address = cluster.address(broker).ok_or(io::ErrorKind::NotFound)?;
            let proxy = Proxy::start(address)?;
            let told = proxy.address();
            cluster.with(|cluster| cluster.set_address(broker, &told.ip().to_string(), told.port()));
            proxies.push(proxy);
        }
        Ok(Self { cluster, proxies, next: 0 })
    }

    /// What clients are told.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Breaks a connection: to one broker after the other, in requests and answers by turns.
    pub fn cut(&mut self) {
        let cut = if (self.next / self.proxies.len()).is_multiple_of(2) { Cut::Answer } else { Cut::Request };
        self.proxies[self.next % self.proxies.len()].cut(cut);
        self.next += 1;
    }

    /// How many connections were broken.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.proxies.iter().map(Proxy::cuts).sum()
    }

    /// How many records were appended to each partition.
    #[must_use]
    pub fn appended(&self) -> Vec<i64> {
        let end = |partition| self.cluster.with(|cluster| cluster.offsets(TOPIC, partition).map_or(0, |(_, end)| end));
        (0..PARTITIONS).map(end).collect()
    }

    /// Answers `cut` and `counts` (of broken connections, then of records per partition).
    #[must_use]
    pub fn command(&mut self, line: &str) -> String {
        if line == "cut" {
            self.cut();
        }
        let counts = [self.cuts() as i64].into_iter().chain(self.appended());
        counts.map(|count| count.to_string()).collect::<Vec<_>>().join(" ")
    }
}

/// A long run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long records are sent.
    pub length: Duration,
    /// Records per second.
    pub rate: u64,
    /// How often a connection is broken.
    pub cut_every: Duration,
}

/// Runs it, prints a line each minute and a summary.
///
/// # Errors
/// A record has no outcome or two, is in the log twice or not at all, or memory grew.
pub fn run(plan: &Plan) -> Result<()> {
    let mut brokers = Server::start("soak-brokers", &[])?;
    let producer = Producer::builder().bootstrap_servers(brokers.bootstrap.as_str()).linger_ms(5).build()?;
    producer.partition_count(TOPIC)?;
    let sample_every = (plan.length / 30).min(Duration::from_secs(10));
    let mut ledger = Ledger::default();
    let mut memory = Vec::new();
    let began = Instant::now();
    let (mut next_cut, mut next_sample, mut next_line) =
        (plan.cut_every, sample_every, Duration::from_secs(60).min(plan.length));
    println!(
        "{:>8} {:>12} {:>10} {:>8} {:>10} {:>6} {:>9}",
        "seconds", "delivered", "rate/s", "failed", "open", "cuts", "RSS MiB"
    );
    loop {
        let elapsed = began.elapsed();
        if elapsed >= plan.length {
            break;
        }
        let due = (elapsed.as_micros() * u128::from(plan.rate) / 1_000_000) as u64;
        while ledger.sent < due {
            let value = value(0, ledger.sent);
            ledger.sent(producer.send(&Record::to(TOPIC).value(&value))?)?;
        }
        ledger.take()?;
        if elapsed >= next_cut {
            next_cut += plan.cut_every;
            brokers.ask("cut")?;
        }
        if elapsed >= next_sample {
            next_sample += sample_every;
            memory.push(resident_kib().saturating_sub(ledger.kib()));
        }
        if elapsed >= next_line {
            next_line += Duration::from_secs(60);
            let cuts = brokers.ask("counts")?;
            line(&ledger, elapsed, cuts.split(' ').next().unwrap_or("?"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    if !producer.flush_timeout(PATIENCE) {
        return Err("not flushed in time".into());
    }
    ledger.finish()?;
    let counts = brokers.ask("counts")?;
    let mut counts = counts.split(' ').filter_map(|count| count.parse::<u64>().ok());
    let cuts = counts.next().unwrap_or(0);
    line(&ledger, began.elapsed(), &cuts.to_string());
    let stats = producer.stats();
    println!("retried records {}, connections {}", stats.records_retried, stats.connections_opened);
    producer.close(PATIENCE)?;
    check(&ledger, counts.sum(), cuts)?;
    flat(&memory)
}

/// Memory is told without that of the book-keeping.
fn line(ledger: &Ledger, elapsed: Duration, cuts: &str) {
    let seconds = elapsed.as_secs_f64();
    println!(
        "{seconds:>8.0} {:>12} {:>10.0} {:>8} {:>10} {cuts:>6} {:>9.1}",
        ledger.delivered,
        ledger.delivered as f64 / seconds,
        ledger.failed,
        ledger.outstanding(),
        resident_kib().saturating_sub(ledger.kib()) as f64 / 1024.0,
    );
}

fn check(ledger: &Ledger, appended: u64, cuts: u64) -> Result<()> {
    ledger.complete()?;
    if appended != ledger.delivered {
        return Err(format!("{} records delivered, but {appended} in the log", ledger.delivered).into());
    }
    if cuts == 0 {
        return Err("no connection was broken: the run shows nothing".into());
    }
    println!("{} records, each with one outcome and one place in the log; {cuts} connections broken", ledger.sent);
    Ok(())
}

/// The median of the last third of the samples must not be above that of the first by more than 5 percent and [`SLACK_KIB`].
fn flat(samples: &[u64]) -> Result<()> {
    let third = samples.len() / 3;
    if third == 0 {
        return Err("too short to say anything of memory".into());
    }
    let (first, last) = (median(&samples[..third]), median(&samples[samples.len() - third..]));
    let highest = samples.iter().max().copied().unwrap_or(0);
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "memory: {:.1} MiB in the first third, {:.1} in the last, {:.1} at most",
        mib(first),
        mib(last),
        mib(highest)
    );
    if last > first + first / 20 + SLACK_KIB {
        return Err("memory grows".into());
    }
    Ok(())
}

fn median(samples: &[u64]) -> u64 {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for &sample in samples {
        *counts.entry(sample).or_default() += 1;
    }
    let mut seen = 0;
    let middle = counts.into_iter().find(|(_, count)| {
        seen += count;
        seen * 2 >= samples.len()
    });
    middle.map_or(0, |(sample, _)| sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_noticed() {
        assert!(flat(&[30_000, 30_100, 30_200, 30_300, 31_000, 30_900]).is_ok());
        assert!(flat(&[30_000, 31_000, 33_000, 34_000, 36_000, 37_000]).is_err());
        assert!(flat(&[30_000, 31_000]).is_err());
        assert_eq!(median(&[5, 1, 3]), 3);
    }
}
