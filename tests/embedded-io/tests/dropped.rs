//! Futures that are dropped: the driver's run at every point where it waits, sends, flushes, events.

use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use klamm_embedded_io_tests::{Executor, Scenario, Weather, World, drive, for_polls};
use std::pin::pin;

const TASKS: u32 = 3;
const RECORDS: u32 = 100;

/// Runs the driver, dropping it after the given numbers of polls, and then to its end. `pause_ms` passes after each drop. Returns how many
/// polls the last run had.
fn dropped_after(seed: u64, polls: &[usize], pause_ms: u64, forget: bool) -> usize {
    let weather = Weather { latency_us: 500..=3000, read: 1..=30, write: 1..=300, ..Weather::default() };
    let weather = Weather { window: 300, ..weather };
    let scenario = Scenario::new(World::new(seed, 2, weather), |config| config.request_timeout_ms = 5_000);
    let mut all = 0;
    {
        let mut executor = Executor::new(&scenario.world);
        let driver = executor.spawn(async {
            let mut driver = drive(&scenario.world, &scenario.shared);
            for &polls in polls {
                if forget {
                    // Nobody tells the driver that its run is over; the next one finds out.
                    let mut driver = drive(&scenario.world, &scenario.shared);
                    let mut run = Box::pin(driver.run());
                    if for_polls(run.as_mut(), polls).await {
                        return;
                    }
                } else if for_polls(pin!(driver.run()), polls).await {
                    return;
                }
                scenario.world.with(|state| assert_eq!(state.sockets, 0, "dropped with the run"));
                if pause_ms > 0 {
                    scenario.world.sleep_ms(pause_ms).await;
                }
            }
            driver.run().await;
        });
        scenario.spawn_application(&mut executor, TASKS, RECORDS, 4);
        assert!(executor.run_ms(600_000), "{polls:?}: {scenario:?}");
        all += executor.polls(driver);
    }
    scenario.verify_all_delivered((TASKS * RECORDS) as usize);
    all
}

#[test]
fn a_run_is_dropped_after_each_number_of_polls() {
    let whole = dropped_after(1, &[], 0, false);
    assert!(whole > 200, "{whole} polls");
    for polls in 0..whole.min(600) {
        dropped_after(1, &[polls], 0, false);
    }
}

#[test]
fn runs_are_dropped_again_and_again() {
    for polls in 0..60 {
        dropped_after(2, &[polls; 12], 0, false);
        dropped_after(3, &[polls; 5], 700, false);
    }
}

#[test]
fn another_driver_takes_over() {
    for polls in (0..200).step_by(3) {
        dropped_after(4, &[polls; 3], 10, true);
    }
}

#[test]
fn a_send_that_is_dropped_sent_nothing() {
    let scenario = Scenario::new(World::new(5, 2, Weather::default()), |_| {});
    let mut given_up = 0;
    {
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        executor.spawn(scenario.ledger.listen(&scenario.shared));
        executor.spawn(async {
            for number in 0..1000 {
                let send = scenario.ledger.send(&scenario.shared, scenario.topic, (0, number));
                match select(send, scenario.world.sleep_ms(1)).await {
                    Either::First(sent) => sent.expect("it waits for room"),
                    Either::Second(()) => given_up += 1, // and the next one goes first
                }
            }
            // Flushes and looks for events that are dropped lose nothing either.
            for _ in 0..10 {
                let _ = poll_once(scenario.shared.flush());
                select(scenario.shared.flush(), scenario.world.sleep_ms(1)).await;
            }
            scenario.shared.flush().await;
            select(scenario.shared.close(std::time::Duration::from_secs(5)), scenario.world.sleep_ms(0)).await;
            scenario.shared.close(std::time::Duration::from_secs(5)).await;
        });
        assert!(executor.run_ms(60_000), "{scenario:?}");
    }
    assert!((20..900).contains(&given_up), "{given_up}");
    scenario.verify_all_delivered(1000 - given_up);
}

#[test]
fn events_are_not_lost_with_the_future_that_waits_for_them() {
    let scenario = Scenario::new(World::new(6, 2, Weather::default()), |_| {});
    {
        let mut executor = Executor::new(&scenario.world);
        scenario.spawn_driver(&mut executor);
        executor.spawn(async {
            loop {
                match select(scenario.world.sleep_ms(1), scenario.shared.next_event()).await {
                    Either::First(()) => {}
                    Either::Second(Some(event)) => scenario.ledger.hear(event),
                    Either::Second(None) => return,
                }
            }
        });
        executor.spawn(async {
            for number in 0..100 {
                scenario.ledger.send(&scenario.shared, scenario.topic, (0, number)).await.expect("it waits for room");
                scenario.world.sleep_ms(2).await;
            }
            scenario.shared.close(std::time::Duration::from_secs(30)).await;
        });
        assert!(executor.run_ms(60_000), "{scenario:?}");
    }
    scenario.verify_all_delivered(100);
}

/// A run that is forgotten rather than dropped cannot tell the core; the next one does.
#[test]
fn a_run_is_forgotten() {
    for polls in 0..60 {
        let scenario = Scenario::new(World::new(7, 2, Weather::default()), |config| config.request_timeout_ms = 5_000);
        {
            let mut executor = Executor::new(&scenario.world);
            executor.spawn(async {
                let mut driver = drive(&scenario.world, &scenario.shared);
                let mut run = Box::pin(driver.run());
                if for_polls(run.as_mut(), polls).await {
                    return;
                }
                std::mem::forget(run);
                driver.run().await;
            });
            scenario.spawn_application(&mut executor, 2, 50, 4);
            assert!(executor.run_ms(600_000), "{polls}: {scenario:?}");
        }
        scenario.verify_all_delivered(100);
    }
}
