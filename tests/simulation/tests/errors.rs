//! What brokers answer, and what becomes of the records.

use klamm_simulation::*;

fn options() -> WorldOptions {
    one_broker().configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 30_000;
    })
}

/// One record whose first answers are scripted.
fn answered(options: WorldOptions, fault: Fault) -> (World, usize) {
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().faults().push(fault);
    let record = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(60_000));
    world.verify();
    (world, record)
}

const RETRIABLE: [i16; 21] = [3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 51, 56, 72, 74, 75, 78, 80, 89, 100, 103];

/// Each retriable answer leads to another attempt, after a backoff that grows from 100 ms to 1 s.
#[test]
fn retriable_errors_are_retried_with_growing_backoff() {
    for code in RETRIABLE {
        let (world, record) = answered(options(), Fault::on(Api::Produce).times(7).then(Do::Error(code)));
        assert!(world.outcome(record).unwrap().is_delivered(), "{code}");
        let times: Vec<u64> = batches(&world, 0).iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 8, "{code}");
        for (pair, expected) in times.windows(2).zip([100, 200, 400, 800, 1000, 1000, 1000]) {
            let gap = pair[1] - pair[0];
            // A millisecond for the way there and back, ±20 % of jitter, but never more than the maximum.
            let range = expected * 8 / 10..=(expected * 12 / 10).min(1000) + 3;
            assert!(range.contains(&gap), "{code}: {gap} instead of {expected}: {times:?}");
        }
        assert_eq!(world.stats().records_retried, 7);
    }
}

/// Attempts of different batches have jitter of their own.
#[test]
fn jitter_differs() {
    let (world, _) = answered(options(), Fault::on(Api::Produce).times(7).then(Do::Error(7)));
    let times: Vec<u64> = batches(&world, 0).iter().map(|(at, _)| *at).collect();
    let late: std::collections::BTreeSet<u64> = times.windows(2).skip(4).map(|pair| pair[1] - pair[0]).collect();
    assert!(late.len() > 1, "{times:?}");
}

#[test]
fn other_errors_fail_at_once() {
    for code in [17, 18, 21, 29, 32, 42, 43, 48, 76, 87, 120] {
        for idempotent in [true, false] {
            let options = options().configure(move |config| config.enable_idempotence = idempotent);
            let (world, record) = answered(options, Fault::on(Api::Produce).then(Do::Error(code)));
            let outcome = world.outcome(record).unwrap();
            assert_eq!(outcome.error(), Some(DeliveryError::Broker(ErrorCode::from(code))), "{code}");
            assert_eq!(outcome.fate(), Some(Fate::NotWritten), "{code}");
            assert_eq!(batches(&world, 0).len(), 1, "{code}");
        }
    }
}

/// Answers about sequences to a producer that has none say nothing but that the batch was refused.
#[test]
fn sequence_errors_without_idempotence_are_plain_failures() {
    for code in [45, 59] {
        let options = options().configure(|config| config.enable_idempotence = false);
        let (world, record) = answered(options, Fault::on(Api::Produce).then(Do::Error(code)));
        let outcome = world.outcome(record).unwrap();
        assert_eq!(outcome.error(), Some(DeliveryError::Broker(ErrorCode::from(code))), "{code}");
        assert_eq!(outcome.fate(), Some(Fate::NotWritten), "{code}");
        assert_eq!(batches(&world, 0).len(), 1, "{code}");
    }
}

/// A code from the future is a failure of which nothing is known, not a retry without end (PITFALLS 58).
#[test]
fn unknown_errors_fail_with_an_open_fate() {
    for code in [-1, 999, -2, i16::MAX] {
        let (world, record) = answered(options(), Fault::on(Api::Produce).then(Do::AppendThenError(code)));
        let outcome = world.outcome(record).unwrap();
        assert_eq!(outcome.error(), Some(DeliveryError::Broker(ErrorCode::from(code))));
        assert_eq!(outcome.fate(), Some(Fate::Unknown));
    }
}

/// After a failure the partition goes on, without a gap that stops it.
#[test]
fn a_failed_batch_does_not_stop_its_partition() {
    for code in [29, 87, -1, 47] {
        let (mut world, record) = answered(options(), Fault::on(Api::Produce).then(Do::Error(code)));
        assert!(!world.outcome(record).unwrap().is_delivered());
        let topic = world.topic("t");
        for index in 0..10 {
            world.send_value(topic, format!("{index}")).unwrap();
        }
        assert!(world.run_until_idle(1000), "{code}");
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (11, 1), "{code}");
        // Nobody has to be refused for the gap to be noticed.
        let refused = batches(&world, 0).iter().filter(|(_, batch)| batch.error_code == 45).count();
        assert_eq!(refused, 0, "{code}");
    }
}

/// The same, with batches in flight behind the one that fails.
#[test]
fn a_failed_batch_takes_none_of_those_behind_it() {
    for code in [29, 87, 44] {
        let (mut world, topic) = warm(options().configure(|config| config.batch_size = 0), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Error(code)));
        for index in 0..8 {
            world.send_value(topic, format!("{index}")).unwrap();
        }
        assert!(world.run_until_idle(5000), "{code}");
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (8, 1), "{code}: {:?}", world.outcomes().collect::<Vec<_>>());
        assert!(world.stats().epoch_bumps <= 1);
    }
}

/// The wire may have flipped a bit once; twice is no accident.
#[test]
fn a_corrupt_message_is_sent_once_more() {
    let (world, record) = answered(options(), Fault::on(Api::Produce).then(Do::Error(error::CORRUPT_MESSAGE)));
    assert!(world.outcome(record).unwrap().is_delivered());
    let (world, record) = answered(options(), Fault::on(Api::Produce).times(2).then(Do::Error(error::CORRUPT_MESSAGE)));
    let outcome = world.outcome(record).unwrap();
    assert_eq!((outcome.fate(), batches(&world, 0).len()), (Some(Fate::NotWritten), 2));
}

#[test]
fn retries_run_out() {
    for (action, fate) in [(Do::Error(6), Fate::NotWritten), (Do::AppendThenError(7), Fate::Unknown)] {
        let options = options().configure(|config| {
            config.retries = 3;
            config.enable_idempotence = false;
        });
        let (world, record) = answered(options, Fault::on(Api::Produce).always().then(action));
        let outcome = world.outcome(record).unwrap();
        assert!(matches!(outcome.error(), Some(DeliveryError::Broker(_))));
        assert_eq!((outcome.fate(), batches(&world, 0).len()), (Some(fate), 4));
    }
}

/// `delivery.timeout.ms` is met exactly, wherever the batch is.
#[test]
fn the_delivery_timeout_is_met_wherever_the_batch_is() {
    // Never sent: its broker is gone.
    let (mut world, topic) = warm(options(), 1);
    world.cluster_mut().kill(1);
    world.run_for(100);
    let unsent = world.send_value(topic, "unsent").unwrap();
    world.run_for(30_000);
    assert_eq!(world.outcome(unsent).unwrap().fate(), Some(Fate::NotWritten));
    assert_eq!(world.records()[unsent].settled_us - world.records()[unsent].accepted_us, 30_000_000);

    // In flight: no answer comes, and no request timeout before.
    let options = || options().configure(|config| config.request_timeout_ms = 29_000);
    let (mut world, topic) = warm(options().configure(|config| config.delivery_timeout_ms = 29_000), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::NoAnswer));
    let flying = world.send_value(topic, "in flight").unwrap();
    world.run_for(29_000);
    let outcome = world.outcome(flying).unwrap();
    assert_eq!(outcome.fate(), Some(Fate::Unknown));
    assert!(matches!(outcome.error(), Some(DeliveryError::TimedOut { .. })));

    // In backoff after refusals: the last one is told, and nothing was written.
    let (mut world, topic) = warm(options(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::Error(error::NOT_ENOUGH_REPLICAS)));
    let refused = world.send_value(topic, "refused").unwrap();
    world.run_for(30_000);
    let outcome = world.outcome(refused).unwrap();
    let last = ErrorCode::from(error::NOT_ENOUGH_REPLICAS);
    assert_eq!((outcome.error(), outcome.fate()), (Some(DeliveryError::TimedOut { last }), Some(Fate::NotWritten)));
}

/// A partition that nobody leads is named as such (Java names nothing).
#[test]
fn a_partition_without_a_leader_is_waited_for() {
    let mut world = World::new(options());
    world.cluster_mut().create_topic("headless", 1);
    world.cluster_mut().move_leader("headless", 0, -1);
    let topic = world.topic("headless");
    let record = world.send_value(topic, "v").unwrap();
    world.run_for(30_000);
    let last = ErrorCode::LEADER_NOT_AVAILABLE;
    let outcome = world.outcome(record).unwrap();
    assert_eq!((outcome.error(), outcome.fate()), (Some(DeliveryError::TimedOut { last }), Some(Fate::NotWritten)));
}

/// KIP-467: the record that is to blame is named, with the broker's words.
#[test]
fn the_broker_names_the_bad_record() {
    let (mut world, topic) = warm(options(), 1);
    let fault = Fault::on(Api::Produce)
        .then(Do::Error(error::INVALID_RECORD))
        .then(Do::RecordErrors(vec![(2, Some("two is bad".to_owned()))]))
        .then(Do::Message("some are bad".to_owned()));
    world.cluster_mut().faults().push(fault);
    for index in 0..4 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(1000));
    world.verify();
    let named = |record| matches!(world.outcome(record), Some(Outcome::Failed { named: true, .. }));
    let first = 1 + batches(&world, 0).len() - 1; // all in one batch, behind the warm record
    assert_eq!((first..first + 4).map(named).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!(world.error_texts().len(), 1);
    assert!(world.error_texts()[0].starts_with("two is bad"), "{:?}", world.error_texts());
}

/// A real refusal by the topic's settings.
#[test]
fn a_compacted_topic_wants_keys() {
    let mut world = World::new(options());
    world.cluster_mut().create_topic_with("t", TopicOptions { compacted: true, ..TopicOptions::default() });
    let topic = world.topic("t");
    let without = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    let with = world.send_keyed(topic, "k", "v").unwrap();
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!(world.outcome(without).unwrap().fate(), Some(Fate::NotWritten));
    assert!(world.outcome(with).unwrap().is_delivered());
}

/// A topic that is not there (yet), or that we may not see: bounded by the delivery timeout (PITFALLS 60).
#[test]
fn a_missing_topic_is_waited_for() {
    let mut world = World::new(options());
    let topic = world.topic("later");
    let record = world.send_value(topic, "v").unwrap();
    world.run_for(20_000);
    assert_eq!(world.producer().topic_error(topic), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    world.cluster_mut().create_topic("later", 2);
    assert!(world.run_until_idle(1500));
    assert!(world.outcome(record).unwrap().is_delivered());

    let never = world.topic("never");
    let record = world.send_value(never, "v").unwrap();
    world.run_for(30_000);
    let last = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let outcome = world.outcome(record).unwrap();
    assert_eq!((outcome.error(), outcome.fate()), (Some(DeliveryError::TimedOut { last }), Some(Fate::NotWritten)));
}

#[test]
fn a_topic_that_can_never_be_fails_what_waits_for_it() {
    let mut world = World::new(options());
    let topic = world.topic("no such/name");
    let record = world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    let code = ErrorCode::from(error::INVALID_TOPIC_EXCEPTION);
    assert_eq!(world.outcome(record).unwrap().error(), Some(DeliveryError::Broker(code)));
    assert!(world.saw(Event::Problem(Problem::Topic(topic, code))));
}

/// The brokers create it: first it is unknown, then leaderless, then there.
#[test]
fn a_topic_is_created_on_demand() {
    for versions in [VersionSet::kafka_2_1(), VersionSet::kafka_4_3()] {
        let cluster = ClusterOptions { auto_create_topics: true, versions, ..ClusterOptions::default() };
        let mut world = World::new(WorldOptions::seeded(1).cluster(cluster));
        let topic = world.topic("made");
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000));
        assert_eq!(world.cluster().record_count("made"), 1);
    }
}

/// No right to write idempotently, or to anything: nothing will ever get through.
#[test]
fn fatal_errors_end_the_producer() {
    for code in [31, 53, 90] {
        let (mut world, topic) = warm(options(), 2);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(0).then(Do::Error(code)));
        let refused = world.send_to(topic, 0, "refused").unwrap();
        let other = world.send_to(topic, 1, "other").unwrap();
        assert!(world.run_until_idle(3000), "{code}");
        world.verify();
        assert_eq!(world.outcome(refused).unwrap().error(), Some(DeliveryError::Broker(ErrorCode::from(code))));
        assert!(world.outcome(other).is_some());
        assert_eq!(world.send_value(topic, "v"), Err(SendError::Fatal(ErrorCode::from(code))));
        assert!(world.saw(Event::Problem(Problem::Fatal(ErrorCode::from(code)))));
    }
}

/// acks=all with too few in-sync replicas: refused until a broker is back.
#[test]
fn too_few_replicas_are_waited_for() {
    let cluster = ClusterOptions { brokers: 2, min_insync_replicas: 2, ..ClusterOptions::default() };
    let (mut world, topic) = warm(WorldOptions::seeded(1).cluster(cluster), 1);
    world.cluster_mut().kill(2);
    let record = world.send_value(topic, "v").unwrap();
    world.run_for(5000);
    assert_eq!(world.outcome(record), None);
    let now_ms = world.now_ms();
    world.cluster_mut().restart(now_ms, 2);
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 2);
}

/// Eight topics have a problem in the same moment, more than are remembered; that the producer is at its end is told all the same.
#[test]
fn the_end_is_told_however_many_problems_there_are() {
    let mut world = World::new(one_broker());
    for index in 0..8 {
        let name = format!("t{index}");
        world.cluster_mut().create_topic(&name, 1);
        let topic = world.topic(&name);
        let _ = world.send_value(topic, "v");
    }
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(Do::Error(35)));
    world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).then(Do::Error(53)));
    // Both answers are read before the producer is asked for events.
    world.network_mut().latency_us = 20_000..=20_000;
    assert!(world.run_until_settled(10_000));
    assert!(world.saw(Event::Problem(Problem::Fatal(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED))));
}
