//! `cargo xtask kafka`: a cluster that stays until it is stopped.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use klamm_kafka_harness::{DEFAULT_VERSION, Dist, Kafka, TOOL_NAMES, cache_dir, signal, tool_command};
use serde_json::{Value, json};

use crate::Result;

/// What `start` left behind for `run` and `stop`.
struct Running {
    version: String,
    bootstrap: String,
    /// The same brokers as firmware sees them from inside QEMU.
    guest: String,
    pids: Vec<u32>,
    dir: PathBuf,
}

/// The listener for guests of QEMU's user network, and what this machine is called there.
const GUEST_LISTENER: &str = "GUEST";
const HOST_OF_GUESTS: &str = "10.0.2.2";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    match args.split_first() {
        Some((command, rest)) if command == "start" => start(rest),
        Some((command, rest)) if command == "run" => run(rest),
        Some((command, _)) if command == "stop" => stop(),
        Some((command, _)) if command == "status" => status(),
        _ => Err("say `kafka start`, `kafka run -- TOOL ARGS...`, `kafka status` or `kafka stop`".into()),
    }
}

fn start(args: &[String]) -> Result<ExitCode> {
    let (mut version, mut brokers) = (DEFAULT_VERSION.to_owned(), 1);
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("`{flag}` needs a value"))?;
        match flag.as_str() {
            "--version" => version.clone_from(value),
            "--brokers" => brokers = value.parse().map_err(|_| format!("`{value}` is not a number of brokers"))?,
            _ => {
                return Err(format!("unknown argument `{flag}`; there are --version and --brokers"));
            }
        }
    }
    if let Some(running) = load() {
        if running.is_alive() {
            println!("Kafka {} is running already: {}", running.version, running.bootstrap);
            println!("{}", running.for_guests());
            println!("(`cargo xtask kafka stop` ends it)");
            return Ok(ExitCode::SUCCESS);
        }
        running.remove()?;
    }
    let builder = Kafka::builder().version(&version).brokers(brokers).dir(data_dir());
    let builder = builder.listener(GUEST_LISTENER, "PLAINTEXT").advertised_host(GUEST_LISTENER, HOST_OF_GUESTS);
    let kafka = builder.start().map_err(|error| error.to_string())?;
    let guest = kafka.bootstrap_of(GUEST_LISTENER).unwrap_or_default().replace("127.0.0.1", HOST_OF_GUESTS);
    let kafka = kafka.detach().map_err(|error| error.to_string())?;
    let running = Running { version, bootstrap: kafka.bootstrap_servers, guest, pids: kafka.pids, dir: kafka.dir };
    if let Err(error) = running.save() {
        // Nobody could find it again.
        running.kill();
        return Err(error);
    }
    println!("{}", running.bootstrap);
    println!("{}", running.for_guests());
    Ok(ExitCode::SUCCESS)
}

fn run(args: &[String]) -> Result<ExitCode> {
    let args = match args.split_first() {
        Some((dashes, rest)) if dashes == "--" => rest,
        _ => args,
    };
    let (tool, rest) =
        args.split_first().ok_or_else(|| format!("say which tool: {}, or a full class name", TOOL_NAMES.join(", ")))?;
    let running = load_alive()?;
    let version = running.version.parse();
    let dist = version.and_then(Dist::fetch).map_err(|error| error.to_string())?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let command = tool_command(&dist, &running.bootstrap, tool, &rest);
    // The tool takes this process's place: its input, its signals and its exit code are the user's own.
    Err(format!("cannot run java: {}", command.map_err(|error| error.to_string())?.exec()))
}

fn status() -> Result<ExitCode> {
    let running = load_alive()?;
    println!("Kafka {}: {}", running.version, running.bootstrap);
    println!("{}", running.for_guests());
    println!("data and logs: {}", running.dir.display());
    Ok(ExitCode::SUCCESS)
}

fn stop() -> Result<ExitCode> {
    let Some(running) = load() else {
        println!("Kafka is not running");
        return Ok(ExitCode::SUCCESS);
    };
    running.kill();
    running.remove()?;
    println!("stopped Kafka {}", running.version);
    Ok(ExitCode::SUCCESS)
}

fn state_path() -> PathBuf {
    cache_dir().join("running.json")
}

fn data_dir() -> PathBuf {
    cache_dir().join("running")
}

fn load() -> Option<Running> {
    let state: Value = serde_json::from_str(&fs::read_to_string(state_path()).ok()?).ok()?;
    let pids = state["pids"].as_array()?.iter();
    Some(Running {
        version: state["version"].as_str()?.into(),
        bootstrap: state["bootstrap"].as_str()?.into(),
        guest: state["guest"].as_str()?.into(),
        pids: pids.filter_map(|pid| pid.as_u64()?.try_into().ok()).collect(),
        dir: state["dir"].as_str()?.into(),
    })
}

fn load_alive() -> Result<Running> {
    load().filter(Running::is_alive).ok_or_else(|| "Kafka is not running; `cargo xtask kafka start` starts it".into())
}

impl Running {
    fn save(&self) -> Result<()> {
        let state = json!({
            "version": self.version,
            "bootstrap": self.bootstrap,
            "guest": self.guest,
            "pids": self.pids,
            "dir": self.dir.display().to_string(),
        });
        fs::write(state_path(), format!("{state:#}\n"))
            .map_err(|error| format!("cannot write {}: {error}", state_path().display()))
    }

    fn for_guests(&self) -> String {
        format!("for `cargo xtask firmware run --bootstrap-server`: {}", self.guest)
    }

    fn is_alive(&self) -> bool {
        self.pids.iter().any(|pid| is_ours(*pid, &self.dir))
    }

    /// Kills all nodes and waits until they are gone.
    fn kill(&self) {
        for pid in &self.pids {
            if is_ours(*pid, &self.dir) {
                signal(*pid, "KILL");
            }
        }
        for _ in 0..200 {
            if !self.is_alive() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn remove(&self) -> Result<()> {
        for path in [&self.dir, &state_path()] {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("cannot remove {}: {error}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// True if the process exists and its arguments name our folder: its number may belong to someone else by now.
fn is_ours(pid: u32, dir: &Path) -> bool {
    let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&dir.display().to_string()))
}
