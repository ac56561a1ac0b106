//! Answers that are wrong, late, cut, or nonsense.

use klamm_simulation::*;

/// Three brokers, two topics, six partitions each, all warm; then one record to each.
fn with_fault(action: Do) -> World {
    let mut world = World::new(WorldOptions::seeded(2));
    let topics = ["a", "b"].map(|name| {
        world.cluster_mut().create_topic(name, 6);
        world.topic(name)
    });
    assert!(world.run_until(|world| topics.iter().all(|t| world.producer().partition_count(*t).is_some()), 1000));
    for round in 0..2 {
        if round == 1 {
            world.cluster_mut().faults().push(Fault::on(Api::Produce).then(action.clone()));
        }
        for partition in 0..6 {
            for topic in topics {
                world.send_to(topic, partition, format!("{round} {topic:?} {partition}")).unwrap();
            }
        }
        assert!(world.run_until_idle(5000), "{action:?}");
    }
    world.verify();
    assert_eq!(world.delivered(), 24, "{action:?}");
    world
}

#[test]
fn the_order_of_an_answer_does_not_matter() {
    for action in [Do::ReversePartitions, Do::ReverseTopics] {
        assert_eq!(with_fault(action).peer_errors(), []);
    }
}

/// What was answered counts; the rest is sent again on another connection (PITFALLS 57).
#[test]
fn an_answer_with_too_much_or_too_little_breaks_the_connection() {
    for action in [
        Do::DuplicatePartitions,
        Do::DuplicateTopic,
        Do::DropPartition,
        Do::DropTopic,
        Do::ExtraPartition(3),
        Do::ExtraPartition(-1),
        Do::ExtraPartition(77),
    ] {
        let world = with_fault(action.clone());
        assert!(!world.peer_errors().is_empty(), "{action:?}");
    }
}

#[test]
fn bytes_behind_an_answer_are_ignored() {
    assert_eq!(with_fault(Do::TrailingBytes(vec![0xff; 9])).peer_errors(), []);
}

#[test]
fn an_answer_to_another_question_breaks_the_connection() {
    let world = with_fault(Do::CorrelationId(12_345));
    assert_eq!(world.peer_errors().len(), 1);
}

/// A broker that closes after any number of bytes of anything: nothing is lost, nothing is there twice.
#[test]
fn connections_that_break_at_every_byte() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        for after in (0..400).chain((400..1600).step_by(7)) {
            let mut network = Network::default();
            network.cuts.push(Cut { connection: 1, direction, after });
            network.cuts.push(Cut { connection: 2, direction, after: after / 2 });
            let (mut world, topic) = world_with(one_broker().network(network), 2);
            for index in 0..5 {
                world.send_value(topic, format!("{index}")).unwrap();
            }
            world.run_for(20);
            for index in 0..5 {
                world.send_value(topic, format!("late {index}")).unwrap();
            }
            assert!(world.run_until_idle(10_000), "{direction:?} {after}");
            world.verify();
            assert_eq!(world.delivered(), 10, "{direction:?} {after}");
        }
    }
}

/// One bit of any answer flips. Whatever it means then, nothing panics, nothing hangs, every record has its outcome.
#[test]
fn answers_with_any_bit_flipped() {
    for at in 0..450 {
        for bit in 0..8 {
            let mut network = Network::default();
            network.flips.push(Flip { connection: 1, at, mask: 1 << bit });
            let options = one_broker().network(network).checks(Checks::NONE).configure(|config| {
                config.request_timeout_ms = 500;
                config.delivery_timeout_ms = 3000;
                config.metadata_max_age_ms = 2000;
            });
            let (mut world, topic) = world_with(options, 2);
            world.send_value(topic, "v").unwrap();
            world.run_for(10);
            let _ = world.send_value(topic, "w");
            assert!(world.run_until_settled(3011), "byte {at} bit {bit}");
        }
    }
}

/// Random bytes instead of an answer, for each kind of request.
#[test]
fn nonsense_instead_of_an_answer() {
    for api in [Api::ApiVersions, Api::Metadata, Api::InitProducerId, Api::Produce] {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let bytes: Vec<u8> = (0..1 + random.below(60)).map(|_| random.draw() as u8).collect();
            let options = one_broker().configure(|config| config.request_timeout_ms = 1000);
            let (mut world, topic) = world_with(options, 1);
            world.cluster_mut().faults().push(Fault::on(api).then(Do::Garbage(bytes)));
            world.send_value(topic, "v").unwrap();
            assert!(world.run_until_idle(5000), "{api:?} {seed}");
            assert_eq!(world.delivered(), 1);
            world.verify();
        }
    }
}

/// An answer that says it is 2 GiB long, and one of length nothing.
#[test]
fn frames_of_absurd_lengths() {
    for size in [i32::MAX, -1, 0, 3] {
        let (mut world, topic) = world_with(one_broker().configure(|config| config.request_timeout_ms = 1000), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::Garbage(size.to_be_bytes().to_vec())));
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(5000), "{size}");
        assert_eq!(world.delivered(), 1);
    }
}

/// A late answer never completes a later request: the connection went with the timeout (PITFALLS 43).
#[test]
fn a_late_answer_completes_nothing() {
    let options = one_broker().configure(|config| config.request_timeout_ms = 1000);
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(1500)));
    world.send_value(topic, "late").unwrap();
    assert!(world.run_until_idle(5000));
    assert_eq!((world.delivered(), world.stats().request_timeouts), (2, 1));
    assert_eq!((world.connections_made(), world.peer_errors()), (2, &[][..]));
    world.verify();
}

/// Some servers answer acks=0, against the protocol (PITFALLS 45).
#[test]
fn answers_that_nobody_expects_are_skipped() {
    let options = one_broker().configure(|config| {
        config.acks = Acks::None;
        config.enable_idempotence = false;
        config.metadata_max_age_ms = 500;
    });
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::AnswerAcksZero));
    for index in 0..20 {
        world.send_value(topic, format!("{index}")).unwrap();
        world.run_for(100);
    }
    assert_eq!((world.delivered(), world.connections_made()), (21, 1));
    assert_eq!(world.peer_errors(), []);
    assert!(world.stats().metadata_refreshes >= 3);
}

/// The only sign of a failure with acks=0 is a closed connection: leaders are looked up again.
#[test]
fn acks_0_learns_of_a_moved_leader() {
    let options = brokers(2).configure(|config| {
        config.acks = Acks::None;
        config.enable_idempotence = false;
    });
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().move_leader("t", 0, 2);
    world.send_value(topic, "lost").unwrap();
    world.run_for(2000);
    world.send_value(topic, "found").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(values(&world, 0), ["warm 0", "found"]);
    assert_eq!(world.delivered(), 3);
}
