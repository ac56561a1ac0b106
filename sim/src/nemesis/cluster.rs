//! Troubles of brokers, partitions and topics.

use super::network::some_brokers;
use super::{Deed, Trouble};
use crate::versions::VersionSet;
use crate::world::{Random, World};

/// No topic grows beyond this.
const PARTITIONS_MAX: u32 = 64;

/// Lets a trouble of the cluster strike; `None` for other troubles, and if there is nothing to strike at.
pub(super) fn begin(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    match trouble {
        Trouble::Kills => Some(kill(random, world)),
        Trouble::RollingUpgrade => upgrade(random, world),
        Trouble::MinIsr => {
            let replicas = 1 + random.below(world.cluster().brokers().count() as u64 + 1) as u32;
            let old = std::mem::replace(&mut world.cluster_mut().options_mut().min_insync_replicas, replicas);
            Some(Deed::until(format!("{replicas}"), move |world| {
                world.cluster_mut().options_mut().min_insync_replicas = old;
            }))
        }
        Trouble::MessageSizeLimits => {
            let bytes = *random.pick(&[150, 500, 3000, 20_000]);
            let old = std::mem::replace(&mut world.cluster_mut().options_mut().max_message_bytes, bytes);
            Some(Deed::until(format!("{bytes}"), move |world| {
                world.cluster_mut().options_mut().max_message_bytes = old;
            }))
        }
        Trouble::TopicDeletion | Trouble::TopicRecreation | Trouble::PartitionGrowth => topic(trouble, random, world),
        Trouble::LeaderMoves
        | Trouble::Leaderless
        | Trouble::Retention
        | Trouble::Truncation
        | Trouble::ProducerExpiry => partition(trouble, random, world),
        _ => None,
    }
}

fn kill(random: &mut Random, world: &mut World) -> Deed {
    let brokers = some_brokers(random, world);
    let what = format!("brokers {brokers:?}");
    brokers.iter().for_each(|broker| world.cluster_mut().kill(*broker));
    Deed::until(what, move |world| {
        let now_ms = world.now_ms();
        brokers.iter().for_each(|broker| world.cluster_mut().restart(now_ms, *broker));
    })
}

fn upgrade(random: &mut Random, world: &mut World) -> Option<Deed> {
    let brokers: Vec<i32> = world.cluster().brokers().collect();
    if brokers.is_empty() {
        return None;
    }
    let releases = [
        VersionSet::kafka_2_1,
        VersionSet::kafka_2_4,
        VersionSet::kafka_2_8,
        VersionSet::kafka_3_3,
        VersionSet::kafka_3_9,
        VersionSet::kafka_4_0,
        VersionSet::kafka_4_3,
        VersionSet::kafka_4_4,
    ];
    let broker = *random.pick(&brokers);
    let release = random.below(releases.len() as u64) as usize;
    world.cluster_mut().kill(broker);
    Some(Deed::until(format!("broker {broker} to release {release}"), move |world| {
        let now_ms = world.now_ms();
        world.cluster_mut().set_versions(broker, releases[release]());
        world.cluster_mut().restart(now_ms, broker);
    }))
}

fn topic(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    let name = some_topic(random, world)?;
    let count = world.cluster().partition_count(&name);
    Some(match trouble {
        Trouble::TopicDeletion => {
            world.cluster_mut().delete_topic(&name);
            Deed::until(format!("{name} with {count} partitions"), move |world| {
                world.cluster_mut().create_topic(&name, count);
            })
        }
        Trouble::TopicRecreation => {
            world.cluster_mut().recreate_topic(&name);
            Deed::once(name)
        }
        _ => {
            let more = (1 + random.below(3) as u32).min(PARTITIONS_MAX.saturating_sub(count));
            world.cluster_mut().add_partitions(&name, more);
            Deed::once(format!("{name} to {}", count + more))
        }
    })
}

fn partition(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    let name = some_topic(random, world)?;
    let partition = random.below(world.cluster().partition_count(&name).into()) as u32;
    let what = format!("{name}-{partition}");
    let (start, end) = world.cluster().offsets(&name, partition)?;
    let offset = start + random.below((end - start) as u64 + 1) as i64;
    let cluster = world.cluster_mut();
    Some(match trouble {
        Trouble::LeaderMoves => {
            let alive: Vec<i32> = cluster.brokers().filter(|broker| cluster.is_alive(*broker)).collect();
            let leader = if alive.is_empty() { return None } else { *random.pick(&alive) };
            cluster.move_leader(&name, partition, leader);
            Deed::once(format!("{what} to broker {leader}"))
        }
        Trouble::Leaderless => {
            let (leader, _) = cluster.leader(&name, partition)?;
            cluster.move_leader(&name, partition, -1);
            Deed::until(what, move |world| {
                let cluster = world.cluster_mut();
                let without = cluster.leader(&name, partition).is_some_and(|(leader, _)| leader < 0);
                if without && cluster.is_alive(leader) {
                    cluster.move_leader(&name, partition, leader);
                }
            })
        }
        Trouble::Retention => {
            cluster.delete_records(&name, partition, offset);
            Deed::once(format!("{what} before {offset}"))
        }
        Trouble::Truncation => {
            cluster.truncate(&name, partition, offset);
            Deed::once(format!("{what} from {offset}"))
        }
        _ => {
            cluster.forget_producers(&name, partition);
            Deed::once(what)
        }
    })
}

/// A topic that exists.
fn some_topic(random: &mut Random, world: &World) -> Option<String> {
    let topics: Vec<String> =
        world.topic_names().into_iter().filter(|topic| world.cluster().partition_count(topic) > 0).collect();
    if topics.is_empty() { None } else { Some(random.pick(&topics).clone()) }
}
