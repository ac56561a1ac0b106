//! The application: takes readings, hands them to the producer, counts what became of them.

use core::time::Duration;

use klamm_core::{
    BatchOutcome, Config, ConfigError, Event, Header, Instant, Problem, Producer, Record, SendError, TopicId,
};
use klamm_smoltcp::{Connection, Driver, Options};

use crate::network::Network;
use crate::sensor::Reading;
use crate::{Board, Memory, Settings, Tables, report};

/// How long a batch waits for more readings, in milliseconds.
const LINGER_MS: u32 = 5;
/// Bytes of a batch: four blocks of the arena, so that three partitions can fill one each.
const BATCH_SIZE: u32 = 1000;
/// How long an answer may take, in milliseconds. A dead broker is noticed after so long at the latest.
const REQUEST_TIMEOUT_MS: u32 = 10_000;
/// How long the end waits for outcomes.
const CLOSE_WITHIN: Duration = Duration::from_secs(120);

/// How [`run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every reading is stored.
    AllStored,
    /// Some readings failed, or the producer gave up; the statistics say how many.
    SomeFailed,
    /// The settings cannot work.
    BadSettings(ConfigError),
    /// The topic's name cannot work.
    BadTopic(SendError),
}

/// What became of the readings, and what it took.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Tally {
    /// Readings that the producer accepted.
    pub(crate) taken: u32,
    /// Readings that are stored.
    pub(crate) delivered: u32,
    /// Readings that are not, or not for certain.
    pub(crate) failed: u32,
    /// The partitions that readings went to, as bits: partition modulo 32.
    pub(crate) partitions: u32,
    /// Milliseconds from the start to the end.
    pub(crate) ms: u64,
    /// Microseconds of that in which the board did not sleep.
    pub(crate) busy_us: u64,
    /// The longest time between two outcomes, in microseconds.
    pub(crate) silence_us: u64,
    /// How often it went to sleep.
    pub(crate) sleeps: u32,
    /// How often of that while it had nothing to do but to stay connected.
    pub(crate) idle_sleeps: u32,
}

/// What a reading waits for before it can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    No,
    /// For [`Event::Writable`].
    ForRoom,
    /// For [`Event::Topic`]: a keyed reading needs the number of partitions.
    ForPartitions,
}

/// Where the application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Publishing,
    /// All readings are accepted; their outcomes are to come.
    Flushing,
    /// All have their outcome; nothing to do until then.
    Idle(Instant),
    Closing,
    Over,
}

struct Application<'s> {
    settings: &'s Settings<'s>,
    topic: TopicId,
    /// The reading that the producer could not take yet.
    pending: Option<Reading>,
    waiting: Waiting,
    /// When the next reading is to be taken.
    due: Instant,
    /// When the last outcome came.
    heard: Option<Instant>,
    phase: Phase,
    tally: Tally,
}

/// Publishes readings until all that the settings ask for have their outcome, and says how that went.
pub fn run<B: Board>(
    board: &mut B,
    tables: &'static mut Tables,
    memory: &'static mut Memory,
    settings: &Settings<'static>,
) -> Ended {
    let seed = board.seed();
    let now = board.now();
    let Some(storage) = tables.storage() else {
        return Ended::BadSettings(ConfigError::StorageTooSmall { part: "tables", min: 1 });
    };
    let producer = match Producer::new(config(settings), storage, seed, now) {
        Ok(made) => memory.producer.write(made),
        Err(error) => return Ended::BadSettings(error),
    };
    if let Some(unix_millis) = board.unix_millis() {
        producer.set_wall_clock(now, unix_millis);
    }
    let topic = match producer.topic(settings.topic) {
        Ok(topic) => topic,
        Err(error) => return Ended::BadTopic(error),
    };
    if let Some(count) = settings.partitions {
        producer.declare_partitions(topic, count);
    }
    let random = seed.iter().fold(0u64, |random, byte| random.rotate_left(8) ^ u64::from(*byte));
    let network = Network::new(board, &mut memory.network, settings, random);
    Application::new(settings, topic, now).go_on(board, producer, network, random)
}

fn config(settings: &Settings<'static>) -> Config<'static> {
    let mut config = Config::new(settings.bootstrap);
    config.client_id = "klamm-firmware".into();
    config.linger_ms = LINGER_MS;
    config.batch_size = BATCH_SIZE;
    config.request_timeout_ms = REQUEST_TIMEOUT_MS;
    config
}

impl<'s> Application<'s> {
    fn new(settings: &'s Settings<'s>, topic: TopicId, now: Instant) -> Self {
        let phase = Phase::Publishing;
        let (waiting, tally) = (Waiting::No, Tally::default());
        Self { settings, topic, pending: None, waiting, due: now, heard: None, phase, tally }
    }

    /// The main loop: readings in, whatever the network can do now, outcomes out, sleep.
    fn go_on<B: Board>(
        mut self,
        board: &mut B,
        producer: &mut Producer<'static>,
        mut network: Network,
        random: u64,
    ) -> Ended {
        let mut connections = network.connections.map(Connection::new);
        let mut driver = Driver::new(&mut connections, driver_options(&network, random));
        let start = self.due;
        let mut awake = start;
        while self.phase != Phase::Over {
            let now = board.now();
            self.step(now, producer);
            let (interface, sockets) = (&mut *network.interface, &mut network.sockets);
            let mut next = driver.turn(now, board.device(), interface, sockets, producer);
            if let Some(lease) = network.poll_lease() {
                if let Some(address) = lease {
                    report::link_up(board, address, board_millis(now, start), self.tally.taken);
                }
                // Connections can be begun now, or have lost their address.
                next = Some(now);
            }
            if self.hear(now, producer) {
                continue;
            }
            let until = [next, self.next_step()].into_iter().flatten().min();
            let asleep = board.now();
            if until.is_some_and(|until| until <= asleep) {
                continue;
            }
            self.tally.busy_us += asleep.since(awake).as_micros() as u64;
            self.tally.sleeps += 1;
            self.tally.idle_sleeps += u32::from(matches!(self.phase, Phase::Idle(_)));
            board.sleep(until);
            awake = board.now();
        }
        self.tally.ms = board_millis(board.now(), start);
        report::statistics(board, &self.tally, producer.stats());
        let all = self.tally.delivered == self.settings.records && self.tally.failed == 0;
        if all { Ended::AllStored } else { Ended::SomeFailed }
    }

    /// Goes as far as it can now.
    fn step(&mut self, now: Instant, producer: &mut Producer<'_>) {
        match self.phase {
            Phase::Publishing => self.publish(now, producer),
            Phase::Idle(until) if until <= now => {
                producer.close(now, CLOSE_WITHIN);
                self.phase = Phase::Closing;
            }
            _ => {}
        }
        if self.phase == Phase::Publishing && self.tally.taken == self.settings.records {
            producer.flush(now);
            self.phase = Phase::Flushing;
        }
    }

    /// Takes the readings that are due, as long as there is room for them.
    fn publish(&mut self, now: Instant, producer: &mut Producer<'_>) {
        while self.waiting == Waiting::No && self.due <= now && self.tally.taken < self.settings.records {
            let (number, len) = (self.tally.taken, self.settings.bytes as usize);
            let reading = self.pending.get_or_insert_with(|| Reading::new(number, len));
            let headers = [Header { key: "unit", value: Some(reading.unit.as_bytes()) }];
            let record = Record {
                key: reading.key.map(str::as_bytes),
                value: Some(reading.value()),
                headers: &headers,
                timestamp: None,
                partition: None,
            };
            match producer.send(now, self.topic, &record) {
                Ok(_) => {
                    self.pending = None;
                    self.tally.taken += 1;
                    self.due = match self.settings.pace_us {
                        0 => now,
                        pace => Instant::from_micros(self.due.as_micros().saturating_add(pace.into())),
                    };
                }
                Err(SendError::Full | SendError::BrokerShare) => self.waiting = Waiting::ForRoom,
                Err(SendError::PartitionsUnknown) => self.waiting = Waiting::ForPartitions,
                // Nothing that waiting could mend.
                Err(_) => {
                    producer.close(now, CLOSE_WITHIN);
                    self.phase = Phase::Closing;
                    return;
                }
            }
        }
    }

    /// Takes what the producer has to tell. True if there is something to do at once.
    fn hear(&mut self, now: Instant, producer: &mut Producer<'_>) -> bool {
        let mut news = false;
        while let Some(event) = producer.poll_event() {
            match event {
                Event::Batch(outcome) => self.count(now, &outcome),
                Event::Writable if self.waiting == Waiting::ForRoom => self.waiting = Waiting::No,
                Event::Topic(_) if self.waiting == Waiting::ForPartitions => self.waiting = Waiting::No,
                Event::Flushed if self.phase == Phase::Flushing => {
                    self.phase = Phase::Idle(now.after_ms(self.settings.idle_ms));
                }
                Event::Closed => self.phase = Phase::Over,
                Event::Problem(problem) => tell(&problem),
                _ => continue,
            }
            news |= self.waiting == Waiting::No;
        }
        news
    }

    fn count(&mut self, now: Instant, outcome: &BatchOutcome) {
        let before = self.heard.replace(now).unwrap_or(now);
        self.tally.silence_us = self.tally.silence_us.max(now.since(before).as_micros() as u64);
        match outcome.result {
            Ok(_) => self.tally.delivered += outcome.count,
            Err(_) => self.tally.failed += outcome.count,
        }
        self.tally.partitions |= 1 << (outcome.partition & 31);
    }

    /// When [`step`](Self::step) has something to do.
    fn next_step(&self) -> Option<Instant> {
        match self.phase {
            Phase::Publishing if self.waiting == Waiting::No => Some(self.due),
            Phase::Idle(until) => Some(until),
            _ => None,
        }
    }
}

fn driver_options(network: &Network, random: u64) -> Options {
    let mut options = Options::default();
    options.dns = Some(network.dns);
    options.port_seed = random as u16;
    options
}

fn board_millis(now: Instant, start: Instant) -> u64 {
    now.since(start).as_millis() as u64
}

/// A problem is for people: nothing here could mend it.
fn tell(problem: &Problem) {
    #[cfg(feature = "defmt")]
    defmt::warn!("{}", problem);
    #[cfg(not(feature = "defmt"))]
    let _ = problem;
}
