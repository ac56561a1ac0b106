//! klamm under load, at sizes that every test run can bear. `cargo xtask stress` and `soak` run the full ones.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use klamm_load::sink::Sink;
use klamm_load::stress;
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{ClusterOptions, VersionSet};

/// Records per thread: fewer where the compiler does not optimise.
const EACH: u64 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

/// Runs `klamm-load`, in a process of its own because it counts the process's threads, descriptors or signals.
fn klamm_load(args: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_klamm-load")).args(args.split(' ')).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "klamm-load {args}: {text}");
    text
}

#[test]
fn eight_threads_lose_nothing_and_keep_their_order() {
    let options = ClusterOptions { brokers: 2, keep_history: false, ..ClusterOptions::default() };
    let cluster = TcpCluster::start(options).expect("loopback sockets");
    cluster.with(|cluster| cluster.create_topic("t", 6));
    let report = stress::threads(&cluster.bootstrap_servers(), "t", 8, EACH).unwrap();
    assert_eq!(report.records, 8 * EACH);
    // What the outcomes said is what the logs hold, in each thread's order.
    let mut stored = 0;
    for partition in 0..6 {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for record in cluster.with(|cluster| cluster.log("t", partition)) {
            let (sender, n) = stress::parse(&record.value.expect("a value")).expect("one of ours");
            let before = last.insert(sender, n);
            assert!(before.is_none_or(|before| before < n), "{partition}: {n} of {sender} after {before:?}");
            stored += 1;
        }
    }
    assert_eq!(stored, report.records);
}

#[test]
fn load_leaves_nothing_undone_and_nothing_behind() {
    let text = klamm_load(&format!("stress --threads 8 --records {EACH} --producers 100 --rounds 1000"));
    for part in ["8 threads", "starved", "100 producers", "1000 producers one after the other leave 0 threads, 0 descr"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn broken_connections_lose_and_double_nothing() {
    let text = klamm_load("soak --seconds 12 --rate 5000 --cut-every 0.5");
    assert!(text.contains("each with one outcome and one place in the log"), "{text}");
}

#[test]
fn signals_and_children_do_no_harm() {
    let text = klamm_load(&format!("signals --records {EACH}"));
    assert!(text.contains("no SIGPIPE") && text.contains("no descriptor is inherited"), "{text}");
}

/// A frame that Apache Kafka's Java classes wrote.
fn vector(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/data");
    let text = std::fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap();
    let text = text.trim();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn ask(bootstrap: &str, frame: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // In two pieces: a frame need not come whole.
    stream.write_all(&frame[..frame.len() / 2]).unwrap();
    stream.write_all(&frame[frame.len() / 2..]).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn the_sink_answers_as_a_broker_does() {
    for version in [7, 8, 9, 10, 11, 12] {
        let frame = vector(&format!("produce_req_v{version}"));
        let sink = Sink::start(2).unwrap();
        let versions = if version < 9 { VersionSet::kafka_2_4() } else { VersionSet::default() };
        let cluster = TcpCluster::start(ClusterOptions { brokers: 1, versions, ..ClusterOptions::default() }).unwrap();
        cluster.with(|cluster| cluster.create_topic("events", 2));
        let expected = ask(&cluster.bootstrap_servers(), &frame);
        assert_eq!(ask(&sink.bootstrap_servers(), &frame), expected, "version {version}");
        let records = cluster.with(|cluster| cluster.record_count("events"));
        assert_eq!(sink.acknowledged(), records, "version {version}");
    }
}
