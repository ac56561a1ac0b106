//! Everything works.

use klamm_simulation::*;

fn with(acks: Acks, idempotent: bool, versions: VersionSet) -> WorldOptions {
    let cluster = ClusterOptions { versions, ..ClusterOptions::default() };
    WorldOptions::seeded(1).cluster(cluster).configure(move |config| {
        config.acks = acks;
        config.enable_idempotence = idempotent;
    })
}

/// Records of every kind, to every partition.
fn send_all_kinds(world: &mut World, topic: TopicId) {
    let headers = [
        Header { key: "a", value: Some(b"1") },
        Header { key: "a", value: None },
        Header { key: "", value: Some(b"") },
    ];
    let records = [
        Record::value(b"plain"),
        Record::keyed(b"key", b"keyed"),
        Record::keyed(b"", b"empty key"),
        Record { key: Some(b"tombstone"), ..Record::default() },
        Record::default(),
        Record::value(b""),
        Record::value(b"with headers").with_headers(&headers),
        Record::value(b"at a time").at(1_234_567_890_123),
        Record::value(b"to two").to_partition(2),
    ];
    for record in &records {
        world.send(topic, record).unwrap();
    }
}

#[test]
fn one_record() {
    let (mut world, topic) = world(1);
    world.send_value(topic, "hello").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(values(&world, 0), ["hello"]);
    assert_eq!(world.outcome(0).unwrap().offset(), Some(0));
}

#[test]
fn records_of_every_kind_for_every_broker_and_acks() {
    let releases = [
        VersionSet::kafka_2_1(),
        VersionSet::kafka_2_4(),
        VersionSet::kafka_2_8(),
        VersionSet::kafka_3_3(),
        VersionSet::kafka_3_9(),
        VersionSet::kafka_4_0(),
        VersionSet::kafka_4_3(),
        VersionSet::kafka_4_4(),
    ];
    for versions in releases {
        for (acks, idempotent) in [(Acks::All, true), (Acks::All, false), (Acks::Leader, false), (Acks::None, false)] {
            let (mut world, topic) = world_with(with(acks, idempotent, versions.clone()), 3);
            assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(3), 1000));
            send_all_kinds(&mut world, topic);
            assert!(world.run_until_idle(1000), "{acks:?} {idempotent}");
            world.verify();
            assert_eq!((world.delivered(), world.cluster().record_count("t")), (9, 9));
            let highest = versions.range(Api::Produce).unwrap().1;
            assert!(produces(&world).all(|request| request.api_version == highest));
            assert_eq!(world.outcome(0).unwrap().offset().is_none(), acks == Acks::None);
        }
    }
}

/// Answers in pieces of any size, requests in pieces of any size, lent one by one or several at once.
#[test]
fn pieces_of_any_size() {
    for read in [Pieces::Fixed(1), Pieces::Fixed(2), Pieces::Random(9), Pieces::Random(100)] {
        for write in [Pieces::Fixed(1), Pieces::Fixed(3), Pieces::Random(50)] {
            for vectored_permille in [0, 1000] {
                let network = Network { read, write, write_pause_us: 7, vectored_permille, ..Network::default() };
                let (mut world, topic) = world_with(WorldOptions::seeded(3).network(network), 3);
                assert!(world.run_until(|world| world.producer().partition_count(topic) == Some(3), 1000));
                send_all_kinds(&mut world, topic);
                assert!(world.run_until_idle(1000), "{read:?} {write:?}");
                world.verify();
                assert_eq!(world.delivered(), 9);
            }
        }
    }
}

#[test]
fn one_request_per_broker_carries_all_topics_and_partitions() {
    for versions in [VersionSet::kafka_2_1(), VersionSet::kafka_3_9(), VersionSet::kafka_4_3()] {
        let cluster = ClusterOptions { versions, ..ClusterOptions::default() };
        let mut world = World::new(WorldOptions::seeded(1).cluster(cluster));
        let names = ["one", "two", "a-topic-with-a-longer-name"];
        let topics = names.map(|name| {
            world.cluster_mut().create_topic(name, 6);
            world.topic(name)
        });
        let known = |world: &mut World| topics.iter().all(|topic| world.producer().partition_count(*topic).is_some());
        assert!(world.run_until(known, 1000));
        for _ in 0..2 {
            world.cluster_mut().clear_requests();
            for partition in 0..6 {
                for (topic, name) in topics.iter().zip(names) {
                    world.send_to(*topic, partition, format!("{name} {partition}")).unwrap();
                }
            }
            assert!(world.run_until_idle(1000));
            world.verify();
        }
        // The second time every connection is up: three brokers, three topics, two partitions each.
        assert_eq!(produces(&world).count(), 3);
        assert!(produces(&world).all(|request| request.batches.len() == 6));
        assert_eq!(world.delivered(), 36);
    }
}

#[test]
fn lz4_arrives_as_it_was_sent() {
    let (mut world, topic) = world_with(
        one_broker().configure(|config| {
            config.compression = Compression::Lz4;
            config.batch_size = 100_000;
        }),
        1,
    );
    for index in 0..500 {
        world.send_value(topic, format!("record {index} of many that are all alike, alike, alike")).unwrap();
    }
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!(world.delivered(), 500);
    let sent: usize = batches(&world, 0).iter().map(|(_, batch)| batch.bytes).sum();
    assert!(sent < 10_000, "{sent} bytes");
}

/// A producer in a board's static memory.
#[test]
fn static_storage_works_too() {
    type Board =
        static_storage!(block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 3, connections: 2);
    let board: &'static mut Board = Box::leak(Box::new(Board::new()));
    let options = WorldOptions::seeded(1).storage(board.storage().unwrap());
    let (mut world, topic) = world_with(options.configure(|config| config.batch_size = 500), 3);
    for index in 0..200 {
        while world.send_value(topic, format!("reading {index}")).is_err() {
            world.run_for(1);
        }
    }
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!(world.delivered(), 200);
}

#[test]
fn log_append_time_is_told() {
    let mut world = World::new(one_broker());
    world.cluster_mut().create_topic_with("t", TopicOptions { log_append_time: true, ..TopicOptions::default() });
    let topic = world.topic("t");
    world.send(topic, &Record::value(b"v").at(5)).unwrap();
    assert!(world.run_until_idle(1000));
    let Some(Outcome::Delivered { log_append_time: Some(time), .. }) = world.outcome(0) else {
        panic!("{:?}", world.outcome(0))
    };
    assert_eq!(world.cluster().log("t", 0)[0].timestamp, time);
}
