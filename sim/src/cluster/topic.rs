//! Topics and partitions: what the controller decided of them, and the replicas.

use super::TopicOptions;
use super::replica::Replica;
use super::timeline::Timeline;
use crate::wire::Uuid;

/// A partition, by a number of its topic that is never used again, so that a topic created anew is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: u32,
    pub(super) partition: u32,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) options: TopicOptions,
    /// The metadata versions that brought it and ended it.
    pub(super) created: u64,
    pub(super) deleted: Option<u64>,
    pub(super) partitions: Vec<Partition>,
}

impl Topic {
    /// Whether it is there for somebody who knows the metadata up to this version.
    pub(super) fn is_there(&self, known: u64) -> bool {
        self.created <= known && self.deleted.is_none_or(|deleted| deleted > known)
    }

    /// The partitions that somebody knows who has the metadata up to this version.
    pub(super) fn known_partitions(&self, known: u64) -> &[Partition] {
        let count = self.partitions.partition_point(|partition| partition.created <= known);
        &self.partitions[..count]
    }
}

/// What the controller decides of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// -1 is none.
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    /// In the order of the replicas.
    pub(super) isr: Vec<i32>,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) created: u64,
    pub(super) states: Timeline<State>,
    /// Leaders of older epochs commit nothing more, because a replica was made from what they had committed.
    pub(super) commits_from_epoch: i32,
    /// The preferred leader first.
    pub(super) replicas: Vec<Replica>,
}

impl Partition {
    pub(super) fn state(&self) -> &State {
        self.states.latest()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = i32> {
        self.replicas.iter().map(|replica| replica.node)
    }

    pub(super) fn replica(&self, node: i32) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.node == node)
    }

    pub(super) fn replica_mut(&mut self, node: i32) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.node == node)
    }

    /// Where a node's replica stands in the list.
    pub(super) fn position(&self, node: i32) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.node == node)
    }

    /// The leader's replica; without a leader, the in-sync one that holds most.
    pub(super) fn best(&self) -> Option<&Replica> {
        let state = self.state();
        let in_sync = || self.replicas.iter().filter(|replica| state.isr.contains(&replica.node));
        self.replica(state.leader)
            .or_else(|| in_sync().max_by_key(|replica| (replica.log.last_epoch(), replica.log.end_offset())))
            .or_else(|| self.replicas.first())
    }

    /// An ISR of these members, in the order of the replicas.
    pub(super) fn isr_of(&self, is_member: impl Fn(i32) -> bool) -> Vec<i32> {
        self.nodes().filter(|node| is_member(*node)).collect()
    }
}
