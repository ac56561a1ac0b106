//! The application: takes readings, hands them to the producer, counts what became of them.

use core::mem::MaybeUninit;

use klamm_core::{Event, Instant, Producer, SendError, TopicId};
use klamm_firmware_app::sensor::Reading;
use klamm_firmware_app::{CLOSE_WITHIN, Ended, Settings, Tables, Tally, begin, producer, report};
use klamm_smoltcp::{Connection, Driver, Options};

use crate::network::Network;
use crate::{Board, Memory};

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
    let unix_millis = board.unix_millis();
    let (producer, topic) = match install(&mut memory.producer, tables, settings, seed, now, unix_millis) {
        Ok(installed) => installed,
        Err(ended) => return ended,
    };
    let random = seed.iter().fold(0u64, |random, byte| random.rotate_left(8) ^ u64::from(*byte));
    let network = Network::new(board, &mut memory.network, settings, random);
    Application::new(settings, topic, now).go_on(board, producer, network, random)
}

/// Puts the producer in its place.
#[inline(never)] // what is made on the stack first is not on the main loop's stack
fn install<'p>(
    place: &'p mut MaybeUninit<Producer<'static>>,
    tables: &'static mut Tables,
    settings: &Settings<'static>,
    seed: [u8; 32],
    now: Instant,
    unix_millis: Option<i64>,
) -> Result<(&'p mut Producer<'static>, TopicId), Ended> {
    let producer = place.write(producer(tables, settings, seed, now).map_err(Ended::BadSettings)?);
    let topic = begin(producer, settings, now, unix_millis)?;
    Ok((producer, topic))
}

impl<'s> Application<'s> {
    fn new(settings: &'s Settings<'s>, topic: TopicId, now: Instant) -> Self {
        let phase = Phase::Publishing;
        let (waiting, tally) = (Waiting::No, Tally::new());
        Self { settings, topic, pending: None, waiting, due: now, phase, tally }
    }

    /// The main loop: readings in, whatever the network can do now, outcomes out, sleep.
    #[inline(never)] // so that the start, which needs much of the stack, has not this on it as well
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
                    let octets = address.address().octets();
                    report::link_up(|line| board.say(line), octets, board_millis(now, start), self.tally.taken);
                }
                // Connections can be begun now, or have lost their address.
                next = Some(now);
            }
            if self.hear(board, now, producer) {
                continue;
            }
            let until = [next, self.next_step()].into_iter().flatten().min();
            let asleep = board.now();
            if until.is_some_and(|until| until <= asleep) {
                continue;
            }
            self.tally.sleep(awake, asleep, matches!(self.phase, Phase::Idle(_)));
            board.sleep(until);
            awake = board.now();
        }
        self.tally.ms = board_millis(board.now(), start);
        report::statistics(|line| board.say(line), &self.tally, producer.stats());
        self.tally.ended(self.settings)
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
            let headers = reading.headers();
            match producer.send(now, self.topic, &reading.record(&headers)) {
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
    fn hear<B: Board>(&mut self, board: &mut B, now: Instant, producer: &mut Producer<'_>) -> bool {
        let mut news = false;
        while let Some(event) = producer.poll_event() {
            match event {
                Event::Batch(outcome) => self.tally.count(now, &outcome),
                Event::Writable if self.waiting == Waiting::ForRoom => self.waiting = Waiting::No,
                Event::Topic(_) if self.waiting == Waiting::ForPartitions => self.waiting = Waiting::No,
                Event::Flushed if self.phase == Phase::Flushing => {
                    self.phase = Phase::Idle(now.after_ms(self.settings.idle_ms));
                }
                Event::Closed => self.phase = Phase::Over,
                Event::Problem(problem) => report::problem(|line| board.say(line), &problem),
                _ => continue,
            }
            news |= self.waiting == Waiting::No;
        }
        news
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
    now.micros_since(start) / 1000
}
