//! embassy's time: the chip's clock, and its timer for whichever task's deadline is next.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use klamm_core::Instant;
use klamm_lm3s6965_chip::clock::Clock;

struct Time {
    state: Mutex<RefCell<State>>,
}

struct State {
    clock: Clock,
    queue: Queue,
}

embassy_time_driver::time_driver_impl!(static TIME: Time = Time {
    state: Mutex::new(RefCell::new(State { clock: Clock::new(), queue: Queue::new() })),
});

impl Time {
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        critical_section::with(|section| f(&mut self.state.borrow_ref_mut(section)))
    }
}

impl Driver for Time {
    fn now(&self) -> u64 {
        self.with(|state| state.clock.now().as_micros())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.with(|state| {
            if state.queue.schedule_wake(at, waker) {
                state.wake_and_arm();
            }
        });
    }
}

impl State {
    /// Wakes those whose time has come, and sets the timer for the next.
    fn wake_and_arm(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.queue.next_expiration(now.as_micros());
            if next == u64::MAX {
                return self.clock.silence();
            }
            if self.clock.alarm_at(now, Instant::from_micros(next)) {
                return;
            }
        }
    }
}

/// Starts the clock.
pub(crate) fn start() {
    TIME.with(|state| state.clock.start());
}

/// The time now.
pub(crate) fn now() -> Instant {
    TIME.with(|state| state.clock.now())
}

/// The timer's interrupt.
pub(crate) fn interrupt() {
    TIME.with(|state| {
        state.clock.silence();
        state.wake_and_arm();
    });
}

/// The clock's round: it must be asked once in each.
pub(crate) fn round() {
    now();
}
