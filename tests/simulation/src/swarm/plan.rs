//! What a seed gives: producer, memory, cluster, network, topics, work.

use super::Case;
use crate::*;
use klamm_sim::nemesis::Trouble;

/// Apart from the generators of world and nemesis.
const SALT: u64 = 0x5a17_c0ff_ee00_0001;

const CODECS: [Compression; 7] = [
    Compression::None,
    Compression::None,
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// How an application sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Much at once, then nothing for long.
    Bursts,
    /// Some all the time.
    Steady,
    /// One now and then.
    Trickle,
    /// Any of that.
    Mixed,
}

/// A topic and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct TopicPlan {
    pub(super) name: String,
    pub(super) options: TopicOptions,
    /// Made before this step; 0 before the producer starts.
    pub(super) made_at: u32,
    /// What the application declares, if it does.
    pub(super) declared: Option<u32>,
}

impl TopicPlan {
    /// Before the cluster said how many partitions there are, records that name one are accepted, too.
    fn is_declared(&self) -> bool {
        self.declared.is_some()
    }
}

/// How the work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// In peace.
    Calm,
    /// By `close` in the middle of all troubles, within this many milliseconds.
    Close(u64),
    /// By `fail_all`.
    FailAll,
}

/// Everything that does not happen by itself.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topics: Vec<TopicPlan>,
    pub(super) style: Style,
    pub(super) steps: u32,
    /// No broker can be reached before this step.
    pub(super) offline_until: u32,
    pub(super) ending: Ending,
    pub(super) metadata_age_ms: u64,
    pub(super) records_per_step: u32,
    pub(super) large: bool,
    /// Partitions come near the last sequence number whenever that can be done.
    pub(super) wraps: bool,
    random: Random,
}

impl Plan {
    /// The generator of one step: cutting others away leaves it as it is.
    pub(super) fn random(&self, step: u32) -> Random {
        let mut random = self.random.clone();
        let first = random.draw();
        Random::new(first ^ u64::from(step).wrapping_mul(0x9e37_79b9_7f4a_7c15)).fork()
    }
}

/// Draws a plan, and the options of the world it is for.
pub(super) fn draw(case: &Case) -> (Plan, WorldOptions) {
    let mut root = Random::new(case.seed ^ SALT);
    let [mut size, mut of_cluster, of_config, mut of_memory, mut of_topics, mut of_work] =
        [(); 6].map(|()| root.fork());
    let large = size.chance(3);
    let brokers = match size.below(10) {
        _ if large => 10 + size.below(91) as u32,
        0 => 5 + size.below(8) as u32,
        _ => 1 + size.below(4) as u32,
    };
    let brokers = brokers.min(case.brokers.unwrap_or(u32::MAX)).max(1);
    let topics = topics(case, &mut of_topics, large);
    let limits = memory(&mut of_memory, brokers, large);
    let mut config = Config::new("nowhere:1");
    configure(of_config.clone(), &mut config);
    let cluster = cluster(&mut of_cluster, case.seed, brokers);
    let checks = checks(&config, &cluster, &topics, &case.nemesis().troubles());
    let mut options = WorldOptions::seeded(case.seed)
        .cluster(cluster)
        .network(network(&mut of_cluster))
        .limits(limits)
        .configure(move |config| configure(of_config, config))
        .checks(checks)
        .nemesis(case.nemesis());
    if of_work.chance(150) {
        options = options.without_clock();
    }
    let steps = (5 + of_work.below(60) as u32).min(case.steps.unwrap_or(u32::MAX));
    let offline = of_work.chance(100);
    let offline_until = if offline { of_work.below(steps.into()) as u32 } else { 0 };
    let ending = match of_work.below(40) {
        0 | 1 => Ending::FailAll,
        2..=5 => Ending::Close(of_work.below(5000)),
        _ => Ending::Calm,
    };
    let style = *of_work.pick(&[Style::Bursts, Style::Steady, Style::Trickle, Style::Mixed, Style::Mixed]);
    let records_per_step = case.records.unwrap_or(u32::MAX);
    let wraps = of_work.chance(120) && config.enable_idempotence;
    let plan = Plan {
        topics,
        style,
        steps,
        offline_until,
        ending,
        metadata_age_ms: config.metadata_max_age_ms.into(),
        records_per_step,
        large,
        wraps,
        random: of_work,
    };
    (plan, options)
}

/// What this world's logs prove of what the producer promises.
fn checks(config: &Config<'_>, cluster: &ClusterOptions, topics: &[TopicPlan], troubles: &[Trouble]) -> Checks {
    let mut checks = Checks::promised(config);
    // A record that may go anywhere waits for what the cluster says; its place is behind those that were sent there meanwhile.
    checks.once_in_order &= !topics.iter().any(TopicPlan::is_declared);
    // Where replicas lag, or who is dead is still thought in sync, a leader may take with it what it alone acknowledged.
    let unnoticed = [Trouble::ControllerOutages, Trouble::BrokerCuts, Trouble::SlowSessions];
    let in_step = cluster.replication == Replication::default()
        && *cluster.disk_ms.end() == 0
        && !troubles.iter().any(|trouble| unnoticed.contains(trouble));
    checks.offsets &= config.acks == Acks::All || in_step;
    checks
}

/// What topics are told apart by. Each letter has an even number of ones: no flipped bit makes one topic's name out of
/// another's, which would give two topics one id, and what a producer does then proves nothing.
const LETTERS: [char; 12] = ['A', 'B', 'D', 'G', 'H', 'K', 'M', 'N', 'P', 'S', 'U', 'V'];

fn topics(case: &Case, random: &mut Random, large: bool) -> Vec<TopicPlan> {
    let count = if random.chance(900) { 1 + random.below(3) } else { 1 + random.below(LETTERS.len() as u64) };
    let count = count.min(case.topics.unwrap_or(u32::MAX).into()).max(1);
    let mut topic = |index: u64| {
        let mut random = random.fork();
        let partitions = match random.below(20) {
            _ if large && index == 0 => 100 + random.below(9_901) as u32,
            0 => 1 + random.below(40) as u32,
            _ => 1 + random.below(6) as u32,
        };
        let options = TopicOptions {
            partitions: partitions.min(case.partitions.unwrap_or(u32::MAX)).max(1),
            replication_factor: (random.chance(300) || large).then(|| 1 + random.below(3) as u32),
            log_append_time: random.chance(150),
            max_message_bytes: random.chance(150).then(|| 250 + random.below(3000) as usize),
            compacted: random.chance(60),
            timestamp_before_max_ms: random.chance(50).then_some(3_600_000),
            timestamp_after_max_ms: random.chance(50).then_some(3_600_000),
            ..TopicOptions::default()
        };
        let made_at = if random.chance(120) { 1 + random.below(10) as u32 } else { 0 };
        let declared =
            random.chance(60).then(|| if random.chance(600) { options.partitions } else { 1 + random.below(8) as u32 });
        TopicPlan { name: format!("topic-{}", LETTERS[index as usize]), options, made_at, declared }
    };
    (0..count).map(&mut topic).collect()
}

fn cluster(random: &mut Random, seed: u64, brokers: u32) -> ClusterOptions {
    let versions = [
        VersionSet::kafka_2_1(),
        VersionSet::kafka_2_4(),
        VersionSet::kafka_2_8(),
        VersionSet::kafka_3_3(),
        VersionSet::kafka_3_9(),
        VersionSet::kafka_4_0(),
        VersionSet::kafka_4_3(),
        VersionSet::kafka_4_4(),
    ];
    ClusterOptions {
        brokers,
        seed,
        versions: random.pick(&versions).clone(),
        strict_first_sequence: random.chance(300),
        pipelined: random.chance(500),
        auto_create_topics: random.chance(150),
        default_partitions: 1 + random.below(5) as u32,
        replication: if random.chance(400) { replication(random) } else { Replication::default() },
        disk_ms: 0..=*random.pick(&[0, 0, 0, 2, 20]),
        ..ClusterOptions::default()
    }
}

/// As in a data centre, or a little worse.
fn replication(random: &mut Random) -> Replication {
    Replication {
        fetch_ms: 0..=*random.pick(&[1, 5, 50]),
        lag_time_max_ms: *random.pick(&[200, 2000, 30_000]),
        session_ms: *random.pick(&[0, 100, 2000]),
        propagation_ms: 0..=*random.pick(&[1, 20, 300]),
        unclean: false,
    }
}

/// Well behaved: the nemesis does the rest.
fn network(random: &mut Random) -> Network {
    Network {
        latency_us: 100..=100 + random.below(*random.clone().pick(&[1, 2000, 20_000])),
        vectored_permille: *random.pick(&[0, 500, 1000]),
        ..Network::default()
    }
}

fn memory(random: &mut Random, brokers: u32, large: bool) -> Limits {
    let block_size = *random.pick(&[128, 256, 1024, 4096]);
    let tight = !large && random.chance(500);
    let brokers = brokers as usize + random.below(3) as usize;
    let board = tight && random.chance(200);
    if board {
        return Limits {
            buffer_memory: 256 * 16,
            block_size: 256,
            batches: 8,
            partitions: 4,
            topics: 12,
            brokers,
            connections: 2,
            topic_bytes: 64,
            host_bytes: 64,
            scratch_bytes: 160,
        };
    }
    Limits {
        buffer_memory: if tight { block_size * (5 + random.below(40) as usize) } else { 1 << 20 },
        block_size,
        batches: if tight { 2 + random.below(8) as usize } else { 256 },
        partitions: if tight { 1 + random.below(6) as usize } else { 64 },
        topics: 12,
        brokers,
        connections: if tight { 1 + random.below(3) as usize } else { 8 },
        topic_bytes: 20,
        host_bytes: 20,
        scratch_bytes: 100 + random.below(200) as usize,
    }
}

/// `producer-side` choice by the length of the value: legal, and unlike the others.
fn by_length(request: &PartitionRequest<'_>) -> i32 {
    let length = request.value.map_or(0, <[u8]>::len) as u64;
    (length % u64::from(request.partitions.max(1))) as i32
}

fn partitioner(which: u64) -> Partitioner {
    match which {
        #[cfg(feature = "whole")]
        0 => Partitioner::RoundRobin,
        1 => Partitioner::Custom(by_length),
        #[cfg(feature = "whole")]
        2 => Partitioner::ConsistentRandom,
        #[cfg(feature = "whole")]
        3 => Partitioner::Murmur2Random,
        #[cfg(feature = "whole")]
        4 => Partitioner::Fnv1a,
        _ => Partitioner::Default,
    }
}

/// The producer's settings.
fn configure(mut random: Random, config: &mut Config<'static>) {
    let idempotent = random.chance(700);
    let request_ms = 300 + random.below(3000) as u32;
    let linger_ms = *random.pick(&[0, 1, 5, 50, 1000]);
    config.enable_idempotence = idempotent;
    config.acks = if idempotent { Acks::All } else { *random.pick(&[Acks::All, Acks::Leader, Acks::None]) };
    config.request_timeout_ms = request_ms;
    config.linger_ms = linger_ms;
    config.delivery_timeout_ms = request_ms + linger_ms + random.below(20_000) as u32;
    config.max_in_flight_requests_per_connection = 1 + random.below(5) as u8;
    config.batch_size = *random.pick(&[0, 1, 200, 1000, 16_384, 100_000]);
    config.max_request_size = *random.pick(&[2_000, 20_000, 1_048_576]);
    let (compression, lz4_in_place) = (*random.pick(&CODECS), random.chance(500));
    config.compression = if cfg!(feature = "whole") { compression } else { Compression::None };
    config.connections_max_idle_ms = *random.pick(&[0, 2_000, 540_000]);
    config.metadata_max_age_ms = *random.pick(&[1_000, 10_000, 300_000, 300_000]);
    config.broker_share_percent = *random.pick(&[30, 75, 100]);
    let (availability_timeout_ms, adaptive) = (*random.pick(&[0, 0, 500]), random.chance(700));
    config.partitioner_ignore_keys = random.chance(100);
    config.partitioner = partitioner(random.below(10));
    #[cfg(feature = "whole")]
    {
        // The encoder outside hashes by the machine's word, so its sizes differ between 32 and 64 bits: tests/codecs.rs has it, the
        // swarm, whose traces are the same everywhere, has the core's own.
        config.lz4_in_place = lz4_in_place || compression == Compression::Lz4;
        config.partitioner_availability_timeout_ms = availability_timeout_ms;
        config.partitioner_adaptive_partitioning_enable = adaptive;
    }
    #[cfg(not(feature = "whole"))]
    let _ = (lz4_in_place, availability_timeout_ms, adaptive);
    config.socket_connection_setup_timeout_ms = 1000;
    config.socket_connection_setup_timeout_max_ms = 2000;
    config.retry_backoff_ms = *random.pick(&[100, 100, 10, 500]);
    config.retry_backoff_max_ms = *random.pick(&[1000, 1000, 50, 3000]);
    config.reconnect_backoff_ms = *random.pick(&[50, 50, 1, 500]);
    config.reconnect_backoff_max_ms = *random.pick(&[1000, 1000, 50, 5000]);
    config.retries = if random.chance(100) { 1 + random.below(4) as u32 } else { i32::MAX as u32 };
    config.on_gap = if random.chance(150) { OnGap::Resend } else { OnGap::Fail };
    config.allow_auto_create_topics = random.chance(700);
    config.resolve_names = random.chance(800);
    config.metadata_recovery_rebootstrap_trigger_ms = *random.pick(&[300_000, 300_000, 5_000]);
    if random.chance(100) {
        config.metadata_recovery_strategy = MetadataRecoveryStrategy::None;
    }
}
