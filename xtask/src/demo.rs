//! `cargo xtask demo`: the page of `examples/browser` with all that it needs: real Kafka, a bridge, a server for the page. It obeys
//! lines of text, so that a person can kill brokers and watch, and a test can as well.
//!
//! An answer is some lines and then an empty one, as the simulated cluster of `tests/wasm` answers.
//!
//! | command | answer |
//! |---|---|
//! | `help` | what a person may type |
//! | `kill BROKER`, `restart BROKER`, `pause BROKER`, `resume BROKER` | `done` |
//! | `topic NAME PARTITIONS` | `done` |
//! | `leader TOPIC PARTITION` | the broker |
//! | `count TOPIC` | how many records it has |
//! | `log TOPIC` | a line per record, as Kafka's own consumer reads it: partition, offset, key, value (`x` and hexadecimal, or `-`) |

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use klamm_kafka_harness::{Guard, Kafka, ReadRecord};

use crate::Result;
use crate::browser;
use crate::build::bridge_program;
use crate::needs::{Need, ensure};
use crate::site::Site;

const TOPIC: &str = "sensors";
const PARTITIONS: i32 = 6;
/// Replicas of a topic, where there are as many brokers.
const REPLICAS: i16 = 3;
/// Where the page is, unless something else is there.
const PAGE_PORT: u16 = 8000;
const BRIDGE_PORT: u16 = 8092;

const HELP: &str = "Press Start in the page; then kill a broker here and watch:
  kill 2 | restart 2 | pause 2 | resume 2     a broker
  count sensors                               records in the topic, counted by Kafka's own consumer
Ctrl-C ends all of it.";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let brokers = match args {
        [] => 3,
        [flag, n] if flag == "--brokers" => n.parse().map_err(|_| format!("`{n}` is not a number of brokers"))?,
        _ => return Err("cargo xtask demo [--brokers N]".into()),
    };
    [Need::Kafka, Need::Target("wasm32-unknown-unknown")].into_iter().try_for_each(ensure)?;
    let folder = browser::site()?;
    let program = bridge_program()?;
    let site = Site::serve(folder, PAGE_PORT)?;
    eprintln!("starting Kafka with {brokers} brokers ...");
    let kafka = Kafka::builder().brokers(brokers).start().map_err(text)?;
    create_topic(&kafka, TOPIC, PARTITIONS).map_err(text)?;
    let servers = kafka.bootstrap_servers();
    let mut bridge = Bridge::start(Command::new(program), &servers, site.port)?;
    let page = format!("http://localhost:{}/?bridge={}&brokers={servers}&topic={TOPIC}", site.port, bridge.url);
    println!("page     {page}\nbridge   {}\nbrokers  {servers}\n\n{HELP}\n", bridge.url);
    converse(&kafka)?;
    // Nobody is there to say more: until a signal comes, or the bridge is gone.
    bridge.child.wait().map_err(text)?;
    Err("the bridge has ended".into())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The bridge as a child; it ends with us, however we end.
struct Bridge {
    url: String,
    child: Child,
    _guard: Guard,
}

impl Bridge {
    fn start(mut program: Command, servers: &str, page_port: u16) -> Result<Self> {
        let origins = format!("http://localhost:{page_port},http://127.0.0.1:{page_port}");
        program.args(["--allow", servers, "--origin", &origins, "--log-format", "json"]);
        let port = if port_is_free(BRIDGE_PORT) { BRIDGE_PORT } else { 0 };
        program.args(["--listen", &format!("127.0.0.1:{port}")]);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut guard = Guard::new(None).map_err(text)?;
        let mut child = program.spawn().map_err(|error| format!("cannot run klamm-bridge: {error}"))?;
        guard.watch(child.id()).map_err(text)?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("the bridge has no output")?).lines();
        let first = lines.next().and_then(|line| line.ok()).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(&first).unwrap_or_default();
        let address = json["address"].as_str().ok_or_else(|| format!("the bridge does not start: {first}"))?;
        let url = format!("ws://{address}");
        // What it has to say of tunnels is for nobody here, but the pipe must not fill.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { url, child, _guard: guard })
    }
}

fn port_is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Obeys until the input ends.
fn converse(kafka: &Kafka) -> Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line.map_err(text)?;
        if !line.trim().is_empty() {
            let answer = obey(kafka, &line).unwrap_or_else(|error| format!("error: {}\n", error.replace('\n', " | ")));
            let mut output = io::stdout().lock();
            writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(text)?;
        }
    }
    Ok(())
}

/// Does what a line says; gives lines.
fn obey(kafka: &Kafka, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |word: &str| word.parse::<i32>().map_err(|_| format!("`{word}` is not a number"));
    let done = |result: klamm_kafka_harness::Result<()>| result.map(|()| "done\n".to_owned()).map_err(text);
    match *words {
        ["help"] => Ok(format!("{HELP}\n")),
        ["kill", broker] => done(kafka.kill(number(broker)?)),
        ["restart", broker] => done(kafka.restart(number(broker)?)),
        ["pause", broker] => done(kafka.pause(number(broker)?)),
        ["resume", broker] => done(kafka.resume(number(broker)?)),
        ["topic", name, partitions] => done(create_topic(kafka, name, number(partitions)?)),
        ["leader", topic, partition] => match kafka.leader_of(topic, number(partition)?).map_err(text)? {
            Some(broker) => Ok(format!("{broker}\n")),
            None => Err("it has none".into()),
        },
        ["count", topic] => Ok(format!("{}\n", kafka.count(topic).map_err(text)?.values().sum::<u64>())),
        ["log", topic] => Ok(kafka.read_back(topic).map_err(text)?.iter().map(shown).collect()),
        _ => Err(format!("there is no such command: {line}; help lists them")),
    }
}

/// Creates a topic that survives the loss of a broker, where there are enough of them.
fn create_topic(kafka: &Kafka, name: &str, partitions: i32) -> klamm_kafka_harness::Result<()> {
    let brokers = kafka.bootstrap_servers().split(',').count();
    let replicas = REPLICAS.min(i16::try_from(brokers).unwrap_or(REPLICAS));
    let in_sync = (replicas - 1).max(1).to_string();
    kafka.create_topic(name, partitions, replicas, &[("min.insync.replicas", &in_sync)])
}

fn shown(record: &ReadRecord) -> String {
    let (key, value) = (hex(record.key.as_deref()), hex(record.value.as_deref()));
    format!("{} {} {key} {value}\n", record.partition, record.offset)
}

fn hex(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "-".to_owned() };
    bytes.iter().fold("x".to_owned(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
