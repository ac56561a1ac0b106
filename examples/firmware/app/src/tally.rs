//! What became of the readings.

use klamm_core::{BatchOutcome, Instant};

use crate::{Ended, Settings};

/// What became of the readings, and what it took.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tally {
    /// Readings that the producer accepted.
    pub taken: u32,
    /// Readings that are stored.
    pub delivered: u32,
    /// Readings that are not, or not for certain.
    pub failed: u32,
    /// The partitions that readings went to, as bits: partition modulo 32.
    pub partitions: u32,
    /// Milliseconds from the start to the end.
    pub ms: u64,
    /// Microseconds of that in which the board did not sleep.
    pub busy_us: u64,
    /// The longest time between two outcomes, in microseconds.
    pub silence_us: u64,
    /// How often it went to sleep.
    pub sleeps: u32,
    /// How often of that while it had nothing to do but to stay connected.
    pub idle_sleeps: u32,
    /// When the last outcome came, in microseconds since the start of the board.
    heard_us: Option<u64>,
}

impl Tally {
    /// Nothing was measured yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            taken: 0,
            delivered: 0,
            failed: 0,
            partitions: 0,
            ms: 0,
            busy_us: 0,
            silence_us: 0,
            sleeps: 0,
            idle_sleeps: 0,
            heard_us: None,
        }
    }

    /// Counts a batch's outcome.
    pub fn count(&mut self, now: Instant, outcome: &BatchOutcome) {
        let now = now.as_micros();
        let before = self.heard_us.replace(now).unwrap_or(now);
        self.silence_us = self.silence_us.max(now.saturating_sub(before));
        match outcome.result {
            Ok(_) => self.delivered += outcome.count,
            Err(_) => self.failed += outcome.count,
        }
        self.partitions |= 1 << (outcome.partition & 31);
    }

    /// Counts one sleep, and the time since the board `awoke` from the one before.
    pub fn sleep(&mut self, awoke: Instant, now: Instant, idle: bool) {
        self.busy_us += now.micros_since(awoke);
        self.sleeps += 1;
        self.idle_sleeps += u32::from(idle);
    }

    /// How it ended, once the producer is closed.
    #[must_use]
    pub fn ended(&self, settings: &Settings<'_>) -> Ended {
        let all = self.delivered == settings.records && self.failed == 0;
        if all { Ended::AllStored } else { Ended::SomeFailed }
    }
}
