//! Large clusters through small memories.

use klamm_simulation::*;

/// One topic of ten thousand partitions on a hundred brokers: the answer is some 600 KB, read in small pieces.
#[test]
fn ten_thousand_partitions() {
    let cluster = ClusterOptions { brokers: 100, replication_factor: Some(3), ..ClusterOptions::default() };
    let network = Network { read: Pieces::Fixed(1000), ..Network::default() };
    let options = WorldOptions::seeded(1).cluster(cluster).network(network).limit(|limits| {
        limits.partitions = 10_000;
        limits.buffer_memory = 8 << 20;
        limits.batches = 2048;
        limits.brokers = 100;
        limits.connections = 100;
    });
    let (mut world, topic) = world_with(options, 10_000);
    assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(10_000), 1000));
    for index in 0..1000 {
        world.send_to(topic, index * 10, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 1000);
    world.verify();
}

/// The same one byte at a time, and with a table that holds only some of them.
#[test]
fn a_large_answer_byte_by_byte() {
    for slots in [8, 400] {
        let network = Network { read: Pieces::Fixed(1), ..Network::default() };
        let options = WorldOptions::seeded(1).network(network).limit(|limits| limits.partitions = slots);
        let (mut world, topic) = world_with(options, 400);
        assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(400), 1000));
        for index in 0..40 {
            while world.send_to(topic, index * 10, format!("{index}")).is_err() {
                world.run_for(1);
            }
        }
        assert!(world.run_until_idle(5000));
        assert_eq!(world.delivered(), 40);
        world.verify();
    }
}

/// A thousand topics: the request goes through a scratch of 300 bytes, piece by piece.
#[test]
fn a_thousand_topics() {
    for versions in [VersionSet::kafka_2_1(), VersionSet::kafka_4_3()] {
        let cluster = ClusterOptions { versions, ..ClusterOptions::default() };
        let network = Network { write: Pieces::Random(300), ..Network::default() };
        let options = WorldOptions::seeded(1).cluster(cluster).network(network).limit(|limits| {
            limits.topics = 1000;
            limits.partitions = 1000;
            limits.buffer_memory = 8 << 20;
            limits.batches = 2048;
            limits.scratch_bytes = 300;
        });
        let mut world = World::new(options);
        let topics: Vec<TopicId> = (0..1000)
            .map(|index| {
                let name = format!("topic-number-{index}");
                world.cluster_mut().create_topic(&name, 1);
                world.topic(&name)
            })
            .collect();
        let last = topics[999];
        assert!(world.run_until(|world| world.producer().partition_count(last).is_some(), 5000));
        for topic in &topics {
            assert_eq!(world.producer().partition_count(*topic), Some(1));
            world.send_keyed(*topic, "k", "v").unwrap();
        }
        assert!(world.run_until_idle(2000));
        assert_eq!(world.delivered(), 1000);
        world.verify();
        // All of them once more, by age.
        let before = world.stats().metadata_refreshes;
        world.run_for(301_000);
        assert_eq!(world.stats().metadata_refreshes, before + 1);
    }
}

/// A board's worth of everything under a long load.
#[test]
fn little_of_everything() {
    let options = WorldOptions::seeded(9).configure(|config| config.batch_size = 400).limits(Limits {
        buffer_memory: 256 * 12,
        block_size: 256,
        batches: 5,
        partitions: 2,
        topics: 1,
        brokers: 3,
        connections: 1,
        topic_bytes: 8,
        host_bytes: 16,
        scratch_bytes: 96,
    });
    let (mut world, topic) = world_with(options, 6);
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
    let mut sent = 0;
    for index in 0..3000 {
        if world.send_to(topic, index % 6, format!("reading {index}")).is_ok() {
            sent += 1;
        }
        world.run_for(1);
    }
    assert!(world.run_until_idle(10_000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (sent, 0));
    assert!(sent > 500, "{sent}");
}

/// How long a look at the clock takes an idle producer that has this many partitions: the best of many tries.
fn idle_poll(partitions: u32) -> std::time::Duration {
    let options = one_broker().limit(|limits| {
        limits.partitions = partitions as usize;
        limits.buffer_memory = 8 << 20;
    });
    let (mut world, topic) = world_with(options, partitions);
    assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(partitions), 1000));
    // One that is active and has something to wait for.
    world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::NoAnswer));
    world.send_to(topic, partitions as i32 - 1, "v").unwrap();
    world.run_for(10);
    let now = Instant::from_micros(world.now_us());
    let producer = world.producer_mut();
    let tries = (0..200).map(|_| {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            producer.handle_timeout(now);
            assert!(producer.poll_action().is_none() && producer.poll_event().is_none());
            std::hint::black_box(producer.poll_timeout());
        }
        start.elapsed()
    });
    tries.min().unwrap_or_default()
}

/// PITFALLS 26: what a poll costs depends on what is active, not on how many partitions there are. (`cargo xtask bench` counts the
/// instructions: as many with 10 000 as with one.)
#[test]
fn idle_partitions_cost_nothing() {
    let (one, many) = (idle_poll(1), idle_poll(10_000));
    assert!(many < 20 * one, "{one:?} with one partition, {many:?} with 10 000");
}
