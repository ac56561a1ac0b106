//! As little as possible of everything.

use klamm_smoltcp_tests::{Setup, World};

#[test]
fn socket_buffers_of_536_bytes() {
    for seed in 0..5 {
        let setup = Setup { receive_bytes: 536, transmit_bytes: 536, interval_us: 1_000, ..Setup::new(seed) };
        World::new(&Setup { value_bytes: 200, ..setup }).deliver_all(120_000);
    }
}

#[test]
fn three_brokers_on_two_sockets() {
    for seed in 0..5 {
        let mut world = World::new(&Setup { sockets: 2, ..Setup::new(seed) });
        world.deliver_all(120_000);
    }
}

#[test]
fn three_brokers_on_one_socket() {
    for seed in 0..5 {
        let mut world = World::new(&Setup { sockets: 1, ..Setup::new(seed) });
        world.deliver_all(240_000);
        // TIME-WAIT does not hold the slot, and nobody need be reset.
        let turns = world.board.producer.stats().connections_closed;
        assert!(turns >= 10 && world.wire.board_sent.rst == 0, "{turns} {:?}", world.wire.board_sent);
    }
}

/// The answer is some 20 KB long.
#[test]
fn metadata_of_500_partitions_through_a_window_of_256_bytes() {
    let configure: fn(&mut klamm_core::Config<'static>) = |config| config.partitioner_ignore_keys = true;
    let setup = Setup { partitions: 500, receive_bytes: 256, records: 300, configure, ..Setup::new(1) };
    let mut world = World::new(&setup);
    world.deliver_all(240_000);
    assert!(world.board.producer.stats().bytes_in > 10_000, "{:?}", world.board.producer.stats());
}
