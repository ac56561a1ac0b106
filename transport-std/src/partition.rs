//! Partitions: what is known of them, and functions that choose one.

use std::fmt;
use std::sync::Arc;

use klamm_core::TopicId;

use crate::error::SendError;
use crate::inside::caught;
use crate::record::Header;
use crate::sending;
use crate::shared::{Inner, Life};

/// A partition, as [`Producer::partitions_for`](crate::Producer::partitions_for) tells it: what the
/// producer itself keeps of the cluster's metadata. Replicas are not among that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, counted from 0.
    pub partition: i32,
    /// The broker that takes its records; `None` while there is none. Also `None` for partitions that the
    /// producer does not remember, when the topics in use have more of them than
    /// [`Limits::partitions`](crate::Limits::partitions).
    pub leader: Option<Leader>,
    /// The leader epoch (KIP-320); `None` if it is not known: brokers before 2.4 tell none that can be
    /// relied on.
    pub leader_epoch: Option<i32>,
}

/// The broker that leads a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader {
    /// Its node id.
    pub id: i32,
    /// Host and port that it advertises; `None` if there are more brokers than
    /// [`Limits::brokers`](crate::Limits::brokers).
    pub address: Option<(String, u16)>,
}

/// Waits for the topic's metadata, and tells what it says.
pub(crate) fn partitions_for(inner: &Inner, topic: &str) -> Result<Vec<PartitionInfo>, SendError> {
    sending::ask(inner, topic, |shared| {
        if shared.life != Life::Open {
            return Err(klamm_core::SendError::Closed);
        }
        let at = shared.topic(inner, topic)?;
        let (id, name) = (shared.topics.entries[at].id, &shared.topics.entries[at].name);
        let count = shared.core.learned_partition_count(id).ok_or(klamm_core::SendError::PartitionsUnknown)?;
        let info = |partition| {
            let known = shared.core.partition_leader(id, partition);
            let leader = known.and_then(|known| {
                let address = known.host.map(|(host, port)| (host.to_owned(), port));
                Some(Leader { id: known.id?, address })
            });
            let leader_epoch = known.and_then(|known| known.epoch);
            PartitionInfo { topic: Arc::clone(name), partition, leader, leader_epoch }
        };
        Ok((0..i32::try_from(count).unwrap_or(i32::MAX)).map(info).collect())
    })
}

/// The application's choice of a partition.
pub(crate) type PartitionFn = Box<dyn Fn(&PartitionQuery<'_>) -> i32 + Send + Sync>;

/// A record that needs a partition, as a function given to
/// [`Builder::partitioner_with`](crate::Builder::partitioner_with) sees it.
///
/// ```
/// use klamm::PartitionQuery;
///
/// /// The first partition that can take records.
/// fn choose(record: &PartitionQuery<'_>) -> i32 {
///     record.available().first().copied().unwrap_or(0)
/// }
/// # let _ = klamm::Producer::builder().partitioner_with(choose);
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PartitionQuery<'q> {
    /// The topic.
    pub topic: &'q str,
    /// The record's key.
    pub key: Option<&'q [u8]>,
    /// The record's value.
    pub value: Option<&'q [u8]>,
    /// The record's headers.
    pub headers: &'q [Header<'q>],
    /// How many partitions the topic has, those without a leader included; at least 1.
    pub partitions: u32,
    pub(crate) inner: &'q Inner,
    pub(crate) id: TopicId,
}

impl PartitionQuery<'_> {
    /// The partitions that have a leader now, in order. Looks at every partition of the topic.
    #[must_use]
    pub fn available(&self) -> Vec<i32> {
        let led = |shared: &mut crate::shared::Shared| {
            let leader = |&partition: &i32| shared.core.partition_leader(self.id, partition)?.id;
            let all = 0..i32::try_from(self.partitions).unwrap_or(i32::MAX);
            all.filter(|partition| leader(partition).is_some()).collect()
        };
        self.inner.with(led)
    }

    /// Asks the function, which may panic or be wrong.
    pub(crate) fn ask(&self, choose: &PartitionFn) -> Result<i32, SendError> {
        let Self { topic, partitions, .. } = *self;
        let cause = match caught(|| choose(self)) {
            Ok(chosen) if u32::try_from(chosen).is_ok_and(|chosen| chosen < partitions) => return Ok(chosen),
            Ok(wrong) => {
                format!("the partitioner chose partition {wrong} of topic '{topic}', which has {partitions}, from 0")
            }
            Err(panic) => format!("the partitioner panicked for a record of topic '{topic}': {panic}"),
        };
        Err(SendError::Partitioner { cause: cause.into() })
    }
}

impl fmt::Debug for PartitionQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionQuery")
            .field("topic", &self.topic)
            .field("key", &self.key)
            .field("value", &self.value)
            .field("headers", &self.headers)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}
