//! Sends many records of one size and prints the rate, and CPU time per record.
//!
//! ```sh
//! cargo run --release -p klamm --example throughput -- localhost:9092 perf 5000000 100 [threads] [property=value…]
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use klamm::{Producer, Record};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (properties, plain): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.contains('='));
    let [bootstrap, topic, count, size, threads @ ..] = plain.as_slice() else {
        return Err("usage: throughput BOOTSTRAP TOPIC RECORDS BYTES [THREADS] [property=value…]".into());
    };
    let (count, size): (u64, usize) = (count.parse()?, size.parse()?);
    let threads: u64 = threads.first().map_or(Ok(1), |threads| threads.parse())?;
    let properties = properties.iter().filter_map(|property| property.split_once('='));
    let producer = Producer::builder().bootstrap_servers(bootstrap.as_str()).properties(properties)?.build()?;
    let partitions = producer.partition_count(topic)?;

    let value: Vec<u8> = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let sent = std::thread::scope(|scope| {
        let sender = |_| {
            let (producer, record) = (producer.clone(), Record::to(topic).value(&value));
            scope.spawn(move || (0..count / threads).try_for_each(|_| producer.send(&record).map(drop)))
        };
        let senders: Vec<_> = (0..threads).map(sender).collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    sent?;
    producer.flush();
    let (elapsed, cpu) = (started.elapsed(), cpu_time()?.saturating_sub(cpu));

    let stats = producer.stats();
    let per_record = |duration: Duration| duration.as_nanos() as f64 / stats.records_accepted.max(1) as f64;
    println!("{} records of {size} B to {topic} ({partitions} partitions), {threads} threads", stats.records_accepted);
    println!("{:.0} records/s, {:.1} MB/s", 1e9 / per_record(elapsed), size as f64 * 1e3 / per_record(elapsed));
    println!(
        "{:.1} ns CPU per record ({:.1} of it klamm's I/O thread), {:.1} ns wall",
        per_record(cpu),
        per_record(io_thread_time()),
        per_record(elapsed)
    );
    println!(
        "{} delivered, {} failed, {} requests, {} batches, {:.1} KB per request, buffer full {} times",
        stats.records_delivered,
        stats.records_failed,
        stats.produce_requests,
        stats.batches_sent,
        stats.batch_bytes_sent as f64 / 1e3 / stats.produce_requests.max(1) as f64,
        stats.buffer_full,
    );
    producer.close(Duration::from_secs(10))?;
    Ok(())
}

/// User and system time of this process, threads that ended included. In hundredths of a second: send
/// millions of records.
#[cfg(target_os = "linux")]
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// The I/O thread's part.
fn io_thread_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let io_threads = tasks
        .map(|task| task.path())
        .filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "klamm-io"));
    // Nanoseconds on a CPU come first in schedstat.
    let nanos = io_threads.filter_map(|task| {
        std::fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::ZERO)
}
