//! The board's address is leased to it: by DHCP, from a server at the other end of the wire.

use klamm_smoltcp_tests::{Faults, Setup, World};
use smoltcp::socket::tcp::State;

/// Readings for a minute, and an address that has to be asked for again every ten seconds.
fn leased(seed: u64) -> Setup {
    let setup = Setup { dhcp: true, address: false, records: 600, interval_us: 100_000, ..Setup::new(seed) };
    // Keyed readings would wait for the topic's partitions.
    Setup { configure: |config| config.partitioner_ignore_keys = true, ..setup }
}

fn started(setup: &Setup, seconds: u32) -> World {
    let mut world = World::new(setup);
    world.host.leases.seconds = seconds;
    world.run_until(10_000, |world| world.board.application.delivered() >= 20);
    world
}

fn has_open_connections(world: &World) -> bool {
    world.board.socket_states().contains(&State::Established)
}

/// Lets time pass until the board has other addresses, and checks that no connection outlives the old one. Says when that was.
fn until_addresses_change(world: &mut World, limit_ms: u64) -> u64 {
    let before = world.board.addresses();
    world.run_until(limit_ms, |world| world.board.addresses() != before);
    assert!(!has_open_connections(world), "{:?}", world.board);
    world.now_ms()
}

/// Address and name server come with the lease; readings are taken before.
#[test]
fn a_lease_and_nothing_else() {
    let mut world = World::new(&Setup { dns: true, host: "kafka.example".into(), ..leased(1) });
    world.host.leases.silent = true;
    world.run_for(3_000);
    assert_eq!((world.host.leases.given, world.host.names.asked, world.cluster.connection_count()), (0, 0, 0));
    world.host.leases.silent = false;
    world.deliver_all(120_000);
    assert!(world.host.leases.given == 1 && world.host.names.asked > 0, "{:?}", world.host.leases);
    assert_eq!(world.board.application.problems, []);
}

/// Connections do not notice.
#[test]
fn a_lease_is_renewed() {
    for seed in 0..5 {
        let mut world = started(&leased(seed), 20);
        let opened = world.board.producer.stats().connections_opened;
        world.deliver_all(120_000);
        assert!(world.host.leases.given >= 5, "{:?}", world.host.leases);
        assert_eq!(world.board.producer.stats().connections_opened, opened);
    }
}

/// Nobody renews it. Connections end with it, and the board waits until somebody gives it another.
#[test]
fn a_lease_runs_out() {
    for seed in 0..5 {
        let mut world = started(&leased(seed), 20);
        let (begin, closed) = (world.now_ms(), world.board.producer.stats().connections_closed);
        assert!(has_open_connections(&world));
        world.host.leases.silent = true;
        let end = until_addresses_change(&mut world, 25_000);
        assert_eq!(world.board.addresses(), []);
        assert!(end - begin >= 9_000, "not before its time: {} ms", end - begin);
        assert!(world.board.producer.stats().connections_closed > closed);
        let delivered = world.board.application.delivered();
        world.run_for(5_000);
        assert_eq!(world.board.application.delivered(), delivered, "without an address nothing is stored");
        world.host.leases.silent = false;
        world.deliver_all(120_000);
    }
}

/// The server wants the address back at the next renewal and gives another: by a refusal, or in the same breath.
#[test]
fn another_address_at_a_renewal() {
    for (seed, moves) in (0..10).map(|seed| (seed, seed % 2 == 0)) {
        let mut world = started(&leased(seed), 20);
        world.host.leases.moves = moves;
        world.host.leases.address = [10, 0, 0, 100 + seed as u8];
        let lost = until_addresses_change(&mut world, 15_000);
        assert_eq!(world.host.leases.refused, u32::from(!moves));
        let delivered = world.board.application.delivered();
        world.run_until(5_000, |world| world.board.application.delivered() > delivered + 20);
        assert!(world.now_ms() - lost <= 4_000, "{} ms", world.now_ms() - lost);
        world.deliver_all(120_000);
    }
}

/// Again and again, while frames are lost in between: DHCP's as well.
#[test]
fn short_leases_on_a_bad_wire() {
    for seed in 0..20 {
        let faults = Faults { loss: 50, corruption: 10, duplication: 20, delay_us: 100..=20_000 };
        let mut world = World::new(&Setup { faults, sockets: 1 + seed as usize % 3, ..leased(seed) });
        world.host.leases.seconds = 8;
        for round in 0..8 {
            world.run_for(6_000);
            world.host.leases.moves = round % 3 == 0;
            world.host.leases.silent = round % 4 == 3;
            world.host.leases.address = [10, 0, 0, 50 + round + seed as u8];
        }
        world.host.leases.silent = false;
        world.deliver_all(300_000);
        assert!(world.host.leases.given >= 4, "{:?}", world.host.leases);
    }
}

/// What a lease of an hour costs an idle board in a day: a renewal every half hour, and what the core does anyway.
#[test]
fn an_idle_board_sleeps_between_renewals() {
    let mut world = started(&Setup { records: 50, interval_us: 10_000, ..leased(6) }, 3600);
    world.deliver_all(60_000);
    world.run_for(20 * 60_000);
    let (wakeups, idle, given) = (world.board.wakeups, world.board.idle_wakeups, world.host.leases.given);
    world.run_for(24 * 3_600_000);
    let (wakeups, idle) = (world.board.wakeups - wakeups, world.board.idle_wakeups - idle);
    let given = u64::from(world.host.leases.given - given);
    assert!((47..=49).contains(&given), "{given} renewals");
    // Metadata is asked for every five minutes, with up to three wake-ups each time.
    assert!(wakeups <= 24 * 12 * 3 + given * 2, "{wakeups} in a day");
    assert!(idle <= given, "{idle} of {wakeups} in a day");
}
