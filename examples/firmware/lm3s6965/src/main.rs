//! The sensor on TI's LM3S6965, as QEMU's machine `lm3s6965evb` emulates it: one loop, and no interrupt handler.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod device;

#[cfg(feature = "defmt")]
use {cortex_m as _, defmt_semihosting as _};

use klamm_core::Instant;
use klamm_firmware_app::Tables;
use klamm_firmware_polled::{Board, Memory, run};
use klamm_lm3s6965_chip::clock::Clock;
use klamm_lm3s6965_chip::ethernet::Ethernet;
use klamm_lm3s6965_chip::{self as chip, ADDRESS, WORDS};

use crate::device::Device;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    chip::panicked()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut TABLES: Tables = Tables::new();
    static mut MEMORY: Memory = Memory::new();
    static mut ETHERNET: Ethernet = Ethernet::new();
    static mut COMMAND_LINE: [u8; WORDS] = [0; WORDS];

    chip::mask_interrupts();
    chip::raise_guard();
    let settings = chip::settings(COMMAND_LINE);
    ETHERNET.start(ADDRESS);
    ETHERNET.lose(settings.loss_percent);
    let mut clock = Clock::new();
    clock.start();
    let mut board = Lm3s6965 { device: Device(ETHERNET), clock };
    chip::end(run(&mut board, TABLES, MEMORY, &settings))
}

/// The board.
struct Lm3s6965 {
    device: Device,
    clock: Clock,
}

impl Board for Lm3s6965 {
    type Device = Device;

    fn device(&mut self) -> &mut Device {
        &mut self.device
    }

    fn hardware_address(&self) -> [u8; 6] {
        ADDRESS
    }

    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn sleep(&mut self, until: Option<Instant>) {
        // No handler runs; whatever is pending by then ends the sleep before it begins.
        if !self.device.0.has_frame() && self.clock.wake_at(until) {
            chip::wait_for_interrupt();
            self.clock.quiet();
        }
    }

    fn seed(&mut self) -> [u8; 32] {
        chip::seed(self.clock.now())
    }

    fn unix_millis(&mut self) -> Option<i64> {
        Some(chip::unix_millis())
    }

    fn say(&mut self, line: &str) {
        chip::say(line);
    }
}
