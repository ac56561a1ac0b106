//! Nothing goes wrong: how it works, and how seldom the board wakes up.

use klamm_core::Instant;
use klamm_smoltcp_tests::{Faults, Setup, World};
use smoltcp::socket::tcp::State;
use std::time::Duration;

#[test]
fn publishes() {
    let mut world = World::new(&Setup::new(1));
    world.deliver_all(60_000);
    assert_eq!(world.board.application.problems, []);
}

#[test]
fn as_fast_as_it_can() {
    let mut world = World::new(&Setup { records: 20_000, interval_us: 0, ..Setup::new(2) });
    world.deliver_all(120_000);
}

/// Everything follows from the seed.
#[test]
fn a_seed_gives_the_same_run() {
    let run = |seed| {
        let faults = Faults { loss: 50, corruption: 20, duplication: 20, delay_us: 100..=30_000 };
        let mut world = World::new(&Setup { faults, records: 200, ..Setup::new(seed) });
        world.deliver_all(600_000);
        (world.wire.trace(), world.wire.frames(), world.now_ms())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

/// A card that takes one frame at a time, and tells nobody when it has sent it.
#[test]
fn a_card_with_room_for_one_frame() {
    let mut world = World::new(&Setup { card_room: 1, ..Setup::new(3) });
    world.deliver_all(60_000);
}

/// A card that takes nothing for a second: the board looks again every millisecond, and sleeps in between.
#[test]
fn a_card_without_room() {
    let mut world = World::new(&Setup::new(9));
    world.run_for(500);
    let wakeups = world.board.wakeups;
    world.board.set_card_room(0);
    world.run_for(1_000);
    let wakeups = world.board.wakeups - wakeups;
    assert!((500..=1_500).contains(&wakeups), "{wakeups} in a second");
    world.board.set_card_room(usize::MAX);
    world.deliver_all(60_000);
}

/// An idle board wakes up for deadlines only: metadata every five minutes, idle connections once. Each request takes some
/// wake-ups more, which are TCP's: an acknowledgement that was delayed, a retransmission timer that is to be taken back.
#[test]
fn an_idle_board_sleeps() {
    let mut world = World::new(&Setup { records: 50, ..Setup::new(4) });
    world.deliver_all(60_000);
    world.run_for(20 * 60_000);
    let (wakeups, idle) = (world.board.wakeups, world.board.idle_wakeups);
    world.run_for(60 * 60_000);
    let (wakeups, idle) = (world.board.wakeups - wakeups, world.board.idle_wakeups - idle);
    assert!(wakeups <= 12 * 3, "{wakeups} in an hour");
    assert_eq!(idle, 0, "of {wakeups}");
}

/// Probes go out on time, and nothing else.
#[test]
fn keep_alive_is_for_idle_connections() {
    let setup = |keep_alive| Setup { records: 50, keep_alive, ..Setup::new(5) };
    let frames = |keep_alive| {
        let mut world = World::new(&setup(keep_alive));
        world.deliver_all(60_000);
        let before = world.wire.frames();
        world.run_for(60_000);
        (world.wire.frames() - before, world.board.socket_states())
    };
    let (silent, _) = frames(None);
    let (probed, states) = frames(Some(Duration::from_secs(10)));
    let open = states.iter().filter(|state| **state == State::Established).count() as u64;
    assert!(open > 0);
    // A probe and its answer, five or six times.
    assert!((open * 10..=open * 12).contains(&(probed - silent)), "{silent} and {probed} on {open} connections");
}

/// Nothing is left behind: the brokers hear a FIN on every connection.
#[test]
fn closing_is_polite() {
    let mut world = World::new(&Setup { records: 50, ..Setup::new(6) });
    world.deliver_all(60_000);
    let open = world.cluster.connection_count() as u32;
    let (before, now) = (world.host.farewells, Instant::from_millis(world.now_ms() + 1));
    world.board.producer.close(now, Duration::from_secs(5));
    world.board.wake();
    world.run_until(2_000, |world| world.cluster.connection_count() == 0);
    assert!(world.board.application.closed);
    assert_eq!(world.host.farewells - before, open);
    world.run_for(60_000);
    assert!(world.board.socket_states().iter().all(|state| *state == State::Closed), "{:?}", world.board);
    let wakeups = world.board.wakeups;
    world.run_for(24 * 3_600_000);
    assert_eq!(world.board.wakeups, wakeups, "what is closed sleeps for ever");
}
