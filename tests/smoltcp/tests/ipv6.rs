//! Brokers over IPv6: by address and by name, alone and beside IPv4.

use klamm_core::{Config, Disconnect, Problem};
use klamm_smoltcp_tests::{BOARD6, Faults, HOST, HOST6, Setup, World};
use std::net::{IpAddr, Ipv6Addr};

/// A board and brokers that have nothing but IPv6.
fn alone(seed: u64) -> Setup {
    Setup { host: HOST6.to_string(), address: false, address6: true, records: 200, ..Setup::new(seed) }
}

fn named(setup: Setup) -> Setup {
    Setup { host: "kafka.example".into(), dns: true, ..setup }
}

fn know(world: &mut World, addresses: &[IpAddr]) {
    world.host.names.known.insert("kafka.example".into(), addresses.to_vec());
}

/// What the board is told is `[fd00::1]:9092`; what brokers tell is `fd00::1`.
#[test]
fn brokers_by_address() {
    let mut world = World::new(&alone(1));
    world.deliver_all(60_000);
    assert_eq!(world.board.application.problems, []);
    assert_eq!(world.board.addresses(), [BOARD6.into()]);
}

#[test]
fn brokers_by_name() {
    let mut world = World::new(&named(alone(2)));
    know(&mut world, &[HOST.into(), HOST6.into()]);
    world.deliver_all(60_000);
    assert_eq!(world.board.application.problems, []);
    assert!(world.host.names.asked >= 3, "{}", world.host.names.asked);
}

/// The board has both families, the brokers' name has only an IPv6 address: that is asked for second.
#[test]
fn a_name_of_the_second_family() {
    let mut world = World::new(&named(Setup { address: true, ..alone(3) }));
    know(&mut world, &[HOST6.into()]);
    world.deliver_all(60_000);
    assert_eq!(world.board.application.problems, []);
}

/// The first address of the name leads nowhere.
#[test]
fn a_name_with_several_addresses() {
    let mut world = World::new(&named(alone(4)));
    know(&mut world, &["fd00::77".parse().expect("an address"), HOST6.into()]);
    world.deliver_all(180_000);
}

/// There is nobody to ask in that family, and nobody who could answer in the other.
#[test]
fn a_name_without_an_address_of_ours() {
    let mut world = World::new(&named(alone(5)));
    know(&mut world, &[HOST.into()]);
    world.run_for(5_000);
    assert_eq!(world.board.application.problems, [Problem::Unreachable(Disconnect::Dns)]);
    know(&mut world, &[HOST6.into()]);
    world.deliver_all(60_000);
}

/// A broker's address is of a family that the board has not: it says so and goes on trying.
#[test]
fn an_address_of_the_other_family() {
    let mut world = World::new(&Setup { address: true, address6: false, ..alone(6) });
    world.run_for(5_000);
    assert_eq!(world.board.application.problems, [Problem::Unreachable(Disconnect::Unreachable)]);
    world.board.set_address6(Some(BOARD6));
    world.deliver_all(60_000);
}

#[test]
fn a_bad_wire() {
    for seed in 0..20 {
        let faults = Faults { loss: 80, corruption: 40, duplication: 40, delay_us: 100..=100_000 };
        let mut world = World::new(&Setup { faults, sockets: 1 + seed as usize % 3, value_bytes: 250, ..alone(seed) });
        world.deliver_all(3_600_000);
        assert!(world.wire.struck() >= 10);
    }
}

/// The network is numbered anew: connections from the old address end at once, and others begin.
#[test]
fn another_prefix() {
    for seed in 0..5 {
        let mut world = World::new(&Setup { records: 600, interval_us: 50_000, ..alone(seed) });
        world.run_until(10_000, |world| world.board.application.delivered() >= 20);
        let closed = world.board.producer.stats().connections_closed;
        world.board.set_address6(Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, seed as u16)));
        let (before, delivered) = (world.now_ms(), world.board.application.delivered());
        world.run_until(5_000, |world| world.board.application.delivered() > delivered + 20);
        assert!(world.now_ms() - before <= 3_000, "{} ms", world.now_ms() - before);
        assert!(world.board.producer.stats().connections_closed > closed);
        world.deliver_all(120_000);
    }
}

/// A card has an address for its own link from the first moment on. It leads to no broker: the board waits for one that does, as
/// it does without any, and begins at once when that comes.
#[test]
fn an_address_for_the_link_alone() {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    for (seed, by_name, by_dhcp) in [(0, false, false), (1, true, false), (2, false, true), (3, true, true)] {
        let host = if by_dhcp { IpAddr::from(HOST) } else { HOST6.into() };
        let configure: fn(&mut Config<'static>) = |config| config.partitioner_ignore_keys = true;
        let setup = Setup { host: host.to_string(), address6: false, dhcp: by_dhcp, configure, ..alone(seed) };
        let mut world = World::new(&if by_name { named(setup) } else { setup });
        know(&mut world, &[host]);
        world.host.leases.silent = true;
        world.board.set_address6(Some(link_local));
        world.run_for(20_000);
        assert_eq!((world.board.application.problems.as_slice(), world.host.names.asked), (&[][..], 0));
        assert_eq!(world.wire.board_sent.syn, 0);
        world.host.leases.silent = false;
        if !by_dhcp {
            world.board.set_address6(Some(BOARD6));
        }
        world.run_until(12_000, |world| !world.board.addresses().iter().all(|own| *own == link_local.into()));
        let before = world.now_ms();
        world.deliver_all(60_000);
        assert!(world.now_ms() - before < 2_000, "it begins at once: {} ms", world.now_ms() - before);
    }
}
