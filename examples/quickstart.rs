//! klamm in one file: publish sensor readings over TCP, then read them back and compare.
//!
//! `cargo run --release --example quickstart` needs nothing else: it starts a simulated Kafka cluster of its own.
//! `… --example quickstart -- --bootstrap-server HOST:PORT [--topic TOPIC]` does the same with yours.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use klamm::{Producer, Record};
use klamm_sim::{ClusterOptions, reader::ReadRecord, reader::read_topic, tcp::TcpCluster};

const READINGS: usize = 5000;
const SENSORS: usize = 40;

struct Reading {
    sensor: String,
    json: String,
}

/// Where a reading was stored: partition and offset.
type Place = (i32, i64);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (server, topic) = arguments()?;
    let mut cluster = None; // runs until it is dropped
    let bootstrap = match server {
        Some(server) => server,
        None => {
            let started = TcpCluster::start(ClusterOptions { brokers: 3, ..ClusterOptions::default() })?;
            started.with(|cluster| cluster.create_topic(&topic, 6));
            println!("Started a simulated cluster: 3 brokers, topic \"{topic}\" with 6 partitions.");
            cluster.insert(started).bootstrap_servers()
        }
    };
    let readings: Vec<Reading> = (0..READINGS).map(reading).collect();
    let places = publish(&bootstrap, &topic, &readings)?;
    show(&places);
    compare(&readings, &places, &read_topic(&bootstrap, &topic)?)?;
    println!("Read back: all {READINGS} readings are there, byte for byte, and in order for each sensor.");
    Ok(())
}

/// Sends every reading, waits until each is stored, and returns where.
fn publish(bootstrap: &str, topic: &str, readings: &[Reading]) -> Result<Vec<Place>, Box<dyn Error>> {
    // Any of Kafka's producer properties can be given here, under Kafka's names.
    let producer =
        Producer::from_properties([("bootstrap.servers", bootstrap), ("linger.ms", "5"), ("max.block.ms", "10000")])?;
    println!("Publishing {READINGS} readings of {SENSORS} sensors to {bootstrap} …");
    let start = Instant::now();
    let mut deliveries = Vec::with_capacity(readings.len());
    for reading in readings {
        // One sensor, one key: its readings go to one partition, and stay in order.
        let record = Record::to(topic).key(&reading.sensor).value(&reading.json).header("unit", "celsius");
        deliveries.push(producer.send(&record)?);
    }
    // A delivery is also a future: `delivery.await?` does the same in async code.
    let places: Result<Vec<Place>, _> = deliveries
        .into_iter()
        .map(|delivery| delivery.wait().map(|stored| (stored.partition, stored.offset)))
        .collect();
    let (places, seconds) = (places?, start.elapsed().as_secs_f64());

    let stats = producer.stats();
    producer.close(Duration::from_secs(10))?;
    println!(
        "Delivered in {:.0} ms, connecting included: {:.0} records/s, {} batches in {} requests.",
        seconds * 1000.0,
        readings.len() as f64 / seconds,
        stats.batches_sent,
        stats.produce_requests,
    );
    Ok(places)
}

fn show(places: &[Place]) {
    let mut partitions: BTreeMap<i32, (usize, i64, i64)> = BTreeMap::new();
    for &(partition, offset) in places {
        let (count, first, last) = partitions.entry(partition).or_insert((0, offset, offset));
        (*count, *first, *last) = (*count + 1, offset.min(*first), offset.max(*last));
    }
    println!("\n  partition  records  offsets");
    for (partition, (count, first, last)) in partitions {
        println!("  {partition:>9}  {count:>7}  {first} to {last}");
    }
    println!();
}

/// Looks for every reading where it was said to be. What else the topic holds is none of our business.
fn compare(readings: &[Reading], places: &[Place], stored: &[ReadRecord]) -> Result<(), Box<dyn Error>> {
    let stored: BTreeMap<Place, &ReadRecord> = stored.iter().map(|r| ((r.partition, r.offset), r)).collect();
    let mut last: BTreeMap<&str, Place> = BTreeMap::new();
    let unit = [("unit".to_owned(), Some(b"celsius".to_vec()))];
    for (reading, place) in readings.iter().zip(places) {
        let (partition, offset) = place;
        let record =
            stored.get(place).ok_or_else(|| format!("partition {partition} holds nothing at offset {offset}"))?;
        let same = record.key.as_deref() == Some(reading.sensor.as_bytes())
            && record.value.as_deref() == Some(reading.json.as_bytes())
            && record.headers == unit;
        if !same {
            return Err(format!("partition {partition}, offset {offset} holds something else: {record:?}").into());
        }
        if let Some(before) = last.insert(&reading.sensor, *place)
            && (before.0 != *partition || before.1 >= *offset)
        {
            return Err(format!("{} is out of order at partition {partition}, offset {offset}", reading.sensor).into());
        }
    }
    Ok(())
}

fn reading(number: usize) -> Reading {
    let celsius = 20.0 + (number as f64 / 300.0).sin() * 5.0;
    Reading {
        sensor: format!("sensor-{:02}", number * 7 % SENSORS),
        json: format!(r#"{{"reading":{number},"temperature":{celsius:.2}}}"#),
    }
}

/// The bootstrap server, if one was given, and the topic.
fn arguments() -> Result<(Option<String>, String), String> {
    let (mut server, mut topic) = (None, "sensors".to_owned());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--bootstrap-server" => server = Some(value?),
            "--topic" => topic = value?,
            _ => return Err(format!("unknown argument {word}: use [--bootstrap-server HOST:PORT] [--topic TOPIC]")),
        }
    }
    Ok((server, topic))
}
