//! Time as the caller tells it: the core has no clock of its own.

use core::time::Duration;

/// A point on the caller's monotonic clock, in microseconds since any fixed origin (boot, process start).
///
/// The core never reads a clock: every call that depends on time carries `now`. A `now` that lies
/// before an earlier one is clamped to it, so a clock that steps back delays timers but never
/// confuses them. This clock is not the calendar: record timestamps come from the record itself or
/// from [`Producer::set_wall_clock`](crate::Producer::set_wall_clock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// Later than anything that will happen.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// `micros` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// This instant plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// This instant plus `ms` milliseconds, saturating.
    #[must_use]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub const fn after_ms(self, ms: u32) -> Self {
        Self(self.0.saturating_add(ms as u64 * 1000))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }

    /// The microseconds from `earlier` to this instant; zero if `earlier` is later. Without the divisions that a [`Duration`] takes.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Turns a free-running 32-bit tick counter, such as a board's millisecond `SysTick` count, into an
/// [`Instant`] that does not wrap.
///
/// Ask it at least once per wrap of the counter (every 49 days for milliseconds).
#[derive(Clone, Copy, Debug, Default)]
pub struct TickExtender {
    last: u32,
    wraps: u32,
}

impl TickExtender {
    /// An extender whose counter starts near zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: 0, wraps: 0 }
    }

    /// The 64-bit count that `ticks` stands for.
    pub fn extend(&mut self, ticks: u32) -> u64 {
        if ticks < self.last {
            self.wraps = self.wraps.wrapping_add(1);
        }
        self.last = ticks;
        (u64::from(self.wraps) << 32) | u64::from(ticks)
    }

    /// The instant of a millisecond counter's value.
    pub fn millis(&mut self, ticks: u32) -> Instant {
        Instant::from_millis(self.extend(ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_go_on_past_a_wrap() {
        let mut extender = TickExtender::new();
        assert_eq!(extender.extend(u32::MAX), u64::from(u32::MAX));
        assert_eq!(extender.extend(2), (1 << 32) | 2);
        assert_eq!(extender.millis(3), Instant::from_millis((1 << 32) | 3));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::NEVER.after_ms(1), Instant::NEVER);
        assert_eq!(Instant::ZERO.since(Instant::from_millis(1)), Duration::ZERO);
        assert_eq!(Instant::ZERO.after(Duration::from_millis(2)), Instant::from_millis(2));
    }
}
