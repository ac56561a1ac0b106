//! The slot of one partition in use: its queue, its leader, its sequence numbers.

use crate::state::batch::InQueue;
use crate::state::identity::Identity;
use crate::state::list::{Link, List, NIL, chain};

/// No broker, topic or connection slot.
pub(crate) const NONE: u16 = u16::MAX;

/// The index of a partition that is yet to be chosen: records without a key wait here until the
/// topic's first metadata.
pub(crate) const UNASSIGNED: i32 = -1;

/// One partition. The slots double as the buckets of a hash table by (topic, index).
#[derive(Clone, Debug)]
#[doc(hidden)]
#[repr(C)]
pub(crate) struct Partition {
    /// The leader has accepted a batch of this epoch, so that more than one may be in flight
    /// (PRODUCER k.7).
    pub(crate) proven: bool,
    /// A batch whose fate is unknown was given up: nothing new leaves until that is settled (k.6).
    pub(crate) unresolved: bool,
    /// The sequence has a hole: go on in a new epoch once nothing is in flight.
    pub(crate) gap: bool,
    /// In its leader's ready list.
    pub(crate) ready: bool,
    pub(crate) in_use: bool,
    pub(crate) topic: u16,
    /// The leader's broker slot, or [`NONE`].
    pub(crate) leader: u16,
    pub(crate) producer_epoch: i16,
    pub(crate) index: i32,
    /// The leader's node id, which may not have a broker slot; −1 if there is no leader.
    pub(crate) leader_id: i32,
    /// Newest leader epoch seen; −1 if none is remembered.
    pub(crate) leader_epoch: i32,
    pub(crate) queued: u32,
    pub(crate) in_flight: u32,
    /// Arena blocks that its batches hold.
    pub(crate) blocks: u32,
    pub(crate) next_sequence: i32,
    /// Last acknowledged sequence number, −1 for none.
    pub(crate) last_acked: i32,
    /// The request that last took a batch from here.
    pub(crate) last_request: u32,
    pub(crate) bucket: u32,
    pub(crate) hash_next: u32,
    /// All live batches in the order of their records: in flight, to be sent again, new, open.
    pub(crate) queue: List<InQueue>,
    /// In the leader's ready list, the idle list or the free list.
    pub(crate) link: Link,
    /// The producer id and epoch that the sequence belongs to; −1 for none.
    pub(crate) producer_id: i64,
}

/// RAM per partition; 10 000 of them are 1 MB.
const _: () = assert!(size_of::<Partition>() <= 88);

chain!(
    /// A broker's partitions with something to send, idle partitions, or free slots.
    ByUse, Partition, link
);

impl Partition {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        topic: 0,
        leader: 0,
        index: 0,
        leader_id: 0,
        leader_epoch: 0,
        queue: List::BLANK,
        producer_id: 0,
        producer_epoch: 0,
        last_acked: 0,
        bucket: 0,
        hash_next: 0,
        link: Link::BLANK,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            topic: NONE,
            leader: NONE,
            index: UNASSIGNED,
            leader_id: -1,
            leader_epoch: -1,
            queue: List::new(),
            queued: 0,
            in_flight: 0,
            blocks: 0,
            producer_id: -1,
            producer_epoch: -1,
            next_sequence: 0,
            last_acked: -1,
            last_request: 0,
            proven: false,
            unresolved: false,
            gap: false,
            ready: false,
            in_use: false,
            bucket: NIL,
            hash_next: NIL,
            link: Link::new(),
        }
    }
}

impl Partition {
    /// The sequence belongs to this identity.
    pub(crate) fn carries(&self, identity: &Identity) -> bool {
        self.producer_id == identity.producer_id && self.producer_epoch == identity.epoch
    }

    /// A fresh slot.
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn renew(&mut self) {
        *self = Self::new();
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self::new()
    }
}
