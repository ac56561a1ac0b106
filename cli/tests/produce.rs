//! `klamm produce`: what is read is what arrives.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::*;

fn stored(key: Option<&str>, value: Option<&str>, headers: &[(&str, Option<&str>)]) -> Stored {
    let bytes = |text: Option<&str>| text.map(|t| t.as_bytes().to_vec());
    (bytes(key), bytes(value), headers.iter().map(|(n, v)| ((*n).to_owned(), bytes(*v))).collect())
}

#[test]
fn each_line_is_a_value() {
    let cluster = cluster();
    produce(&cluster, "one", &[], b"a\nb\r\n\n  c\td \nlast").assert_quiet_success();
    let expected: Vec<Stored> = ["a", "b", "", "  c\td ", "last"].map(|v| stored(None, Some(v), &[])).into();
    assert_eq!(log(&cluster, "one", 0), expected);
}

#[test]
fn lines_are_bytes() {
    let cluster = cluster();
    let line: Vec<u8> = (0..=255).filter(|&b| b != b'\n').collect();
    let input = [&line[..], b"\n\xff\xfe\x00\n"].concat();
    produce(&cluster, "one", &[], &input).assert_quiet_success();
    assert_eq!(values(&cluster), [line, b"\xff\xfe\x00".to_vec()]);
}

#[test]
fn no_input_is_no_record() {
    let cluster = cluster();
    produce(&cluster, "one", &["--json"], b"").assert_quiet_success();
    assert_eq!(values(&cluster).len(), 0);
}

#[test]
fn many_lines_arrive_once_and_in_order() {
    let cluster = cluster();
    let lines: Vec<String> = (0..200_000).map(|i| i.to_string()).collect();
    produce(&cluster, "one", &[], lines.join("\n").as_bytes()).assert_quiet_success();
    let got: Vec<String> = values(&cluster).into_iter().map(|v| String::from_utf8(v).unwrap()).collect();
    assert!(got == lines, "{} of {} lines", got.len(), lines.len());
}

#[test]
fn keys_headers_and_nulls() {
    let cluster = cluster();
    let properties =
        ["--property", "parse.key=true", "--reader-property", "parse.headers=true", "--property", "null.marker=NULL"];
    let input = b"h1:v1,h2:NULL\tk1\tv1\nNULL\tk3\tNULL\na:b\tNULL\tx\ty\n";
    produce(&cluster, "one", &properties, input).assert_quiet_success();
    assert_eq!(
        log(&cluster, "one", 0),
        [
            stored(Some("k1"), Some("v1"), &[("h1", Some("v1")), ("h2", None)]),
            stored(Some("k3"), None, &[]),
            stored(None, Some("x\ty"), &[("a", Some("b"))]),
        ]
    );
}

#[test]
fn separators_from_a_file_and_from_flags() {
    let cluster = cluster();
    let file = TempFile::new(
        "reader.properties",
        b"# as Kafka's\nparse.key = true\nparse.headers=true\nheaders.delimiter=\\t\\t\nkey.separator=?\nignore.error=true\n",
    );
    let flags = [
        "--reader-config",
        file.path(),
        "--reader-property",
        "key.separator==",
        "--reader-property",
        "headers.separator=;",
        "--reader-property",
        "headers.key.separator=->",
    ];
    produce(&cluster, "one", &flags, b"a->1;b->2\t\tk=v=w\nbare\n").assert_quiet_success();
    assert_eq!(
        log(&cluster, "one", 0),
        [stored(Some("k"), Some("v=w"), &[("a", Some("1")), ("b", Some("2"))]), stored(None, Some("bare"), &[])]
    );
}

#[test]
fn keys_decide_partitions() {
    let cluster = cluster();
    let input: String = (0..600).map(|i| format!("key-{}:{i}\n", i % 50)).collect();
    produce(&cluster, "t", &["--property", "parse.key=true", "--property", "key.separator=:"], input.as_bytes())
        .assert_quiet_success();
    let mut seen = std::collections::BTreeMap::new();
    let mut total = 0;
    for partition in 0..6 {
        for (key, value, _) in log(&cluster, "t", partition) {
            let value: u32 = String::from_utf8(value.unwrap()).unwrap().parse().unwrap();
            let (home, last) = *seen.entry(key.clone()).or_insert((partition, None));
            assert_eq!(home, partition, "one key, one partition");
            assert!(last.is_none_or(|last| last < value), "order of {key:?}");
            seen.insert(key, (partition, Some(value)));
            total += 1;
        }
    }
    assert_eq!((seen.len(), total), (50, 600));
}

#[test]
fn json_in_the_order_of_the_lines() {
    let cluster = cluster();
    let input: String = (0..5000).map(|i| format!("{i}\n")).collect();
    let run = produce(&cluster, "t", &["--json"], input.as_bytes());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let logs: Vec<_> = (0..6).map(|p| log(&cluster, "t", p)).collect();
    for (index, line) in run.stdout.lines().enumerate() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["topic"], "t");
        assert_eq!(json["line"], index + 1);
        assert!(json["timestamp"].as_i64().unwrap() > 1_500_000_000_000);
        let [partition, offset] = ["partition", "offset"].map(|name| json[name].as_u64().unwrap() as usize);
        assert_eq!(logs[partition][offset].1, Some(index.to_string().into_bytes()));
    }
    assert_eq!(run.stdout.lines().count(), 5000);
}

#[test]
fn json_comes_while_input_is_still_open() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    for more in [&["--sync"][..], &[]] {
        let mut child = command(&["produce", "--json", "--topic", "one", "--bootstrap-server", &servers])
            .args(more)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for line in 1..=3 {
            writeln!(input, "record {line}").unwrap();
            let mut answer = String::new();
            output.read_line(&mut answer).unwrap();
            assert!(answer.contains(&format!(r#""line":{line}"#)), "{answer:?}");
        }
        drop(input);
        assert_eq!(finish(child).code, Some(0));
    }
}

#[test]
fn a_closed_stdout_stops_printing_not_producing() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let mut child = command(&["produce", "--json", "--topic", "one", "--bootstrap-server", &servers]).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    for i in 0..20_000 {
        writeln!(input, "{i}").unwrap();
    }
    drop(input);
    let run = finish(child);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(values(&cluster).len(), 20_000);
}

#[test]
fn a_closed_stderr_is_no_panic() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let arguments = ["produce", "--topic", "one", "--bootstrap-server", &servers, "--property", "parse.key=true"];
    let mut child = command(&arguments).stdout(Stdio::null()).spawn().unwrap();
    drop(child.stderr.take());
    writeln!(child.stdin.take().unwrap(), "no key here").unwrap();
    assert_eq!(finish(child).code, Some(1));
}

#[test]
fn flags_reach_the_producer() {
    let cluster = cluster();
    cluster.with(|c| c.keep_history(true));
    let flags = [
        "--request-required-acks",
        "1",
        "--producer-property",
        "client.id=me",
        "--batch-size",
        "100",
        "--timeout",
        "5",
    ];
    produce(&cluster, "one", &flags, "12345678901234567890\n".repeat(50).as_bytes()).assert_quiet_success();
    cluster.with(|c| {
        let produces: Vec<_> = c.requests().iter().filter(|r| r.api_key == 0).collect();
        assert!(produces.iter().all(|r| r.acks == 1 && r.client_id.as_deref() == Some("me")), "{produces:?}");
        assert!(produces.iter().all(|r| r.batches.iter().all(|b| b.records <= 3)), "{produces:?}");
    });
    // A flag wins over a property, a property over a file, and the name has a default.
    cluster.with(|c| c.clear_requests());
    let file =
        TempFile::new("producer.properties", b"acks=1\nclient.id=from-file\nlinger.ms=1\nkey.serializer=any.Class\n");
    produce(&cluster, "one", &["--producer.config", file.path(), "--request-required-acks", "all"], b"x\n")
        .assert_quiet_success();
    produce(&cluster, "one", &[], b"x\n").assert_quiet_success();
    cluster.with(|c| {
        let produces: Vec<_> = c.requests().iter().filter(|r| r.api_key == 0).collect();
        let seen: Vec<_> = produces.iter().map(|r| (r.client_id.as_deref().unwrap(), r.acks)).collect();
        assert_eq!(seen, [("from-file", -1), ("console-producer", -1)]);
    });
}

#[test]
fn brokers_from_a_file() {
    let cluster = cluster();
    let file =
        TempFile::new("servers.properties", format!("bootstrap.servers={}\n", cluster.bootstrap_servers()).as_bytes());
    run(&["produce", "--topic", "one", "--command-config", file.path()], b"x\n").assert_quiet_success();
    assert_eq!(values(&cluster).len(), 1);
}

/// What was read when Ctrl-C comes is delivered, though it still lingers and more input may follow.
#[cfg(unix)]
#[test]
fn an_interrupt_delivers_what_was_read() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let mut child =
        command(&["produce", "--bootstrap-server", &servers, "--topic", "one", "--timeout", "60000"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\nb\nc\n").unwrap();
    input.flush().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(values(&cluster).len(), 0, "they linger for a minute");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    assert_eq!(values(&cluster), [b"a", b"b", b"c"].map(|v| v.to_vec()));
}

/// Nobody answers: the record that waits is told as not sent, and nothing claims that it is delivered.
#[cfg(unix)]
#[test]
fn an_interrupt_tells_what_was_not_sent() {
    let mut child = command(&["produce", "--bootstrap-server", "127.0.0.1:1", "--topic", "one"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    input.flush().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(input);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("line 1: ") && told.contains("stopped after line 1: interrupted"), "{told}");
    assert!(!told.contains("is delivered"), "{told}");
}

/// Kafka's tool takes the flag without a codec for gzip.
#[test]
fn compression_codec_alone_is_gzip() {
    let text = "all work and no play makes jack a dull boy ".repeat(20);
    for (flags, codec) in [
        (&["--compression-codec"][..], klamm_sim::Codec::Gzip),
        (&["--compression-codec", "snappy"], klamm_sim::Codec::Snappy),
        (&["--compression-codec", "lz4"], klamm_sim::Codec::Lz4),
        (&["--compression-codec", "zstd"], klamm_sim::Codec::Zstd),
        (&["--compression-codec", "none"], klamm_sim::Codec::None),
        (
            &["--producer-property", "compression.type=zstd", "--producer-property", "compression.zstd.level=12"],
            klamm_sim::Codec::Zstd,
        ),
    ] {
        let cluster = cluster();
        produce(&cluster, "one", flags, format!("{text}\n{text}\n").as_bytes()).assert_quiet_success();
        assert_eq!(values(&cluster), [text.as_bytes(), text.as_bytes()]);
        assert!(cluster.with(|c| c.log("one", 0)).iter().all(|record| record.codec == codec), "{flags:?}");
    }
}
