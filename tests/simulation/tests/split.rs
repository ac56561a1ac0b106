//! Batches that the broker finds too large.

use klamm_simulation::*;

fn limited(max_message_bytes: usize, options: WorldOptions) -> (World, TopicId) {
    let mut world = World::new(options);
    let topic = TopicOptions { max_message_bytes: Some(max_message_bytes), ..TopicOptions::default() };
    world.cluster_mut().create_topic_with("t", topic);
    let topic = world.topic("t");
    world.send_value(topic, "warm").unwrap();
    assert!(world.run_until_idle(1000));
    world.cluster_mut().clear_requests();
    (world, topic)
}

/// The halves keep their place before a batch that is in flight behind them (PITFALLS 6).
#[test]
fn the_halves_keep_their_place() {
    for count in [2, 3, 10] {
        let options = one_broker().configure(|config| config.linger_ms = 10);
        let (mut world, topic) = warm(options, 1);
        let too_large = Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE)).then(Do::Delay(20));
        world.cluster_mut().faults().push(too_large);
        for index in 0..count {
            world.send_value(topic, format!("first {index}")).unwrap();
        }
        world.run_for(15);
        for index in 0..5 {
            world.send_value(topic, format!("second {index}")).unwrap();
        }
        assert!(world.run_until_idle(2000));
        world.verify();
        assert_eq!((world.delivered(), world.stats().batches_split), (count + 6, 1));
        assert_eq!(world.stats().epoch_bumps, 0);
        let sequences: Vec<i32> = world.cluster().log("t", 0).iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, (0..count as i32 + 6).collect::<Vec<_>>());
    }
}

/// Any of five batches in flight is too large, and again one of its halves: all that is behind it waits, with the sequences it has
/// (PITFALLS 6).
#[test]
fn a_split_amid_others_in_flight_keeps_every_sequence() {
    for (skip, again) in (0..6).flat_map(|skip| (0..4).map(move |again| (skip, again))) {
        let (mut world, topic) = warm(one_broker().configure(|config| config.linger_ms = 1), 1);
        let too_large = Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE));
        world.cluster_mut().faults().push(too_large.clone().skip(skip).then(Do::Delay(10)));
        world.cluster_mut().faults().push(too_large.skip(skip + again));
        for index in 0..40 {
            world.send_value(topic, format!("{index}")).unwrap();
            if index % 4 == 3 {
                world.run_for(1);
            }
        }
        assert!(world.run_until_idle(5000), "{skip} {again}");
        world.verify();
        assert_eq!((world.delivered(), world.stats().batches_split), (41, 2), "{skip} {again}");
        assert_eq!(world.stats().epoch_bumps, 0, "{skip} {again}");
        let sequences: Vec<i32> = world.cluster().log("t", 0).iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, (0..41).collect::<Vec<_>>(), "{skip} {again}");
    }
}

/// The limit is smaller than batch.size: every batch is split until it fits, and it ends (PITFALLS 7).
#[test]
fn splitting_ends() {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    let codecs = [(None, true), (Lz4, true), (Lz4, false), (Gzip, true), (Snappy, true), (Zstd, true)];
    for (compression, lz4_in_place) in codecs {
        for idempotent in [true, false] {
            let options = one_broker().configure(move |config| {
                config.compression = compression;
                config.lz4_in_place = lz4_in_place;
                config.enable_idempotence = idempotent;
                config.batch_size = 4000;
            });
            let (mut world, topic) = limited(300, options);
            let mut large = Vec::new();
            for index in 0..60usize {
                let mut value = format!("{index} ").into_bytes();
                let size = [10, 60, 150, 200, 400][index % 5];
                let random: Vec<u8> = (0..size).map(|_| world.random().draw() as u8).collect();
                value.extend(random);
                let record = world.send_value(topic, value).unwrap();
                if size == 400 {
                    large.push(record);
                }
            }
            assert!(world.run_until_idle(20_000), "{compression:?}");
            world.verify();
            for (record, outcome) in world.outcomes().enumerate() {
                let outcome = outcome.unwrap();
                if large.contains(&record) {
                    assert_eq!(outcome.error(), Some(DeliveryError::RecordTooLarge), "{record}");
                    assert_eq!(outcome.fate(), Some(Fate::NotWritten));
                } else {
                    assert!(outcome.is_delivered(), "{compression:?} {idempotent} {record}: {outcome:?}");
                }
            }
        }
    }
}

#[test]
fn a_single_record_that_is_too_large_fails() {
    let (mut world, topic) = limited(500, one_broker());
    let record = world.send_value(topic, [0; 1000]).unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.outcome(record).unwrap().error(), Some(DeliveryError::RecordTooLarge));
    let next = world.send_value(topic, "next").unwrap();
    assert!(world.run_until_idle(1000));
    assert!(world.outcome(next).unwrap().is_delivered());
    world.verify();
}

/// A flush waits for the halves (PITFALLS 18).
#[test]
fn a_flush_waits_for_the_halves() {
    let options = one_broker().configure(|config| {
        config.linger_ms = 600_000;
        config.delivery_timeout_ms = 1_000_000;
    });
    let (mut world, topic) = warm(options, 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Delay(300)));
    for index in 0..10 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 2000));
    assert_eq!((world.unsettled(), world.delivered()), (0, 11));
    assert!(world.now_ms() > 300);
}

/// Later batches do not run into the same limit.
#[test]
fn the_limit_is_remembered() {
    let (mut world, topic) = limited(1000, one_broker().configure(|config| config.batch_size = 8000));
    for _ in 0..20 {
        for _ in 0..40 {
            world.send_value(topic, [0; 100]).unwrap();
        }
        assert!(world.run_until_idle(5000));
    }
    world.verify();
    assert_eq!(world.delivered(), 801);
    assert!(world.stats().batches_split < 20, "{}", world.stats().batches_split);
}

/// Records without a time, and with odd times, survive a split.
#[test]
fn times_survive_a_split() {
    let (mut world, topic) = limited(400, one_broker().configure(|config| config.batch_size = 4000));
    for index in 0..40i64 {
        let time = [5, 1 << 40, 0, 1_700_000_000_000][index as usize % 4] + index;
        world.send(topic, &Record::value(format!("{index}").as_bytes()).at(time)).unwrap();
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!(world.delivered(), 41);
    assert!(world.stats().batches_split > 0);
}
