//! Records before the first connection, and without a clock.

use klamm_simulation::*;

/// Nobody is reachable for a while.
fn dark(options: WorldOptions) -> World {
    let mut world = World::new(options);
    for broker in 1..=3 {
        world.network_mut().refuse(broker);
    }
    world.cluster_mut().create_topic("t", 7);
    world
}

fn light(world: &mut World) {
    for broker in 1..=3 {
        world.network_mut().admit(broker);
    }
}

#[test]
fn keyless_records_wait_for_the_first_metadata() {
    let mut world = dark(WorldOptions::seeded(1).configure(|config| config.batch_size = 200));
    let topic = world.topic("t");
    for index in 0..50 {
        world.send_value(topic, format!("{index}")).unwrap();
        world.run_for(100);
    }
    assert!(world.saw(Event::Problem(Problem::Unreachable(Disconnect::Refused))));
    assert_eq!(world.unsettled(), 50);
    light(&mut world);
    assert!(world.run_until_idle(3000));
    world.verify();
    assert_eq!(world.delivered(), 50);
}

#[test]
fn keyed_records_need_the_partition_count() {
    let mut world = dark(WorldOptions::seeded(1));
    let topic = world.topic("t");
    assert_eq!(world.send_keyed(topic, "k", "v"), Err(SendError::PartitionsUnknown));
    assert_eq!(world.send_to(topic, 0, "v"), Err(SendError::PartitionsUnknown));
    light(&mut world);
    assert!(world.run_until(|world| world.saw(Event::Topic(topic)), 3000));
    world.send_keyed(topic, "k", "v").unwrap();
    assert!(world.run_until_idle(1000));
}

#[test]
fn a_declared_count_does_as_well() {
    // Keyless records have no partition yet, so they keep no order with those that have one.
    let mut world = dark(WorldOptions::seeded(1).checks(Checks { offsets: true, fates: true, once_in_order: false }));
    let topic = world.topic("t");
    world.producer_mut().declare_partitions(topic, 7);
    for index in 0..50 {
        world.send_keyed(topic, format!("k{index}"), format!("{index}")).unwrap();
        if index % 2 == 0 {
            world.send_value(topic, format!("keyless {index}")).unwrap();
        }
        world.run_for(10);
    }
    light(&mut world);
    assert!(world.run_until_idle(3000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (75, 0));
}

/// What was hashed by a wrong count fails; what had no key is delivered.
#[test]
fn a_wrong_declared_count_fails_only_what_relied_on_it() {
    for declared in [3, 20] {
        let mut world = dark(WorldOptions::seeded(1));
        let topic = world.topic("t");
        world.producer_mut().declare_partitions(topic, declared);
        let mut keyed = Vec::new();
        for index in 0..30 {
            keyed.push(world.send_keyed(topic, format!("k{index}"), format!("{index}")).unwrap());
            world.send_value(topic, format!("keyless {index}")).unwrap();
        }
        world.run_for(100);
        light(&mut world);
        assert!(world.run_until_idle(3000), "{declared}");
        world.verify();
        assert!(world.saw(Event::Problem(Problem::DeclaredPartitions(topic))));
        for (record, outcome) in world.outcomes().enumerate() {
            let outcome = outcome.unwrap();
            assert_eq!(outcome.is_delivered(), !keyed.contains(&record), "{declared} {record}: {outcome:?}");
        }
        assert_eq!(world.outcome(keyed[0]).unwrap().error(), Some(DeliveryError::NoSuchPartition));
        assert_eq!(world.outcome(keyed[0]).unwrap().fate(), Some(Fate::NotWritten));
        world.send_keyed(topic, "k", "v").unwrap();
        assert!(world.run_until_idle(1000));
    }
}

/// Leaders come after the count in an answer, which may arrive in pieces: nothing leaves on the strength of a wrong count
/// in between, also without a producer id to wait for.
#[test]
fn a_wrong_declared_count_is_corrected_before_leaders_are_known() {
    let network = Network { read: Pieces::Fixed(1), ..Network::default() };
    let options = one_broker().network(network).configure(|config| {
        config.enable_idempotence = false;
        config.acks = Acks::Leader;
        config.linger_ms = 0;
    });
    let mut world = World::new(options);
    world.cluster_mut().create_topic("t", 4);
    let topic = world.topic("t");
    world.producer_mut().declare_partitions(topic, 3);
    for index in 0..30 {
        world.send_keyed(topic, format!("k{index}"), "v").unwrap();
    }
    assert!(world.run_until_settled(5000));
    assert_eq!((world.delivered(), world.failed()), (0, 30));
}

/// A record for a partition beyond the real count, accepted on a declared one.
#[test]
fn an_explicit_partition_beyond_the_real_count_fails() {
    let mut world = dark(WorldOptions::seeded(1));
    let topic = world.topic("t");
    world.producer_mut().declare_partitions(topic, 20);
    let beyond = world.send_to(topic, 19, "v").unwrap();
    let within = world.send_to(topic, 2, "v").unwrap();
    light(&mut world);
    assert!(world.run_until_idle(5000));
    assert_eq!(world.outcome(beyond).unwrap().error(), Some(DeliveryError::NoSuchPartition));
    assert!(world.outcome(within).unwrap().is_delivered());
}

#[test]
fn without_a_clock_records_have_no_time() {
    let (mut world, topic) = world_with(WorldOptions::seeded(1).without_clock(), 1);
    world.run_for(10_000);
    for index in 0..30 {
        assert_eq!(
            world.send_value(topic, format!("{index}")).map(|record| world.records()[record].accepted.timestamp),
            Ok(-1)
        );
    }
    world.run_for(3);
    world.send(topic, &Record::value(b"its own").at(12_345)).unwrap();
    world.send_value(topic, "last").unwrap();
    assert!(world.run_until_idle(1000));
    world.verify();
    let times: Vec<i64> = world.cluster().log("t", 0).iter().map(|record| record.timestamp).collect();
    assert_eq!(times.iter().filter(|time| **time == -1).count(), 31);
    assert_eq!(times.iter().filter(|time| **time == 12_345).count(), 1);
}

/// The clock is set before the records leave: they get the times at which they were made.
#[test]
fn a_clock_that_is_set_later_corrects_what_waits() {
    let mut world = dark(WorldOptions::seeded(1).without_clock().configure(|config| config.batch_size = 300));
    let topic = world.topic("t");
    for index in 0..40 {
        world.send_value(topic, format!("{index}")).unwrap();
        world.run_for(250);
    }
    world.set_wall_clock();
    let epoch = world.unix_ms() - world.now_ms() as i64;
    light(&mut world);
    assert!(world.run_until_idle(3000));
    assert_eq!(world.delivered(), 40);
    let mut times: Vec<i64> = (0..7).flat_map(|p| world.cluster().log("t", p)).map(|record| record.timestamp).collect();
    times.sort_unstable();
    assert_eq!(times, (0..40).map(|index| epoch + index * 250).collect::<Vec<_>>());
}

/// Steps of the wall clock change timestamps and nothing else (PITFALLS 51).
#[test]
fn steps_of_the_wall_clock_do_not_disturb_timers() {
    let (mut world, topic) = warm(one_broker().configure(|config| config.linger_ms = 100), 1);
    for step in [3_600_000, -3_600_000] {
        let start = world.now_ms();
        world.send_value(topic, "before").unwrap();
        let now = Instant::from_micros(world.now_us());
        let unix = world.unix_ms() + step;
        world.producer_mut().set_wall_clock(now, unix);
        let record = world.send_value(topic, "after").unwrap();
        assert_eq!(world.records()[record].accepted.timestamp, unix);
        assert!(world.run_until_settled(200));
        assert!((100..=102).contains(&(world.now_ms() - start)));
        assert!(world.run_until_idle(10));
    }
    world.verify();
}

#[test]
fn a_negative_time_is_refused() {
    let (mut world, topic) = world(1);
    assert_eq!(world.send(topic, &Record::value(b"v").at(-1)), Err(SendError::Timestamp));
}

/// The caller's own clock runs back, which a monotonic one should not: no timer fires early, late or twice (PITFALLS 51).
#[test]
fn a_clock_that_runs_back_disturbs_no_timer() {
    let (mut world, topic) = warm(one_broker().configure(|config| config.linger_ms = 100), 1);
    world.run_for(10_000);
    let due = Instant::from_micros(world.now_us() + 100_000);
    world.send_value(topic, "v").unwrap();
    for earlier in [9000, 1, 0] {
        world.run_for(20);
        world.producer_mut().handle_timeout(Instant::from_millis(earlier));
        world.producer_mut().set_wall_clock(Instant::from_millis(earlier), 1_700_000_000_000);
        assert_eq!(world.producer().poll_timeout().map(|deadline| deadline.at), Some(due));
    }
    world.run_for(39);
    assert_eq!(batches(&world, 0).len(), 0);
    world.run_for(3);
    assert_eq!(batches(&world, 0).len(), 1);
    assert!(world.run_until_idle(100));

    // A time span that begins at such a time begins at the latest one told.
    world.network_mut().block(1);
    world.send_value(topic, "w").unwrap();
    world.producer_mut().close(Instant::from_millis(5), std::time::Duration::from_millis(500));
    world.run_for(495);
    assert_eq!(world.unsettled(), 1);
    world.run_for(10);
    assert_eq!((world.unsettled(), world.failed()), (0, 1));
}
