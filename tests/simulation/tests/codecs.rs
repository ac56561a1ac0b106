//! Codecs outside the core: batches that are away while they are compressed.

use klamm_simulation::*;

const JOBS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// One broker, and this codec as a job.
fn by_job(compression: Compression, codecs: Codecs) -> WorldOptions {
    one_broker().codecs(codecs).configure(move |config| {
        config.compression = compression;
        config.lz4_in_place = false;
    })
}

fn at_once() -> Codecs {
    Codecs::default()
}

fn slow(delay_ms: u64) -> Codecs {
    Codecs { delay_us: delay_ms * 1000..=delay_ms * 1000, ..Codecs::default() }
}

/// The codecs of a partition's log, by name, without repetition.
fn codecs_in_log(world: &World, partition: u32) -> Vec<String> {
    let mut names: Vec<String> =
        world.cluster().log("t", partition).iter().map(|record| format!("{:?}", record.codec)).collect();
    names.dedup();
    names
}

fn alike(index: usize) -> String {
    format!("record {index} of many that are all alike, alike, alike, alike")
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[test]
fn every_codec_arrives_as_it_was_sent() {
    for compression in JOBS {
        for batch_size in [0, 300, 16_384, 200_000] {
            let options = by_job(compression, at_once()).configure(move |config| config.batch_size = batch_size);
            let (mut world, topic) = world_with(options, 1);
            for index in 0..500 {
                world.send_value(topic, alike(index)).unwrap();
            }
            assert!(world.run_until_idle(5000));
            world.verify();
            assert_eq!(world.delivered(), 500);
            if batch_size < 16_384 {
                continue;
            }
            assert_eq!(codecs_in_log(&world, 0), [format!("{compression:?}")]);
            let sent: usize = batches(&world, 0).iter().map(|(_, batch)| batch.bytes).sum();
            assert!(sent < 15_000, "{compression:?}: {sent} bytes");
        }
    }
}

#[test]
fn what_does_not_shrink_travels_as_it_is() {
    for compression in JOBS {
        let (mut world, topic) = world_with(by_job(compression, at_once()), 1);
        for _ in 0..50 {
            let random: Vec<u8> = (0..1000).map(|_| world.random().draw() as u8).collect();
            world.send_value(topic, random).unwrap();
        }
        assert!(world.run_until_idle(5000));
        world.verify();
        assert_eq!(codecs_in_log(&world, 0), ["None"]);
    }
}

#[test]
fn without_a_result_records_travel_as_they_are() {
    let failing = Codecs { failed_permille: 1000, ..at_once() };
    let (mut world, topic) = world_with(by_job(Compression::Zstd, failing), 1);
    for index in 0..500 {
        world.send_value(topic, alike(index)).unwrap();
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!((world.delivered(), codecs_in_log(&world, 0)), (500, vec!["None".to_owned()]));
}

/// A full batch is a job at once, before there is a connection; one with room is not.
#[test]
fn a_full_batch_is_a_job_at_once() {
    let (mut world, topic) = world_with(by_job(Compression::Gzip, at_once()), 1);
    world.send_value(topic, "small").unwrap();
    assert!(!world.producer().compress_due());
    while !world.producer().compress_due() {
        world.send_value(topic, [7; 1000]).unwrap();
        assert!(world.records().len() < 20);
    }
    assert_eq!(world.now_us(), 0);
    assert!(world.run_until_idle(1000));
    world.verify();
}

/// Jobs of three partitions overtake each other, with five requests in flight; no log is out of order.
#[test]
fn order_is_kept_however_late_jobs_are() {
    for compression in JOBS {
        let codecs = Codecs { delay_us: 0..=50_000, repeated_permille: 300, ..at_once() };
        let options = by_job(compression, codecs).configure(|config| {
            config.batch_size = 500;
            config.linger_ms = 1;
        });
        let (mut world, topic) = warm(options, 3);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(3).times(4).then(Do::Error(7)));
        for index in 0..900 {
            world.send_to(topic, index % 3, alike(index as usize)).unwrap();
            if index % 7 == 0 {
                world.run_for(1);
            }
        }
        assert!(world.run_until_idle(60_000));
        world.verify();
        assert_frozen(&world);
        assert_eq!((world.delivered(), world.stats().epoch_bumps), (903, 0));
    }
}

#[test]
fn a_job_that_is_never_done_ends_with_the_delivery_timeout() {
    for linger_ms in [0, 5] {
        let lost = Codecs { lost_permille: 1000, ..at_once() };
        let options = by_job(Compression::Zstd, lost).configure(move |config| {
            (config.linger_ms, config.batch_size) = (linger_ms, 200);
            (config.request_timeout_ms, config.delivery_timeout_ms) = (500, 1000);
        });
        let (mut world, topic) = world_with(options, 1);
        for index in 0..20 {
            world.send_value(topic, alike(index)).unwrap();
        }
        assert!(world.run_until_idle(1001), "memory is not free");
        for outcome in world.outcomes() {
            let outcome = outcome.unwrap();
            assert!(matches!(outcome.error(), Some(DeliveryError::TimedOut { .. })), "{outcome:?}");
            assert_eq!(outcome.fate(), Some(Fate::NotWritten));
        }
        *world.codecs_mut() = at_once();
        world.send_value(topic, "next").unwrap();
        assert!(world.run_until_idle(1000));
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (1, 20));
    }
}

/// Results come when their batches are gone and others are in their slots.
#[test]
fn results_for_batches_that_are_gone_do_no_harm() {
    let options = by_job(Compression::Gzip, slow(1500)).limit(|limits| limits.batches = 4).configure(|config| {
        (config.batch_size, config.linger_ms) = (300, 0);
        (config.request_timeout_ms, config.delivery_timeout_ms) = (500, 1000);
    });
    let (mut world, topic) = world_with(options, 1);
    let mut sent = 0;
    for index in 0..40 {
        sent += usize::from(world.send_value(topic, alike(index)).is_ok());
        world.run_for(100);
    }
    assert!(world.failed() > 10);
    *world.codecs_mut() = at_once();
    let last = loop {
        match world.send_value(topic, "last") {
            Ok(last) => break last,
            Err(_) => world.run_for(100),
        }
    };
    assert!(world.run_until_idle(5000));
    world.verify();
    assert!(world.outcome(last).unwrap().is_delivered());
    assert_eq!(world.delivered() + world.failed(), sent + 1);
}

#[test]
fn a_flush_waits_for_jobs() {
    let options = by_job(Compression::Lz4, slow(300)).configure(|config| config.linger_ms = 10_000);
    let (mut world, topic) = world_with(options, 1);
    for index in 0..10 {
        world.send_value(topic, alike(index)).unwrap();
    }
    world.flush();
    assert!(world.run_until(|world| world.saw(Event::Flushed), 2000));
    assert_eq!((world.unsettled(), world.delivered()), (0, 10));
    assert!(world.now_ms() >= 300);
}

#[test]
fn closing_waits_for_jobs_as_long_as_it_may() {
    for (delay_ms, within_ms, forced) in [(200, 5_000, false), (2_000, 500, false), (2_000, 500, true)] {
        let (mut world, topic) = warm(by_job(Compression::Snappy, slow(delay_ms)), 1);
        for index in 0..500 {
            world.send_value(topic, alike(index)).unwrap();
        }
        world.run_for(50);
        assert!(world.jobs_under_way() > 0);
        if forced {
            world.fail_all()
        } else {
            world.close(within_ms)
        }
        assert!(world.run_until(|world| world.producer().is_closed(), if forced { 0 } else { within_ms }));
        let in_time = delay_ms < within_ms && !forced;
        assert_eq!(world.delivered(), if in_time { 501 } else { 1 });
        for outcome in world.outcomes().skip(1).flatten().filter(|_| !in_time) {
            assert_eq!((outcome.error(), outcome.fate()), (Some(DeliveryError::Closed), Some(Fate::NotWritten)));
        }
        world.run_for(5_000); // late results
        world.verify();
        assert_eq!(world.producer().buffer_available_bytes(), world.producer().buffer_total_bytes());
    }
}

/// What a topic's records shrink to decides how many go into a batch; `max.request.size` bounds their raw size
/// (PITFALLS 28).
#[test]
fn batches_fill_beyond_their_size_before_compression() {
    for compression in JOBS {
        let options = by_job(compression, at_once()).configure(|config| {
            (config.batch_size, config.max_request_size) = (4_000, 10_000);
            config.linger_ms = 20_000;
        });
        let (mut world, topic) = warm(options, 1);
        for _ in 0..40 {
            for index in 0..500 {
                world.send_value(topic, alike(index)).unwrap();
            }
            world.run_for(10); // what is not full goes on next time
        }
        world.flush();
        assert!(world.run_until_idle(5000));
        world.verify();
        let records = |batch: &SeenBatch| batch.records;
        let seen: Vec<i32> = batches(&world, 0).iter().map(|(_, batch)| records(batch)).collect();
        let (first, most) = (seen[0], *seen.iter().max().unwrap());
        assert!((50..70).contains(&first), "{compression:?}: {first}");
        assert!((130..155).contains(&most), "{compression:?}: {most}"); // 10 000 bytes of 66 each
        assert!(batches(&world, 0).iter().all(|(_, batch)| batch.bytes <= 4_000));
        // Records that do not shrink end that at once.
        for _ in 0..40 {
            let random: Vec<u8> = (0..500).map(|_| world.random().draw() as u8).collect();
            world.send_value(topic, random).unwrap();
        }
        world.flush();
        assert!(world.run_until_idle(5000));
        world.verify();
    }
}

/// Keyless records from before the first metadata are compressed while they wait for a partition.
#[test]
fn records_are_compressed_offline() {
    for compression in JOBS {
        let mut world = World::new(by_job(compression, slow(20)));
        let topic = world.topic("t");
        for index in 0..1000 {
            world.send_value(topic, alike(index)).unwrap();
        }
        assert!(world.producer().compress_due());
        world.run_for(10);
        world.cluster_mut().create_topic("t", 1);
        assert!(world.run_until_idle(10_000));
        world.verify();
        assert_eq!(world.delivered(), 1000);
        assert_eq!(codecs_in_log(&world, 0), [format!("{compression:?}")]);
    }
}

#[test]
fn a_producer_without_a_clock_compresses_when_it_sends() {
    let (mut world, topic) = world_with(by_job(Compression::Gzip, slow(20)).without_clock(), 1);
    for index in 0..1000 {
        world.send_value(topic, alike(index)).unwrap();
    }
    assert!(world.run_until_idle(10_000));
    world.verify();
    assert!(world.cluster().log("t", 0).iter().all(|record| record.timestamp == -1));
    assert_eq!(codecs_in_log(&world, 0), ["Gzip"]);
}

/// A batch that cannot be turned back into records fails as too large; what follows it is delivered.
#[test]
fn a_batch_that_cannot_be_turned_back_is_too_large() {
    for idempotent in [true, false] {
        let options = by_job(Compression::Zstd, at_once()).configure(move |config| {
            (config.enable_idempotence, config.linger_ms) = (idempotent, 10);
        });
        let (mut world, topic) = warm(options, 1);
        let too_large = Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE));
        world.cluster_mut().faults().push(too_large);
        for index in 0..100 {
            world.send_value(topic, alike(index)).unwrap();
        }
        world.flush();
        let compressed = |world: &mut World| !world.producer().compress_due() && world.stats().batches_sent > 1;
        assert!(world.run_until(compressed, 1000));
        world.codecs_mut().failed_permille = 1000;
        assert!(world.run_until_settled(5000));
        *world.codecs_mut() = at_once();
        for outcome in world.outcomes().skip(1).flatten() {
            assert_eq!(outcome.error(), Some(DeliveryError::Broker(ErrorCode::MESSAGE_TOO_LARGE)));
            assert_eq!(outcome.fate(), Some(Fate::NotWritten));
        }
        world.send_value(topic, "next").unwrap();
        assert!(world.run_until_idle(5000));
        world.verify();
        assert_eq!((world.delivered(), world.failed()), (2, 100));
    }
}

/// The halves of a batch are compressed again, and keep their place while they are: by their sequences, and without any.
#[test]
fn halves_keep_their_place() {
    for (compression, idempotent) in JOBS.into_iter().flat_map(|codec| [(codec, true), (codec, false)]) {
        let options = by_job(compression, slow(30)).configure(move |config| {
            (config.linger_ms, config.enable_idempotence) = (10, idempotent);
            config.max_in_flight_requests_per_connection = if idempotent { 5 } else { 1 };
        });
        let (mut world, topic) = warm(options, 1);
        let too_large = Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE)).then(Do::Delay(20));
        world.cluster_mut().faults().push(too_large);
        for index in 0..100 {
            world.send_value(topic, alike(index)).unwrap();
            if index % 25 == 24 {
                world.run_for(15);
            }
        }
        assert!(world.run_until_idle(5000));
        world.verify();
        assert_eq!((world.delivered(), world.stats().batches_split), (101, 1));
        assert_eq!(world.stats().epoch_bumps, 0);
        let log = world.cluster().log("t", 0);
        let values: Vec<String> = log.iter().skip(1).map(|record| text(record.value.as_deref())).collect();
        assert_eq!(values, (0..100).map(alike).collect::<Vec<_>>());
        if idempotent {
            assert!(log.iter().map(|record| record.sequence).eq(0..101));
        }
        assert_eq!(codecs_in_log(&world, 0).last(), Some(&format!("{compression:?}")));
    }
}
