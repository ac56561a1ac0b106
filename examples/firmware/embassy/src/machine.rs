//! All of this crate's unsafe code: where interrupts enter, and the loop that polls tasks and sleeps.
#![expect(unsafe_code, reason = "interrupt handlers, and the promises that the executor asks for")]

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::raw::Executor;
use klamm_lm3s6965_chip::{clock, ethernet, wait_for_interrupt};

use crate::application::Progress;
use crate::{device, time};

/// A task was woken since the executor was last polled.
static PENDING: AtomicBool = AtomicBool::new(false);

/// The executor calls this when a task is woken, from wherever that was.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    PENDING.store(true, Ordering::Relaxed);
}

/// The interrupts of the chip's devices.
// SAFETY: the attribute wants the word, as a handler may run while anything else does; what these two touch is atomic, or looked at
// by critical sections only.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(number: i16) {
    match u32::try_from(number) {
        Ok(ethernet::IRQ) => device::interrupt(),
        Ok(clock::WAKE_IRQ) => time::interrupt(),
        _ => {}
    }
}

/// SysTick's round, which nobody may sleep through.
#[cortex_m_rt::exception]
fn SysTick() {
    time::round();
}

/// An executor that runs in [`run`].
pub(crate) fn executor() -> Executor {
    Executor::new(ptr::null_mut())
}

/// Polls tasks, and sleeps while none of them has been woken.
pub(crate) fn run(executor: &'static Executor, progress: &Progress) -> ! {
    let mut awake = time::now();
    loop {
        PENDING.store(false, Ordering::Relaxed);
        // SAFETY: nobody else polls it, and this function is called once, by `main`, which no handler interrupts with another call.
        unsafe { executor.poll() };
        // What is woken by a handler from here on ends the sleep before it begins: a handler has to wait, its interrupt is pending.
        critical_section::with(|_| {
            if !PENDING.load(Ordering::Relaxed) {
                progress.sleep(awake, time::now());
                wait_for_interrupt();
                awake = time::now();
            }
        });
    }
}
