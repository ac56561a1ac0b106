//! The sensor on a board with a radio, such as RISC-V chips with Wi-Fi, or a Cortex-M0 beside a radio module: the wiring of one.
//! It is built and measured, not run: where a product calls its chip's library, a [`black_box`] stands for it, so that the
//! optimiser must expect anything from there.
//!
//! What such a board brings: frames in and out ([`Radio`]), a counter that runs on, sleep until an interrupt, and random bytes.
#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};

use klamm_core::{Instant, TickExtender};
use klamm_firmware_app::{Settings, Tables};
use klamm_firmware_polled::{Board, Memory, run};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

/// Largest frame, in bytes.
const FRAME: usize = 1514;

// Statics, so that the linker counts all of the RAM.
static mut TABLES: Tables = Tables::new();
static mut MEMORY: Memory = Memory::new();
static mut RADIO: Radio = Radio { receive: [0; FRAME], transmit: [0; FRAME] };

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
    let (tables, memory, radio) = (&raw mut TABLES, &raw mut MEMORY, &raw mut RADIO);
    // SAFETY: this runs once, before anything else, so that nobody else holds the memory.
    let (tables, memory, radio) = unsafe { (&mut *tables, &mut *memory, &mut *radio) };
    let mut board = Wireless { radio, clock: TickExtender::new() };
    let settings = Settings { bootstrap: "kafka.example:9092", topic: "readings", ..Settings::default() };
    let _ = black_box(run(&mut board, tables, memory, black_box(&settings)));
    loop {
        spin_loop();
    }
}

/// The board.
struct Wireless {
    radio: &'static mut Radio,
    clock: TickExtender,
}

impl Board for Wireless {
    type Device = Radio;

    fn device(&mut self) -> &mut Radio {
        self.radio
    }

    fn hardware_address(&self) -> [u8; 6] {
        black_box([0x02, 0, 0, 0, 0, 1]) // from the chip's fuses
    }

    fn now(&mut self) -> Instant {
        self.clock.millis(black_box(0)) // a counter of milliseconds
    }

    fn sleep(&mut self, until: Option<Instant>) {
        black_box(until); // sets a timer, then `wfi`, which a frame ends as well
    }

    fn seed(&mut self) -> [u8; 32] {
        black_box([7; 32]) // from the chip's random generator
    }

    fn unix_millis(&mut self) -> Option<i64> {
        black_box(None) // once SNTP has told it
    }

    fn say(&mut self, line: &str) {
        black_box(line); // a serial port
    }
}

/// The radio: one frame each way at a time, in buffers that its library fills and empties.
struct Radio {
    receive: [u8; FRAME],
    transmit: [u8; FRAME],
}

impl Device for Radio {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received<'_>, Slot<'_>)> {
        let len = black_box(FRAME); // of the frame that came, if one did
        Some((Received(black_box(&self.receive).get(..len)?), Slot(&mut self.transmit)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Slot<'_>> {
        black_box(true).then_some(Slot(&mut self.transmit)) // while the radio takes frames
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// A frame that came.
struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, see: F) -> R {
        see(self.0)
    }
}

/// Room for a frame to send.
struct Slot<'a>(&'a mut [u8; FRAME]);

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let frame = self.0.get_mut(..len).unwrap_or_default();
        let result = fill(frame);
        black_box(frame); // to the air
        result
    }
}
