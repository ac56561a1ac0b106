//! Test your own code: a battery-powered sensor against a hostile cluster, in milliseconds and from a seed.
//!
//! `Sensor` is the code under test. It knows `klamm_core::Producer` only, as firmware does: it samples, sends, counts what it
//! could not keep, and sleeps. `main` puts it into worlds in which the network comes late, a broker dies and the link goes
//! down, and asserts what a customer would: nothing is lost without being counted, nothing comes twice or out of order, and
//! the battery lasts.
//!
//! Run it with `cargo run -p klamm-sim --example sensor`.

use klamm_core::{Event, Fate, Instant, Producer, Record, SendError, TopicId, static_storage};
use klamm_sim::world::{World, WorldOptions};
use klamm_sim::{Action, Api, ClusterOptions, Fault};

/// One reading every ten seconds.
const PERIOD_MS: u64 = 10_000;

/// The device's code.
struct Sensor {
    topic: TopicId,
    next: u32,
    /// Readings that found no room.
    dropped: u32,
    /// Readings that were not delivered in time, and surely not written.
    expired: u32,
    /// The same, but they may have been written.
    doubtful: u32,
}

impl Sensor {
    fn new(producer: &mut Producer<'_>) -> Result<Self, SendError> {
        Ok(Self { topic: producer.topic("readings")?, next: 0, dropped: 0, expired: 0, doubtful: 0 })
    }

    /// Takes a sample. Records without a key are accepted before the first connection, too.
    fn sample(&mut self, producer: &mut Producer<'_>, now: Instant) {
        let reading = format!("{:06} 21.5", self.next);
        self.next += 1;
        match producer.send(now, self.topic, &Record::value(reading.as_bytes())) {
            Ok(_) => {}
            // The memory is full: the newest reading goes, and is counted.
            Err(SendError::Full | SendError::BrokerShare) => self.dropped += 1,
            Err(error) => panic!("a sensor cannot go on: {error}"),
        }
    }

    fn hear(&mut self, event: &Event) {
        if let Event::Batch(outcome) = event
            && let Err(failed) = outcome.result
        {
            match failed.fate {
                Fate::NotWritten => self.expired += outcome.count,
                Fate::Unknown => self.doubtful += outcome.count,
            }
        }
    }
}

/// The device's memory: 8 KiB, all told.
type Memory = static_storage!(block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 3, connections: 2);

/// The device, a cluster, and the network between them.
fn world(seed: u64) -> World {
    // On a device this is a `static`.
    let memory: &'static mut Memory = Box::leak(Box::new(Memory::new()));
    let mut world = World::new(
        WorldOptions::seeded(seed)
            .storage(memory.storage().expect("the sizes fit each other"))
            .cluster(ClusterOptions { brokers: 3, seed, ..ClusterOptions::default() })
            .configure(|config| {
                config.linger_ms = 60_000; // the radio is on once a minute, not for each reading
                config.delivery_timeout_ms = 600_000;
                config.connections_max_idle_ms = 5_000; // and off when it is not needed
                config.metadata_max_age_ms = 3_600_000;
            }),
    );
    world.cluster_mut().create_topic("readings", 1);
    world
}

/// Lets the device live for some minutes: it sleeps until its next sample or until the producer's next deadline.
fn live(world: &mut World, sensor: &mut Sensor, minutes: u64) {
    for _ in 0..minutes * 60_000 / PERIOD_MS {
        world.with_producer(|producer, now| sensor.sample(producer, now));
        world.run_for(PERIOD_MS);
        for event in world.take_events() {
            sensor.hear(&event);
        }
    }
}

/// Everything that was accepted ends, and what arrived is in order and there once.
fn finish(world: &mut World, sensor: &mut Sensor) -> usize {
    world.with_producer(|producer, now| producer.flush(now));
    assert!(world.run_until_idle(700_000), "the device never comes to rest");
    for event in world.take_events() {
        sensor.hear(&event);
    }
    world.assert_settled();
    let values = world.values("readings");
    assert!(values.is_sorted() && world.duplicates("readings") == 0);
    let arrived = values.len() as u32;
    let missing = sensor.next - sensor.dropped - sensor.expired - arrived;
    assert!(missing <= sensor.doubtful, "{missing} readings are gone without a word");
    values.len()
}

/// Nothing goes wrong: all arrives, and the radio sleeps.
fn a_quiet_hour(seed: u64) {
    let mut world = world(seed);
    let mut sensor = world.with_producer(|producer, _| Sensor::new(producer)).expect("one topic has room");
    live(&mut world, &mut sensor, 60);
    let activity = world.activity();
    assert_eq!(finish(&mut world, &mut sensor), 360);
    world.assert_delivered();
    // One batch a minute: its linger, and connections that close again.
    assert!(activity.wakeups <= 60 * 4, "{activity:?}");
    assert!(activity.bytes_out < 60 * 1500, "{activity:?}");
}

/// The network is there only after twenty minutes: what fits into the memory and into ten minutes is kept.
fn an_offline_start(seed: u64) {
    let mut world = world(seed);
    for broker in 1..=3 {
        world.network_mut().block(broker);
    }
    let mut sensor = world.with_producer(|producer, _| Sensor::new(producer)).expect("one topic has room");
    live(&mut world, &mut sensor, 20);
    assert!(world.values("readings").is_empty());
    assert!(sensor.expired > 0, "what is older than ten minutes is given up, and said to be");
    world.calm();
    live(&mut world, &mut sensor, 10);
    assert!(finish(&mut world, &mut sensor) >= 60);
}

/// The leader dies, then the link is lost for a while with a batch on the way.
fn a_bad_hour(seed: u64) {
    let mut world = world(seed);
    let mut sensor = world.with_producer(|producer, _| Sensor::new(producer)).expect("one topic has room");
    live(&mut world, &mut sensor, 10);
    let (leader, _) = world.cluster().leader("readings", 0).expect("the topic exists");
    world.cluster_mut().kill(leader);
    live(&mut world, &mut sensor, 10);
    let minutes = 1 + world.random().below(15);
    // Requests arrive and are carried out, answers do not come.
    world.cluster_mut().faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer));
    live(&mut world, &mut sensor, minutes);
    let struck = world.cluster_mut().faults().struck();
    world.calm();
    live(&mut world, &mut sensor, 10);
    finish(&mut world, &mut sensor);
    let retried = world.with_producer(|producer, _| producer.stats().records_retried);
    assert!(struck > 0 && retried > 0, "{struck} answers were lost, {retried} readings sent again: nothing is shown");
    // Up to nine minutes fit; longer ones cost what the sensor counted.
    assert!(minutes > 8 || sensor.expired + sensor.doubtful == 0, "{minutes} minutes cost readings");
}

fn main() {
    for seed in 0..20 {
        a_quiet_hour(seed);
        an_offline_start(seed);
        a_bad_hour(seed);
    }
    println!("20 sensors lived through a quiet hour, an offline start and a bad hour each");
}

#[test]
fn the_sensor_keeps_its_word() {
    main();
}
