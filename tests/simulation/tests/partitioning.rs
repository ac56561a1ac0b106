//! Which partition a record goes to.

use klamm_simulation::*;

/// Bytes and records per partition of `t`.
fn shares(world: &World, partitions: u32) -> Vec<(usize, usize)> {
    (0..partitions)
        .map(|partition| {
            let log = world.cluster().log("t", partition);
            (log.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum(), log.len())
        })
        .collect()
}

fn known(world: &mut World, topic: TopicId) {
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
}

#[test]
fn keys_go_where_the_java_client_puts_them() {
    let keys = [("21", 0), ("foobar", 6), ("", 1), ("kafka", 0), ("user:42", 5), ("abc", 7), ("é☃", 6)];
    let (mut world, topic) = world(10);
    known(&mut world, topic);
    for (key, _) in keys {
        world.send_keyed(topic, key, "v").unwrap();
    }
    assert!(world.run_until_idle(1000));
    for (record, (key, partition)) in keys.iter().enumerate() {
        assert_eq!(world.outcome(record).unwrap().partition(), *partition, "{key}");
    }
}

#[test]
fn the_records_own_partition_comes_first() {
    let (mut world, topic) = world(3);
    known(&mut world, topic);
    let record = world.send(topic, &Record::keyed(b"foobar", b"v").to_partition(2)).unwrap();
    for missing in [3, -1, i32::MAX] {
        assert_eq!(world.send_to(topic, missing, "v"), Err(SendError::NoSuchPartition { partitions: 3 }));
    }
    assert!(world.run_until_idle(1000));
    assert_eq!(world.outcome(record).unwrap().partition(), 2);
}

/// The topic grew: the caller's next try finds the new partition.
#[test]
fn a_partition_that_was_added_is_found() {
    let (mut world, topic) = warm(WorldOptions::seeded(1), 2);
    world.cluster_mut().add_partitions("t", 2);
    assert_eq!(world.send_to(topic, 3, "v"), Err(SendError::NoSuchPartition { partitions: 2 }));
    assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(4), 1000));
    assert!(world.events().iter().any(|(_, event)| *event == Event::Topic(topic)));
    world.send_to(topic, 3, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 3);
}

#[test]
fn round_robin_is_even() {
    let options = WorldOptions::seeded(1).configure(|config| config.partitioner = Partitioner::RoundRobin);
    let (mut world, topic) = world_with(options, 6);
    known(&mut world, topic);
    for index in 0..600 {
        world.send_keyed(topic, "the same key", format!("{index}")).unwrap();
        world.run_for(1);
    }
    assert!(world.run_until_idle(1000));
    assert!(shares(&world, 6).iter().all(|(_, records)| *records == 100), "{:?}", shares(&world, 6));
}

/// KAFKA-9965, KAFKA-17632: none is left out, whatever the batches do.
#[test]
fn round_robin_leaves_out_only_who_has_no_leader() {
    let options = WorldOptions::seeded(1).configure(|config| {
        config.partitioner = Partitioner::RoundRobin;
        config.batch_size = 0;
    });
    let (mut world, topic) = world_with(options, 4);
    world.cluster_mut().move_leader("t", 1, -1);
    known(&mut world, topic);
    for index in 0..300 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(1000));
    assert_eq!(shares(&world, 4).iter().map(|(_, records)| *records).collect::<Vec<_>>(), [100, 0, 100, 100]);
}

#[test]
fn a_function_of_the_caller_may_choose() {
    fn choose(request: &PartitionRequest<'_>) -> i32 {
        assert_eq!((request.topic, request.partitions), ("t", 5));
        request.key.map_or(-7, |key| key.len() as i32)
    }
    let options = WorldOptions::seeded(1).configure(|config| config.partitioner = Partitioner::Custom(choose));
    let (mut world, topic) = world_with(options, 5);
    assert_eq!(world.send_keyed(topic, "abc", "v"), Err(SendError::PartitionsUnknown));
    known(&mut world, topic);
    world.send_keyed(topic, "abc", "v").unwrap();
    assert_eq!(world.send_value(topic, "v"), Err(SendError::NoSuchPartition { partitions: 5 }));
    assert_eq!(world.send_keyed(topic, "abcde", "v"), Err(SendError::NoSuchPartition { partitions: 5 }));
    assert!(world.run_until_idle(1000));
    assert_eq!(world.outcome(0).unwrap().partition(), 3);
}

#[test]
fn ignored_keys_are_spread() {
    let options = WorldOptions::seeded(1).configure(|config| {
        config.partitioner_ignore_keys = true;
        config.batch_size = 500;
    });
    let (mut world, topic) = world_with(options, 3);
    known(&mut world, topic);
    for index in 0..300 {
        world.send_keyed(topic, "the same key", format!("{index}")).unwrap();
        world.run_for(1);
    }
    assert!(world.run_until_idle(1000));
    assert!(shares(&world, 3).iter().all(|(_, records)| *records > 30), "{:?}", shares(&world, 3));
}

/// KIP-794: uniform by bytes, whatever the sizes (PITFALLS 24).
#[test]
fn keyless_records_are_spread_evenly_by_bytes() {
    let options = WorldOptions::seeded(5).configure(|config| {
        config.batch_size = 300;
        config.partitioner_adaptive_partitioning_enable = false;
    });
    let (mut world, topic) = world_with(options, 5);
    known(&mut world, topic);
    world.cluster_mut().keep_history(false);
    for _ in 0..30_000 {
        let size = 1 + world.random().below(100) as usize;
        world.send_value(topic, vec![b'x'; size]).unwrap();
        if world.random().chance(50) {
            world.run_for(1);
        }
    }
    assert!(world.run_until_idle(1000));
    let shares = shares(&world, 5);
    let mean = shares.iter().map(|(bytes, _)| bytes).sum::<usize>() / 5;
    // Some 2500 turns; each partition's share of them varies by the root of 500.
    assert!(shares.iter().all(|(bytes, _)| bytes.abs_diff(mean) < mean / 7), "{mean}: {shares:?}");
}

/// At a low rate batches fill up nevertheless: the partition does not change before it had its share (KAFKA-14156).
#[test]
fn turns_do_not_cut_batches_short() {
    let options = WorldOptions::seeded(5).configure(|config| {
        config.batch_size = 2000;
        config.linger_ms = 50;
    });
    let (mut world, topic) = warm(options, 6);
    for _ in 0..2000 {
        world.send_value(topic, [0; 93]).unwrap();
        world.run_for(1);
    }
    assert!(world.run_until_idle(1000));
    let sent: Vec<usize> = (0..6).flat_map(|p| batches(&world, p)).map(|(_, batch)| batch.bytes).collect();
    let mean = sent.iter().sum::<usize>() / sent.len();
    assert!(mean > 1700, "{mean} of 2000 bytes in {} batches", sent.len());
}

/// Java's test: a partition without a leader gets nothing while others have one.
#[test]
fn keyless_records_avoid_partitions_without_a_leader() {
    let (mut world, topic) = world_with(WorldOptions::seeded(1).configure(|config| config.batch_size = 100), 3);
    world.cluster_mut().move_leader("t", 1, -1);
    known(&mut world, topic);
    for index in 0..300 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 300);
}

/// A broker that answers slowly has longer queues, so its partition is chosen less often.
#[test]
fn short_queues_are_preferred() {
    let share_of_slow = |adaptive: bool| {
        let options = WorldOptions::seeded(3).configure(move |config| {
            config.batch_size = 500;
            config.partitioner_adaptive_partitioning_enable = adaptive;
        });
        let (mut world, topic) = warm(options, 3);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).broker(2).always().then(Do::Delay(20)));
        for _ in 0..3000 {
            world.send_value(topic, [0; 100]).unwrap();
            if world.random().chance(300) {
                world.run_for(1);
            }
        }
        assert!(world.run_until_idle(60_000));
        let shares = shares(&world, 3);
        let slow = (0..3).find(|p| world.cluster().leader("t", *p).unwrap().0 == 2).unwrap();
        shares[slow as usize].1
    };
    assert!(share_of_slow(false) > 800, "{}", share_of_slow(false));
    assert!(share_of_slow(true) < 700, "{}", share_of_slow(true));
}

/// partitioner.availability.timeout.ms leaves out a broker that takes nothing.
#[test]
fn a_broker_that_takes_nothing_is_left_out() {
    let options = WorldOptions::seeded(3).configure(|config| {
        config.batch_size = 200;
        config.partitioner_availability_timeout_ms = 200;
        config.partitioner_adaptive_partitioning_enable = false;
        config.max_in_flight_requests_per_connection = 1;
    });
    let (mut world, topic) = warm(options, 3);
    world.network_mut().block(2);
    for _ in 0..50 {
        world.send_value(topic, [0; 100]).unwrap();
        world.run_for(10);
    }
    let before = world.unsettled();
    for _ in 0..100 {
        world.send_value(topic, [0; 100]).unwrap();
        world.run_for(10);
    }
    world.run_for(20);
    assert!(world.unsettled() <= before + 2, "{before} {}", world.unsettled());
}

/// Keyless records stay with the partitions that have slots: each other one would cost a request for its leader.
#[test]
fn keyless_records_stay_with_few_of_many_partitions() {
    let options = one_broker().limit(|limits| limits.partitions = 4).configure(|config| {
        (config.linger_ms, config.batch_size) = (0, 200);
    });
    let (mut world, topic) = world_with(options, 500);
    known(&mut world, topic);
    for index in 0..300 {
        while world.send_value(topic, format!("any {index}")).is_err() {
            world.run_for(1);
        }
        world.run_for(10);
    }
    assert!(world.run_until_idle(10_000));
    let used: std::collections::BTreeSet<i32> = world.outcomes().flatten().map(|outcome| outcome.partition()).collect();
    let asked = world.cluster().requests().iter().filter(|request| request.api_key == Api::Metadata.key()).count();
    assert!(used.len() <= 8 && asked <= 20, "{} partitions, {asked} requests for metadata", used.len());
}

/// Fewer partition slots than partitions: those that have none are bound when they are needed, idle ones make room.
#[test]
fn few_partition_slots_serve_many_partitions() {
    for idempotent in [true, false] {
        let options = one_broker().limit(|limits| limits.partitions = 3).configure(move |config| {
            config.enable_idempotence = idempotent;
            config.linger_ms = 0;
        });
        let (mut world, topic) = world_with(options, 12);
        known(&mut world, topic);
        for round in 0..5 {
            for partition in 0..12 {
                while world.send_to(topic, partition, format!("{round} {partition}")).is_err() {
                    world.run_for(1);
                }
            }
        }
        assert!(world.run_until_idle(10_000));
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (60, 0));
        for index in 0..100 {
            while world.send_value(topic, format!("any {index}")).is_err() {
                world.run_for(1);
            }
        }
        assert!(world.run_until_idle(10_000));
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (160, 0));
    }
}
