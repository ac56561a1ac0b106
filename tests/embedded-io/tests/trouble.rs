//! Brokers that die, networks that refuse, stay silent and swallow.

use klamm_core::{Disconnect, Problem};
use klamm_embedded_io::{Driver, Tcp};
use klamm_embedded_io_tests::{CHUNK, CONNECTIONS, Executor, HOST, Reach, Scenario, Weather, World};
use std::net::{IpAddr, Ipv4Addr};

/// An application of three tasks beside somebody who makes trouble. Everything is delivered all the same.
fn survives(seed: u64, weather: Weather, trouble: impl AsyncFn(&World)) -> Scenario {
    let world = World::new(seed, 3, weather);
    let scenario = Scenario::new(world, |config| {
        config.request_timeout_ms = 5_000;
        config.socket_connection_setup_timeout_ms = 2_000;
        config.socket_connection_setup_timeout_max_ms = 4_000;
    });
    {
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        scenario.spawn_application(&mut executor, 3, 100, 11);
        executor.spawn(trouble(&scenario.world));
        assert!(executor.run_ms(600_000), "seed {seed}: {scenario:?}");
    }
    scenario.verify_all_delivered(300);
    scenario.world.with(|state| assert_eq!(state.sockets, 0));
    scenario
}

#[test]
fn brokers_die_and_come_back() {
    for seed in 0..20 {
        survives(seed, Weather::default(), async |world| {
            for round in 0..4 {
                world.sleep_ms(200 + world.with(|state| state.random.below(200))).await;
                let broker = round % 3 + 1;
                world.with(|state| state.cluster.kill(broker));
                world.sleep_ms(300).await;
                world.with(|state| state.cluster.restart(state.now_ms(), broker));
            }
        });
    }
}

#[test]
fn the_whole_cluster_is_away_for_a_while() {
    for seed in 0..10 {
        let scenario = survives(seed, Weather::default(), async |world| {
            world.sleep_ms(300).await;
            world.with(|state| (1..=3).for_each(|broker| state.cluster.kill(broker)));
            world.sleep_ms(8_000).await;
            world.with(|state| (1..=3).for_each(|broker| state.cluster.restart(state.now_ms(), broker)));
        });
        assert!(scenario.ledger.with(|accounts| accounts.writables) > 0, "memory ran out meanwhile");
    }
}

#[test]
fn refused_at_first() {
    let scenario = survives(1, Weather::default(), async |world| {
        world.with(|state| state.reach.insert(HOST, Reach::Refusing));
        world.sleep_ms(5_000).await;
        world.with(|state| state.reach.insert(HOST, Reach::Open));
    });
    scenario.ledger.with(|accounts| assert_eq!(accounts.problems[0], Problem::Unreachable(Disconnect::Refused)));
}

#[test]
fn connects_that_nobody_answers_end_in_time() {
    let scenario = survives(1, Weather::default(), async |world| {
        world.with(|state| state.reach.insert(HOST, Reach::Silent));
        world.sleep_ms(30_000).await;
        // Each attempt was given up, and its socket with it.
        world.with(|state| {
            assert!(state.attempts >= 5, "{}", state.attempts);
            assert!(state.most_sockets <= 2);
            state.reach.insert(HOST, Reach::Open)
        });
    });
    scenario.ledger.with(|accounts| assert_eq!(accounts.problems[0], Problem::Unreachable(Disconnect::TimedOut)));
}

#[test]
fn nowhere_to_go() {
    let scenario = survives(1, Weather::default(), async |world| {
        world.with(|state| state.reach.remove(&HOST));
        world.sleep_ms(5_000).await;
        world.with(|state| state.reach.insert(HOST, Reach::Open));
    });
    scenario.ledger.with(|accounts| assert_eq!(accounts.problems[0], Problem::Unreachable(Disconnect::Unreachable)));
}

#[test]
fn names_that_nobody_knows_or_tells() {
    let scenario = survives(1, Weather::default(), async |world| {
        let names = world.with(|state| std::mem::take(&mut state.names));
        world.sleep_ms(5_000).await;
        world.with(|state| (state.names, state.names_silent) = (names, true));
        world.sleep_ms(10_000).await;
        world.with(|state| state.names_silent = false);
    });
    scenario.ledger.with(|accounts| assert_eq!(accounts.problems[0], Problem::Unreachable(Disconnect::Dns)));
}

#[test]
fn a_name_with_a_dead_address_besides() {
    for dead in [Reach::Silent, Reach::Refusing] {
        let scenario = survives(1, Weather::default(), async |world| {
            let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
            world.with(|state| {
                state.reach.insert(other, dead);
                state.names.insert("broker.sim".to_owned(), vec![other, HOST]);
            });
        });
        assert!(scenario.world.with(|state| state.asked) > 3);
    }
}

#[test]
fn half_open_connections_end_by_the_request_timeout() {
    for seed in 0..10 {
        survives(seed, Weather::default(), async |world| {
            for _ in 0..3 {
                world.sleep_ms(250).await;
                world.swallow_everything();
            }
        });
    }
}

#[test]
fn all_at_once_and_in_small_pieces() {
    for seed in 0..20 {
        let weather = Weather { read: 1..=9, write: 1..=20, window: 200, latency_us: 100..=20_000 };
        survives(seed, weather, async |world| {
            for _ in 0..6 {
                world.sleep_ms(100 + world.with(|state| state.random.below(300))).await;
                let broker = world.with(|state| state.random.below(3)) as i32 + 1;
                match world.with(|state| state.random.below(4)) {
                    0 => world.swallow_everything(),
                    1 => drop(world.with(|state| state.reach.insert(HOST, Reach::Refusing))),
                    2 => drop(world.with(|state| state.reach.insert(HOST, Reach::Silent))),
                    _ => world.with(|state| state.cluster.kill(broker)),
                }
                world.sleep_ms(200).await;
                world.with(|state| {
                    state.reach.insert(HOST, Reach::Open);
                    state.cluster.restart(state.now_ms(), broker);
                });
            }
        });
    }
}

/// A host that resolves by itself has no addresses to try in turns; the driver looks the name up and connects.
#[test]
fn names_of_the_cores_choice() {
    let scenario = Scenario::new(World::new(1, 3, Weather::default()), |config| config.resolve_names = false);
    {
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        scenario.spawn_application(&mut executor, 2, 50, 5);
        assert!(executor.run_ms(60_000), "{scenario:?}");
    }
    scenario.verify_all_delivered(100);
    assert!(scenario.world.with(|state| state.asked >= state.attempts));
}

#[test]
fn literal_addresses_need_no_resolver() {
    let world = World::new(1, 3, Weather::default());
    world.with(|state| {
        for broker in 1..=3 {
            state.cluster.set_address(broker, "10.0.0.1", 9091 + broker as u16);
        }
    });
    let scenario = Scenario::new(world, |_| {});
    {
        let mut executor = Executor::new(&scenario.world);
        executor.spawn(async {
            let tcp = Tcp::without_dns(scenario.world.tcp());
            let mut driver = Driver::<_, _, _, CONNECTIONS, CHUNK>::new(&scenario.shared, tcp);
            driver.run().await;
        });
        scenario.spawn_application(&mut executor, 2, 50, 5);
        assert!(executor.run_ms(60_000), "{scenario:?}");
    }
    scenario.verify_all_delivered(100);
    assert_eq!(scenario.world.with(|state| state.asked), 0);
}

/// Slots beyond the driver's fail, which the core takes for brokers that cannot be reached: nothing hangs, and nobody spins.
#[test]
fn a_driver_with_fewer_slots_than_the_core() {
    let scenario = Scenario::new(World::new(1, 1, Weather::default()), |_| {});
    let mut executor = Executor::new(&scenario.world);
    let driver = executor.spawn(async {
        let tcp = Tcp::new(scenario.world.tcp(), scenario.world.dns());
        let mut driver = Driver::<_, _, _, 1, CHUNK>::new(&scenario.shared, tcp);
        driver.run().await;
    });
    scenario.spawn_application(&mut executor, 2, 50, 5);
    let ended = executor.run_ms(300_000);
    assert!(ended, "{scenario:?}");
    assert!(executor.polls(driver) < 5_000, "{}", executor.polls(driver));
    drop(executor);
    scenario.world.with(|state| scenario.ledger.verify(&state.cluster));
}

/// The same seed gives the same world, poll by poll.
#[test]
fn seeds_replay() {
    let trace = |seed| {
        let scenario = Scenario::new(World::new(seed, 3, Weather::default()), |_| {});
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        scenario.spawn_application(&mut executor, 3, 50, 7);
        executor.run_ms(100);
        scenario.world.with(|state| state.cluster.kill(2));
        executor.run_ms(300);
        scenario.world.with(|state| state.cluster.restart(state.now_ms(), 2));
        assert!(executor.run_ms(60_000));
        let draws = scenario.world.with(|state| state.random.draw());
        (format!("{executor:?}"), draws, scenario.world.with(|state| state.attempts))
    };
    for seed in 0..5 {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(1), trace(2));
}
