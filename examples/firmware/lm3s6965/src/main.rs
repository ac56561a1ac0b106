//! The sensor on TI's LM3S6965 (Cortex-M3, 256 KiB of flash, 64 KiB of RAM), as QEMU's machine `lm3s6965evb` emulates it.
//!
//! What to publish and where to comes as words from the emulator (`-semihosting-config arg=…`), lines of text go back the
//! same way. Exit codes: 0 all readings are stored, 1 some are not, 2 the words make no sense, 101 a panic, 102 a hard fault
//! (the stack ran into its guard, for instance).
#![no_std]
#![no_main]

mod clock;
mod ethernet;
mod guard;
mod machine;

#[cfg(feature = "defmt")]
use {cortex_m as _, defmt_semihosting as _};

use klamm_core::Instant;
use klamm_firmware_app::{Board, Ended, Memory, Settings, Tables, run};

use crate::clock::Clock;
use crate::ethernet::Ethernet;

const SOME_FAILED: u32 = 1;
const BAD_WORDS: u32 = 2;
const PANICKED: u32 = 101;
const HARD_FAULT: u32 = 102;

/// Longest command line, in bytes.
const WORDS: usize = 384;
/// Locally administered; QEMU's network has no other guest.
const ADDRESS: [u8; 6] = [0x02, 0x6b, 0x6c, 0x61, 0x6d, 0x6d];

/// Wherever the board is, it is at rest after this: there is nobody to tell.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    machine::exit(PANICKED)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut TABLES: Tables = Tables::new();
    static mut MEMORY: Memory = Memory::new();
    static mut ETHERNET: Ethernet = Ethernet::new();
    static mut COMMAND_LINE: [u8; WORDS] = [0; WORDS];

    machine::mask_interrupts();
    guard::raise();
    let words = machine::command_line(COMMAND_LINE).unwrap_or("?");
    let settings = match Settings::parse(words) {
        Ok(settings) => settings,
        Err(word) => {
            say("the settings make no sense, from here on:");
            say(word);
            machine::exit(BAD_WORDS)
        }
    };
    ETHERNET.start(ADDRESS);
    ETHERNET.lose(settings.loss_percent);
    let mut board = Lm3s6965 { ethernet: ETHERNET, clock: Clock::start() };
    let ended = run(&mut board, TABLES, MEMORY, &settings);
    guard::report();
    machine::exit(match ended {
        Ended::AllStored => 0,
        Ended::SomeFailed => SOME_FAILED,
        Ended::BadSettings(_) | Ended::BadTopic(_) => BAD_WORDS,
    })
}

/// The board.
struct Lm3s6965 {
    ethernet: &'static mut Ethernet,
    clock: Clock,
}

impl Board for Lm3s6965 {
    type Device = Ethernet;

    fn device(&mut self) -> &mut Ethernet {
        self.ethernet
    }

    fn hardware_address(&self) -> [u8; 6] {
        ADDRESS
    }

    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn sleep(&mut self, until: Option<Instant>) {
        // No handler runs; whatever is pending by then ends the sleep before it begins.
        if !self.ethernet.has_frame() && self.clock.wake_at(until) {
            machine::wait_for_interrupt();
            self.clock.quiet();
        }
    }

    fn seed(&mut self) -> [u8; 32] {
        // The emulated chip has no source of randomness: the calendar and the emulator's own clock must do.
        let words = [machine::unix_seconds(), machine::emulator_clock(), self.clock.now().as_micros() as u32];
        let mut seed = [0; 32];
        for (place, byte) in seed.iter_mut().zip(words.into_iter().flat_map(u32::to_le_bytes)) {
            *place = byte;
        }
        seed
    }

    fn unix_millis(&mut self) -> Option<i64> {
        Some(i64::from(machine::unix_seconds()) * 1000)
    }

    fn say(&mut self, line: &str) {
        say(line);
    }
}

/// Shows a line of text.
fn say(line: &str) {
    #[cfg(feature = "defmt")]
    defmt::println!("{=str}", line);
    #[cfg(not(feature = "defmt"))]
    {
        machine::write(line.as_bytes());
        machine::write(b"\n");
    }
}
