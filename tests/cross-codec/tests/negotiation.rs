//! Which versions are spoken with which brokers.

use kafka_protocol::messages::ApiKey;
use klamm_core::Record;
use klamm_cross_codec::broker::{Cluster, FIRST_PORT, Offer, World};
use klamm_cross_codec::generate::Setup;
use klamm_cross_codec::{API_VERSIONS, INIT_PRODUCER_ID, METADATA, PRODUCE, Versions};

/// What brokers of Kafka's releases offer, read off running ones: Produce, Metadata, ApiVersions, InitProducerId, all from 0 on,
/// and Fetch and SaslHandshake, which are none of ours.
const RELEASES: [(&str, [i16; 4]); 7] = [
    ("2.1.1", [7, 7, 2, 1]),
    ("2.8.2", [9, 11, 3, 4]),
    ("3.3.2", [9, 12, 3, 4]),
    ("3.9.2", [11, 12, 4, 5]),
    ("4.0.1", [12, 13, 4, 5]),
    ("4.3.1", [13, 13, 4, 5]),
    ("4.4.0", [13, 13, 5, 5]),
];

fn offer(release: usize) -> Offer {
    let (name, [produce, metadata, api_versions, init_producer_id]) = RELEASES[release];
    let ranges = vec![
        (ApiKey::Produce, 0, produce),
        (ApiKey::Fetch, if name.starts_with('4') { 4 } else { 0 }, 10),
        (ApiKey::Metadata, 0, metadata),
        (ApiKey::SaslHandshake, 0, 1),
        (ApiKey::ApiVersions, 0, api_versions),
        (ApiKey::InitProducerId, 0, init_producer_id),
    ];
    // KIP-511 came with 2.4.
    Offer { ranges, names_range: name != "2.1.1" }
}

/// The newest version that both sides speak.
fn common(release: usize, api: ApiKey) -> i16 {
    let (name, [produce, metadata, api_versions, init_producer_id]) = RELEASES[release];
    let (ours, theirs): (Versions, i16) = match api {
        ApiKey::Produce => (PRODUCE, produce),
        ApiKey::Metadata => (METADATA, metadata),
        ApiKey::ApiVersions => (API_VERSIONS, api_versions),
        ApiKey::InitProducerId => (INIT_PRODUCER_ID, init_producer_id),
        other => panic!("{other:?} is none of ours"),
    };
    // A broker that does not say what it speaks is asked in version 0.
    if api == ApiKey::ApiVersions && name == "2.1.1" { 0 } else { theirs.min(*ours.end()) }
}

/// Each pair of releases in one cluster, as during an upgrade: with every broker its own versions are spoken, and the first
/// request on each connection is the only one that may be refused.
#[test]
fn every_pair_of_releases_is_spoken_to() {
    for (first, (name, _)) in RELEASES.iter().enumerate() {
        for (second, (other, _)) in RELEASES.iter().enumerate() {
            let pair = format!("{name} and {other}");
            let mut cluster = Cluster::new(2, &offer(first));
            cluster.offers[1] = offer(second);
            cluster.create("t", 2);
            let setup =
                Setup { acks: klamm_core::Acks::All, idempotence: true, retries: i32::MAX as u32, ..Setup::plain() };
            let mut world = World::new(setup.producer(), cluster, &[], &[]);
            let topic = world.driver.producer.topic("t").expect("a topic");
            world.run(|world| world.driver.producer.partition_count(topic) == Some(2));
            for partition in 0..2 {
                let now = world.driver.now();
                let record = Record::value(b"v").to_partition(partition);
                world.driver.producer.send(now, topic, &record).expect("room");
            }
            world.run(|world| world.settled() == 2);
            assert!(world.driver.told.iter().all(|told| told.outcome.result.is_ok()), "{pair}");
            assert_eq!(world.driver.peer_errors, [], "{pair}");
            let mut produced = 0;
            for request in &world.seen {
                let release = if request.port == FIRST_PORT { first } else { second };
                let version = common(release, request.api);
                let tried = request.api == ApiKey::ApiVersions && request.version == *API_VERSIONS.end();
                // Where metadata came from a broker that has no ids for topics, they are named: v13 cannot.
                let ids = [first, second].iter().all(|release| common(*release, ApiKey::Metadata) >= 10);
                let named = request.api == ApiKey::Produce && request.version == version.min(12) && !ids;
                assert!(request.version == version || tried || named, "{pair}: {request:?}");
                produced += usize::from(request.api == ApiKey::Produce);
            }
            assert_eq!(produced, 2, "{pair}");
        }
    }
}

/// Brokers that speak nothing of ours are told apart from those that cannot be reached, and never sent to in a version that
/// they do not speak.
#[test]
fn brokers_beyond_our_versions_are_refused() {
    for (produce, metadata) in [((0, 6), (0, 7)), ((0, 7), (0, 6)), ((14, 20), (7, 13)), ((7, 13), (14, 15))] {
        let mut cluster = Cluster::new(1, &Offer::exactly(7, 7, 1, 4));
        cluster.offers[0].ranges = vec![
            (ApiKey::Produce, produce.0, produce.1),
            (ApiKey::Metadata, metadata.0, metadata.1),
            (ApiKey::ApiVersions, 0, 4),
        ];
        let mut world = World::new(Setup::plain().producer(), cluster, &[], &[]);
        let topic = world.driver.producer.topic("t").expect("a topic");
        let now = world.driver.now();
        world.driver.producer.send(now, topic, &Record::value(b"v")).expect("room");
        let sound = |_: &mut Cluster, _: &_| klamm_cross_codec::broker::Reply::Sound;
        assert!(!world.run_with(10_000, sound, |world| world.settled() > 0));
        assert!(world.seen.iter().all(|request| request.api == ApiKey::ApiVersions), "{:?}", world.seen);
        let refused = klamm_core::PeerError::UnsupportedVersion;
        assert!(world.driver.peer_errors.iter().all(|error| *error == refused));
        assert!(!world.driver.peer_errors.is_empty());
    }
}
