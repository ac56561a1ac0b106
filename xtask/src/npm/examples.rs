//! `examples/node` against real Kafka, as `cargo xtask npm packed --real` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use klamm_kafka_harness::{Kafka, ReadRecord};
use serde_json::Value;

use crate::Result;

const READINGS: usize = 1_000;
const LINES: usize = 10_000;

/// Runs both programs beside the installed package, and reads back what they published.
pub(crate) fn check(kafka: &Kafka, installed: &Path, node: &Path, newest_node: &Path) -> Result<()> {
    let folder = installed.join("example");
    super::copy_files(&crate::root().join("examples/node"), &folder)?;
    for (topic, partitions) in [("readings", 3), ("lines", 1)] {
        kafka.create_topic(topic, partitions, 1, &[]).map_err(|error| error.to_string())?;
    }
    run(Command::new(node).args(["publish.js", &kafka.bootstrap_servers()]).current_dir(&folder), String::new())?;
    let mut input = String::new();
    for line in 0..LINES {
        // Writing to a text cannot fail.
        let _ = writeln!(input, "line {line}");
    }
    run(Command::new(newest_node).args(["lines.js", &kafka.bootstrap_servers()]).current_dir(&folder), input)?;
    let read = |topic| kafka.read_back(topic).map_err(|error| error.to_string());
    readings(&read("readings")?)?;
    println!("examples/node/publish.js: {READINGS} readings in Apache Kafka, each room's in order");
    let lines = read("lines")?;
    let in_order =
        |(at, record): (usize, &ReadRecord)| record.value.as_deref() == Some(format!("line {at}").as_bytes());
    if lines.len() != LINES || !lines.iter().enumerate().all(in_order) {
        return Err(format!("examples/node/lines.js: {} lines, or out of order", lines.len()));
    }
    println!("examples/node/lines.js: {LINES} lines in Apache Kafka, in order");
    Ok(())
}

fn run(command: &mut Command, input: String) -> Result<()> {
    let error = |error| format!("cannot run an example: {error}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(error)?;
    let mut stdin = child.stdin.take().ok_or("an example takes no input")?;
    // Beside reading what it says; one that ends early does not read it all.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(error)?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    writer.join().map_err(|_| "the writer panicked")?.map_err(|error| format!("{error}: {said}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}\n{said}", output.status)) }
}

/// Every reading once, those of a room in one partition and in order.
fn readings(found: &[ReadRecord]) -> Result<()> {
    let mut seen = vec![false; READINGS];
    let mut rooms: BTreeMap<String, (i32, u64)> = BTreeMap::new();
    for record in found {
        let value: Value = serde_json::from_slice(record.value.as_deref().unwrap_or_default())
            .map_err(|error| format!("a reading is no JSON: {error}"))?;
        let (Some(room), Some(number)) = (value["room"].as_str(), value["number"].as_u64()) else {
            return Err(format!("not a reading: {value}"));
        };
        let is_new = seen.get_mut(number as usize).is_some_and(|seen| !std::mem::replace(seen, true));
        let before = rooms.insert(room.to_owned(), (record.partition, number));
        let follows = before.is_none_or(|(partition, last)| partition == record.partition && last < number);
        let is_keyed = record.key.as_deref() == Some(room.as_bytes());
        if !is_new || !follows || !is_keyed || record.headers.len() != 1 {
            return Err(format!("a reading twice, out of order or without its key: {record:?}"));
        }
    }
    if found.len() == READINGS { Ok(()) } else { Err(format!("{} readings of {READINGS}", found.len())) }
}
