//! Time: SysTick as a clock that is never stopped, a timer that ends sleep, and one that keeps the emulator's network awake.

use klamm_core::Instant;

use crate::machine::{CLOCK_GATES_1, TIMER_0, TIMER_1, Timer, nvic, systick};

/// The chip runs at this speed after a reset, in cycles per second.
const HERTZ: u64 = 12_500_000;
/// SysTick has 24 bits: it comes round after 1.34 s.
const SYSTICK_TOP: u32 = 0xff_ffff;
/// Its flag that a round is over, which a look clears.
const SYSTICK_ROUND: u32 = 1 << 16;
/// Its flag in the processor's interrupt state: pending, and to be cleared.
const SYSTICK_CLEAR: u32 = 1 << 25;
/// The interrupt of the timer that ends sleep.
pub const WAKE_IRQ: u32 = 21;
/// Longest sleep in cycles that the timer can count.
const LONGEST: u64 = u32::MAX as u64;

const ONE_SHOT: u32 = 1;
const PERIODIC: u32 = 2;

/// The clock, in cycles since the start.
pub struct Clock {
    /// Cycles before SysTick's present round.
    rounds: u64,
    latest: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// The clock, which stands still.
    #[must_use]
    pub const fn new() -> Self {
        Self { rounds: 0, latest: 0 }
    }

    /// Starts it.
    pub fn start(&mut self) {
        CLOCK_GATES_1.write(CLOCK_GATES_1.read() | 0b11 << 16);
        systick::RELOAD.write(SYSTICK_TOP);
        systick::VALUE.write(0);
        // Counts processor cycles, and is an interrupt at each round: nobody may sleep through one.
        systick::CONTROL.write(0b111);
        // Nobody waits for this one: its interrupt is not enabled. But QEMU looks after its network only when some timer
        // is about to run out, so that a guest that polls would wait for seconds without one.
        run(TIMER_0, PERIODIC, (HERTZ / 1000) as u32);
        nvic::ENABLE[0].write(1 << WAKE_IRQ);
    }

    /// The time now. To be asked at least once in each of SysTick's rounds, as its interrupt makes sure.
    pub fn now(&mut self) -> Instant {
        let cycles = self.cycles();
        Instant::from_micros(cycles * 2 / (HERTZ / 500_000))
    }

    /// Has sleep end after so long, or after SysTick's round. False if that is now. For firmware without handlers.
    pub fn wake_at(&mut self, until: Option<Instant>) -> bool {
        nvic::CONTROL.write(SYSTICK_CLEAR);
        let now = self.now();
        until.is_none_or(|until| self.alarm_at(now, until))
    }

    /// Sleep is over: the timer must not end the next one. For firmware without handlers.
    pub fn quiet(&self) {
        self.silence();
        nvic::CLEAR_PENDING[0].write(1 << WAKE_IRQ);
    }

    /// Sets the timer's interrupt for a point in time, or for some 340 s from now if that is sooner. False if it is past.
    pub fn alarm_at(&mut self, now: Instant, at: Instant) -> bool {
        if at <= now {
            return false;
        }
        let micros = at.micros_since(now);
        let cycles = (micros.saturating_mul(HERTZ / 500_000) / 2).clamp(1, LONGEST);
        TIMER_1.control.write(0);
        run(TIMER_1, ONE_SHOT, cycles as u32);
        true
    }

    /// Stops that timer, and takes its interrupt back.
    pub fn silence(&self) {
        TIMER_1.control.write(0);
        TIMER_1.interrupt_clear.write(1);
    }

    #[inline(never)] // asked from everywhere, and small only in what it says
    fn cycles(&mut self) -> u64 {
        // The flag, not a count below the last one: who sleeps from round to round looks at much the same point of each.
        let left = loop {
            let left = systick::VALUE.read() & SYSTICK_TOP;
            if systick::CONTROL.read() & SYSTICK_ROUND == 0 {
                break left;
            }
            self.rounds += u64::from(SYSTICK_TOP) + 1;
        };
        // None is left at the start of a round, before it counts down from the top; for a moment that can be seen before the flag.
        let count = if left == 0 { 0 } else { SYSTICK_TOP + 1 - left };
        self.latest = self.latest.max(self.rounds + u64::from(count));
        self.latest
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
