//! The sensor's readings by klamm: Kafka, idempotent, in batches, to as many brokers and partitions as there are.
#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};
use core::mem::MaybeUninit;

use board_shell::time::{now_us, sleep};
use board_shell::{BYTES, Memory, Network, READINGS, Radio, take};
use klamm_core::{Config, Event, Header, Instant, Producer, Record, SendError, TopicId, static_storage};
use klamm_firmware_app::sensor::Reading;
use klamm_smoltcp::{Connection, Driver, Options};

/// Connections, each with a socket of its own.
const CONNECTIONS: usize = 2;

/// 4 KiB for readings; one topic, four of its partitions at a time, three brokers: the firmware's own.
type Tables = static_storage!(
    block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 3, connections: 2
);

// Statics, so that the linker counts all of the RAM.
static mut RADIO: Radio = Radio::new();
static mut MEMORY: Memory<2, 4> = Memory::new();
static mut NETWORK: MaybeUninit<Network<2>> = MaybeUninit::uninit();
static mut CLIENT: MaybeUninit<Producer<'static>> = MaybeUninit::uninit();
static mut CLIENT_TABLES: Tables = Tables::new();
static mut CLIENT_CONNECTIONS: MaybeUninit<[Connection; CONNECTIONS]> = MaybeUninit::uninit();

/// A product would start anew.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        spin_loop();
    }
}

/// The board's entry; a real one sets up stack, `.data`, `.bss` and the radio first.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".start")]
pub extern "C" fn _start() -> ! {
    // SAFETY: this runs once, before anything else, so that nobody else holds the memory.
    let (radio, memory, network, client, tables, connections) = unsafe {
        let (radio, memory, network) = (take(&raw mut RADIO), take(&raw mut MEMORY), take(&raw mut NETWORK));
        let (client, tables) = (take(&raw mut CLIENT), take(&raw mut CLIENT_TABLES));
        (radio, memory, network, client, tables, take(&raw mut CLIENT_CONNECTIONS))
    };
    let network = network.write(Network::new(radio, memory, black_box(7)));
    let connections = connections.write(network.tcp.map(Connection::new));
    let mut config = Config::new("kafka.example:9092");
    config.client_id = "klamm-firmware".into();
    config.linger_ms = 5;
    config.batch_size = 1000;
    config.request_timeout_ms = 10_000;
    if let Some(storage) = tables.storage()
        && let Ok(producer) = Producer::new(config, storage, black_box([7; 32]), now())
    {
        let producer = client.write(producer);
        if let Ok(topic) = producer.topic("readings") {
            let mut sensor = Sensor { topic, next: 0, pending: None, waits: false, stored: 0, lost: 0 };
            sensor.publish_all(producer, network, connections);
            black_box((sensor.stored, sensor.lost));
        }
    }
    loop {
        spin_loop();
    }
}

struct Sensor {
    topic: TopicId,
    /// The number of the next reading.
    next: u32,
    /// The reading that could not be sent yet.
    pending: Option<Reading>,
    /// There is no room for it, or the number of partitions is not known.
    waits: bool,
    stored: u32,
    lost: u32,
}

impl Sensor {
    /// Publishes all readings: readings in, whatever the network can do now, outcomes out, sleep.
    fn publish_all(
        &mut self,
        producer: &mut Producer<'static>,
        network: &mut Network<2>,
        connections: &mut [Connection],
    ) {
        let mut options = Options::default();
        options.dns = Some(network.dns);
        options.port_seed = black_box(7);
        let mut driver = Driver::new(connections, options);
        while self.stored + self.lost < READINGS {
            let now = now();
            self.send(producer, now);
            let next = driver.turn(now, network.radio, network.interface, &mut network.sockets, producer);
            let leased = network.poll_lease();
            let heard = self.hear(producer);
            if !leased && !heard {
                sleep(next.map(Instant::as_micros));
            }
        }
    }

    fn send(&mut self, producer: &mut Producer<'static>, now: Instant) {
        while !self.waits && self.next < READINGS {
            let number = self.next;
            let reading = self.pending.get_or_insert_with(|| Reading::new(number, BYTES));
            let headers = [Header { key: "unit", value: Some(reading.unit.as_bytes()) }];
            let record = Record {
                key: reading.key.map(str::as_bytes),
                value: Some(reading.value()),
                headers: &headers,
                timestamp: None,
                partition: None,
            };
            match producer.send(now, self.topic, &record) {
                Ok(_) => {}
                Err(SendError::Full | SendError::BrokerShare | SendError::PartitionsUnknown) => {
                    self.waits = true;
                    return;
                }
                Err(_) => self.lost += 1,
            }
            self.pending = None;
            self.next += 1;
            if self.next == READINGS {
                producer.flush(now);
            }
        }
    }

    fn hear(&mut self, producer: &mut Producer<'static>) -> bool {
        let mut heard = false;
        while let Some(event) = producer.poll_event() {
            heard = true;
            match event {
                Event::Batch(outcome) if outcome.result.is_ok() => self.stored += outcome.count,
                Event::Batch(outcome) => self.lost += outcome.count,
                Event::Writable | Event::Topic(_) => self.waits = false,
                _ => {}
            }
        }
        heard
    }
}

fn now() -> Instant {
    Instant::from_micros(now_us())
}
