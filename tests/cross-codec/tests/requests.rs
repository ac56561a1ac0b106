//! Every request that the core writes is read by kafka-protocol as what was meant.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{ApiKey, MetadataRequest, ProduceRequest, RequestKind};
use kafka_protocol::records::{Compression as Codec, Record, TimestampType};
use klamm_core::{Acks, TopicId};
use klamm_cross_codec::broker::{Cluster, Offer, World};
use klamm_cross_codec::generate::{CODECS, Sent, Setup, Tags, WALL_CLOCK, pieces, record, setup, tags, topic_names};
use klamm_cross_codec::wire::{Request, decode_batch};
use klamm_cross_codec::{API_VERSIONS, INIT_PRODUCER_ID, METADATA, PRODUCE, check};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Strategy};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

/// Everything that a run depends on.
#[derive(Clone, Debug)]
struct Run {
    setup: Setup,
    brokers: usize,
    names: Vec<String>,
    partitions: Vec<usize>,
    records: Vec<Sent>,
    producer: (i64, i16),
    writes: Vec<usize>,
    reads: Vec<usize>,
    tags: Tags,
}

fn run() -> BoxedStrategy<Run> {
    let cluster = (1..4usize, topic_names(1..6), vec(1..7usize, 6), (0..=i64::MAX, 0..=i16::MAX));
    (setup(), cluster, vec(record(), 1..60), pieces(), pieces(), tags())
        .prop_map(|(setup, (brokers, names, partitions, producer), records, writes, reads, tags)| Run {
            setup,
            brokers,
            names,
            partitions,
            records,
            producer,
            writes,
            reads,
            tags,
        })
        .boxed()
}

impl Run {
    fn place(&self, sent: &Sent) -> (usize, i32) {
        let topic = sent.topic % self.names.len();
        (topic, i32::try_from(sent.partition % self.partitions[topic]).expect("few partitions"))
    }

    /// Sends all records at one moment, and lets them be delivered.
    fn play(&self, offer: &Offer) -> World {
        let mut cluster = Cluster::new(self.brokers, offer);
        cluster.producer = self.producer;
        cluster.tags.clone_from(&self.tags);
        for (name, partitions) in self.names.iter().zip(&self.partitions) {
            cluster.create(name, *partitions);
        }
        let mut world = World::new(self.setup.producer(), cluster, &self.writes, &self.reads);
        let topics: Vec<TopicId> =
            self.names.iter().map(|name| world.driver.producer.topic(name).expect("a topic")).collect();
        world.run(|world| topics.iter().all(|topic| world.driver.producer.partition_count(*topic).is_some()));
        let now = world.driver.now();
        for sent in &self.records {
            let (topic, partition) = self.place(sent);
            sent.with(partition, |record| world.driver.producer.send(now, topics[topic], record)).expect("room");
        }
        world.driver.producer.flush(now);
        world.run(|world| world.settled() == self.records.len());
        assert!(world.driver.peer_errors.is_empty(), "{:?}", world.driver.peer_errors);
        world
    }
}

#[test]
fn requests_of_every_version_decode_to_what_was_meant() {
    let seen = RefCell::new(BTreeSet::new());
    let shapes = RefCell::new(BTreeSet::new());
    for produce in PRODUCE {
        let offer = Offer::around(produce);
        check(40, &run(), |run| {
            let world = run.play(&offer);
            seen.borrow_mut().extend(world.seen.iter().map(|request| (request.api as i16, request.version)));
            shapes.borrow_mut().extend(shapes_of(&world));
            check_headers(&run, &world)?;
            for request in &world.seen {
                check_body(&run, &world, request)?;
            }
            check_records(&run, &world)?;
            check_outcomes(&run, &world)
        });
    }
    let spoken = [
        (ApiKey::Produce, PRODUCE),
        (ApiKey::Metadata, METADATA),
        (ApiKey::InitProducerId, INIT_PRODUCER_ID),
        (ApiKey::ApiVersions, API_VERSIONS),
    ];
    let spoken: BTreeSet<_> =
        spoken.into_iter().flat_map(|(api, versions)| versions.map(move |version| (api as i16, version))).collect();
    assert_eq!(*seen.borrow(), spoken, "every version of every API was written, and no other");
    let codecs = CODECS.iter().map(|(_, codec)| Shape::Codec(*codec as u8));
    let expected = codecs.chain([Shape::Topics, Shape::Partitions, Shape::Records]).collect();
    assert_eq!(*shapes.borrow(), expected, "requests of every shape were written");
}

/// What a test that says nothing of it could have missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Codec(u8),
    /// Several topics in one request.
    Topics,
    /// Several partitions of one topic in one request.
    Partitions,
    /// Several records in one batch.
    Records,
}

fn shapes_of(world: &World) -> BTreeSet<Shape> {
    let mut shapes = BTreeSet::new();
    for (_, body) in world.produces() {
        shapes.extend((body.topic_data.len() > 1).then_some(Shape::Topics));
        shapes.extend(body.topic_data.iter().any(|topic| topic.partition_data.len() > 1).then_some(Shape::Partitions));
    }
    for (.., records) in world.batches() {
        let (info, _) = decode_batch(&records);
        shapes.insert(Shape::Codec(info.compression as u8));
        shapes.extend((info.record_count > 1).then_some(Shape::Records));
    }
    shapes
}

fn check_headers(run: &Run, world: &World) -> Result<(), TestCaseError> {
    let mut ids = BTreeSet::new();
    for request in &world.seen {
        prop_assert_eq!(request.header.client_id.as_deref(), Some(run.setup.client_id.as_str()));
        prop_assert!(request.header.unknown_tagged_fields.is_empty());
        prop_assert!(ids.insert(request.header.correlation_id), "a correlation id came twice");
    }
    Ok(())
}

fn check_body(run: &Run, world: &World, request: &Request) -> Result<(), TestCaseError> {
    match &request.body {
        RequestKind::ApiVersions(body) if request.version >= 3 => {
            prop_assert_eq!(&*body.client_software_name, "klamm");
            let version = &*body.client_software_version;
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            prop_assert!(!version.is_empty() && version.chars().all(legal), "{}", version);
        }
        RequestKind::ApiVersions(_) => {}
        RequestKind::InitProducerId(body) => {
            prop_assert_eq!(&body.transactional_id, &None);
            prop_assert_eq!((body.producer_id.0, body.producer_epoch), (-1, -1));
            prop_assert!(run.setup.idempotence, "nobody needs a producer id");
        }
        RequestKind::Metadata(body) => check_metadata(run, body)?,
        RequestKind::Produce(body) => check_produce(run, world, body)?,
        other => prop_assert!(false, "not one of ours: {:?}", other),
    }
    Ok(())
}

fn check_metadata(run: &Run, body: &MetadataRequest) -> Result<(), TestCaseError> {
    prop_assert_eq!(body.allow_auto_topic_creation, run.setup.auto_create);
    prop_assert!(!body.include_cluster_authorized_operations && !body.include_topic_authorized_operations);
    let asked = body.topics.as_ref().expect("never all topics");
    let mut names = BTreeSet::new();
    for topic in asked {
        prop_assert!(topic.topic_id.is_nil(), "topics are named");
        let name = topic.name.as_ref().expect("a name").to_string();
        prop_assert!(run.names.contains(&name));
        prop_assert!(names.insert(name), "a topic was asked for twice");
    }
    Ok(())
}

fn check_produce(run: &Run, world: &World, body: &ProduceRequest) -> Result<(), TestCaseError> {
    prop_assert_eq!(&body.transactional_id, &None);
    let acks = match run.setup.acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    prop_assert_eq!(body.acks, acks);
    prop_assert_eq!(i64::from(body.timeout_ms), i64::from(run.setup.request_timeout_ms));
    let mut topics = BTreeSet::new();
    for topic in &body.topic_data {
        prop_assert!(topics.insert((topic.name.to_string(), topic.topic_id)), "a topic came twice");
        let mut partitions = BTreeSet::new();
        for partition in &topic.partition_data {
            prop_assert!(partitions.insert(partition.index), "a partition came twice");
        }
        prop_assert!(!partitions.is_empty());
    }
    prop_assert!(!topics.is_empty() && topics.len() <= world.cluster.topics.len());
    Ok(())
}

/// The batches of each partition, one after the other, hold its records as they were sent.
fn check_records(run: &Run, world: &World) -> Result<(), TestCaseError> {
    let mut expected: BTreeMap<(String, i32), Vec<&Sent>> = BTreeMap::new();
    for sent in &run.records {
        let (topic, partition) = run.place(sent);
        expected.entry((run.names[topic].clone(), partition)).or_default().push(sent);
    }
    let mut found: BTreeMap<(String, i32), Vec<Record>> = BTreeMap::new();
    for (port, topic, partition, records) in world.batches() {
        let leader = world.cluster.topics.iter().find(|known| known.name == topic).expect("ours").leaders
            [usize::try_from(partition).expect("an index")];
        prop_assert_eq!(i32::from(port - klamm_cross_codec::broker::FIRST_PORT), leader);
        let before = found.entry((topic, partition)).or_default();
        let (info, set) = decode_batch(&records);
        prop_assert_eq!((info.min_offset, info.partition_leader_epoch), (0, -1));
        prop_assert!(info.timestamp_type == TimestampType::Creation && !info.control && !info.transactional);
        let codec = run.setup.codec().1;
        // What would not become smaller travels as it is.
        prop_assert!(info.record_count > 0 && [codec, Codec::None].contains(&info.compression));
        if run.setup.idempotence {
            prop_assert_eq!((info.producer_id, info.producer_epoch), run.producer);
            prop_assert_eq!(info.base_sequence, i32::try_from(before.len()).expect("few"));
        } else {
            prop_assert_eq!((info.producer_id, info.producer_epoch, info.base_sequence), (-1, -1, -1));
        }
        let offsets: Vec<i64> = set.records.iter().map(|record| record.offset).collect();
        prop_assert_eq!(offsets, (0..i64::from(info.record_count)).collect::<Vec<_>>());
        before.extend(set.records);
    }
    prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (place, sent) in &expected {
        let found = &found[place];
        prop_assert_eq!(found.len(), sent.len());
        for (record, sent) in found.iter().zip(sent) {
            prop_assert_eq!(&record.key, &sent.key);
            prop_assert_eq!(&record.value, &sent.value);
            let headers: BTreeMap<String, _> =
                record.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            prop_assert_eq!(&headers, &sent.headers);
            let now = if run.setup.clock { WALL_CLOCK } else { -1 };
            prop_assert_eq!(record.timestamp, sent.timestamp.unwrap_or(now));
        }
    }
    Ok(())
}

/// With sound brokers everything is delivered, at offsets one after the other.
fn check_outcomes(run: &Run, world: &World) -> Result<(), TestCaseError> {
    let mut ends: BTreeMap<(TopicId, i32), i64> = BTreeMap::new();
    for told in &world.driver.told {
        let outcome = &told.outcome;
        let delivered = outcome.result.expect("delivered");
        let end = ends.entry((outcome.topic, outcome.partition)).or_default();
        let base = if run.setup.acks == Acks::None { -1 } else { *end };
        prop_assert_eq!((delivered.base_offset, delivered.log_append_time), (base, None));
        *end += i64::from(outcome.count);
    }
    Ok(())
}
