//! What happened, line by line: the last lines for a person, a sum over all of them for comparison.

use std::fmt::{self, Write};

/// How much text is kept at least, in bytes: thousands of lines.
const KEPT: usize = 256 << 10;
/// How many lines a failure shows.
const SHOWN: usize = 60;

/// Lines are written once, into memory that is there already, and summed there.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The lines before those in `recent`.
    earlier: String,
    recent: String,
    hash: u64,
    count: u64,
    all: bool,
}

impl Trace {
    /// `all`: no line is ever forgotten.
    pub(crate) fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    pub(crate) fn push(&mut self, now_us: u64, line: fmt::Arguments<'_>) {
        if self.recent.len() >= KEPT && !self.all {
            std::mem::swap(&mut self.earlier, &mut self.recent);
            self.recent.clear();
        }
        let start = self.recent.len();
        // Text takes whatever is written to it.
        let _ = writeln!(self.recent, "{:>10}.{:03} {line}", now_us / 1000, now_us % 1000);
        self.hash = sum(self.hash, &self.recent.as_bytes()[start..]);
        self.count += 1;
    }

    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.earlier.lines().chain(self.recent.lines())
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines, for the report of a failure; `KLAMM_LINES` says how many.
    pub(crate) fn tail(&self) -> String {
        let shown = std::env::var("KLAMM_LINES").ok().and_then(|text| text.parse().ok());
        let shown = shown.unwrap_or(if self.all { usize::MAX } else { SHOWN });
        let mut last: Vec<&str> = self.lines().rev().take(shown).collect();
        last.reverse();
        format!("the last {} of {} lines:\n{}\n", last.len(), self.count, last.join("\n"))
    }
}

/// FNV-1a over words of eight bytes, the same on every platform.
fn sum(hash: u64, line: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let (words, rest) = line.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    // A product never reaches the low bits from above, so they are brought down.
    words.fold(hash ^ 0xcbf2_9ce4_8422_2325, |hash, word| ((hash ^ word).wrapping_mul(PRIME)).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let hash = |line: &str| {
            let mut trace = Trace::default();
            trace.push(1, format_args!("{line}"));
            trace.hash()
        };
        let line = "a line that is longer than a word or two";
        assert_eq!(hash(line), hash(line));
        for at in 0..line.len() {
            let mut other = line.as_bytes().to_vec();
            other[at] ^= 1;
            assert_ne!(hash(line), hash(&String::from_utf8(other).unwrap()), "{at}");
        }
    }

    #[test]
    fn the_last_lines_are_kept_or_all_of_them() {
        for all in [false, true] {
            let mut trace = Trace::new(all);
            for line in 0..50_000 {
                trace.push(line, format_args!("line {line}"));
            }
            let lines: Vec<&str> = trace.lines().collect();
            assert_eq!((lines.len() == 50_000, trace.count), (all, 50_000));
            assert!(lines.len() >= 4000 && lines.last().unwrap().ends_with("line 49999"), "{}", lines.len());
            assert!(trace.tail().contains("line 49940\n"));
        }
    }
}
