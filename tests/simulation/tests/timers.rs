//! Every timer of the core, and every timer of PRODUCER f.3: its exact time, how it grows, its bounds, and that it is silent
//! when it is off.
//!
//! `core/src/connection/timers.rs` holds a list of these tests by `Timer`, so that no timer goes without. Without a timer of
//! their own, since others look at the clock for them: the trigger of a rebootstrap (here), `partitioner.availability.timeout.ms`
//! (`partitioning.rs`). A topic's `metadata.max.idle.ms` is not implemented (docs/configuration.md).

use klamm_simulation::*;

const MS: u64 = 1000;

fn options() -> WorldOptions {
    one_broker().configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 3_600_000;
        config.metadata_max_age_ms = 3_600_000;
    })
}

/// What the producer wants to be woken for next, and when, in microseconds.
fn next(world: &mut World) -> (u64, Timer) {
    world.run_for(0);
    let deadline = world.producer().poll_timeout().expect("a deadline");
    (deadline.at.as_micros(), deadline.timer)
}

/// When the broker got requests of an API, by its clock of milliseconds.
fn seen(world: &World, api: Api) -> Vec<u64> {
    let requests = world.cluster().requests().iter().filter(|request| request.api_key == api.key());
    requests.map(|request| request.now_ms).collect()
}

/// The waits of one timer, one after the other: from the moment in which it is set to its own.
fn waits(world: &mut World, timer: Timer, count: usize) -> Vec<u64> {
    let mut waits = Vec::new();
    let mut last = 0;
    while waits.len() < count {
        let mut fresh = |world: &mut World| {
            let deadline = world.producer().poll_timeout();
            deadline.is_some_and(|deadline| deadline.timer == timer && deadline.at.as_micros() > last)
        };
        assert!(world.run_until(&mut fresh, 100_000), "{timer:?} is not set again: {waits:?}");
        let at = world.producer().poll_timeout().unwrap().at.as_micros();
        waits.push(at - world.now_us());
        last = at;
        assert!(world.run_until(|world| world.now_us() >= at, 100_000));
    }
    waits
}

/// `min(max, initial × 2ⁿ × U(0.8, 1.2))`, drawn anew for each world; without jitter if `max ≤ initial`.
fn grows_exponentially(initial: u64, max: u64, waits_of: impl Fn(u64) -> Vec<u64>) {
    let all: Vec<Vec<u64>> = (0..60).map(waits_of).collect();
    for attempt in 0..all[0].len() {
        let full = ((initial * MS) << attempt.min(20)).min(max * MS);
        let waits: Vec<u64> = all.iter().map(|waits| waits[attempt]).collect();
        let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        if max <= initial {
            assert_eq!((least, most), (max * MS, max * MS), "attempt {attempt}");
            continue;
        }
        let (low, high) = (full * 8 / 10, (full * 12 / 10).min(max * MS));
        assert!(least >= low && most <= high, "attempt {attempt}: {least}..{most} µs instead of {low}..{high}");
        // And all of that range is used.
        let part = (high - low) / 5;
        assert!(
            least <= low + part && most >= high - part,
            "attempt {attempt}: only {least}..{most} µs of {low}..{high}"
        );
    }
}

#[test]
fn linger_counts_from_the_first_record() {
    for ms in [1, 5, 50, 1000] {
        let (mut world, topic) = warm(options().configure(move |config| config.linger_ms = ms), 1);
        let due = world.now_us() + u64::from(ms) * MS;
        world.send_value(topic, "first").unwrap();
        assert_eq!(next(&mut world), (due, Timer::Linger));
        world.run_for(u64::from(ms) / 2);
        world.send_value(topic, "second").unwrap();
        assert_eq!(next(&mut world), (due, Timer::Linger));
        assert!(world.run_until_idle(u64::from(ms) + 10));
        // Half a millisecond is the network's.
        assert_eq!(seen(&world, Api::Produce), [(due + 500) / MS], "{ms}");
    }
    // Off: it leaves in the very moment.
    let (mut world, topic) = warm(options(), 1);
    let now = world.now_us();
    world.send_value(topic, "v").unwrap();
    assert_ne!(next(&mut world).1, Timer::Linger);
    assert!(world.run_until_idle(10));
    assert_eq!(seen(&world, Api::Produce), [(now + 500) / MS]);
}

/// It counts from the batch's creation, wherever the batch is meanwhile.
#[test]
fn delivery_timeout_ends_a_batch_in_its_moment() {
    type Break = fn(&mut World);
    let waiting: [(&str, Break); 4] = [
        ("unreachable", |world| world.cluster_mut().kill(1)),
        ("in flight", |world| _ = world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::NoAnswer))),
        ("refused", |world| {
            _ = world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::Error(19)))
        }),
        ("leaderless", |world| world.cluster_mut().move_leader("t", 0, -1)),
    ];
    for (name, break_it) in waiting {
        let in_flight = name == "in flight";
        let options = options().configure(move |config| {
            config.delivery_timeout_ms = 7000;
            config.request_timeout_ms = if in_flight { 7000 } else { 6000 };
        });
        let (mut world, topic) = warm(options, 1);
        break_it(&mut world);
        world.run_for(10);
        let due = world.now_us() + 7000 * MS;
        let record = world.send_value(topic, "v").unwrap();
        let mut announced = false;
        while world.unsettled() > 0 {
            let (at, timer) = next(&mut world);
            // In flight, the request's own time is over in the same moment.
            announced |= at == due && (timer == Timer::Delivery || in_flight);
            assert!(at <= due, "{name}: {timer:?} at {at} is behind {due}");
            assert!(world.run_until(|world| world.now_us() >= at || world.unsettled() == 0, 10_000));
        }
        assert!(announced, "{name}");
        assert_eq!(world.records()[record].settled_us, due, "{name}");
        assert!(matches!(world.outcome(record).unwrap().error(), Some(DeliveryError::TimedOut { .. })), "{name}");
    }
}

/// Batch retries: `retry.backoff.ms` to `retry.backoff.max.ms`.
#[test]
fn retries_back_off() {
    for (initial, max) in [(100, 1000), (10, 5000), (300, 300), (500, 200)] {
        grows_exponentially(initial, max, |seed| {
            let cluster = ClusterOptions { brokers: 1, ..ClusterOptions::default() };
            let options = WorldOptions::seeded(seed).cluster(cluster).configure(move |config| {
                config.linger_ms = 0;
                config.metadata_max_age_ms = 3_600_000;
                config.delivery_timeout_ms = 3_600_000;
                (config.retry_backoff_ms, config.retry_backoff_max_ms) = (initial as u32, max as u32);
            });
            let (mut world, topic) = warm(options, 1);
            world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::Error(19)));
            world.send_value(topic, "v").unwrap();
            waits(&mut world, Timer::Retry, 6)
        });
    }
}

/// No backoff at all is what `retry.backoff.ms=0` asks for; each attempt is the network's round trip behind the last.
#[test]
fn without_a_retry_backoff_nothing_waits() {
    let (mut world, topic) = warm(options().configure(|config| config.retry_backoff_ms = 0), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).times(20).then(Do::Error(19)));
    let start = world.now_us();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!((world.delivered(), world.now_us() - start), (2, 21 * MS));
}

/// A broker that cannot be connected: `reconnect.backoff.ms` to its maximum, and from the start again once it is ready.
#[test]
fn reconnects_back_off() {
    for (initial, max) in [(50, 1000), (20, 100), (700, 700)] {
        grows_exponentially(initial, max, |seed| {
            let cluster = ClusterOptions { brokers: 1, ..ClusterOptions::default() };
            let options = WorldOptions::seeded(seed).cluster(cluster).configure(move |config| {
                config.linger_ms = 0;
                config.delivery_timeout_ms = 3_600_000;
                config.metadata_max_age_ms = 3_600_000;
                config.metadata_recovery_strategy = MetadataRecoveryStrategy::None;
                (config.reconnect_backoff_ms, config.reconnect_backoff_max_ms) = (initial as u32, max as u32);
            });
            let (mut world, topic) = warm(options, 1);
            world.network_mut().refuse(1);
            world.reset_connections();
            world.send_value(topic, "v").unwrap();
            let failing = waits(&mut world, Timer::Reconnect, 6);
            world.network_mut().admit(1);
            assert!(world.run_until_idle(2000));
            world.reset_connections();
            world.send_value(topic, "v").unwrap();
            let (low, high) = (initial.min(max) * MS * 8 / 10, initial.min(max) * MS * 12 / 10);
            let again = waits(&mut world, Timer::Reconnect, 1)[0];
            assert!((low..=high).contains(&again), "{again}");
            failing
        });
    }
}

/// No bootstrap server can be reached: the same backoff, after each round over all of them.
#[test]
fn bootstrap_servers_are_left_alone_for_a_while() {
    for servers in [1, 3] {
        grows_exponentially(50, 1000, |seed| {
            let list: Vec<String> = (1..=servers).map(|port| format!("nowhere.sim:{port}")).collect();
            let mut world = World::new(WorldOptions::seeded(seed).bootstrap(&list.join(",")));
            world.topic("t");
            let mut found = Vec::new();
            for round in 1..=6 {
                found.extend(waits(&mut world, Timer::Bootstrap, 1));
                world.run_for(0);
                assert_eq!(
                    world.connections_made(),
                    round * servers + 1,
                    "each server once, and the next round's first"
                );
            }
            found
        });
    }
}

/// `socket.connection.setup.timeout.ms`, doubled with each failure in a row up to its maximum, jitter included.
#[test]
fn connection_setup_times_out() {
    for (initial, max) in [(10_000, 30_000), (300, 2000), (1000, 1000)] {
        grows_exponentially(initial, max, |seed| {
            let network = Network { hang_permille: 1000, ..Network::default() };
            let options = WorldOptions::seeded(seed).network(network).bootstrap("broker.sim:9092");
            let mut world = World::new(options.configure(move |config| {
                config.socket_connection_setup_timeout_ms = initial as u32;
                config.socket_connection_setup_timeout_max_ms = max as u32;
            }));
            world.topic("t");
            let mut found = Vec::new();
            for attempt in 1..=5 {
                assert!(world.run_until(|world| world.connections_made() == attempt, 100_000));
                let begun = world.now_us();
                let (at, timer) = next(&mut world);
                assert_eq!(timer, Timer::Connection);
                found.push(at - begun);
                assert!(world.run_until(|world| world.connections_open() == 0, 100_000));
                assert_eq!(world.now_us(), at, "it is closed in that moment");
            }
            found
        });
    }
}

/// `request.timeout.ms` from the moment in which a request is formed, whatever it asks.
#[test]
fn requests_time_out() {
    for api in [Api::ApiVersions, Api::Metadata, Api::InitProducerId, Api::Produce] {
        let (mut world, topic) = world_with(options(), 1);
        world.cluster_mut().faults().push(Fault::on(api).then(Do::NoAnswer));
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until(|world| count(world, api) == 1, 1000));
        // It was on its way for half a millisecond, and moments are whole ones of the network.
        let due = world.now_us() - 500 + 2000 * MS;
        assert_eq!(next(&mut world), (due, Timer::Connection), "{api:?}");
        assert!(world.run_until(|world| world.stats().request_timeouts > 0, 5000), "{api:?}");
        assert_eq!((world.now_us(), world.connections_open()), (due, 0), "{api:?}");
    }
}

/// KIP-219: until the throttle is over nothing is sent, and then at once. What is in flight gets that much more time.
#[test]
fn throttles_end() {
    let (mut world, topic) = warm(options().configure(|config| config.batch_size = 0), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Throttle(700)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::NoAnswer));
    let start = world.now_us();
    world.send_value(topic, "throttled").unwrap();
    world.send_value(topic, "in flight").unwrap();
    world.run_for(2);
    world.send_value(topic, "held back").unwrap();
    let over = start + MS + 700 * MS;
    assert_eq!(next(&mut world), (over, Timer::Connection));
    world.run_for(650);
    assert_eq!(count(&world, Api::Produce), 2);
    assert!(world.run_until(|world| count(world, Api::Produce) == 3, 100));
    assert_eq!(world.now_us(), over + 500);
    // The one that nobody answers was formed at the start.
    let late = start + (2000 + 700) * MS;
    assert_eq!(next(&mut world), (late, Timer::Connection));
    assert!(world.run_until(|world| world.stats().request_timeouts > 0, 5000));
    assert_eq!(world.now_us(), late);
}

/// `connections.max.idle.ms` after the last byte either way; 0 never.
#[test]
fn idle_connections_end() {
    let (mut world, topic) = warm(options().configure(|config| config.connections_max_idle_ms = 10_000), 1);
    for _ in 0..2 {
        world.run_for(7000);
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(10));
    }
    let due = world.now_us() + 10_000 * MS;
    assert_eq!(next(&mut world), (due, Timer::Connection));
    assert!(world.run_until(|world| world.connections_open() == 0, 60_000));
    assert_eq!(world.now_us(), due);

    let (mut world, _) = warm(options().configure(|config| config.connections_max_idle_ms = 0), 1);
    assert_eq!(next(&mut world).1, Timer::Metadata);
    let wakeups = world.wakeups();
    world.run_for(3_500_000);
    assert_eq!((world.connections_open(), world.wakeups() - wakeups), (1, 0));
}

/// A connection that a throttle holds back is not idle while something waits for it: nobody would open another one for that.
#[test]
fn a_throttled_connection_is_not_idle() {
    let (mut world, topic) = warm(options().configure(|config| config.connections_max_idle_ms = 1000), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Throttle(2500)));
    world.send_value(topic, "throttled").unwrap();
    world.run_for(500);
    let start = world.now_us();
    let sent = world.send_value(topic, "held back").unwrap();
    assert!(world.run_until_settled(5000));
    assert!(world.is_delivered(sent));
    assert_eq!((world.now_us() - start) / MS, 2002);
    assert_eq!(world.connections_open(), 1);
}

/// `metadata.max.age.ms` after the last answer.
#[test]
fn metadata_grows_old() {
    let (mut world, _) = warm(options().configure(|config| config.metadata_max_age_ms = 10_000), 1);
    let mut last = world.now_us();
    for round in 1..=5 {
        let (due, timer) = next(&mut world);
        assert_eq!(timer, Timer::Metadata);
        assert!(round == 1 || due == last + 10_000 * MS, "{due} {last}");
        assert!(world.run_until(|world| count(world, Api::Metadata) == round, 60_000));
        assert_eq!(world.now_us(), due + 500);
        last = due + MS;
        world.run_for(1);
    }
}

/// A request for metadata that fails, and an answer that brings no news: the retry backoff, both.
#[test]
fn metadata_backs_off() {
    let options = |seed| {
        let cluster = ClusterOptions { brokers: 1, ..ClusterOptions::default() };
        WorldOptions::seeded(seed).cluster(cluster).configure(|config| {
            config.delivery_timeout_ms = 3_600_000;
            config.linger_ms = 0;
        })
    };
    grows_exponentially(100, 1000, |seed| {
        let (mut world, _) = world_with(options(seed), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(Do::NoBrokers));
        waits(&mut world, Timer::Metadata, 6)
    });
    grows_exponentially(100, 1000, |seed| {
        let (mut world, topic) = warm(options(seed), 1);
        world.cluster_mut().move_leader("t", 0, -1);
        world.send_value(topic, "v").unwrap();
        // The refusal asks at once, and that answer is news: the partition has no leader any more. From then on there is none.
        assert!(world.run_until(|world| count(world, Api::Metadata) == 2, 1000));
        waits(&mut world, Timer::Metadata, 6)
    });
}

/// InitProducerId, refused for now. (Java's backoff for it is flat; "exponential everywhere" is PRODUCER f.3's.)
#[test]
fn producer_ids_are_asked_for_with_a_backoff() {
    grows_exponentially(100, 1000, |seed| {
        let cluster = ClusterOptions { brokers: 1, ..ClusterOptions::default() };
        let options = WorldOptions::seeded(seed).cluster(cluster);
        let (mut world, topic) = world_with(options.configure(|config| config.linger_ms = 0), 1);
        world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).always().then(Do::Error(14)));
        world.send_value(topic, "v").unwrap();
        waits(&mut world, Timer::ProducerId, 6)
    });
}

/// The time that `close` was given.
#[test]
fn close_ends_in_its_moment() {
    for ms in [0, 1, 5000] {
        let (mut world, topic) = warm(options(), 1);
        world.cluster_mut().kill(1);
        world.run_for(100);
        let record = world.send_value(topic, "v").unwrap();
        world.run_for(100);
        let due = world.now_us() + ms * MS;
        world.close(ms);
        let mut announced = ms == 0;
        world.run_for(0);
        while !world.producer().is_closed() {
            let (at, timer) = next(&mut world);
            announced |= (at, timer) == (due, Timer::Close);
            assert!(world.run_until(|world| world.now_us() >= at || world.producer().is_closed(), 10_000));
        }
        assert!(announced, "{ms}");
        assert_eq!((world.now_us(), world.records()[record].settled_us), (due, due), "{ms}");
        assert_eq!(world.outcome(record).unwrap().error(), Some(DeliveryError::Closed));
        assert_eq!(world.producer().poll_timeout(), None);
    }
}

/// `metadata.recovery.rebootstrap.trigger.ms` after the first request of an outage: with the next attempt. Off with the strategy.
#[test]
fn a_long_outage_triggers_a_rebootstrap() {
    for strategy in [MetadataRecoveryStrategy::Rebootstrap, MetadataRecoveryStrategy::None] {
        let options = options().configure(move |config| {
            config.metadata_max_age_ms = 1000;
            config.metadata_recovery_strategy = strategy;
            config.metadata_recovery_rebootstrap_trigger_ms = 5000;
            (config.retry_backoff_ms, config.retry_backoff_max_ms) = (100, 100);
        });
        let (mut world, _) = warm(options, 1);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).always().then(Do::NoBrokers));
        assert!(world.run_until(|world| count(world, Api::Metadata) == 1, 2000));
        let begun = world.now_us() - 500;
        let happened = world.run_until(|world| world.stats().rebootstraps > 0, 20_000);
        assert_eq!(happened, strategy == MetadataRecoveryStrategy::Rebootstrap);
        if happened {
            // Attempts are 100 ms and a round trip apart.
            let took = world.now_us() - begun;
            assert!((5000 * MS..=5101 * MS).contains(&took), "{took}");
        }
    }
}
