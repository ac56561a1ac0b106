//! Nothing twice, nothing out of order, nothing lost in silence.

use klamm_simulation::*;

/// One record per batch, up to five in flight, a short request timeout.
fn singles() -> WorldOptions {
    one_broker().configure(|config| {
        config.batch_size = 0;
        config.linger_ms = 0;
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 20_000;
    })
}

fn send(world: &mut World, topic: TopicId, range: std::ops::Range<u32>) {
    for index in range {
        world.send_value(topic, index.to_string()).unwrap();
    }
}

/// A broker remembers five batches. While one of which nobody knows whether it was appended is sent again, no new
/// ones may push it out of that memory: else a second lost answer ends in OUT_OF_ORDER_SEQUENCE_NUMBER.
#[test]
fn new_batches_wait_for_a_retry_whose_fate_is_open() {
    let (mut world, topic) = warm(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::AppendThenError(error::REQUEST_TIMED_OUT)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(5).then(Do::NoAnswer));
    send(&mut world, topic, 0..12);
    assert!(world.run_until_idle(5000));
    assert_eq!(world.delivered(), 13, "{:?}", world.outcomes().collect::<Vec<_>>());
    world.verify();
}

/// The requests that a broker saw so far with data.
fn produced_at(world: &World, broker: i32) -> usize {
    produces(world).filter(|request| request.broker == broker).count()
}

/// One batch until the leader has accepted one, or a broker without state takes the second before the first
/// (PITFALLS 2, KAFKA-15591).
#[test]
fn the_first_batch_on_a_leader_travels_alone() {
    let (mut world, topic) =
        world_with(singles().cluster(ClusterOptions { brokers: 2, ..ClusterOptions::default() }), 1);
    world.run_for(10);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(50)));
    send(&mut world, topic, 0..8);
    world.run_for(40);
    assert_eq!(produced_at(&world, 1), 1);
    assert!(world.run_until_idle(1000));
    // From then on up to five.
    world.cluster_mut().clear_requests();
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(50)));
    send(&mut world, topic, 8..16);
    world.run_for(40);
    assert_eq!(produced_at(&world, 1), 5);
    assert!(world.run_until_idle(1000));
    // Another leader: one again.
    world.cluster_mut().move_leader("t", 0, 2);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).broker(2).then(Do::Delay(50)));
    send(&mut world, topic, 16..24);
    world.run_for(40);
    assert_eq!(produced_at(&world, 2), 1);
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 24);
}

/// And one again after each new epoch: the broker has no state for that one either (PITFALLS 2).
#[test]
fn the_first_batch_of_a_new_epoch_travels_alone() {
    let (mut world, topic) = warm(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::INVALID_RECORD)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Delay(50)));
    world.send_value(topic, "bad").unwrap();
    assert!(world.run_until_idle(1000));
    send(&mut world, topic, 0..8);
    world.run_for(40);
    assert_eq!(identities(&world, 0), [(0, 1), (1, 0)]);
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!((world.delivered(), world.failed(), world.stats().epoch_bumps), (9, 1, 1));
}

/// What that rule is for: the first batch meets a leader that does not know the partition yet.
#[test]
fn a_leader_that_learns_of_its_partition_late_loses_nothing() {
    let (mut world, topic) = world_with(singles(), 1);
    world.run_for(10);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::NOT_LEADER_OR_FOLLOWER)));
    send(&mut world, topic, 0..20);
    assert!(world.run_until_idle(2000));
    world.verify();
    assert_eq!((world.delivered(), world.stats().epoch_bumps), (20, 0));
}

/// PITFALLS 3: a batch is given up in flight, on its first attempt or a later one, and it was appended or not.
#[test]
fn a_batch_given_up_in_flight_leaves_no_duplicates_and_no_gap() {
    for appended in [true, false] {
        for attempts in [1, 2] {
            for behind in [0, 2] {
                let options = singles().configure(|config| config.delivery_timeout_ms = 1000);
                let (mut world, topic) = warm(options, 1);
                if attempts == 2 {
                    let refused = Fault::on(Api::Produce).then(Do::Error(error::NOT_ENOUGH_REPLICAS));
                    world.cluster_mut().faults().push(refused);
                }
                let silence = if appended { Do::NoAnswer } else { Do::Ignore };
                let skip = if attempts == 2 { 1 + behind } else { 0 };
                world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).then(silence));
                let case = format!("appended {appended}, attempts {attempts}, {behind} behind");
                send(&mut world, topic, 0..1 + behind);
                world.run_for(1000);
                assert_eq!(world.outcome(1).unwrap().fate(), Some(Fate::Unknown), "{case}");
                send(&mut world, topic, 10..15);
                assert!(world.run_until_idle(3000), "{case}");
                world.verify();
                let later: Vec<_> = world.outcomes().skip(2 + behind as usize).collect();
                assert!(later.iter().all(|outcome| outcome.unwrap().is_delivered()), "{case}: {later:?}");
                assert_frozen(&world);
            }
        }
    }
}

/// A topic that is missing in one answer keeps its sequences (PITFALLS 5).
#[test]
fn sequences_outlive_a_gap_in_the_metadata() {
    let (mut world, topic) = warm(singles().configure(|config| config.metadata_max_age_ms = 1000), 1);
    let gaps = [
        Do::Error(error::UNKNOWN_TOPIC_OR_PARTITION),
        Do::Error(error::LEADER_NOT_AVAILABLE),
        Do::Error(error::TOPIC_AUTHORIZATION_FAILED),
        Do::DropTopic,
        Do::DropPartition,
        Do::Leaderless,
    ];
    for gap in gaps {
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).topic("t").then(gap));
        world.run_for(1500);
        send(&mut world, topic, 0..2);
        assert!(world.run_until_idle(3000));
    }
    let sequences: Vec<i32> = world.cluster().log("t", 0).iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (0..13).collect::<Vec<_>>());
    assert_eq!(world.stats().epoch_bumps, 0);
}

/// Pid, epoch and base sequence of the batches for a partition.
fn identities(world: &World, partition: i32) -> Vec<(i16, i32)> {
    batches(world, partition).iter().map(|(_, batch)| (batch.producer_epoch, batch.base_sequence)).collect()
}

/// A gap on one partition does not touch what another has on its way (PITFALLS 9, 10).
#[test]
fn a_new_epoch_does_not_touch_uninvolved_batches() {
    for answer in [Do::NoAnswer, Do::Ignore, Do::Delay(500)] {
        let options = singles().cluster(ClusterOptions { brokers: 2, ..ClusterOptions::default() });
        let (mut world, topic) = warm(options, 2);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(1).then(answer.clone()));
        world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(0).then(Do::Error(error::INVALID_RECORD)));
        world.send_to(topic, 1, "other").unwrap();
        world.send_to(topic, 0, "bad").unwrap();
        world.run_for(100);
        assert_eq!(world.stats().epoch_bumps, 1);
        world.send_to(topic, 0, "goes on").unwrap();
        world.run_for(100);
        assert!(world.run_until_idle(5000), "{answer:?}");
        world.send_to(topic, 1, "later").unwrap();
        assert!(world.run_until_idle(1000), "{answer:?}");
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (5, 1));
        assert_eq!(world.stats().epoch_bumps, 1);
        assert_eq!(identities(&world, 0), [(0, 1), (1, 0)]);
        let other = identities(&world, 1);
        let (last, first) = other.split_last().unwrap();
        assert_eq!(*last, (1, 0), "{answer:?}");
        assert!(first.iter().all(|identity| *identity == (0, 1)), "{answer:?} {other:?}");
    }
}

/// A partition that another one's gap moved to a new epoch goes on in it once it has nothing in flight, and not before: an answer for the
/// old epoch never meets the new one's books (PITFALLS 10).
#[test]
fn a_new_epoch_does_not_mix_with_the_one_before() {
    let options = singles().cluster(ClusterOptions { brokers: 2, ..ClusterOptions::default() });
    let (mut world, topic) = warm(options, 2);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(1).then(Do::Delay(500)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(0).then(Do::Error(error::INVALID_RECORD)));
    world.send_to(topic, 1, "of the old epoch").unwrap();
    world.send_to(topic, 0, "bad").unwrap();
    world.run_for(100);
    assert_eq!(world.stats().epoch_bumps, 1);
    for index in 0..3 {
        world.send_to(topic, 1, format!("of the new one {index}")).unwrap();
    }
    world.run_for(300);
    assert_eq!(identities(&world, 1), [(0, 1)], "nothing of the new epoch yet");
    assert!(world.run_until_idle(2000));
    world.verify();
    assert_eq!(identities(&world, 1), [(0, 1), (1, 0), (1, 1), (1, 2)]);
    assert_eq!((world.delivered(), world.failed()), (6, 1));
}

/// The broker lost its state: invisible to the caller but for a problem that says so (PITFALLS 13).
#[test]
fn a_broker_that_forgot_us_gets_a_new_epoch() {
    for (code, log_start) in [(45, None), (59, Some(3))] {
        let (mut world, topic) = warm(singles(), 1);
        let mut fault = Fault::on(Api::Produce).then(Do::Error(code));
        if let Some(offset) = log_start {
            fault = fault.then(Do::LogStartOffset(offset));
        }
        world.cluster_mut().faults().push(fault);
        send(&mut world, topic, 0..3);
        assert!(world.run_until_idle(1000));
        world.verify();
        assert_eq!((world.delivered(), world.stats().epoch_bumps), (4, 1), "{code}");
        assert!(world.saw(Event::Problem(Problem::EpochBumped)));
        assert_eq!(identities(&world, 0).last(), Some(&(1, 2)), "{code}: {:?}", identities(&world, 0));
    }
}

/// The same without a script: brokers that have state for nobody take any sequence, or only 0 (Kafka 4.5) where the log never held a record.
/// Either way each record is there once, in its place (PITFALLS 13).
#[test]
fn brokers_that_forget_cost_nothing() {
    for strict_first_sequence in [false, true] {
        let cluster = ClusterOptions { brokers: 1, strict_first_sequence, ..ClusterOptions::default() };
        let (mut world, topic) = warm(singles().cluster(cluster), 1);
        for round in 0..3 {
            world.run_for(60_000);
            world.cluster_mut().forget_producers("t", 0);
            send(&mut world, topic, 10 * round..10 * round + 10);
            assert!(world.run_until_idle(2000), "{strict_first_sequence} {round}");
            world.verify();
        }
        assert_eq!((world.delivered(), world.failed()), (31, 0), "{strict_first_sequence}");
    }
}

/// The last epoch is used up: a new producer id (PITFALLS 11).
#[test]
fn epochs_run_out() {
    let (mut world, topic) = world_with(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).then(Do::ProducerEpoch(i16::MAX - 1)));
    send(&mut world, topic, 0..2);
    assert!(world.run_until_idle(1000));
    for round in 0..3 {
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::INVALID_RECORD)));
        send(&mut world, topic, 100 * round..100 * round + 4);
        assert!(world.run_until_idle(3000), "{round}");
    }
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (11, 3));
    assert_eq!(count(&world, Api::InitProducerId), 2);
    let log = world.cluster().log("t", 0);
    let epochs: std::collections::BTreeSet<_> =
        log.iter().map(|record| (record.producer_id, record.producer_epoch)).collect();
    assert_eq!(epochs.len(), 4, "{epochs:?}");
}

/// The same when the last epoch is stale: a partition that used it was forgotten, so its sequences are not known any more.
/// Without a new id its next record would be taken for one of those before, and be lost (found by the swarm, seed 1056).
#[test]
fn the_last_epoch_is_not_used_again_after_its_sequences_were_forgotten() {
    let (mut world, topic) = world_with(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).then(Do::ProducerEpoch(i16::MAX)));
    send(&mut world, topic, 0..2);
    assert!(world.run_until_idle(1000));
    assert!(world.producer_mut().forget_topic(topic));
    let topic = world.topic("t");
    world.run_for(100);
    send(&mut world, topic, 2..5);
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!((world.delivered(), count(&world, Api::InitProducerId)), (5, 2));
    assert_eq!(world.cluster().log("t", 0).len(), 5);
}

/// No answer to InitProducerId is the end, unless it says so (PITFALLS 35, 54).
#[test]
fn a_producer_id_is_asked_for_until_there_is_one() {
    let actions = [
        Do::Error(error::REQUEST_TIMED_OUT),
        Do::Error(14),
        Do::Error(15),
        Do::Error(16),
        Do::Error(51),
        Do::CloseBefore,
        Do::CloseAfter,
        Do::CloseAfterBytes(5),
        Do::Ignore,
    ];
    for action in actions {
        let (mut world, topic) = world_with(singles(), 1);
        world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).times(3).then(action.clone()));
        send(&mut world, topic, 0..3);
        assert!(world.run_until_idle(10_000), "{action:?}");
        assert_eq!(world.delivered(), 3, "{action:?}");
    }
}

/// Without the right to a producer id what is queued fails; after the ACL is mended a later record gets through.
#[test]
fn a_refused_producer_id_is_asked_for_again_by_a_later_record() {
    let (mut world, topic) = world_with(singles(), 1);
    let refused = Fault::on(Api::InitProducerId).always().then(Do::Error(error::CLUSTER_AUTHORIZATION_FAILED));
    world.cluster_mut().faults().push(refused);
    let first = world.send_value(topic, "first").unwrap();
    assert!(world.run_until_idle(3000));
    let code = ErrorCode::from(error::CLUSTER_AUTHORIZATION_FAILED);
    assert_eq!(world.outcome(first).unwrap().error(), Some(DeliveryError::Broker(code)));
    assert_eq!(world.outcome(first).unwrap().fate(), Some(Fate::NotWritten));
    world.cluster_mut().faults().clear();
    let second = world.send_value(topic, "second").unwrap();
    assert!(world.run_until_idle(3000));
    assert!(world.outcome(second).unwrap().is_delivered());
}

/// One blocked partition stops nobody else (PITFALLS 15).
#[test]
fn a_blocked_partition_stops_no_other() {
    let options = singles().configure(|config| config.delivery_timeout_ms = 1000);
    let (mut world, topic) = warm(options, 4);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).partition(1).always().then(Do::Error(19)));
    for index in 0..50 {
        for partition in 0..4 {
            world.send_to(topic, partition, format!("{partition} {index}")).unwrap();
        }
        world.run_for(5);
    }
    for partition in [0, 2, 3] {
        assert!(values(&world, partition).len() >= 50, "{partition}");
    }
    assert_eq!(values(&world, 1).len(), 1);
}

/// A partition whose sequence is in doubt waits for its answer; those that share its leader do not (PITFALLS 15). The doubt is about a batch at
/// the leader before.
#[test]
fn a_partition_in_doubt_stops_no_other() {
    let options = singles().cluster(ClusterOptions { brokers: 2, ..ClusterOptions::default() }).configure(|config| {
        config.request_timeout_ms = 3000;
        config.delivery_timeout_ms = 3000;
        config.metadata_max_age_ms = 500;
    });
    let (mut world, topic) = warm(options, 4);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).broker(1).partition(0).then(Do::Ignore));
    world.run_for(2000);
    world.send_to(topic, 0, "in doubt").unwrap();
    world.run_for(10);
    for partition in 0..4 {
        world.cluster_mut().move_leader("t", partition, 2);
    }
    world.run_for(990);
    for index in 0..50 {
        for partition in 0..4 {
            world.send_to(topic, partition, format!("{partition} {index}")).unwrap();
        }
        world.run_for(10);
    }
    assert_eq!(values(&world, 0).len(), 1, "it waits");
    for partition in 1..4 {
        assert!(values(&world, partition).len() >= 50, "{partition}");
    }
    assert!(world.run_until_idle(5000));
    world.verify();
}

/// Without idempotence order is kept only by sending one at a time (PITFALLS 1).
#[test]
fn one_at_a_time_keeps_order_without_idempotence() {
    let options = singles().configure(|config| {
        config.enable_idempotence = false;
        config.max_in_flight_requests_per_connection = 1;
    });
    let (mut world, topic) = warm(options.checks(Checks { offsets: true, fates: true, once_in_order: true }), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Error(error::NOT_LEADER_OR_FOLLOWER)));
    send(&mut world, topic, 0..10);
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!(world.delivered(), 11);
}

/// With it order is kept with five in flight: later ones are refused until the earlier one is there.
#[test]
fn five_in_flight_keep_order() {
    for skip in 0..6 {
        for code in [error::NOT_LEADER_OR_FOLLOWER, error::NOT_ENOUGH_REPLICAS, error::REQUEST_TIMED_OUT] {
            for appended in [false, true] {
                let (mut world, topic) = warm(singles(), 1);
                let action = if appended && code == 7 { Do::AppendThenError(code) } else { Do::Error(code) };
                world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).times(2).then(action));
                send(&mut world, topic, 0..12);
                assert!(world.run_until_idle(3000));
                world.verify();
                assert_eq!((world.delivered(), world.stats().epoch_bumps), (13, 0), "{skip} {code}");
                assert_frozen(&world);
            }
        }
    }
}

/// An old duplicate is a success at an unknown offset.
#[test]
fn an_old_duplicate_is_delivered() {
    let (mut world, topic) = warm(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::AppendThenError(46)));
    send(&mut world, topic, 0..3);
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 4);
    assert_eq!(world.outcome(1).unwrap().offset(), None);
    world.verify();
}

/// 3, 6, 9 and 56 with a base offset came after the append: the fate is open, and the retry finds a duplicate.
#[test]
fn an_error_with_an_offset_came_after_the_append() {
    for code in [3, 6, 9, 56] {
        let (mut world, topic) = warm(singles(), 1);
        let fault = Fault::on(Api::Produce).always().then(Do::AppendThenError(code)).then(Do::BaseOffset(1));
        world.cluster_mut().faults().push(fault);
        send(&mut world, topic, 0..1);
        world.run_for(20_000);
        assert_eq!(world.outcome(1).unwrap().fate(), Some(Fate::Unknown), "{code}");
        world.verify();
    }
}

/// An expired batch keeps its bytes while they may be on the wire (PITFALLS 27): the world compares what it was lent.
#[test]
fn lent_bytes_do_not_change_when_their_batch_expires() {
    let network = Network { write: Pieces::Fixed(100), write_pause_us: 100_000, ..Network::default() };
    let options = singles().network(network).configure(|config| {
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 1000;
    });
    let options = options.limit(|limits| {
        limits.block_size = 256;
        limits.buffer_memory = 20 * 256;
    });
    let (mut world, topic) = world_with(options, 1);
    world.run_for(2000);
    for round in 0..20 {
        for size in [1000, 400] {
            let _ = world.send_value(topic, vec![round; size]);
        }
        world.run_for(550);
    }
    assert!(world.run_until_idle(10_000));
    assert!(world.failed() > 0);
    world.verify();
}

/// `on_gap = resend` is Java's choice: nothing fails, but it can be there twice.
#[test]
fn resend_prefers_duplicates_to_failures() {
    for (on_gap, failed) in [(OnGap::Fail, true), (OnGap::Resend, false)] {
        let options = singles().configure(move |config| config.on_gap = on_gap);
        let (mut world, topic) = warm(options, 1);
        // The first attempt's fate is open; then the broker claims to have forgotten us.
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::AppendThenError(error::REQUEST_TIMED_OUT)));
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Error(45)));
        send(&mut world, topic, 0..1);
        assert!(world.run_until_idle(3000));
        assert_eq!(world.failed() > 0, failed, "{on_gap:?}");
        let copies = values(&world, 0).iter().filter(|value| *value == "0").count();
        assert_eq!(copies, if failed { 1 } else { 2 });
        if failed {
            assert_eq!(world.outcome(1).unwrap().error(), Some(DeliveryError::SequenceGap));
            assert_eq!(world.outcome(1).unwrap().fate(), Some(Fate::Unknown));
        }
    }
}

/// Brokers answer a duplicate with the batch's largest timestamp as if it were an append time.
#[test]
fn a_duplicate_keeps_its_records_own_timestamps() {
    let (mut world, topic) = warm(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::CloseAfter));
    let record = world.send(topic, &Record::value(b"once").at(1_700_000_000_000)).unwrap();
    assert!(world.run_until_idle(5000));
    assert!(
        matches!(world.outcome(record), Some(Outcome::Delivered { offset: 1, log_append_time: None, .. })),
        "{:?}",
        world.outcome(record)
    );
    assert!(world.stats().records_retried > 0, "the first answer was lost");
}

/// Fenced, or no such producer: asking again would never end (PITFALLS 56).
#[test]
fn a_final_answer_to_the_producer_id_request_ends_the_producer() {
    for code in [90, 49, 53, 42, -1, 999] {
        let (mut world, topic) = world_with(singles(), 1);
        world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).always().then(Do::Error(code)));
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        assert_eq!(world.outcome(record).unwrap().error(), Some(DeliveryError::Broker(ErrorCode::from(code))));
        assert_eq!(world.outcome(record).unwrap().fate(), Some(Fate::NotWritten));
        assert_eq!(world.send_value(topic, "v"), Err(SendError::Fatal(ErrorCode::from(code))));
        world.run_for(10_000);
        assert_eq!(count(&world, Api::InitProducerId), 1, "{code}");
    }
}

/// Batches of every kind of fate, each sent until it is there: what goes out again is what went out before (PITFALLS 4). Appending goes
/// on meanwhile, and batches have room left.
#[test]
fn retries_are_byte_identical() {
    let actions = [
        Do::Error(error::NOT_LEADER_OR_FOLLOWER),
        Do::Error(error::CORRUPT_MESSAGE),
        Do::AppendThenError(error::REQUEST_TIMED_OUT),
        Do::CloseAfter,
        Do::NoAnswer,
    ];
    for compression in [Compression::None, Compression::Lz4] {
        for action in &actions {
            let options = singles().configure(move |config| {
                config.compression = compression;
                config.batch_size = 2000;
                config.linger_ms = 3;
            });
            let (mut world, topic) = warm(options, 2);
            world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(action.clone()));
            world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(3).then(action.clone()));
            for index in 0..300 {
                world.send_to(topic, index % 2, format!("{index} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")).unwrap();
                world.run_for(1);
            }
            assert!(world.run_until_idle(10_000), "{action:?}");
            world.verify();
            assert_eq!((world.delivered(), world.stats().epoch_bumps), (302, 0), "{action:?}");
            assert!(world.stats().records_retried > 0, "{action:?}");
            assert_frozen(&world);
        }
    }
}

/// A retry that is appended in the very millisecond of its batch's largest timestamp is answered like a duplicate: its
/// append time is not told (decision 19), and the check of the logs knows that.
#[test]
fn an_append_time_that_could_be_a_duplicates_is_not_told() {
    let run = |largest: i64| {
        let mut world = World::new(one_broker().configure(|config| config.linger_ms = 20));
        let options = TopicOptions { partitions: 1, log_append_time: true, ..TopicOptions::default() };
        world.cluster_mut().create_topic_with("t", options);
        let topic = world.topic("t");
        world.run_for(100);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::NOT_LEADER_OR_FOLLOWER)));
        let earlier = world.send_value(topic, "earlier").unwrap();
        world.send(topic, &Record::value(b"largest").at(largest)).unwrap();
        assert!(world.run_until_idle(3000));
        world.verify();
        let Some(Outcome::Delivered { log_append_time, .. }) = world.outcome(earlier) else { panic!("not delivered") };
        (log_append_time, world.cluster().log("t", 0)[0].timestamp)
    };
    // Any time of as many bytes does to learn when it is appended.
    let (told, appended) = run(1_000_000_000_000);
    assert_eq!(told, Some(appended));
    assert_eq!(run(appended), (None, appended));
}
