//! A producer, a cluster and the network between them, on one virtual clock.
//!
//! [`World`] runs the real protocol core of klamm against a simulated [`Cluster`], moves bytes between them through a simulated
//! [`Network`], and advances a virtual clock from event to event: a minute of outage takes microseconds. Everything follows from
//! one seed and from what the test does; the same run gives the same trace on every platform.
//!
//! ```
//! use klamm_sim::world::{World, WorldOptions};
//! use klamm_sim::{Action, Api, Fault, error};
//!
//! let mut world = World::new(WorldOptions::seeded(1));
//! world.cluster_mut().create_topic("readings", 3);
//! // The first attempt is refused, as while a leader moves.
//! world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Action::Error(error::NOT_LEADER_OR_FOLLOWER)));
//!
//! let topic = world.topic("readings");
//! world.send_value(topic, "21.5").unwrap();
//! assert!(world.run_until_settled(10_000));
//! assert_eq!(world.delivered(), 1);
//! world.verify();
//! ```
//!
//! # What is checked
//!
//! After every step, with a panic that shows the seed and the last lines of the trace:
//!
//! * each accepted record has at most one outcome, and only accepted records have any;
//! * a deadline that was served is gone: the producer never asks to be called in a loop;
//! * bytes that the producer lent to the network do not change until they are taken;
//! * a command that said `wake: false` gave no earlier deadline.
//!
//! From time to time when every record has its outcome, and in [`World::verify`]:
//!
//! * delivered records lie in the log at the partition and offset told, unchanged;
//! * records said to be `NotWritten` are in no log, and logs hold nothing that was not accepted;
//! * with idempotence nothing is there twice and each log keeps the order of acceptance.
//!
//! [`World::run_until_idle`] checks in addition that all memory is free again.
//!
//! # Driving it
//!
//! Time passes only in the `run_…` methods. In between a test sends, looks, breaks things
//! ([`World::cluster_mut`], [`World::network_mut`]) and goes on.

mod codecs;
mod drive;
mod ledger;
mod link;
mod network;
mod options;
mod random;
mod trace;
mod verify;

pub use codecs::Codecs;
pub use ledger::{Content, Entry, Outcome};
pub use network::{Cut, Direction, Flip, Network, Pieces};
pub use options::{Checks, WorldOptions};
pub use random::Random;

use crate::cluster::Cluster;
use klamm_core::{
    Acks, Config, Event, Instant, OnGap, PeerError, Producer, Record, SendError, Stats, Storage, TopicId,
};
use ledger::Ledger;
use link::Link;
use std::fmt;
use std::time::Duration;
use trace::Trace;

/// See the [module's documentation](self).
pub struct World {
    seed: u64,
    now_us: u64,
    random: Random,
    producer: Producer<'static>,
    cluster: Cluster,
    network: Network,
    codecs: Codecs,
    jobs: Vec<codecs::Job>,
    links: Vec<Link>,
    connections_made: u64,
    ledger: Ledger,
    events: Vec<(u64, Event)>,
    peer_errors: Vec<(u64, PeerError)>,
    texts: Vec<String>,
    trace: Trace,
    checks: Checks,
    /// Inputs or commands came since the last poll.
    stirred: bool,
    /// What `poll_timeout` said last.
    deadline_us: Option<u64>,
    wakeups: u64,
    verified_at: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now_us", &self.now_us).finish_non_exhaustive()
    }
}

impl World {
    /// A world at time zero, in which nothing has happened.
    ///
    /// # Panics
    /// If the configuration is refused; see [`World::try_new`].
    #[must_use]
    pub fn new(options: WorldOptions) -> Self {
        Self::try_new(options).unwrap_or_else(|error| panic!("the producer cannot be made: {error}"))
    }

    /// The same, with the producer's own judgement of its configuration.
    ///
    /// # Errors
    /// What the producer says.
    pub fn try_new(options: WorldOptions) -> Result<Self, klamm_core::ConfigError> {
        let mut random = Random::new(options.seed);
        let cluster = Cluster::new(options.cluster);
        let mut network = options.network;
        for broker in cluster.brokers() {
            network.name_host(&cluster.address(broker).0);
        }
        let servers = options.bootstrap.unwrap_or_else(|| cluster.bootstrap_servers());
        let mut config = Config::new(servers);
        config.crc32c = crc32c::crc32c_append;
        for change in options.configure {
            change(&mut config);
        }
        let answered = config.acks != Acks::None;
        let checks = options.checks.unwrap_or(Checks {
            offsets: answered,
            fates: true,
            once_in_order: config.enable_idempotence && config.on_gap == OnGap::Fail,
        });
        let storage = options.storage.unwrap_or_else(|| Storage::heap(&options.limits));
        let producer = Producer::new(config, storage, random.seed(), Instant::ZERO)?;
        let mut world = Self {
            seed: options.seed,
            now_us: 0,
            random,
            producer,
            cluster,
            network,
            codecs: options.codecs,
            jobs: Vec::new(),
            links: Vec::new(),
            connections_made: 0,
            ledger: Ledger::default(),
            events: Vec::new(),
            peer_errors: Vec::new(),
            texts: Vec::new(),
            trace: Trace::default(),
            checks,
            stirred: true,
            deadline_us: None,
            wakeups: 0,
            verified_at: 0,
        };
        if options.clock {
            world.set_wall_clock();
        }
        Ok(world)
    }

    // ---- commands ----

    /// A topic of the producer. The cluster's topics are made with [`Cluster::create_topic`].
    ///
    /// # Panics
    /// If the producer refuses it; see [`World::try_topic`].
    pub fn topic(&mut self, name: &str) -> TopicId {
        self.try_topic(name).unwrap_or_else(|error| self.fail(format_args!("topic {name}: {error}")))
    }

    /// The same, with the producer's answer.
    ///
    /// # Errors
    /// What the producer says.
    pub fn try_topic(&mut self, name: &str) -> Result<TopicId, SendError> {
        let topic = self.producer.topic(name)?;
        self.ledger.know_topic(topic, name);
        self.stirred = true;
        Ok(topic)
    }

    /// Sends a record. The result is its place in [`World::records`].
    ///
    /// # Errors
    /// What the producer says.
    pub fn send(&mut self, topic: TopicId, record: &Record<'_>) -> Result<usize, SendError> {
        let sent = self.producer.send(Instant::from_micros(self.now_us), topic, record);
        let accepted = match sent {
            Ok(accepted) => accepted,
            Err(error) => {
                // A refusal hurries what lingers, so the driver has to look.
                self.stirred = true;
                self.trace.push(self.now_us, format_args!("send refused: {error}"));
                return Err(error);
            }
        };
        self.trace.push(self.now_us, format_args!("send {:?} slot {}", accepted.id, accepted.slot));
        self.stirred |= accepted.wake || accepted.compress;
        if !self.stirred {
            let deadline = self.producer.poll_timeout().map(|deadline| deadline.at.as_micros());
            if deadline.unwrap_or(u64::MAX) < self.deadline_us.unwrap_or(u64::MAX) {
                self.fail(format_args!(
                    "wake: false, but the deadline moved from {:?} to {deadline:?}",
                    self.deadline_us
                ));
            }
        }
        let booked = self.ledger.accept(self.now_us, topic, record, accepted);
        Ok(booked.unwrap_or_else(|wrong| self.fail(format_args!("{wrong}"))))
    }

    /// Sends a record that is only a value.
    ///
    /// # Errors
    /// What the producer says.
    pub fn send_value(&mut self, topic: TopicId, value: impl AsRef<[u8]>) -> Result<usize, SendError> {
        self.send(topic, &Record::value(value.as_ref()))
    }

    /// Sends a record with a key.
    ///
    /// # Errors
    /// What the producer says.
    pub fn send_keyed(
        &mut self,
        topic: TopicId,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<usize, SendError> {
        self.send(topic, &Record::keyed(key.as_ref(), value.as_ref()))
    }

    /// Sends a value to a partition.
    ///
    /// # Errors
    /// What the producer says.
    pub fn send_to(&mut self, topic: TopicId, partition: i32, value: impl AsRef<[u8]>) -> Result<usize, SendError> {
        self.send(topic, &Record::value(value.as_ref()).to_partition(partition))
    }

    /// [`Producer::flush`].
    pub fn flush(&mut self) {
        self.producer.flush(Instant::from_micros(self.now_us));
        self.stirred = true;
    }

    /// [`Producer::close`].
    pub fn close(&mut self, within_ms: u64) {
        self.producer.close(Instant::from_micros(self.now_us), Duration::from_millis(within_ms));
        self.stirred = true;
    }

    /// [`Producer::fail_all`].
    pub fn fail_all(&mut self) {
        self.producer.fail_all(Instant::from_micros(self.now_us));
        self.stirred = true;
    }

    /// Tells the producer what time it is by the cluster's wall clock.
    pub fn set_wall_clock(&mut self) {
        let unix_ms = self.unix_ms();
        self.producer.set_wall_clock(Instant::from_micros(self.now_us), unix_ms);
    }

    // ---- time ----

    /// Lets time pass.
    pub fn run_for(&mut self, ms: u64) {
        let until_us = self.now_us.saturating_add(ms.saturating_mul(1000));
        self.run(until_us, |_| false);
        self.now_us = until_us;
    }

    /// Lets time pass until `done`, at most for this long. Whether it was done.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool, limit_ms: u64) -> bool {
        let until_us = self.now_us.saturating_add(limit_ms.saturating_mul(1000));
        self.run(until_us, &mut done) || done(self)
    }

    /// Lets time pass until every accepted record has its outcome. Whether that came about in time.
    pub fn run_until_settled(&mut self, limit_ms: u64) -> bool {
        self.run_until(|world| world.unsettled() == 0, limit_ms)
    }

    /// Lets time pass until nothing is outstanding, all memory is free, and nothing is under way. Whether that came about
    /// in time.
    pub fn run_until_idle(&mut self, limit_ms: u64) -> bool {
        self.run_until(
            |world| {
                let producer = &world.producer;
                world.ledger.unsettled() == 0
                    && producer.outstanding_batches() == 0
                    && producer.buffer_available_bytes() == producer.buffer_total_bytes()
                    && world.links.iter().all(Link::is_quiet)
            },
            limit_ms,
        )
    }

    // ---- looks ----

    /// Microseconds since the start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Milliseconds since the start: the cluster's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// The brokers' wall clock, in Unix milliseconds.
    pub fn unix_ms(&mut self) -> i64 {
        self.cluster.options_mut().wall_clock_base_ms.saturating_add_unsigned(self.now_us / 1000)
    }

    /// Every accepted record, in the order of acceptance.
    #[must_use]
    pub fn records(&self) -> &[Entry] {
        self.ledger.entries()
    }

    /// The outcome of each accepted record, as far as it is known.
    pub fn outcomes(&self) -> impl Iterator<Item = Option<Outcome>> {
        self.ledger.entries().iter().map(|entry| entry.outcome)
    }

    /// The outcome of a record.
    #[must_use]
    pub fn outcome(&self, record: usize) -> Option<Outcome> {
        self.ledger.entries().get(record)?.outcome
    }

    /// How many records were delivered.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.outcomes().flatten().filter(Outcome::is_delivered).count()
    }

    /// How many records failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes().flatten().filter(|outcome| !outcome.is_delivered()).count()
    }

    /// How many records have no outcome yet.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.ledger.unsettled()
    }

    /// Every event that the producer told, with its time in microseconds.
    #[must_use]
    pub fn events(&self) -> &[(u64, Event)] {
        &self.events
    }

    /// Whether the producer told this event.
    #[must_use]
    pub fn saw(&self, event: Event) -> bool {
        self.events.iter().any(|(_, told)| *told == event)
    }

    /// Forgets the events so far.
    pub fn clear_events(&mut self) {
        self.events.clear();
    }

    /// What the producer had to say of its peers' manners.
    #[must_use]
    pub fn peer_errors(&self) -> &[(u64, PeerError)] {
        &self.peer_errors
    }

    /// The brokers' words on failed batches, in the order of their events.
    #[must_use]
    pub fn error_texts(&self) -> &[String] {
        &self.texts
    }

    /// How often a deadline woke the producer.
    #[must_use]
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// How many connections were opened, or tried to be.
    #[must_use]
    pub fn connections_made(&self) -> u64 {
        self.connections_made
    }

    /// How many connections the producer holds open, or is opening.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.links.iter().filter(|link| link.conn.is_some()).count()
    }

    /// The producer's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.producer.stats()
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster, to break it.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// The network, to break it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The codecs outside the core, to slow or break them.
    pub fn codecs_mut(&mut self) -> &mut Codecs {
        &mut self.codecs
    }

    /// Compression jobs that are being done.
    #[must_use]
    pub fn jobs_under_way(&self) -> usize {
        self.jobs.len()
    }

    /// The producer, for a look.
    #[must_use]
    pub fn producer(&self) -> &Producer<'static> {
        &self.producer
    }

    /// The producer, for commands that the world does not have. It is polled when time passes next.
    pub fn producer_mut(&mut self) -> &mut Producer<'static> {
        self.stirred = true;
        &mut self.producer
    }

    /// The world's own randomness.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The last lines of what happened.
    pub fn trace(&self) -> impl Iterator<Item = &str> {
        self.trace.lines()
    }

    /// A sum over all lines of the trace: equal for equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Adds a line of the test's own to the trace.
    pub fn note(&mut self, line: impl fmt::Display) {
        self.trace.push(self.now_us, format_args!("-- {line}"));
    }

    /// Compares the logs with what was told so far.
    ///
    /// # Panics
    /// If they disagree.
    pub fn verify(&mut self) {
        if let Err(wrong) = verify::verify(&self.ledger, &self.cluster, &self.checks) {
            self.fail(format_args!("{wrong}"));
        }
    }

    /// Ends the test with all that is needed to repeat it.
    fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        panic!("{what}\nseed {}\n{}", self.seed, self.trace.tail())
    }
}

/// A panic inside the producer shows the trace too.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("world of seed {} at {} us; {}", self.seed, self.now_us, self.trace.tail());
        }
    }
}
