//! What brokers tell of topics and leaders that is true no longer.

use klamm_simulation::*;

fn quick() -> WorldOptions {
    WorldOptions::seeded(1).configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 60_000;
    })
}

/// The leader takes ids, and who answers for metadata knows none: the id that was told last may be the former topic's, so that the
/// name is what counts.
#[test]
fn an_id_that_is_told_no_longer_is_not_used() {
    let (mut world, topic) = warm(quick().checks(Checks::NONE), 1);
    world.cluster_mut().move_leader("t", 0, 2);
    world.send_value(topic, "moved").unwrap();
    assert!(world.run_until_settled(5000));
    for broker in [1, 3] {
        world.cluster_mut().set_versions(broker, VersionSet::kafka_2_4());
    }
    world.cluster_mut().recreate_topic("t");
    world.cluster_mut().move_leader("t", 0, 2);
    // Who leads is not asked: it may be too busy, for all that it matters.
    let no_ids = Fault::on(Api::Metadata).broker(2).always().then(Do::CloseBefore);
    world.cluster_mut().faults().push(no_ids);
    world.reset_connections();
    let waits = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(20_000));
    assert!(world.outcome(waits).unwrap().is_delivered(), "{:?}", world.outcome(waits));
}

/// An answer that names a leader and not where it is: that is no want of broker slots, and one asks again.
#[test]
fn a_leader_that_is_not_among_the_brokers_is_asked_after() {
    let cluster = ClusterOptions { brokers: 2, ..ClusterOptions::default() };
    let mut world = World::new(quick().cluster(cluster).limit(|limits| limits.brokers = 2));
    world.cluster_mut().create_topic("t", 2);
    world.cluster_mut().move_leader("t", 0, 2);
    world.cluster_mut().move_leader("t", 1, 1);
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::OmitBroker(2)));
    let topic = world.topic("t");
    // Unknown partitions take nothing, so the first answer is to come before.
    world.run_for(100);
    let records = [0, 1].map(|partition| world.send_to(topic, partition, "v").unwrap());
    assert!(world.run_until_settled(2000));
    assert!(records.iter().all(|record| world.outcome(*record).unwrap().is_delivered()));
    assert!(!world.events().iter().any(|(_, event)| matches!(event, Event::Problem(Problem::TooManyBrokers))));
}

/// A broker that still believes in the former topic names its leader, at an epoch that the new one has not reached (KIP-951). Who is
/// named there refuses, metadata is behind that epoch for good: after some refusals it is believed all the same.
#[test]
fn a_hint_of_a_former_topics_leader_misleads_for_some_seconds_only() {
    let (mut world, topic) = warm(quick(), 1);
    world.cluster_mut().move_leader("t", 0, 1);
    let hint = Do::LeaderHint { leader_id: 2, leader_epoch: 50, endpoint: None };
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(6)).then(hint));
    let record = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(10_000));
    assert!(world.outcome(record).unwrap().is_delivered(), "{:?}", world.outcome(record));
}

/// The same with so little time that no batch is refused often: a batch that was refused to its end is as good as many refusals.
#[test]
fn such_a_hint_misleads_batches_of_little_time_only_once() {
    let options = quick().configure(|config| {
        config.request_timeout_ms = 200;
        config.delivery_timeout_ms = 300;
    });
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().move_leader("t", 0, 1);
    let hint = Do::LeaderHint { leader_id: 2, leader_epoch: 50, endpoint: None };
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(6)).then(hint));
    for (value, passes) in [("refused", false), ("asks anew", true), ("passes", true)] {
        let record = world.send_value(topic, value).unwrap();
        assert!(world.run_until_settled(1000));
        assert_eq!(world.outcome(record).unwrap().is_delivered(), passes, "{:?}", world.outcome(record));
    }
}
