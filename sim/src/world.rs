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
//! After every step, with a panic that shows the seed and the last lines of the trace, whatever cluster and network do:
//!
//! * each accepted record has at most one outcome, at the latest `delivery.timeout.ms` after its acceptance (to the
//!   microsecond: the world serves every deadline in time), and only accepted records have any;
//! * with idempotence, records that were accepted earlier for a partition have lower offsets;
//! * a batch is frozen: its producer id, epoch and first sequence number stand for the same bytes for ever, unless every
//!   broker that read it refused it;
//! * at most `max.in.flight.requests.per.connection` requests of a connection wait for an answer, and as many batches of a
//!   partition with idempotence; a request has one batch per partition, and batches of `max.request.size` in all;
//! * a batch leaves when `linger.ms` is over, if its leader is connected and idle, does not throttle, and nothing of its
//!   partition is in doubt; no request waits longer than `request.timeout.ms` (and what brokers throttle), no connection is
//!   opened for longer than `socket.connection.setup.timeout.max.ms` and its jitter;
//! * a failure has a reason: a code that a broker gave to that partition (or the cluster to a topic, or one that ended the
//!   producer), a delivery timeout that is over, a record that a broker found too large, a close;
//! * one `Flushed` for each flush, in the moment of its last outcome; `Writable` after `Full` at the latest when all memory is
//!   free; `Closed` by its deadline, as the last event;
//! * a refused batch is sent again only after `retry.backoff.ms` less its jitter, unless there may be a new leader; nothing is
//!   sent while a broker asked for patience; an answer that nobody asked for ends its connection;
//! * no more memory is free than there is, and all of it is once nothing is outstanding;
//! * a deadline that was served is gone: the producer never asks to be called in a loop;
//! * bytes that the producer lent to the network do not change until they are taken;
//! * a command that said `wake: false` gave no earlier deadline.
//!
//! From time to time when every record has its outcome, and in [`World::verify`], as far as [`Checks`] wants it:
//!
//! * delivered records lie in the log at the partition and offset told, unchanged, each at a place of its own, and those of
//!   which no offset was told somewhere;
//! * records said to be `NotWritten` are in no log, and logs hold nothing that was not accepted;
//! * with idempotence nothing is there twice and each log keeps the order of acceptance.
//!
//! [`World::run_until_idle`] waits until all memory is free again; [`World::run_idle`] counts what wakes a producer that has
//! nothing to do. What brokers read is known from [`Cluster::requests`](crate::Cluster::requests): without that history
//! nothing is checked of it, and no request is in the trace.
//!
//! # Driving it
//!
//! Time passes only in the `run_…` methods. In between a test sends, looks, breaks things
//! ([`World::cluster_mut`], [`World::network_mut`]) and goes on. [`World::calm`] ends all trouble.
//!
//! Code of your own runs over the producer in [`World::with_producer`]; see the [crate's documentation](crate#test-your-own-code).

mod arrival;
mod codecs;
mod debts;
mod drive;
mod hostile;
mod ledger;
mod link;
mod looks;
mod moment;
mod network;
mod options;
mod random;
mod talk;
mod trace;
mod user;
mod verify;
mod watch;

pub use codecs::Codecs;
pub use ledger::{Content, Entry, Outcome};
pub use network::{Cut, Direction, Flip, Network, Pieces};
pub use options::{Checks, WorldOptions};
pub use random::Random;
pub use user::Activity;

use crate::cluster::Cluster;
use crate::nemesis::Nemesis;
use debts::Debts;
use klamm_core::{Config, Event, Instant, PeerError, Producer, Record, SendError, Storage, TopicId};
use ledger::Ledger;
use link::Link;
use moment::Linger;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use trace::Trace;
use watch::{Terms, Watch};

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
    /// More simulated time than this is a failure.
    ends_after_ms: Option<u64>,
    checks: Checks,
    /// Inputs or commands came since the last poll.
    stirred: bool,
    /// What `poll_timeout` said last.
    deadline_us: Option<u64>,
    wakeups: u64,
    writes: u64,
    reads: u64,
    verified_at: u64,
    watch: Watch,
    debts: Debts,
    lingers: VecDeque<Linger>,
    /// How much of the cluster's history was read, and how many of its faults struck.
    seen: usize,
    struck: u64,
    /// When a connection ended last.
    ended_us: Option<u64>,
    /// Compression jobs of which nothing is ever heard.
    jobs_lost: u64,
    scratch: Vec<u8>,
    nemesis: Option<Nemesis>,
    delivery_timeout_ms: u64,
    /// See [`World::set_clock_lag`].
    clock_lag_us: u64,
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
        let blind = !options.cluster.keep_history;
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
        let checks = options.checks.unwrap_or_else(|| Checks::promised(&config));
        let terms = Terms::of(&config);
        let acks = config.acks;
        let checks = options.nemesis.as_ref().map_or(checks, |nemesis| checks.and(nemesis.leaves(acks)));
        let delivery_timeout_ms = config.delivery_timeout_ms.into();
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
            ledger: Ledger::new(terms.delivery_us, checks.once_in_order),
            events: Vec::new(),
            peer_errors: Vec::new(),
            texts: Vec::new(),
            trace: Trace::new(options.trace_all),
            ends_after_ms: options.ends_after_ms,
            checks,
            stirred: true,
            deadline_us: None,
            wakeups: 0,
            writes: 0,
            reads: 0,
            verified_at: 0,
            watch: Watch::new(terms),
            debts: Debts::default(),
            lingers: VecDeque::new(),
            seen: 0,
            struck: 0,
            ended_us: None,
            jobs_lost: 0,
            scratch: Vec::new(),
            nemesis: options.nemesis,
            delivery_timeout_ms,
            clock_lag_us: 0,
        };
        world.watch.blind = blind;
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
        if self.producer.stats().records_accepted != self.ledger.accepted() {
            self.book_strangers();
        }
        let now = self.now();
        let sent = self.producer.send(now, topic, record);
        let accepted = match sent {
            Ok(accepted) => accepted,
            Err(error) => {
                // A refusal hurries what lingers, so the driver has to look.
                self.stirred = true;
                self.debts.refused(error);
                self.trace.push(self.now_us, format_args!("send refused: {error}"));
                return Err(error);
            }
        };
        self.trace.push(self.now_us, format_args!("send {:?} slot {}", accepted.id, accepted.slot));
        self.stirred |= accepted.wake;
        #[cfg(feature = "codecs")]
        {
            self.stirred |= accepted.compress;
        }
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
        let position = booked.unwrap_or_else(|wrong| self.fail(format_args!("{wrong}")));
        if accepted.new_batch {
            self.lingers(position, topic);
        }
        Ok(position)
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
        self.debts.flush(&self.ledger);
        self.stirred = true;
    }

    /// [`Producer::close`].
    pub fn close(&mut self, within_ms: u64) {
        self.producer.close(Instant::from_micros(self.now_us), Duration::from_millis(within_ms));
        self.debts.close(self.now_us.saturating_add(within_ms.saturating_mul(1000)));
        self.stirred = true;
    }

    /// [`Producer::fail_all`].
    pub fn fail_all(&mut self) {
        self.producer.fail_all(Instant::from_micros(self.now_us));
        self.debts.close(self.now_us);
        self.stirred = true;
    }

    /// Tells the producer what time it is by the cluster's wall clock.
    pub fn set_wall_clock(&mut self) {
        let unix_ms = self.unix_ms();
        self.producer.set_wall_clock(Instant::from_micros(self.now_us), unix_ms);
    }

    /// From now on the producer is told times that are up to this many microseconds old, now and then older than the one before: a
    /// transport that reads a clock, waits for a lock, and calls. Deadlines are still served in time.
    pub fn set_clock_lag(&mut self, us: u64) {
        self.clock_lag_us = us;
        self.watch.terms.lag_us = self.watch.terms.lag_us.max(us);
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

    // ---- checks ----

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
