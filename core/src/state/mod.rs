//! The producer's whole state. The rooms' behaviour is in `impl State` blocks, one family per room:
//! [`crate::accumulator`], [`crate::cluster`], [`crate::sender`], [`crate::connection`].

pub(crate) mod arena;
pub(crate) mod batch;
pub(crate) mod broker;
pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod identity;
pub(crate) mod list;
#[cfg(feature = "metrics")]
pub(crate) mod measured;
pub(crate) mod outgoing;
pub(crate) mod partition;
pub(crate) mod queues;
pub(crate) mod reading;
pub(crate) mod slots;
pub(crate) mod storage;
pub(crate) mod timer;
pub(crate) mod topic;

use crate::error::{ConfigError, Problem};
use crate::random::Random;
use crate::state::arena::Arena;
use crate::state::batch::Batch;
use crate::state::broker::Broker;
use crate::state::cluster::Cluster;
use crate::state::connection::{Connection, Connections};
use crate::state::identity::Identity;
use crate::state::partition::Partition;
use crate::state::queues::Accumulator;
use crate::state::slots::{Slab, Slots};
use crate::state::storage::Storage;
use crate::state::timer::Timers;
use crate::state::topic::Topic;
use crate::{Config, Instant, Stats};

/// Everything a producer knows.
#[derive(Debug)]
pub(crate) struct State<'a> {
    pub(crate) config: Config<'a>,
    pub(crate) arena: Arena<'a>,
    pub(crate) batches: Slots<'a, Batch>,
    pub(crate) partitions: Slots<'a, Partition>,
    pub(crate) topics: Slots<'a, Topic>,
    pub(crate) brokers: Slots<'a, Broker>,
    pub(crate) connections: Slots<'a, Connection>,
    pub(crate) timers: Timers<'a>,
    pub(crate) topic_names: Slab<'a>,
    pub(crate) hosts: Slab<'a>,
    pub(crate) scratch: Slab<'a>,
    /// Queues and deadlines of batches.
    pub(crate) accumulator: Accumulator,
    /// What is known of the cluster, and when to ask again.
    pub(crate) cluster: Cluster,
    /// Producer id and epoch.
    pub(crate) identity: Identity,
    /// Lists over the connections.
    pub(crate) net: Connections,
    pub(crate) random: Random,
    pub(crate) stats: Stats,
    #[cfg(feature = "metrics")]
    pub(crate) measured: crate::state::measured::Measured,
    /// The latest `now`; time never runs back in here (PITFALLS 51).
    pub(crate) now: Instant,
    /// Unix time minus `now`, in milliseconds, once a wall clock was set.
    pub(crate) wall_offset_ms: Option<i64>,
    /// What a record without a timestamp gets: `now` by the wall clock, or since the clock's origin.
    pub(crate) record_time: i64,
    /// Follows from settings and storage; asked for each record.
    pub(crate) record_size_max: u32,
    #[cfg(feature = "fast")]
    pub(crate) plain_limit: u32,
    /// A driver that sleeps must wake up: an action, a writable connection, an earlier deadline.
    pub(crate) wake: bool,
    /// A batch became a job since the caller last looked.
    #[cfg(feature = "codecs")]
    pub(crate) new_job: bool,
    pub(crate) problems: Problems,
}

/// Problems that are yet to be told.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pending: [Option<Problem>; 4],
    /// Kinds that were told and are not cured: bits as in [`Self::lasting`].
    standing: u8,
}

impl Problems {
    pub(crate) const UNREACHABLE: u8 = 1;
    pub(crate) const PEER: u8 = 2;
    pub(crate) const TOO_MANY_BROKERS: u8 = 4;
    pub(crate) const HOST_TOO_LONG: u8 = 8;
    pub(crate) const BROKER_ADDRESS: u8 = 16;

    /// The bit of a problem that lasts until something cures it; 0 for one that is told each time.
    const fn lasting(problem: Problem) -> u8 {
        match problem {
            Problem::Unreachable(_) => Self::UNREACHABLE,
            Problem::Peer(_) => Self::PEER,
            Problem::TooManyBrokers => Self::TOO_MANY_BROKERS,
            Problem::HostTooLong => Self::HOST_TOO_LONG,
            Problem::BrokerAddress => Self::BROKER_ADDRESS,
            _ => 0,
        }
    }

    /// Queues a problem unless it waits already, or lasts since it was told. `false` if there is no room.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&mut self, problem: Problem) -> bool {
        let lasting = Self::lasting(problem);
        if self.standing & lasting != 0 || self.pending.contains(&Some(problem)) {
            return true;
        }
        let slot = match self.pending.iter().position(Option::is_none) {
            Some(free) => self.pending.get_mut(free),
            // The end of the producer is told in any case, instead of something that does not matter any more.
            None if matches!(problem, Problem::Fatal(_)) => self.pending.first_mut(),
            None => None,
        };
        let Some(slot) = slot else { return false };
        *slot = Some(problem);
        self.standing |= lasting;
        true
    }

    /// These kinds are no problem any more: should they come back, they are told again.
    pub(crate) const fn cure(&mut self, kinds: u8) {
        self.standing &= !kinds;
    }

    pub(crate) fn take(&mut self) -> Option<Problem> {
        self.pending.iter_mut().find_map(Option::take)
    }
}

impl<'a> State<'a> {
    pub(crate) fn new(
        config: Config<'a>,
        storage: Storage<'a>,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        #[cfg(feature = "alloc")] // what is not from the heap was checked while it was compiled
        storage.validate()?;
        let bootstrap_servers = config.bootstrap_servers_within(storage.hosts.stride())?;
        let client_id_max = storage.scratch.stride().saturating_sub(80);
        if config.client_id.as_str().len() > client_id_max {
            return Err(ConfigError::ClientIdTooLong { max: client_id_max as u32 });
        }
        let mut state = Self {
            arena: Arena::new(storage.arena, storage.blocks, storage.block_size),
            batches: storage.batches,
            partitions: storage.partitions,
            topics: storage.topics,
            brokers: storage.brokers,
            connections: storage.connections,
            timers: Timers::new(storage.timers),
            topic_names: storage.topic_names,
            hosts: storage.hosts,
            scratch: storage.scratch,
            accumulator: Accumulator::new(),
            cluster: Cluster::new(bootstrap_servers),
            identity: Identity::new(config.enable_idempotence),
            net: Connections::new(),
            random: Random::new(seed),
            stats: Stats::default(),
            #[cfg(feature = "metrics")]
            measured: crate::state::measured::Measured::default(),
            now,
            wall_offset_ms: None,
            record_time: now.as_millis() as i64,
            record_size_max: 0,
            #[cfg(feature = "fast")]
            plain_limit: 0,
            wake: false,
            #[cfg(feature = "codecs")]
            new_job: false,
            problems: Problems::default(),
            config,
        };
        state.record_size_max = state.work_out_record_size_max();
        #[cfg(feature = "fast")]
        {
            state.plain_limit = state.work_out_plain_limit();
        }
        state.init_accumulator();
        state.init_cluster();
        Ok(state)
    }

    /// Takes the caller's time, never backwards.
    #[inline]
    pub(crate) fn advance_clock(&mut self, now: Instant) {
        if now > self.now {
            self.set_clock(now);
        }
    }

    #[inline(never)]
    fn set_clock(&mut self, now: Instant) {
        self.now = now;
        self.record_time = (now.as_millis() as i64).wrapping_add(self.wall_offset_ms.unwrap_or(0));
    }

    /// Records get Unix time from now on.
    pub(crate) fn set_wall_clock(&mut self, unix_ms: i64) {
        self.wall_offset_ms = Some(unix_ms.wrapping_sub(self.now.as_millis() as i64));
        self.record_time = unix_ms;
    }

    /// `initial × 2^failures`, at most `max`, ±20 % (PRODUCER f.3). Without jitter where it cannot grow.
    pub(crate) fn backoff_ms(&mut self, initial: u32, max: u32, failures: u32) -> u32 {
        if max <= initial {
            return initial.min(max);
        }
        let grown = u64::from(initial).checked_shl(failures.min(32)).unwrap_or(u64::MAX).min(max.into());
        let percent = 80u64.wrapping_add(u64::from(self.random.below(41)));
        // At most 2^32 × 120, and a division by a constant.
        (grown.saturating_mul(percent) / 100).min(max.into()) as u32
    }
}
