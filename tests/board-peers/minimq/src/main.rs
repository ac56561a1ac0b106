//! The sensor's readings by minimq: MQTT 5 with QoS 1, without heap. The client keeps what is in flight (eight messages at most),
//! sends it again over the next connection and pings; connecting anew is the application's.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::{black_box, spin_loop};
use core::mem::MaybeUninit;
use core::task::Waker;

use board_shell::time::{alarm, now_us, until};
use board_shell::{BYTES, Lost, Memory, Network, READINGS, ROOM, Radio, SERVER, Stream, run, take};
use klamm_firmware_app::sensor::Reading;
use minimq::{Buffers, ConfigBuilder, Connection, Error, Op, Property, PubError, Publication, QoS, Session};

/// Bytes of the largest packet that comes in.
const INCOMING: usize = 256;
/// Messages that the client has in flight at most.
const IN_FLIGHT: usize = 8;
const BACKOFF_US: u64 = 1_000_000;

// Statics, so that the linker counts all of the RAM.
static mut RADIO: Radio = Radio::new();
static mut MEMORY: Memory<1, 3> = Memory::new();
static mut NETWORK: MaybeUninit<RefCell<Network<1>>> = MaybeUninit::uninit();
static mut CLIENT: MaybeUninit<Session<'static>> = MaybeUninit::uninit();
static mut INCOMING_BUFFER: [u8; INCOMING] = [0; INCOMING];
static mut OUTGOING_BUFFER: [u8; ROOM] = [0; ROOM];

/// The board's clock, as minimq asks for it.
struct Clock;

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        now_us()
    }

    fn schedule_wake(&self, at: u64, _: &Waker) {
        alarm(at); // there is one future, and it is polled then
    }
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

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
    let (radio, memory, network, client, incoming, outgoing) = unsafe {
        let (radio, memory, network) = (take(&raw mut RADIO), take(&raw mut MEMORY), take(&raw mut NETWORK));
        (radio, memory, network, take(&raw mut CLIENT), take(&raw mut INCOMING_BUFFER), take(&raw mut OUTGOING_BUFFER))
    };
    let network: &'static _ = network.write(RefCell::new(Network::new(radio, memory, black_box(7))));
    let config = ConfigBuilder::new(Buffers::new(incoming, outgoing)).session_expiry_interval(u32::MAX);
    if let Ok(config) = config.client_id("klamm-firmware") {
        let session = client.write(Session::new(config));
        let mut sensor = Sensor { in_flight: [None; IN_FLIGHT], next: 0, stored: 0, lost: 0 };
        run(network, sensor.publish_all(session, network));
        black_box((sensor.stored, sensor.lost));
    }
    loop {
        spin_loop();
    }
}

struct Sensor {
    in_flight: [Option<Op>; IN_FLIGHT],
    /// The number of the next reading.
    next: u32,
    stored: u32,
    /// Readings that the client dropped because the broker knew the session no longer.
    lost: u32,
}

impl Sensor {
    fn is_done(&self) -> bool {
        self.stored + self.lost >= READINGS
    }

    /// Publishes all readings, over as many connections as it takes.
    async fn publish_all(&mut self, session: &mut Session<'static>, network: &'static RefCell<Network<1>>) {
        while !self.is_done() {
            if let Some(stream) = Stream::open(network, SERVER).await
                && let Ok(mut connection) = session.connect(stream).await
            {
                // Whatever ended it: the client sends again what was not acknowledged.
                let _ = self.use_connection(&mut connection).await;
            }
            let _ = until(now_us() + BACKOFF_US, || None::<()>).await;
        }
    }

    async fn use_connection(&mut self, connection: &mut Connection<'_, 'static, Stream>) -> Result<(), Error<Lost>> {
        while !self.is_done() {
            self.count(connection);
            while self.next < READINGS && connection.can_publish(QoS::AtLeastOnce) {
                let reading = Reading::new(self.next, BYTES);
                let unit = [Property::UserProperty("unit", reading.unit)];
                let topic = reading.key.unwrap_or("readings");
                let publication = Publication::bytes(topic, reading.value()).qos(QoS::AtLeastOnce).properties(&unit);
                match connection.publish(publication).await {
                    Ok(op) => {
                        self.next += 1;
                        if let Some(free) = self.in_flight.iter_mut().find(|op| op.is_none()) {
                            *free = op;
                        }
                    }
                    Err(PubError::Session(Error::NotReady)) => break,
                    Err(PubError::Session(error)) => return Err(error),
                    Err(PubError::Payload(())) => return Err(Error::InvalidRequest),
                }
            }
            // Nobody sends us anything but acknowledgements.
            let _ = connection.poll().await?;
        }
        Ok(())
    }

    /// What became of the messages in flight.
    fn count(&mut self, connection: &Connection<'_, 'static, Stream>) {
        for place in &mut self.in_flight {
            let Some(op) = place else { continue };
            let (is_stored, is_lost) = (connection.is_complete(op), connection.is_invalidated(op));
            self.stored += u32::from(is_stored);
            self.lost += u32::from(is_lost);
            if is_stored || is_lost {
                *place = None;
            }
        }
    }
}
