//! The simulated network's troubles, and the world as a tool for other people's code.

use klamm_core::{Event, Record, TopicId};
use klamm_sim::world::{Network, World, WorldOptions};
use klamm_sim::{Api, ClusterOptions};
use std::net::IpAddr;

fn world(options: WorldOptions) -> (World, TopicId) {
    let mut world = World::new(options);
    world.cluster_mut().create_topic("t", 1);
    let topic = world.topic("t");
    (world, topic)
}

fn one_broker() -> WorldOptions {
    WorldOptions::seeded(1).cluster(ClusterOptions { brokers: 1, ..ClusterOptions::default() })
}

/// A world that is connected and has delivered one record.
fn warm(options: WorldOptions) -> (World, TopicId) {
    let (mut world, topic) = world(options);
    world.send_value(topic, "warm").unwrap();
    assert!(world.run_until_idle(60_000));
    (world, topic)
}

#[test]
fn bandwidth_makes_bytes_late_in_proportion() {
    let took = |bandwidth_bytes_per_ms| {
        let network = Network { bandwidth_bytes_per_ms, ..Network::default() };
        let (mut world, topic) = warm(one_broker().network(network).configure(|config| config.linger_ms = 0));
        let start = world.now_us();
        for _ in 0..10 {
            world.send_value(topic, [1; 10_000]).unwrap();
        }
        assert!(world.run_until_settled(60_000));
        (world.now_us() - start) / 1000
    };
    let (free, fast, slow) = (took(0), took(1000), took(100));
    assert!(free < 10 && (100..130).contains(&fast) && (1000..1100).contains(&slow), "{free} {fast} {slow}");
}

#[test]
fn segments_that_coalesce_are_read_together() {
    let reads = |coalesce_permille| {
        // The first answer is stuck; the others catch up with it.
        let network = Network { coalesce_permille, latency_back_us: Some(0..=50_000), ..Network::default() };
        let (mut world, topic) = warm(one_broker().network(network).configure(|config| config.linger_ms = 0));
        let before = world.activity().reads;
        for _ in 0..40 {
            world.send_value(topic, "v").unwrap();
            world.run_for(1);
        }
        assert!(world.run_until_idle(60_000));
        world.activity().reads - before
    };
    let (apart, together) = (reads(0), reads(1000));
    assert!(together < apart, "{together} {apart}");
}

#[test]
fn latency_may_differ_by_direction() {
    let network = Network { latency_us: 1000..=1000, latency_back_us: Some(30_000..=30_000), ..Network::default() };
    let (mut world, topic) = warm(one_broker().network(network).configure(|config| config.linger_ms = 0));
    let start = world.now_us();
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(60_000));
    assert_eq!(world.now_us() - start, 31_000);
}

/// What the broker hears though nobody hears it is in its log; what it does not hear is not.
#[test]
fn a_cable_can_fail_in_one_direction() {
    for to in [false, true] {
        let (mut world, topic) = warm(one_broker());
        if to {
            world.network_mut().block_to(1);
        } else {
            world.network_mut().block_from(1);
        }
        world.send_value(topic, "half").unwrap();
        world.run_for(5_000);
        assert_eq!((world.delivered(), world.values("t").len()), (1, if to { 1 } else { 2 }));
        // Nobody can connect either.
        world.reset_connections();
        world.run_for(40_000);
        assert_eq!(world.delivered(), 1);
        world.network_mut().unblock(1);
        assert!(world.run_until_idle(60_000));
        world.assert_delivered();
        assert_eq!(world.values("t"), [b"warm".to_vec(), b"half".to_vec()]);
    }
}

/// A number alone sends its reader to Kafka's tables.
#[test]
#[should_panic(expected = "1 of 1 records failed; the first: not delivered within delivery.timeout.ms; last error \
                           UNKNOWN_TOPIC_OR_PARTITION (3) (NotWritten)")]
fn what_was_not_delivered_is_told_by_name() {
    let mut world = World::new(WorldOptions::seeded(1));
    let topic = world.topic("nobody-made-it");
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(120_001));
    world.assert_delivered();
}

#[test]
fn a_forgotten_connection_swallows_what_is_sent() {
    for reset in [None, Some(2_000_000)] {
        let network = Network { forgotten_reset_us: reset, ..Network::default() };
        let (mut world, topic) = warm(one_broker().network(network));
        world.forget_connections(1);
        assert_eq!(world.cluster().connection_count(), 0);
        let start = world.now_ms();
        world.send_value(topic, "v").unwrap();
        assert!(world.run_until_settled(120_000));
        world.assert_delivered();
        // Without a reset only request.timeout.ms (30 s) tells.
        let (took, timeouts) = (world.now_ms() - start, u32::from(reset.is_none()));
        let expected = if reset.is_none() { 30_000..31_000 } else { 2_000..3_000 };
        assert!(expected.contains(&took), "{took}");
        assert_eq!(world.stats().request_timeouts, timeouts);
    }
}

#[test]
fn names_fail_for_a_time_and_move() {
    let (mut world, topic) = world(one_broker());
    world.network_mut().dns_down_until_us = 20_000_000;
    world.send_value(topic, "v").unwrap();
    world.run_for(20_000);
    assert_eq!(world.delivered(), 0);
    assert!(world.run_until_settled(5_000));
    // The host moves; connections stay, new ones find it.
    let there: IpAddr = "10.9.9.9".parse().unwrap();
    let old = world.network_mut().names["broker.sim"].clone();
    world.network_mut().move_host("broker.sim", &[there]);
    assert!(world.network_mut().names["broker.sim"] == [there] && !world.network_mut().hosts.contains_key(&old[0]));
    world.reset_connections();
    world.send_value(topic, "w").unwrap();
    assert!(world.run_until_settled(120_000));
    world.assert_delivered();
}

#[test]
fn hundreds_of_hosts_have_an_address_each() {
    let cluster = ClusterOptions { brokers: 1, ..ClusterOptions::default() };
    let mut options = WorldOptions::seeded(1).cluster(cluster);
    let mut network = Network::default();
    for host in 0..600u32 {
        let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0001 + host));
        network.name(&format!("host-{host}"), &[address], &format!("host-{host}"));
    }
    options = options.network(network);
    let (mut world, topic) = world(options);
    assert_eq!(world.network_mut().names["broker.sim"][0].to_string(), "10.0.2.89");
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_settled(10_000));
}

#[test]
fn the_wall_clock_jumps() {
    let (mut world, topic) = warm(one_broker());
    let before = world.unix_ms();
    world.jump_wall_clock(-3_600_000);
    assert_eq!(world.unix_ms(), before - 3_600_000);
    world.set_wall_clock();
    let record = world.send_value(topic, "v").unwrap();
    let timestamp = world.records()[record].accepted.timestamp;
    assert!((before - 3_600_001..before - 3_590_000).contains(&timestamp), "{timestamp}");
    assert!(world.run_until_idle(10_000));
    world.assert_delivered();
}

#[test]
fn calm_ends_all_trouble() {
    let (mut world, topic) = warm(WorldOptions::seeded(3));
    world.network_mut().block(1);
    world.network_mut().refuse(2);
    world.network_mut().dns_down_until_us = u64::MAX;
    world.forget_connections(3);
    for broker in 1..=3 {
        world.cluster_mut().kill(broker);
    }
    world.cluster_mut().move_leader("t", 0, -1);
    world.cluster_mut().faults().push(klamm_sim::Fault::on(Api::Produce).then(klamm_sim::Action::Error(6)).always());
    world.send_value(topic, "v").unwrap();
    world.run_for(60_000);
    assert_eq!(world.unsettled(), 1);
    world.calm();
    assert!(world.run_until_idle(60_000));
    world.assert_delivered();
}

#[test]
fn an_idle_producer_sleeps() {
    let (mut world, _) = warm(WorldOptions::seeded(1));
    let woke = world.run_idle(24);
    assert!((288..=600).contains(&woke), "{woke}");
    let (mut world, _) = warm(WorldOptions::seeded(1).configure(|config| config.metadata_max_age_ms = 3_600_000));
    assert!(world.run_idle(24) < 80);
}

#[test]
#[should_panic(expected = "have a reason")]
fn a_producer_that_wakes_without_reason_is_noticed() {
    let (mut world, _) = warm(WorldOptions::seeded(1));
    world.network_mut().refuse_permille = 1000;
    world.reset_connections();
    world.run_idle(1);
}

#[test]
fn code_of_others_is_run_and_checked() {
    let (mut world, topic) = world(WorldOptions::seeded(1));
    let sent = world.with_producer(|producer, now| {
        (0..10u8).filter(|n| producer.send(now, topic, &Record::value(&[*n])).is_ok()).count()
    });
    world.send_value(topic, "own").unwrap();
    world.with_producer(|producer, now| producer.send(now, topic, &Record::value(b"behind")).map(|_| ()).unwrap());
    assert_eq!((sent, world.unsettled()), (10, 12));
    assert!(world.run_until_idle(10_000));
    world.assert_delivered();
    assert_eq!((world.values("t").len(), world.duplicates("t"), world.delivered()), (12, 0, 1));
    let told = world.take_events().into_iter().filter(|event| matches!(event, Event::Batch(_))).count();
    assert!(told > 0 && world.events().is_empty());
}

#[test]
#[should_panic(expected = "records have no outcome")]
fn an_event_that_was_taken_away_is_missed() {
    let (mut world, topic) = warm(one_broker());
    world.with_producer(|producer, now| {
        producer.send(now, topic, &Record::value(b"v")).map(|_| ()).unwrap();
        producer.fail_all(now);
        while producer.poll_event().is_some() {}
    });
    world.run_for(200_000);
}

#[test]
fn the_trace_tells_who_did_what() {
    let (mut world, topic) = world(one_broker().trace_all());
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(10_000));
    world.note("the end");
    let text: Vec<&str> = world.trace().collect();
    for part in
        ["send", "connect", "broker 1 reads on 1: Produce v13", "t-0: 1 records", "-> at 0", "event Batch", "the end"]
    {
        assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
    }
}
