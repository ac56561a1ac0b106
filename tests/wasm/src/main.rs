//! A simulated cluster on loopback sockets, steered over standard input: a command per line, an answer per command, which ends
//! with an empty line. It ends with its input.
//!
//! | command | answer |
//! |---|---|
//! | `topic NAME PARTITIONS` | |
//! | `kill BROKER`, `restart BROKER` | |
//! | `leader TOPIC PARTITION` | the broker |
//! | `log TOPIC PARTITION` | a line per record: offset, timestamp, key, value, then for each header its name and its value; bytes in hexadecimal, `-` for null |
//! | `count TOPIC PARTITIONS` | how many records there are |

use klamm_sim::tcp::TcpCluster;
use klamm_sim::{ClusterOptions, StoredRecord};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let brokers = std::env::args().nth(1).map_or(Ok(3), |brokers| brokers.parse())?;
    let cluster = TcpCluster::start(ClusterOptions { brokers, keep_history: false, ..ClusterOptions::default() })?;
    println!("{}\n", cluster.bootstrap_servers());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = run(&cluster, &words).unwrap_or_else(|error| format!("error: {error}\n"));
        println!("{answer}"); // an empty line behind its own
        io::stdout().flush()?;
    }
    Ok(())
}

fn run(cluster: &TcpCluster, words: &[&str]) -> Result<String> {
    match *words {
        ["topic", name, partitions] => {
            let partitions = partitions.parse()?;
            cluster.with(|cluster| cluster.create_topic(name, partitions));
            Ok(String::new())
        }
        ["kill", broker] => {
            cluster.kill(broker.parse()?);
            Ok(String::new())
        }
        ["restart", broker] => {
            cluster.restart(broker.parse()?)?;
            Ok(String::new())
        }
        ["leader", topic, partition] => {
            let partition = partition.parse()?;
            let leader = cluster.with(|cluster| cluster.leader(topic, partition));
            Ok(leader.map_or_else(|| "none\n".to_owned(), |(broker, _epoch)| format!("{broker}\n")))
        }
        ["log", topic, partition] => {
            let partition = partition.parse()?;
            let log = cluster.with(|cluster| cluster.log(topic, partition));
            Ok(log.iter().map(shown).collect())
        }
        ["count", topic, partitions] => {
            let partitions: u32 = partitions.parse()?;
            let count: usize = cluster.with(|cluster| (0..partitions).map(|at| cluster.log(topic, at).len()).sum());
            Ok(format!("{count}\n"))
        }
        _ => Err(format!("no such command: {}", words.join(" ")).into()),
    }
}

fn shown(record: &StoredRecord) -> String {
    let (key, value) = (hex(record.key.as_deref()), hex(record.value.as_deref()));
    let mut line = format!("{} {} {key} {value}", record.offset, record.timestamp);
    for (name, value) in &record.headers {
        line.push_str(&format!(" {} {}", hex(Some(name.as_bytes())), hex(value.as_deref())));
    }
    line.push('\n');
    line
}

/// Behind an `x`, so that no bytes are still a word.
fn hex(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "-".to_owned() };
    let mut text = "x".to_owned();
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
