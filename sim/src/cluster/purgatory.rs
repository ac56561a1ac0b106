//! Produce requests with acks=-1 that wait until the replicas in sync have everything.

use super::Cluster;
use super::agenda::{Due, Key};
use super::connection::ConnectionId;
use super::produce::Produced;
use super::topic::Place;
use crate::error;
use crate::fault::Effects;
use std::collections::BTreeMap;

/// What a partition of a request waits for.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) place: Place,
    /// The high watermark that it takes.
    pub(super) offset: i64,
    /// Topic and partition in the answer.
    pub(super) at: (usize, usize),
}

/// Where an answer goes, and how.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) broker: i32,
    pub(super) connection: ConnectionId,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) effects: Effects,
    /// An answer to an old client is held back while the client is throttled.
    pub(super) throttled_until_ms: u64,
}

/// A request that waits.
#[derive(Debug)]
struct Wait {
    envelope: Envelope,
    produced: Produced,
    deadline: Key,
    /// Where the request stands in the history.
    seen: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Purgatory {
    waits: BTreeMap<u64, Wait>,
    made: u64,
}

impl Cluster {
    /// Has a request wait for its replicas, at most for its own timeout. The number that its answer will be known by.
    pub(super) fn wait_for_replicas(&mut self, produced: Produced, envelope: Envelope, timeout_ms: i32) -> u64 {
        self.purgatory.made += 1;
        let wait = self.purgatory.made;
        for open in &produced.open {
            self.with_replica(open.place, envelope.broker, |replica| {
                if let Some(leadership) = replica.leadership_mut() {
                    leadership.waiting.insert((open.offset, wait));
                }
            });
        }
        let from_ms = self.now_ms.max(produced.stored_ms);
        let until_ms = from_ms.saturating_add(u64::try_from(timeout_ms).unwrap_or(0));
        let deadline = self.agenda.add(until_ms, Due::Timeout(wait));
        // It is noted right after this.
        let seen = self.options.keep_history.then(|| self.requests_forgotten + self.history.len());
        self.purgatory.waits.insert(wait, Wait { envelope, produced, deadline, seen });
        wait
    }

    /// The high watermark of a partition reached what a request waits for there.
    pub(super) fn reach(&mut self, wait: u64, place: Place, node: i32) {
        let Some(topic) = self.topics.get(&place.topic) else { return };
        let min_insync = topic.options.min_insync_replicas.unwrap_or(self.options.min_insync_replicas);
        let Some(partition) = topic.partitions.get(place.partition as usize) else { return };
        let leadership = partition.replica(node).and_then(|replica| replica.leadership());
        let in_sync = leadership.map_or(0, |leadership| leadership.isr.len());
        let enough = in_sync >= min_insync as usize;
        self.close_partition(wait, place, if enough { error::NONE } else { error::NOT_ENOUGH_REPLICAS_AFTER_APPEND });
    }

    /// The leader of a partition gave up its part while a request waited.
    pub(super) fn refuse_waiting(&mut self, wait: u64, place: Place, code: i16) {
        self.close_partition(wait, place, code);
    }

    fn close_partition(&mut self, number: u64, place: Place, code: i16) {
        let Some(wait) = self.purgatory.waits.get_mut(&number) else { return };
        // A topic may stand in a request twice, so one partition may wait for several offsets; the smaller ones come first.
        let Some(index) = wait.produced.open.iter().position(|open| open.place == place) else { return };
        let open = wait.produced.open.remove(index);
        wait.produced.settle(open.at, code);
        if wait.produced.open.is_empty() {
            self.end_wait(number);
        }
    }

    /// A request has waited long enough. What it appended stays.
    pub(super) fn time_out(&mut self, number: u64) {
        let Some(wait) = self.purgatory.waits.get_mut(&number) else { return };
        let node = wait.envelope.broker;
        if self.brokers.get(&node).is_some_and(|broker| broker.paused) {
            // It will find out when it goes on.
            return;
        }
        let open = std::mem::take(&mut wait.produced.open);
        for open in &open {
            wait.produced.settle(open.at, error::REQUEST_TIMED_OUT);
        }
        for open in open {
            self.with_replica(open.place, node, |replica| {
                if let Some(leadership) = replica.leadership_mut() {
                    leadership.waiting.remove(&(open.offset, number));
                }
            });
        }
        self.end_wait(number);
    }

    fn end_wait(&mut self, number: u64) {
        let Some(wait) = self.purgatory.waits.remove(&number) else { return };
        self.agenda.cancel(Some(wait.deadline));
        self.amend_history(wait.seen, &wait.produced);
        self.answer_late(number, wait.envelope, wait.produced);
    }

    /// The history says what was answered in the end.
    fn amend_history(&mut self, seen: Option<usize>, produced: &Produced) {
        let request = seen.and_then(|seen| seen.checked_sub(self.requests_forgotten));
        let Some(request) = request.and_then(|at| self.history.get_mut(at)) else { return };
        let answers = produced.response.topics.iter().flat_map(|topic| &topic.partitions);
        for (batch, answer) in request.batches.iter_mut().zip(answers) {
            batch.error_code = answer.error_code;
        }
    }

    /// A dead broker answers nobody.
    pub(super) fn drop_waits_of(&mut self, node: i32) {
        let agenda = &mut self.agenda;
        self.purgatory.waits.retain(|_, wait| {
            let stays = wait.envelope.broker != node;
            if !stays {
                agenda.cancel(Some(wait.deadline));
            }
            stays
        });
    }

    /// A broker that was paused finds requests that waited too long.
    pub(super) fn expire_waits_of(&mut self, node: i32) {
        let now_ms = self.now_ms;
        let over = |wait: &Wait| wait.envelope.broker == node && wait.deadline.0 <= now_ms;
        let numbers: Vec<u64> =
            self.purgatory.waits.iter().filter(|(_, wait)| over(wait)).map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.time_out(number));
    }
}
