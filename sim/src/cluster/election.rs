//! Who leads.

use super::Cluster;
use super::controller::Draft;
use super::topic::{Partition, Place, State};
use crate::cluster::replica::{Replica, Role};

/// The state without a broker that the controller does not count on any more; `None` if nothing changes.
///
/// The last replica in sync stays in the ISR though its broker is gone: only it may lead again, unless elections may be unclean.
pub(super) fn without(partition: &Partition, gone: i32, usable: impl Fn(i32) -> bool, unclean: bool) -> Option<State> {
    let state = partition.state();
    let mut isr = partition.isr_of(|node| node != gone && state.isr.contains(&node));
    if isr.is_empty() {
        isr.clone_from(&state.isr);
    }
    if state.leader != gone {
        return (isr != state.isr).then(|| State { isr, ..state.clone() });
    }
    Some(elected(partition, isr, |node| node != gone && usable(node), unclean))
}

/// A new leader from an ISR (clean), or from the other replicas if it may be unclean, under the next epoch.
pub(super) fn elected(partition: &Partition, isr: Vec<i32>, usable: impl Fn(i32) -> bool, unclean: bool) -> State {
    let leader_epoch = partition.state().leader_epoch + 1;
    let clean = partition.nodes().find(|node| isr.contains(node) && usable(*node));
    let any = || partition.nodes().find(|node| unclean && usable(*node));
    match (clean, any) {
        (Some(leader), _) => State { leader, leader_epoch, isr },
        (None, any) => match any() {
            Some(leader) => State { leader, leader_epoch, isr: vec![leader] },
            None => State { leader: -1, leader_epoch, isr },
        },
    }
}

impl Cluster {
    /// Whether the controller would have a broker lead.
    pub(super) fn is_usable(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| !*broker.fenced.latest() && !broker.leaving)
    }

    /// Takes a broker out of all its partitions' leadership and ISRs.
    pub(super) fn remove_from_partitions(&mut self, draft: &mut Draft, broker: i32) {
        let unclean = self.options.replication.unclean;
        for place in self.hosted(broker) {
            let Some(partition) = self.partition_at(place) else { continue };
            let state = without(partition, broker, |node| self.is_usable(node), unclean);
            if let Some(state) = state {
                self.decide(draft, place, state);
            }
        }
    }

    /// A broker is back: its partitions without a leader may have one again.
    pub(super) fn elect_leaderless(&mut self, draft: &mut Draft, broker: i32) {
        let unclean = self.options.replication.unclean;
        for place in self.hosted(broker) {
            let Some(partition) = self.partition_at(place).filter(|partition| partition.state().leader == -1) else {
                continue;
            };
            let isr = &partition.state().isr;
            let live = partition.isr_of(|node| isr.contains(&node) && self.is_usable(node));
            let isr = if live.is_empty() { isr.clone() } else { live };
            let state = elected(partition, isr, |node| self.is_usable(node), unclean);
            if state.leader != -1 {
                self.decide(draft, place, state);
            }
        }
    }

    /// Makes a broker the leader of a partition, under the next leader epoch. With broker -1 the partition has no leader until it is
    /// moved again, or one of its brokers comes back.
    ///
    /// A replica in sync takes over with what it holds, as in a preferred leader election: what the old leader alone held is lost. A
    /// broker out of sync, or without a replica, first gets what the replicas in sync hold, as by a reassignment that was waited for;
    /// it may even be dead.
    pub fn move_leader(&mut self, topic: &str, partition: u32, broker: i32) {
        if self.postpone(|| super::controller::Command::Move(topic.to_owned(), partition, broker)) {
            return;
        }
        if let Some(place) = self.place_of(topic, partition)
            && (broker == -1 || self.brokers.contains_key(&broker))
        {
            self.move_to(place, broker);
            self.settle();
        }
    }

    fn move_to(&mut self, place: Place, broker: i32) {
        let Some(partition) = self.partition_at(place) else { return };
        let mut state = partition.state().clone();
        if broker != -1 && !state.isr.contains(&broker) {
            self.reassign(place, broker);
            let Some(partition) = self.partition_at(place) else { return };
            state.isr = partition.isr_of(|node| node == broker || state.isr.contains(&node));
        }
        state.leader = broker;
        state.leader_epoch += 1;
        let mut draft = self.draft();
        self.decide(&mut draft, place, state);
        self.publish(draft);
    }

    /// Gives a broker a replica that holds what the ones in sync hold.
    fn reassign(&mut self, place: Place, broker: i32) {
        // What it did as a leader that is deposed already is over.
        self.resign(place, broker, crate::error::NOT_LEADER_OR_FOLLOWER);
        let Some(partition) = self.partition_at_mut(place) else { return };
        let Some((log, high_watermark)) = partition.best().map(|best| (best.log.clone(), best.high_watermark)) else {
            return;
        };
        if partition.position(broker).is_none() {
            partition.replicas.push(Replica::new(broker));
        }
        // Whoever leads under an older epoch, or learns only now that it did, commits nothing more: this replica would not have it.
        partition.commits_from_epoch = partition.state().leader_epoch + 1;
        if let Some(replica) = partition.replica_mut(broker) {
            replica.log = log;
            replica.high_watermark = high_watermark;
            replica.role = Role::Idle;
        }
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.hosted.insert(place);
        }
    }
}
