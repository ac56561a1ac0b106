//! When batches leave: linger, size, flush, close, a full buffer.

use klamm_simulation::*;

fn linger(ms: u32) -> WorldOptions {
    one_broker().configure(move |config| {
        config.linger_ms = ms;
        config.delivery_timeout_ms = 3_600_000;
    })
}

const TEN_MINUTES: u32 = 600_000;

#[test]
fn a_batch_waits_for_its_linger_and_no_longer() {
    let (mut world, topic) = warm(linger(50), 1);
    let start = world.now_ms();
    world.send_value(topic, "a").unwrap();
    world.run_for(30);
    world.send_value(topic, "b").unwrap();
    assert!(world.run_until_idle(1000));
    let sent = batches(&world, 0);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.records, 2);
    // The first record's time counts; half a millisecond of it is the network's.
    assert!((start + 50..=start + 51).contains(&sent[0].0), "{start} {}", sent[0].0);
}

#[test]
fn a_full_batch_leaves_at_once() {
    let (mut world, topic) = warm(linger(TEN_MINUTES).configure(|config| config.batch_size = 1000), 1);
    for _ in 0..20 {
        world.send_value(topic, [7; 100]).unwrap();
    }
    world.run_for(100);
    let sent = batches(&world, 0);
    assert_eq!(sent.iter().map(|(_, batch)| batch.records).collect::<Vec<_>>(), [8, 8]);
    assert_eq!(world.unsettled(), 4);
    assert!(sent.iter().all(|(_, batch)| batch.bytes <= 1000 && batch.bytes > 900));
}

#[test]
fn without_linger_a_record_leaves_at_once_and_a_burst_together() {
    let (mut world, topic) = warm(linger(0), 1);
    let start = world.now_ms();
    for index in 0..10 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(100));
    let sent = batches(&world, 0);
    assert!(sent.iter().all(|(at, _)| *at <= start + 1));
    assert_eq!(sent.iter().map(|(_, batch)| batch.records).sum::<i32>(), 10);
    assert!(sent.len() <= 2, "{}", sent.len());
}

/// The caller of `send` is told to wake the driver even if nothing can be sent: the delivery timeout has begun. (The
/// world checks it.) Here the leader cannot be connected, for its name is too long.
#[test]
fn the_first_batch_brings_a_deadline() {
    let options = brokers(2).bootstrap("broker.sim:9092").limit(|limits| limits.host_bytes = 16);
    let (mut world, topic) = world_with(options.configure(|config| config.linger_ms = 0), 2);
    world.cluster_mut().set_address(2, "a-name-that-is-too-long.sim", 9093);
    world.run_for(1000);
    assert!(world.saw(Event::Problem(Problem::HostTooLong)));
    let record = world.send_to(topic, 1, "v").unwrap();
    assert!(world.run_until_settled(120_001));
    assert_eq!(world.outcome(record).unwrap().fate(), Some(Fate::NotWritten));
}

/// PITFALLS 23.
#[test]
fn a_batch_size_of_0_sends_each_record_by_itself() {
    let (mut world, topic) = warm(linger(1000).configure(|config| config.batch_size = 0), 1);
    for index in 0..10 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    assert!(world.run_until_idle(100));
    assert!(batches(&world, 0).iter().all(|(_, batch)| batch.records == 1));
    assert_eq!(values(&world, 0).len(), 11);
}

#[test]
fn flush_ends_every_linger_and_says_when_all_is_settled() {
    let (mut world, topic) = warm(linger(TEN_MINUTES), 3);
    for partition in 0..3 {
        world.send_to(topic, partition, "v").unwrap();
    }
    world.run_for(1000);
    assert_eq!(world.unsettled(), 3);
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 100));
    assert_eq!(world.unsettled(), 0);
    // The flush is over: what comes later lingers again (PITFALLS 19).
    world.send_value(topic, "later").unwrap();
    world.run_for(1000);
    assert_eq!(world.unsettled(), 1);
}

#[test]
fn a_flush_of_nothing_is_done_at_once() {
    let (mut world, _) = warm(linger(5), 1);
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 1));
}

/// The second flush covers what the first did not.
#[test]
fn flushes_add_up() {
    let (mut world, topic) = warm(linger(TEN_MINUTES), 1);
    world.send_value(topic, "a").unwrap();
    world.flush();
    world.send_value(topic, "b").unwrap();
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 100));
    world.run_for(100);
    assert_eq!(world.unsettled(), 0);
}

/// A flush that meets failures is over all the same (PITFALLS 19).
#[test]
fn a_flush_ends_with_the_failure_of_its_records() {
    let (mut world, topic) = warm(linger(TEN_MINUTES), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::TOPIC_AUTHORIZATION_FAILED)));
    world.send_value(topic, "v").unwrap();
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 100));
    assert_eq!(world.failed(), 1);
}

#[test]
fn close_drains_and_refuses() {
    let (mut world, topic) = warm(linger(TEN_MINUTES), 1);
    world.send_value(topic, "v").unwrap();
    world.close(5000);
    assert_eq!(world.send_value(topic, "no"), Err(SendError::Closed));
    assert_eq!(world.try_topic("other"), Err(SendError::Closed));
    assert!(world.run_until(|world| world.producer().is_closed(), 100));
    assert_eq!((world.delivered(), world.connections_open()), (2, 0));
    assert_eq!(world.events().last().map(|(_, event)| *event), Some(Event::Closed));
    assert_eq!(world.producer().poll_timeout(), None);
    world.close(5000);
    world.run_for(10_000);
    assert_eq!(world.events().iter().filter(|(_, event)| *event == Event::Closed).count(), 1);
}

#[test]
fn close_gives_up_at_its_deadline() {
    let (mut world, topic) = warm(linger(0), 1);
    world.network_mut().block(1);
    world.send_value(topic, "in flight").unwrap();
    world.run_for(10);
    world.send_value(topic, "behind it").unwrap();
    let start = world.now_ms();
    world.close(2000);
    assert!(world.run_until(|world| world.producer().is_closed(), 5000));
    assert_eq!(world.now_ms(), start + 2000);
    assert_eq!(world.outcome(1).unwrap().error(), Some(DeliveryError::Closed));
    assert_eq!(world.outcome(1).unwrap().fate(), Some(Fate::Unknown));
    world.network_mut().unblock(1);
    assert!(world.run_until_idle(10));
}

#[test]
fn a_forced_close_fails_what_there_is() {
    let (mut world, topic) = warm(linger(TEN_MINUTES), 1);
    world.send_value(topic, "v").unwrap();
    world.fail_all();
    assert!(world.run_until(|world| world.producer().is_closed(), 1));
    assert_eq!(world.outcome(1).unwrap().fate(), Some(Fate::NotWritten));
    assert_eq!(world.outcome(1).unwrap().error(), Some(DeliveryError::Closed));
}

#[test]
fn a_producer_that_was_never_connected_closes() {
    let mut world = World::new(WorldOptions::seeded(1));
    world.network_mut().names.clear();
    world.run_for(100);
    world.close(1000);
    assert!(world.run_until(|world| world.producer().is_closed(), 1));
}

fn small(blocks: usize) -> impl FnOnce(&mut Limits) {
    move |limits| {
        limits.block_size = 256;
        limits.buffer_memory = blocks * 256;
    }
}

/// Two blocks to use, a linger of ten minutes: a refused record hurries what lingers (PITFALLS 21).
#[test]
fn a_full_buffer_ends_every_linger() {
    let (mut world, topic) = warm(linger(TEN_MINUTES).limit(small(7)), 1);
    let mut accepted = 0;
    while world.send_value(topic, [1; 60]).is_ok() {
        accepted += 1;
    }
    assert!(accepted > 5);
    assert!(!world.saw(Event::Writable));
    assert!(world.run_until(|world| world.saw(Event::Writable), 100));
    world.send_value(topic, [1; 60]).unwrap();
    assert_eq!(world.delivered(), 1 + accepted);
}

/// Whoever fills the buffer again and again gets everything through, in order (PITFALLS 62).
#[test]
fn a_small_buffer_moves_many_records() {
    let (mut world, topic) = world_with(linger(5).limit(small(10)), 2);
    let mut refused = 0;
    for index in 0..2000u32 {
        while world.send_value(topic, format!("{index:0>50}")).is_err() {
            refused += 1;
            let before = world.events().iter().filter(|(_, event)| *event == Event::Writable).count();
            let told = |world: &mut World| {
                world.events().iter().filter(|(_, event)| *event == Event::Writable).count() > before
            };
            assert!(world.run_until(told, 1000), "no Writable after Full");
        }
    }
    assert!(world.run_until_idle(1000));
    world.verify();
    assert!(refused > 50);
    assert_eq!(world.delivered(), 2000);
}

/// Full during an outage, with callers that try again whenever they are told of room: once brokers are back it drains, in the order of the
/// records, and takes new ones (PITFALLS 62).
#[test]
fn a_full_buffer_recovers_from_an_outage() {
    let (mut world, topic) = warm(linger(5).limit(small(10)), 1);
    let mut sent = 0;
    for phase in ["before", "outage", "after"] {
        match phase {
            "outage" => world.network_mut().block(1),
            "after" => world.network_mut().unblock(1),
            _ => {}
        }
        let mut refused = 0;
        for _ in 0..500 {
            while world.send_value(topic, format!("{sent:0>50}")).is_ok() {
                sent += 1;
            }
            refused += 1;
            world.run_for(5);
        }
        assert!(refused > 0, "{phase}");
        let told = world.events().iter().filter(|(_, event)| *event == Event::Writable).count();
        assert_eq!(told > 0, phase != "outage", "{phase}: {told}");
        world.clear_events();
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (sent + 1, 0));
    let expected: Vec<String> = (0..sent).map(|index| format!("{index:0>50}")).collect();
    assert!(values(&world, 0)[1..] == expected, "in order");
}

#[test]
fn too_large_is_not_full() {
    let options = linger(5).limit(small(10)).configure(|config| config.max_request_size = 1000);
    let (mut world, topic) = warm(options, 1);
    let Err(SendError::TooLarge { max, .. }) = world.send_value(topic, [0; 1000]) else { panic!("not too large") };
    assert_eq!(max, 1000);
    // 61 bytes of header, 21 of the record's own at most, and what stands around the value.
    world.send_value(topic, [0; 900]).unwrap();
    assert_eq!(world.send_value(topic, [0; 900]), Err(SendError::Full));
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 2);

    // The memory is smaller than max.request.size: it is the limit.
    let (mut world, topic) = warm(linger(5).limit(small(10)), 1);
    let Err(SendError::TooLarge { max, .. }) = world.send_value(topic, [0; 3000]) else { panic!("not too large") };
    assert!(max < 2560);
    world.send_value(topic, vec![0; max as usize - 61 - 21 - 5]).unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 2);
}

/// A record larger than batch.size has a batch of its own.
#[test]
fn a_record_may_be_larger_than_a_batch() {
    let (mut world, topic) = warm(linger(5).configure(|config| config.batch_size = 100), 1);
    for size in [10, 5000, 10, 200_000, 10] {
        world.send_value(topic, vec![size as u8; size]).unwrap();
    }
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!(world.delivered(), 6);
}

/// Each request stays below max.request.size, and all partitions get their turn (PITFALLS 16).
#[test]
fn partitions_take_turns_where_only_one_batch_fits() {
    let options = linger(0).configure(|config| {
        config.batch_size = 900;
        config.max_request_size = 1000;
        config.max_in_flight_requests_per_connection = 1;
    });
    let (mut world, topic) = warm(options, 3);
    for _ in 0..100 {
        for partition in 0..3 {
            for _ in 0..4 {
                world.send_to(topic, partition, [0; 200]).unwrap();
            }
        }
    }
    world.run_for(50);
    let sent = [0, 1, 2].map(|partition| batches(&world, partition).len());
    assert!(sent[0] > 10);
    assert!(sent.iter().max().unwrap() - sent.iter().min().unwrap() <= 1, "{sent:?}");
    assert!(produces(&world).all(|request| request.batches.len() == 1));
}

/// A broker that is dead does not starve the others of memory (PITFALLS 17).
#[test]
fn a_dead_broker_does_not_starve_a_live_one() {
    let options = brokers(2).limit(|limits| {
        limits.block_size = 1024;
        limits.buffer_memory = 64 << 10;
    });
    let (mut world, topic) = warm(options.configure(|config| config.linger_ms = 0), 2);
    world.network_mut().block(1);
    let mut live = 0;
    for _ in 0..500 {
        let _ = world.send_to(topic, 0, [0; 500]);
        live += usize::from(world.send_to(topic, 1, [0; 500]).is_ok());
        world.run_for(2);
    }
    assert!(live >= 490, "{live}");
    assert_eq!(values(&world, 1).len(), live + 1);
}

/// Memory for the last partition goes back even if its topic is forgotten.
#[test]
fn a_forgotten_topic_frees_its_slots() {
    let (mut world, topic) = warm(linger(TEN_MINUTES).limit(|limits| limits.topics = 1), 2);
    assert_eq!(world.try_topic("other"), Err(SendError::TooManyTopics { max: 1 }));
    world.send_value(topic, "v").unwrap();
    assert!(!world.producer_mut().forget_topic(topic));
    world.flush();
    assert!(world.run_until_idle(1000));
    assert!(world.producer_mut().forget_topic(topic));
    assert_eq!(world.send_value(topic, "v"), Err(SendError::UnknownTopic));
    world.cluster_mut().create_topic("other", 1);
    let other = world.topic("other");
    world.send_value(other, "v").unwrap();
    world.flush();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.cluster().record_count("other"), 1);
    // Back again: its sequences start under another epoch.
    assert!(world.producer_mut().forget_topic(other));
    let topic = world.topic("t");
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
    for partition in 0..2 {
        world.send_to(topic, partition, "again").unwrap();
    }
    world.flush();
    assert!(world.run_until_idle(1000));
    assert_eq!((world.delivered(), world.failed()), (6, 0));
    world.verify();
}

/// The expected ratio comes from zeros, then the data does not shrink any more: batches are larger than was thought, but never beyond
/// `max.request.size` (PITFALLS 28).
#[test]
fn a_wrong_guess_at_compression_exceeds_no_limit() {
    let options = linger(5).configure(|config| {
        config.compression = Compression::Lz4;
        config.batch_size = 4000;
        config.max_request_size = 4500;
    });
    let (mut world, topic) = warm(options, 1);
    for round in 0..90 {
        for _ in 0..40 {
            let value: Vec<u8> = (0..200).map(|_| if round < 60 { 0 } else { world.random().draw() as u8 }).collect();
            world.send_value(topic, value).unwrap();
        }
        world.run_for(20);
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (3601, 0));
    let sent = batches(&world, 0);
    assert!(sent.iter().all(|(_, batch)| batch.bytes <= 4500), "{:?}", sent.iter().map(|(_, batch)| batch.bytes).max());
    assert!(sent.iter().any(|(_, batch)| batch.bytes > 4000), "the guess was never wrong");
}
