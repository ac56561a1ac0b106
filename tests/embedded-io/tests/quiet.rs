//! Who is woken, and when.

use klamm_core::SendError;
use klamm_embedded_io_tests::{Executor, HOST, Reach, Scenario, Weather, World};
use std::time::Duration;

/// Metadata grows old in five minutes: some polls then, and none between.
#[test]
fn an_idle_driver_sleeps() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    let mut executor = Executor::new(&scenario.world);
    let driver = scenario.spawn_driver(&mut executor);
    let listener = executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.spawn(async {
        scenario.ledger.send(&scenario.shared, scenario.topic, (0, 0)).await.expect("there is room");
    });
    executor.run_ms(10_000);
    assert_eq!(scenario.ledger.settled(), 1);
    let before = (executor.polls(driver), executor.polls(listener));
    executor.run_ms(280_000);
    assert_eq!((executor.polls(driver), executor.polls(listener)), before, "nothing happens before the metadata's age");
    executor.run_ms(3_600_000);
    let polls = executor.polls(driver) - before.0;
    assert!((12..=12 * 12).contains(&polls), "{polls} polls for 12 refreshes");
}

#[test]
fn an_offline_driver_wakes_for_attempts_only() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    scenario.world.with(|state| state.reach.clear());
    let mut executor = Executor::new(&scenario.world);
    let driver = scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.run_ms(60_000);
    let (before, attempts) = (executor.polls(driver), scenario.world.with(|state| state.attempts));
    executor.run_ms(60_000);
    let (polls, attempts) = (executor.polls(driver) - before, scenario.world.with(|state| state.attempts) - attempts);
    assert!(attempts > 50 && polls <= 4 * attempts, "{polls} polls for {attempts} attempts");
}

/// Records that join a batch which waits already wake nobody.
#[test]
fn records_wake_the_driver_once_per_batch() {
    let scenario = Scenario::new(World::new(1, 1, Weather::default()), |config| config.linger_ms = 1000);
    let mut executor = Executor::new(&scenario.world);
    let driver = scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.spawn(async {
        scenario.world.sleep_ms(10_000).await;
        for number in 0..5 {
            scenario.ledger.send(&scenario.shared, scenario.topic, (0, number)).await.expect("there is room");
            scenario.world.sleep_ms(100).await;
        }
    });
    executor.run_ms(10_050);
    let before = executor.polls(driver);
    executor.run_ms(800);
    assert_eq!(executor.polls(driver), before);
    executor.run_ms(5_000);
    assert_eq!(scenario.ledger.settled(), 5);
}

#[test]
fn what_does_not_fit_is_refused_and_told_when_it_does() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    let mut executor = Executor::new(&scenario.world);
    let mut sent = 0;
    executor.spawn(async {
        scenario.world.sleep_ms(1).await;
        // Nobody drives yet: the partitions are not known.
        let refused = scenario.ledger.try_send(&scenario.shared, scenario.topic, (0, 0));
        assert_eq!(refused, Err(SendError::PartitionsUnknown));
        scenario.world.sleep_ms(1000).await;
        // Nobody listens yet: what is done keeps its place.
        while scenario.ledger.try_send(&scenario.shared, scenario.topic, (0, sent)).is_ok() {
            sent += 1;
        }
        scenario.world.sleep_ms(1000).await;
        scenario.ledger.send(&scenario.shared, scenario.topic, (0, sent)).await.expect("it waits for room");
        sent += 1;
        scenario.shared.close(Duration::from_secs(1)).await;
        let refused = scenario.shared.send(scenario.topic, &klamm_core::Record::value(b"late")).await;
        assert_eq!(refused.map(|_| ()), Err(SendError::Closed));
        scenario.shared.flush().await;
        assert_eq!(scenario.shared.next_event().await, None);
    });
    executor.run_ms(100);
    scenario.spawn_driver(&mut executor);
    executor.run_ms(2500);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    assert!(executor.run_ms(10_000), "{scenario:?}");
    drop(executor);
    scenario.verify_all_delivered(sent as usize);
}

/// Closing by deadline: what is not delivered by then has failed, and the run ends.
#[test]
fn close_ends_in_time_without_a_network() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    scenario.world.with(|state| state.reach.clear());
    let mut executor = Executor::new(&scenario.world);
    scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.spawn(async {
        assert!(scenario.shared.with(|producer, _| producer.declare_partitions(scenario.topic, 4)).is_some());
        for number in 0..5 {
            scenario.ledger.send(&scenario.shared, scenario.topic, (0, number)).await.expect("there is room");
        }
        scenario.shared.close(Duration::from_secs(3)).await;
        scenario.world.with(|state| assert!((3_000..3_100).contains(&state.now_ms()), "{}", state.now_ms()));
    });
    assert!(executor.run_ms(60_000), "{scenario:?}");
    assert_eq!(scenario.ledger.with(|accounts| accounts.failed.len()), 5);
    assert!(scenario.world.with(|state| state.sockets) == 0);
}

/// Senders who wait are told when the producer closes.
#[test]
fn waiting_senders_end_with_the_producer() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    scenario.world.with(|state| state.reach.clear());
    let mut executor = Executor::new(&scenario.world);
    scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    for task in 0..12 {
        let scenario = &scenario;
        executor.spawn(async move {
            let waited = scenario.ledger.send(&scenario.shared, scenario.topic, (task, 0)).await;
            // There are places for eight.
            assert_eq!(waited, Err(if task < 8 { SendError::Closed } else { SendError::Full }));
            scenario.world.with(|state| assert_eq!(state.now_ms(), if task < 8 { 2_000 } else { 0 }));
        });
    }
    executor.spawn(async {
        scenario.world.sleep_ms(2_000).await;
        scenario.shared.close(Duration::ZERO).await;
    });
    assert!(executor.run_ms(60_000), "{scenario:?}");
}

/// The last connection's end is what brings the last event, and it is told to a listener who has looked in vain just before.
#[test]
fn closing_in_idleness_ends_at_once() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |_| {});
    let mut executor = Executor::new(&scenario.world);
    executor.spawn(async {
        scenario.ledger.send(&scenario.shared, scenario.topic, (0, 0)).await.expect("there is room");
        scenario.world.sleep_ms(5_000).await;
        assert!(scenario.world.with(|state| state.sockets) > 0);
        let before = scenario.world.with(|state| state.now_us);
        scenario.shared.close(Duration::from_secs(30)).await;
        scenario.world.with(|state| assert_eq!(state.now_us, before));
    });
    // Polled in this order.
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    scenario.spawn_driver(&mut executor);
    assert!(executor.run_ms(60_000), "{scenario:?}");
}

/// What would wait for more records for half a minute leaves at once when it is flushed.
#[test]
fn flushes_do_not_linger() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |config| config.linger_ms = 30_000);
    let mut executor = Executor::new(&scenario.world);
    scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.spawn(async {
        for number in 0..3 {
            scenario.ledger.send(&scenario.shared, scenario.topic, (0, number)).await.expect("there is room");
            scenario.world.sleep_ms(1_000).await;
            let before = scenario.world.with(|state| state.now_ms());
            scenario.shared.flush().await;
            assert_eq!(scenario.ledger.settled(), number as usize + 1);
            scenario.world.with(|state| assert!(state.now_ms() < before + 100));
        }
        scenario.shared.close(Duration::from_secs(30)).await;
    });
    assert!(executor.run_ms(60_000), "{scenario:?}");
}

/// What the core ends is closed in that moment, whether the slot is used again or not.
#[test]
fn idle_connections_are_closed() {
    let scenario = Scenario::new(World::new(1, 2, Weather::default()), |config| config.connections_max_idle_ms = 9_000);
    let mut executor = Executor::new(&scenario.world);
    scenario.spawn_driver(&mut executor);
    executor.spawn(scenario.ledger.listen(&scenario.shared));
    executor.spawn(async {
        scenario.ledger.send(&scenario.shared, scenario.topic, (0, 0)).await.expect("there is room");
    });
    executor.run_ms(8_000);
    assert!(scenario.world.with(|state| state.sockets) > 0);
    executor.run_ms(2_000);
    assert_eq!(scenario.world.with(|state| state.sockets), 0);
}

/// An attempt that nobody answers is given up with its socket.
#[test]
fn attempts_end_by_the_cores_deadline() {
    let scenario = Scenario::new(World::new(1, 1, Weather::default()), |config| {
        config.socket_connection_setup_timeout_ms = 2_000;
        config.reconnect_backoff_ms = 1_000;
    });
    scenario.world.with(|state| state.reach.insert(HOST, Reach::Silent));
    let mut executor = Executor::new(&scenario.world);
    scenario.spawn_driver(&mut executor);
    executor.run_ms(1_000);
    assert_eq!(scenario.world.with(|state| state.sockets), 1);
    let mut seen_none = false;
    for _ in 0..200 {
        executor.run_ms(10);
        seen_none |= scenario.world.with(|state| state.sockets) == 0;
    }
    assert!(seen_none, "no socket while it backs off");
}
