//! Something goes away, and most of it comes back.

use klamm_core::Problem;
use klamm_smoltcp_tests::{Faults, Setup, World};
use smoltcp::socket::tcp::State;

/// Readings enough for half a minute.
fn half_a_minute(seed: u64) -> Setup {
    Setup { records: 600, interval_us: 50_000, ..Setup::new(seed) }
}

fn started(setup: &Setup) -> World {
    let mut world = World::new(setup);
    world.run_until(10_000, |world| world.board.application.delivered() >= 20);
    world
}

#[test]
fn a_broker_is_killed_and_comes_back() {
    for seed in 0..10 {
        let mut world = started(&half_a_minute(seed));
        let broker = seed as i32 % 3 + 1;
        world.cluster.kill(broker);
        world.run_for(5_000);
        let now = world.now_ms();
        world.cluster.restart(now, broker);
        world.deliver_all(120_000);
    }
}

#[test]
fn all_brokers_are_killed_and_come_back() {
    let mut world = started(&half_a_minute(1));
    (1..=3).for_each(|broker| world.cluster.kill(broker));
    world.run_for(15_000);
    let now = world.now_ms();
    (1..=3).for_each(|broker| world.cluster.restart(now, broker));
    world.deliver_all(120_000);
}

#[test]
fn the_link_is_down_for_two_seconds() {
    for (seed, told) in (0..20).map(|seed| (seed, seed % 2 == 0)) {
        let mut world = started(&half_a_minute(seed));
        let (opened, delivered) =
            (world.board.producer.stats().connections_opened, world.board.application.delivered());
        world.set_link(false, told);
        world.run_for(2_000);
        assert!(world.board.application.delivered() <= delivered + 20, "what was on its way at most");
        world.set_link(true, told);
        let before = world.now_ms();
        world.run_until(10_000, |world| world.board.application.delivered() >= delivered + 21);
        // A board that knows of its link does not wait for the next retransmission.
        assert!(!told || world.now_ms() - before <= 1_000, "{} ms", world.now_ms() - before);
        world.deliver_all(120_000);
        assert_eq!(world.board.producer.stats().connections_opened, opened, "the same connections went on");
    }
}

/// The link stays down for longer than the core waits for answers. The board sleeps meanwhile.
#[test]
fn the_link_is_down_for_a_minute() {
    let mut world = started(&Setup { records: 100, ..half_a_minute(3) });
    world.set_link(false, true);
    world.run_for(10_000);
    let (wakeups, frames) = (world.board.wakeups, world.wire.board_frames());
    world.run_for(50_000);
    assert_eq!(world.wire.board_frames(), frames, "nothing is sent into the void");
    assert!(world.board.wakeups - wakeups <= 40, "{} wake-ups in 50 s", world.board.wakeups - wakeups);
    world.set_link(true, true);
    world.deliver_all(120_000);
}

/// Readings are taken before there is a link, and before there is an address.
#[test]
fn offline_start() {
    let setup = Setup { address: false, configure: |config| config.partitioner_ignore_keys = true, ..half_a_minute(4) };
    let mut world = World::new(&Setup { records: 50, interval_us: 1_000, ..setup });
    world.set_link(false, true);
    world.run_for(5_000);
    assert_eq!(world.wire.frames(), 0);
    world.set_link(true, true);
    world.run_for(1_000);
    assert_eq!(world.cluster.connection_count(), 0);
    let wakeups = world.board.wakeups;
    world.run_for(3_000);
    assert!(world.board.wakeups - wakeups <= 1, "nobody can be asked: {}", world.board.wakeups - wakeups);
    world.board.set_address(Some([10, 0, 0, 2]));
    let before = world.now_ms();
    world.deliver_all(60_000);
    assert!(world.now_ms() - before < 1_000, "it begins at once");
}

#[test]
fn dhcp_gives_another_address() {
    for seed in 0..10 {
        let mut world = started(&half_a_minute(seed));
        let before = world.now_ms();
        world.board.set_address(Some([10, 0, 0, 200 + seed as u8]));
        let delivered = world.board.application.delivered();
        world.run_until(5_000, |world| world.board.application.delivered() > delivered + 20);
        assert!(world.now_ms() - before <= 3_000, "{} ms", world.now_ms() - before);
        world.deliver_all(120_000);
    }
}

/// With the link down smoltcp does nothing, so that the driver itself must see it.
#[test]
fn the_address_goes_while_the_link_is_down() {
    let mut world = started(&half_a_minute(8));
    let closed = world.board.producer.stats().connections_closed;
    world.set_link(false, true);
    world.board.set_address(None);
    world.run_for(10);
    assert_eq!(world.board.producer.stats().connections_closed - closed, 3);
    world.set_link(true, true);
    world.board.set_address(Some([10, 0, 0, 50]));
    world.deliver_all(120_000);
}

#[test]
fn a_lease_ends_and_another_begins() {
    let mut world = started(&half_a_minute(5));
    world.board.set_address(None);
    world.run_for(3_000);
    assert!(world.board.socket_states().iter().all(|state| *state != State::Established));
    world.board.set_address(Some([10, 0, 0, 99]));
    world.deliver_all(120_000);
}

/// The broker's machine starts anew: it knows nothing of the connections and answers with a reset.
#[test]
fn a_peer_that_forgets() {
    let mut world = started(&half_a_minute(6));
    let World { host, cluster, .. } = &mut world;
    host.forget_connections(cluster);
    world.deliver_all(120_000);
}

/// A broker's machine goes away without a word: nothing acknowledges, nothing resets. Requests and set-ups time out.
#[test]
fn a_peer_that_never_answers() {
    for seed in 0..5 {
        let configure: fn(&mut klamm_core::Config<'static>) = |config| {
            config.request_timeout_ms = 3_000;
            config.socket_connection_setup_timeout_ms = 2_000;
        };
        let mut world = started(&Setup { configure, ..half_a_minute(seed) });
        world.wire.silent_ports.insert(9092 + seed as u16 % 3);
        world.run_for(20_000);
        let timeouts = world.board.producer.stats().request_timeouts;
        assert!(timeouts > 0);
        world.wire.silent_ports.clear();
        world.deliver_all(120_000);
    }
}

/// The same, but nobody else leads its partitions and it does not come back: what is given up is told, and its fate.
#[test]
fn a_peer_that_never_answers_again() {
    let configure: fn(&mut klamm_core::Config<'static>) = |config| {
        config.request_timeout_ms = 2_000;
        config.delivery_timeout_ms = 6_000;
        config.linger_ms = 0;
    };
    let mut world = started(&Setup { configure, ..half_a_minute(9) });
    world.wire.silent_ports.insert(9093);
    world.run_until(120_000, |world| world.board.application.is_done());
    world.verify();
    let (settled, delivered) = (world.board.application.settled(), world.board.application.delivered());
    assert!(delivered > 100 && delivered < settled, "{delivered} of {settled}");
}

/// A board that cannot reach anybody says so, and goes on trying at the core's pace.
#[test]
fn nobody_listens() {
    let mut world = World::new(&half_a_minute(7));
    (1..=3).for_each(|broker| world.cluster.kill(broker));
    world.run_for(10_000);
    let unreachable = Problem::Unreachable(klamm_core::Disconnect::Refused);
    assert_eq!(world.board.application.problems, [unreachable]);
    let now = world.now_ms();
    (1..=3).for_each(|broker| world.cluster.restart(now, broker));
    world.deliver_all(120_000);
}

/// Everything together, again and again: brokers die, the link fails, leases change, on a bad wire.
#[test]
fn one_thing_after_another() {
    for seed in 0..20u64 {
        let faults = Faults { loss: 20, corruption: 10, duplication: 10, delay_us: 200..=20_000 };
        let sockets = 1 + seed as usize % 3;
        let mut world = started(&Setup { faults, sockets, ..half_a_minute(seed) });
        for round in 0..6 {
            let broker = ((seed + round) % 3 + 1) as i32;
            match (seed + round) % 4 {
                0 => {
                    world.cluster.kill(broker);
                    world.run_for(1_500);
                    let now = world.now_ms();
                    world.cluster.restart(now, broker);
                }
                1 => {
                    world.set_link(false, round % 2 == 0);
                    world.run_for(1_000);
                    world.set_link(true, true);
                }
                2 => world.board.set_address(Some([10, 0, 0, 10 + round as u8])),
                _ => {
                    let World { host, cluster, .. } = &mut world;
                    host.forget_connections(cluster);
                }
            }
            world.run_for(2_000);
        }
        world.deliver_all(300_000);
    }
}

/// The only socket leads to a broker that went away without a word. It says goodbye, gives the peer its second, resets once, and
/// goes to the next broker.
#[test]
fn one_socket_leaves_a_silent_peer() {
    let configure: fn(&mut klamm_core::Config<'static>) = |config| {
        config.request_timeout_ms = 2_000;
        config.socket_connection_setup_timeout_ms = 1_000;
        config.delivery_timeout_ms = 60_000;
    };
    let setup = Setup { configure, brokers: 2, sockets: 1, partitions: 2, ..half_a_minute(1) };
    let mut world = started(&Setup { records: 100, ..setup });
    let silent = world.cluster.connection_count();
    assert!(silent <= 1, "one socket");
    world.wire.silent_ports.insert(9092);
    let before = world.wire.board_sent;
    world.run_until(120_000, |world| world.board.application.is_done());
    world.verify();
    let sent = world.wire.board_sent;
    assert!(sent.rst > before.rst, "a peer that does not do its part is told: {before:?} {sent:?}");
    // Leader 2 was reached all the time.
    assert!(world.board.application.delivered() > 40, "{}", world.board.application.delivered());
}

/// The slot is wanted again while its socket still has the reset to send: that goes first.
#[test]
fn a_reset_goes_out_before_the_next_connection() {
    let configure: fn(&mut klamm_core::Config<'static>) = |config| config.request_timeout_ms = 2_000;
    let mut world = started(&Setup { configure, sockets: 1, ..half_a_minute(1) });
    world.run_until(10_000, |world| world.board.socket_states() == [State::Established]);
    world.wire.silent_ports.extend([9092, 9093, 9094]);
    let before = world.wire.board_sent;
    world.run_until(30_000, |world| world.wire.board_sent.syn > before.syn);
    let sent = world.wire.board_sent;
    assert!(sent.fin > before.fin && sent.rst == before.rst + 1, "{before:?} {sent:?}");
}

/// Closed while an answer of 20 KB is on its way through a window of 256 bytes: what arrives late is taken in until the peer's
/// FIN, and nobody is reset.
#[test]
fn closing_takes_in_what_comes_late() {
    let mut world = World::new(&Setup { partitions: 500, receive_bytes: 256, records: 0, ..Setup::new(1) });
    world.board.application.add(1);
    world.run_until(10_000, |world| world.board.producer.stats().bytes_in > 2_000);
    let now = klamm_core::Instant::from_millis(world.now_ms() + 1);
    world.board.producer.fail_all(now);
    world.board.producer.close(now, std::time::Duration::ZERO);
    world.board.wake();
    world.run_for(900);
    let open = |state: &smoltcp::socket::tcp::State| !matches!(state, State::Closed | State::TimeWait);
    assert!(!world.board.socket_states().iter().any(open), "{:?}", world.board);
    assert_eq!(world.wire.board_sent.rst, 0);
}

/// Nobody answers the FIN, and nothing else wakes the board: it gives up in time all the same, and sleeps.
#[test]
fn closing_ends_without_the_peer() {
    let mut world = started(&Setup { records: 20, ..half_a_minute(2) });
    let before = world.wire.board_sent;
    let open = world.cluster.connection_count() as u32;
    world.wire.silent_ports.extend([9092, 9093, 9094]);
    let now = klamm_core::Instant::from_millis(world.now_ms() + 1);
    world.board.producer.close(now, std::time::Duration::from_secs(1));
    world.board.wake();
    world.run_for(3_500);
    assert!(world.board.socket_states().iter().all(|state| *state == State::Closed), "{:?}", world.board);
    let sent = world.wire.board_sent;
    assert_eq!(sent.rst - before.rst, open, "each is reset once");
    let wakeups = world.board.wakeups;
    world.run_for(3_600_000);
    assert_eq!(world.board.wakeups, wakeups);
}

/// The FIN is acknowledged, and then nothing more comes: no timer of TCP's runs in that state.
#[test]
fn closing_ends_with_a_peer_that_does_not_close() {
    let mut world = started(&Setup { records: 20, ..half_a_minute(3) });
    world.host.never_closes = true;
    let open = world.cluster.connection_count() as u32;
    let now = klamm_core::Instant::from_millis(world.now_ms() + 1);
    world.board.producer.close(now, std::time::Duration::from_secs(1));
    world.board.wake();
    world.run_for(500);
    assert!(world.board.socket_states().contains(&State::FinWait2), "{:?}", world.board);
    world.run_for(1_000);
    assert!(world.board.socket_states().iter().all(|state| *state == State::Closed), "{:?}", world.board);
    assert_eq!(world.wire.board_sent.rst, open);
}
