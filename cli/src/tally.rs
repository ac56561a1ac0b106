//! Failed records on standard error: the first ones a line each, then how many per cause. A broker that is down fails
//! a million records for one reason, and a million lines hide it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::progress::Progress;

/// Records told one by one.
const SINGLY: u64 = 10;
/// Causes counted apart; others share a line, so that no input makes the table grow.
const CAUSES: usize = 20;
/// Input may go on for days, so the counts are told meanwhile.
const PAUSE: Duration = Duration::from_secs(10);

/// Failures so far.
pub(crate) struct Tally {
    told: u64,
    /// Not told yet: per cause, how many, and the last line.
    causes: BTreeMap<String, (u64, u64)>,
    since: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self { told: 0, causes: BTreeMap::new(), since: Instant::now() }
    }
}

impl Tally {
    /// Tells of a failure, or counts it.
    pub(crate) fn add(&mut self, line: u64, failure: &Failure, progress: &Progress) {
        if self.told < SINGLY {
            self.told += 1;
            self.since = Instant::now();
            progress.say(format_args!("line {line}: {}", failure.message));
            return;
        }
        let known = self.causes.contains_key(&failure.cause) || self.causes.len() < CAUSES;
        let cause = if known { failure.cause.as_str() } else { "other causes" };
        let entry = self.causes.entry(cause.to_owned()).or_default();
        *entry = (entry.0 + 1, line);
        if self.since.elapsed() >= PAUSE {
            self.sum_up(progress);
        }
    }

    /// Tells what was only counted.
    pub(crate) fn sum_up(&mut self, progress: &Progress) {
        for (cause, (count, line)) in std::mem::take(&mut self.causes) {
            progress.say(format_args!("{count} more, up to line {line}: {cause}"));
        }
        self.since = Instant::now();
    }
}
