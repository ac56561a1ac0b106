//! What the producer owes besides outcomes: its word on flush, room and close, and a reason for each failure.

use super::ledger::Ledger;
use super::watch::Watch;
use klamm_core::{BatchOutcome, DeliveryError, ErrorCode, Event, Problem, SendError};

/// What a flush waits for.
#[derive(Debug, Clone, Copy)]
struct Flush {
    /// Records that were accepted before.
    records: usize,
    /// The last batch of them. Records may still be added to it, and then it waits for these, too.
    batch: u32,
}

/// What is owed, and what excuses the producer.
#[derive(Debug, Default)]
pub(crate) struct Debts {
    flush: Option<Flush>,
    /// There was no room, and nobody was told yet that there is some.
    room: bool,
    /// By when everything has to be over.
    closes_us: Option<u64>,
    closed: bool,
    /// Commands of others than the world: each may be the reason for one Flushed, and for an end.
    strange_flush: bool,
    strange_end: bool,
    /// Codes that failed records and that no broker gave to their partition: the producer must have ended.
    ends: Vec<ErrorCode>,
}

impl Debts {
    /// Somebody has the producer in hand.
    pub(crate) fn in_strange_hands(&mut self) {
        (self.strange_flush, self.strange_end) = (true, true);
    }

    /// `flush` was called.
    pub(crate) fn flush(&mut self, ledger: &Ledger) {
        if !self.closed {
            let (records, batch) = (ledger.entries().len(), ledger.last_batch());
            self.flush = Some(Flush { records, batch });
        }
    }

    /// A record was refused.
    pub(crate) fn refused(&mut self, error: SendError) {
        self.room |= matches!(error, SendError::Full | SendError::BrokerShare);
    }

    /// `close` was called.
    pub(crate) fn close(&mut self, by_us: u64) {
        self.closes_us = Some(by_us);
    }

    /// An event, in its order. What is wrong with it, in words.
    pub(crate) fn hear(&mut self, event: &Event, ledger: &Ledger) -> Result<(), String> {
        if self.closed {
            return Err(format!("an event after Closed: {event:?}"));
        }
        match event {
            Event::Flushed => match self.flush.take() {
                Some(flush) if ledger.settled_to() < flush.records && !ledger.has_strangers() => {
                    let first = &ledger.entries()[ledger.settled_to()].accepted.id;
                    Err(format!("Flushed, and {first:?} has no outcome"))
                }
                None if !std::mem::take(&mut self.strange_flush) => Err("Flushed, and nobody asked for it".to_owned()),
                _ => Ok(()),
            },
            Event::Writable => {
                // One more than was asked for does no harm.
                self.room = false;
                Ok(())
            }
            Event::Problem(Problem::Fatal(code)) => {
                self.ends.retain(|end| end != code);
                Ok(())
            }
            Event::Closed => {
                self.closed = true;
                if ledger.unsettled() == 0 {
                    return Ok(());
                }
                Err(format!("Closed, and {} records have no outcome", ledger.unsettled()))
            }
            _ => Ok(()),
        }
    }

    /// A failure needs a reason.
    pub(crate) fn judge(
        &mut self,
        now_us: u64,
        told: &BatchOutcome,
        ledger: &Ledger,
        watch: &Watch,
    ) -> Result<(), String> {
        let Err(failed) = told.result else { return Ok(()) };
        let entry = ledger.batch(told.batch).filter(|_| !ledger.has_strangers());
        let topic = ledger.topic_name(told.topic);
        let wrong = match failed.error {
            DeliveryError::Broker(code) if !watch.may_fail(topic, told.partition, code) => {
                self.ends.push(code);
                None
            }
            DeliveryError::RecordTooLarge
                if !watch.was_answered(topic, told.partition, ErrorCode::MESSAGE_TOO_LARGE) =>
            {
                Some("and no broker said so")
            }
            DeliveryError::TimedOut { .. }
                if entry.is_some_and(|(at, _)| now_us + watch.terms.lag_us < at + watch.terms.delivery_us) =>
            {
                Some("and delivery.timeout.ms is not over")
            }
            // What is too large by itself is not sent until its time is over.
            DeliveryError::TimedOut { last: ErrorCode::MESSAGE_TOO_LARGE }
                if entry.is_some_and(|(_, len)| len == 1)
                    && watch.surely_answered(topic, told.partition, ErrorCode::MESSAGE_TOO_LARGE) =>
            {
                Some("and the broker had said that its one record is too large")
            }
            DeliveryError::Closed if self.closes_us.is_none() && !self.strange_end => Some("and nobody closed it"),
            DeliveryError::SequenceGap if !watch.terms.idempotent => Some("and there are no sequence numbers"),
            _ => None,
        };
        wrong.map_or(Ok(()), |why| Err(format!("a failure without a reason: {told:?}, {why}")))
    }

    /// What is due now, at the end of all that happens now. `free`: all memory is.
    pub(crate) fn check(&mut self, ledger: &Ledger, free: bool) -> Result<(), String> {
        if let Some(code) = self.ends.pop() {
            return Err(format!("records failed with {code:?}, which no broker gave to their partition"));
        }
        if self.room && free && !self.closed {
            return Err("all memory is free again, and no Writable came".to_owned());
        }
        let owed = self.flush.filter(|flush| !ledger.has_strangers() && !ledger.is_open_to(flush.batch));
        if owed.is_some() && !self.closed {
            return Err("all that was to be flushed has its outcome, and no Flushed came".to_owned());
        }
        Ok(())
    }

    /// What was due before now.
    pub(crate) fn overdue(&self, now_us: u64) -> Option<String> {
        let by_us = self.closes_us.filter(|by_us| !self.closed && now_us > *by_us)?;
        Some(format!("not closed by {by_us} us"))
    }
}

#[cfg(test)]
mod tests {
    use crate::world::{Checks, World, WorldOptions};
    use klamm_core::{ErrorCode, SendError};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A world of one partition, in which a record was delivered.
    fn world(change: impl FnOnce(WorldOptions) -> WorldOptions) -> (World, klamm_core::TopicId) {
        let mut world = World::new(change(WorldOptions::seeded(1)));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        world.send_value(topic, "warm").unwrap();
        assert!(world.run_until_idle(10_000));
        (world, topic)
    }

    /// What a world says that is told something else than its producer.
    fn words(world: &mut World, run: impl FnOnce(&mut World)) -> String {
        match catch_unwind(AssertUnwindSafe(|| run(world))) {
            Ok(()) => String::new(),
            Err(words) => words.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn each_flush_is_answered_once_and_in_its_moment() {
        let (mut world, topic) = world(|options| options);
        world.flush();
        world.run_for(0);
        world.send_value(topic, "a").unwrap();
        world.flush();
        world.run_for(100);
        // A flush of which the producer knows nothing is never answered,
        world.debts.flush(&world.ledger);
        assert!(words(&mut world, |world| world.run_for(1)).contains("no Flushed came"));
        // one of which the world knows nothing has no reason,
        let (mut world, topic) = self::world(|options| options);
        world.send_value(topic, "a").unwrap();
        world.producer.flush(klamm_core::Instant::from_micros(world.now_us));
        assert!(words(&mut world, |world| world.run_for(100)).contains("nobody asked for it"));
        // unless it may have been the test's own, and one that is too early is none.
        let (mut world, topic) = self::world(|options| options);
        world.with_producer(|producer, now| producer.flush(now));
        world.run_for(1);
        world.producer.flush(klamm_core::Instant::from_micros(world.now_us));
        world
            .ledger
            .accept(
                world.now_us,
                topic,
                &klamm_core::Record::value(b"x"),
                klamm_core::Accepted {
                    id: klamm_core::RecordId { batch: 9, index: 0 },
                    slot: 0,
                    timestamp: 0,
                    new_batch: true,
                    wake: false,
                    #[cfg(feature = "codecs")]
                    compress: false,
                },
            )
            .unwrap();
        world.debts.flush(&world.ledger);
        world.stirred = true;
        assert!(words(&mut world, |world| world.run_for(1)).contains("has no outcome"));
    }

    #[test]
    fn room_is_told_of() {
        let small = |options: WorldOptions| options.limit(|limits| limits.buffer_memory = 64 << 10);
        let (mut world, topic) = world(small);
        let refused = (0..10_000).find_map(|_| world.send_value(topic, [7; 1000]).err());
        assert!(matches!(refused, Some(SendError::Full | SendError::BrokerShare)), "{refused:?}");
        assert!(world.run_until_idle(10_000));
        world.debts.refused(SendError::TooManyTopics { max: 1 });
        world.run_for(1);
        world.debts.refused(SendError::BrokerShare);
        assert!(words(&mut world, |world| world.run_for(1)).contains("no Writable came"));
    }

    #[test]
    fn closing_ends_in_time_and_with_all_outcomes() {
        let (mut world, topic) = world(|options| options);
        world.network_mut().block(1);
        world.network_mut().block(2);
        world.network_mut().block(3);
        world.send_value(topic, "a").unwrap();
        world.close(1000);
        world.debts.close(world.now_us + 999_999);
        assert!(words(&mut world, |world| world.run_for(2000)).contains("not closed by"));
        let (mut world, topic) = self::world(|options| options);
        world.send_value(topic, "a").unwrap();
        world.producer.fail_all(klamm_core::Instant::from_micros(world.now_us));
        world.stirred = true;
        assert!(words(&mut world, |world| world.run_for(1)).contains("nobody closed it"));
    }

    #[test]
    fn failures_have_reasons() {
        let fails = |code: i16, told: i16| {
            let (mut world, topic) = world(|options| options.checks(Checks::NONE));
            let fault = crate::Fault::on(crate::Api::Produce).then(crate::Action::Error(code));
            world.cluster_mut().faults().push(fault);
            world.send_value(topic, "a").unwrap();
            // The judge is told of another code than the producer.
            words(&mut world, |world| {
                let refused = ErrorCode::from(code);
                assert!(world.run_until(|world| world.watch.was_answered("t", 0, refused), 100));
                world.watch.mistake(refused, ErrorCode::from(told));
                world.run_for(1000);
            })
        };
        assert_eq!(fails(87, 87), "");
        assert!(fails(87, 18).contains("which no broker gave"), "{}", fails(87, 18));
        assert_eq!(fails(10, 10), "");
        assert!(fails(10, 87).contains("and no broker said so"));
    }

    /// Whoever keeps no history cannot say what brokers answered.
    #[test]
    fn without_history_no_reason_is_asked_for() {
        let (mut world, topic) = world(|mut options| {
            options = options.checks(Checks::NONE);
            options.cluster(crate::ClusterOptions { keep_history: false, ..crate::ClusterOptions::default() })
        });
        let fault = crate::Fault::on(crate::Api::Produce).then(crate::Action::Error(87));
        world.cluster_mut().faults().push(fault);
        world.send_value(topic, "a").unwrap();
        assert_eq!(words(&mut world, |world| world.run_for(1000)), "");
        assert_eq!(world.failed(), 1);
    }

    #[test]
    fn nothing_times_out_early() {
        let (mut world, topic) = world(|options| options.configure(|config| config.delivery_timeout_ms = 40_000));
        world.watch.terms.delivery_us += 1;
        (1..=3).for_each(|broker| world.network_mut().block(broker));
        world.send_value(topic, "a").unwrap();
        assert!(words(&mut world, |world| world.run_for(50_000)).contains("delivery.timeout.ms is not over"));
    }
}
