//! Windows of time, as Kafka's metrics have them: rates, averages and maxima look back on the last
//! `metrics.num.samples` windows of `metrics.sample.window.ms`, the one that is under way included.
//!
//! The core counts since the beginning; a window's end is a copy of its counters. Nobody wakes up for that: windows
//! are ended by whoever comes by, before anything new is counted, so that what happened belongs to the window in which it
//! did.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_core::{Instant, Measure};

/// Which window is under way.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    window: Duration,
    /// Ended windows that are looked back on.
    keep: usize,
    started: Instant,
}

impl Clock {
    pub(super) fn new(samples: u32, window: Duration, now: Instant) -> Self {
        let keep = samples.saturating_sub(1) as usize;
        Self { window: window.max(Duration::from_millis(1)), keep, started: now }
    }

    /// How many windows have ended by `now`; no more than matter.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) -> usize {
        let passed = now.since(self.started);
        if passed < self.window { 0 } else { self.advance_by(passed) }
    }

    #[cold]
    fn advance_by(&mut self, passed: Duration) -> usize {
        let window = self.window.as_micros().max(1);
        let ended = passed.as_micros() / window;
        let micros = u64::try_from(ended * window).unwrap_or(u64::MAX);
        self.started = self.started.after(Duration::from_micros(micros));
        usize::try_from(ended).unwrap_or(usize::MAX).min(self.keep + 1)
    }

    /// The time that rates divide by. As in Java, windows before the beginning count, so that the first seconds
    /// show no towering rates.
    fn elapsed(&self, now: Instant) -> Duration {
        let before = self.window.saturating_mul(u32::try_from(self.keep).unwrap_or(u32::MAX));
        now.since(self.started).saturating_add(before)
    }
}

/// The counters `T` of one producer, broker or topic, at the ends of windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows<T> {
    /// Before the first window that is looked back on.
    base: T,
    /// At the end of each window that is looked back on, with the window's own maxima.
    ended: VecDeque<T>,
}

impl<T: Copy> Windows<T> {
    /// A window ended with these counters.
    pub(super) fn end(&mut self, clock: &Clock, counters: T) {
        self.ended.push_back(counters);
        while self.ended.len() > clock.keep {
            self.base = self.ended.pop_front().unwrap_or(self.base);
        }
    }

    /// The counters at the end of the last window.
    pub(super) fn last(&self) -> &T {
        self.ended.back().unwrap_or(&self.base)
    }

    /// What can be told at `now`, when the counters are these.
    pub(super) fn view(&self, clock: &Clock, now: Instant, counters: T) -> View<T> {
        let seconds = clock.elapsed(now).as_secs_f64().max(1e-3);
        View { base: self.base, ended: self.ended.iter().copied().collect(), now: counters, seconds }
    }
}

/// Counters now and then, from which every rate, average and maximum follows.
#[derive(Clone, Debug)]
pub(super) struct View<T> {
    base: T,
    ended: Box<[T]>,
    pub(super) now: T,
    seconds: f64,
}

impl<T> View<T> {
    fn grown<C: Counter>(&self, counter: impl Fn(&T) -> C) -> f64 {
        counter(&self.now).grown_since(counter(&self.base))
    }

    /// Since the beginning.
    pub(super) fn total<C: Counter>(&self, counter: impl Fn(&T) -> C) -> f64 {
        counter(&self.now).grown_since(C::default())
    }

    /// Per second; 0 if nothing happened.
    pub(super) fn rate<C: Counter>(&self, counter: impl Fn(&T) -> C) -> f64 {
        self.grown(counter) / self.seconds
    }

    /// How much of one thing for each of another; NaN if there was none of the other.
    pub(super) fn per<C: Counter, D: Counter>(&self, what: impl Fn(&T) -> C, each: impl Fn(&T) -> D) -> f64 {
        let (what, each) = (self.grown(what), self.grown(each));
        if each == 0.0 { f64::NAN } else { what / each }
    }

    /// The mean of what was measured; NaN if nothing was.
    pub(super) fn average(&self, measure: impl Fn(&T) -> Measure) -> f64 {
        self.per(|counters| measure(counters).sum, |counters| measure(counters).count)
    }

    /// The largest of what was measured; NaN if nothing was.
    pub(super) fn max(&self, measure: impl Fn(&T) -> Measure) -> f64 {
        self.largest(|counters| measure(counters).max, |counters| measure(counters).count)
    }

    /// The largest of a maximum that each window has for itself; NaN if nothing was counted.
    pub(super) fn largest(&self, max: impl Fn(&T) -> u64, count: impl Fn(&T) -> u64) -> f64 {
        if self.grown(count) == 0.0 {
            return f64::NAN;
        }
        self.ended.iter().chain([&self.now]).map(max).max().unwrap_or_default() as f64
    }
}

/// A counter that only grows, and wraps.
pub(super) trait Counter: Copy + Default {
    fn grown_since(self, earlier: Self) -> f64;
}

impl Counter for u64 {
    fn grown_since(self, earlier: Self) -> f64 {
        self.wrapping_sub(earlier) as f64
    }
}

impl Counter for u32 {
    fn grown_since(self, earlier: Self) -> f64 {
        self.wrapping_sub(earlier).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Default)]
    struct Counters {
        events: u32,
        sum: u64,
        count: u64,
        max: u64,
    }

    /// A sampler with a clock of the test's own.
    struct Bench {
        clock: Clock,
        windows: Windows<Counters>,
        counters: Counters,
        now: Instant,
    }

    impl Bench {
        /// Windows of a second.
        fn new(samples: u32) -> Self {
            let clock = Clock::new(samples, Duration::from_secs(1), Instant::ZERO);
            Self { clock, windows: Windows::default(), counters: Counters::default(), now: Instant::ZERO }
        }

        fn at(&mut self, ms: u64) -> View<Counters> {
            self.now = Instant::from_millis(ms);
            for _ in 0..self.clock.advance(self.now) {
                self.windows.end(&self.clock, self.counters);
                self.counters.max = 0;
            }
            self.windows.view(&self.clock, self.now, self.counters)
        }

        fn measure(&mut self, ms: u64, value: u64) {
            self.at(ms);
            let counters = &mut self.counters;
            counters.events = counters.events.wrapping_add(1);
            counters.sum = counters.sum.wrapping_add(value);
            counters.count += 1;
            counters.max = counters.max.max(value);
        }
    }

    fn measured(counters: &Counters) -> Measure {
        Measure { sum: counters.sum, count: counters.count, max: counters.max }
    }

    #[test]
    fn rates_look_back_on_the_last_windows() {
        let mut bench = Bench::new(2);
        for ms in 0..10 {
            bench.measure(ms * 100, 1);
        }
        // As in Java, the window before the beginning counts: 10 events in 0.9 + 1 s.
        assert_eq!(bench.at(900).rate(|c| c.events), 10.0 / 1.9);
        assert_eq!(bench.at(1500).rate(|c| c.events), 10.0 / 1.5);
        bench.measure(1600, 1);
        assert_eq!(bench.at(1999).rate(|c| c.events), 11.0 / 1.999);
        // The first window is over and forgotten.
        assert_eq!(bench.at(2000).rate(|c| c.events), 1.0);
        assert_eq!(bench.at(2500).total(|c| c.events), 11.0);
        assert_eq!(bench.at(3000).rate(|c| c.events), 0.0);
    }

    #[test]
    fn what_is_idle_falls_to_zero_and_has_no_average() {
        let mut bench = Bench::new(3);
        bench.measure(100, 7);
        bench.measure(200, 9);
        let view = bench.at(300);
        assert_eq!((view.average(measured), view.max(measured)), (8.0, 9.0));
        bench.measure(1100, 2);
        let view = bench.at(2999);
        assert_eq!((view.average(measured), view.max(measured)), (6.0, 9.0));
        let view = bench.at(3000);
        assert_eq!((view.average(measured), view.max(measured)), (2.0, 2.0));
        // Nobody came by for an hour: what was counted belongs to the window in which it happened.
        let view = bench.at(3_600_000);
        assert_eq!(view.rate(|c| c.events), 0.0);
        assert!(view.average(measured).is_nan() && view.max(measured).is_nan());
        assert_eq!(view.total(|c| c.events), 3.0);
        bench.measure(3_600_500, 1);
        assert_eq!(bench.at(3_600_500).rate(|c| c.events), 1.0 / 2.5);
        assert_eq!(bench.at(3_600_500).max(measured), 1.0);
    }

    #[test]
    fn one_window_and_a_thousand() {
        let mut one = Bench::new(1);
        one.measure(500, 3);
        assert_eq!(one.at(999).rate(|c| c.events), 1.0 / 0.999);
        assert_eq!(one.at(1000).rate(|c| c.events), 0.0);
        assert!(one.at(1000).max(measured).is_nan());
        let mut many = Bench::new(1000);
        many.measure(0, 3);
        many.measure(998_999, 5);
        assert_eq!(many.at(999_999).average(measured), 4.0);
        assert_eq!(many.at(1_000_000).average(measured), 5.0);
        assert!(many.windows.ended.len() < 1000);
    }

    #[test]
    fn counters_wrap() {
        let mut bench = Bench::new(2);
        bench.counters.events = u32::MAX - 1;
        bench.counters.sum = u64::MAX - 1;
        bench.at(1000);
        bench.at(2000);
        for ms in [2100, 2200, 2300, 2400] {
            bench.measure(ms, 1);
        }
        let view = bench.at(2500);
        assert_eq!(view.rate(|c| c.events), 4.0 / 1.5);
        assert_eq!(view.average(measured), 1.0);
    }

    #[test]
    fn a_late_comer_has_the_windows_of_everybody() {
        let mut clock = Clock::new(2, Duration::from_secs(1), Instant::ZERO);
        assert_eq!(clock.advance(Instant::from_millis(10_300)), 2);
        let fresh = Windows::<u64>::default();
        let view = fresh.view(&clock, Instant::from_millis(10_300), 13);
        assert!((view.rate(|counter| *counter) - 10.0).abs() < 1e-9);
    }
}
