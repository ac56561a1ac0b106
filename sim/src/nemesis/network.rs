//! Troubles of the network, of codecs and of clocks.

use super::{Deed, Trouble};
use crate::world::{Codecs, Cut, Direction, Flip, Network, Pieces, Random, World};
use klamm_core::Instant;
use std::net::{IpAddr, Ipv4Addr};

/// Lets a trouble of the network strike; `None` for other troubles.
pub(super) fn begin(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    // Only the one that knows the trouble draws.
    slow_down(trouble, random, world)
        .or_else(|| take_chances(trouble, random, world))
        .or_else(|| shut_out(trouble, random, world))
        .or_else(|| strike_once(trouble, random, world))
        .or_else(|| mislead(trouble, random, world))
}

/// How fast bytes go, and in which pieces.
fn slow_down(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    Some(match trouble {
        Trouble::Latency => {
            let (least, spread) = (random.below(5000), random.below(*random.clone().pick(&[1000, 20_000, 200_000])));
            set(world, format!("{least} us and more"), |network| {
                swap(&mut network.latency_us, least..=least + spread, |network| &mut network.latency_us)
            })
        }
        Trouble::AsymmetricLatency => {
            let most = random.below(*random.clone().pick(&[1, 2000, 50_000, 500_000]));
            set(world, format!("up to {most} us back"), |network| {
                swap(&mut network.latency_back_us, Some(0..=most), |network| &mut network.latency_back_us)
            })
        }
        Trouble::Bandwidth => {
            // What is on its way in peace has to arrive within some seconds.
            let bytes = *random.pick(&[50, 100, 1000, 5000]);
            set(world, format!("{bytes} bytes/ms"), |network| {
                swap(&mut network.bandwidth_bytes_per_ms, bytes, |network| &mut network.bandwidth_bytes_per_ms)
            })
        }
        Trouble::ShortWrites => {
            let (most, pause_us) = (*random.pick(&[7, 100, 1000]), random.below(3000));
            let old_us = std::mem::replace(&mut world.network_mut().write_pause_us, pause_us);
            let old = std::mem::replace(&mut world.network_mut().write, Pieces::Random(most));
            Deed::until(format!("up to {most} bytes, full for {pause_us} us"), move |world| {
                world.network_mut().write = old;
                world.network_mut().write_pause_us = old_us;
            })
        }
        Trouble::SmallPieces => {
            let most = *random.pick(&[1, 7, 100, 1000]);
            set(world, format!("up to {most} bytes"), |network| {
                swap(&mut network.read, Pieces::Random(most), |network| &mut network.read)
            })
        }
        _ => return None,
    })
}

/// What happens to some connections or look-ups, by chance.
fn take_chances(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    Some(match trouble {
        Trouble::Coalescing => permille(world, 1 + random.below(1000), |network| &mut network.coalesce_permille),
        Trouble::Resets => permille(world, random.within(&(1..=40)), |network| &mut network.reset_permille),
        Trouble::Stalls => {
            world.network_mut().stall_us = 0..=random.within(&(1000..=4_000_000));
            permille(world, random.within(&(1..=60)), |network| &mut network.stall_permille)
        }
        Trouble::Hangs => permille(world, random.within(&(20..=500)), |network| &mut network.hang_permille),
        Trouble::DnsFailures => {
            permille(world, random.within(&(20..=1000)), |network| &mut network.dns_failure_permille)
        }
        Trouble::LateArrivals => permille(world, random.below(1001), |network| &mut network.late_arrival_permille),
        Trouble::Refusals if random.chance(500) => {
            permille(world, random.within(&(20..=500)), |network| &mut network.refuse_permille)
        }
        _ => return None,
    })
}

/// Brokers that cannot be reached, or no longer know their connections.
fn shut_out(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    Some(match trouble {
        Trouble::Refusals => {
            let brokers = some_brokers(random, world);
            let what = format!("by brokers {brokers:?}");
            brokers.iter().for_each(|broker| world.network_mut().refuse(*broker));
            Deed::until(what, move |world| brokers.iter().for_each(|broker| world.network_mut().admit(*broker)))
        }
        Trouble::Partitions => {
            let brokers = some_brokers(random, world);
            let what = format!("from brokers {brokers:?}");
            brokers.iter().for_each(|broker| world.network_mut().block(*broker));
            Deed::until(what, move |world| brokers.iter().for_each(|broker| world.network_mut().unblock(*broker)))
        }
        Trouble::OneWayBlocks => {
            let brokers = some_brokers(random, world);
            let to = random.chance(500);
            for broker in &brokers {
                if to { world.network_mut().block_to(*broker) } else { world.network_mut().block_from(*broker) }
            }
            Deed::until(format!("{} brokers {brokers:?}", if to { "to" } else { "from" }), move |world| {
                let network = world.network_mut();
                let blocked = if to { &mut network.blocked_to } else { &mut network.blocked_from };
                blocked.retain(|broker| !brokers.contains(broker));
            })
        }
        Trouble::HalfOpen => {
            let brokers = some_brokers(random, world);
            let after_us = *random.pick(&[None, None, Some(0), Some(200), Some(100_000), Some(3_000_000)]);
            world.network_mut().forgotten_reset_us = after_us;
            brokers.iter().for_each(|broker| world.forget_connections(*broker));
            Deed::once(format!("brokers {brokers:?}, a reset after {after_us:?} us"))
        }
        _ => return None,
    })
}

/// What strikes once, at one place.
fn strike_once(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    Some(match trouble {
        Trouble::DnsOutages => {
            let until_us = world.now_us() + 1000 * random.below(*random.clone().pick(&[1000, 10_000, 60_000]));
            world.network_mut().dns_down_until_us = until_us;
            Deed::once(format!("until {} ms", until_us / 1000))
        }
        Trouble::MovedHosts => return move_host(random, world),
        Trouble::Disconnects => {
            world.reset_connections();
            Deed::once("of all".to_owned())
        }
        Trouble::Cuts => {
            let connection = world.connections_made() + random.below(3);
            let direction = if random.chance(500) { Direction::ToBroker } else { Direction::ToClient };
            let after = random.below(*random.clone().pick(&[10, 100, 1000, 20_000]));
            world.network_mut().cuts.push(Cut { connection, direction, after });
            Deed::once(format!("connection {connection} after {after} bytes {direction:?}"))
        }
        Trouble::FlippedBytes => {
            let connection = world.connections_made() + random.below(3);
            let (at, mask) = (random.below(2000), 1 << random.below(8));
            world.network_mut().flips.push(Flip { connection, at, mask });
            Deed::once(format!("connection {connection}, byte {at}, {mask:#04x}"))
        }
        _ => return None,
    })
}

/// Codecs and clocks.
fn mislead(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    Some(match trouble {
        Trouble::CodecFaults => {
            let codecs = Codecs {
                delay_us: 0..=*random.pick(&[0, 500, 20_000, 2_000_000]),
                lost_permille: random.below(60) as u32,
                failed_permille: random.below(200) as u32,
                repeated_permille: random.below(200) as u32,
            };
            let what = format!("{codecs:?}");
            let old = std::mem::replace(world.codecs_mut(), codecs);
            Deed::until(what, move |world| *world.codecs_mut() = old)
        }
        Trouble::ClockJumps => {
            let by_ms = random.within(&(0..=*random.clone().pick(&[2000, 7_200_000, 1 << 42]))) as i64;
            let by_ms = if random.chance(500) { by_ms } else { -by_ms };
            let now = Instant::from_micros(world.now_us());
            let unix_ms = world.unix_ms().saturating_add(by_ms);
            world.producer_mut().set_wall_clock(now, unix_ms);
            Deed::until(format!("by {by_ms} ms"), World::set_wall_clock)
        }
        Trouble::ClockLag => {
            let us = *random.pick(&[1, 1000, 50_000, 5_000_000]);
            world.set_clock_lag(us);
            Deed::until(format!("up to {us} us"), |world| world.set_clock_lag(0))
        }
        _ => return None,
    })
}

/// Somewhere else in 10.0.0.0/8, where nobody else is.
fn move_host(random: &mut Random, world: &mut World) -> Option<Deed> {
    let brokers: Vec<i32> = world.cluster().brokers().collect();
    if brokers.is_empty() {
        return None;
    }
    let host = world.cluster().address(*random.pick(&brokers)).0;
    let mut address = || IpAddr::V4(Ipv4Addr::from_bits(0x0a80_0000 | random.below(1 << 23) as u32));
    let addresses = [address(), address()];
    let addresses = &addresses[..1 + random.below(2) as usize];
    world.network_mut().move_host(&host, addresses);
    Some(Deed::once(format!("{host} to {addresses:?}")))
}

/// Brokers that have a trouble at the same time. In clusters of dozens each change is dear, and hundreds show no more.
const AT_ONCE: usize = 12;

/// Mostly one broker, sometimes several, sometimes all.
pub(super) fn some_brokers(random: &mut Random, world: &World) -> Vec<i32> {
    let all: Vec<i32> = world.cluster().brokers().collect();
    if all.len() <= AT_ONCE && random.chance(150) || all.is_empty() {
        return all;
    }
    let count = if random.chance(700) { 1 } else { 1 + random.below(all.len().min(AT_ONCE) as u64) };
    let mut chosen: Vec<i32> = (0..count).map(|_| *random.pick(&all)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

type UndoNetwork = Box<dyn FnOnce(&mut Network)>;

/// Puts a value in place of another, which can be put back.
fn swap<T: 'static>(place: &mut T, value: T, at: fn(&mut Network) -> &mut T) -> UndoNetwork {
    let old = std::mem::replace(place, value);
    Box::new(move |network| *at(network) = old)
}

fn set(world: &mut World, what: String, change: impl FnOnce(&mut Network) -> UndoNetwork) -> Deed {
    let undo = change(world.network_mut());
    Deed::until(what, move |world| undo(world.network_mut()))
}

fn permille(world: &mut World, permille: u64, at: fn(&mut Network) -> &mut u32) -> Deed {
    set(world, format!("{permille} permille"), |network| swap(at(network), permille as u32, at))
}
