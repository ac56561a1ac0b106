//! Everything at random: configuration, storage, faults, kills, moves, a hostile network; then it heals, and all must be
//! well: every record has its outcome in time, the logs agree with what was told, and the producer works.

use klamm_simulation::*;

const CODECS: [Compression; 6] =
    [Compression::None, Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Seeds per run; `KLAMM_SEEDS=n` and `KLAMM_SEED=first` change them.
const SEEDS: u64 = 300;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_seed_ends_well() {
    seeds(|seed| Chaos::new(seed, false).run());
}

/// The cluster itself loses records and forgets producers, topics are made again, grow and are declared wrongly: the
/// logs prove nothing any more, but every record still has its one outcome in time, and the producer survives.
#[test]
fn every_seed_survives_a_cluster_that_loses_data() {
    seeds(|seed| Chaos::new(seed, true).run());
}

fn seeds(run: impl Fn(u64)) {
    let first = from_env("KLAMM_SEED", 0);
    for seed in first..first + from_env("KLAMM_SEEDS", SEEDS) {
        if std::env::var_os("KLAMM_TALK").is_some() {
            eprintln!("seed {seed}");
        }
        run(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let hash = || {
            let mut chaos = Chaos::new(seed, false);
            chaos.run();
            chaos.world.trace_hash()
        };
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

struct Chaos {
    seed: u64,
    world: World,
    random: Random,
    topics: Vec<(TopicId, u32)>,
    delivery_ms: u64,
    sent: u64,
    brokers: i32,
    lossy: bool,
}

impl Chaos {
    fn new(seed: u64, lossy: bool) -> Self {
        let mut random = Random::new(seed ^ 0x00c0_ffee);
        let mut options = WorldOptions::seeded(seed);
        let brokers = 1 + random.below(4) as u32;
        options = options.cluster(cluster(&mut random, seed, brokers)).network(network(&mut random));
        let limits = limits(&mut random);
        let idempotent = random.chance(700);
        let acks = if idempotent { Acks::All } else { *random.pick(&[Acks::All, Acks::Leader, Acks::None]) };
        let request_ms = 300 + random.below(3000) as u32;
        let linger_ms = *random.pick(&[0, 1, 5, 50, 1000]);
        let delivery_ms = request_ms + linger_ms + random.below(20_000) as u32;
        let in_flight = 1 + random.below(5) as u8;
        let batch_size = *random.pick(&[0, 1, 200, 1000, 16_384, 100_000]);
        let max_request_size = *random.pick(&[2_000, 20_000, 1_048_576]);
        let compression = *random.pick(&CODECS);
        let lz4_in_place = random.chance(500);
        let idle_ms = *random.pick(&[0, 2_000, 540_000]);
        let age_ms = *random.pick(&[1_000, 10_000, 300_000]);
        let share = *random.pick(&[30, 75, 100]);
        let availability = *random.pick(&[0, 500]);
        let retries = if random.chance(100) { 1 + random.below(4) as u32 } else { i32::MAX as u32 };
        options = options.limits(limits).configure(move |config| {
            config.acks = acks;
            config.enable_idempotence = idempotent;
            config.request_timeout_ms = request_ms;
            config.linger_ms = linger_ms;
            config.delivery_timeout_ms = delivery_ms;
            config.max_in_flight_requests_per_connection = in_flight;
            config.batch_size = batch_size;
            config.max_request_size = max_request_size;
            config.compression = compression;
            config.lz4_in_place = lz4_in_place;
            config.connections_max_idle_ms = idle_ms;
            config.metadata_max_age_ms = age_ms;
            config.broker_share_percent = share;
            config.partitioner_availability_timeout_ms = availability;
            config.socket_connection_setup_timeout_ms = 1000;
            config.socket_connection_setup_timeout_max_ms = 2000;
            config.retries = retries;
        });
        options = options.codecs(codecs(&mut random));
        if random.chance(200) {
            options = options.without_clock();
        }
        if lossy {
            options = options.checks(Checks::NONE);
        }
        let mut world = World::new(options);
        let mut topics = Vec::new();
        for index in 0..1 + random.below(3) {
            let partitions = 1 + random.below(5) as u32;
            let name = format!("topic-{index}");
            world.cluster_mut().create_topic_with(
                &name,
                TopicOptions {
                    partitions,
                    log_append_time: random.chance(200),
                    max_message_bytes: random.chance(200).then(|| 200 + random.below(3000) as usize),
                    ..TopicOptions::default()
                },
            );
            topics.push((world.topic(&name), partitions));
        }
        Self { seed, world, random, topics, delivery_ms: delivery_ms.into(), sent: 0, brokers: brokers as i32, lossy }
    }

    fn run(&mut self) {
        for _ in 0..5 + self.random.below(60) {
            self.act();
        }
        self.heal();
    }

    fn act(&mut self) {
        let broker = 1 + self.random.below(self.brokers as u64) as i32;
        let (topic, partition) = {
            let index = self.random.below(self.topics.len() as u64);
            (format!("topic-{index}"), self.random.below(self.topics[index as usize].1.into()) as u32)
        };
        match self.random.below(20) {
            0 => self.world.cluster_mut().kill(broker),
            1 | 2 => {
                let now_ms = self.world.now_ms();
                self.world.cluster_mut().restart(now_ms, broker);
            }
            3 => self.world.cluster_mut().move_leader(&topic, partition, broker),
            4 => self.world.network_mut().block(broker),
            5 | 6 => self.world.network_mut().unblock(broker),
            7 => self.world.reset_connections(),
            8 | 9 => self.script(),
            10 => self.world.flush(),
            11 => self.world.set_wall_clock(),
            12 if self.lossy => self.lose(&topic, partition),
            _ => self.send(),
        }
        let ms = *self.random.pick(&[0, 0, 1, 3, 10, 100, 700, 3000]);
        self.world.run_for(ms);
    }

    /// What no broker should do, and what administrators do.
    fn lose(&mut self, topic: &str, partition: u32) {
        let index = topic.rsplit('-').next().and_then(|index| index.parse().ok()).unwrap_or(0);
        let (id, _): (TopicId, u32) = self.topics[index];
        let end = self.world.cluster().offsets(topic, partition).map_or(0, |(_, end)| end);
        let offset = self.random.below(end as u64 + 1) as i64;
        let cluster = self.world.cluster_mut();
        match self.random.below(8) {
            0 => cluster.truncate(topic, partition, offset),
            1 => cluster.delete_records(topic, partition, offset),
            2 => cluster.forget_producers(topic, partition),
            3 => cluster.recreate_topic(topic),
            4 => cluster.add_partitions(topic, 1),
            5 => cluster.options_mut().lose_producer_state = true,
            6 => {
                let count = 1 + self.random.below(8) as u32;
                self.world.producer_mut().declare_partitions(id, count);
            }
            _ => {
                // Only without records of it; then it comes back under another id of the producer's.
                if self.world.producer_mut().forget_topic(id) {
                    self.topics[index].0 = self.world.topic(topic);
                }
            }
        }
    }

    fn send(&mut self) {
        for _ in 0..1 + self.random.below(30) {
            let (topic, partitions) = *self.random.pick(&self.topics.clone());
            let size = *self.random.pick(&[0, 10, 100, 500, 1500, 5000]);
            let mut value = format!("{}:{}:", self.seed, self.sent).into_bytes();
            let filler = if self.random.chance(500) { 0 } else { 255 };
            for _ in 0..self.random.below(size + 1) {
                value.push(self.random.below(filler + 1) as u8);
            }
            let key = self.random.below(50).to_string();
            let mut record = Record::value(&value);
            match self.random.below(3) {
                0 => record.key = Some(key.as_bytes()),
                1 => record.partition = Some(self.random.below(partitions.into()) as i32),
                _ => {}
            }
            if self.random.chance(100) {
                record.timestamp = Some(1_600_000_000_000 + self.random.below(1 << 40) as i64);
            }
            // A refusal is back-pressure, or a partition that is not known yet.
            let _ = self.world.send(topic, &record);
            self.sent += 1;
        }
    }

    fn script(&mut self) {
        let random = &mut self.random;
        let mut fault = match random.below(10) {
            0 => Fault::on(Api::Metadata),
            1 => Fault::on(Api::InitProducerId),
            2 => Fault::on(Api::ApiVersions),
            3 => Fault::on_any(),
            _ => Fault::on(Api::Produce),
        };
        fault = fault.skip(random.below(3) as u32).times(1 + random.below(3) as u32);
        let retriable = [2, 3, 5, 6, 7, 9, 13, 14, 19, 20, 51, 56, 72, 74, 75, 89, 100, 103];
        fault = match random.below(16) {
            0..=3 => fault.then(Do::Error(*random.pick(&retriable))),
            4 => Fault::on(Api::Produce)
                .then(Do::Error(*random.pick(&[10, 17, 29, 32, 42, 44, 45, 47, 59, 76, 87, -1, 999]))),
            5 => Fault::on(Api::Produce).then(Do::AppendThenError(*random.pick(&[7, 20]))),
            6 => Fault::on(Api::Produce)
                .then(Do::AppendThenError(*random.pick(&[3, 6, 9, 56])))
                .then(Do::BaseOffset(random.below(100) as i64)),
            7 => fault.then(Do::CloseBefore),
            8 => fault.then(Do::CloseAfter),
            9 => fault.then(Do::CloseAfterBytes(random.below(60) as usize)),
            10 => fault.then(Do::Delay(random.below(5000))),
            11 => fault.then(random.pick(&[Do::NoAnswer, Do::Ignore]).clone()),
            12 => fault.then(Do::Throttle(random.below(3000) as i32)),
            13 => fault.then(
                random
                    .pick(&[
                        Do::DropPartition,
                        Do::DropTopic,
                        Do::DuplicatePartitions,
                        Do::DuplicateTopic,
                        Do::ReversePartitions,
                        Do::ReverseTopics,
                        Do::ExtraPartition(77),
                    ])
                    .clone(),
            ),
            14 => fault.then(Do::Garbage((0..random.below(80)).map(|_| random.draw() as u8).collect())),
            _ => Fault::on(Api::Metadata).then(
                random
                    .pick(&[Do::Leaderless, Do::NoBrokers, Do::OmitBroker(1), Do::StaleEpoch(1), Do::Error(3)])
                    .clone(),
            ),
        };
        self.world.cluster_mut().faults().push(fault);
    }

    /// Nothing goes wrong any more: what was accepted ends in time, and the producer works.
    fn heal(&mut self) {
        self.world.note("healed");
        self.world.network_mut().heal();
        *self.world.codecs_mut() = Codecs::default();
        self.world.cluster_mut().faults().clear();
        let now_ms = self.world.now_ms();
        for broker in 1..=self.brokers {
            self.world.cluster_mut().restart(now_ms, broker);
        }
        for (index, (_, partitions)) in self.topics.iter().enumerate() {
            for partition in 0..*partitions {
                let topic = format!("topic-{index}");
                if self.world.cluster().leader(&topic, partition).is_some_and(|(leader, _)| leader < 0) {
                    self.world.cluster_mut().move_leader(&topic, partition, 1);
                }
            }
        }
        let limit = self.delivery_ms + 1;
        assert!(self.world.run_until_settled(limit), "seed {}: not settled: {:?}", self.seed, self.world.stats());
        assert!(self.world.run_until_idle(20_000), "seed {}: memory is not free", self.seed);
        self.world.verify();
        // What still hangs or backs off has to run out first.
        self.world.run_for(10_000);
        for (topic, partitions) in self.topics.clone() {
            for partition in 0..partitions {
                self.deliver_one(topic, partition as i32);
            }
        }
        assert!(self.world.run_until_idle(20_000), "seed {}: memory is not free", self.seed);
        self.world.verify();
        self.world.close(1000);
        assert!(self.world.run_until(|world| world.producer().is_closed(), 1001), "seed {}", self.seed);
        assert_eq!(self.world.producer().poll_timeout(), None);
    }

    /// A record gets through; a short delivery timeout may take a second one, on warm connections.
    fn deliver_one(&mut self, topic: TopicId, partition: i32) {
        for _ in 0..3 {
            let last = self.world.send_to(topic, partition, format!("last {topic:?} {partition}"));
            let last = last.unwrap_or_else(|error| panic!("seed {}: {error} after healing", self.seed));
            assert!(self.world.run_until_settled(self.delivery_ms + 1));
            if self.world.outcome(last).is_some_and(|outcome| outcome.is_delivered()) {
                return;
            }
            self.world.run_for(1000);
        }
        panic!("seed {}: nothing gets to {topic:?} {partition} after healing", self.seed);
    }
}

fn cluster(random: &mut Random, seed: u64, brokers: u32) -> ClusterOptions {
    let versions = [
        VersionSet::kafka_2_1(),
        VersionSet::kafka_2_4(),
        VersionSet::kafka_2_8(),
        VersionSet::kafka_3_9(),
        VersionSet::kafka_4_0(),
        VersionSet::kafka_4_3(),
    ];
    ClusterOptions {
        brokers,
        seed,
        versions: random.pick(&versions).clone(),
        strict_first_sequence: random.chance(300),
        pipelined: random.chance(500),
        ..ClusterOptions::default()
    }
}

/// Often as they should be; else slow, failing, or gone.
fn codecs(random: &mut Random) -> Codecs {
    let calm = random.chance(400);
    let mut some = |permille: u64| if calm { 0 } else { random.below(permille) as u32 };
    let (lost_permille, failed_permille, repeated_permille) = (some(60), some(200), some(200));
    Codecs {
        delay_us: *random.pick(&[0, 0, 1])..=*random.pick(&[1, 500, 20_000, 2_000_000]),
        lost_permille,
        failed_permille,
        repeated_permille,
    }
}

fn network(random: &mut Random) -> Network {
    let pieces = |random: &mut Random| match random.below(4) {
        0 => Pieces::Random(7),
        1 => Pieces::Random(300),
        _ => Pieces::Whole,
    };
    let calm = random.chance(400);
    let mut some = |permille: u64| if calm { 0 } else { random.below(permille) as u32 };
    let (refuse_permille, hang_permille, dns_failure_permille) = (some(200), some(100), some(100));
    let (reset_permille, stall_permille) = (some(30), some(30));
    Network {
        latency_us: 100..=100 + random.below(20_000),
        write: pieces(random),
        write_pause_us: random.below(2000),
        read: pieces(random),
        vectored_permille: *random.pick(&[0, 500, 1000]),
        refuse_permille,
        hang_permille,
        dns_failure_permille,
        reset_permille,
        stall_permille,
        stall_us: 0..=4_000_000,
        late_arrival_permille: *random.pick(&[0, 500, 1000]),
        ..Network::default()
    }
}

fn limits(random: &mut Random) -> Limits {
    let block_size = *random.pick(&[128, 256, 1024, 4096]);
    let tight = random.chance(500);
    Limits {
        buffer_memory: if tight { block_size * (5 + random.below(40) as usize) } else { 1 << 20 },
        block_size,
        batches: if tight { 2 + random.below(8) as usize } else { 256 },
        partitions: if tight { 1 + random.below(6) as usize } else { 64 },
        topics: 3,
        brokers: 4 + random.below(4) as usize,
        connections: if tight { 1 + random.below(3) as usize } else { 8 },
        topic_bytes: 20,
        host_bytes: 20,
        scratch_bytes: 100 + random.below(200) as usize,
    }
}
