//! What the suites share: small worlds and looks at what brokers saw.

pub mod swarm;

pub use klamm_core::*;
pub use klamm_sim::world::{
    Checks, Codecs, Cut, Direction, Flip, Network, Outcome, Pieces, Random, World, WorldOptions,
};
pub use klamm_sim::{
    Action as Do, Api, Cluster, ClusterOptions, Fault, Replication, SeenBatch, SeenRequest, TopicOptions, VersionSet,
    error,
};

/// A world with a topic `t` of this many partitions, and the topic.
#[must_use]
pub fn world_with(options: WorldOptions, partitions: u32) -> (World, TopicId) {
    let mut world = World::new(options);
    world.cluster_mut().create_topic("t", partitions);
    let topic = world.topic("t");
    (world, topic)
}

/// The same with Kafka's defaults.
#[must_use]
pub fn world(partitions: u32) -> (World, TopicId) {
    world_with(WorldOptions::seeded(1), partitions)
}

/// A world that is connected, knows its topic's leaders and has a producer id: metadata does not disturb what follows.
#[must_use]
pub fn warm(options: WorldOptions, partitions: u32) -> (World, TopicId) {
    let (mut world, topic) = world_with(options, partitions);
    // Metadata comes first, for records with a partition.
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 10_000), "no metadata");
    for partition in 0..partitions {
        world.send_to(topic, partition as i32, format!("warm {partition}")).expect("there is room");
    }
    world.flush();
    assert!(world.run_until_idle(60_000), "warm");
    world.cluster_mut().clear_requests();
    world.clear_events();
    (world, topic)
}

/// The Produce requests that brokers saw.
pub fn produces(world: &World) -> impl Iterator<Item = &SeenRequest> {
    world.cluster().requests().iter().filter(|request| request.api_key == Api::Produce.key())
}

/// The batches that brokers saw for a partition, with their times.
#[must_use]
pub fn batches(world: &World, partition: i32) -> Vec<(u64, SeenBatch)> {
    let of = |request: &SeenRequest| -> Vec<(u64, SeenBatch)> {
        let own = request.batches.iter().filter(|batch| batch.partition == partition);
        own.map(|batch| (request.now_ms, batch.clone())).collect()
    };
    produces(world).flat_map(of).collect()
}

/// The requests of one API that brokers saw.
#[must_use]
pub fn count(world: &World, api: Api) -> usize {
    world.cluster().requests().iter().filter(|request| request.api_key == api.key()).count()
}

/// The values in a partition's log.
#[must_use]
pub fn values(world: &World, partition: u32) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    world.cluster().log("t", partition).into_iter().map(|record| text(record.value)).collect()
}

/// Options for a cluster of one broker.
#[must_use]
pub fn one_broker() -> WorldOptions {
    brokers(1)
}

/// Options for a cluster of this many brokers.
#[must_use]
pub fn brokers(brokers: u32) -> WorldOptions {
    WorldOptions::seeded(1).cluster(ClusterOptions { brokers, ..ClusterOptions::default() })
}

/// Every batch that was sent again under the same identity and sequence had the same bytes: it was frozen (PITFALLS 4).
pub fn assert_frozen(world: &World) {
    let mut seen = std::collections::BTreeMap::new();
    for batch in produces(world).flat_map(|request| &request.batches).filter(|batch| batch.producer_id >= 0) {
        let name = (batch.topic.clone(), batch.partition, batch.producer_id, batch.producer_epoch, batch.base_sequence);
        let bytes = (batch.records, batch.bytes, batch.crc);
        assert_eq!(*seen.entry(name).or_insert(bytes), bytes, "{batch:?}");
    }
}
