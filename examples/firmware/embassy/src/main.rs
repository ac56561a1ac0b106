//! The sensor on TI's LM3S6965 as several tasks: embassy's executor, its network stack over the chip's Ethernet controller, and klamm's
//! async driver; interrupts, and sleep whenever no task has anything to do. What is measured, counted and said is `app`'s, as in the
//! firmware of one loop.
#![no_std]
#![no_main]
#![deny(unsafe_code)] // but in `machine.rs`

mod application;
mod device;
mod machine;
mod time;

use core::mem::MaybeUninit;

use cortex_m as _;
#[cfg(feature = "defmt")]
use defmt_semihosting as _;
use embassy_executor::raw::Executor;
use klamm_firmware_app::Tables;
use klamm_lm3s6965_chip::ethernet::Ethernet;
use klamm_lm3s6965_chip::{self as chip, ADDRESS, WORDS};

use crate::application::{Memory, Progress};
use crate::device::Device;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    chip::panicked()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut TABLES: Tables = Tables::new();
    static mut MEMORY: Memory = Memory::new();
    static mut PROGRESS: Progress = Progress::new();
    static mut ETHERNET: Ethernet = Ethernet::new();
    static mut COMMAND_LINE: [u8; WORDS] = [0; WORDS];
    static mut EXECUTOR: MaybeUninit<Executor> = MaybeUninit::uninit();

    chip::raise_guard();
    let settings = chip::settings(COMMAND_LINE);
    time::start();
    ETHERNET.start(ADDRESS);
    ETHERNET.lose(settings.loss_percent);
    let executor = EXECUTOR.write(machine::executor());
    let (device, progress) = (Device(ETHERNET), &*PROGRESS);
    if let Err(ended) = application::start(executor.spawner(), device, TABLES, MEMORY, progress, settings) {
        chip::end(ended)
    }
    machine::run(executor, progress)
}
