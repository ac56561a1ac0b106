//! `klamm perf`: the lines are those of Kafka's tool, and the records arrive.

mod common;

use common::*;
use regex_lite::Regex;

const WINDOW: &str =
    r"^\d+ records sent, \d+\.\d records/sec \(\d+\.\d\d MB/sec\), \d+\.\d ms avg latency, \d+\.\d ms max latency\.$";
const TAIL: &str = r" records sent, \d+\.\d{6} records/sec \(\d+\.\d\d MB/sec\), \d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.$";

fn is(pattern: &str, line: &str) -> bool {
    Regex::new(pattern).unwrap().is_match(line)
}

fn perf(cluster: &klamm_sim::tcp::TcpCluster, more: &[&str]) -> Run {
    let servers = cluster.bootstrap_servers();
    let mut arguments = vec!["perf", "--bootstrap-server", &servers, "--topic", "t"];
    arguments.extend(more);
    run(&arguments, b"")
}

fn all(cluster: &klamm_sim::tcp::TcpCluster) -> Vec<Stored> {
    (0..6).flat_map(|p| log(cluster, "t", p)).collect()
}

#[test]
fn one_summary() {
    let cluster = cluster();
    let run = perf(&cluster, &["--num-records", "20000", "--record-size", "100", "--throughput", "-1"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(is(&format!("^20000{TAIL}"), run.stdout.trim_end()), "{}", run.stdout);
    let records = all(&cluster);
    assert_eq!(records.len(), 20_000);
    for (key, value, headers) in &records {
        let value = value.as_ref().unwrap();
        assert!(key.is_none() && headers.is_empty() && value.len() == 100 && value.iter().all(u8::is_ascii_uppercase));
    }
}

#[test]
fn windows_and_warm_up() {
    // 3000 records at 2000 a second. A busy machine may be slower, but not five times in a row.
    let mut rates = Vec::new();
    while rates.last().is_none_or(|&rate| rate < 1500.0) {
        assert!(rates.len() < 5, "{rates:?}");
        rates.push(paced_run());
    }
}

/// Checks a run at 2000 records a second, and returns its rate: no machine makes it faster than it was told.
fn paced_run() -> f64 {
    let cluster = cluster();
    let flags = ["--num-records", "3000", "--record-size", "10", "--throughput", "2000", "--reporting-interval", "200"];
    let run = perf(&cluster, &[&flags[..], &["--warmup-records", "1000"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], "Warmup first 1000 records. Steady state results will print after the complete test summary.");
    assert!(lines.contains(&"In steady state."), "{}", run.stdout);
    assert!(is(&format!("^3000{TAIL}"), lines[lines.len() - 2]), "{}", run.stdout);
    assert!(is(&format!("^2000 steady state{TAIL}"), lines[lines.len() - 1]), "{}", run.stdout);
    let rate: f64 = lines[lines.len() - 2].split(' ').nth(3).unwrap().parse().unwrap();
    assert!(rate < 2100.0, "{rate}");
    let windows = lines.iter().filter(|l| is(WINDOW, l)).count();
    // One in 200 ms at most; in a window without a record none is printed.
    let most = (3000.0 / rate / 0.2) as usize + 1;
    assert!((1..=most).contains(&windows), "{}", run.stdout);
    assert!(rate < 1500.0 || windows >= 4, "{}", run.stdout);
    assert_eq!(lines.len(), 1 + 1 + windows + 2);
    rate
}

#[test]
fn other_payloads() {
    let cluster = cluster();
    let file = TempFile::new("payloads.txt", b"alpha;beta;gamma;");
    let common = ["--num-records", "300", "--throughput", "-1"];
    let run = perf(&cluster, &[&common[..], &["--payload-file", file.path(), "--payload-delimiter", ";"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.starts_with("Reading payloads from: "), "{}", run.stdout);
    assert!(run.stdout.contains("\nNumber of messages read: 3\n300 records sent, "), "{}", run.stdout);
    let values: std::collections::BTreeSet<_> = all(&cluster).into_iter().map(|(_, v, _)| v.unwrap()).collect();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [&b"alpha"[..], b"beta", b"gamma"]);

    cluster.with(|c| c.recreate_topic("t"));
    let run = perf(&cluster, &[&common[..], &["--payload-monotonic"]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut values: Vec<u32> =
        all(&cluster).into_iter().map(|(_, v, _)| String::from_utf8(v.unwrap()).unwrap().parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (0..300).collect::<Vec<_>>());
}

#[test]
fn several_properties_after_one_flag() {
    let cluster = cluster();
    cluster.with(|c| c.keep_history(true));
    let servers = format!("bootstrap.servers={}", cluster.bootstrap_servers());
    let flags = [
        "perf",
        "--topic",
        "t",
        "--num-records",
        "10",
        "--record-size",
        "9",
        "--producer-props",
        &servers,
        "acks=1",
        "--throughput",
        "-1",
    ];
    let run = run(&flags, b"");
    assert_eq!(run.code, Some(0), "{run:?}");
    cluster.with(|c| {
        let produces: Vec<_> = c.requests().iter().filter(|r| r.api_key == 0).collect();
        assert!(!produces.is_empty());
        assert!(
            produces.iter().all(|r| r.acks == 1 && r.client_id.as_deref() == Some("perf-producer-client")),
            "{produces:?}"
        );
    });
}

#[test]
fn metrics() {
    let cluster = cluster();
    let run = perf(&cluster, &["--num-records", "10", "--record-size", "9", "--throughput", "-1", "--print-metrics"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = run.stdout.lines().collect();
    // The summary, an empty line, the heading.
    assert!(is(&format!("^10{TAIL}"), lines[0]) && lines[1].is_empty(), "{}", run.stdout);
    assert!(is("^Metric Name +Value$", lines[2]), "{}", run.stdout);
    assert!(lines[3..].is_sorted(), "{}", run.stdout);
    let number =
        |line: &str| is(r"^[a-z-]+:[a-z-]+:\{client-id=perf-producer-client[^}]*\} +: (\d+\.\d{3}|NaN)$", line);
    assert_eq!(lines[3..].iter().filter(|line| !line.starts_with("app-info:") && !number(line)).count(), 0);
    for pattern in [
        r"^producer-metrics:record-send-total:\{client-id=perf-producer-client\} +: 10\.000$",
        r"^producer-topic-metrics:record-send-total:\{client-id=perf-producer-client, topic=t\} +: 10\.000$",
        r"^producer-node-metrics:request-total:\{client-id=perf-producer-client, node-id=node-\d\} +: \d+\.000$",
        r"^app-info:start-time-ms:\{client-id=perf-producer-client\} +: \d+$",
    ] {
        assert!(lines.iter().any(|line| is(pattern, line)), "{pattern}: {}", run.stdout);
    }
}

#[test]
fn failures_are_counted_and_fail_the_run() {
    let cluster = cluster();
    let options = klamm_sim::TopicOptions { partitions: 6, max_message_bytes: Some(500), ..Default::default() };
    cluster.with(|c| c.create_topic_with("small", options));
    let servers = cluster.bootstrap_servers();
    let flags = [
        "perf",
        "--topic",
        "small",
        "--bootstrap-server",
        &servers,
        "--num-records",
        "20",
        "--record-size",
        "1000",
        "--throughput",
        "-1",
    ];
    let run = run(&flags, b"");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stdout.starts_with("0 records sent, 0.000000 records/sec (0.00 MB/sec), NaN ms avg latency"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("20 records failed: ") && run.stderr.contains("max.message.bytes"), "{}", run.stderr);
}

/// However much the sizes differ: a line per cause.
#[test]
fn payloads_too_large_share_a_line() {
    let cluster = cluster();
    let pieces: String = (2000..2040).map(|size| "x".repeat(size) + "\n").collect();
    let file = TempFile::new("large-payloads.txt", pieces.as_bytes());
    let flags = ["--num-records", "50", "--throughput", "-1", "--payload-file", file.path()];
    let run =
        perf(&cluster, &[&flags[..], &["--command-property", "max.request.size=1000", "batch.size=500"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(
        run.stderr,
        "klamm: 50 records failed: larger than 1000 bytes: raise max.request.size (and buffer.memory if that is smaller)\n"
    );
}

#[test]
fn an_unreachable_broker_ends_the_run() {
    let flags = [
        "perf",
        "--topic",
        "t",
        "--bootstrap-server",
        "127.0.0.1:1",
        "--num-records",
        "1000",
        "--record-size",
        "10",
        "--throughput",
        "-1",
        "--producer-props",
        "max.block.ms=300",
        "delivery.timeout.ms=600",
        "request.timeout.ms=500",
        "linger.ms=0",
    ];
    let run = run(&flags, b"");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("records failed: "), "{}", run.stderr);
}

#[test]
fn bad_usage() {
    let base = ["perf", "--topic", "t", "--bootstrap-server", "127.0.0.1:1"];
    for (flags, message) in [
        (&["--num-records", "1", "--throughput", "-1"][..], "--record-size"),
        (
            &["--num-records", "1", "--throughput", "-1", "--record-size", "1", "--payload-monotonic"],
            "--payload-monotonic",
        ),
        (&["--num-records", "0", "--throughput", "-1", "--record-size", "1"], "--num-records"),
        (&["--num-records", "1", "--throughput", "0", "--record-size", "1"], "--throughput 0"),
        (&["--num-records", "1", "--record-size", "1"], "--throughput"),
        (
            &["--num-records", "5", "--throughput", "-1", "--record-size", "1", "--warmup-records", "5"],
            "--warmup-records",
        ),
        (&["--num-records", "1", "--throughput", "-1", "--payload-file", "no/such"], "no/such"),
        (
            &["--num-records", "1", "--throughput", "-1", "--record-size", "1", "--transactional-id", "x"],
            "--transactional-id is not implemented yet",
        ),
        (
            &["--num-records", "1", "--throughput", "-1", "--record-size", "1", "--producer-props", "acks"],
            "malformed property 'acks'",
        ),
    ] {
        let run = run(&[&base[..], flags].concat(), b"");
        assert_eq!((run.code, run.stderr.contains(message)), (Some(2), true), "{flags:?}: {run:?}");
    }
}
