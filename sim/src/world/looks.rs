//! Looks at a world.

use super::ledger::{Entry, Outcome};
use super::{Codecs, Network, Random, World};
use crate::cluster::Cluster;
use klamm_core::{Event, PeerError, Producer, Stats};
use std::fmt;

impl World {
    /// Microseconds since the start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Milliseconds since the start: the cluster's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// The brokers' wall clock, in Unix milliseconds.
    pub fn unix_ms(&mut self) -> i64 {
        self.cluster.options_mut().wall_clock_base_ms.saturating_add_unsigned(self.now_us / 1000)
    }

    /// Every accepted record, in the order of acceptance.
    #[must_use]
    pub fn records(&self) -> &[Entry] {
        self.ledger.entries()
    }

    /// The outcome of each accepted record, as far as it is known.
    pub fn outcomes(&self) -> impl Iterator<Item = Option<Outcome>> {
        self.ledger.entries().iter().map(|entry| entry.outcome)
    }

    /// The outcome of a record.
    #[must_use]
    pub fn outcome(&self, record: usize) -> Option<Outcome> {
        self.ledger.entries().get(record)?.outcome
    }

    /// How many records were delivered.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.outcomes().flatten().filter(Outcome::is_delivered).count()
    }

    /// How many records failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes().flatten().filter(|outcome| !outcome.is_delivered()).count()
    }

    /// How many records have no outcome yet.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.ledger.unsettled()
    }

    /// Every event that the producer told, with its time in microseconds.
    #[must_use]
    pub fn events(&self) -> &[(u64, Event)] {
        &self.events
    }

    /// Whether the producer told this event.
    #[must_use]
    pub fn saw(&self, event: Event) -> bool {
        self.events.iter().any(|(_, told)| *told == event)
    }

    /// Forgets the events so far.
    pub fn clear_events(&mut self) {
        self.events.clear();
    }

    /// What the producer had to say of its peers' manners.
    #[must_use]
    pub fn peer_errors(&self) -> &[(u64, PeerError)] {
        &self.peer_errors
    }

    /// The brokers' words on failed batches, in the order of their events.
    #[must_use]
    pub fn error_texts(&self) -> &[String] {
        &self.texts
    }

    /// How often a deadline woke the producer.
    #[must_use]
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// How many connections were opened, or tried to be.
    #[must_use]
    pub fn connections_made(&self) -> u64 {
        self.connections_made
    }

    /// How many connections the producer holds open, or is opening.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.links.iter().filter(|link| link.conn.is_some()).count()
    }

    /// The producer's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.producer.stats()
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster, to break it.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        // What the test does happens now, not when the cluster was looked at last.
        self.cluster.advance(self.now_us / 1000);
        &mut self.cluster
    }

    /// The network, to break it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The codecs outside the core, to slow or break them.
    pub fn codecs_mut(&mut self) -> &mut Codecs {
        &mut self.codecs
    }

    /// Compression jobs that are being done.
    #[must_use]
    pub fn jobs_under_way(&self) -> usize {
        self.jobs.len()
    }

    /// The producer, for a look.
    #[must_use]
    pub fn producer(&self) -> &Producer<'static> {
        &self.producer
    }

    /// The producer, for commands that the world does not have. It is polled when time passes next.
    pub fn producer_mut(&mut self) -> &mut Producer<'static> {
        self.stirred = true;
        self.debts.in_strange_hands();
        &mut self.producer
    }

    /// The world's own randomness.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The last lines of what happened.
    pub fn trace(&self) -> impl Iterator<Item = &str> {
        self.trace.lines()
    }

    /// A sum over all lines of the trace: equal for equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Adds a line of the test's own to the trace.
    pub fn note(&mut self, line: impl fmt::Display) {
        self.trace.push(self.now_us, format_args!("-- {line}"));
    }
}
