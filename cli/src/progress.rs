//! Progress for a person: on standard error, and only if that is a terminal.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A bar, a spinner, or nothing. Clones show the same.
#[derive(Clone)]
pub(crate) struct Progress(Option<ProgressBar>);

const SPIN: Duration = Duration::from_millis(120);

impl Progress {
    /// Shows nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Counts `what`, towards `total` if that is known.
    pub(crate) fn records(total: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self::none();
        }
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:30} {human_pos}/{human_len} records, {rate}/s, {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {human_pos} records, {rate}/s"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{:.0}", state.per_sec());
        }));
        bar.enable_steady_tick(SPIN);
        Self(Some(bar))
    }

    /// This many are done.
    pub(crate) fn set(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    /// Runs something that prints, with the bar out of its way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// A line on standard error. A closed standard error is not an error.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        self.aside(|| drop(writeln!(io::stderr(), "klamm: {line}")));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
