//! `cargo xtask workerd`: the npm package and the Worker of `examples/worker` in workerd, against real Kafka. `tests/workerd` has
//! the tests; they say by lines of text what they want of Kafka.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use klamm_kafka_harness::{Kafka, ReadRecord};
use serde_json::Value;

use crate::Result;
use crate::build::{bridge_program, output_of};
use crate::needs::node_package;

/// The runtime of Cloudflare's Workers.
pub(crate) const WORKERD: (&str, &str) = ("workerd", "1.20261117.1");
/// One can be killed.
const BROKERS: i32 = 2;
/// A listener beside the plain one.
const TLS: &str = "TLS";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    match args {
        [command] if command == "build" => {
            let example = example(&crate::npm::build()?)?;
            println!("{}", example.display());
            println!("{} serve config.capnp", program()?.display());
            Ok(ExitCode::SUCCESS)
        }
        [command] if command == "test" => test(),
        _ => Err("cargo xtask workerd build | test".into()),
    }
}

/// workerd's program, which lies in a package for this kind of machine.
fn program() -> Result<PathBuf> {
    let (name, version) = WORKERD;
    let package = node_package(name, version)?.join("node_modules").join(name);
    let script = format!("console.log(require({package:?}).default)");
    Ok(PathBuf::from(output_of(Path::new("node"), &["-e", &script])?.trim()))
}

/// The example as `npm install` leaves it.
fn example(package: &Path) -> Result<PathBuf> {
    let folder = crate::root().join("target/workerd/example");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let source = crate::root().join("examples/worker");
    for part in ["", "src"] {
        crate::npm::copy_files(&source.join(part), &folder.join(part))?;
    }
    let modules = folder.join("node_modules/klamm");
    for part in ["", "transports"] {
        crate::npm::copy_files(&package.join(part), &modules.join(part))?;
    }
    Ok(folder)
}

fn test() -> Result<ExitCode> {
    let package = crate::npm::build()?;
    let example = example(&package)?;
    let (workerd, bridge) = (program()?, bridge_program()?);
    let certificates = certificates()?;
    let kafka = kafka(&certificates)?;
    let control = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = control.local_addr().map_err(|error| error.to_string())?;
    let tests = crate::root().join("tests/workerd");
    let mut node = Command::new("node");
    node.args(["--test-reporter", "spec", "worker.test.mjs"]).current_dir(tests).stdin(Stdio::null());
    node.env("KLAMM_PACKAGE", &package).env("KLAMM_BRIDGE", bridge);
    node.env("KLAMM_WORKERD", workerd).env("KLAMM_EXAMPLE", example);
    node.env("KLAMM_CERTIFICATES", certificates.to_string());
    node.env("KLAMM_KAFKA", kafka.bootstrap_servers()).env("KLAMM_KAFKA_CONTROL", address.to_string());
    node.env("KLAMM_KAFKA_TLS", kafka.bootstrap_of(TLS).unwrap_or_default());
    let mut child = node.spawn().map_err(|error| format!("cannot run node: {error}"))?;
    let steward = thread::spawn(move || {
        if let Ok((stream, _)) = control.accept() {
            obey(&kafka, &stream).unwrap_or_else(|error| eprintln!("the tests hung up: {error}"));
        }
    });
    let status = child.wait().map_err(|error| error.to_string())?;
    // In case the tests never did: the brokers end with the thread.
    drop(TcpStream::connect(address));
    steward.join().map_err(|_| "what steers Kafka panicked")?;
    if status.success() { Ok(ExitCode::SUCCESS) } else { Err(format!("tests/workerd: {status}")) }
}

/// An authority, and what it certifies, as the tests of the package in Node make them.
fn certificates() -> Result<Value> {
    let module = crate::root().join("wasm/js/test/certificates.js");
    let script = format!("import({module:?}).then(({{ certify }}) => console.log(JSON.stringify(certify())))");
    let json = output_of(Path::new("node"), &["-e", &script])?;
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

/// Brokers with a plain listener, and one by TLS that wants no certificate but takes one.
fn kafka(certificates: &Value) -> Result<Kafka> {
    // As Java's properties have it.
    let pem = |of: &str, what: &str| certificates[of][what].as_str().unwrap_or_default().replace('\n', "\\n");
    let mut builder = Kafka::builder().brokers(BROKERS).listener(TLS, "SSL");
    for (name, value) in [
        ("keystore.type", "PEM".to_owned()),
        ("keystore.certificate.chain", pem("server", "cert")),
        ("keystore.key", pem("server", "key")),
        ("truststore.type", "PEM".to_owned()),
        ("truststore.certificates", pem("ca", "cert")),
        ("client.auth", "requested".to_owned()),
    ] {
        builder = builder.config(&format!("listener.name.{}.ssl.{name}", TLS.to_lowercase()), &value);
    }
    builder.start().map_err(|error| error.to_string())
}

/// Does what lines say until there are no more; answers each by lines and an empty one.
///
/// | command | answer |
/// |---|---|
/// | `topic NAME PARTITIONS` | |
/// | `kill BROKER`, `restart BROKER` | |
/// | `leader TOPIC PARTITION` | the broker |
/// | `log TOPIC,…` | a line per record, as Kafka's own consumer reads it: topic, partition, offset, timestamp, key, value; bytes in hexadecimal behind an `x`, `-` for null |
fn obey(kafka: &Kafka, mut stream: &TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = answer(kafka, &words).unwrap_or_else(|error| format!("error: {}\n", error.replace('\n', " | ")));
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}

fn answer(kafka: &Kafka, words: &[&str]) -> Result<String> {
    let number = |word: &str| word.parse::<i32>().map_err(|_| format!("`{word}` is not a number"));
    let done = |result: klamm_kafka_harness::Result<()>| result.map(|()| String::new()).map_err(|e| e.to_string());
    match *words {
        // Goes on with one broker of two.
        ["topic", name, partitions] => {
            done(kafka.create_topic(name, number(partitions)?, 2, &[("min.insync.replicas", "1")]))
        }
        ["kill", broker] => done(kafka.kill(number(broker)?)),
        ["restart", broker] => done(kafka.restart(number(broker)?)),
        ["leader", topic, partition] => {
            let leader = kafka.leader_of(topic, number(partition)?).map_err(|error| error.to_string())?;
            Ok(leader.map_or_else(|| "none\n".to_owned(), |broker| format!("{broker}\n")))
        }
        ["log", topics] => {
            let topics: Vec<&str> = topics.split(',').collect();
            let records = kafka.read_back_all(&topics).map_err(|error| error.to_string())?;
            Ok(records.iter().map(shown).collect())
        }
        _ => Err(format!("no such command: {}", words.join(" "))),
    }
}

fn shown(record: &ReadRecord) -> String {
    let ReadRecord { topic, partition, offset, timestamp, key, value, .. } = record;
    format!("{topic} {partition} {offset} {timestamp} {} {}\n", hex(key.as_deref()), hex(value.as_deref()))
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
