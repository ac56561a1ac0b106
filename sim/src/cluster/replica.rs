//! One replica of a partition, on one broker: its log, and its part in replication as far as its broker knows.

use super::agenda::Key;
use super::log::{Keeping, Log};
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct Replica {
    pub(super) node: i32,
    pub(super) log: Log,
    /// Everything before it is on every replica in sync.
    pub(super) high_watermark: i64,
    /// The leader epoch that its broker knows; -1 before it knows any.
    pub(super) epoch: i32,
    /// The metadata version that its broker acted upon last.
    pub(super) version: u64,
    pub(super) role: Role,
    /// The fetch that is under way.
    pub(super) fetching: Option<Key>,
    /// When the disk has stored everything that was appended.
    pub(super) stored_ms: u64,
}

#[derive(Debug)]
pub(super) enum Role {
    /// It follows nobody: the broker is dead, or the partition has no leader.
    Idle,
    Follower {
        leader: i32,
        /// Whether its log was compared with this leader's.
        joined: bool,
    },
    Leader(Box<Leadership>),
}

/// What a leader knows of its followers.
#[derive(Debug)]
pub(super) struct Leadership {
    /// Where its epoch begins.
    pub(super) start_offset: i64,
    pub(super) isr: Vec<i32>,
    pub(super) progress: Vec<Progress>,
    /// When it looks for followers that lag, while any is behind.
    pub(super) lag_check: Option<Key>,
    /// Produce requests that wait for the high watermark to reach an offset.
    pub(super) waiting: BTreeSet<(i64, u64)>,
}

/// How far a follower came.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) node: i32,
    /// -1 until its first fetch from this leader.
    pub(super) end_offset: i64,
    /// Since when it has not been caught up.
    pub(super) behind_since: Option<u64>,
    pub(super) fetched_ms: u64,
}

impl Replica {
    pub(super) fn new(node: i32) -> Self {
        Self {
            node,
            log: Log::default(),
            high_watermark: 0,
            epoch: -1,
            version: 0,
            role: Role::Idle,
            fetching: None,
            stored_ms: 0,
        }
    }

    pub(super) fn leadership(&self) -> Option<&Leadership> {
        match &self.role {
            Role::Leader(leadership) => Some(leadership),
            _ => None,
        }
    }

    pub(super) fn leadership_mut(&mut self) -> Option<&mut Leadership> {
        match &mut self.role {
            Role::Leader(leadership) => Some(leadership),
            _ => None,
        }
    }

    /// The smallest end of a log in sync, as far as the leader knows.
    fn committed(&self) -> i64 {
        let own = self.log.end_offset();
        let Some(leadership) = self.leadership() else {
            return self.high_watermark;
        };
        let in_sync = leadership.progress.iter().filter(|progress| leadership.isr.contains(&progress.node));
        in_sync.map(|progress| progress.end_offset).fold(own, i64::min)
    }

    /// Moves the high watermark as far as the ISR allows. Whether it moved.
    pub(super) fn advance_high_watermark(&mut self) -> bool {
        let committed = self.committed();
        let moves = committed > self.high_watermark;
        if moves {
            self.high_watermark = committed;
        }
        moves
    }

    /// Something was appended to this leader's log: its followers are behind.
    pub(super) fn note_append(&mut self, now_ms: u64) {
        if let Some(leadership) = self.leadership_mut() {
            for progress in &mut leadership.progress {
                progress.behind_since.get_or_insert(now_ms);
            }
        }
    }

    /// Cuts the log's end. Whether anything was cut.
    pub(super) fn truncate(&mut self, offset: i64, expiration_ms: Option<u64>) -> bool {
        let cut = self.log.truncate(offset, expiration_ms);
        self.high_watermark = self.high_watermark.min(self.log.end_offset());
        if cut && let Some(leadership) = self.leadership_mut() {
            for progress in &mut leadership.progress {
                progress.end_offset = progress.end_offset.min(offset);
            }
        }
        cut
    }

    /// One fetch from the leader, with its answer. If the follower had to give up records to join the leader's log: how many, and
    /// where its log ended then.
    pub(super) fn fetch_from(&mut self, leader: &mut Self, now_ms: u64, keeping: Keeping) -> Option<(i64, i64)> {
        let mut lost = None;
        if let Role::Follower { joined, .. } = &mut self.role
            && !std::mem::replace(joined, true)
        {
            let before = self.log.end_offset();
            let agreed = self.log.divergence(&leader.log);
            if self.truncate(agreed, keeping.expiration_ms) {
                let end = self.log.end_offset();
                lost = Some((before - end, end));
            }
        }
        self.log.follow(&leader.log, keeping);
        self.hear_high_watermark(leader.high_watermark);
        let end_offset = self.log.end_offset();
        let leader_end = leader.log.end_offset();
        let node = self.node;
        let Some(leadership) = leader.leadership_mut() else {
            return lost;
        };
        if let Some(progress) = leadership.progress.iter_mut().find(|progress| progress.node == node) {
            progress.end_offset = end_offset;
            progress.behind_since = (end_offset < leader_end).then_some(progress.fetched_ms);
            progress.fetched_ms = now_ms;
        }
        lost
    }

    /// A follower learns how much is committed.
    pub(super) fn hear_high_watermark(&mut self, of_leader: i64) {
        self.high_watermark = self.high_watermark.max(of_leader.min(self.log.end_offset()));
    }
}

impl Leadership {
    pub(super) fn new(start_offset: i64, isr: Vec<i32>, followers: impl Iterator<Item = i32>, now_ms: u64) -> Self {
        let progress = followers
            .map(|node| Progress { node, end_offset: -1, behind_since: Some(now_ms), fetched_ms: now_ms })
            .collect();
        Self { start_offset, isr, progress, lag_check: None, waiting: BTreeSet::new() }
    }

    /// Whether a follower may be in the ISR as far as its log goes: it has all that is committed and all from before this
    /// leader's epoch (KAFKA-7128), and does not lag.
    pub(super) fn keeps_up(&self, node: i32, high_watermark: i64, lags: impl Fn(u64) -> bool) -> bool {
        let Some(progress) = self.progress.iter().find(|progress| progress.node == node) else {
            return false;
        };
        let has_all = || progress.end_offset >= high_watermark.max(self.start_offset);
        // Lagging counts against one that is out as well: Kafka lets it in by a fetch and out at the next look, this would do both at once.
        !progress.behind_since.is_some_and(lags) && (self.isr.contains(&node) || has_all())
    }
}
