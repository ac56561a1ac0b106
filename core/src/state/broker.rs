//! The slot of one broker. Its host lives in the storage's text.

use crate::state::list::List;
use crate::state::partition::{ByUse, NONE};
use core::net::{IpAddr, Ipv4Addr};

use crate::Instant;

/// One broker, as metadata named it.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[repr(C)]
pub(crate) struct Broker {
    pub(crate) in_use: bool,
    /// Named by the metadata response being read.
    pub(crate) seen: bool,
    /// Has something to send but no connection slot was free.
    pub(crate) waits_for_slot: bool,
    pub(crate) host_len: u8,
    pub(crate) port: u16,
    /// Its connection slot, or [`NONE`].
    pub(crate) connection: u16,
    pub(crate) id: i32,
    /// Partition slots it leads.
    pub(crate) leads: u32,
    /// Arena blocks that the batches of its partitions hold.
    pub(crate) blocks: u32,
    /// Partitions it leads that have something to send, in turn.
    pub(crate) ready: List<ByUse>,
    /// Since when it has had data that it could not take (KIP-794's availability).
    #[cfg(feature = "adaptive-partitioning")]
    pub(crate) stalled_since: Instant,
    pub(crate) backoff: Backoff,
    /// Outlive the broker's leaving, with its `id`, until another needs the slot.
    #[cfg(feature = "metrics")]
    pub(crate) counts: crate::NodeStats,
}

#[cfg(not(feature = "metrics"))]
const _: () = assert!(size_of::<Broker>() <= 112);

/// ApiVersions is asked at our highest version first.
const API_VERSIONS_MAX: i8 = 4;

/// Attempts to connect, their backoff, and which of the host's addresses comes next.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Backoff {
    /// Consecutive failures; reset only when a connection becomes ready (KAFKA-13879).
    pub(crate) failures: u8,
    /// Consecutive failures to set a connection up: they lengthen its timeout.
    pub(crate) setup_failures: u8,
    /// Which address to try: moves on with each failure.
    pub(crate) rotation: u8,
    /// The version of ApiVersions to ask first; lowered when the peer resets on it (PITFALLS 47).
    pub(crate) api_versions: i8,
    /// The address of the established connection that was lost: try another one first (KAFKA-15817).
    pub(crate) lost: Option<IpAddr>,
    /// No attempt before this.
    pub(crate) until: Instant,
    pub(crate) last_attempt: Instant,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self {
            failures: 0,
            setup_failures: 0,
            rotation: 0,
            api_versions: API_VERSIONS_MAX,
            until: Instant::ZERO,
            last_attempt: Instant::ZERO,
            lost: None,
        }
    }
}

impl Backoff {
    /// The peer reset the connection on this version of ApiVersions: 3 comes next, then 0, then our
    /// highest again, in case the reset meant something else.
    pub(crate) fn lower_api_versions(&mut self, asked: i8) {
        self.api_versions = match asked {
            4.. => 3,
            1..=3 => 0,
            _ => API_VERSIONS_MAX,
        };
    }
}

impl Broker {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        id: 0,
        connection: 0,
        ready: List::BLANK,
        backoff: Backoff { api_versions: 0, lost: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), ..Backoff::new() },
        #[cfg(feature = "adaptive-partitioning")]
        stalled_since: Instant::ZERO,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            in_use: false,
            seen: false,
            waits_for_slot: false,
            host_len: 0,
            id: -1,
            port: 0,
            connection: NONE,
            ready: List::new(),
            leads: 0,
            blocks: 0,
            backoff: Backoff::new(),
            #[cfg(feature = "adaptive-partitioning")]
            stalled_since: Instant::NEVER,
            #[cfg(feature = "metrics")]
            counts: crate::NodeStats::NEW,
        }
    }
}

impl Broker {
    /// A fresh slot for a broker that comes or has gone: only its counters are kept, if they are that broker's.
    #[cfg(feature = "metrics")]
    pub(crate) fn vacated(&self, id: i32) -> Self {
        let counts = if self.id == id { self.counts } else { crate::NodeStats::NEW };
        Self { id, counts, ..Self::new() }
    }

    /// A fresh slot for a broker that comes or has gone.
    #[cfg(not(feature = "metrics"))]
    #[allow(clippy::unused_self, reason = "with the feature `metrics`, counters are kept")]
    pub(crate) const fn vacated(&self, id: i32) -> Self {
        Self { id, ..Self::new() }
    }
}

/// KIP-794's availability: since when there is data that it does not take.
#[cfg(feature = "adaptive-partitioning")]
impl Broker {
    pub(crate) fn has_more(&mut self, now: Instant) {
        self.stalled_since = self.stalled_since.min(now);
    }

    pub(crate) fn has_taken(&mut self, now: Instant) {
        self.stalled_since = if self.ready.is_empty() { Instant::NEVER } else { now };
    }
}

#[cfg(not(feature = "adaptive-partitioning"))]
#[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as with the feature")]
impl Broker {
    pub(crate) const fn has_more(&mut self, _now: Instant) {}

    pub(crate) const fn has_taken(&mut self, _now: Instant) {}
}

impl Broker {
    /// Whether it can be connected: all of its address was read, and is one.
    pub(crate) const fn has_address(&self) -> bool {
        self.in_use && self.host_len > 0 && self.port > 0
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}
