//! What is looked at after every step.

use super::World;
use super::link::{Link, Stage};
use crate::history::SeenRequest;
use crate::protocol::Api;
use klamm_core::TopicId;
use std::fmt;

/// A batch that must leave at a time, unless something holds it up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linger {
    due_us: u64,
    /// Its first record.
    record: usize,
    topic: TopicId,
}

/// Free and total memory, and what it is needed for.
#[derive(Debug, Clone, Copy)]
struct Memory {
    bytes: (u64, u64),
    slots: (u32, u32),
    outstanding: u32,
    /// No record waits for its outcome, no request for its answer, and no job for its end.
    idle: bool,
}

impl Memory {
    fn is_all_free(&self) -> bool {
        self.bytes.0 == self.bytes.1 && self.slots.0 == self.slots.1
    }

    /// What was given is all there is, and all of it is free when nothing is outstanding.
    fn is_right(&self) -> bool {
        let (free, total) = self.bytes;
        let (free_slots, slots) = self.slots;
        free <= total
            && free_slots <= slots
            && self.outstanding <= slots
            && (self.is_all_free() || !self.idle || self.outstanding > 0)
    }
}

impl World {
    /// A record opened a batch, which lingers from now on.
    pub(super) fn lingers(&mut self, record: usize, topic: TopicId) {
        self.lingers.push_back(Linger { due_us: self.now_us + self.watch.terms.linger_us, record, topic });
    }

    /// Books what the producer accepted from others than the world.
    pub(super) fn book_strangers(&mut self) {
        let accepted = self.producer.stats().records_accepted;
        let strange = accepted.saturating_sub(self.ledger.accepted());
        if strange > 0 {
            self.trace.push(self.now_us, format_args!("{strange} records were sent from outside"));
            self.ledger.accept_strangers(self.now_us, strange);
        }
        // A test may have cleared the history.
        self.seen = self.seen.min(self.cluster.requests().len());
        self.read_history();
    }

    /// Reads on in what the brokers saw.
    pub(super) fn read_history(&mut self) {
        let struck = self.cluster.faults().struck();
        if struck > self.struck {
            self.trace.push(self.now_us, format_args!("the script strikes ({} times)", struck - self.struck));
            self.struck = struck;
        }
        while let Some(request) = self.cluster.requests().get(self.seen) {
            self.seen += 1;
            self.trace.push(self.now_us, format_args!("{}", Heard(request)));
            self.watch.refreshes = self.producer.stats().metadata_refreshes.into();
            for batch in &request.batches {
                let leader = self.cluster.leader(&batch.topic, batch.partition as u32);
                if leader.is_some_and(|(_, epoch)| epoch > 0) {
                    self.watch.leader_moved(&batch.topic, batch.partition);
                }
            }
            if let Err(wrong) = self.watch.read(self.now_us, request) {
                self.fail(format_args!("{wrong}"));
            }
        }
    }

    /// What was due before now must be done, before anything happens now: a deadline that is served late is missed.
    pub(super) fn check_deadlines(&mut self) {
        if let Some(late) = self.ledger.overdue(self.now_us) {
            self.fail(format_args!("delivery.timeout.ms passed without an outcome: {late}"));
        }
        if let Some(late) = self.debts.overdue(self.now_us) {
            self.fail(format_args!("{late}"));
        }
        for link in &self.links {
            if let Some(late) = self.overdue(link) {
                self.fail(format_args!("connection {}: {late}", link.number));
            }
        }
    }

    /// When the next batch must leave: the world looks at that time, whether anybody else does or not.
    pub(super) fn next_linger(&self) -> Option<u64> {
        self.lingers.front().map(|linger| linger.due_us)
    }

    /// Everything that must be true between two steps.
    pub(super) fn check_moment(&mut self) {
        self.check_memory();
        // With acks=0 an answer to nothing is tolerated: some servers give it (PRODUCER f.5).
        let confused = |link: &&Link| link.conn.is_some() && link.talk.is_confused() && self.watch.terms.answered;
        if let Some(link) = self.links.iter().find(confused) {
            self.fail(format_args!("connection {} goes on after an answer that nobody asked for", link.number));
        }
        while let Some(linger) = self.lingers.front().copied().filter(|linger| linger.due_us <= self.now_us) {
            self.lingers.pop_front();
            if self.should_have_left(linger) {
                let record = self.ledger.entries()[linger.record].accepted.id;
                self.fail(format_args!("linger.ms is over, and nothing holds up the batch of {record:?}"));
            }
        }
        // A look at the logs costs as much as there is in them, so they grow by half in between.
        let accepted = self.ledger.accepted();
        if self.unsettled() == 0 && accepted > self.verified_at * 3 / 2 {
            self.verified_at = accepted;
            self.verify();
        }
    }

    fn check_memory(&mut self) {
        let producer = &self.producer;
        let silent = |link: &Link| link.conn.is_none() || link.talk.waiting() == 0 && !link.talk.is_mid_request();
        let memory = Memory {
            bytes: (producer.buffer_available_bytes(), producer.buffer_total_bytes()),
            slots: (producer.batches_available(), producer.batches_total()),
            outstanding: producer.outstanding_batches(),
            idle: self.unsettled() == 0 && self.jobs.is_empty() && self.jobs_lost == 0 && self.links.iter().all(silent),
        };
        if !memory.is_right() {
            self.fail(format_args!("{memory:?}"));
        }
        if let Err(wrong) = self.debts.check(&self.ledger, memory.is_all_free() && memory.outstanding == 0) {
            self.fail(format_args!("{wrong}"));
        }
    }

    /// What a connection waits for longer than it may.
    fn overdue(&self, link: &Link) -> Option<String> {
        link.conn?;
        if !matches!(link.stage, Stage::Open) {
            let since = link.wished_us;
            let late = self.now_us > since + self.watch.terms.setup_us;
            return late.then(|| format!("wished for at {since} us, and not given up"));
        }
        let asked = link.talk.oldest()?;
        // Brokers that throttle answer later, by as much as they said (PRODUCER f.5).
        let patience = self.watch.terms.request_us + self.producer.stats().throttle_ms * 1000;
        let late = self.now_us > asked.asked_us + patience;
        late.then(|| format!("request.timeout.ms passed for {asked:?}"))
    }

    /// Connections that may be given up since an answer, or a socket, is late.
    pub(super) fn requests_late(&self) -> u32 {
        let stuck = |link: &Link| link.shown.len() > 0 || link.talk.is_mid_request();
        let late = |link: &Link| {
            let oldest = link.talk.oldest();
            let now_us = self.now_us + self.watch.terms.lag_us;
            oldest.is_some_and(|asked| now_us >= asked.asked_us + self.watch.terms.request_us + asked.throttled_us)
        };
        self.links.iter().filter(|link| link.conn.is_some() && (late(link) || stuck(link))).count() as u32
    }

    /// Whether nothing holds up a batch that lingered long enough: its leader is known, connected, idle and patient, and
    /// its partition waits for nothing.
    fn should_have_left(&mut self, linger: Linger) -> bool {
        let entry = &self.ledger.entries()[linger.record];
        let id = entry.accepted.id;
        if entry.outcome.is_some() || !self.watch.terms.self_contained || self.struck > 0 {
            return false;
        }
        if self.ended_us.is_some() && self.ledger.oldest_open_us() <= self.ended_us {
            return false; // it, or one before it, may have left already and have to be sent again
        }
        let producer = &self.producer;
        let Some(partition) = producer.batch_partition(id.batch, entry.accepted.slot) else { return false };
        let stats = producer.stats();
        if stats.epoch_bumps > 0 || stats.throttle_ms > 0 || !self.watch.is_clear(&entry.topic, partition) {
            return false;
        }
        // The first batch for a new leader waits for what the former one has.
        if self.links.iter().any(|link| link.conn.is_some() && link.talk.has_records_under_way()) {
            return false;
        }
        let leader = producer.partition_leader(linger.topic, partition).and_then(|leader| leader.id);
        let ready = |link: &&Link| {
            link.is_open()
                && link.talk.answered() > 0
                && link.talk.waiting() == 0
                && !link.talk.is_mid_request()
                && link.full_until <= self.now_us
                && leader.is_some()
                && link.conn.and_then(|conn| producer.connection_broker(conn)) == leader
        };
        self.network.flips.is_empty() && self.links.iter().any(|link| ready(&link))
    }
}

/// A request as a broker read it, and what became of it, in a line.
struct Heard<'r>(&'r SeenRequest);

impl fmt::Display for Heard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.0;
        write!(f, "broker {} reads on {}: ", request.broker, request.connection.0)?;
        match Api::from_key(request.api_key) {
            Some(api) => write!(f, "{api:?}")?,
            None => write!(f, "API {}", request.api_key)?,
        }
        write!(f, " v{} #{}, {} bytes", request.api_version, request.correlation_id, request.bytes)?;
        for batch in &request.batches {
            write!(f, "; {}-{}: {} records, {} bytes", batch.topic, batch.partition, batch.records, batch.bytes)?;
            if batch.producer_id >= 0 {
                let (id, epoch, base) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
                write!(f, ", pid {id}/{epoch} from {base}")?;
            }
            match (batch.error_code, batch.appended) {
                (0, true) => write!(f, " -> at {}", batch.base_offset)?,
                (0, false) => write!(f, " -> known, at {}", batch.base_offset)?,
                (code, true) => write!(f, " -> appended, but error {code}")?,
                (code, false) => write!(f, " -> error {code}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WorldOptions;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Sends through a world that was told to expect something else than its producer promises: its words.
    fn expecting(change: impl FnOnce(&mut World)) -> String {
        let mut world = World::new(WorldOptions::seeded(1).configure(|config| config.linger_ms = 20));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        world.send_value(topic, "warm").unwrap();
        assert!(world.run_until_idle(10_000));
        change(&mut world);
        let run = AssertUnwindSafe(|| {
            for _ in 0..200 {
                world.send_value(topic, [7; 1000]).unwrap();
            }
            world.run_until_idle(10_000);
            world.send_value(topic, "one that lingers").unwrap();
            world.run_until_idle(10_000)
        });
        match catch_unwind(run) {
            Ok(idle) => format!("idle: {idle}"),
            Err(words) => words.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn a_world_that_expects_what_is_promised_is_content() {
        assert_eq!(expecting(|_| ()), "idle: true");
    }

    #[test]
    fn a_batch_that_leaves_late_is_noticed() {
        assert!(expecting(|world| world.watch.terms.linger_us = 5000).contains("linger.ms is over"));
    }

    #[test]
    fn a_request_that_waits_too_long_is_noticed() {
        let words = expecting(|world| {
            world.watch.terms.request_us = 900_000;
            world.network_mut().block(1);
            world.network_mut().block(2);
            world.network_mut().block(3);
        });
        assert!(words.contains("request.timeout.ms passed"), "{words}");
    }

    #[test]
    fn a_connection_that_is_not_given_up_is_noticed() {
        let words = expecting(|world| {
            world.watch.terms.setup_us = 900_000;
            world.reset_connections();
            world.network_mut().hang_permille = 1000;
        });
        assert!(words.contains("not given up"), "{words}");
    }

    /// Sends two records to a world whose first answer asks for patience; then `change` meddles.
    fn throttled(change: impl FnOnce(&mut World)) -> String {
        let mut world = World::new(WorldOptions::seeded(1).configure(|config| config.request_timeout_ms = 1000));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        world.send_value(topic, "warm").unwrap();
        assert!(world.run_until_idle(10_000));
        let produce = || crate::Fault::on(crate::Api::Produce);
        world.cluster_mut().faults().push(produce().then(crate::Action::Throttle(2000)));
        world.cluster_mut().faults().push(produce().skip(1).then(crate::Action::NoAnswer));
        world.send_value(topic, [1; 20_000]).unwrap();
        world.send_value(topic, [2; 20_000]).unwrap();
        world.run_for(10);
        world.send_value(topic, "held back").unwrap();
        change(&mut world);
        match catch_unwind(AssertUnwindSafe(|| world.run_until_idle(20_000))) {
            Ok(idle) => format!("idle: {idle}"),
            Err(words) => words.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn a_throttle_that_is_ignored_or_counted_twice_is_noticed() {
        assert_eq!(throttled(|_| ()), "idle: true");
        let early =
            throttled(|world| world.links.iter_mut().for_each(|link| link.throttle(world.now_us, 5_000_000, 1)));
        assert!(early.contains("asked for patience") || early.contains("a request timed out"), "{early}");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_must_end_its_connection() {
        let words = expecting(|world| {
            let link = world.links.iter_mut().find(|link| link.is_open()).unwrap();
            link.talk.answer(&[0, 0, 0, 4, 9, 9, 9, 9], |_| ());
        });
        assert!(words.contains("nobody asked for"), "{words}");
    }

    #[test]
    fn too_many_requests_and_too_large_ones_are_noticed() {
        assert!(expecting(|world| world.watch.terms.max_in_flight = 2).contains("3 requests wait"));
        assert!(expecting(|world| world.watch.terms.max_request_size = 9000).contains("max.request.size is 9000"));
    }

    #[test]
    fn memory_that_is_missing_or_made_up_is_noticed() {
        let right = Memory { bytes: (100, 100), slots: (4, 4), outstanding: 0, idle: true };
        assert!(right.is_right());
        assert!(Memory { bytes: (50, 100), slots: (3, 4), outstanding: 1, idle: false }.is_right());
        assert!(!Memory { bytes: (101, 100), ..right }.is_right());
        assert!(!Memory { slots: (5, 4), ..right }.is_right());
        assert!(!Memory { outstanding: 5, idle: false, ..right }.is_right());
        assert!(!Memory { bytes: (90, 100), ..right }.is_right());
        assert!(!Memory { slots: (3, 4), ..right }.is_right());
    }
}
