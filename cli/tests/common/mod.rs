//! Runs the `klamm` binary against a cluster on loopback.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "included by several test crates")]

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use klamm_sim::ClusterOptions;
use klamm_sim::tcp::TcpCluster;

/// No run of these tests takes longer than this unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three brokers with topic `t`, and `one` with a single partition.
pub fn cluster() -> TcpCluster {
    let cluster = TcpCluster::start(ClusterOptions { brokers: 3, ..ClusterOptions::default() }).unwrap();
    cluster.with(|c| {
        c.create_topic("t", 6);
        c.create_topic("one", 1);
    });
    cluster
}

/// The command with all of its ends in our hands.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run printed, and its exit status.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs with `stdin` as the whole input.
pub fn run(arguments: &[&str], stdin: &[u8]) -> Run {
    let mut child = command(arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || {
        // The command may end before it has read everything.
        let _ = input.write_all(&stdin);
    });
    let run = finish(child);
    writer.join().unwrap();
    run
}

/// Waits for the end of a run; kills it and fails if that takes too long.
pub fn finish(child: Child) -> Run {
    let id = child.id();
    let started = Instant::now();
    let waiter = std::thread::spawn(move || child.wait_with_output());
    while !waiter.is_finished() {
        if started.elapsed() > PATIENCE {
            let _ = Command::new("kill").arg(id.to_string()).status();
            let output = waiter.join().unwrap().unwrap();
            panic!("klamm did not end: {:?}", text(output));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    text(waiter.join().unwrap().unwrap())
}

fn text(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// Every record was delivered and nothing was said.
    #[track_caller]
    pub fn assert_quiet_success(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (Some(0), "", ""));
    }
}

/// `klamm produce` to the cluster's topic with further arguments.
pub fn produce(cluster: &TcpCluster, topic: &str, more: &[&str], stdin: &[u8]) -> Run {
    let servers = cluster.bootstrap_servers();
    let mut arguments = vec!["produce", "--bootstrap-server", &servers, "--topic", topic];
    arguments.extend(more);
    run(&arguments, stdin)
}

/// A record of a log: key, value, headers.
pub type Stored = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// The records of a topic's partition.
pub fn log(cluster: &TcpCluster, topic: &str, partition: u32) -> Vec<Stored> {
    let records = cluster.with(|c| c.log(topic, partition));
    records.into_iter().map(|r| (r.key, r.value, r.headers)).collect()
}

/// The values of the topic `one`, in order.
pub fn values(cluster: &TcpCluster) -> Vec<Vec<u8>> {
    log(cluster, "one", 0).into_iter().map(|(_, value, _)| value.unwrap()).collect()
}

/// A file of the test's own, removed at the end.
pub struct TempFile(pub std::path::PathBuf);

impl TempFile {
    pub fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("klamm-cli-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
