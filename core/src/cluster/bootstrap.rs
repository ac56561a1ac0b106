//! `bootstrap.servers`: the way in, and the way back when every known broker is out of reach
//! (KIP-899, KIP-1102).

use crate::Instant;
use crate::config::MetadataRecoveryStrategy;
use crate::state::State;
use crate::state::partition::NONE;

impl State<'_> {
    /// Host and port of an entry.
    pub(crate) fn bootstrap_server(&self, index: u16) -> Option<(&str, u16)> {
        self.config.bootstrap_server(index)
    }

    /// Starts over from the bootstrap servers: every connection closes, its requests fail as by a
    /// disconnect (KAFKA-18085), and brokers are forgotten. Topics, queues and sequences stay, and so does the backoff:
    /// this is no way around it (PITFALLS 39).
    pub(crate) fn rebootstrap(&mut self) {
        self.stats.rebootstraps = self.stats.rebootstraps.wrapping_add(1);
        for connection in 0..self.connections.len() {
            self.disconnect(connection as u16);
        }
        for slot in 0..self.partitions.len() {
            if self.partitions.at(slot).in_use {
                // Its epoch stays, as Java's does: whoever answers first may be a leader that was deposed and has not heard of it.
                self.set_leader(slot, NONE, -1);
            }
        }
        let mut earliest = None;
        for slot in 0..self.brokers.len() {
            let broker = self.brokers.at(slot);
            if broker.in_use {
                let until = broker.backoff.until;
                earliest = Some(earliest.map_or(until, |earliest: Instant| earliest.min(until)));
                self.remove_broker(slot as u16);
            }
        }
        if let Some(until) = earliest {
            let backoff = &mut self.cluster.bootstrap.backoff;
            backoff.until = backoff.until.max(until);
        }
        self.cluster.refresh.outage_since = None;
        self.refresh_metadata(true);
    }

    pub(crate) fn may_rebootstrap(&self) -> bool {
        self.config.metadata_recovery_strategy == MetadataRecoveryStrategy::Rebootstrap && self.cluster.brokers > 0
    }
}
