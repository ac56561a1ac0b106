//! A world for other people's code: runs it over the producer, counts and asserts.

use super::World;
use super::ledger::Outcome;
use klamm_core::{Disconnect, Event, Instant, Producer};

/// What a producer did to the machine that it runs on; everything only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Deadlines for which the machine had to wake up.
    pub wakeups: u64,
    /// Writes to connections.
    pub writes: u64,
    /// Reads from connections.
    pub reads: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Connections opened, or tried to be.
    pub connections: u64,
}

impl World {
    /// Runs code of your own over the producer, at the world's time: what a device does between two sleeps.
    ///
    /// What it sends is checked as the world's own records are, as far as they can be known from outside: each has exactly
    /// one outcome in time, delivered ones lie in the log at a place of their own, and logs hold no more than was delivered
    /// or is of unknown fate. The world does what a transport does, so the code must leave actions, bytes and events to it;
    /// [`World::take_events`] has the events.
    pub fn with_producer<R>(&mut self, run: impl FnOnce(&mut Producer<'static>, Instant) -> R) -> R {
        self.book_strangers();
        self.debts.in_strange_hands();
        let result = run(&mut self.producer, Instant::from_micros(self.now_us));
        self.stirred = true;
        self.book_strangers();
        result
    }

    /// The events since the last call, for code that wants them; [`World::events`] forgets them.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    /// Lets time pass until the producer's next deadline was served, at most for this long. Whether there was one.
    pub fn run_until_wakeup(&mut self, limit_ms: u64) -> bool {
        let before = self.wakeups;
        self.run_until(|world| world.wakeups > before, limit_ms)
    }

    /// Lets hours pass in which nothing is sent, and checks that the producer sleeps through them: without records it may
    /// wake for metadata that is due, which may open one connection each time, and for connections that were idle for too
    /// long; each of these costs at most two deadlines. Returns how often it woke.
    ///
    /// # Panics
    /// If a record has no outcome yet, or if the producer woke more often than that. The world must be a calm one: a
    /// network or cluster in trouble gives a producer reasons of its own.
    pub fn run_idle(&mut self, hours: u64) -> u64 {
        if self.unsettled() > 0 {
            self.fail(format_args!("{} records have no outcome", self.unsettled()));
        }
        let us = hours.saturating_mul(3_600_000_000);
        let wakeups = self.wakeups;
        let open = self.connections_open() as u64;
        self.run(self.now_us.saturating_add(us), |_| false);
        let woke = self.wakeups - wakeups;
        let refreshes = us / self.watch.terms.metadata_age_us.max(1) + 1;
        let most = 2 * (refreshes + refreshes + open);
        if woke > most {
            self.fail(format_args!("{woke} wake-ups in {hours} idle hours, at most {most} have a reason"));
        }
        woke
    }

    /// Tells the producer of the connections that brokers forgot.
    pub(super) fn reset_forgotten(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.forgotten) {
            link.ends.get_or_insert((self.now_us, Disconnect::Other));
        }
        self.stirred = true;
    }

    /// Moves the brokers' wall clock, forwards or back; the producer is not told until
    /// [`set_wall_clock`](World::set_wall_clock).
    pub fn jump_wall_clock(&mut self, by_ms: i64) {
        let base = &mut self.cluster.options_mut().wall_clock_base_ms;
        *base = base.saturating_add(by_ms);
        self.note(format_args!("the wall clock jumps by {by_ms} ms"));
    }

    // ---- counts and assertions ----

    /// What the producer did so far.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let stats = self.producer.stats();
        Activity {
            wakeups: self.wakeups,
            writes: self.writes,
            reads: self.reads,
            bytes_out: stats.bytes_out,
            bytes_in: stats.bytes_in,
            connections: self.connections_made,
        }
    }

    /// The values that a topic holds, partition by partition, in the order of their offsets. A record without a value
    /// counts as an empty one.
    #[must_use]
    pub fn values(&self, topic: &str) -> Vec<Vec<u8>> {
        (0..self.cluster.partition_count(topic)).flat_map(|partition| self.values_in(topic, partition)).collect()
    }

    /// The values that a partition holds, in the order of their offsets.
    #[must_use]
    pub fn values_in(&self, topic: &str, partition: u32) -> Vec<Vec<u8>> {
        let log = self.cluster.log(topic, partition);
        log.into_iter().map(|record| record.value.unwrap_or_default()).collect()
    }

    /// Every record that was accepted so far was delivered, and the logs agree.
    ///
    /// # Panics
    /// If one has no outcome or failed.
    pub fn assert_delivered(&mut self) {
        self.assert_settled();
        let stats = self.producer.stats();
        if stats.records_delivered < stats.records_accepted {
            let failed = stats.records_accepted - stats.records_delivered;
            let first =
                self.ledger.entries().iter().find_map(|entry| entry.outcome.filter(|told| !told.is_delivered()));
            let why = first.and_then(|told| Some(format!(": {} ({:?})", told.error()?, told.fate()?)));
            let (why, all) = (why.unwrap_or_default(), stats.records_accepted);
            self.fail(format_args!("{failed} of {all} records failed; the first{why}: {first:?}"));
        }
    }

    /// Every record that was accepted so far has its outcome, and the logs agree: what was not delivered is known.
    ///
    /// # Panics
    /// If one has no outcome.
    pub fn assert_settled(&mut self) {
        if self.unsettled() > 0 {
            self.fail(format_args!("{} records have no outcome", self.unsettled()));
        }
        self.verify();
    }

    /// Records in the logs of a topic that appear more than once, going by their values. With idempotence there are none
    /// unless equal values were sent.
    #[must_use]
    pub fn duplicates(&self, topic: &str) -> usize {
        let mut values = self.values(topic);
        let all = values.len();
        values.sort_unstable();
        values.dedup();
        all - values.len()
    }

    /// Whether a record of the world's own was delivered.
    #[must_use]
    pub fn is_delivered(&self, record: usize) -> bool {
        self.outcome(record).is_some_and(|outcome: Outcome| outcome.is_delivered())
    }
}
