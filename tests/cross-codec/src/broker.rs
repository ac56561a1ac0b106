//! Brokers made of kafka-protocol, and a world of them with one producer.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, ProducerId, RequestKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use klamm_core::{ConnId, Producer};
use uuid::Uuid;

use crate::Versions;
use crate::driver::{Driver, Pieces};
use crate::generate::Tags;
use crate::wire::{Request, decode_batch};

/// Error code: that version of the API is not spoken here.
pub const UNSUPPORTED_VERSION: i16 = 35;
/// Error code: no such topic.
pub const UNKNOWN_TOPIC: i16 = 3;
/// Error code: no topic with that id.
pub const UNKNOWN_TOPIC_ID: i16 = 100;

/// The port of broker 0; the others follow.
pub const FIRST_PORT: u16 = 9000;
/// What the producer is told to start from.
pub const BOOTSTRAP: &str = "127.0.0.1:9000";

/// What one broker offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Ranges by API.
    pub ranges: Vec<(ApiKey, i16, i16)>,
    /// Says which versions of ApiVersions it speaks when it refuses one (KIP-511, from 2.4 on).
    pub names_range: bool,
}

impl Offer {
    /// Exactly these versions.
    #[must_use]
    pub fn exactly(produce: i16, metadata: i16, init_producer_id: i16, api_versions: i16) -> Self {
        let range = |api, version| (api, version, version);
        Self {
            ranges: vec![
                range(ApiKey::Produce, produce),
                range(ApiKey::Metadata, metadata),
                (ApiKey::ApiVersions, 0, api_versions),
                range(ApiKey::InitProducerId, init_producer_id),
            ],
            names_range: true,
        }
    }

    /// One version of Produce, and others of the rest, so that walking through the versions of Produce meets all of theirs.
    #[must_use]
    pub fn around(produce: i16) -> Self {
        let step = produce - PRODUCE_MIN;
        Self::exactly(produce, produce, 1 + step % 5, step % 5)
    }

    fn range(&self, api: ApiKey) -> Option<Versions> {
        self.ranges.iter().find(|(offered, ..)| *offered == api).map(|(_, min, max)| *min..=*max)
    }
}

const PRODUCE_MIN: i16 = *crate::PRODUCE.start();

/// A topic of the cluster.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, told from Metadata v10 on.
    pub id: Uuid,
    /// The leader of each partition.
    pub leaders: Vec<i32>,
}

/// A cluster of brokers 0, 1, … at ports from [`FIRST_PORT`] on.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What each broker offers.
    pub offers: Vec<Offer>,
    /// The topics.
    pub topics: Vec<Topic>,
    /// What InitProducerId gives.
    pub producer: (i64, i16),
    /// Tags on every answer.
    pub tags: Tags,
    /// Next offset by topic and partition.
    ends: BTreeMap<(String, i32), i64>,
}

impl Cluster {
    /// A cluster whose brokers offer the same.
    #[must_use]
    pub fn new(brokers: usize, offer: &Offer) -> Self {
        Self {
            offers: vec![offer.clone(); brokers],
            topics: Vec::new(),
            producer: (4711, 3),
            tags: Tags::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Adds a topic whose partitions are led by the brokers in turn.
    pub fn create(&mut self, name: &str, partitions: usize) {
        let brokers = i32::try_from(self.offers.len()).expect("few brokers");
        let leaders = (0..brokers).cycle().take(partitions).collect();
        let id = Uuid::from_u128(0x6b6c_616d_6d00 + self.topics.len() as u128 + 1);
        self.topics.push(Topic { name: name.to_owned(), id, leaders });
    }

    /// The name of the topic that a Produce request means, if there is such a topic.
    #[must_use]
    pub fn name_of(&self, version: i16, name: &TopicName, id: Uuid) -> Option<String> {
        let meant = |topic: &&Topic| if version < 13 { topic.name.as_str() == name.as_str() } else { topic.id == id };
        self.topics.iter().find(meant).map(|topic| topic.name.clone())
    }

    /// What a sound broker answers; `None` where no answer is due.
    #[must_use]
    pub fn answer(&mut self, request: &Request) -> Option<Vec<u8>> {
        let tags = self.tags.clone();
        match &request.body {
            RequestKind::ApiVersions(_) => Some(self.api_versions(request)),
            RequestKind::Metadata(body) => Some(request.respond(&tags, &self.metadata(body))),
            RequestKind::InitProducerId(_) => Some(request.respond(&tags, &self.producer_id())),
            RequestKind::Produce(body) => {
                let response = self.produce(request.version, body);
                (body.acks != 0).then(|| request.respond(&tags, &response))
            }
            other => panic!("the core does not speak {other:?}"),
        }
    }

    /// Brokers that only an answer spoke of are like the first.
    fn offer(&self, port: u16) -> &Offer {
        let index = usize::from(port.wrapping_sub(FIRST_PORT));
        self.offers.get(index).unwrap_or(&self.offers[0])
    }

    fn api_versions(&self, request: &Request) -> Vec<u8> {
        let offer = self.offer(request.port);
        let entry = |(api, min, max): &(ApiKey, i16, i16)| {
            ApiVersion::default().with_api_key(*api as i16).with_min_version(*min).with_max_version(*max)
        };
        let all: Vec<ApiVersion> = offer.ranges.iter().map(entry).collect();
        let spoken = offer.range(ApiKey::ApiVersions).unwrap_or(0..=0);
        if spoken.contains(&request.version) {
            let response =
                ApiVersionsResponse::default().with_api_keys(all).with_unknown_tagged_fields(self.tags.clone());
            return request.respond(&Tags::new(), &response);
        }
        let own = all.into_iter().filter(|api| offer.names_range && api.api_key == ApiKey::ApiVersions as i16);
        let response = ApiVersionsResponse::default().with_error_code(UNSUPPORTED_VERSION).with_api_keys(own.collect());
        request.respond_as(0, &Tags::new(), &response)
    }

    /// All brokers, and the topics that were asked for.
    #[must_use]
    pub fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let brokers = (0i32..).zip(&self.offers).map(|(id, _)| {
            let port = i32::from(FIRST_PORT) + id;
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str("127.0.0.1"))
                .with_port(port)
                .with_unknown_tagged_fields(self.tags.clone())
        });
        let asked = request.topics.iter().flatten().filter_map(|topic| topic.name.clone());
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_topics(asked.map(|name| self.topic(name)).collect())
            .with_unknown_tagged_fields(self.tags.clone())
    }

    fn topic(&self, name: TopicName) -> MetadataResponseTopic {
        let response = MetadataResponseTopic::default().with_name(Some(name.clone()));
        let Some(topic) = self.topics.iter().find(|topic| name.as_str() == topic.name) else {
            return response.with_error_code(UNKNOWN_TOPIC);
        };
        let partitions = (0i32..).zip(&topic.leaders).map(|(index, leader)| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(*leader))
                .with_leader_epoch(1)
                .with_replica_nodes(vec![BrokerId(*leader)])
                .with_isr_nodes(vec![BrokerId(*leader)])
                .with_unknown_tagged_fields(self.tags.clone())
        });
        response
            .with_topic_id(topic.id)
            .with_partitions(partitions.collect())
            .with_unknown_tagged_fields(self.tags.clone())
    }

    fn producer_id(&self) -> InitProducerIdResponse {
        let (id, epoch) = self.producer;
        InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_unknown_tagged_fields(self.tags.clone())
    }

    /// Appends everything.
    #[must_use]
    pub fn produce(&mut self, version: i16, request: &ProduceRequest) -> ProduceResponse {
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let name = self.name_of(version, &topic.name, topic.topic_id);
            let mut partitions = Vec::new();
            for partition in &topic.partition_data {
                let records = partition.records.as_ref().expect("records");
                let count = i64::from(decode_batch(records).0.record_count);
                let (error, base) = match &name {
                    None => (if version < 13 { UNKNOWN_TOPIC } else { UNKNOWN_TOPIC_ID }, -1),
                    Some(name) => {
                        let end = self.ends.entry((name.clone(), partition.index)).or_default();
                        *end += count;
                        (0, *end - count)
                    }
                };
                let response = PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_error_code(error)
                    .with_base_offset(base)
                    .with_log_append_time_ms(-1)
                    .with_log_start_offset(0)
                    .with_unknown_tagged_fields(self.tags.clone());
                partitions.push(response);
            }
            let response = TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions)
                .with_unknown_tagged_fields(self.tags.clone());
            responses.push(response);
        }
        ProduceResponse::default().with_responses(responses).with_unknown_tagged_fields(self.tags.clone())
    }
}

/// What a broker does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// What a sound broker does.
    Sound,
    /// Nothing.
    Silence,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// A producer and a cluster.
pub struct World {
    /// The producer's side.
    pub driver: Driver,
    /// The other side.
    pub cluster: Cluster,
    /// Every request so far.
    pub seen: Vec<Request>,
}

impl World {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(producer: Producer<'static>, cluster: Cluster, writes: &[usize], reads: &[usize]) -> Self {
        let driver = Driver::new(producer, Pieces::of(writes), Pieces::of(reads));
        Self { driver, cluster, seen: Vec::new() }
    }

    /// Goes on until `done`, with sound brokers, for at most a minute.
    ///
    /// # Panics
    /// If it is not done then.
    pub fn run(&mut self, done: impl Fn(&Self) -> bool) {
        assert!(self.run_with(60_000, |_, _| Reply::Sound, done), "not done within a minute");
    }

    /// Goes on until `done` or for `ms`; `reply` decides on every request. Whether it was done.
    pub fn run_with(
        &mut self,
        ms: u64,
        mut reply: impl FnMut(&mut Cluster, &Request) -> Reply,
        done: impl Fn(&Self) -> bool,
    ) -> bool {
        let until_ms = self.driver.now_ms() + ms;
        for _ in 0..1_000_000 {
            let frames = self.driver.turn();
            let idle = frames.is_empty();
            for frame in frames {
                let request = Request::decode(frame.port, &frame.bytes);
                let bytes = match reply(&mut self.cluster, &request) {
                    Reply::Sound => self.cluster.answer(&request),
                    Reply::Silence => None,
                    Reply::Bytes(bytes) => Some(bytes),
                };
                self.seen.push(request);
                self.feed(frame.conn, bytes.as_deref().unwrap_or_default());
            }
            if idle && done(self) {
                return true;
            }
            if idle && !self.driver.sleep(until_ms) {
                return false;
            }
        }
        panic!("running in a circle");
    }

    fn feed(&mut self, conn: ConnId, bytes: &[u8]) {
        if self.driver.is_open(conn) {
            self.driver.feed(conn, bytes);
        }
    }

    /// The Produce requests so far.
    pub fn produces(&self) -> impl Iterator<Item = (&Request, &ProduceRequest)> {
        self.seen.iter().filter_map(|request| match &request.body {
            RequestKind::Produce(body) => Some((request, body)),
            _ => None,
        })
    }

    /// Every batch so far, in the order in which they were written: port of the broker, topic, partition, bytes.
    ///
    /// # Panics
    /// If a topic was meant that does not exist.
    #[must_use]
    pub fn batches(&self) -> Vec<(u16, String, i32, Bytes)> {
        let mut batches = Vec::new();
        for (request, body) in self.produces() {
            for topic in &body.topic_data {
                let name = self.cluster.name_of(request.version, &topic.name, topic.topic_id);
                let name = name.expect("a topic that exists");
                for partition in &topic.partition_data {
                    let records = partition.records.clone().expect("records");
                    batches.push((request.port, name.clone(), partition.index, records));
                }
            }
        }
        batches
    }

    /// How many records have an outcome.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.driver.told.iter().map(|told| told.outcome.count as usize).sum()
    }
}
