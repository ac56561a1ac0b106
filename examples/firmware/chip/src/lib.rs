//! TI's LM3S6965 (Cortex-M3, 256 KiB of flash, 64 KiB of RAM), as QEMU's machine `lm3s6965evb` emulates it: what of it every firmware of
//! this folder needs, be it one loop or several tasks.
//!
//! What to publish and where to comes as words from the emulator (`-semihosting-config arg=…`), lines of text go back the
//! same way. Exit codes: 0 all readings are stored, 1 some are not, 2 the words make no sense, 101 a panic, 102 a hard fault
//! (the stack ran into its guard, for instance).
//!
//! All unsafe code is in `machine.rs`.
#![no_std]

pub mod clock;
pub mod ethernet;
mod guard;
mod machine;

use klamm_core::Instant;
use klamm_firmware_app::{Ended, Settings};

pub use guard::raise as raise_guard;
pub use machine::{mask_interrupts, wait_for_interrupt};

const SOME_FAILED: u32 = 1;
const BAD_WORDS: u32 = 2;
const PANICKED: u32 = 101;
const HARD_FAULT: u32 = 102;

/// Longest command line, in bytes.
pub const WORDS: usize = 384;
/// Locally administered; QEMU's network has no other guest.
pub const ADDRESS: [u8; 6] = [0x02, 0x6b, 0x6c, 0x61, 0x6d, 0x6d];

/// What the emulator's words ask for; the end, if they make no sense.
pub fn settings(words: &'static mut [u8; WORDS]) -> Settings<'static> {
    let Some(words) = machine::command_line(words) else {
        say("settings: they take more room than there is");
        machine::exit(BAD_WORDS)
    };
    match Settings::parse(words) {
        Ok(settings) => settings,
        Err(word) => {
            say("settings: no such name, or not a value that it can have:");
            say(word);
            machine::exit(BAD_WORDS)
        }
    }
}

/// Unpredictable bytes, as far as that goes here: the emulated chip has no source of randomness, so the calendar and the emulator's
/// own clock must do.
#[must_use]
pub fn seed(now: Instant) -> [u8; 32] {
    let words = [machine::unix_seconds(), machine::emulator_clock(), now.as_micros() as u32];
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().zip(words.into_iter().flat_map(u32::to_le_bytes)) {
        *place = byte;
    }
    seed
}

/// The calendar, in milliseconds since 1970.
#[must_use]
pub fn unix_millis() -> i64 {
    i64::from(machine::unix_seconds()) * 1000
}

/// Shows a line of text.
pub fn say(line: &str) {
    #[cfg(feature = "defmt")]
    defmt::println!("{=str}", line);
    #[cfg(not(feature = "defmt"))]
    {
        machine::write(line.as_bytes());
        machine::write(b"\n");
    }
}

/// Says what the stack was, and ends the emulator.
pub fn end(ended: Ended) -> ! {
    if let Some(complaint) = ended.complaint() {
        say("settings:");
        say(complaint);
    }
    guard::report();
    machine::exit(match ended {
        Ended::AllStored => 0,
        Ended::SomeFailed => SOME_FAILED,
        Ended::BadSettings(_) | Ended::BadTopic(_) => BAD_WORDS,
    })
}

/// Wherever the board is, it is at rest after this: there is nobody to tell.
pub fn panicked() -> ! {
    machine::exit(PANICKED)
}
