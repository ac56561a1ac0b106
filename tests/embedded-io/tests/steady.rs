//! Nothing goes wrong, at any size of the pieces.

use klamm_embedded_io_tests::{Executor, Scenario, Weather, World};

fn publishes(seed: u64, weather: Weather, tasks: u32, records: u32, interval_ms: u64) -> Scenario {
    let scenario = Scenario::new(World::new(seed, 3, weather), |_| {});
    {
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        scenario.spawn_application(&mut executor, tasks, records, interval_ms);
        assert!(executor.run_ms(600_000), "seed {seed}: {scenario:?}");
    }
    scenario.verify_all_delivered((tasks * records) as usize);
    scenario.world.with(|state| assert_eq!(state.sockets, 0));
    scenario
}

#[test]
fn several_tasks_publish() {
    for seed in 0..20 {
        publishes(seed, Weather::default(), 4, 100, 7);
    }
}

#[test]
fn byte_by_byte() {
    for seed in 0..5 {
        let weather = Weather { read: 1..=1, write: 1..=7, window: 64, ..Weather::default() };
        publishes(seed, weather, 2, 40, 3);
    }
}

#[test]
fn who_finds_no_room_waits_for_it() {
    for seed in 0..5 {
        let scenario = publishes(seed, Weather::default(), 6, 300, 0);
        assert!(scenario.ledger.with(|accounts| accounts.writables) > 10);
    }
}

#[test]
fn connections_move_between_brokers_when_there_are_fewer_of_them() {
    for seed in 0..5 {
        let scenario = publishes(seed, Weather::default(), 8, 50, 20);
        assert!(scenario.world.with(|state| state.attempts) > 3, "three brokers, two connections");
        assert!(scenario.world.with(|state| state.most_sockets) <= 2);
    }
}
