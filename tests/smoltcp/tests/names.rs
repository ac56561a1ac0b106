//! Brokers by name.

use klamm_core::{Disconnect, Problem};
use klamm_smoltcp_tests::{HOST, Setup, World};

fn named(seed: u64) -> Setup {
    Setup { host: "kafka.example".into(), dns: true, records: 200, ..Setup::new(seed) }
}

#[test]
fn names_are_looked_up() {
    let mut world = World::new(&named(1));
    world.deliver_all(60_000);
    assert!(world.host.names.asked >= 3, "{}", world.host.names.asked);
}

#[test]
fn a_name_that_does_not_exist_yet() {
    let mut world = World::new(&named(2));
    world.host.names.known.clear();
    world.run_for(5_000);
    assert_eq!(world.board.application.problems, [Problem::Unreachable(Disconnect::Dns)]);
    let asked = world.host.names.asked;
    assert!((3..=40).contains(&asked), "{asked} questions in 5 s");
    world.host.names.known.insert("kafka.example".into(), vec![HOST.into()]);
    world.deliver_all(60_000);
}

#[test]
fn a_name_server_that_is_silent_for_a_while() {
    let mut world = World::new(&named(3));
    world.host.names.silent = true;
    world.run_for(25_000);
    assert!(world.host.names.asked >= 4, "questions are repeated: {}", world.host.names.asked);
    world.host.names.silent = false;
    world.deliver_all(120_000);
}

/// The first address of the name leads nowhere.
#[test]
fn a_name_with_several_addresses() {
    let mut world = World::new(&named(4));
    world.host.names.known.insert("kafka.example".into(), vec![[10, 0, 0, 77].into(), HOST.into()]);
    world.deliver_all(180_000);
}

#[test]
fn a_name_without_a_name_server() {
    let mut world = World::new(&Setup { dns: false, ..named(5) });
    world.run_for(5_000);
    assert_eq!(world.board.application.problems, [Problem::Unreachable(Disconnect::Dns)]);
    assert_eq!(world.wire.frames(), 0);
}
