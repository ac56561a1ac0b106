//! Splitting while the memory is full: the halves must find room, or nothing would ever move again.

use klamm_simulation::*;

/// Fills the buffer again and again with records whose batches the topic refuses as too large.
fn send_through(
    buffer_memory: usize,
    block_size: usize,
    batch_size: u32,
    limit: usize,
    partitions: u32,
    compression: Compression,
) {
    let options = one_broker()
        .codecs(Codecs { delay_us: 0..=2_000, ..Codecs::default() })
        .limit(|limits| (limits.buffer_memory, limits.block_size) = (buffer_memory, block_size))
        .configure(move |config| {
            config.batch_size = batch_size;
            config.compression = compression;
        });
    let mut world = World::new(options);
    let topic = TopicOptions { partitions, max_message_bytes: Some(limit), ..TopicOptions::default() };
    world.cluster_mut().create_topic_with("t", topic);
    let topic = world.topic("t");
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 10_000));
    let case =
        format!("{buffer_memory} in {block_size}, batches of {batch_size}, limit {limit}, {partitions} partitions");
    let mut accepted = 0;
    while accepted < 3_000 {
        let value = format!("{accepted:0>100}");
        match world.send_to(topic, accepted % partitions as i32, value) {
            Ok(_) => accepted += 1,
            Err(SendError::Full) => {
                let before = world.unsettled();
                assert!(world.run_until(|world| world.unsettled() < before, 60_000), "stuck: {case}");
            }
            Err(error) => panic!("{error}: {case}"),
        }
    }
    assert!(world.run_until_idle(60_000), "unsettled: {case}");
    assert_eq!((world.delivered(), world.failed()), (3_000, 0), "{case}");
    assert!(world.stats().batches_split > 0, "{case}");
}

#[test]
fn batches_are_split_while_the_buffer_is_full() {
    for (buffer_memory, block_size) in [(64 << 10, 4096), (128 << 10, 4096), (512 << 10, 4096), (64 << 10, 512)] {
        for limit in [2_000, 4_000, 9_000] {
            for partitions in [1, 3] {
                send_through(buffer_memory, block_size, 30_000, limit, partitions, Compression::None);
            }
        }
    }
}

#[test]
fn a_boards_memory_is_enough_to_split_in() {
    for partitions in [1, 3] {
        send_through(4096, 256, 1024, 400, partitions, Compression::None);
    }
}

#[test]
fn compressed_batches_are_split_while_the_buffer_is_full() {
    for limit in [700, 1_500] {
        send_through(64 << 10, 4096, 30_000, limit, 1, Compression::Lz4);
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
            send_through(64 << 10, 4096, 30_000, limit / 3, 1, compression);
        }
    }
}

/// The first cut takes a block of the reserve for good. Turning the smaller part back into records needed all of it, so that part was
/// sent as it was again and again, until `delivery.timeout.ms`.
#[test]
fn a_compressed_batch_that_fills_the_memory_is_split_more_than_once() {
    // Compressed, two records are taken, and three are not.
    let value = |number: u32, len: u32| {
        let noise = (1..=len / 2).scan(number + 1, |state, _| {
            *state ^= *state << 13;
            *state ^= *state >> 17;
            *state ^= *state << 5;
            char::from_digit(*state & 15, 16)
        });
        noise.chain((0..len / 2).map(|_| '0')).collect::<String>()
    };
    for len in (1_900..2_700).step_by(50) {
        let records = 49_000 / (len + 20);
        let options = one_broker()
            .limit(|limits| (limits.buffer_memory, limits.block_size) = (64 << 10, 4096))
            .configure(|config| (config.batch_size, config.compression) = (60_000, Compression::Lz4));
        let mut world = World::new(options);
        let topic = TopicOptions { max_message_bytes: Some(3_000), ..TopicOptions::default() };
        world.cluster_mut().create_topic_with("t", topic);
        let topic = world.topic("t");
        for number in 0..records {
            world.send_value(topic, value(number, len)).unwrap();
        }
        assert!(world.run_until_idle(60_000), "records of {len}: {:?}", world.stats());
        assert_eq!((world.delivered(), world.failed()), (records as usize, 0), "records of {len}");
    }
}

/// Every batch slot but the reserved one is taken, and one cut is not enough: the parts are too large as well.
#[test]
fn the_last_batch_slot_is_enough_to_split_with() {
    for (limit, records) in [(250, 40), (400, 40), (700, 40)] {
        let options = one_broker().limit(|limits| limits.batches = 4).configure(|config| {
            config.batch_size = 16_384;
            config.linger_ms = 1000;
        });
        let mut world = World::new(options);
        let topic = TopicOptions { max_message_bytes: Some(limit), ..TopicOptions::default() };
        world.cluster_mut().create_topic_with("t", topic);
        let topic = world.topic("t");
        assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 10_000));
        let mut accepted = 0;
        while accepted < records {
            match world.send_to(topic, 0, format!("{accepted:0>150}")) {
                Ok(_) => accepted += 1,
                Err(SendError::Full) => world.run_for(10),
                Err(error) => panic!("{error}"),
            }
            // Each flush closes a batch, until all slots are taken.
            if accepted % 20 == 0 {
                world.flush();
            }
        }
        world.flush();
        assert!(world.run_until_idle(60_000), "limit {limit}: {:?}", world.stats());
        assert_eq!((world.delivered(), world.failed()), (records, 0), "limit {limit}");
    }
}

/// A partition that holds nothing may begin a batch though its leader has had its share, whatever blocks the record takes. It was
/// refused at the second block, what it had taken was given back, and that was told as room: a caller that tried again whenever
/// there was room never rested.
#[test]
fn a_partition_that_holds_nothing_may_begin_with_a_long_record() {
    let options = WorldOptions::seeded(1).limit(|limits| {
        (limits.buffer_memory, limits.block_size) = (8 << 10, 256);
    });
    let mut world = World::new(options.configure(|config| config.batch_size = 1024));
    world.cluster_mut().create_topic("t", 6);
    let topic = world.topic("t");
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 10_000));
    let leader = world.cluster().leader("t", 0).unwrap().0;
    let other = (1..6).find(|index| world.cluster().leader("t", *index).unwrap().0 == leader).unwrap();
    world.network_mut().block(leader);
    let value = "v".repeat(400);
    while world.send_to(topic, 0, &value).is_ok() {}
    world.run_for(100);
    assert_eq!(world.send_to(topic, 0, &value), Err(SendError::BrokerShare));
    world.clear_events();
    assert!(world.send_to(topic, other as i32, &value).is_ok());
    world.run_for(100);
    assert!(!world.saw(Event::Writable), "nothing was freed");
}
