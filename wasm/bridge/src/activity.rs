//! When something last happened in a tunnel.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by the parts of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Milliseconds after the start: the client was heard, or took data.
    client: AtomicU64,
    /// Milliseconds after the start: data went through, either way.
    data: AtomicU64,
    /// Whether the client is being read. While its bytes wait for a slow target it cannot be heard.
    listening: AtomicBool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            client: AtomicU64::new(0),
            data: AtomicU64::new(0),
            listening: AtomicBool::new(false),
        }
    }
}

impl Activity {
    pub(crate) fn client_alive(&self) {
        self.client.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn data_moved(&self) {
        self.data.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn listen(&self, listening: bool) {
        if listening {
            self.client_alive();
        }
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Since data last went through.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.data.load(Ordering::Relaxed)))
    }

    /// Since the client was last heard; nothing while it is not being read.
    pub(crate) fn silence(&self) -> Duration {
        if !self.listening.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        Duration::from_millis(self.now().saturating_sub(self.client.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
