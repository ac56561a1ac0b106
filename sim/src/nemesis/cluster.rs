//! Troubles of brokers, partitions and topics.

use super::network::some_brokers;
use super::{Deed, Trouble};
use crate::cluster::CONTROLLER;
use crate::versions::VersionSet;
use crate::world::{Random, World};

/// No byte is on its way for longer, held up as it may be.
const LONGEST_WAY_MS: u64 = 120_000;
/// No topic grows beyond this.
const PARTITIONS_MAX: u32 = 64;

/// Lets a trouble of the cluster strike; `None` for other troubles, and if there is nothing to strike at.
pub(super) fn begin(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    match trouble {
        Trouble::Kills => Some(kill(random, world)),
        Trouble::Pauses | Trouble::Shutdowns => Some(silence(trouble, random, world)),
        Trouble::BrokerCuts => cut(random, world),
        Trouble::ControllerOutages => {
            world.cluster_mut().stop_controller();
            Some(Deed::until("of the controller".to_owned(), |world| {
                let now_ms = world.now_ms();
                world.cluster_mut().start_controller(now_ms);
            }))
        }
        Trouble::SlowReplication
        | Trouble::IsrShrinks
        | Trouble::MetadataLag
        | Trouble::SlowSessions
        | Trouble::UncleanElections => Some(replication(trouble, random, world)),
        Trouble::SlowDisks => {
            let brokers = some_brokers(random, world);
            let most_ms = *random.pick(&[5, 50, 300, 1500]);
            brokers.iter().for_each(|broker| world.cluster_mut().set_disk(*broker, 0..=most_ms));
            Some(Deed::until(format!("of {brokers:?}, up to {most_ms} ms"), move |world| {
                let disk_ms = world.cluster_mut().options_mut().disk_ms.clone();
                brokers.iter().for_each(|broker| world.cluster_mut().set_disk(*broker, disk_ms.clone()));
            }))
        }
        Trouble::Quotas => {
            // Debts outlive the quota, so they must not be for minutes.
            let rate = *random.pick(&[20_000, 100_000, 500_000]);
            let old = world.cluster_mut().options_mut().producer_byte_rate.replace(rate);
            Some(Deed::until(format!("{rate} bytes/s"), move |world| {
                world.cluster_mut().options_mut().producer_byte_rate = old;
            }))
        }
        Trouble::ProducerIdExpiration => {
            // Nothing of a producer is under way for so long.
            let idle_ms = world.delivery_timeout_ms() + LONGEST_WAY_MS + random.below(60_000);
            let old = world.cluster_mut().options_mut().producer_id_expiration_ms.replace(idle_ms);
            Some(Deed::until(format!("after {idle_ms} ms"), move |world| {
                world.cluster_mut().options_mut().producer_id_expiration_ms = old;
            }))
        }
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
    let now_ms = world.now_ms();
    world.cluster_mut().upgrade(now_ms, broker, releases[release]());
    Some(Deed::once(format!("broker {broker} to release {release}")))
}

/// Brokers that answer nothing, and come back: stopped by a signal, or in the orderly way.
fn silence(trouble: Trouble, random: &mut Random, world: &mut World) -> Deed {
    let brokers = some_brokers(random, world);
    let now_ms = world.now_ms();
    for broker in &brokers {
        match trouble {
            Trouble::Pauses => world.cluster_mut().pause(*broker),
            _ => world.cluster_mut().shutdown(now_ms, *broker),
        }
    }
    Deed::until(format!("brokers {brokers:?}"), move |world| {
        let now_ms = world.now_ms();
        for broker in &brokers {
            if trouble == Trouble::Pauses {
                world.cluster_mut().resume(now_ms, *broker);
            } else {
                // One that did not come to its end yet, is brought to it.
                world.cluster_mut().kill(*broker);
                world.cluster_mut().restart(now_ms, *broker);
            }
        }
    })
}

/// Cuts some brokers off from others or the controller, one way or both.
fn cut(random: &mut Random, world: &mut World) -> Option<Deed> {
    let mut nodes: Vec<i32> = world.cluster().brokers().collect();
    nodes.push(CONTROLLER);
    let count = *random.pick(&[1, 1, 1, 3, 8]);
    let both = random.chance(500);
    let mut links = Vec::new();
    for _ in 0..count {
        let (from, to) = (*random.pick(&nodes), *random.pick(&nodes));
        if from != to {
            links.push((from, to));
            links.extend(both.then_some((to, from)));
        }
    }
    if links.is_empty() {
        return None;
    }
    links.iter().for_each(|(from, to)| world.cluster_mut().cut(*from, *to));
    Some(Deed::until(format!("{links:?}"), move |world| {
        let now_ms = world.now_ms();
        links.iter().for_each(|(from, to)| world.cluster_mut().mend(now_ms, *from, *to));
    }))
}

/// Delays between replicas, brokers and controller; each trouble changes a field of its own.
fn replication(trouble: Trouble, random: &mut Random, world: &mut World) -> Deed {
    let ms = *random.pick(&[5, 50, 300, 1000, 4000]);
    let replication = &mut world.cluster_mut().options_mut().replication;
    let old = replication.clone();
    match trouble {
        Trouble::SlowReplication => replication.fetch_ms = 0..=ms,
        Trouble::IsrShrinks => replication.lag_time_max_ms = ms,
        Trouble::MetadataLag => replication.propagation_ms = 0..=ms,
        Trouble::SlowSessions => replication.session_ms = ms,
        _ => replication.unclean = true,
    }
    Deed::until(format!("{ms} ms"), move |world| {
        let replication = &mut world.cluster_mut().options_mut().replication;
        match trouble {
            Trouble::SlowReplication => replication.fetch_ms = old.fetch_ms,
            Trouble::IsrShrinks => replication.lag_time_max_ms = old.lag_time_max_ms,
            Trouble::MetadataLag => replication.propagation_ms = old.propagation_ms,
            Trouble::SlowSessions => replication.session_ms = old.session_ms,
            _ => replication.unclean = old.unclean,
        }
    })
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
