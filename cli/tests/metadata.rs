//! `klamm metadata`: what the cluster says, for people and for programs, and what goes wrong.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use common::*;
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{Action, Api, ClusterOptions, Fault, TopicOptions, VersionSet};
use serde_json::{Value, json};

fn metadata(servers: &str, more: &[&str]) -> Run {
    run(&[&["metadata", "--bootstrap-server", servers][..], more].concat(), b"")
}

fn json_of(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// A server that hands each connection to `talk`.
fn server(talk: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(talk));
    address
}

#[test]
fn json_has_everything() {
    let cluster = cluster();
    cluster.with(|c| {
        let options = TopicOptions { partitions: 2, replication_factor: Some(2), ..Default::default() };
        c.create_topic_with("pair", options);
        c.move_leader("pair", 1, c.leader("pair", 1).unwrap().0);
    });
    let run = metadata(&cluster.bootstrap_servers(), &["--json"]);
    assert_eq!((run.code, run.stderr.as_str(), run.stdout.lines().count()), (Some(0), "", 1));
    let all = json_of(&run);
    assert!(all["cluster_id"].is_string() && all["error"].is_null() && all["controller"].is_i64());
    for (index, broker) in all["brokers"].as_array().unwrap().iter().enumerate() {
        let id = index as i32 + 1;
        let address = cluster.address(id).unwrap();
        assert_eq!((&broker["id"], &broker["host"]), (&json!(id), &json!("127.0.0.1")));
        assert_eq!(
            (&broker["port"], &broker["rack"], &broker["error"]),
            (&json!(address.port()), &Value::Null, &Value::Null)
        );
        assert_eq!(broker["controller"], json!(all["controller"] == json!(id)));
        let (min, max) = VersionSet::kafka_4_3().range(Api::Produce).unwrap();
        assert_eq!((&broker["apis"]["Produce"]["min"], &broker["apis"]["Produce"]["max"]), (&json!(min), &json!(max)));
        assert_eq!(broker["apis"].as_object().unwrap().len(), 4);
    }
    let names: Vec<_> = all["topics"].as_array().unwrap().iter().map(|topic| topic["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "pair", "t"]);
    let pair = &all["topics"][1];
    assert_eq!((pair["id"].as_str().unwrap().len(), &pair["internal"]), (22, &json!(false)));
    for (index, partition) in pair["partitions"].as_array().unwrap().iter().enumerate() {
        let (leader, epoch) = cluster.with(|c| c.leader("pair", index as u32)).unwrap();
        assert_eq!((&partition["partition"], &partition["leader"]), (&json!(index), &json!(leader)));
        assert_eq!((&partition["leader_epoch"], &partition["error"]), (&json!(epoch), &Value::Null));
        assert_eq!(partition["replicas"].as_array().unwrap().len(), 2);
        assert_eq!((&partition["isr"], &partition["offline"]), (&partition["replicas"], &json!([])));
    }
    assert_eq!(all["topics"][2]["partitions"].as_array().unwrap().len(), 6);
}

#[test]
fn tables_are_aligned() {
    let cluster = cluster();
    let run = metadata(&cluster.bootstrap_servers(), &["--topic", "one", "--topic", "t"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let mut parts = run.stdout.split("\n\n");
    assert!(parts.next().unwrap().starts_with("Cluster "));
    for (part, first) in [(parts.next().unwrap(), "BROKER"), (parts.next().unwrap(), "TOPIC")] {
        let lines: Vec<&str> = part.lines().collect();
        assert!(lines[0].starts_with(first), "{part}");
        // Every column begins where its head does.
        let starts = lines[0].match_indices("  ").map(|(at, _)| at + 2);
        for start in starts.filter(|&at| !lines[0][at..].starts_with(' ')) {
            assert!(
                lines.iter().all(|line| !line[start..].starts_with(' ') && line.as_bytes()[start - 1] == b' '),
                "{part}"
            );
        }
        assert_eq!(lines.len(), if first == "BROKER" { 4 } else { 8 });
    }
    assert!(run.stdout.contains("uses 13"), "{}", run.stdout);
}

#[test]
fn every_release_can_be_asked_and_the_versions_told_are_the_ones_used() {
    let releases = [
        VersionSet::kafka_2_1(),
        VersionSet::kafka_2_4(),
        VersionSet::kafka_2_8(),
        VersionSet::kafka_3_3(),
        VersionSet::kafka_3_9(),
        VersionSet::kafka_4_0(),
        VersionSet::kafka_4_4(),
    ];
    for versions in releases {
        let options = ClusterOptions { brokers: 1, versions: versions.clone(), ..ClusterOptions::default() };
        let cluster = TcpCluster::start(options).unwrap();
        cluster.with(|c| c.create_topic("one", 1));
        let run = metadata(&cluster.bootstrap_servers(), &["--json"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{versions:?}");
        let told = json_of(&run)["brokers"][0]["apis"].clone();
        cluster.with(|c| c.clear_requests());
        produce(&cluster, "one", &[], b"x\n").assert_quiet_success();
        for (name, key) in [("Produce", 0), ("Metadata", 3), ("InitProducerId", 22)] {
            let used = cluster.with(|c| c.requests().iter().rfind(|r| r.api_key == key).unwrap().api_version);
            assert_eq!(told[name]["used"], json!(used), "{name} of {versions:?}");
        }
        // The first that is tried, where the broker has it.
        let used = cluster.with(|c| c.requests().iter().rfind(|r| r.api_key == 18).unwrap().api_version);
        assert!(json!(used) == told["ApiVersions"]["used"] || used == 0, "{used} of {versions:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    cluster.with(|c| c.options_mut().auto_create_topics = true);
    let run = metadata(&servers, &["--topic", "absent", "--topic", "one", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "klamm: topic absent: UNKNOWN_TOPIC_OR_PARTITION (3)\n"));
    let all = json_of(&run);
    assert_eq!(all["topics"][0]["error"], "UNKNOWN_TOPIC_OR_PARTITION (3)");
    assert_eq!(all["topics"][1]["partitions"].as_array().unwrap().len(), 1);
    assert_eq!(cluster.with(|c| c.partition_count("absent")), 0, "asking creates nothing");
    let run = metadata(&servers, &["--topic", "no such topic!"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("INVALID_TOPIC_EXCEPTION (17)") && run.stdout.contains("INVALID_TOPIC_EXCEPTION (17)"));
}

#[test]
fn a_dead_broker_is_seen_from_the_others() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let first = cluster.with(|c| c.leader("one", 0)).unwrap().0;
    cluster.kill(first);
    let run = metadata(&servers, &["--json"]);
    // Its bootstrap address is tried, perhaps first; the cluster itself is well.
    let all = json_of(&run);
    assert_eq!(all["brokers"].as_array().unwrap().len(), 2);
    let one = &all["topics"][0]["partitions"][0];
    assert_eq!(one["offline"], json!([first]));
    assert!(!one["isr"].as_array().unwrap().contains(&json!(first)), "{one}");
    // A broker that is in the metadata, and does not answer.
    let second = cluster.with(|c| c.brokers().find(|id| *id != first && c.is_alive(*id))).unwrap();
    let fault = Fault::on(Api::ApiVersions).broker(second).always().then(Action::CloseBefore);
    cluster.with(|c| c.faults().push(fault).remaining());
    let third = cluster.with(|c| c.brokers().find(|id| *id != first && *id != second)).unwrap();
    let run = metadata(&cluster.address(third).unwrap().to_string(), &["--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(&format!("klamm: broker {second} (127.0.0.1:")), "{}", run.stderr);
    assert!(run.stderr.contains("closed the connection"), "{}", run.stderr);
    let all = json_of(&run);
    let broken = all["brokers"].as_array().unwrap().iter().find(|broker| broker["id"] == second).unwrap();
    assert!(broken["apis"].is_null() && broken["error"].as_str().unwrap().contains("closed"), "{broken}");
}

#[test]
fn a_partition_without_leader_is_an_error() {
    let cluster = cluster();
    let fault = Fault::on(Api::Metadata).topic("t").partition(2).always().then(Action::Leaderless);
    cluster.with(|c| c.faults().push(fault).remaining());
    let run = metadata(&cluster.bootstrap_servers(), &["--topic", "t"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "klamm: t-2: LEADER_NOT_AVAILABLE (5)\n"));
    assert!(run.stdout.lines().any(|line| line.starts_with("t ") && line.contains("none")), "{}", run.stdout);
}

#[test]
fn who_does_not_speak_kafka() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let web = server(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let hangs_up = server(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
    });
    // The frame is right, and what is in it is not.
    let liar = server(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    });
    let silent = server(std::mem::forget);
    for (address, message) in [
        (closed.as_str(), "cannot connect to 127.0.0.1:"),
        ("no-such-host.invalid:9092", "no-such-host.invalid:9092: its name "),
        (&web, "it does not answer as a Kafka broker does"),
        (&hangs_up, "it closed the connection"),
        (&liar, "it does not answer as a Kafka broker does"),
        (&silent, "no answer within 700 ms (--timeout)"),
    ] {
        let run = metadata(address, &["--timeout", "700"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{address}: {run:?}");
        assert!(run.stderr.contains(message), "{address}: {}", run.stderr);
    }
    // One of several is enough.
    let cluster = cluster();
    let run = metadata(&format!("{closed},{}", cluster.bootstrap_servers()), &["--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.starts_with(&format!("klamm: {closed}: cannot connect")), "{}", run.stderr);
}

#[test]
fn a_broker_too_old() {
    let versions = VersionSet::kafka_2_1().with(Api::Metadata, 0, 5);
    let cluster = TcpCluster::start(ClusterOptions { brokers: 1, versions, ..ClusterOptions::default() }).unwrap();
    let run = metadata(&cluster.bootstrap_servers(), &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("it has Metadata 0 to 5, klamm 7 to 13: brokers from 2.1 on"), "{}", run.stderr);
}

#[test]
fn settings_come_from_everywhere() {
    let cluster = cluster();
    cluster.with(|c| c.keep_history(true));
    let config = format!("bootstrap.servers={}\nclient.id=from-file\n", cluster.bootstrap_servers());
    let file = TempFile::new("metadata.properties", config.as_bytes());
    let run = run(&["metadata", "--command-config", file.path(), "--command-property", "client.id=me"], b"");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(cluster.with(|c| c.requests().iter().all(|r| r.client_id.as_deref() == Some("me"))));
    let usage = |flags: &[&str]| common::run(&[&["metadata"][..], flags].concat(), b"");
    for (flags, message) in [
        (&[][..], "--bootstrap-server HOST:PORT"),
        (&["--bootstrap-server", "x"], "bootstrap.servers: expected host:port, not \"x\""),
        (&["--bootstrap-server", "x:1", "--command-property", "security.protocol=SSL"], "not implemented yet"),
        (&["--bootstrap-server", "x:1", "--timeout", "0"], "--timeout"),
    ] {
        let run = usage(flags);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{flags:?}: {run:?}");
        assert!(run.stderr.contains(message), "{flags:?}: {}", run.stderr);
    }
}
