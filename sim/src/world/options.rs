//! What a world is like.

use super::codecs::Codecs;
use super::network::Network;
use crate::cluster::ClusterOptions;
use crate::nemesis::Nemesis;
use klamm_core::{Acks, Config, Limits, OnGap, Storage};
use std::fmt;

/// What is checked of the logs at the end, and whenever nothing is outstanding.
///
/// These are the promises that a cluster can break: one that loses or invents records, or lies about them. What the producer
/// owes whatever its cluster does (one outcome per record and in time, frozen batches, memory, …) is always checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Delivered records lie where they were said to be, unchanged, and no two of them at one place: nothing is lost silently.
    ///
    /// Promised with acks=all, and with acks=1 as long as leaders do not die with what nobody else has; with acks=0 nobody
    /// says where anything is.
    pub offsets: bool,
    /// Logs hold nothing but accepted records, and none that was said to be
    /// [`NotWritten`](klamm_core::Fate::NotWritten): a failure says what is known. Promised always.
    pub fates: bool,
    /// Each record is in its log at most once, and logs and deliveries keep the order of acceptance. Promised with
    /// `enable.idempotence` and [`OnGap::Fail`]; [`OnGap::Resend`] may duplicate.
    pub once_in_order: bool,
}

impl Checks {
    /// Nothing is checked, for tests in which the cluster itself loses or invents records.
    pub const NONE: Self = Self { offsets: false, fates: false, once_in_order: false };

    /// All that a configuration promises before a cluster that keeps what it acknowledged.
    #[must_use]
    pub fn promised(config: &Config<'_>) -> Self {
        Self {
            offsets: config.acks != Acks::None,
            fates: true,
            once_in_order: config.enable_idempotence && config.on_gap == OnGap::Fail,
        }
    }
}

type Configure = Box<dyn FnOnce(&mut Config<'static>)>;

/// What a [`World`](super::World) is like: the producer's configuration and memory, the cluster, the network, and the
/// seed from which all chance comes.
///
/// ```
/// use klamm_sim::world::{World, WorldOptions};
/// use klamm_sim::ClusterOptions;
///
/// let options = WorldOptions::seeded(7)
///     .cluster(ClusterOptions { brokers: 1, ..ClusterOptions::default() })
///     .configure(|config| config.linger_ms = 0);
/// let world = World::new(options);
/// # let _ = world;
/// ```
pub struct WorldOptions {
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) storage: Option<Storage<'static>>,
    pub(crate) cluster: ClusterOptions,
    pub(crate) network: Network,
    pub(crate) codecs: Codecs,
    pub(crate) bootstrap: Option<String>,
    pub(crate) configure: Vec<Configure>,
    pub(crate) clock: bool,
    pub(crate) checks: Option<Checks>,
    pub(crate) trace_all: bool,
    pub(crate) ends_after_ms: Option<u64>,
    pub(crate) nemesis: Option<Nemesis>,
}

impl fmt::Debug for WorldOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, limits, cluster, network, .. } = self;
        f.debug_struct("WorldOptions")
            .field("seed", seed)
            .field("limits", limits)
            .field("cluster", cluster)
            .field("network", network)
            .finish_non_exhaustive()
    }
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl WorldOptions {
    /// Three brokers, a good network, Kafka's defaults, 4 MiB for records, and this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            limits: Limits {
                buffer_memory: 4 << 20,
                batches: 1024,
                partitions: 256,
                topics: 32,
                brokers: 8,
                connections: 8,
                ..Limits::default()
            },
            storage: None,
            cluster: ClusterOptions { seed, ..ClusterOptions::default() },
            network: Network::default(),
            codecs: Codecs::default(),
            bootstrap: None,
            configure: Vec::new(),
            clock: true,
            checks: None,
            trace_all: false,
            ends_after_ms: None,
            nemesis: None,
        }
    }

    /// The producer's memory.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Changes the producer's memory.
    #[must_use]
    pub fn limit(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The producer's memory as it is, instead of one made by limits; a board's `static_storage!`, for example.
    #[must_use]
    pub fn storage(mut self, storage: Storage<'static>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(mut self, options: ClusterOptions) -> Self {
        self.cluster = options;
        self
    }

    /// The network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// What becomes of compression jobs.
    #[must_use]
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// `bootstrap.servers`, instead of all brokers' addresses.
    #[must_use]
    pub fn bootstrap(mut self, servers: &str) -> Self {
        self.bootstrap = Some(servers.to_owned());
        self
    }

    /// Changes the producer's configuration. May be called several times; later changes come later.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config<'static>) + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// The producer is not told what time it is.
    #[must_use]
    pub fn without_clock(mut self) -> Self {
        self.clock = false;
        self
    }

    /// What is checked, instead of all that the configuration promises.
    #[must_use]
    pub fn checks(mut self, checks: Checks) -> Self {
        self.checks = Some(checks);
        self
    }

    /// Every line of the trace is kept and shown, however many there are; otherwise the last few thousand.
    #[must_use]
    pub fn trace_all(mut self) -> Self {
        self.trace_all = true;
        self
    }
}
