//! Which versions are spoken.

use klamm_simulation::*;

/// The versions of the ApiVersions requests so far.
fn asked(world: &World) -> Vec<i16> {
    let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::ApiVersions.key());
    requests.map(|request| request.api_version).collect()
}

fn with(versions: VersionSet) -> WorldOptions {
    one_broker().cluster(ClusterOptions { brokers: 1, versions, ..ClusterOptions::default() })
}

fn delivers_one(world: &mut World, topic: TopicId, limit_ms: u64) {
    let before = world.delivered();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(limit_ms));
    assert_eq!(world.delivered(), before + 1);
}

/// Brokers from 2.4 on say which version of ApiVersions they know (KIP-511).
#[test]
fn a_refused_version_with_a_range_is_asked_again_at_its_end() {
    let (mut world, topic) = world_with(with(VersionSet::kafka_2_4()), 1);
    delivers_one(&mut world, topic, 1000);
    assert_eq!(asked(&world), [4, 3]);
    assert_eq!(world.connections_made(), 1);
}

/// Older ones say nothing.
#[test]
fn a_refused_version_without_a_range_is_asked_again_at_zero() {
    let (mut world, topic) = world_with(with(VersionSet::kafka_2_1()), 1);
    delivers_one(&mut world, topic, 1000);
    assert_eq!(asked(&world), [4, 0]);
}

/// Azure Event Hubs resets the connection instead (PITFALLS 47).
#[test]
fn a_reset_on_the_newest_version_leads_to_older_ones() {
    for oldest_reset in [4, 1] {
        let (mut world, topic) = world_with(with(VersionSet::kafka_4_3()), 1);
        let fault = Fault::on(Api::ApiVersions).versions(oldest_reset, 4).always().then(Do::CloseBefore);
        world.cluster_mut().faults().push(fault);
        delivers_one(&mut world, topic, 2000);
        assert_eq!(asked(&world).last(), Some(if oldest_reset == 4 { &3 } else { &0 }));
        assert!(world.connections_made() <= 4, "{}", world.connections_made());
    }
}

/// What worked is asked first on the next connection; a broker that resets on everything is asked at the newest again.
#[test]
fn the_version_that_worked_is_asked_first_next_time() {
    let (mut world, topic) = world_with(with(VersionSet::kafka_4_3()), 1);
    world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).times(4).then(Do::CloseBefore));
    delivers_one(&mut world, topic, 5000);
    assert_eq!(asked(&world), [4, 3, 0, 4, 3]);
    world.reset_connections();
    world.run_for(2000);
    delivers_one(&mut world, topic, 2000);
    assert!(asked(&world)[5..].iter().all(|version| *version == 3), "{:?}", asked(&world));
}

#[test]
fn brokers_of_different_versions_are_spoken_to_in_their_own() {
    let (mut world, topic) = world(3);
    world.cluster_mut().set_versions(1, VersionSet::kafka_2_1());
    world.cluster_mut().set_versions(2, VersionSet::kafka_3_9());
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
    for partition in 0..3 {
        world.send_to(topic, partition, "v").unwrap();
    }
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 3);
    let mut spoken: Vec<_> = produces(&world).map(|request| (request.broker, request.api_version)).collect();
    spoken.sort_unstable();
    // Broker 1 gave no topic ids, so the third one is spoken to by name.
    let by_id = if spoken[2].1 == 13 { 13 } else { 12 };
    assert_eq!(spoken, [(1, 7), (2, 11), (3, by_id)]);
}

/// Azure Event Hubs offers Produce v13 without giving topic ids (PITFALLS 33).
#[test]
fn topics_without_an_id_are_named() {
    let (mut world, topic) = world_with(with(VersionSet::kafka_4_3().with(Api::Metadata, 0, 9)), 1);
    delivers_one(&mut world, topic, 1000);
    assert!(produces(&world).all(|request| request.api_version == 12));
}

#[test]
fn a_broker_that_is_too_old_is_a_problem_but_not_the_end() {
    let (mut world, topic) = world_with(with(VersionSet::kafka_2_1().with(Api::Produce, 0, 6)), 1);
    world.send_value(topic, "v").unwrap();
    world.run_for(10_000);
    assert!(world.saw(Event::Problem(Problem::Peer(PeerError::UnsupportedVersion))));
    // 50 ms to 1 s apart.
    assert!((10..25).contains(&world.connections_made()), "{}", world.connections_made());
    world.cluster_mut().set_versions(1, VersionSet::kafka_2_1());
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 1);
}

/// One that takes topics by id alone but gives no ids cannot be produced to, and is not asked what it does not offer.
#[test]
fn a_broker_that_wants_ids_but_gives_none_is_a_problem() {
    let versions = VersionSet::kafka_4_3().with(Api::Produce, 13, 13).with(Api::Metadata, 0, 9);
    let (mut world, topic) = world_with(with(versions.clone()), 1);
    let record = world.send_value(topic, "v").unwrap();
    world.run_for(10_000);
    assert!(world.saw(Event::Problem(Problem::Peer(PeerError::UnsupportedVersion))));
    assert!(world.outcome(record).is_none());
    assert_eq!(produces(&world).count(), 0);
    world.cluster_mut().set_versions(1, versions.with(Api::Metadata, 0, 10));
    assert!(world.run_until_idle(2000));
    assert_eq!(world.delivered(), 1);
}

/// What a broker can do is read from the API in question and from nothing else: each API has a range of its own here, none of which
/// begins at 0 (PITFALLS 46).
#[test]
fn each_api_is_judged_by_its_own_range() {
    for (produce, metadata, producer_id) in [(7, 12, 4), (11, 7, 5), (12, 9, 1), (9, 13, 3)] {
        let versions = VersionSet::kafka_4_3()
            .with(Api::Produce, produce - 2, produce)
            .with(Api::Metadata, metadata - 3, metadata)
            .with(Api::InitProducerId, producer_id, producer_id);
        let (mut world, topic) = world_with(with(versions), 1);
        delivers_one(&mut world, topic, 1000);
        let spoken = |api: Api| {
            let of = world.cluster().requests().iter().filter(|request| request.api_key == api.key());
            of.map(|request| request.api_version)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(spoken(Api::Produce), [produce]);
        assert_eq!(spoken(Api::Metadata), [metadata]);
        assert_eq!(spoken(Api::InitProducerId), [producer_id]);
    }
}
