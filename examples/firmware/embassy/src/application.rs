//! The application as tasks: two sensors that send through one producer, its driver, one that hears what became of readings, one that
//! sees to the end, and the network stack.

use core::cell::Cell;
use core::future::pending;
use core::mem::MaybeUninit;

use embassy_executor::{SpawnError, Spawner};
use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_net::{DhcpConfig, Runner, Stack, StackResources};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use klamm_core::{Event, Instant, TopicId};
use klamm_embedded_io::{Clock, Driver, EmbassyTcp, Shared};
use klamm_firmware_app::sensor::{Kind, Reading};
use klamm_firmware_app::{
    CLOSE_WITHIN, CONNECTIONS, Ended, RECEIVE_MAX, Settings, TRANSMIT_MAX, Tables, Tally, begin, producer, report,
};
use klamm_lm3s6965_chip as chip;

use crate::device::Device;
use crate::time;

/// Bytes that go between producer and socket at a time, both ways together.
const CHUNK: usize = 1024;
/// Sockets of the stack: those of the connections, DNS and DHCP.
const SOCKETS: usize = CONNECTIONS + 2;

/// The producer for all tasks: they are in one executor.
type Kafka = Shared<'static, NoopRawMutex, EmbassyClock>;

/// embassy's time, as the driver asks for it.
pub(crate) struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        time::now()
    }

    async fn sleep_until(&self, at: Instant) {
        Timer::at(embassy_time::Instant::from_micros(at.as_micros())).await;
    }
}

/// What the tasks share, besides what the executor keeps of each of them, and the producer's [`Tables`].
pub(crate) struct Memory {
    kafka: MaybeUninit<Kafka>,
    stack: StackResources<SOCKETS>,
    buffers: [([u8; RECEIVE_MAX], [u8; TRANSMIT_MAX]); CONNECTIONS],
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self {
            kafka: MaybeUninit::uninit(),
            stack: StackResources::new(),
            buffers: [([0; RECEIVE_MAX], [0; TRANSMIT_MAX]); CONNECTIONS],
        }
    }
}

/// How far the application is.
pub(crate) struct Progress {
    tally: Cell<Tally>,
    /// There is nothing to do but to stay connected.
    idle: Cell<bool>,
    /// All readings are taken, or no further one can be.
    measured: Signal<NoopRawMutex, ()>,
    /// The last event was heard.
    over: Signal<NoopRawMutex, ()>,
}

impl Progress {
    pub(crate) const fn new() -> Self {
        Self { tally: Cell::new(Tally::new()), idle: Cell::new(false), measured: Signal::new(), over: Signal::new() }
    }

    /// Counts a sleep that begins now.
    pub(crate) fn sleep(&self, awoke: Instant, now: Instant) {
        self.count(|tally| tally.sleep(awoke, now, self.idle.get()));
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) -> Tally {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
        tally
    }
}

/// What every task knows.
#[derive(Clone, Copy)]
struct Job {
    kafka: &'static Kafka,
    topic: TopicId,
    settings: Settings<'static>,
    progress: &'static Progress,
    start: Instant,
}

/// Begins all tasks.
#[inline(never)] // what is made on the stack first is not on the tasks' stack
pub(crate) fn start(
    spawner: Spawner,
    device: Device,
    tables: &'static mut Tables,
    memory: &'static mut Memory,
    progress: &'static Progress,
    settings: Settings<'static>,
) -> Result<(), Ended> {
    let start = time::now();
    let seed = chip::seed(start);
    let mut producer = producer(tables, &settings, seed, start).map_err(Ended::BadSettings)?;
    let topic = begin(&mut producer, &settings, start, Some(chip::unix_millis()))?;
    let kafka = memory.kafka.write(Kafka::new(producer, EmbassyClock));
    let job = Job { kafka, topic, settings, progress, start };

    let random = seed.iter().fold(0u64, |random, byte| random.rotate_left(8) ^ u64::from(*byte));
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let (stack, runner) = embassy_net::new(device, config, &mut memory.stack, random);
    let spawned = spawn_all(spawner, job, stack, runner, &mut memory.buffers);
    // Each is spawned once, and has a place of its own.
    spawned.map_err(|_| Ended::SomeFailed)
}

fn spawn_all(
    spawner: Spawner,
    job: Job,
    stack: Stack<'static>,
    runner: Runner<'static, Device>,
    buffers: &'static mut [([u8; RECEIVE_MAX], [u8; TRANSMIT_MAX]); CONNECTIONS],
) -> Result<(), SpawnError> {
    spawner.spawn(network(runner)?);
    spawner.spawn(drive(job, stack, buffers)?);
    spawner.spawn(hear(job)?);
    spawner.spawn(conduct(job)?);
    spawner.spawn(measure(job, Kind::Temperature)?);
    spawner.spawn(measure(job, Kind::Vibration)?);
    Ok(())
}

/// The network stack.
#[embassy_executor::task]
async fn network(mut runner: Runner<'static, Device>) {
    runner.run().await;
}

/// Takes the readings of one of the sensors.
#[embassy_executor::task(pool_size = 2)]
async fn measure(job: Job, kind: Kind) {
    let Job { kafka, topic, settings, progress, start } = job;
    let start = embassy_time::Instant::from_micros(start.as_micros());
    for number in (0..settings.records).filter(|number| Kind::of(*number) == kind) {
        if settings.pace_us > 0 {
            Timer::at(start + Duration::from_micros(u64::from(number) * u64::from(settings.pace_us))).await;
        }
        let reading = Reading::new(number, settings.bytes as usize);
        let headers = reading.headers();
        let sent = kafka.send(topic, &reading.record(&headers)).await;
        // What waiting could mend, `send` has waited for.
        let tally = progress.count(|tally| tally.taken += u32::from(sent.is_ok()));
        if sent.is_err() || tally.taken == settings.records {
            return progress.measured.signal(());
        }
    }
}

/// Moves the producer's bytes.
#[embassy_executor::task]
async fn drive(
    job: Job,
    stack: Stack<'static>,
    buffers: &'static mut [([u8; RECEIVE_MAX], [u8; TRANSMIT_MAX]); CONNECTIONS],
) {
    let Settings { receive, transmit, .. } = job.settings;
    let buffers =
        buffers.each_mut().map(|buffers| (shorten(&mut buffers.0, receive), shorten(&mut buffers.1, transmit)));
    let mut driver = Driver::<_, _, _, CONNECTIONS, CHUNK>::new(job.kafka, EmbassyTcp::new(stack, buffers));
    let driving = async { while let Either::Second(()) = select(driver.run(), until_dropped(job)).await {} };
    // In one task: embassy-net wakes only one that waits for an address.
    join(driving, announce(stack, job)).await;
}

/// For tests: whatever it is about, the driver may be dropped. It is as long as there are readings to come, if the settings say so.
async fn until_dropped(job: Job) {
    if job.settings.drop_ms == 0 || job.progress.tally.get().taken == job.settings.records {
        pending::<()>().await;
    }
    Timer::after_millis(job.settings.drop_ms.into()).await;
}

/// Says when the network is there.
async fn announce(stack: Stack<'static>, job: Job) {
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        let after_ms = time::now().micros_since(job.start) / 1000;
        let taken = job.progress.tally.get().taken;
        report::link_up(chip::say, config.address.address().octets(), after_ms, taken);
    }
}

/// Hears what became of the readings.
#[embassy_executor::task]
async fn hear(job: Job) {
    while let Some(event) = job.kafka.next_event().await {
        match event {
            Event::Batch(outcome) => {
                job.progress.count(|tally| tally.count(time::now(), &outcome));
            }
            Event::Problem(problem) => report::problem(chip::say, &problem),
            _ => {}
        }
    }
    job.progress.over.signal(());
}

/// Sees to the end.
#[embassy_executor::task]
async fn conduct(job: Job) {
    let Job { kafka, settings, progress, start, .. } = job;
    progress.measured.wait().await;
    kafka.flush().await;
    progress.idle.set(true);
    Timer::after_millis(settings.idle_ms.into()).await;
    progress.idle.set(false);
    kafka.close(CLOSE_WITHIN).await;
    progress.over.wait().await;
    let ms = time::now().micros_since(start) / 1000;
    let tally = progress.count(|tally| tally.ms = ms);
    kafka.with(|producer, _| report::statistics(chip::say, &tally, producer.stats()));
    chip::end(tally.ended(&settings))
}

fn shorten(buffer: &mut [u8], len: usize) -> &mut [u8] {
    let len = len.min(buffer.len());
    buffer.split_at_mut_checked(len).map_or(&mut [], |(first, _)| first)
}
