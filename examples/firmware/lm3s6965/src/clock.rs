//! Time: SysTick as a clock that is never stopped, a timer that ends sleep, and one that keeps the emulator's network awake.

use klamm_core::Instant;

use crate::machine::{CLOCK_GATES_1, TIMER_0, TIMER_1, Timer, nvic, systick};

/// The chip runs at this speed after a reset, in cycles per second.
const HERTZ: u64 = 12_500_000;
/// SysTick has 24 bits: it comes round after 1.34 s.
const SYSTICK_TOP: u32 = 0xff_ffff;
/// Its flag in the processor's interrupt state: pending, and to be cleared.
const SYSTICK_CLEAR: u32 = 1 << 25;
/// The timer's interrupt: it ends sleep.
const WAKE_IRQ: u32 = 21;
/// Longest sleep in cycles that the timer can count.
const LONGEST: u64 = u32::MAX as u64;

const ONE_SHOT: u32 = 1;
const PERIODIC: u32 = 2;

/// The clock, in cycles since the start.
pub(crate) struct Clock {
    /// Cycles before SysTick's present round.
    rounds: u64,
    last: u32,
}

impl Clock {
    pub(crate) fn start() -> Self {
        CLOCK_GATES_1.write(CLOCK_GATES_1.read() | 0b11 << 16);
        systick::RELOAD.write(SYSTICK_TOP);
        systick::VALUE.write(0);
        // Counts processor cycles, and is an interrupt at each round: nobody may sleep through one.
        systick::CONTROL.write(0b111);
        // Nobody waits for this one: its interrupt is not enabled. But QEMU looks after its network only when some timer
        // is about to run out, so that a guest that polls would wait for seconds without one.
        run(TIMER_0, PERIODIC, (HERTZ / 1000) as u32);
        nvic::ENABLE[0].write(1 << WAKE_IRQ);
        Self { rounds: 0, last: 0 }
    }

    /// The time now. To be asked at least once in each of SysTick's rounds, as its interrupt makes sure.
    pub(crate) fn now(&mut self) -> Instant {
        let cycles = self.cycles();
        Instant::from_micros(cycles * 2 / (HERTZ / 500_000))
    }

    /// Has sleep end after so long, or after SysTick's round. False if that is now.
    pub(crate) fn wake_at(&mut self, until: Option<Instant>) -> bool {
        nvic::CONTROL.write(SYSTICK_CLEAR);
        let now = self.now();
        let Some(until) = until else { return true };
        if until <= now {
            return false;
        }
        let micros = until.since(now).as_micros() as u64;
        let cycles = (micros.saturating_mul(HERTZ / 500_000) / 2).clamp(1, LONGEST);
        TIMER_1.control.write(0);
        run(TIMER_1, ONE_SHOT, cycles as u32);
        true
    }

    /// Sleep is over: the timer must not end the next one.
    pub(crate) fn quiet(&self) {
        TIMER_1.control.write(0);
        TIMER_1.interrupt_clear.write(1);
        nvic::CLEAR_PENDING[0].write(1 << WAKE_IRQ);
    }

    fn cycles(&mut self) -> u64 {
        let count = SYSTICK_TOP - (systick::VALUE.read() & SYSTICK_TOP);
        if count < self.last {
            self.rounds += u64::from(SYSTICK_TOP) + 1;
        }
        self.last = count;
        self.rounds + u64::from(count)
    }
}

fn run(timer: Timer, mode: u32, cycles: u32) {
    timer.config.write(0);
    timer.mode.write(mode);
    timer.load.write(cycles);
    timer.interrupt_clear.write(1);
    timer.interrupt_mask.write(1);
    timer.control.write(1);
}
