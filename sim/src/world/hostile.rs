//! A world with a nemesis: where it acts, and how peace is made.

use super::{Checks, Codecs, World, WorldOptions};
use crate::nemesis::{Nemesis, Trouble};
use std::collections::BTreeMap;

impl WorldOptions {
    /// A world in which much goes wrong, as the seed has it; see [`Nemesis`]. The cluster keeps its records and its order:
    /// troubles that are lossy are not among them.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        Self::seeded(seed).nemesis(Nemesis::from_seed(seed).without_lossy())
    }

    /// More simulated time than this is a failure: code that waits for something that never comes. Without it a world has no end.
    #[must_use]
    pub fn ends_after_ms(mut self, ms: u64) -> Self {
        self.ends_after_ms = Some(ms);
        self
    }

    /// What works against this world. Checks of the logs that its troubles make pointless are left out.
    #[must_use]
    pub fn nemesis(mut self, nemesis: Nemesis) -> Self {
        self.nemesis = Some(nemesis);
        self
    }

    /// The same without these troubles.
    #[must_use]
    pub fn without(mut self, troubles: &[Trouble]) -> Self {
        self.nemesis = self.nemesis.map(|nemesis| nemesis.without(troubles));
        self
    }
}

impl Checks {
    /// What both check.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            offsets: self.offsets && other.offsets,
            fates: self.fates && other.fates,
            once_in_order: self.once_in_order && other.once_in_order,
        }
    }
}

impl World {
    /// The troubles at work.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.nemesis.as_ref().map(Nemesis::troubles).unwrap_or_default()
    }

    /// How often each trouble struck so far.
    #[must_use]
    pub fn trouble_counts(&self) -> BTreeMap<Trouble, u64> {
        self.nemesis.as_ref().map(|nemesis| nemesis.counts().clone()).unwrap_or_default()
    }

    /// Whether the producer sends a batch again until its time is over: `retries` does not limit it.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.watch.terms.persistent
    }

    /// The producer's `delivery.timeout.ms`.
    #[must_use]
    pub fn delivery_timeout_ms(&self) -> u64 {
        self.delivery_timeout_ms
    }

    /// The cluster forgets its producers of a partition, and so do the checks: any sequence number may follow, and those of earlier
    /// batches may be used again. For tests that let sequence numbers jump.
    pub fn forget_producers(&mut self, topic: &str, partition: u32) {
        self.cluster.forget_sequences(topic, partition);
        self.watch.forget(topic, partition as i32);
    }

    /// Milliseconds within which a record gets through once everything is well: `linger.ms`, one `request.timeout.ms`, and the longest
    /// backoffs of what it takes on its way. With a `delivery.timeout.ms` above that, the first record has to.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        self.watch.terms.patience_us / 1000
    }

    /// The names of the producer's topics, those it forgot included.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        self.ledger.topic_names()
    }

    /// When the nemesis acts next.
    pub(super) fn nemesis_due_us(&self) -> Option<u64> {
        self.nemesis.as_ref()?.due_us()
    }

    /// Lets the nemesis do what is due now. Whether anything was.
    pub(super) fn let_nemesis_act(&mut self) -> bool {
        let due = self.nemesis_due_us().is_some_and(|due| due <= self.now_us);
        let Some(mut nemesis) = self.nemesis.take_if(|_| due) else { return false };
        let acted = nemesis.act(self);
        self.nemesis = Some(nemesis);
        acted
    }

    /// Makes peace: the nemesis ends, the network heals, codecs work, the script is forgotten, brokers and controller are alive and
    /// hear each other, and every partition has a leader. Connections that were forgotten are reset; what was on its way stays as it is.
    pub fn calm(&mut self) {
        if let Some(mut nemesis) = self.nemesis.take() {
            nemesis.end(self);
            self.nemesis = Some(nemesis);
        }
        self.note("calm");
        self.network.heal();
        self.codecs = Codecs::default();
        self.clock_lag_us = 0;
        self.cluster.faults().clear();
        let now_ms = self.now_us / 1000;
        self.cluster.advance(now_ms);
        self.cluster.start_controller(now_ms);
        self.cluster.mend_all(now_ms);
        let brokers: Vec<i32> = self.cluster.brokers().collect();
        for broker in &brokers {
            self.cluster.resume(now_ms, *broker);
            self.cluster.restart(now_ms, *broker);
        }
        for topic in self.ledger.topic_names() {
            for partition in 0..self.cluster.partition_count(&topic) {
                if self.cluster.leader(&topic, partition).is_some_and(|(leader, _)| leader < 0) {
                    let leader = brokers.get(partition as usize % brokers.len().max(1)).copied().unwrap_or(-1);
                    self.cluster.move_leader(&topic, partition, leader);
                }
            }
        }
        self.reset_forgotten();
    }
}
