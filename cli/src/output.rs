//! Standard output: a reader that goes away wants no more, which is its right; a full disk is a failure of the run.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static LOST: AtomicBool = AtomicBool::new(false);

/// Text on standard output, at once.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        note(&error);
    }
}

/// Takes down that standard output cannot be written to, and says so the first time.
pub(crate) fn note(error: &io::Error) {
    if error.kind() != ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) {
        // Not eprintln: a closed standard error must not panic.
        drop(writeln!(io::stderr(), "klamm: cannot write to standard output: {error}"));
    }
}

/// Whether something that was to be printed is lost.
pub(crate) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}
