//! Who leads what, when that is asked, and what if nobody answers.

use klamm_simulation::*;
use std::net::IpAddr;

fn quick() -> WorldOptions {
    WorldOptions::seeded(1).configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 60_000;
    })
}

/// When Metadata requests were seen.
fn asked(world: &World) -> Vec<u64> {
    let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::Metadata.key());
    requests.map(|request| request.now_ms).collect()
}

/// A partition without a leader, with data, for a minute: the backoff bounds the requests (PITFALLS 30).
#[test]
fn a_leaderless_partition_causes_no_storm() {
    for versions in [VersionSet::kafka_2_1(), VersionSet::kafka_4_3()] {
        let (mut world, topic) = warm(quick().cluster(ClusterOptions { versions, ..ClusterOptions::default() }), 1);
        world.cluster_mut().move_leader("t", 0, -1);
        let record = world.send_value(topic, "v").unwrap();
        world.run_for(55_000);
        // Ten in the first seconds, then one per second or a little more.
        assert!((50..85).contains(&asked(&world).len()), "{}", asked(&world).len());
        let produced = produces(&world).count();
        assert!(produced <= 3, "{produced}");
        world.cluster_mut().move_leader("t", 0, 2);
        assert!(world.run_until_idle(3000));
        assert!(world.outcome(record).unwrap().is_delivered());
    }
}

/// Many new topics are asked for as they come, each once (KAFKA-8904).
#[test]
fn new_topics_are_asked_for_alone() {
    let mut world = World::new(quick().limit(|limits| (limits.topics, limits.partitions) = (400, 400)));
    world.run_for(100);
    for index in 0..300 {
        let name = format!("topic-{index}");
        world.cluster_mut().create_topic(&name, 1);
        world.topic(&name);
        if index % 3 == 0 {
            world.run_for(1);
        }
    }
    assert!(world.run_until_idle(1000));
    world.run_for(500);
    let metadata = world.cluster().requests().iter().filter(|request| request.api_key == Api::Metadata.key());
    let bytes: usize = metadata.map(|request| request.bytes).sum();
    // 27 bytes per topic with a zero id, and some for each request.
    assert!(bytes < 300 * 40 + asked(&world).len() * 60, "{bytes} in {}", asked(&world).len());
}

#[test]
fn metadata_has_a_maximum_age() {
    let (mut world, _) = warm(quick().configure(|config| config.metadata_max_age_ms = 10_000), 1);
    world.run_for(95_000);
    assert!((9..=10).contains(&asked(&world).len()), "{:?}", asked(&world));
}

/// A leader that moved: a refusal with the new leader in it is followed at once (KIP-951), one without after metadata.
#[test]
fn a_leader_that_moved_is_found() {
    for (versions, omit, at_once) in [
        (VersionSet::kafka_4_3(), false, true),
        (VersionSet::kafka_3_9(), false, true),
        (VersionSet::kafka_4_3(), true, false),
        (VersionSet::kafka_2_1(), false, false),
    ] {
        let options = quick().cluster(ClusterOptions { versions, ..ClusterOptions::default() });
        let (mut world, topic) = warm(options, 3);
        for (partition, broker) in [(0, 3), (1, 1), (2, 2)] {
            world.cluster_mut().move_leader("t", partition, broker);
        }
        if omit {
            world.cluster_mut().faults().push(Fault::on(Api::Produce).times(3).then(Do::OmitLeaderHint));
        }
        let start = world.now_ms();
        for partition in 0..3 {
            world.send_to(topic, partition, "v").unwrap();
        }
        assert!(world.run_until_idle(2000));
        let took = world.now_ms() - start;
        assert_eq!(world.delivered(), 6);
        assert!(took < 400, "{took}");
        assert!(!at_once || took <= 6, "{took}");
        assert!((0..3).all(|partition| batches(&world, partition).len() == 2));
        assert!(!asked(&world).is_empty(), "a full refresh follows all the same");
    }
}

/// The leader dies: the first retry goes to the next one (PITFALLS 32).
#[test]
fn a_dead_leader_is_replaced() {
    let (mut world, topic) = warm(quick(), 3);
    world.cluster_mut().kill(2);
    let start = world.now_ms();
    for partition in 0..3 {
        world.send_to(topic, partition, "v").unwrap();
    }
    assert!(world.run_until_settled(2000));
    assert!(world.now_ms() - start < 400, "{}", world.now_ms() - start);
    assert_eq!(world.delivered(), 6);
    let now_ms = world.now_ms();
    world.cluster_mut().restart(now_ms, 2);
    world.cluster_mut().move_leader("t", 1, 2);
    world.send_to(topic, 1, "back").unwrap();
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!(world.delivered(), 7);
}

/// Brokers die and come back one after the other under load: nothing is lost, nothing is there twice.
#[test]
fn a_rolling_restart_loses_nothing() {
    let (mut world, topic) = warm(quick(), 6);
    let mut sent = 0;
    for broker in [1, 2, 3, 1, 2, 3] {
        world.cluster_mut().kill(broker);
        for round in 0..100 {
            if round == 50 {
                let now_ms = world.now_ms();
                world.cluster_mut().restart(now_ms, broker);
            }
            for partition in 0..6 {
                world.send_to(topic, partition, format!("{sent}")).unwrap();
                sent += 1;
            }
            world.run_for(10);
        }
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (sent + 6, 0));
}

/// An answer that lags behind is not believed; a new topic id resets the memory (PITFALLS 31).
#[test]
fn old_leader_epochs_are_ignored() {
    let stale = Fault::on(Api::Metadata).always().then(Do::Leader { leader_id: 1, leader_epoch: 2 });
    let (mut world, topic) = warm(quick().checks(Checks::NONE), 1);
    for broker in [2, 3, 2, 3, 2] {
        world.cluster_mut().move_leader("t", 0, broker);
    }
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    world.cluster_mut().clear_requests();
    world.cluster_mut().faults().push(stale.clone());
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(56)));
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert!(!asked(&world).is_empty());
    assert!(produces(&world).all(|request| request.broker == 2));

    // Recreated: epochs begin at 0 again, and that is believed.
    world.cluster_mut().faults().clear();
    world.cluster_mut().recreate_topic("t");
    world.cluster_mut().move_leader("t", 0, 3);
    world.send_value(topic, "v").unwrap();
    let delivered = world.delivered();
    assert!(world.run_until(|world| world.delivered() > delivered, 3000));
    assert_eq!(world.cluster().record_count("t"), 1);

    // Brokers before 2.4 tell epochs that nobody may rely on: the last answer counts.
    let options = quick().cluster(ClusterOptions { versions: VersionSet::kafka_2_1(), ..ClusterOptions::default() });
    let (mut world, topic) = warm(options, 1);
    for broker in [2, 3, 2, 3, 2] {
        world.cluster_mut().move_leader("t", 0, broker);
    }
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(3000));
    world.cluster_mut().move_leader("t", 0, 1);
    world.cluster_mut().faults().push(stale);
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(3000));
    assert_eq!(world.delivered(), 3);
}

/// Deleted and made again under load: ids of the old one are not used for the new one (PITFALLS 33).
#[test]
fn a_topic_that_is_made_again_is_found_by_its_new_id() {
    // Before 2.8 there are no ids, but leader epochs from 2.4 on.
    for versions in [VersionSet::kafka_2_1(), VersionSet::kafka_2_4(), VersionSet::kafka_2_8(), VersionSet::kafka_4_3()]
    {
        let options = quick().cluster(ClusterOptions { versions, ..ClusterOptions::default() }).checks(Checks::NONE);
        let (mut world, topic) = warm(options, 3);
        for (partition, broker) in [(0, 2), (1, 3), (2, 1), (0, 3), (1, 1), (2, 2)] {
            world.cluster_mut().move_leader("t", partition, broker);
        }
        for partition in 0..3 {
            world.send_to(topic, partition, "moved").unwrap();
        }
        assert!(world.run_until_settled(5000));
        world.cluster_mut().recreate_topic("t");
        for partition in 0..3 {
            world.send_to(topic, partition, "v").unwrap();
        }
        assert!(world.run_until_settled(5000));
        assert_eq!((world.delivered(), world.cluster().record_count("t")), (9, 3));
    }
}

/// Made again while its partition has nobody to send to, without ids: nothing can be refused, so nothing but the answer
/// itself can say that the remembered epoch is another topic's. Java waits for ever (KAFKA-13488 mends it with ids).
#[test]
fn a_topic_that_is_made_again_while_nothing_can_be_sent_is_found_without_ids() {
    for leader in [-1, 3] {
        let versions = VersionSet::kafka_2_4();
        let options = quick().cluster(ClusterOptions { versions, ..ClusterOptions::default() }).checks(Checks::NONE);
        let (mut world, topic) = warm(options, 1);
        for broker in [2, 1, 2, 1, 3] {
            world.cluster_mut().move_leader("t", 0, broker);
        }
        world.send_value(topic, "moved").unwrap();
        assert!(world.run_until_settled(5000));
        world.cluster_mut().move_leader("t", 0, leader);
        // If it is the leader, it is out of reach.
        world.network_mut().refuse(3);
        world.reset_connections();
        let waits = world.send_value(topic, "v").unwrap();
        world.run_for(3000);
        assert!(world.outcome(waits).is_none(), "{leader}");
        // Its leader is broker 1 now, at epoch 0.
        world.cluster_mut().recreate_topic("t");
        assert!(world.run_until_settled(5000), "{leader}");
        assert!(world.outcome(waits).unwrap().is_delivered());
        assert_eq!(world.cluster().record_count("t"), 1);
    }
}

/// Made again while its brokers are upgraded: no id was ever told of the former topic, so the first one may be another's (g.2).
#[test]
fn a_topic_that_is_made_again_in_an_upgrade_is_found_by_its_first_id() {
    let cluster = ClusterOptions { versions: VersionSet::kafka_2_4(), ..ClusterOptions::default() };
    let (mut world, topic) = warm(quick().cluster(cluster).checks(Checks::NONE), 1);
    for broker in [2, 1, 2, 3] {
        world.cluster_mut().move_leader("t", 0, broker);
    }
    world.send_value(topic, "moved").unwrap();
    assert!(world.run_until_settled(5000));
    world.cluster_mut().delete_topic("t");
    for broker in 1..=3 {
        world.cluster_mut().set_versions(broker, VersionSet::kafka_4_3());
    }
    world.reset_connections();
    let waits = world.send_value(topic, "v").unwrap();
    world.run_for(1000);
    world.cluster_mut().create_topic("t", 1);
    assert!(world.run_until_settled(5000));
    assert!(world.outcome(waits).unwrap().is_delivered());
}

/// The same where one broker tells ids and the other, which answers from now on, does not.
#[test]
fn a_topic_that_is_made_again_is_found_by_a_broker_without_ids() {
    let (mut world, topic) = warm(quick().checks(Checks::NONE), 1);
    for broker in [2, 1, 2, 3] {
        world.cluster_mut().move_leader("t", 0, broker);
    }
    world.send_value(topic, "moved").unwrap();
    assert!(world.run_until_settled(5000));
    for broker in 1..=3 {
        world.cluster_mut().set_versions(broker, VersionSet::kafka_2_4());
    }
    world.reset_connections();
    world.cluster_mut().recreate_topic("t");
    let waits = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(5000));
    assert!(world.outcome(waits).unwrap().is_delivered());
}

/// Where there are ids, a lower epoch under the same one is an answer that lags behind, leader or not.
#[test]
fn a_lower_epoch_of_the_same_topic_is_not_believed_for_want_of_a_leader() {
    let (mut world, topic) = warm(quick(), 1);
    for broker in [2, 3, 2, -1] {
        world.cluster_mut().move_leader("t", 0, broker);
    }
    let waits = world.send_value(topic, "v").unwrap();
    world.run_for(1000);
    world.cluster_mut().clear_requests();
    let stale = Fault::on(Api::Metadata).always().then(Do::Leader { leader_id: 1, leader_epoch: 2 });
    world.cluster_mut().faults().push(stale);
    world.run_for(5000);
    assert!(world.outcome(waits).is_none());
    assert_eq!(produces(&world).count(), 0);
    world.cluster_mut().faults().clear();
    world.cluster_mut().move_leader("t", 0, 2);
    assert!(world.run_until_idle(3000));
    world.verify();
}

/// The new id comes while a batch with the former one waits for its answer. A new log takes any first sequence, so the next batch
/// must not be that first: the one before it, refused, could not follow any more (k.7).
#[test]
fn what_follows_a_batch_to_the_former_topic_does_not_overtake_it() {
    let options = quick().checks(Checks::NONE).configure(|config| config.metadata_max_age_ms = 1000);
    let (mut world, topic) = warm(options, 3);
    world.cluster_mut().recreate_topic("t");
    world.run_for(900);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(500)));
    let first = world.send_to(topic, 0, "first").unwrap();
    world.run_for(200);
    let second = world.send_to(topic, 0, "second").unwrap();
    assert!(world.run_until_settled(5000));
    assert!(world.outcome(first).unwrap().is_delivered(), "{:?}", world.outcome(first));
    assert!(world.outcome(second).unwrap().is_delivered());
    assert_eq!(world.cluster().record_count("t"), 2);
}

/// The new id comes while a request with the former one is half written: what was lent does not change. (The world
/// compares.)
#[test]
fn a_new_topic_id_does_not_change_a_request_on_its_way() {
    for offset in 0..40 {
        let options = quick().checks(Checks::NONE).configure(|config| config.metadata_max_age_ms = 1000);
        let (mut world, topic) = warm(options, 3);
        world.cluster_mut().recreate_topic("t");
        let network = world.network_mut();
        (network.write, network.write_pause_us) = (Pieces::Fixed(3), 1000);
        world.run_for(970 + 2 * offset);
        for partition in 0..3 {
            world.send_to(topic, partition, "v").unwrap();
        }
        assert!(world.run_until_settled(5000));
        assert_eq!(world.delivered(), 6);
    }
}

/// A partition or its leader missing for a moment fails nothing (PITFALLS 36).
#[test]
fn gaps_in_metadata_fail_nothing() {
    let gaps = [
        Do::Leaderless,
        Do::Error(3),
        Do::Error(5),
        Do::NoBrokers,
        Do::OmitBroker(2),
        Do::DropPartition,
        Do::DropTopic,
        Do::Error(29),
    ];
    // What waits in the batches is to survive as well as what is on its way.
    for (gap, linger_ms) in gaps.iter().flat_map(|gap| [(gap, 0), (gap, 400)]) {
        let options = quick().configure(move |config| {
            config.metadata_max_age_ms = 500;
            config.linger_ms = linger_ms;
        });
        let (mut world, topic) = warm(options, 3);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).times(4).then(gap.clone()));
        for index in 0..300 {
            world.send_to(topic, index % 3, format!("{index}")).unwrap();
            world.run_for(10);
        }
        assert!(world.run_until_idle(5000), "{gap:?}");
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (303, 0), "{gap:?}");
    }
}

/// A broker that swallows Metadata requests: the next one is asked (PITFALLS 35).
#[test]
fn a_silent_broker_is_not_asked_for_ever() {
    let (mut world, topic) = world_with(quick(), 3);
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).broker(1).always().then(Do::Ignore));
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(5000));
    assert_eq!(world.delivered(), 1);
}

/// Names of the old brokers, and a name that stays.
fn moving(strategy: MetadataRecoveryStrategy) -> (World, TopicId) {
    let boot: IpAddr = "10.1.0.1".parse().unwrap();
    let mut network = Network::default();
    network.name("boot.sim", &[boot], "broker.sim");
    let options = quick().network(network).bootstrap("boot.sim:9092");
    warm(options.configure(move |config| config.metadata_recovery_strategy = strategy), 3)
}

/// The whole cluster moves to other hosts; only the bootstrap name knows where.
fn move_cluster(world: &mut World) {
    let fresh: IpAddr = "10.2.0.1".parse().unwrap();
    for broker in 1..=3 {
        world.cluster_mut().set_address(broker, "fresh.sim", 9091 + broker as u16);
    }
    world.network_mut().name("fresh.sim", &[fresh], "fresh.sim");
    world.network_mut().name("boot.sim", &[fresh], "fresh.sim");
    world.reset_connections();
}

/// Every known broker is gone: back to the bootstrap servers (KIP-899).
#[test]
fn a_cluster_that_moved_is_found_again() {
    let (mut world, topic) = moving(MetadataRecoveryStrategy::Rebootstrap);
    move_cluster(&mut world);
    for partition in 0..3 {
        world.send_to(topic, partition, "v").unwrap();
    }
    assert!(world.run_until_idle(3000));
    world.verify();
    assert_eq!(world.delivered(), 6);
    assert!(world.stats().rebootstraps >= 1);
}

#[test]
fn without_the_recovery_strategy_it_is_not() {
    let (mut world, topic) = moving(MetadataRecoveryStrategy::None);
    move_cluster(&mut world);
    let record = world.send_to(topic, 0, "v").unwrap();
    world.run_for(61_000);
    assert_eq!(world.outcome(record).unwrap().fate(), Some(Fate::NotWritten));
    assert_eq!(world.stats().rebootstraps, 0);
}

/// No metadata for a long time although brokers can be reached (KIP-1102).
#[test]
fn metadata_that_never_comes_leads_back_to_the_bootstrap_servers() {
    for action in [Do::NoBrokers, Do::CloseBefore] {
        let options = quick().configure(|config| {
            config.metadata_recovery_rebootstrap_trigger_ms = 5000;
            config.metadata_max_age_ms = 1000;
        });
        let (mut world, topic) = warm(options, 3);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(action.clone()));
        world.run_for(4500);
        let before = world.stats().rebootstraps;
        world.run_for(15_000);
        assert!((1..=5).contains(&(world.stats().rebootstraps - before)), "{action:?} {}", world.stats().rebootstraps);
        world.cluster_mut().faults().clear();
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(5000), "{action:?}");
        assert_eq!(world.delivered(), 4);
    }
}

/// A broker asks for it (KIP-1102, KIP-1242). What is in flight is sent again (PITFALLS 34).
#[test]
fn a_broker_may_ask_for_a_rebootstrap() {
    for by_metadata in [true, false] {
        let (mut world, topic) = warm(quick().configure(|config| config.metadata_max_age_ms = 1000), 3);
        if by_metadata {
            world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::TopLevelError(129)));
        } else {
            world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).then(Do::Error(129)));
            world.reset_connections();
        }
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(9).times(3).then(Do::Delay(300)));
        for index in 0..400 {
            world.send_to(topic, index % 3, format!("{index}")).unwrap();
            world.run_for(5);
        }
        assert!(world.run_until_idle(10_000));
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (403, 0));
        // Where every connection was lost at once, nobody was left to ask: one more.
        assert!(world.stats().rebootstraps <= 1 + u32::from(!by_metadata));
    }
}

/// What is in flight when every connection closes for a rebootstrap is sent again at once, not after a timeout (PITFALLS 34).
#[test]
fn what_is_in_flight_survives_a_rebootstrap() {
    let options = quick().configure(|config| {
        config.request_timeout_ms = 20_000;
        config.metadata_max_age_ms = 1000;
    });
    let (mut world, topic) = warm(options, 3);
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::TopLevelError(129)));
    for broker in [2, 3] {
        world.cluster_mut().faults().push(Fault::on(Api::Produce).broker(broker).then(Do::NoAnswer));
    }
    world.run_for(900);
    for partition in 0..3 {
        world.send_to(topic, partition, "v").unwrap();
    }
    world.run_for(50);
    assert_eq!((world.unsettled(), world.stats().rebootstraps), (2, 0));
    assert!(world.run_until_idle(2000));
    world.verify();
    assert_eq!((world.stats().rebootstraps, world.stats().request_timeouts), (1, 0));
    assert_eq!((world.delivered(), world.failed()), (6, 0));
}

/// Fewer broker slots than brokers: what has a place works, what has none waits, and a problem says so.
#[test]
fn few_broker_slots_are_a_problem_for_some_partitions_only() {
    let options = quick().limit(|limits| limits.brokers = 2).configure(|config| {
        config.delivery_timeout_ms = 5000;
        config.batch_size = 0;
    });
    let (mut world, topic) = world_with(options, 3);
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
    for index in 0..50 {
        world.send_value(topic, format!("anywhere {index}")).unwrap();
        world.run_for(10);
    }
    assert!(world.run_until_settled(1000));
    assert_eq!(world.delivered(), 50);
    assert!(world.saw(Event::Problem(Problem::TooManyBrokers)));
    let missing: Vec<i32> = (0..3).filter(|p| world.cluster().offsets("t", *p as u32).unwrap().1 == 0).collect();
    assert_eq!(missing.len(), 1);
    let waits = world.send_to(topic, missing[0], "waits").unwrap();
    assert!(world.run_until_settled(5001));
    assert_eq!(world.outcome(waits).unwrap().fate(), Some(Fate::NotWritten));
    // Its leader moves to a broker that has a slot.
    let other = world.cluster().leader("t", (missing[0] as u32 + 1) % 3).unwrap().0;
    world.cluster_mut().move_leader("t", missing[0] as u32, other);
    let served = world.send_to(topic, missing[0], "served").unwrap();
    assert!(world.run_until_settled(5001));
    assert!(world.outcome(served).unwrap().is_delivered());
}

/// Said once until it is cured, not with each answer.
#[test]
fn a_problem_is_said_once() {
    let options = quick().limit(|limits| limits.brokers = 2).configure(|config| config.metadata_max_age_ms = 500);
    let (mut world, _) = world_with(options, 3);
    world.run_for(10_000);
    let said = world.events().iter().filter(|(_, event)| *event == Event::Problem(Problem::TooManyBrokers)).count();
    assert_eq!(said, 1);
}

/// More topics than there is room for problems at a time: none is forgotten.
#[test]
fn each_topic_that_cannot_be_is_told() {
    let mut world = World::new(quick().configure(|config| config.metadata_max_age_ms = 1000));
    let topics: Vec<TopicId> = (0..10).map(|index| world.topic(&format!("no such/{index}"))).collect();
    world.run_for(5000);
    for topic in topics {
        let problem = Event::Problem(Problem::Topic(topic, ErrorCode::from(error::INVALID_TOPIC_EXCEPTION)));
        assert_eq!(world.events().iter().filter(|(_, event)| *event == problem).count(), 1, "{topic}");
    }
}

/// A port that is none: the broker is not looked for at another one. Once its address is mended it is used.
#[test]
fn a_broker_at_an_impossible_port_is_not_contacted() {
    for port in [65_536 + 9093, 65_536, -1, 0, i32::MAX] {
        let options = quick().bootstrap("broker.sim:9092").configure(|config| config.metadata_max_age_ms = 1000);
        let mut world = World::new(options);
        world.cluster_mut().create_topic("t", 3);
        let topic = world.topic("t");
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(Do::BrokerPort { node_id: 2, port }));
        assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
        let waits = world.send_to(topic, 1, "waits").unwrap();
        let served = world.send_to(topic, 2, "served").unwrap();
        world.run_for(5000);
        assert!(world.outcome(served).unwrap().is_delivered());
        assert!(world.outcome(waits).is_none());
        // The bootstrap server, which is broker 1, and broker 3: nobody else was tried.
        assert_eq!(world.connections_made(), 2, "{port}");
        let problem = Event::Problem(Problem::BrokerAddress);
        assert_eq!(world.events().iter().filter(|(_, event)| *event == problem).count(), 1);
        world.cluster_mut().faults().clear();
        assert!(world.run_until_idle(3000));
        world.verify();
        assert!(world.outcome(waits).unwrap().is_delivered());
    }
}

/// A broker that was well and is then told at an impossible port is let go of.
#[test]
fn a_broker_that_moves_to_an_impossible_port_is_left() {
    let (mut world, topic) = warm(quick().configure(|config| config.metadata_max_age_ms = 1000), 3);
    let connections = world.connections_made();
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(Do::BrokerPort { node_id: 2, port: 0 }));
    world.run_for(2000);
    let waits = world.send_to(topic, 1, "waits").unwrap();
    world.run_for(3000);
    assert!(world.outcome(waits).is_none());
    assert_eq!(world.connections_made(), connections);
    world.cluster_mut().faults().clear();
    assert!(world.run_until_idle(3000));
    world.verify();
    assert!(world.outcome(waits).unwrap().is_delivered());
}

/// Partitions are numbered from 0 without gaps, so the largest index tells how many there are, also where an answer
/// repeats some or leaves one out.
#[test]
fn the_partition_count_follows_from_the_indexes() {
    let odd = [
        (Fault::on(Api::Metadata).then(Do::DuplicatePartitions), 3),
        (Fault::on(Api::Metadata).partition(1).then(Do::DropPartition), 3),
        (Fault::on(Api::Metadata).partition(2).then(Do::DropPartition), 2),
        (Fault::on(Api::Metadata).then(Do::DuplicateTopic), 3),
        (Fault::on(Api::Metadata).then(Do::ReversePartitions), 3),
    ];
    for (fault, count) in odd {
        // In the first answer and in a later one.
        let mut world = World::new(quick());
        world.cluster_mut().create_topic("t", 3);
        let topic = world.topic("t");
        world.cluster_mut().faults().push(fault.clone().always());
        world.run_for(1000);
        assert_eq!(world.producer().partition_count(topic), Some(count), "{fault:?}");

        let (mut world, topic) = warm(quick().configure(|config| config.metadata_max_age_ms = 1000), 3);
        world.cluster_mut().faults().push(fault.clone().always());
        let before = world.events().len();
        world.run_for(3500);
        assert_eq!(world.producer().partition_count(topic), Some(count), "{fault:?}");
        // No count in between was told.
        let told = world.events()[before..].iter().filter(|(_, event)| *event == Event::Topic(topic)).count();
        assert_eq!(told, usize::from(count != 3), "{fault:?}");
        world.cluster_mut().faults().clear();
        world.cluster_mut().add_partitions("t", 2);
        world.run_for(2000);
        assert_eq!(world.producer().partition_count(topic), Some(5), "{fault:?}");
    }
}

/// The first answer breaks off at any byte: what it named in part is nobody who could be connected, so the bootstrap servers are asked again.
#[test]
fn a_first_answer_that_breaks_off_is_asked_for_again() {
    for strategy in [MetadataRecoveryStrategy::Rebootstrap, MetadataRecoveryStrategy::None] {
        for bytes in 0..150 {
            let options = one_broker().configure(move |config| config.metadata_recovery_strategy = strategy);
            let mut world = World::new(options);
            world.cluster_mut().create_topic("t", 1);
            let topic = world.topic("t");
            world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::CloseAfterBytes(bytes)));
            world.send_value(topic, "v").unwrap();
            assert!(world.run_until_settled(5000), "{bytes}");
            world.assert_delivered();
        }
    }
}

/// A leader was paused and deposed, and does not know it yet; nobody else can be reached. After a rebootstrap it is asked, and names itself.
/// It lacks what was written since, so it would call what follows a gap (45). Leader epochs outlive a rebootstrap, so it is not believed.
#[test]
fn a_deposed_leader_is_not_believed_after_a_rebootstrap() {
    let replication = Replication { session_ms: 100, ..Replication::default() };
    let cluster = ClusterOptions { replication, ..ClusterOptions::default() };
    let options = quick().cluster(cluster).configure(|config| {
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 120_000;
    });
    let (mut world, topic) = warm(options, 1);
    let (deposed, _) = world.cluster().leader("t", 0).unwrap();
    world.cluster_mut().pause(deposed);
    for record in 0..5 {
        world.send_value(topic, format!("new leader {record}")).unwrap();
        world.run_for(1000);
    }
    assert!(world.run_until_settled(20_000));
    let (leader, _) = world.cluster().leader("t", 0).unwrap();
    assert_ne!(leader, deposed);

    // What is written now is in doubt.
    world.network_mut().block_from(leader);
    world.send_value(topic, "in doubt").unwrap();
    world.run_for(500);
    let others: Vec<i32> = world.cluster().brokers().filter(|broker| *broker != deposed).collect();
    others.iter().for_each(|broker| world.network_mut().refuse(*broker));
    world.network_mut().unblock(leader);
    world.reset_connections();
    world.cluster_mut().cut(klamm_sim::CONTROLLER, deposed);
    world.cluster_mut().cut(deposed, klamm_sim::CONTROLLER);
    let now_ms = world.now_ms();
    world.cluster_mut().resume(now_ms, deposed);
    let before = world.stats().rebootstraps;
    world.run_for(20_000);
    assert!(world.stats().rebootstraps > before, "nobody known can be reached");
    assert_eq!(world.unsettled(), 1, "{:?}", world.outcomes().last());
    others.iter().for_each(|broker| world.network_mut().admit(*broker));
    let now_ms = world.now_ms();
    world.cluster_mut().mend_all(now_ms);
    assert!(world.run_until_settled(20_000));
    world.assert_delivered();
    world.verify();
}
