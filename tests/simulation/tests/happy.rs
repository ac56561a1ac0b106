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
