//! The harness against the real thing: needs Java and Maven, and takes about a minute.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use klamm_kafka_harness::{Kafka, Result, signal};

/// True while the process exists and is not just waiting to be collected by its parent.
fn is_alive(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| {
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    })
}

#[test]
fn records_come_back_byte_for_byte() -> Result<()> {
    let kafka = Kafka::shared_single()?;
    kafka.create_topic("bytes", 2, 1, &[])?;
    let lines = "a:1,a:NULL\tk1\tv1\nNULL\tk2\tNULL\nNULL\tNULL\t\n";
    let mut args = vec!["--topic", "bytes"];
    for property in ["parse.key=true", "parse.headers=true", "null.marker=NULL"] {
        args.extend(["--reader-property", property]);
    }
    kafka.tool_text("console-producer", &args, lines.as_bytes())?;

    let records = kafka.read_back("bytes")?;
    assert_eq!(records.len(), 3);
    let find = |key: Option<&[u8]>| records.iter().find(|r| r.key.as_deref() == key).unwrap();
    assert_eq!(find(Some(b"k1")).headers, [("a".into(), Some(b"1".to_vec())), ("a".into(), None)]);
    assert_eq!(find(Some(b"k1")).value.as_deref(), Some(b"v1".as_slice()));
    assert_eq!(find(Some(b"k2")).value, None);
    assert_eq!(find(None).value.as_deref(), Some(b"".as_slice()));
    assert!(records.iter().all(|r| r.timestamp_type == "CreateTime"));

    let counts = kafka.count("bytes")?;
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(counts.values().sum::<u64>(), 3);
    let chosen = kafka.partition_of(2, &[b"k1", b"k2"])?;
    assert_eq!(chosen, [find(Some(b"k1")).partition, find(Some(b"k2")).partition]);
    assert!(kafka.dump_log(1, "bytes", chosen[0])?.contains("isvalid: true"));
    let batches = kafka.dump_batches(1, &["bytes"])?;
    assert_eq!(batches.iter().map(|batch| batch.count).sum::<i32>(), 3);
    assert!(batches.iter().all(|batch| batch.is_valid && batch.magic == 2 && batch.codec == "none"));
    kafka.create_topics(&["bytes-a", "bytes-b"], 1, 1, &[])?;
    assert_eq!(kafka.read_back_all(&["bytes-b", "bytes", "bytes-a"])?, records);
    Ok(())
}

#[test]
fn java_chooses_these_partitions() -> Result<()> {
    let kafka = Kafka::shared_single()?;
    let keys: [&[u8]; 6] = [b"a", b"b", b"kafka", b"hello", b"", &[0x00, 0xff, 0x80]];
    assert_eq!(kafka.partition_of(12, &keys)?, [4, 8, 4, 9, 9, 11]);
    Ok(())
}

#[test]
fn topics_are_made_and_deleted() -> Result<()> {
    let kafka = Kafka::shared_single()?;
    kafka.create_topic("short-lived", 3, 1, &[("cleanup.policy", "compact")])?;
    assert_eq!(kafka.count("short-lived")?, BTreeMap::from([(0, 0), (1, 0), (2, 0)]));
    let error = kafka.create_topic("short-lived", 3, 1, &[]).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    kafka.delete_topic("short-lived")?;
    kafka.create_topic("short-lived", 1, 1, &[])?;
    Ok(())
}

#[test]
fn a_wrong_setting_is_reported_with_kafkas_words() {
    let error = Kafka::builder().config("log.segment.bytes", "many").start().err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("log.segment.bytes"), "{text}");
}

#[test]
fn brokers_die_and_come_back() -> Result<()> {
    let kafka = Kafka::builder().brokers(3).start()?;
    kafka.create_topic("t", 3, 3, &[("min.insync.replicas", "2")])?;
    assert_eq!(kafka.metadata()?.brokers, [1, 2, 3]);

    kafka.kill(2)?;
    kafka.wait_until_fenced(2)?;
    assert_ne!(kafka.leader_of("t", 0)?, Some(2));
    kafka.tool_text("console-producer", &["--topic", "t"], b"one\ntwo\n")?;
    kafka.restart(2)?;
    kafka.wait_in_sync()?;

    kafka.pause(3)?;
    kafka.wait_until_fenced(3)?;
    kafka.resume(3)?;
    kafka.wait_in_sync()?;
    assert_eq!(kafka.count("t")?.values().sum::<u64>(), 2);
    Ok(())
}

#[test]
fn an_old_broker_runs_with_zookeeper() -> Result<()> {
    let kafka = Kafka::builder().version("2.1.1").start()?;
    kafka.create_topic("t", 2, 1, &[("retention.ms", "-1")])?;
    assert!(kafka.tool_text("topics", &["--list"], b"")?.lines().any(|line| line == "t"));
    kafka.tool_text("console-producer", &["--topic", "t"], b"one\ntwo\n")?;
    kafka.kill(1)?;
    kafka.restart(1)?;
    kafka.wait_in_sync()?;
    assert_eq!(kafka.count("t")?.values().sum::<u64>(), 2);
    let error = Kafka::builder().version("2.1.1").brokers(3).start().err();
    assert!(error.is_some_and(|error| error.to_string().contains("one broker")));
    Ok(())
}

#[test]
fn a_further_listener_has_its_own_address() -> Result<()> {
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"secret\";";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let kafka = Kafka::builder()
        .listener("SASLPT", "SASL_PLAINTEXT")
        .config("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512")
        .config("listener.name.saslpt.plain.sasl.jaas.config", plain)
        .config("listener.name.saslpt.scram-sha-512.sasl.jaas.config", scram)
        .scram_user("bob", "secret")
        .start()?;
    let address = kafka.bootstrap_of("SASLPT").unwrap();
    assert_ne!(address, kafka.bootstrap_servers());
    let users = kafka.tool_text("configs", &["--describe", "--entity-type", "users"], b"")?;
    assert!(users.contains("SCRAM-SHA-512"), "{users}");
    Ok(())
}

/// Set in the process that `nothing_survives_a_killed_test_process` starts and kills: this very test, run alone.
const HELPER: &str = "KLAMM_HARNESS_HELPER";

#[test]
fn nothing_survives_a_killed_test_process() -> Result<()> {
    if std::env::var_os(HELPER).is_some() {
        let kafka = Kafka::builder().start()?;
        println!("dir={}", kafka.dir().display());
        std::thread::sleep(Duration::from_secs(120));
        return Ok(());
    }
    let out = std::env::temp_dir().join(format!("klamm-helper-{}", std::process::id()));
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_survives_a_killed_test_process", "--nocapture"])
        .env(HELPER, "1")
        .stdout(std::fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let mut dir = String::new();
    wait(60, || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        let line = text.lines().find_map(|line| line.split("dir=").nth(1));
        line.inspect(|line| dir = (*line).to_owned()).is_some()
    });
    let ps = Command::new("ps").args(["-ww", "-eo", "pid=,args="]).output().unwrap();
    let ps = String::from_utf8_lossy(&ps.stdout).into_owned();
    let java = ps.lines().find(|line| line.contains("kafka.Kafka") && line.contains(&dir)).unwrap();
    let java: u32 = java.split_whitespace().next().unwrap().parse().unwrap();
    assert!(is_alive(java));

    assert!(signal(helper.id(), "KILL"));
    helper.wait().unwrap();
    // Soon: a broker whose data folder has vanished ends too, but later and not by our doing.
    wait(2, || !is_alive(java));
    wait(10, || !std::path::Path::new(&dir).exists());
    let _ = std::fs::remove_file(out);
    Ok(())
}

fn wait(seconds: u64, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "waited {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
