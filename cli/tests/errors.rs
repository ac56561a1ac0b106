//! What goes wrong says what to do, and the exit status tells the kinds apart.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;

use common::*;

#[test]
fn bad_usage() {
    let unreadable = TempFile::new("bad.properties", b"a=1\nb=\\u12\n");
    let illegal = TempFile::new("illegal.properties", b"linger.ms=1\nacks=7\n");
    let no_file = "no/such/file.properties";
    let table: &[(&[&str], &str)] = &[
        (&["--producer-property", "foo"], "malformed property 'foo': write KEY=VALUE"),
        (&["--property", "parse.key"], "malformed property 'parse.key': write KEY=VALUE"),
        (&["--producer-property", "sasl.jaas.config:hunter2"], "malformed property '(hidden)'"),
        (&["--producer-property", "transactional.id=t"], "transactional.id is not implemented yet"),
        (&["--producer-property", "security.protocol=SSL"], "security.protocol=SSL is not implemented yet"),
        (&["--producer-property", "interceptor.classes=a.B"], "JVM classes cannot be loaded here"),
        (
            &["--command-config", illegal.path()],
            "illegal.properties, line 2: acks: expected all, -1, 0 or 1, not \"7\"",
        ),
        (&["--property", "parse.keys=true"], "unknown reader property 'parse.keys': did you mean 'parse.key'?"),
        (&["--property", "headers.separator=:"], "headers.separator and headers.key.separator may not be equal"),
        (&["--producer.config", no_file], no_file),
        (&["--reader-config", no_file], no_file),
        (&["--command-config", unreadable.path()], "line 2: \\u must be followed by four hexadecimal digits"),
        (&["--line-reader", "com.example.Mine"], "com.example.Mine"),
        (&["--request-required-acks", "7"], "acks"),
        (&["--timeout", "soon"], "linger.ms"),
        (&["--batch-size", "-3"], "batch.size"),
        (&["--compression-codec", "brotli"], "brotli"),
        (&["--jsn"], "--json"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["stray"], "stray"),
    ];
    for (flags, message) in table {
        let mut arguments = vec!["produce", "--bootstrap-server", "127.0.0.1:1", "--topic", "t"];
        arguments.extend(*flags);
        let run = run(&arguments, b"x\n");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{flags:?}: {run:?}");
        assert!(run.stderr.contains(message), "{flags:?}: {}", run.stderr);
    }
    for (arguments, message) in [
        (&["produce", "--topic", "t"][..], "--bootstrap-server HOST:PORT"),
        (&["produce", "--bootstrap-server", "h:1"], "--topic"),
        (
            &["produce", "--bootstrap-server", "no-port", "--topic", "t"],
            "bootstrap.servers: expected host:port, not \"no-port\"",
        ),
        (&["consume"], "consume"),
    ] {
        let run = run(arguments, b"");
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(message), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn what_is_odd_is_told_and_done() {
    let cluster = cluster();
    for (flags, message) in [
        (&["--producer-property", "lingr.ms=5"], "unknown property lingr.ms: did you mean linger.ms?"),
        (&["--producer-property", "client.rack=r"], "client.rack has no effect: "),
        (&["--max-memory-bytes", "900000"], "buffer.memory=900000 cannot hold what max.request.size=1048576 allows"),
        (&["--property", "parse.key=yes"], "reader property parse.key=yes counts as false: write true or false"),
    ] {
        let run = produce(&cluster, "one", flags, b"x\n");
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{flags:?}: {run:?}");
        assert!(run.stderr.starts_with(&format!("klamm: warning: {message}")), "{flags:?}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{flags:?}: {}", run.stderr);
    }
    let file = TempFile::new("odd.properties", b"\nbogus.name=hunter2\n");
    let run = produce(&cluster, "one", &["--command-config", file.path()], b"x\n");
    assert!(run.stderr.contains("odd.properties, line 2: unknown property bogus.name\n"), "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn many_failures_are_a_few_lines() {
    let cluster = cluster();
    let options = klamm_sim::TopicOptions { partitions: 1, max_message_bytes: Some(300), ..Default::default() };
    cluster.with(|c| c.create_topic_with("small", options));
    let line = "x".repeat(500) + "\n";
    let run = produce(&cluster, "small", &["--json"], line.repeat(1000).as_bytes());
    assert_eq!((run.code, run.stdout.lines().count()), (Some(1), 1000));
    let told: Vec<&str> = run.stderr.lines().collect();
    assert!(told.len() < 20 && told[0].starts_with("klamm: line 1: "), "{}", run.stderr);
    assert!(told[9].starts_with("klamm: line 10: "), "{}", run.stderr);
    let counted: u64 =
        told[10..told.len() - 1].iter().map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(counted, 990, "{}", run.stderr);
    assert!(
        run.stderr.contains("more, up to line 1000: larger than the topic's max.message.bytes (not in the log)"),
        "{}",
        run.stderr
    );
    assert!(told.last().unwrap().contains("1000 of 1000 records failed"), "{}", run.stderr);
}

/// The disk is full: what was delivered is delivered, and the run did not do all it was to do.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let perf = ["--num-records", "5", "--record-size", "5", "--throughput", "-1"];
    let cases: [&[&str]; 5] = [
        &["produce", "--json", "--bootstrap-server", &servers, "--topic", "one"],
        &[&["perf", "--bootstrap-server", &servers, "--topic", "one"][..], &perf].concat(),
        &["metadata", "--bootstrap-server", &servers],
        &["completions", "bash"],
        &["man"],
    ];
    for arguments in cases {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut child = command(arguments).stdout(full).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"x\n").unwrap_or_default();
        let run = finish(child);
        assert_eq!(run.code, Some(1), "{arguments:?}: {run:?}");
        assert_eq!(run.stderr.matches("cannot write to standard output").count(), 1, "{arguments:?}: {run:?}");
    }
    assert_eq!(values(&cluster).len(), 6);
}

#[test]
fn readers_of_every_age_are_known() {
    let cluster = cluster();
    for class in ["kafka.tools.ConsoleProducer$LineMessageReader", "org.apache.kafka.tools.LineMessageReader"] {
        produce(&cluster, "one", &["--line-reader", class], b"x\n").assert_quiet_success();
    }
}

#[test]
fn help_and_version() {
    let helps = [&["--help"][..], &["produce", "--help"], &["perf", "--help"], &["metadata", "--help"]];
    for arguments in [&helps[..], &[&["--version"], &["produce", "--version"], &["perf", "--version"]]].concat() {
        let run = run(arguments, b"");
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!run.stdout.is_empty());
    }
    for command in ["produce", "perf"] {
        let help = run(&[command, "--help"], b"").stdout;
        for key in klamm::config::keys() {
            assert!(help.contains(key.name), "{command} --help: {}", key.name);
        }
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell], b"");
        assert_eq!((script.code, script.stderr.as_str()), (Some(0), ""));
        assert!(script.stdout.contains("num-records"), "{shell}: {}", script.stdout);
    }
    let page = run(&["man", "produce"], b"");
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    assert!(page.stdout.contains(".TH klamm") && page.stdout.contains("compression"), "{}", page.stdout);
    assert!(run(&["produce", "--help"], b"").stdout.contains("headers.key.separator"));
}

#[test]
fn a_missing_delimiter_names_the_line_and_ends_the_run() {
    let cluster = cluster();
    let flags =
        ["--property", "parse.headers=true", "--property", "parse.key=true", "--property", "headers.delimiter=|"];
    let run = produce(&cluster, "one", &flags, b"a:b|k\tv\nabc\nc:d|k\tv\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("No headers delimiter found on line number 2: 'abc'"), "{}", run.stderr);
    assert!(run.stderr.contains("stopped after line 2"), "{}", run.stderr);
    assert!(run.stderr.contains("1 of 2 records failed"), "{}", run.stderr);
    assert_eq!(log(&cluster, "one", 0).len(), 1);
    let run = produce(&cluster, "one", &["--property", "parse.key=true", "--json"], b"k\tv\nabc\n");
    let last = run.stdout.lines().last().unwrap();
    assert_eq!(last, r#"{"error":"No key separator found on line number 2: 'abc'","fate":"not-written","line":2}"#);
}

#[test]
fn a_record_too_large_fails_alone() {
    let cluster = cluster();
    let large = "x".repeat(2_000_000);
    let run = produce(&cluster, "one", &["--json"], format!("a\n{large}\nb\n").as_bytes());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line 2: ") && run.stderr.contains("max.request.size"), "{}", run.stderr);
    assert!(run.stderr.contains("1 of 3 records failed"), "{}", run.stderr);
    let lines: Vec<serde_json::Value> = run.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["fate"], &lines[1]["line"]), (&"not-written".into(), &2.into()));
    assert_eq!(values(&cluster), [b"a".to_vec(), b"b".to_vec()]);
}

#[test]
fn a_line_beyond_all_memory_fails_alone() {
    let cluster = cluster();
    let large = "x".repeat(5_000_000);
    let run = produce(&cluster, "one", &["--max-memory-bytes", "2000000"], format!("a\n{large}\nb\n").as_bytes());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line 2: the line has 5000000 bytes"), "{}", run.stderr);
    assert_eq!(values(&cluster), [b"a".to_vec(), b"b".to_vec()]);
}

#[test]
fn a_record_larger_than_the_topic_allows() {
    let cluster = cluster();
    let options = klamm_sim::TopicOptions { partitions: 1, max_message_bytes: Some(1000), ..Default::default() };
    cluster.with(|c| c.create_topic_with("small", options));
    let large = "x".repeat(5000);
    let run = produce(&cluster, "small", &["--sync"], format!("a\n{large}\nb\n").as_bytes());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line 2: ") && run.stderr.contains("max.message.bytes"), "{}", run.stderr);
    assert_eq!(log(&cluster, "small", 0).len(), 2);
}

#[test]
fn a_broker_nobody_can_reach() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for servers in [closed.to_string(), "no-such-host.invalid:9092".to_owned()] {
        for key in ["true", "false"] {
            let property = format!("parse.key={key}");
            let flags = [
                "produce",
                "--bootstrap-server",
                &servers,
                "--topic",
                "t",
                "--json",
                "--property",
                &property,
                "--max-block-ms",
                "300",
                "--producer-property",
                "delivery.timeout.ms=600",
                "--producer-property",
                "request.timeout.ms=500",
                "--producer-property",
                "linger.ms=0",
            ];
            let run = run(&flags, b"k\tv\nk\tw\n");
            assert_eq!(run.code, Some(1), "{run:?}");
            assert!(run.stderr.contains("line 1: "), "{}", run.stderr);
            assert!(run.stdout.lines().next().unwrap().contains(r#""fate":"not-written","line":1"#), "{run:?}");
        }
    }
}

#[test]
fn a_broker_that_answers_garbage() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut state = 7_u32;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 512];
            let _ = stream.read(&mut request);
            let garbage: Vec<u8> = (0..4096)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let _ = stream.write_all(&garbage);
        }
    });
    let flags = [
        "produce",
        "--bootstrap-server",
        &address,
        "--topic",
        "t",
        "--max-block-ms",
        "500",
        "--producer-property",
        "delivery.timeout.ms=900",
        "--producer-property",
        "request.timeout.ms=500",
        "--producer-property",
        "linger.ms=0",
    ];
    let run = run(&flags, b"v\n");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("line 1: ") && !run.stderr.contains("panicked"), "{}", run.stderr);
}

#[test]
fn topics_that_cannot_be_written_to() {
    let cluster = cluster();
    cluster.with(|c| c.options_mut().auto_create_topics = false);
    let long = "x".repeat(250);
    for topic in ["no such topic!", long.as_str(), "absent"] {
        let flags = [
            "--max-block-ms",
            "500",
            "--producer-property",
            "delivery.timeout.ms=900",
            "--producer-property",
            "request.timeout.ms=500",
            "--producer-property",
            "linger.ms=0",
        ];
        let run = produce(&cluster, topic, &flags, b"v\n");
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{topic}: {run:?}");
        assert!(run.stderr.contains("line 1: "), "{topic}: {}", run.stderr);
    }
}
