//! Bugs found in other producers (docs/pitfalls.md, B1 to B12), each as a test of this one. B4 and B5 need a partition that
//! has sent 2³¹ records, so they are in the core (sender/tests.rs); B8, B10 and B11 are the std transport's.

use klamm_simulation::*;

/// No lingering, and no metadata in between.
fn prompt() -> WorldOptions {
    one_broker().configure(|config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 30_000;
    })
}

/// A round-robin counter that was never written back sent every keyless record to one partition.
#[test]
fn b01_null_keys_use_every_partition() {
    for partitioner in [Partitioner::RoundRobin, Partitioner::Default] {
        let options = prompt().configure(move |config| {
            config.partitioner = partitioner;
            config.batch_size = 200;
        });
        let (mut world, topic) = world_with(options, 4);
        assert!(world.run_until(|world| world.producer().partition_count(topic).is_some(), 1000));
        for index in 0..320 {
            world.send_value(topic, format!("{index}")).unwrap();
            world.run_for(1);
        }
        assert!(world.run_until_idle(1000));
        world.verify();
        let counts = [0, 1, 2, 3].map(|partition| values(&world, partition).len());
        // By turns exactly; at random, a partition's share of some 100 turns is never as low as half of a quarter.
        let least = if matches!(partitioner, Partitioner::RoundRobin) { 80 } else { 40 };
        assert!(counts.iter().all(|count| *count >= least), "{partitioner:?}: {counts:?}");
    }
}

/// Codes that were not on a list ended the producer, among them those that only ask for patience.
#[test]
fn b02_not_enough_replicas_is_waited_for_and_fences_nothing() {
    for code in [13, error::NOT_ENOUGH_REPLICAS, error::NOT_ENOUGH_REPLICAS_AFTER_APPEND, 56] {
        let (mut world, topic) = warm(prompt(), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).times(3).then(Do::Error(code)));
        let first = world.send_value(topic, "first").unwrap();
        world.run_for(50);
        let second = world.send_value(topic, "second").expect("the producer goes on");
        assert!(world.run_until_idle(10_000), "{code}");
        world.verify();
        assert!(world.outcome(first).unwrap().is_delivered(), "{code}");
        assert!(world.outcome(second).unwrap().is_delivered(), "{code}");
        assert_eq!(world.stats().epoch_bumps, 0, "{code}");
        assert!(world.events().iter().all(|(_, event)| !matches!(event, Event::Problem(Problem::Fatal(_)))), "{code}");
    }
}

/// MESSAGE_TOO_LARGE ended the producer: it concerns one batch, and of that only what is too large.
#[test]
fn b03_a_message_too_large_fails_alone() {
    let mut world = World::new(prompt().configure(|config| config.linger_ms = 10));
    world
        .cluster_mut()
        .create_topic_with("t", TopicOptions { max_message_bytes: Some(500), ..TopicOptions::default() });
    let topic = world.topic("t");
    world.send_value(topic, "before").unwrap();
    // Alone in its batch, then in the midst of one.
    for neighbours in [0, 3] {
        for index in 0..neighbours {
            world.send_value(topic, format!("{index}")).unwrap();
        }
        let large = world.send_value(topic, [0; 1000]).unwrap();
        for index in 0..neighbours {
            world.send_value(topic, format!("{index}")).unwrap();
        }
        assert!(world.run_until_idle(10_000));
        let outcome = world.outcome(large).unwrap();
        assert_eq!((outcome.error(), outcome.fate()), (Some(DeliveryError::RecordTooLarge), Some(Fate::NotWritten)));
    }
    world.send_value(topic, "after").expect("the producer goes on");
    assert!(world.run_until_idle(10_000));
    world.verify();
    assert_eq!((world.delivered(), world.failed()), (8, 2));
}

/// A batch that timed out, and may be in the log, was merged with newer records and sent under the same sequence: the
/// broker could not tell it for a duplicate.
#[test]
fn b06_a_timed_out_batch_is_never_sent_with_other_contents() {
    // Records come while the batch is on its way, or while it backs off alone.
    for (linger_ms, quiet_ms, every_ms) in [(0, 0, 50), (20, 0, 50), (0, 1010, 5), (20, 1030, 5)] {
        let (mut world, topic) = warm(prompt().configure(move |config| config.linger_ms = linger_ms), 1);
        // Appended, and never confirmed.
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::NoAnswer));
        for index in 0..3 {
            world.send_value(topic, format!("first {index}")).unwrap();
        }
        world.run_for(quiet_ms);
        for index in 0..30 {
            world.run_for(every_ms);
            world.send_value(topic, format!("later {index}")).unwrap();
        }
        assert!(world.run_until_idle(5000));
        world.verify();
        assert_frozen(&world);
        assert_eq!(world.stats().request_timeouts, 1);
        let sent = batches(&world, 0);
        let first = &sent[0].1;
        let again: Vec<_> = sent.iter().filter(|(_, batch)| batch.base_sequence == first.base_sequence).collect();
        assert!(again.len() > 1, "it was sent again");
        assert!(again.iter().all(|(_, batch)| (batch.records, batch.crc) == (first.records, first.crc)), "{again:?}");
        // Once each, in order.
        assert_eq!((world.delivered(), values(&world, 0).len()), (34, 34));
    }
}

/// A request for each partition, where one for each broker does.
#[test]
fn b07_one_request_for_each_broker() {
    let options = brokers(2).configure(|config| config.linger_ms = 5);
    let (mut world, topic) = warm(options, 8);
    for partition in 0..8 {
        world.send_to(topic, partition, [1; 100]).unwrap();
    }
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 16);
    let sizes: Vec<usize> = produces(&world).map(|request| request.batches.len()).collect();
    assert_eq!(sizes, [4, 4]);
}

/// Each batch was cloned before it was sent. Here the transport is lent the bytes where the record was written, in every
/// attempt; and a batch on its way takes no memory besides.
#[test]
fn b07_batches_are_sent_from_where_they_were_written() {
    let mut hand = Hand::new();
    let topic = hand.producer.topic("t").unwrap();
    hand.turns(20);
    let value = [0xab; 20_000];
    hand.cluster.faults().push(Fault::on(Api::Produce).then(Do::CloseAfter));
    hand.producer.send(hand.now(), topic, &Record::value(&value)).unwrap();
    let available = hand.producer.buffer_available_bytes();
    hand.turns(1);
    assert_eq!(hand.producer.buffer_available_bytes(), available, "sending took memory");
    let first = std::mem::take(&mut hand.lent);
    assert_eq!(first.iter().map(|(_, filling)| filling).sum::<usize>(), value.len());
    hand.turns(2000);
    assert_eq!(hand.lent, first, "the second attempt lends the same bytes");
    assert_eq!(hand.cluster.record_count("t"), 1);
    assert_eq!(hand.producer.stats().records_delivered, 1);
}

/// The core driven by hand, to see which memory it lends.
struct Hand {
    producer: Producer<'static>,
    cluster: Cluster,
    ms: u64,
    link: Option<(ConnId, klamm_sim::ConnectionId)>,
    /// Where the slices with the value's filling lie, and how much of it each holds.
    lent: Vec<(*const u8, usize)>,
}

impl Hand {
    fn new() -> Self {
        let mut cluster =
            Cluster::new(ClusterOptions { brokers: 1, host: "10.0.0.1".to_owned(), ..ClusterOptions::default() });
        cluster.create_topic("t", 1);
        let mut config = Config::new(cluster.bootstrap_servers());
        config.linger_ms = 0;
        let limits = Limits { buffer_memory: 256 << 10, block_size: 4096, ..Limits::default() };
        let producer = Producer::new(config, Storage::heap(&limits), [7; 32], Instant::ZERO).unwrap();
        Self { producer, cluster, ms: 0, link: None, lent: Vec::new() }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.ms)
    }

    /// A millisecond each.
    fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.ms += 1;
            let now = self.now();
            self.producer.handle_timeout(now);
            self.act(now);
            self.write(now);
            self.read(now);
            while self.producer.poll_event().is_some() {}
        }
    }

    fn act(&mut self, now: Instant) {
        while let Some(action) = self.producer.poll_action() {
            let opened = match action {
                Action::Connect { conn, .. } => Some(conn),
                _ => None,
            };
            self.link = None;
            if let Some(conn) = opened {
                let remote = self.cluster.connect(self.ms, 1).expect("the broker lives");
                self.link = Some((conn, remote));
                self.producer.handle_connected(now, conn);
            }
        }
    }

    fn write(&mut self, now: Instant) {
        while let Some(conn) = self.producer.poll_writable() {
            while let Some(Transmit { bytes, .. }) = self.producer.poll_transmit(now, conn) {
                let filling = bytes.iter().filter(|byte| **byte == 0xab).count();
                if filling > 100 {
                    self.lent.push((bytes.as_ptr(), filling));
                }
                let copy = bytes.to_vec();
                self.producer.handle_transmitted(now, conn, copy.len());
                if let Some((_, remote)) = self.link {
                    self.cluster.receive(self.ms, remote, &copy);
                }
            }
        }
    }

    fn read(&mut self, now: Instant) {
        let Some((conn, remote)) = self.link else { return };
        let mut bytes = Vec::new();
        let open = self.cluster.transmit(self.ms, remote, &mut bytes);
        self.producer.handle_input(now, conn, &bytes).expect("a broker that keeps the protocol");
        if !open {
            self.link = None;
            self.producer.handle_disconnected(now, conn, Disconnect::Closed);
        }
    }
}

/// Versions were clamped into the broker's range: a range that ends before it begins was a panic, and one without overlap a
/// request in a version that nobody had built.
#[test]
fn b09_version_ranges_that_cannot_be_met_are_a_clear_error() {
    for key in [Api::Produce, Api::Metadata, Api::InitProducerId].map(|api| api.key()) {
        for (min, max) in [(9, 3), (i16::MAX, i16::MIN), (14, 20), (100, i16::MAX), (-5, -1), (0, 0)] {
            let versions = VersionSet::kafka_4_3().with_raw(key, min, max);
            let cluster = ClusterOptions { brokers: 1, versions, ..ClusterOptions::default() };
            let (mut world, topic) = world_with(prompt().cluster(cluster), 1);
            world.send_value(topic, "v").unwrap();
            world.run_for(5000);
            let case = format!("key {key}: {min} to {max}");
            assert!(world.saw(Event::Problem(Problem::Peer(PeerError::UnsupportedVersion))), "{case}");
            // Nothing but the question for versions was ever sent, and that with a growing backoff.
            assert_eq!(count(&world, Api::ApiVersions), world.cluster().requests().len(), "{case}");
            assert!((5..15).contains(&world.connections_made()), "{case}: {}", world.connections_made());
            world.cluster_mut().set_versions(1, VersionSet::kafka_4_3());
            assert!(world.run_until_idle(3000), "{case}");
            assert_eq!(world.delivered(), 1, "{case}");
        }
    }
}

/// Each `send` waited for its answer. Here a round trip holds up nobody: batches leave while others are not answered.
#[test]
fn b12_a_send_does_not_wait_for_the_answer() {
    let (mut world, topic) = warm(prompt().configure(|config| config.batch_size = 0), 1);
    let start = world.now_ms();
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(500)));
    for index in 0..100 {
        world.send_value(topic, format!("{index}")).expect("accepted at once");
        assert_eq!(world.now_ms(), start);
    }
    world.run_for(10);
    assert_eq!((produces(&world).count(), world.unsettled()), (5, 100));
    assert!(world.run_until_idle(1000));
    assert_eq!(world.delivered(), 101);
}

/// A full batch sent everybody's.
#[test]
fn b12_a_full_batch_leaves_alone() {
    let options = brokers(2).configure(|config| {
        config.linger_ms = 600_000;
        config.delivery_timeout_ms = 1_000_000;
        config.batch_size = 1000;
    });
    let (mut world, topic) = warm(options, 4);
    for partition in 1..4 {
        world.send_to(topic, partition, "lingers").unwrap();
    }
    for _ in 0..9 {
        world.send_to(topic, 0, [0; 100]).unwrap();
    }
    world.run_for(1000);
    assert_eq!([0, 1, 2, 3].map(|partition| batches(&world, partition).len()), [1, 0, 0, 0]);
}
