//! What happens to the brokers, drawn from a seed.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use klamm_kafka_harness::Kafka;

use crate::chance::Chance;
use crate::journal::Journal;
use crate::weather::rest;
use crate::{BROKERS, PARTITIONS, Result, TOPIC};

/// How long a broker may take to come back, on a machine that has much else to do.
const RESTART_LIMIT: Duration = Duration::from_secs(240);
/// How much longer than planned there may be trouble, where the machine is so busy that little happens in the time.
pub const OVERTIME: Duration = Duration::from_secs(300);
/// How long an orderly end may take before it becomes a disorderly one.
const STOP_LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Deed {
    Kill,
    Stop,
    Pause,
    PauseTwo,
    MoveLeaders,
}

const DEEDS: [(u64, Deed); 5] =
    [(20, Deed::Kill), (20, Deed::Stop), (30, Deed::Pause), (10, Deed::PauseTwo), (20, Deed::MoveLeaders)];

/// How often what was done; counted as it happens, for the progress lines.
#[derive(Debug, Default)]
pub struct Deeds {
    /// SIGKILL.
    pub kills: AtomicU64,
    /// SIGTERM.
    pub stops: AtomicU64,
    /// SIGSTOP of one broker.
    pub pauses: AtomicU64,
    /// SIGSTOP of two at once.
    pub double_pauses: AtomicU64,
    /// Reassignments and elections.
    pub moves: AtomicU64,
    /// Brokers that ended by themselves, and were started again.
    pub deaths: AtomicU64,
}

/// How much is to happen.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long.
    pub length: Duration,
    /// How often a broker is killed, at least.
    pub kill_every: Duration,
}

impl Pace {
    /// How many kills there must be: a run goes on until there were, for [`OVERTIME`] at most.
    #[must_use]
    pub fn kills(&self) -> u64 {
        (self.length.as_secs_f64() / self.kill_every.as_secs_f64() / 1.5).ceil() as u64
    }
}

/// Does one thing after the other.
#[derive(Debug)]
pub struct Nemesis<'a> {
    kafka: &'a Handle<'a>,
    chance: Chance,
    deeds: &'a Deeds,
    journal: &'a Journal,
    stop: &'a AtomicBool,
}

/// The cluster; it has no words of its own for `Debug`.
pub struct Handle<'a>(pub &'a Kafka);

impl std::fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kafka")
    }
}

impl<'a> Nemesis<'a> {
    /// A nemesis for this cluster; `stop` ends it early.
    #[must_use]
    pub fn new(
        kafka: &'a Handle<'a>,
        chance: Chance,
        deeds: &'a Deeds,
        journal: &'a Journal,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { kafka, chance, deeds, journal, stop }
    }

    /// Acts for as long as the pace says. All brokers run when this returns.
    ///
    /// # Errors
    /// A broker does not come back.
    pub fn run(mut self, pace: &Pace) -> Result<()> {
        let began = Instant::now();
        loop {
            let (elapsed, kills) = (began.elapsed(), self.deeds.kills.load(Ordering::Relaxed));
            let enough = elapsed >= pace.length && kills >= pace.kills();
            if enough || elapsed >= pace.length + OVERTIME || self.stop.load(Ordering::Relaxed) {
                break;
            }
            let due = (elapsed.as_secs_f64() / pace.kill_every.as_secs_f64()) as u64;
            // A pause may be long: it must not eat up the time for kills.
            let deed = if kills < due || elapsed >= pace.length { Deed::Kill } else { self.chance.weighted(&DEEDS) };
            self.act(deed)?;
            self.look_after_the_dead()?;
            let quiet = self.chance.millis(300..=4_000);
            rest(quiet, self.stop);
        }
        self.journal.note("nemesis", "rests");
        Ok(())
    }

    fn act(&mut self, deed: Deed) -> Result<()> {
        let broker = self.chance.pick(&BROKERS);
        match deed {
            Deed::Kill => self.kill(broker),
            Deed::Stop => {
                self.note(format_args!("SIGTERM to broker {broker}"));
                self.kafka.0.shut_down(broker, STOP_LIMIT)?;
                count(&self.deeds.stops);
                self.bring_back(broker, 0..=6_000)
            }
            Deed::Pause => self.pause(broker),
            Deed::PauseTwo => {
                let others: Vec<i32> = BROKERS.into_iter().filter(|&other| other != broker).collect();
                let time = self.chance.millis(500..=6_000);
                self.note(format_args!("SIGSTOP to brokers {others:?} for {time:?}"));
                others.iter().try_for_each(|&other| self.kafka.0.pause(other))?;
                rest(time, self.stop);
                others.iter().try_for_each(|&other| self.kafka.0.resume(other))?;
                count(&self.deeds.double_pauses);
                Ok(())
            }
            Deed::MoveLeaders => self.move_leaders(),
        }
    }

    fn kill(&mut self, broker: i32) -> Result<()> {
        self.note(format_args!("SIGKILL to broker {broker}"));
        self.kafka.0.kill(broker)?;
        count(&self.deeds.kills);
        let range = if self.chance.percent(30) { 0..=0 } else { 500..=10_000 };
        self.bring_back(broker, range)
    }

    fn pause(&mut self, broker: i32) -> Result<()> {
        let range = self.chance.weighted(&[(60, (1_000, 5_000)), (25, (5_000, 15_000)), (15, (15_000, 40_000))]);
        let time = self.chance.millis(range.0..=range.1);
        self.note(format_args!("SIGSTOP to broker {broker} for {time:?}"));
        self.kafka.0.pause(broker)?;
        count(&self.deeds.pauses);
        rest(time, self.stop);
        if self.chance.percent(15) {
            return self.kill(broker);
        }
        self.note(format_args!("SIGCONT to broker {broker}"));
        Ok(self.kafka.0.resume(broker)?)
    }

    /// Starts a broker after a while, and mostly lets it catch up: if not, the next one may go while this one is behind.
    fn bring_back(&mut self, broker: i32, after_ms: std::ops::RangeInclusive<u64>) -> Result<()> {
        let time = self.chance.millis(after_ms);
        rest(time, self.stop);
        self.note(format_args!("broker {broker} starts after {time:?}"));
        self.kafka.0.restart_within(broker, RESTART_LIMIT)?;
        self.note(format_args!("broker {broker} is back"));
        if self.chance.percent(70) {
            self.kafka.0.wait_in_sync_within(RESTART_LIMIT)?;
            self.note("all replicas are in sync");
        }
        Ok(())
    }

    /// Half of the time by another order of the replicas, and then the first of them is elected; by Kafka's own tools.
    fn move_leaders(&mut self) -> Result<()> {
        if self.chance.percent(50) {
            let plan = self.plan();
            let path = self.kafka.0.dir().join("reassignment.json");
            fs::write(&path, plan)?;
            let path = path.display().to_string();
            let args = ["--execute", "--reassignment-json-file", &path];
            let output = self.kafka.0.run_tool("reassign-partitions", &args, b"")?;
            self.note(format_args!("replicas in another order: {}", output.status));
        }
        let args = ["--election-type", "preferred", "--all-topic-partitions"];
        // It fails for a partition whose first replica is behind, which is no fault.
        let output = self.kafka.0.run_tool("leader-election", &args, b"")?;
        self.note(format_args!("the first replicas are elected: {}", output.status));
        count(&self.deeds.moves);
        Ok(())
    }

    fn plan(&mut self) -> String {
        let mut partitions = Vec::new();
        for partition in 0..PARTITIONS {
            let first = self.chance.within(0..=2) as usize;
            let mut order = BROKERS;
            order.rotate_left(first);
            if self.chance.percent(50) {
                order.swap(1, 2);
            }
            partitions.push(format!(r#"{{"topic":"{TOPIC}","partition":{partition},"replicas":{order:?}}}"#));
        }
        format!(r#"{{"version":1,"partitions":[{}]}}"#, partitions.join(","))
    }

    /// A broker may give up by itself, for example when it was paused beyond all its time-outs.
    fn look_after_the_dead(&mut self) -> Result<()> {
        for broker in BROKERS {
            if !self.kafka.0.is_running(broker) {
                self.note(format_args!("broker {broker} ended by itself"));
                count(&self.deeds.deaths);
                self.kafka.0.restart_within(broker, RESTART_LIMIT)?;
            }
        }
        Ok(())
    }

    fn note(&self, what: impl std::fmt::Display) {
        self.journal.note("nemesis", what);
    }
}

fn count(deed: &AtomicU64) {
    deed.fetch_add(1, Ordering::Relaxed);
}
