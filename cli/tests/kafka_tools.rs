//! The argument lines of Kafka's own tools, unchanged: a line per option of kafka-producer-perf-test and
//! kafka-console-producer, as of 3.9 and 4.3, deprecated names included.

mod common;

use common::*;
use klamm_sim::tcp::TcpCluster;
use regex_lite::Regex;

const SUMMARY: &str = r"\d+ records sent, \d+\.\d{6} records/sec \(\d+\.\d\d MB/sec\), \d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.";

/// Runs a line as a shell would, without quotes; `BROKERS` stands for the cluster.
fn line(cluster: &TcpCluster, text: &str, stdin: &[u8]) -> Run {
    let text = text.replace("BROKERS", &cluster.bootstrap_servers());
    run(&text.split_whitespace().collect::<Vec<_>>(), stdin)
}

/// Acks and client id of the last Produce request.
fn last_request(cluster: &TcpCluster) -> (i16, String) {
    cluster.with(|c| {
        let last = c.requests().iter().rfind(|request| request.api_key == 0).expect("a request");
        (last.acks, last.client_id.clone().unwrap_or_default())
    })
}

fn records(cluster: &TcpCluster) -> Vec<Stored> {
    log(cluster, "one", 0)
}

/// A line for perf without its topic, and what it must print, as a pattern for all of it.
fn perf_line(cluster: &TcpCluster, options: &str, printed: &str) {
    let run = line(cluster, &format!("perf --topic one {options}"), b"");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{options}");
    let pattern = format!("^{printed}\n$");
    assert!(Regex::new(&pattern).unwrap().is_match(&run.stdout), "{options}\n{}", run.stdout);
}

#[test]
fn perf_payloads() {
    let cluster = cluster();
    let file = TempFile::new("kafka-payloads.txt", "a;ü;c".as_bytes());
    let read = format!("Reading payloads from: {}\nNumber of messages read: 3\n", file.path());
    let base = "--bootstrap-server BROKERS --num-records 20 --throughput";
    for (options, printed) in [
        (format!("{base} -1 --record-size 7"), SUMMARY.to_owned()),
        (format!("{base} 1000.5 --record-size 7"), SUMMARY.to_owned()),
        (format!("{base} -1 --payload-monotonic"), SUMMARY.to_owned()),
        (format!("{base} -1 --payload-file {} --payload-delimiter ;", file.path()), read.clone() + SUMMARY),
    ] {
        let before = records(&cluster).len();
        perf_line(&cluster, &options, &printed);
        assert_eq!(records(&cluster).len(), before + 20, "{options}");
    }
}

#[test]
fn perf_properties_of_every_age() {
    let cluster = cluster();
    let config =
        "bootstrap.servers=BROKERS\nacks=0\nclient.id=from-file\n".replace("BROKERS", &cluster.bootstrap_servers());
    let file = TempFile::new("kafka-perf.properties", config.as_bytes());
    let base = "--num-records 3 --record-size 7 --throughput -1";
    let file = file.path();
    for (options, acks, client_id) in [
        // 3.9.
        (format!("{base} --producer-props bootstrap.servers=BROKERS acks=1 client.id=old"), 1, "old"),
        (format!("--producer-props bootstrap.servers=BROKERS acks=1 {base}"), 1, "perf-producer-client"),
        (format!("{base} --producer.config {file}"), 0, "from-file"),
        (format!("{base} --producer.config {file} --producer-props acks=all"), -1, "from-file"),
        // 4.3.
        (format!("{base} --bootstrap-server BROKERS"), -1, "perf-producer-client"),
        (format!("{base} --bootstrap-server BROKERS --command-property acks=1 client.id=new"), 1, "new"),
        (format!("{base} --bootstrap-server BROKERS --command-property acks=1 --command-property client.id=2"), 1, "2"),
        (format!("{base} --command-config {file} --command-property client.id=both"), 0, "both"),
        (
            format!("{base} --bootstrap-server BROKERS --command-property bootstrap.servers=127.0.0.1:1"),
            -1,
            "perf-producer-client",
        ),
        // Kafka's tool refuses a second `=`; here it is part of the value.
        (format!("{base} --bootstrap-server BROKERS --producer-props client.id=a=b"), -1, "a=b"),
    ] {
        perf_line(&cluster, &options, SUMMARY);
        assert_eq!(last_request(&cluster), (acks, client_id.to_owned()), "{options}");
    }
}

#[test]
fn perf_reports() {
    let cluster = cluster();
    let base = "--bootstrap-server BROKERS --num-records 30 --record-size 7 --throughput -1";
    let warm = "Warmup first 10 records\\. Steady state results will print after the complete test summary\\.\n";
    let steady = format!("{warm}{SUMMARY}\n{}", SUMMARY.replacen(" records", " steady state records", 1));
    perf_line(&cluster, &format!("{base} --warmup-records 10"), &steady);
    perf_line(&cluster, &format!("{base} --reporting-interval 60000"), SUMMARY);
    let metrics =
        r"\n\nMetric Name +   Value\n([a-z-]+:[a-z-]+:\{client-id=perf-producer-client[^}]*\} +: [\w.-]+\n?)+";
    let run = line(&cluster, &format!("perf --topic one {base} --print-metrics"), b"");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(Regex::new(&format!("^{SUMMARY}{metrics}$")).unwrap().is_match(&run.stdout), "{}", run.stdout);
}

#[test]
fn perf_transactions_are_refused_by_name() {
    let cluster = cluster();
    let base = "perf --topic one --bootstrap-server BROKERS --num-records 3 --record-size 7 --throughput -1";
    for (options, named) in [
        ("--transactional-id x", "--transactional-id"),
        ("--transaction-duration-ms 100", "--transaction-duration-ms"),
        ("--producer-props transactional.id=x", "transactional.id"),
    ] {
        let run = line(&cluster, &format!("{base} {options}"), b"");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{options}");
        assert!(run.stderr.contains(&format!("{named} is not implemented yet")), "{options}: {}", run.stderr);
    }
}

/// Every option of the console producer that is a property by another name, or has no effect on records.
#[test]
fn console_options() {
    let cluster = cluster();
    let config = format!("bootstrap.servers={}\nacks=0\nclient.id=from-file\n", cluster.bootstrap_servers());
    let file = TempFile::new("kafka-console.properties", config.as_bytes());
    let reader = TempFile::new("kafka-reader.properties", b"parse.key=false\n");
    let (file, reader) = (file.path(), reader.path());
    let (name, to) = ("console-producer", "--bootstrap-server BROKERS --topic one");
    for (options, acks, client_id) in [
        (to.to_owned(), -1, name),
        ("--broker-list BROKERS --topic one".to_owned(), -1, name),
        (format!("--broker-list 127.0.0.1:1 {to}"), -1, name),
        (format!("{to} --producer-property acks=1 --producer-property client.id=old"), 1, "old"),
        (format!("{to} --command-property acks=1 --command-property client.id=new"), 1, "new"),
        (format!("--producer.config {file} --topic one"), 0, "from-file"),
        (format!("--command-config {file} --topic one --command-property acks=1"), 1, "from-file"),
        (format!("{to} --property parse.key=false"), -1, name),
        (format!("{to} --reader-property parse.key=false --reader-config {reader}"), -1, name),
        (format!("{to} --line-reader org.apache.kafka.tools.LineMessageReader"), -1, name),
        (format!("{to} --compression-codec none"), -1, name),
        (format!("{to} --compression-codec lz4"), -1, name),
        (format!("{to} --compression-codec=lz4"), -1, name),
        (format!("{to} --batch-size 100"), -1, name),
        (format!("{to} --max-partition-memory-bytes 100 --batch-size 200"), -1, name),
        (format!("{to} --timeout 7"), -1, name),
        (format!("{to} --request-required-acks -1"), -1, name),
        (format!("{to} --request-required-acks 1"), 1, name),
        (format!("{to} --request-required-acks=all"), -1, name),
        (format!("{to} --request-timeout-ms 1500"), -1, name),
        (format!("{to} --message-send-max-retries 3"), -1, name),
        (format!("{to} --retry-backoff-ms 100"), -1, name),
        (format!("{to} --max-block-ms 60000"), -1, name),
        (format!("{to} --max-memory-bytes 33554432"), -1, name),
        (format!("{to} --metadata-expiry-ms 300000"), -1, name),
        (format!("{to} --socket-buffer-size 102400"), -1, name),
        (format!("{to} --sync"), -1, name),
    ] {
        cluster.with(|c| c.clear_requests());
        let before = records(&cluster).len();
        line(&cluster, &format!("produce {options}"), b"x\n").assert_quiet_success();
        let new = records(&cluster).split_off(before);
        assert_eq!(new, [(None, Some(b"x".to_vec()), Vec::new())], "{options}");
        assert_eq!(last_request(&cluster), (acks, client_id.to_owned()), "{options}");
    }
}

#[test]
fn console_flags_reach_their_properties() {
    let cluster = cluster();
    // An illegal value shows which property a flag sets, and that it does.
    for (flag, property) in [
        ("--timeout", "linger.ms"),
        ("--batch-size", "batch.size"),
        ("--max-partition-memory-bytes", "batch.size"),
        ("--request-required-acks", "acks"),
        ("--request-timeout-ms", "request.timeout.ms"),
        ("--message-send-max-retries", "retries"),
        ("--retry-backoff-ms", "retry.backoff.ms"),
        ("--max-block-ms", "max.block.ms"),
        ("--max-memory-bytes", "buffer.memory"),
        ("--metadata-expiry-ms", "metadata.max.age.ms"),
        ("--socket-buffer-size", "send.buffer.bytes"),
    ] {
        let run = line(&cluster, &format!("produce --bootstrap-server BROKERS --topic one {flag} bad"), b"x\n");
        assert_eq!(run.code, Some(2), "{flag}");
        assert!(run.stderr.contains(&format!("klamm: {property}: expected ")), "{flag}: {}", run.stderr);
    }
    // Of two flags for one property, Kafka's tool takes the older.
    let both = "--batch-size 16384 --max-partition-memory-bytes 60";
    let lines = "1234567890\n".repeat(20);
    cluster.with(|c| c.clear_requests());
    let text = format!("produce --bootstrap-server BROKERS --topic one --timeout 50 {both}");
    line(&cluster, &text, lines.as_bytes()).assert_quiet_success();
    cluster.with(|c| {
        let mut batches = c.requests().iter().flat_map(|request| &request.batches);
        assert!(batches.all(|batch| batch.records == 1), "{:?}", c.requests());
    });
}

#[test]
fn console_reader_properties() {
    let cluster = cluster();
    let all = "--reader-property parse.key=true --reader-property parse.headers=true --reader-property null.marker=NULL \
               --reader-property headers.delimiter=| --reader-property headers.separator=; \
               --reader-property headers.key.separator=~ --reader-property key.separator=^ --property ignore.error=true";
    let text = format!("produce --bootstrap-server BROKERS --topic one {all}");
    line(&cluster, &text, b"a~1;b~NULL|k^v\nNULL|NULL^NULL\nplain\n").assert_quiet_success();
    let headers = vec![("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)];
    let expected: [Stored; 3] = [
        (Some(b"k".to_vec()), Some(b"v".to_vec()), headers),
        (None, None, Vec::new()),
        (None, Some(b"plain".to_vec()), Vec::new()),
    ];
    assert_eq!(records(&cluster), expected);
}

#[test]
fn the_environment_comes_last() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let file = TempFile::new("kafka-precedence.properties", b"client.id=file\n");
    let run = |flags: &[&str]| {
        let mut child = command(&[&["produce", "--topic", "one"][..], flags].concat())
            .env("KLAMM_BOOTSTRAP_SERVERS", &servers)
            .env("KLAMM_CLIENT_ID", "environment")
            .env("KLAMM_ACKS", "1")
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"x\n").unwrap();
        finish(child).assert_quiet_success();
        last_request(&cluster)
    };
    assert_eq!(run(&[]), (1, "environment".to_owned()));
    assert_eq!(run(&["--command-config", file.path()]), (1, "file".to_owned()));
    let property =
        ["--command-config", file.path(), "--command-property", "client.id=property", "--command-property", "acks=0"];
    assert_eq!(run(&property), (0, "property".to_owned()));
    assert_eq!(run(&[&property[..], &["--request-required-acks", "all"]].concat()), (-1, "property".to_owned()));
}
