//! The sensor's readings by rust-mqtt: MQTT 5 with QoS 1, without heap. The client keeps identifiers of what is in flight and no
//! message; connecting anew, pings and sending again are the application's, which therefore keeps the readings.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::{black_box, spin_loop};
use core::mem::{MaybeUninit, size_of};
use core::num::NonZero;

use board_shell::time::{now_us, until};
use board_shell::{BYTES, Memory, Network, READINGS, ROOM, Radio, SERVER, Stream, run, take};
use klamm_firmware_app::sensor::Reading;
use rust_mqtt::Bytes;
use rust_mqtt::buffer::BumpBuffer;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{ConnectOptions, PublicationOptions, TopicReference};
use rust_mqtt::client::{Client, MqttError};
use rust_mqtt::config::KeepAlive;
use rust_mqtt::types::{MqttString, MqttStringPair, PacketIdentifier, TopicName};

/// Bytes of the largest packet that comes in.
const INCOMING: usize = 256;
/// Readings that are not acknowledged yet: as many as have room.
const KEPT: usize = ROOM / size_of::<Option<Kept>>();
const KEEP_ALIVE_S: u16 = 60;
const BACKOFF_US: u64 = 1_000_000;

/// A reading in flight.
struct Kept {
    id: PacketIdentifier,
    reading: Reading,
}

type Mqtt = Client<'static, 'static, Stream, BumpBuffer<'static>, 1, 1, KEPT, 0, 1, 0, 0>;
type Failure = MqttError<'static, 1>;

// Statics, so that the linker counts all of the RAM.
static mut RADIO: Radio = Radio::new();
static mut MEMORY: Memory<1, 3> = Memory::new();
static mut NETWORK: MaybeUninit<RefCell<Network<1>>> = MaybeUninit::uninit();
static mut CLIENT: MaybeUninit<Mqtt> = MaybeUninit::uninit();
static mut INCOMING_BUFFER: [u8; INCOMING] = [0; INCOMING];
static mut BUMP: MaybeUninit<BumpBuffer<'static>> = MaybeUninit::uninit();
static mut STORE: [Option<Kept>; KEPT] = [const { None }; KEPT];

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
    let (radio, memory, network, client, buffer, bump, store) = unsafe {
        let (radio, memory, network) = (take(&raw mut RADIO), take(&raw mut MEMORY), take(&raw mut NETWORK));
        let (client, buffer, bump) = (take(&raw mut CLIENT), take(&raw mut INCOMING_BUFFER), take(&raw mut BUMP));
        (radio, memory, network, client, buffer, bump, take(&raw mut STORE))
    };
    let network: &'static _ = network.write(RefCell::new(Network::new(radio, memory, black_box(7))));
    let client = client.write(Client::new(bump.write(BumpBuffer::new(buffer))));
    let mut sensor = Sensor { client, store, next: 0, pending: None, stored: 0 };
    run(network, sensor.publish_all(network));
    black_box(sensor.stored);
    loop {
        spin_loop();
    }
}

struct Sensor {
    client: &'static mut Mqtt,
    store: &'static mut [Option<Kept>; KEPT],
    /// The number of the next reading.
    next: u32,
    /// The reading that could not be sent yet.
    pending: Option<Reading>,
    stored: u32,
}

impl Sensor {
    /// Publishes all readings, over as many connections as it takes.
    async fn publish_all(&mut self, network: &'static RefCell<Network<1>>) {
        while self.stored < READINGS {
            if let Some(stream) = Stream::open(network, SERVER).await {
                // Whatever ended it: what was not acknowledged is sent again.
                let _ = self.use_connection(stream).await;
                let _ = self.client.abort().await;
            }
            let _ = until(now_us() + BACKOFF_US, || None::<()>).await;
        }
    }

    async fn use_connection(&mut self, stream: Stream) -> Result<(), Failure> {
        let keep_alive = NonZero::new(KEEP_ALIVE_S).map_or(KeepAlive::Infinite, KeepAlive::Seconds);
        // Anew each time: a message whose sending failed half-way leaves an identifier in flight that nobody is told.
        let options = ConnectOptions::new().clean_start().keep_alive(keep_alive);
        let client_id = MqttString::from_str("klamm-firmware").ok();
        drop(self.client.connect(stream, &options, client_id).await?);
        self.forget_packets();
        for kept in self.store.iter_mut().flatten() {
            if let Some(id) = send(self.client, &kept.reading).await? {
                kept.id = id;
            }
        }
        let mut ping_at = now_us() + u64::from(KEEP_ALIVE_S) * 500_000;
        while self.stored < READINGS {
            while self.can_take() {
                self.take_reading().await?;
            }
            let came = until(ping_at, || stream.is_readable().then_some(())).await;
            if came.is_some() {
                self.hear().await?;
            } else {
                self.client.ping().await.map_err(MqttError::inflate)?;
                ping_at = now_us() + u64::from(KEEP_ALIVE_S) * 500_000;
            }
        }
        Ok(())
    }

    fn can_take(&self) -> bool {
        self.next < READINGS && self.store.iter().any(Option::is_none)
    }

    async fn take_reading(&mut self) -> Result<(), Failure> {
        let number = self.next;
        let reading = *self.pending.get_or_insert_with(|| Reading::new(number, BYTES));
        if let Some(id) = send(self.client, &reading).await? {
            self.keep(id, reading);
        }
        self.pending = None;
        self.next += 1;
        Ok(())
    }

    fn keep(&mut self, id: PacketIdentifier, reading: Reading) {
        if let Some(free) = self.store.iter_mut().find(|kept| kept.is_none()) {
            *free = Some(Kept { id, reading });
        }
    }

    /// Takes one packet.
    async fn hear(&mut self) -> Result<(), Failure> {
        let event = self.client.poll().await?;
        let (id, is_stored) = match &event {
            Event::PublishAcknowledged(answer) => (Some(answer.packet_identifier), true),
            Event::PublishRejected(answer) => (Some(answer.packet_identifier), false),
            _ => (None, false),
        };
        drop(event);
        self.forget_packets();
        if let Some(place) = self.store.iter_mut().find(|kept| kept.as_ref().is_some_and(|kept| Some(kept.id) == id)) {
            *place = None;
            self.stored += u32::from(is_stored);
        }
        Ok(())
    }

    /// The memory of received packets is free again.
    fn forget_packets(&mut self) {
        // SAFETY: what the client hands out of that memory is dropped by the functions that call this, before they do.
        unsafe { self.client.buffer_mut().reset() }
    }
}

/// Publishes a reading.
async fn send(client: &mut Mqtt, reading: &Reading) -> Result<Option<PacketIdentifier>, Failure> {
    let text = |text| MqttString::from_str(text).unwrap_or_default();
    let Some(topic) = TopicName::new(text(reading.key.unwrap_or("readings"))) else { return Ok(None) };
    let unit = [MqttStringPair::new(text("unit"), text(reading.unit))];
    let mut options = PublicationOptions::new(TopicReference::Name(topic)).at_least_once();
    options.user_properties = &unit;
    client.publish(&options, Bytes::from(reading.value())).await.map_err(MqttError::inflate)
}
