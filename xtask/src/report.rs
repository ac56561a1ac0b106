//! What came out of a suite, and the table at the end.

use std::time::Duration;

use crate::versions::{self, Cell};

/// Numbers of tests and the reasons behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Names of failed tests and commands.
    pub(crate) failures: Vec<String>,
    /// Why something failed or was skipped, in a few words.
    pub(crate) why: Vec<String>,
    /// Tests that are cells of a table of versions.
    pub(crate) cells: Vec<Cell>,
}

impl Outcome {
    /// One failure that is no test of its own.
    pub(crate) fn failure(name: &str, why: String) -> Self {
        Self { failed: 1, failures: vec![name.to_owned()], why: vec![why], ..Self::default() }
    }

    /// Something could not run. On CI, where everything must, that is a failure.
    pub(crate) fn skip(name: &str, why: String, is_ci: bool) -> Self {
        if is_ci {
            return Self::failure(name, format!("{why} (CI=true: a skip is a failure)"));
        }
        Self { skipped: 1, why: vec![why], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.why.extend(other.why);
        self.cells.extend(other.cells);
    }
}

/// Reads what `cargo test` prints, line by line.
#[derive(Debug, Default)]
pub(crate) struct TestOutput {
    pub(crate) outcome: Outcome,
    /// The test binary that runs.
    binary: String,
}

impl TestOutput {
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim();
        self.outcome.cells.extend(Cell::parse(line));
        if let Some(rest) = line.strip_prefix("Running ") {
            // `Running tests/real.rs (target/debug/deps/real-0123)`
            self.binary = rest.split(" (").next().unwrap_or(rest).to_owned();
        } else if let Some(rest) = line.strip_prefix("Doc-tests ") {
            self.binary = format!("doc tests of {rest}");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.outcome.failures.push(format!("{} ({})", name, self.binary));
        } else if let Some((_, reason)) = line.split_once(" ... ignored, ") {
            if !self.outcome.why.iter().any(|why| why == reason) {
                self.outcome.why.push(reason.to_owned());
            }
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            for part in rest.split(['.', ';']) {
                let mut words = part.split_whitespace();
                let n: Option<u64> = words.next().and_then(|word| word.parse().ok());
                match (n, words.next()) {
                    (Some(n), Some("passed")) => self.outcome.passed += n,
                    (Some(n), Some("failed")) => self.outcome.failed += n,
                    (Some(n), Some("ignored")) => self.outcome.skipped += n,
                    _ => {}
                }
            }
        }
    }
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) suite: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) time: Duration,
}

/// The table, the names of what failed, and the last line.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut text = format!("\n{:<14} {:>7} {:>7} {:>7} {:>8}  why\n", "suite", "passed", "failed", "skipped", "time");
    let mut total = Outcome::default();
    let mut failures = String::new();
    for row in rows {
        let Outcome { passed, failed, skipped, .. } = row.outcome;
        let time = format!("{:.1} s", row.time.as_secs_f64());
        let mut why = row.outcome.why.clone();
        why.dedup();
        let line = format!("{:<14} {passed:>7} {failed:>7} {skipped:>7} {time:>8}  {}", row.suite, why.join("; "));
        text.push_str(line.trim_end());
        text.push('\n');
        for failure in &row.outcome.failures {
            failures.push_str(&format!("  {}: {failure}\n", row.suite));
        }
        total.add(row.outcome.clone());
    }
    text.push_str(&versions::render(&total.cells));
    if !failures.is_empty() {
        text.push_str(&format!("\nfailed:\n{failures}"));
    }
    text.push_str(&format!("\n{} passed, {} failed, {} skipped\n", total.passed, total.failed, total.skipped));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_binaries() {
        let mut output = TestOutput::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/a-1)",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, no time",
            "test a::e ... ignored, no time",
            "test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "   Doc-tests klamm",
            "test src/lib.rs - x (line 3) ... ok",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s",
        ] {
            output.line(line);
        }
        assert_eq!((output.outcome.passed, output.outcome.failed, output.outcome.skipped), (2, 1, 2));
        assert_eq!(output.outcome.failures, ["a::c (unittests src/lib.rs)"]);
        assert_eq!(output.outcome.why, ["no time"]);
    }

    #[test]
    fn the_last_line_counts_everything() {
        let row = |suite, outcome| Row { suite, outcome, time: Duration::from_millis(1500) };
        let good = Outcome { passed: 3, ..Outcome::default() };
        let text = render(&[
            row("good", good),
            row("away", Outcome::skip("away", "`node` is missing".into(), false)),
            row("ci", Outcome::skip("ci", "`node` is missing".into(), true)),
        ]);
        assert!(text.ends_with("\n3 passed, 1 failed, 1 skipped\n"), "{text}");
        assert!(text.contains("failed:\n  ci: ci\n"), "{text}");
    }
}
