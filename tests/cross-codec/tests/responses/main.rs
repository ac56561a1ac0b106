//! Whatever kafka-protocol encodes, the core takes for the same facts, in pieces of any size.

mod hostile;
mod identity;
mod metadata;
mod produce;

use std::collections::BTreeMap;

use klamm_core::{Record, TopicId};
use klamm_cross_codec::broker::{Cluster, Offer, World};
use klamm_cross_codec::generate::{Setup, Tags};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

/// Error codes: all that have a name, and some that have none yet.
fn error_code() -> BoxedStrategy<i16> {
    prop_oneof![4 => -1..=136i16, 3 => Just(0), 1 => any::<i16>()].boxed()
}

/// An offset or a time.
fn number() -> BoxedStrategy<i64> {
    prop_oneof![Just(-1), Just(0), 0..100_000i64, any::<i64>()].boxed()
}

/// Milliseconds, or nonsense.
fn throttle() -> BoxedStrategy<i32> {
    prop_oneof![4 => Just(0), 1 => 0..5_000, 1 => i32::MIN..0].boxed()
}

/// Bytes behind everything, in the same frame: a broker that is newer than its version numbers. Kafka's client passes them over.
fn trailing() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(any::<u8>(), 1..20)].boxed()
}

/// The frame with more at its end.
fn with_trailing(mut frame: Vec<u8>, trailing: &[u8]) -> Vec<u8> {
    frame.extend_from_slice(trailing);
    let size = u32::try_from(frame.len() - 4).expect("a small frame");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

/// A world of one broker with topics of so many partitions, all known, and their ids.
fn world(offer: &Offer, setup: &Setup, partitions: &BTreeMap<String, usize>, reads: &[usize]) -> (World, Vec<TopicId>) {
    let mut cluster = Cluster::new(1, offer);
    for (name, partitions) in partitions {
        cluster.create(name, *partitions);
    }
    let mut world = World::new(setup.producer(), cluster, &[], reads);
    let producer = &mut world.driver.producer;
    let topics: Vec<TopicId> = partitions.keys().map(|name| producer.topic(name).expect("a topic")).collect();
    world.run(|world| topics.iter().all(|topic| world.driver.producer.partition_count(*topic).is_some()));
    (world, topics)
}

/// Sends a small record.
fn send(world: &mut World, topic: TopicId, partition: i32) {
    let now = world.driver.now();
    world.driver.producer.send(now, topic, &Record::value(b"v").to_partition(partition)).expect("room");
}

/// No tags.
fn none() -> Tags {
    Tags::new()
}
