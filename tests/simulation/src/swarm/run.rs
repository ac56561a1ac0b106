//! One run: work under troubles, then peace, then what must be true.

use super::plan::{Ending, Plan, draw};
use super::{Case, Report};
use crate::*;
use klamm_sim::nemesis::Trouble;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What still hangs after the last outcome has ended by then, and memory is free.
const GRACE_MS: u64 = 20_000;
/// What backs off or hangs once peace is made is over by then.
const REST_MS: u64 = 10_000;
/// Changes of replicas by which the work ends: with thousands of partitions each topic or broker that comes and goes takes seconds,
/// and by then all has been seen.
const MOST_CHANGES: u64 = 1_000_000;
/// Partitions of a topic to which a last record must get.
const LAST_RECORDS: u32 = 24;
/// Milliseconds within which a producer with nothing to do closes.
const CLOSE_MS: u64 = 1000;
/// No refresh of metadata backs off for longer.
const REFRESH_BACKOFF_MS: u64 = 4000;
/// An hour.
const IDLE_MS: u64 = 3_600_000;
/// Wake-ups of an idle producer for each refresh of its metadata: the refresh itself, and connections that come and go with it.
const WAKEUPS_PER_REFRESH: u64 = 8;

/// A case in its world.
#[derive(Debug)]
pub struct Run {
    /// The world, for a look at its trace.
    pub world: World,
    pub(super) topics: Vec<TopicId>,
    pub(super) sent: u64,
    /// Partitions, by topic, that came near the end of their sequence numbers.
    pub(super) wrapped: BTreeSet<(usize, u32)>,
    plan: Plan,
    seed: u64,
}

/// Runs a case.
///
/// # Panics
/// If a promise is broken.
#[must_use]
pub fn run(case: &Case) -> Report {
    let mut run = Run::new(case);
    run.go();
    run.report()
}

/// Runs a case, and gives its report, or the words of its failure.
///
/// # Errors
/// What was wrong.
pub fn attempt(case: &Case) -> Result<Report, String> {
    let mut run = catch(|| Run::new(case))?;
    catch(|| run.go())?;
    Ok(run.report())
}

/// Turns a panic into its words.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

impl Run {
    /// The world as the case has it, at time zero.
    ///
    /// # Panics
    /// If the producer refuses its configuration.
    #[must_use]
    pub fn new(case: &Case) -> Self {
        let (plan, options) = draw(case);
        let mut world = World::new(options);
        // Not before the cluster has topics: an automatic one would be another.
        let mut run_topics = Vec::new();
        for topic in plan.topics.iter().filter(|topic| topic.made_at == 0) {
            world.cluster_mut().create_topic_with(&topic.name, topic.options.clone());
        }
        for topic in &plan.topics {
            let id = world.topic(&topic.name);
            if let Some(count) = topic.declared {
                world.producer_mut().declare_partitions(id, count);
            }
            run_topics.push(id);
        }
        if plan.offline_until > 0 {
            let brokers: Vec<i32> = world.cluster().brokers().collect();
            brokers.iter().for_each(|broker| world.network_mut().refuse(*broker));
        }
        Self { world, topics: run_topics, sent: 0, wrapped: BTreeSet::new(), plan, seed: case.seed }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Does all of it.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn go(&mut self) {
        for step in 0..self.plan.steps {
            if self.world.cluster().changes_applied() > MOST_CHANGES {
                break;
            }
            self.step(step);
        }
        self.note_plan();
        match self.plan.ending {
            Ending::Calm => {
                self.calm();
                self.settle();
                if !self.has_ended() && !self.was_deceived() {
                    self.works_again();
                    self.sleeps();
                }
                self.closes(CLOSE_MS);
            }
            Ending::Close(within_ms) => {
                self.closes(within_ms);
                self.calm();
                self.settle();
            }
            Ending::FailAll => {
                self.world.fail_all();
                self.world.run_for(0);
                assert_eq!(self.world.unsettled(), 0, "records without outcome after fail_all");
                self.calm();
                self.settle();
            }
        }
    }

    fn note_plan(&mut self) {
        let line = format!("{} records sent, now to its end: {:?}", self.sent, self.plan.ending);
        self.world.note(line);
    }

    fn calm(&mut self) {
        self.world.calm();
        // Topics that were still to come, or that were deleted.
        for topic in self.plan.topics.clone() {
            self.world.cluster_mut().create_topic_with(&topic.name, topic.options);
        }
    }

    /// Every record has its outcome in time, memory is free, the logs agree.
    fn settle(&mut self) {
        let limit_ms = self.world.delivery_timeout_ms() + 1;
        let settled = self.world.run_until_settled(limit_ms);
        assert!(settled, "{} records have no outcome {limit_ms} ms after the last trouble", self.world.unsettled());
        // One that was lied to may wait for years, for a broker that seemed to ask for that much patience.
        let idle = self.world.run_until_idle(GRACE_MS) || self.was_deceived();
        assert!(idle, "all have their outcomes, but memory is not free");
        self.world.verify();
    }

    /// Whether the producer met an error that ended it. Only after it said so does it refuse records for good; not every error that
    /// it calls fatal is for good, since an administrator may mend what it had not the right to do.
    fn has_ended(&mut self) -> bool {
        let told = self.world.events().iter().any(|(_, event)| matches!(event, Event::Problem(Problem::Fatal(_))));
        let ended = matches!(self.world.send_to(self.topics[0], 0, "after all"), Err(SendError::Fatal(_)));
        assert!(told || !ended, "refuses records for good, but told of no problem");
        ended
    }

    /// Peace is not for those who were lied to: a leader epoch from the future is believed for good.
    fn was_deceived(&self) -> bool {
        self.world.trouble_counts().contains_key(&Trouble::FlippedBytes)
    }

    /// A record gets to every partition.
    fn works_again(&mut self) {
        self.world.run_for(REST_MS);
        for index in 0..self.topics.len() {
            let partitions = self.world.cluster().partition_count(&self.plan.topics[index].name);
            let stride = (partitions / LAST_RECORDS).max(1);
            for partition in (0..partitions).step_by(stride as usize) {
                self.deliver_one(index, partition as i32);
            }
        }
        assert!(self.world.run_until_idle(GRACE_MS), "the last records have their outcomes, but memory is not free");
        self.world.verify();
    }

    /// The first attempt must get through if there is time enough for one request that is lost and the backoffs behind it. A short
    /// delivery timeout may take a second one, on warm connections; new partitions show with the next metadata.
    fn deliver_one(&mut self, index: usize, partition: i32) {
        let value = format!("last {index} {partition}");
        let record = Record::keyed(b"last", value.as_bytes()).to_partition(partition);
        let mut last = String::new();
        let attempts = 3 + self.plan.metadata_age_ms / 1000;
        let (patience_ms, delivery_ms) = (self.world.patience_ms(), self.world.delivery_timeout_ms());
        for attempt in 0..attempts {
            let sent_us = self.world.now_us();
            match self.world.send(self.topics[index], &record) {
                Ok(sent) => {
                    assert!(self.world.run_until_settled(delivery_ms + 1), "no outcome of the last record");
                    let outcome = self.world.outcome(sent);
                    let took_ms = (self.world.now_us() - sent_us) / 1000;
                    if outcome.is_some_and(|outcome| outcome.is_delivered()) {
                        assert!(took_ms <= patience_ms, "{took_ms} ms to {index}-{partition} in peace");
                        return;
                    }
                    last = format!("{outcome:?}");
                    // With few retries one that still believes an old leader gives up before it has heard of the new one.
                    let at_once = delivery_ms > patience_ms && self.world.is_persistent();
                    let most = if at_once { 0 } else { 2 };
                    assert!(attempt < most, "nothing gets to {index}-{partition}: {last}");
                }
                Err(error @ (SendError::NoSuchPartition { .. } | SendError::PartitionsUnknown)) => {
                    last = error.to_string();
                }
                Err(error) => panic!("{index}-{partition} is refused in peace: {error}"),
            }
            self.world.run_for(1000);
        }
        panic!("nothing gets to {index}-{partition} in peace: {last}");
    }

    /// An idle producer refreshes its metadata, and does nothing else.
    fn sleeps(&mut self) {
        let age_ms = self.plan.metadata_age_ms;
        let idle_ms = IDLE_MS.min(40 * age_ms);
        let (before, produced) = (self.world.wakeups(), produces(&self.world).count());
        let refreshed = self.world.stats().metadata_refreshes;
        self.world.run_for(idle_ms);
        let woken = self.world.wakeups() - before;
        let most = (idle_ms / age_ms + 2) * WAKEUPS_PER_REFRESH;
        assert!(woken <= most, "woken {woken} times in {idle_ms} ms of idleness, {most} are allowed");
        let refreshed = u64::from(self.world.stats().metadata_refreshes - refreshed);
        // Answers that bring nothing new are asked for with a backoff (PRODUCER g.1).
        let least = (idle_ms / (age_ms + REFRESH_BACKOFF_MS) * 3 / 4).saturating_sub(1);
        assert!(refreshed >= least, "{refreshed} times metadata in {idle_ms} ms, {least} are due");
        assert_eq!(produces(&self.world).count(), produced, "produced something in idleness");
        assert_eq!(self.world.unsettled(), 0);
    }

    fn closes(&mut self, within_ms: u64) {
        self.world.close(within_ms);
        let closed = self.world.run_until(|world| world.producer().is_closed(), within_ms + 1);
        assert!(closed, "not closed in {within_ms} ms");
        assert_eq!(self.world.producer().poll_timeout(), None, "closed, and yet something is to come");
        assert_eq!(self.world.unsettled(), 0, "closed, with records without outcome");
    }

    /// How many leaders were elected, of the topics as they are.
    fn elections(&self) -> u64 {
        let cluster = self.world.cluster();
        let leaders = self.plan.topics.iter().flat_map(|topic| {
            let partitions = 0..cluster.partition_count(&topic.name);
            partitions.filter_map(|partition| cluster.leader(&topic.name, partition))
        });
        leaders.map(|(_, epoch)| epoch as u64).sum()
    }

    /// What there is to tell of it.
    #[must_use]
    pub fn report(&self) -> Report {
        let world = &self.world;
        let struck = |trouble: &Trouble| world.trouble_counts().contains_key(trouble);
        let lossy = Trouble::ALL.iter().any(|trouble| trouble.is_lossy() && struck(trouble));
        let is_gap = |outcome: &Outcome| matches!(outcome, Outcome::Failed { error: DeliveryError::SequenceGap, .. });
        // Scripted answers may say 45 or 59 of anything.
        let honest = !lossy && !struck(&Trouble::FatalErrors);
        let unknown = world.outcomes().flatten().filter(|outcome| outcome.fate() == Some(Fate::Unknown));
        Report {
            seed: self.seed,
            virtual_ms: world.now_ms(),
            records: world.records().len() as u64,
            delivered: world.delivered() as u64,
            failed: world.failed() as u64,
            unknown: unknown.count() as u64,
            gaps: if honest { world.outcomes().flatten().filter(is_gap).count() as u64 } else { 0 },
            requests: world.cluster().requests().len() as u64,
            connections: world.connections_made(),
            elections: self.elections(),
            troubles: world.trouble_counts(),
            lossy,
            large: self.plan.large,
            hash: world.trace_hash(),
        }
    }
}
