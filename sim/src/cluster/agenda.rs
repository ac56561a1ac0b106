//! What is going to happen inside the cluster, by its time.

use super::topic::Place;
use std::collections::BTreeMap;

/// An entry's time and its turn among those of the same time.
pub(super) type Key = (u64, u64);

/// What happens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A broker learns of decisions.
    Learn(i32),
    /// The controller has not heard from a broker for too long.
    Session(i32),
    /// A follower's fetch is done.
    Fetch(Place, i32),
    /// A leader looks for followers that lag.
    Lag(Place, i32),
    /// The controller takes the leaders' wishes for their ISRs.
    AlterIsr,
    /// A produce request has waited for its replicas long enough.
    Timeout(u64),
    /// A controlled shutdown ends.
    Stop(i32),
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<Key, Due>,
    turns: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at_ms: u64, due: Due) -> Key {
        self.turns += 1;
        let key = (at_ms, self.turns);
        self.entries.insert(key, due);
        key
    }

    pub(super) fn cancel(&mut self, key: Option<Key>) {
        if let Some(key) = key {
            self.entries.remove(&key);
        }
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.entries.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes the first entry, if it is due.
    pub(super) fn take(&mut self, now_ms: u64) -> Option<(u64, Due)> {
        let first = self.entries.first_entry().filter(|entry| entry.key().0 <= now_ms)?;
        let ((at_ms, _), due) = first.remove_entry();
        Some((at_ms, due))
    }
}
