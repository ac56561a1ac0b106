//! What happened when: a file with the nemesis' deeds, the network's troubles and the producers' own words.

use std::fmt::Display;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::Result;

/// Lines with the seconds since the run began. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct Journal {
    began: Instant,
    file: Arc<Mutex<LineWriter<File>>>,
}

impl Journal {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self { began: Instant::now(), file: Arc::new(Mutex::new(LineWriter::new(file))) })
    }

    /// Adds a line. A full disk is no reason to end the run.
    pub fn note(&self, who: &str, what: impl Display) {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{seconds:>9.3} {who:<8} {what}");
    }

    /// Writes down what klamm says from now on. The first journal of a process gets it all.
    pub fn listen(&self) {
        if log::set_boxed_logger(Box::new(self.clone())).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
    }
}

impl log::Log for Journal {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.note(record.target(), record.args());
    }

    fn flush(&self) {}
}
