//! Answers to Metadata.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, RequestKind, TopicName};
use kafka_protocol::protocol::StrBytes;
use klamm_core::{ErrorCode, Record, TopicId};
use klamm_cross_codec::broker::{Cluster, Offer, Reply, World};
use klamm_cross_codec::generate::{Setup, Tags, nullable_text, pieces, tags, text, topic_names};
use klamm_cross_codec::wire::Request;
use klamm_cross_codec::{METADATA, check};
use proptest::collection::{btree_map, vec};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use uuid::Uuid;

use super::{error_code, throttle, trailing, with_trailing};

/// Ports of the brokers that answers speak of.
const PORTS: u16 = 10_000;

#[derive(Clone, Debug)]
struct Broker {
    host: StrBytes,
    rack: Option<StrBytes>,
    tags: Tags,
}

#[derive(Clone, Debug)]
struct Partition {
    error: i16,
    leader: i32,
    epoch: i32,
    replicas: [Vec<i32>; 3],
    /// Where it stands among the others.
    rank: u16,
    /// Left out altogether.
    missing: bool,
    tags: Tags,
}

#[derive(Clone, Debug)]
struct Topic {
    error: i16,
    id: u128,
    internal: bool,
    operations: i32,
    partitions: Vec<Partition>,
    rank: u16,
    tags: Tags,
}

#[derive(Clone, Debug)]
struct Plan {
    /// Ours; not every one is answered.
    topics: BTreeMap<String, Option<Topic>>,
    /// Nobody asked for these.
    others: Vec<(Option<StrBytes>, Topic)>,
    brokers: BTreeMap<i32, Broker>,
    cluster_id: Option<StrBytes>,
    controller: i32,
    operations: i32,
    error: i16,
    throttle: i32,
    tags: [Tags; 2],
    trailing: Vec<u8>,
    reads: Vec<usize>,
}

fn partition() -> BoxedStrategy<Partition> {
    let ids = || vec(any::<i32>(), 0..5);
    // Brokers have ids from 0 to 5, or up to the largest.
    let leader = prop_oneof![8 => 0..6i32, 1 => Just(-1), 1 => Just(i32::MAX), 1 => any::<i32>()];
    let error = prop_oneof![3 => Just(0), 1 => error_code()];
    let missing = prop_oneof![15 => Just(false), 1 => Just(true)];
    (error, leader, any::<i32>(), [ids(), ids(), ids()], any::<u16>(), missing, tags())
        .prop_map(|(error, leader, epoch, replicas, rank, missing, tags)| Partition {
            error,
            leader,
            epoch,
            replicas,
            rank,
            missing,
            tags,
        })
        .boxed()
}

fn topic() -> BoxedStrategy<Topic> {
    let error = prop_oneof![4 => Just(0), 1 => error_code()];
    let partitions = prop_oneof![20 => vec(partition(), 0..8), 1 => vec(partition(), 100..400)];
    (error, 1..u128::MAX, any::<bool>(), any::<i32>(), partitions, any::<u16>(), tags())
        .prop_map(|(error, id, internal, operations, partitions, rank, tags)| Topic {
            error,
            id,
            internal,
            operations,
            partitions,
            rank,
            tags,
        })
        .boxed()
}

fn plan() -> BoxedStrategy<Plan> {
    let host = prop_oneof![
        3 => Just(StrBytes::from_static_str("127.0.0.1")),
        1 => Just(StrBytes::from_static_str("::1")),
        3 => text(60),
        1 => "[a-z]{253}".prop_map(StrBytes::from_string),
        1 => "[a-z]{254,300}".prop_map(StrBytes::from_string),
    ];
    let broker = (host, nullable_text(20), tags()).prop_map(|(host, rack, tags)| Broker { host, rack, tags }).boxed();
    let brokers = btree_map(prop_oneof![9 => 0..6i32, 1 => Just(i32::MAX)], broker, 1..7);
    let answered = prop_oneof![9 => topic().prop_map(Some), 1 => Just(None)];
    let topics = topic_names(1..4).prop_flat_map(move |names| {
        let count = names.len();
        vec(answered.clone(), count).prop_map(move |topics| names.iter().cloned().zip(topics).collect())
    });
    let others = vec((proptest::option::of("other[a-z]{0,8}".prop_map(StrBytes::from_string)), topic()), 0..3);
    let error = error_code().prop_filter("asks for another start", |error| *error != 129);
    let rest = (any::<i32>(), any::<i32>(), error, throttle(), [tags(), tags()], trailing(), pieces());
    (topics, others, brokers, nullable_text(30), rest)
        .prop_map(|(topics, others, brokers, cluster_id, rest)| {
            let (controller, operations, error, throttle, tags, trailing, reads) = rest;
            Plan { topics, others, brokers, cluster_id, controller, operations, error, throttle, tags, trailing, reads }
        })
        .boxed()
}

impl Topic {
    fn encode(&self, name: Option<&str>, version: i16) -> MetadataResponseTopic {
        let mut partitions: Vec<(i32, &Partition)> =
            (0i32..).zip(&self.partitions).filter(|(_, partition)| !partition.missing).collect();
        partitions.sort_by_key(|(_, partition)| partition.rank);
        let partitions = partitions.into_iter().map(|(index, partition)| {
            let [replicas, isr, offline] = &partition.replicas;
            let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
            MetadataResponsePartition::default()
                .with_error_code(partition.error)
                .with_partition_index(index)
                .with_leader_id(BrokerId(partition.leader))
                .with_leader_epoch(partition.epoch)
                .with_replica_nodes(ids(replicas))
                .with_isr_nodes(ids(isr))
                .with_offline_replicas(ids(offline))
                .with_unknown_tagged_fields(partition.tags.clone())
        });
        let response = MetadataResponseTopic::default()
            .with_error_code(self.error)
            .with_name(name.map(|name| TopicName(StrBytes::from_string(name.to_owned()))))
            .with_topic_id(Uuid::from_u128(self.id))
            .with_is_internal(self.internal)
            .with_partitions(partitions.collect())
            .with_unknown_tagged_fields(self.tags.clone());
        if version < 8 { response } else { response.with_topic_authorized_operations(self.operations) }
    }

    /// How many partitions there are, if that was told. One that was left out moves none of the others.
    fn partition_count(&self) -> Option<u32> {
        // The largest index that is told, plus one: one that is left out for a moment still exists.
        let last = self.partitions.iter().rposition(|partition| !partition.missing)?;
        (self.error == 0).then(|| u32::try_from(last + 1).expect("few"))
    }
}

impl Plan {
    fn encode(&self, request: &Request) -> Vec<u8> {
        let version = request.version;
        // Only from v12 on a topic may have no name.
        let named = |name: &Option<StrBytes>| version >= 12 || name.is_some();
        let others = self.others.iter().filter(|(name, _)| named(name)).map(|(name, topic)| (name.as_deref(), topic));
        let ours = self.topics.iter().filter_map(|(name, topic)| Some((Some(name.as_str()), topic.as_ref()?)));
        let mut topics: Vec<(Option<&str>, &Topic)> = ours.chain(others).collect();
        topics.sort_by_key(|(_, topic)| topic.rank);
        let brokers = (PORTS..).zip(&self.brokers).map(|(port, (id, broker))| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(broker.host.clone())
                .with_port(i32::from(port))
                .with_rack(broker.rack.clone())
                .with_unknown_tagged_fields(broker.tags.clone())
        });
        let response = MetadataResponse::default()
            .with_throttle_time_ms(self.throttle)
            .with_brokers(brokers.collect())
            .with_cluster_id(self.cluster_id.clone())
            .with_controller_id(BrokerId(self.controller))
            .with_topics(topics.into_iter().map(|(name, topic)| topic.encode(name, version)).collect())
            .with_error_code(if version >= 13 { self.error } else { 0 })
            .with_unknown_tagged_fields(self.tags[0].clone());
        let response = match version {
            8..=10 => response.with_cluster_authorized_operations(self.operations),
            _ => response,
        };
        with_trailing(request.respond(&self.tags[1], &response), &self.trailing)
    }

    /// Every Metadata request gets the same answer.
    fn go_on(&self, world: &mut World, ms: u64) {
        let answer = |_: &mut Cluster, request: &Request| match &request.body {
            RequestKind::Metadata(_) => Reply::Bytes(self.encode(request)),
            _ => Reply::Sound,
        };
        world.run_with(ms, answer, |_| false);
    }

    /// Port and host of the leader of a partition that can be sent to.
    fn leader(&self, topic: &Topic, index: usize) -> Option<(u16, &str)> {
        let partition = topic.partitions.get(index).filter(|partition| !partition.missing)?;
        let known = (PORTS..).zip(&self.brokers).find(|(_, (id, _))| **id == partition.leader);
        let (port, (_, broker)) = known?;
        (1..=253).contains(&broker.host.len()).then_some((port, &*broker.host))
    }

    fn play(&self, version: i16) -> (World, Vec<TopicId>) {
        let mut cluster = Cluster::new(1, &Offer::around(version));
        for (name, topic) in &self.topics {
            cluster.create(name, 1);
            if let (Some(created), Some(topic)) = (cluster.topics.last_mut(), topic) {
                created.id = Uuid::from_u128(topic.id);
            }
        }
        let mut world = World::new(Setup::plain().producer(), cluster, &[], &self.reads);
        let producer = &mut world.driver.producer;
        let topics: Vec<TopicId> = self.topics.keys().map(|name| producer.topic(name).expect("a topic")).collect();
        self.go_on(&mut world, 3_000);
        (world, topics)
    }

    fn check(&self, version: i16) -> Result<(), TestCaseError> {
        let (mut world, topics) = self.play(version);
        for (id, topic) in topics.iter().zip(self.topics.values()) {
            let count = topic.as_ref().and_then(Topic::partition_count);
            prop_assert_eq!(world.driver.producer.partition_count(*id), count);
            let error = topic.as_ref().map_or(0, |topic| topic.error);
            prop_assert_eq!(world.driver.producer.topic_error(*id), ErrorCode::from(error));
            let now = world.driver.now();
            for partition in 0..count.unwrap_or(0) {
                let record = Record::value(b"v").to_partition(i32::try_from(partition).expect("few"));
                world.driver.producer.send(now, *id, &record).expect("room");
            }
        }
        self.go_on(&mut world, 5_000);
        prop_assert_eq!(&world.driver.peer_errors, &[]);
        self.check_leaders(&world)
    }

    /// Each batch went to the leader that was told, and all that could go went.
    fn check_leaders(&self, world: &World) -> Result<(), TestCaseError> {
        let mut expected = BTreeSet::new();
        for (name, topic) in &self.topics {
            let Some(topic) = topic else { continue };
            for index in 0..topic.partition_count().unwrap_or(0) {
                if let Some((port, host)) = self.leader(topic, index as usize) {
                    expected.insert((port, name.clone(), i32::try_from(index).expect("few")));
                    let resolved = world.driver.resolved.iter().any(|resolved| resolved == host);
                    prop_assert!(resolved || host.parse::<std::net::IpAddr>().is_ok(), "{}", host);
                }
            }
        }
        let batches = world.batches();
        let sent: BTreeSet<_> =
            batches.iter().map(|(port, topic, partition, _)| (*port, topic.clone(), *partition)).collect();
        prop_assert_eq!(&sent, &expected);
        prop_assert_eq!(sent.len(), batches.len());
        Ok(())
    }
}

#[test]
fn every_answer_is_believed() {
    for version in METADATA {
        check(40, &plan(), |plan| plan.check(version));
    }
}

/// As many partitions and replicas as the largest clusters have.
#[test]
fn huge_answers_are_read() {
    for version in METADATA {
        let partition = |index: u16| Partition {
            error: 0,
            leader: i32::from(index % 6),
            epoch: 1,
            replicas: [vec![1; 10], vec![2; 10], vec![]],
            rank: index.wrapping_mul(31_337),
            missing: false,
            tags: Tags::new(),
        };
        let topic = Topic {
            error: 0,
            id: 7,
            internal: false,
            operations: 0,
            partitions: (0..4_000).map(partition).collect(),
            rank: 0,
            tags: Tags::new(),
        };
        let broker = Broker { host: StrBytes::from_static_str("127.0.0.1"), rack: None, tags: Tags::new() };
        let plan = Plan {
            topics: BTreeMap::from([("t".to_owned(), Some(topic))]),
            others: Vec::new(),
            brokers: (0..6).map(|id| (id, broker.clone())).collect(),
            cluster_id: None,
            controller: 0,
            operations: 0,
            error: 0,
            throttle: 0,
            tags: [Tags::new(), Tags::new()],
            trailing: Vec::new(),
            reads: vec![1460],
        };
        let (world, topics) = plan.play(version);
        assert_eq!(world.driver.producer.partition_count(topics[0]), Some(4_000));
        assert_eq!(world.driver.peer_errors, []);
    }
}
