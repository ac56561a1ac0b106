//! What happened, line by line: the last lines for a person, a sum over all of them for comparison.

use std::collections::VecDeque;
use std::fmt;

/// How many lines are kept.
const KEPT: usize = 4000;
/// How many lines a failure shows.
const SHOWN: usize = 60;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    hash: u64,
    count: u64,
}

impl Trace {
    pub(crate) fn push(&mut self, now_us: u64, line: fmt::Arguments<'_>) {
        let line = format!("{:>10}.{:03} {line}", now_us / 1000, now_us % 1000);
        // FNV-1a.
        self.hash = line
            .bytes()
            .fold(self.hash ^ 0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        self.count += 1;
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines, for the report of a failure; `KLAMM_LINES` says how many.
    pub(crate) fn tail(&self) -> String {
        let shown = std::env::var("KLAMM_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(SHOWN);
        let skip = self.lines.len().saturating_sub(shown);
        let mut text = format!("the last {} of {} lines:\n", self.lines.len() - skip, self.count);
        for line in self.lines.iter().skip(skip) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
