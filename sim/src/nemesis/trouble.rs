//! Every kind of misbehaviour, by name.

use crate::world::Checks;
use std::fmt;
use std::str::FromStr;

/// What a trouble leaves of the promises that can be read off the logs.
const ALL: Checks = Checks { offsets: true, fates: true, once_in_order: true };

/// One table for the enum, its names and what each leaves to be checked.
macro_rules! troubles {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $(, leaves $leaves:expr)?;)*) => {
        /// A kind of misbehaviour of the cluster, the network, or what surrounds the producer.
        ///
        /// Its name, in kebab case, is stable: seeds of failures are kept with names of troubles left out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Trouble {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Trouble {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, for figures and for the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What can still be said of the logs where this trouble was.
            #[must_use]
            pub const fn leaves(self) -> Checks {
                match self {
                    $($(Self::$variant => $leaves,)?)*
                    #[allow(unreachable_patterns, reason = "the rest of the table")]
                    _ => ALL,
                }
            }
        }
    };
}

troubles! {
    /// Bytes take long to arrive, some longer than others.
    Latency = "latency";
    /// Bytes take longer in one direction than in the other.
    AsymmetricLatency = "asymmetric-latency";
    /// Connections carry few bytes at a time.
    Bandwidth = "bandwidth";
    /// Segments arrive together with those in front of them.
    Coalescing = "coalescing";
    /// Sockets take less than they are offered, and are full for a while.
    ShortWrites = "short-writes";
    /// What arrives is handed over in small pieces.
    SmallPieces = "small-pieces";
    /// Connections break at any segment.
    Resets = "resets";
    /// A connection breaks at an exact byte.
    Cuts = "cuts";
    /// All connections break at once.
    Disconnects = "disconnects";
    /// One direction of a connection stalls for seconds.
    Stalls = "stalls";
    /// Connections are refused.
    Refusals = "refusals";
    /// The opening of connections is never answered.
    Hangs = "hangs";
    /// Names cannot be resolved.
    DnsFailures = "dns-failures";
    /// The resolver is gone: no name leads anywhere for a while.
    DnsOutages = "dns-outages";
    /// Brokers get other addresses, under their old names.
    MovedHosts = "moved-hosts";
    /// What a closed connection had sent arrives all the same, sometimes.
    LateArrivals = "late-arrivals";
    /// Nothing passes between the producer and some brokers, in either direction.
    Partitions = "partitions";
    /// Nothing reaches some brokers, or nothing comes from them.
    OneWayBlocks = "one-way-blocks";
    /// A broker forgets its connections without a word, and the producer has to find out.
    HalfOpen = "half-open";
    /// A byte changes on its way to the producer, and nobody notices.
    FlippedBytes = "flipped-bytes", leaves Checks::NONE;
    /// Brokers die, one or all, and come back.
    Kills = "kills";
    /// Brokers stop in the middle of everything (SIGSTOP), keep their connections, and go on later, some of them deposed.
    Pauses = "pauses";
    /// Brokers hand over what they lead, and stop.
    Shutdowns = "shutdowns";
    /// Brokers do not hear each other, or the controller, in one direction or both.
    BrokerCuts = "broker-cuts";
    /// Nobody elects leaders, changes ISRs or creates topics.
    ControllerOutages = "controller-outages";
    /// Followers take long to fetch.
    SlowReplication = "slow-replication";
    /// Followers leave the ISR after a short lag.
    IsrShrinks = "isr-shrinks";
    /// Appends take long.
    SlowDisks = "slow-disks";
    /// Brokers learn late of what the controller decided.
    MetadataLag = "metadata-lag";
    /// The controller notices a death late.
    SlowSessions = "slow-sessions";
    /// A quota on bytes: brokers throttle whoever exceeds it.
    Quotas = "quotas";
    /// Partitions forget producers that wrote nothing for longer than any record waits, as `producer.id.expiration.ms` demands.
    ProducerIdExpiration = "producer-id-expiration";
    /// Replicas that are out of sync may lead.
    UncleanElections = "unclean-elections", leaves Checks::NONE;
    /// Partitions get another leader.
    LeaderMoves = "leader-moves";
    /// Partitions are without a leader for a while.
    Leaderless = "leaderless";
    /// More replicas must be in sync than are.
    MinIsr = "min-isr";
    /// Brokers are restarted, one after the other, with another version of Kafka.
    RollingUpgrade = "rolling-upgrade";
    /// Topics get more partitions.
    PartitionGrowth = "partition-growth";
    /// A topic is deleted, and is made again later.
    TopicDeletion = "topic-deletion", leaves Checks::NONE;
    /// A topic is deleted and made again at once, under another id.
    TopicRecreation = "topic-recreation", leaves Checks::NONE;
    /// Old records are deleted.
    Retention = "retention", leaves Checks { offsets: false, ..ALL };
    /// The end of a log is lost, as in an unclean election.
    Truncation = "truncation", leaves Checks::NONE;
    /// Partitions forget their producers, as after `producer.id.expiration.ms`, but at any time.
    ProducerExpiry = "producer-expiry", leaves Checks { once_in_order: false, ..ALL };
    /// Largest batches shrink: `max.message.bytes`.
    MessageSizeLimits = "message-size-limits";
    /// The work is done, the answer is lost.
    LostAcks = "lost-acks";
    /// Requests are not read, or the connection closes instead.
    LostRequests = "lost-requests";
    /// A batch is appended and refused all the same, with a code that allows that.
    AppendedErrors = "appended-errors";
    /// Answers with codes that call for another attempt.
    RetriableErrors = "retriable-errors";
    /// Answers with codes that end a batch.
    FatalErrors = "fatal-errors";
    /// Answers that end the producer.
    ProducerFatal = "producer-fatal";
    /// Single records of a batch are refused.
    RecordRejects = "record-rejects";
    /// Metadata with errors, without leaders or brokers.
    MetadataErrors = "metadata-errors";
    /// Metadata that is not up to date, and leader hints that lead astray.
    StaleMetadata = "stale-metadata";
    /// No producer id.
    InitProducerIdErrors = "init-producer-id-errors";
    /// Producer ids whose epochs are used up soon.
    EpochExhaustion = "epoch-exhaustion";
    /// Brokers that cannot say which versions they speak.
    ApiVersionsErrors = "api-versions-errors";
    /// A broker that closes connections on newer versions of ApiVersions, until there is peace.
    ApiVersionsCloses = "api-versions-closes";
    /// Answers to another request.
    WrongCorrelationIds = "wrong-correlation-ids";
    /// Produce with acks=0 is answered.
    AnsweredAcksZero = "answered-acks-zero";
    /// Answers that are garbage, incomplete, doubled, or for somebody else.
    MalformedAnswers = "malformed-answers";
    /// Answers that come late, and hold up those behind them.
    SlowAnswers = "slow-answers";
    /// Brokers that ask to be left alone for a while.
    Throttling = "throttling";
    /// Codecs outside the core are slow, fail, or are never heard of again.
    CodecFaults = "codec-faults";
    /// The wall clock jumps.
    ClockJumps = "clock-jumps";
    /// The producer is told times that are older than earlier ones.
    ClockLag = "clock-lag";
}

impl Trouble {
    /// Whether the cluster itself loses or invents something, so that its logs prove less than the producer promises.
    #[must_use]
    pub fn is_lossy(self) -> bool {
        self.leaves() != ALL
    }

    /// Whether replicas may be behind when another leads: then records may be lost that only a leader acknowledged (acks=1), as in any
    /// Kafka.
    #[must_use]
    pub const fn loses_unreplicated(self) -> bool {
        matches!(
            self,
            Self::Pauses
                | Self::BrokerCuts
                | Self::SlowReplication
                | Self::IsrShrinks
                | Self::SlowDisks
                | Self::MetadataLag
                | Self::SlowSessions
        )
    }

    /// How much rarer than the others it is.
    pub(super) const fn rarity(self) -> u32 {
        match self {
            // Nothing more can be seen once it struck.
            Self::ProducerFatal => 10,
            _ => 1,
        }
    }

    /// Spread over 64 bits, and the same whatever other troubles there are.
    pub(super) fn salt(self) -> u64 {
        // FNV-1a.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.name().bytes().fold(0xcbf2_9ce4_8422_2325, mix)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no trouble of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTrouble(pub String);

impl fmt::Display for UnknownTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Trouble::ALL.iter().map(|trouble| trouble.name()).collect();
        write!(f, "there is no trouble `{}`; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownTrouble {}

impl FromStr for Trouble {
    type Err = UnknownTrouble;

    fn from_str(name: &str) -> Result<Self, UnknownTrouble> {
        let found = Self::ALL.iter().find(|trouble| trouble.name() == name);
        found.copied().ok_or_else(|| UnknownTrouble(name.to_owned()))
    }
}
