//! Connections: negotiation, throttles, timeouts, backoff.

use klamm_simulation::*;

/// Metadata waits for the end of the throttle, and is asked for then.
#[test]
fn a_throttle_in_the_version_answer_delays_what_follows() {
    let (mut world, topic) = world_with(one_broker(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).then(Do::Throttle(500)));
    world.send_value(topic, "late").unwrap();
    assert!(world.run_until_idle(2000));
    let metadata = world.cluster().requests().iter().find(|request| request.api_key == Api::Metadata.key()).unwrap();
    assert!((500..520).contains(&metadata.now_ms), "{metadata:?}");
    assert_eq!(world.delivered(), 1);
}

/// Fewer connection slots than brokers: they take turns, with answers and without.
#[test]
fn brokers_share_few_connections() {
    for acks in [Acks::All, Acks::None] {
        for slots in [1, 2] {
            let options = brokers(4).limit(move |limits| limits.connections = slots).configure(move |config| {
                config.acks = acks;
                config.enable_idempotence = acks == Acks::All;
                config.linger_ms = 0;
                config.delivery_timeout_ms = 40_000;
            });
            let (mut world, topic) = warm(options, 4);
            for index in 0..400 {
                world.send_to(topic, index % 4, format!("{index}")).unwrap();
                if index % 3 == 0 {
                    world.run_for(1);
                }
            }
            assert!(world.run_until_idle(10_000), "{acks:?} {slots}");
            assert_eq!(world.delivered(), 404, "{acks:?} {slots}");
            assert!(world.connections_open() <= slots);
            world.verify();
        }
    }
}

/// Three brokers that have something to do all the time, and two connections: a connection that made room for another does not come
/// back at once, so that they do not spend their time connecting.
#[test]
fn brokers_that_share_connections_do_not_only_connect() {
    let options = brokers(3).limit(|limits| limits.connections = 2).configure(|config| config.linger_ms = 0);
    let (mut world, topic) = warm(options, 3);
    let before = world.connections_made();
    for index in 0..3000 {
        world.send_to(topic, index % 3, format!("{index}")).unwrap();
        world.run_for(1);
    }
    assert!(world.run_until_idle(10_000));
    world.verify();
    let made = world.connections_made() - before;
    // Each of the three at most every 40 ms.
    assert!((10..=3 * 3000 / 40).contains(&made), "{made} connections in three seconds");
}

fn quick() -> WorldOptions {
    one_broker().configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 60_000;
    })
}

/// A peer that accepts and closes: the gaps grow from 50 ms to 1 s, for a connection counts only once versions are agreed
/// (PITFALLS 39).
#[test]
fn a_peer_that_accepts_and_closes_is_not_hammered() {
    let (mut world, topic) = world_with(quick(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).times(20).then(Do::CloseBefore));
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(30_000));
    let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::ApiVersions.key());
    let times: Vec<u64> = requests.map(|request| request.now_ms).collect();
    for (pair, expected) in times.windows(2).zip([50, 100, 200, 400, 800].into_iter().chain(std::iter::repeat(1000))) {
        let gap = pair[1] - pair[0];
        assert!(
            (expected * 8 / 10..=(expected * 12 / 10).min(1000) + 5).contains(&gap),
            "{gap}, {expected}: {times:?}"
        );
    }
    assert_eq!(world.delivered(), 1);
    // A success starts it over.
    world.cluster_mut().clear_requests();
    world.reset_connections();
    let start = world.now_ms();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert!(world.now_ms() - start < 200, "{}", world.now_ms() - start);
}

/// Every state has a timer (PITFALLS 40).
#[test]
fn silence_in_every_state_ends() {
    // The stream never opens: 10 s, then twice as long, at most 30 s, ±20 %.
    let (mut world, topic) = world_with(quick().configure(|config| config.delivery_timeout_ms = 300_000), 1);
    world.network_mut().hang_permille = 1000;
    world.send_value(topic, "v").unwrap();
    world.run_for(100_000);
    assert!((4..=7).contains(&world.connections_made()), "{}", world.connections_made());
    world.network_mut().heal();
    assert!(world.run_until_idle(40_000));
    assert_eq!(world.delivered(), 1);
    // Nobody answers.
    for api in [Api::ApiVersions, Api::Metadata, Api::InitProducerId, Api::Produce] {
        for silence in [Do::Ignore, Do::NoAnswer] {
            let (mut world, topic) = world_with(quick(), 1);
            world.cluster_mut().faults().push(Fault::on(api).times(2).then(silence.clone()));
            world.send_value(topic, "v").unwrap();
            assert!(world.run_until_idle(6000), "{api:?} {silence:?}");
            assert_eq!((world.delivered(), world.stats().request_timeouts), (1, 2), "{api:?} {silence:?}");
            world.verify();
        }
    }
    // The socket takes nothing.
    let (mut world, topic) = warm(quick(), 1);
    let small = world.network_mut();
    (small.write, small.write_pause_us) = (Pieces::Fixed(10), 10_000_000);
    world.send_value(topic, "v").unwrap();
    world.run_for(3000);
    let network = world.network_mut();
    (network.write, network.write_pause_us) = (Pieces::Whole, 0);
    assert!(world.run_until_idle(6000));
    assert_eq!(world.delivered(), 2);
    world.verify();
}

/// The next address of a name is tried, and after a loss another one than the one that was lost (PITFALLS 38).
#[test]
fn all_addresses_of_a_name_are_tried() {
    let (dead, live) = ("10.9.0.1".parse().unwrap(), "10.9.0.2".parse().unwrap());
    let mut network = Network::default();
    network.name("broker.sim", &[dead, live], "broker.sim");
    network.hosts.remove(&dead);
    let (mut world, topic) = world_with(quick().network(network), 1);
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 1);
    // Now the other one dies and the first one lives.
    world.network_mut().hosts.remove(&live);
    world.network_mut().hosts.insert(dead, "broker.sim".to_owned());
    let start = world.now_ms();
    world.reset_connections();
    world.send_value(topic, "w").unwrap();
    assert!(world.run_until_idle(3000));
    assert!(world.now_ms() - start < 500, "{}", world.now_ms() - start);
}

/// A broker under another name is connected at once, whatever the backoff (KAFKA-7890).
#[test]
fn a_broker_that_moved_is_connected_without_backoff() {
    let options = brokers(2).configure(|config| {
        config.linger_ms = 0;
        config.reconnect_backoff_ms = 20_000;
        config.reconnect_backoff_max_ms = 20_000;
        config.metadata_max_age_ms = 1000;
    });
    let (mut world, topic) = warm(options, 2);
    let partition = (0..2).find(|p| world.cluster().leader("t", *p).unwrap().0 == 2).unwrap() as i32;
    world.network_mut().refuse(2);
    world.reset_connections();
    world.run_for(30_000);
    world.send_to(topic, partition, "v").unwrap();
    world.run_for(3000);
    assert_eq!(world.unsettled(), 1);
    world.network_mut().admit(2);
    let fresh = "10.9.0.9".parse().unwrap();
    world.network_mut().name("fresh.sim", &[fresh], "fresh.sim");
    world.cluster_mut().set_address(2, "fresh.sim", 19_093);
    let start = world.now_ms();
    assert!(world.run_until_settled(10_000));
    assert!(world.now_ms() - start < 2500, "{}", world.now_ms() - start);
    assert_eq!(world.delivered(), 3);
}

/// Hosts that connect by name never see a question for one.
#[test]
fn names_may_be_left_to_the_transport() {
    let (mut world, topic) = world_with(quick().configure(|config| config.resolve_names = false), 1);
    world.network_mut().names.clear();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 1);
}

#[test]
fn literal_addresses_need_no_names() {
    for host in ["10.7.7.7", "fd00::7"] {
        let cluster = ClusterOptions { brokers: 1, host: host.to_owned(), ..ClusterOptions::default() };
        let bootstrap = if host.contains(':') { format!("[{host}]:9092") } else { format!("{host}:9092") };
        let (mut world, topic) = world_with(quick().cluster(cluster).bootstrap(&bootstrap), 1);
        world.network_mut().names.clear();
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{host}");
        assert_eq!((world.delivered(), world.connections_made()), (1, 1));
    }
}

#[test]
fn names_that_cannot_be_resolved_are_asked_again() {
    let (mut world, topic) = world_with(quick(), 1);
    let names = std::mem::take(&mut world.network_mut().names);
    world.send_value(topic, "v").unwrap();
    world.run_for(10_000);
    assert!(world.saw(Event::Problem(Problem::Unreachable(Disconnect::Dns))));
    assert!((10..30).contains(&world.connections_made()), "{}", world.connections_made());
    world.network_mut().names = names;
    assert!(world.run_until_idle(1500));
    assert_eq!(world.delivered(), 1);
}

/// The next bootstrap server is tried at once; only a whole round of failures backs off.
#[test]
fn bootstrap_servers_are_tried_in_turn() {
    let options = quick().cluster(ClusterOptions::default()).bootstrap("nowhere.sim:1,broker.sim:9093,broker.sim:9094");
    let (mut world, topic) = world_with(options, 1);
    world.network_mut().refuse(2);
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(40));
    assert_eq!(world.delivered(), 1);
    assert!(!world.events().iter().any(|(_, event)| matches!(event, Event::Problem(_))));
}

/// An idle connection is closed after its time, and opened again when there is something to say (PITFALLS 37).
#[test]
fn idle_connections_are_closed() {
    let options = quick().configure(|config| {
        config.connections_max_idle_ms = 180_000;
        config.metadata_max_age_ms = 900_000;
    });
    let (mut world, topic) = warm(options, 1);
    world.run_for(179_900);
    assert_eq!(world.connections_open(), 1);
    world.run_for(200);
    assert_eq!(world.connections_open(), 0);
    // No reconnect by itself, and no wait for a dead connection.
    world.run_for(60_000);
    assert_eq!(world.connections_open(), 0);
    let start = world.now_ms();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert!(world.now_ms() - start < 10);
}

/// Nothing to do: nothing wakes the producer before metadata is old.
#[test]
fn an_idle_producer_sleeps() {
    let (mut world, _) = warm(WorldOptions::seeded(1), 6);
    world.run_for(1000);
    let before = world.wakeups();
    world.run_for(298_000);
    assert_eq!(world.wakeups(), before);
    world.run_for(1_000_000);
    assert!(world.wakeups() - before < 20, "{}", world.wakeups() - before);
}

/// A throttled connection sends nothing until the time is over, and nothing on it times out for that (PITFALLS 41).
#[test]
fn a_throttle_holds_back_and_times_nothing_out() {
    let options = one_broker().configure(|config| {
        config.linger_ms = 0;
        config.batch_size = 0;
    });
    let (mut world, topic) = warm(options, 1);
    let start = world.now_ms();
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Throttle(40_000)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(1).then(Do::Delay(35_000)));
    world.send_value(topic, "a").unwrap();
    world.send_value(topic, "b").unwrap();
    world.run_for(100);
    world.send_value(topic, "c").unwrap();
    assert!(world.run_until_idle(60_000));
    world.verify();
    assert_eq!((world.delivered(), world.stats().request_timeouts, world.connections_made()), (4, 0, 1));
    let last = produces(&world).last().unwrap().now_ms;
    assert!((start + 40_000..start + 40_010).contains(&last), "{start} {last}");
}

/// Brokers before KIP-219 have waited already; newer ones only say so.
#[test]
fn a_throttle_of_metadata_holds_back_too() {
    let (mut world, topic) = world_with(quick(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::Throttle(700)));
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(2000));
    assert!((700..800).contains(&world.now_ms()), "{}", world.now_ms());
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    for max in 1..=5 {
        for idempotent in [true, false] {
            let options = quick().configure(move |config| {
                config.max_in_flight_requests_per_connection = max;
                config.enable_idempotence = idempotent;
                config.batch_size = 0;
            });
            let (mut world, topic) = warm(options, 4);
            world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(100)));
            for index in 0..80 {
                world.send_to(topic, index % 4, format!("{index}")).unwrap();
            }
            world.run_for(90);
            assert_eq!(produces(&world).count(), usize::from(max), "{idempotent}");
            assert!(world.run_until_idle(1000));
            assert_eq!(world.delivered(), 84);
            world.verify();
        }
    }
}

/// A request timeout takes the connection, and with it every request on it; all are sent again.
#[test]
fn a_request_timeout_closes_the_connection() {
    let (mut world, topic) = warm(quick().configure(|config| config.batch_size = 0), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Ignore));
    for index in 0..5 {
        world.send_value(topic, format!("{index}")).unwrap();
    }
    world.run_for(1999);
    assert_eq!((world.connections_open(), world.stats().request_timeouts), (1, 0));
    assert!(world.run_until_idle(5000));
    world.verify();
    assert_eq!((world.delivered(), world.stats().request_timeouts, world.connections_made()), (6, 1, 2));
}

/// Metadata that falls due while the only connection is full of a request is asked for when there is room again, even
/// if no answer will ever say so.
#[test]
fn metadata_is_not_forgotten_on_a_busy_connection() {
    for (acks, max) in [(Acks::None, 1), (Acks::None, 5), (Acks::Leader, 1), (Acks::Leader, 5)] {
        let options = quick().configure(move |config| {
            config.acks = acks;
            config.enable_idempotence = false;
            config.max_in_flight_requests_per_connection = max;
            config.metadata_max_age_ms = 1000;
        });
        let (mut world, topic) = warm(options, 1);
        let network = world.network_mut();
        (network.write, network.write_pause_us) = (Pieces::Fixed(10), 10_000);
        world.run_for(990);
        world.send_value(topic, [0; 100]).unwrap();
        world.run_for(500);
        assert!(world.run_until_idle(1000));
        assert!(count(&world, Api::Metadata) >= 1, "{acks:?} {max}");
    }
}

/// One slot, two brokers: the connected one had its turn, is idle, and both have something to send in the same moment.
#[test]
fn a_turn_that_is_over_while_idle_ends() {
    for first in [0, 1] {
        let options = brokers(2).limit(|limits| limits.connections = 1).configure(|config| config.linger_ms = 10);
        let (mut world, topic) = warm(options, 2);
        for index in 0..10 {
            world.send_to(topic, first, format!("{index}")).unwrap();
            world.run_for(20);
        }
        for partition in [first, 1 - first] {
            world.send_to(topic, partition, "both").unwrap();
        }
        assert!(world.run_until_idle(1000));
        assert_eq!(world.delivered(), 14);
    }
}

/// The only broker agrees on versions, and then closes on every Produce request: gaps grow as for one that cannot be reached at all. Going
/// back to the bootstrap servers is no way around the backoff (PITFALLS 39).
#[test]
fn a_broker_that_closes_on_every_request_is_not_hammered() {
    for how_many in [1, 3] {
        let options = brokers(how_many).configure(|config| config.linger_ms = 0);
        let (mut world, topic) = warm(options, how_many);
        let before = world.connections_made();
        world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Do::CloseBefore));
        for partition in 0..how_many {
            world.send_to(topic, partition as i32, "v").unwrap();
        }
        world.run_for(20_000);
        let made = world.connections_made() - before;
        // The retries' own backoff, of up to a second, sets the pace.
        assert!(made < 30 * u64::from(how_many), "{made} with {how_many}");
        // And a lost connection is not followed by another one at once.
        for pair in world.cluster().requests().windows(2) {
            let is_reconnect = pair[1].api_key == Api::ApiVersions.key() && pair[0].broker == pair[1].broker;
            let gap = pair[1].now_ms - pair[0].now_ms;
            assert!(!is_reconnect || gap >= 40, "{gap} ms before {:?}", pair[1]);
        }
        world.cluster_mut().faults().clear();
        assert!(world.run_until_idle(3000));
        assert_eq!(world.failed(), 0);
    }
}

/// The last broker that is known had to make room, and is left alone for a while; then it is asked, though nothing waits for itself.
/// `metadata.recovery.strategy=none`: the bootstrap servers are no way out.
#[test]
fn a_broker_that_made_room_is_asked_when_it_is_the_last() {
    let options = brokers(2).limit(|limits| limits.connections = 1).configure(|config| {
        config.metadata_recovery_strategy = MetadataRecoveryStrategy::None;
        config.metadata_max_age_ms = 300;
        config.reconnect_backoff_ms = 5000;
    });
    let (mut world, topic) = world_with(options, 2);
    assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
    let asked = world.cluster().requests().last().unwrap().broker;
    let other = (0..2).find(|partition| world.cluster().leader("t", *partition).unwrap().0 != asked).unwrap();
    let (leader, _) = world.cluster().leader("t", other).unwrap();
    world.send_to(topic, other as i32, "makes room").unwrap();
    assert!(world.run_until_settled(1000));
    // Its leader knows of nobody who leads anything, itself included.
    let fault = Fault::on(Api::Metadata).broker(leader).then(Do::Leaderless).then(Do::OmitBroker(leader));
    world.cluster_mut().faults().push(fault);
    world.run_for(1000);
    assert_eq!((world.cluster_mut().faults().remaining(), world.connections_open()), (0, 0));
    world.send_to(topic, other as i32, "waits").unwrap();
    assert!(world.run_until_settled(10_000));
    world.assert_delivered();
    world.verify();
}
