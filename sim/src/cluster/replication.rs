//! How followers follow.

use super::Cluster;
use super::agenda::Due;
use super::log::Keeping;
use super::replica::{Replica, Role};
use super::topic::Place;

/// Whether a follower fetches from this leader: both know the same epoch. Otherwise one of them has something to learn first
/// (FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH).
fn follows(follower: &Replica, leader: &Replica) -> bool {
    let same = matches!(follower.role, Role::Follower { leader: node, .. } if node == leader.node);
    same && follower.epoch == leader.epoch && leader.leadership().is_some()
}

/// Whether a fetch would bring a follower, or tell the leader, anything.
fn has_something_to_fetch(follower: &Replica, leader: &Replica) -> bool {
    let end = leader.log.end_offset();
    let heard = || leader.leadership()?.progress.iter().find(|progress| progress.node == follower.node);
    matches!(follower.role, Role::Follower { joined: false, .. })
        || follower.log.end_offset() < end
        || follower.high_watermark < leader.high_watermark
        || heard().is_some_and(|progress| progress.end_offset < end)
}

impl Cluster {
    pub(super) fn keeping(&self) -> Keeping {
        Keeping { retention_bytes: self.options.retention_bytes, expiration_ms: self.options.producer_id_expiration_ms }
    }

    /// Whether two brokers can ask each other and answer.
    fn can_talk(&self, one: i32, other: i32) -> bool {
        let up = |node| self.brokers.get(&node).is_some_and(|broker| broker.is_running() && !broker.paused);
        let linked = self.cuts.is_empty() || !self.cuts.contains(&(one, other)) && !self.cuts.contains(&(other, one));
        linked && up(one) && up(other)
    }

    /// Followers get what their leader holds: at once, or after their next fetch.
    pub(super) fn replicate(&mut self, place: Place, leader: i32) {
        let Some(partition) = self.partition_at(place) else { return };
        let Some(at) = partition.position(leader) else { return };
        let mut fetched = false;
        for follower in 0..partition.replicas.len() {
            if follower != at {
                fetched |= self.fetch_soon(place, at, follower);
            }
        }
        if fetched {
            self.tend(place, leader);
        }
    }

    /// Whether the follower fetched at once.
    fn fetch_soon(&mut self, place: Place, leader: usize, follower: usize) -> bool {
        let Some(partition) = self.partition_at(place) else { return false };
        let (one, other) = (&partition.replicas[leader], &partition.replicas[follower]);
        if !follows(other, one) || !has_something_to_fetch(other, one) || !self.can_talk(one.node, other.node) {
            return false;
        }
        let (node, stored_ms, busy) = (other.node, one.stored_ms, other.fetching.is_some());
        if busy {
            return false;
        }
        let delay_ms = self.chance.within(&self.options.replication.fetch_ms);
        let due_ms = self.now_ms.max(stored_ms).saturating_add(delay_ms);
        if due_ms <= self.now_ms {
            self.fetch_now(place, leader, follower);
            return true;
        }
        let key = self.agenda.add(due_ms, Due::Fetch(place, node));
        self.with_replica(place, node, |replica| replica.fetching = Some(key));
        false
    }

    fn fetch_now(&mut self, place: Place, leader: usize, follower: usize) {
        let (now_ms, keeping) = (self.now_ms, self.keeping());
        let Some(topic) = self.topics.get_mut(&place.topic) else { return };
        let Some(partition) = topic.partitions.get_mut(place.partition as usize) else { return };
        let Ok([leader, follower]) = partition.replicas.get_disjoint_mut([leader, follower]) else { return };
        let lost = follower.fetch_from(leader, now_ms, keeping);
        if let Some((lost, end)) = lost {
            let node = follower.node;
            let line =
                format!("{}-{}: broker {node} truncates {lost} records after {end}", topic.name, place.partition);
            self.news.push(line);
        }
    }

    /// A follower's fetch is done.
    pub(super) fn end_fetch(&mut self, place: Place, node: i32) {
        let leader = self.with_replica(place, node, |replica| {
            replica.fetching = None;
            match replica.role {
                Role::Follower { leader, .. } => Some(leader),
                _ => None,
            }
        });
        let Some(leader) = leader.flatten().filter(|leader| self.can_talk(*leader, node)) else { return };
        let Some(partition) = self.partition_at(place) else { return };
        let (Some(one), Some(other)) = (partition.position(leader), partition.position(node)) else { return };
        if !follows(&partition.replicas[other], &partition.replicas[one]) {
            return;
        }
        if partition.replicas[one].stored_ms <= self.now_ms {
            self.fetch_now(place, one, other);
            self.tend(place, leader);
        }
        // There may be more by now, or the high watermark to hear of.
        self.replicate(place, leader);
    }

    /// A leader draws the conclusions from its followers' progress: high watermark, answers that waited for it, ISR.
    pub(super) fn tend(&mut self, place: Place, node: i32) {
        let limit = self.options.replication.lag_time_max_ms;
        let Some(topic) = self.topics.get_mut(&place.topic) else { return };
        let Some(partition) = topic.partitions.get_mut(place.partition as usize) else { return };
        let commits_from_epoch = partition.commits_from_epoch;
        let Some(leader) = partition.replica_mut(node) else { return };
        let moved = leader.epoch >= commits_from_epoch && leader.advance_high_watermark();
        let high_watermark = leader.high_watermark;
        let Some(leadership) = leader.leadership_mut() else { return };
        let now_ms = self.now_ms;
        let lags = |since: u64| now_ms.saturating_sub(since) > limit;
        let mut reached = Vec::new();
        while let Some((_, wait)) = leadership.waiting.first().copied().filter(|(offset, _)| *offset <= high_watermark)
        {
            leadership.waiting.pop_first();
            reached.push(wait);
        }
        let joins = |progress: &&super::replica::Progress| {
            !leadership.isr.contains(&progress.node) && leadership.keeps_up(progress.node, high_watermark, lags)
        };
        let wishes = leadership.progress.iter().any(|progress| joins(&progress));
        let in_sync = leadership.progress.iter().filter(|progress| leadership.isr.contains(&progress.node));
        match (in_sync.filter_map(|progress| progress.behind_since).min(), leadership.lag_check) {
            (Some(since), None) => {
                let due_ms = since.saturating_add(limit).saturating_add(1).max(self.now_ms);
                leadership.lag_check = Some(self.agenda.add(due_ms, Due::Lag(place, node)));
            }
            (None, Some(key)) => {
                leadership.lag_check = None;
                self.agenda.cancel(Some(key));
            }
            _ => {}
        }
        if wishes {
            self.wish_isr(place);
        }
        if moved {
            self.replicate(place, node);
        }
        for wait in reached {
            self.reach(wait, place, node);
        }
    }

    /// A leader looks for followers that lag.
    pub(super) fn check_lag(&mut self, place: Place, node: i32) {
        let limit = self.options.replication.lag_time_max_ms;
        let now_ms = self.now_ms;
        let lags = self.with_replica(place, node, |replica| {
            let leadership = replica.leadership_mut()?;
            leadership.lag_check = None;
            let in_sync = leadership.progress.iter().filter(|progress| leadership.isr.contains(&progress.node));
            let since = in_sync.filter_map(|progress| progress.behind_since);
            Some(since.min().is_some_and(|since| now_ms.saturating_sub(since) > limit))
        });
        match lags.flatten() {
            Some(true) => self.wish_isr(place),
            Some(false) => self.tend(place, node),
            None => {}
        }
    }

    /// Whatever kept a broker's replicas from fetching, or from being fetched from, may be over.
    pub(super) fn replicate_all_of(&mut self, node: i32) {
        for place in self.hosted(node) {
            let Some(replica) = self.partition_at(place).and_then(|partition| partition.replica(node)) else {
                continue;
            };
            match replica.role {
                Role::Idle => {}
                Role::Follower { leader, .. } => self.replicate(place, leader),
                Role::Leader(_) => self.replicate(place, node),
            }
        }
    }
}
