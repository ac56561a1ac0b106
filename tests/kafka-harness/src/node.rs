//! One Kafka process: its configuration, its start and its end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::dist::Dist;
use crate::error::{Context, Result};
use crate::guard::signal;

/// A KRaft cluster id is 16 bytes in base64 without padding; any will do, these say `klamm-test-run-1`.
const CLUSTER_ID: &str = "a2xhbW0tdGVzdC1ydW4tMQ";

/// Node id of the controller of a cluster with several brokers.
pub(crate) const CONTROLLER_ID: i32 = 100;

/// How long ZooKeeper keeps an old broker's id after its last sign of life.
pub(crate) const ZOOKEEPER_SESSION: Duration = Duration::from_secs(4);

/// Where everything listens.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// What a node is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Broker and controller in one process.
    Combined,
    Broker,
    Controller,
    /// Holds the metadata of a broker older than 3.3.
    ZooKeeper,
    /// A broker that keeps its metadata there.
    OldBroker,
}

/// A further listener beside PLAINTEXT.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) protocol: String,
    /// What clients are told to connect to, broker by broker; empty: the listener's own ports.
    pub(crate) advertised: Vec<u16>,
    /// The host that goes with them.
    pub(crate) host: String,
}

/// What all nodes of a cluster have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) brokers: i32,
    /// Of the controller (or of ZooKeeper), by node id: one, or one in every broker.
    pub(crate) controllers: BTreeMap<i32, u16>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) settings: Vec<(String, String)>,
}

impl Shared {
    /// 0 for a node that is no controller.
    fn controller_port(&self, node: i32) -> u16 {
        self.controllers.get(&node).copied().unwrap_or(0)
    }

    /// What clients of a listener of this broker, which has this port, are told to connect to.
    fn advertised(&self, name: &str, broker: i32, port: u16) -> String {
        let listener = self.listeners.iter().find(|known| known.name == name);
        let index = usize::try_from(broker - 1).unwrap_or(usize::MAX);
        let told = listener.and_then(|listener| listener.advertised.get(index)).unwrap_or(&port);
        format!("{name}://{}:{told}", listener.map_or(LOOPBACK, |listener| &listener.host))
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) role: Role,
    /// Ports by listener name; `PLAINTEXT` always, none for a controller.
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) process: Option<Child>,
    /// Stopped by SIGSTOP: alive, but it answers nobody.
    pub(crate) paused: bool,
    dir: PathBuf,
}

impl Node {
    pub(crate) fn new(id: i32, role: Role, ports: BTreeMap<String, u16>, dir: &Path) -> Self {
        Self { id, role, ports, process: None, paused: false, dir: dir.to_owned() }
    }

    pub(crate) fn is_broker(&self) -> bool {
        !matches!(self.role, Role::Controller | Role::ZooKeeper)
    }

    /// Whether it holds the cluster's metadata for others.
    pub(crate) fn is_controller(&self) -> bool {
        matches!(self.role, Role::Combined | Role::Controller | Role::ZooKeeper)
    }

    /// True if the process was started and has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn plaintext_port(&self) -> Option<u16> {
        self.ports.get("PLAINTEXT").copied()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join(format!("data{}", self.id))
    }

    fn config_path(&self) -> PathBuf {
        self.dir.join(format!("node{}.properties", self.id))
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join(format!("node{}.log", self.id))
    }

    /// The first errors and the last lines that the process wrote, without stack traces, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("\tat ")).collect();
        let (before, last) = lines.split_at(lines.len().saturating_sub(15));
        let is_error = |line: &&&str| [" ERROR ", " FATAL "].iter().any(|level| line.contains(level));
        before.iter().filter(is_error).take(5).chain(last).copied().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn write_config(&self, shared: &Shared) -> Result<()> {
        let text: String = self.properties(shared).iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let path = self.config_path();
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    }

    fn properties(&self, shared: &Shared) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: String| {
            all.insert(key.to_owned(), value);
        };
        match self.role {
            Role::ZooKeeper => {
                set("dataDir", self.data_dir().display().to_string());
                set("clientPort", shared.controller_port(self.id).to_string());
                set("clientPortAddress", "127.0.0.1".into());
                set("admin.enableServer", "false".into());
                // Sessions last 2 to 20 ticks, and end at one of them.
                set("tickTime", "500".into());
                // A disk with much else to do must not be what ends them: a broker whose session ends while it starts may not come up.
                // What a crash of the computer would lose, nobody needs.
                set("forceSync", "no".into());
                return all;
            }
            Role::OldBroker => {
                set("broker.id", self.id.to_string());
                set("zookeeper.connect", format!("127.0.0.1:{}", shared.controller_port(CONTROLLER_ID)));
                set("zookeeper.connection.timeout.ms", "30000".into());
                set("zookeeper.session.timeout.ms", ZOOKEEPER_SESSION.as_millis().to_string());
            }
            Role::Combined | Role::Broker | Role::Controller => self.quorum(shared, &mut set),
        }
        self.listeners(shared, &mut set);
        set("log.dirs", self.data_dir().display().to_string());
        common(shared, &mut set);
        for (key, value) in &shared.settings {
            set(key, value.clone());
        }
        all
    }

    fn quorum(&self, shared: &Shared, set: &mut impl FnMut(&str, String)) {
        let roles = match self.role {
            Role::Combined => "broker,controller",
            Role::Controller => "controller",
            _ => "broker",
        };
        let voters: Vec<String> =
            shared.controllers.iter().map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        set("process.roles", roles.into());
        set("node.id", self.id.to_string());
        set("controller.quorum.voters", voters.join(","));
        set("controller.listener.names", "CONTROLLER".into());
        // A dead broker is fenced after this time (default 9 s), and until then its id is refused to its successor.
        set("broker.session.timeout.ms", "1500".into());
        set("broker.heartbeat.interval.ms", "250".into());
    }

    fn listeners(&self, shared: &Shared, set: &mut impl FnMut(&str, String)) {
        let mut protocols = vec!["PLAINTEXT:PLAINTEXT".to_owned()];
        if self.role != Role::OldBroker {
            protocols.push("CONTROLLER:PLAINTEXT".to_owned());
        }
        protocols.extend(shared.listeners.iter().map(|l| format!("{}:{}", l.name, l.protocol)));
        set("listener.security.protocol.map", protocols.join(","));
        let own = self.ports.iter().map(|(name, port)| format!("{name}://127.0.0.1:{port}"));
        let mut listeners: Vec<String> = own.collect();
        if matches!(self.role, Role::Combined | Role::Controller) {
            listeners.push(format!("CONTROLLER://127.0.0.1:{}", shared.controller_port(self.id)));
        }
        set("listeners", listeners.join(","));
        if self.is_broker() {
            let told = self.ports.iter().map(|(name, port)| shared.advertised(name, self.id, *port));
            set("advertised.listeners", told.collect::<Vec<_>>().join(","));
            set("inter.broker.listener.name", "PLAINTEXT".into());
        }
    }

    /// The class to run.
    fn main_class(&self) -> &'static str {
        match self.role {
            Role::ZooKeeper => "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            _ => "kafka.Kafka",
        }
    }

    /// The command that writes the data folder's identity, which must be there before the first start.
    pub(crate) fn format_command(&self, dist: &Dist, scram: &[String]) -> Command {
        let mut command = dist.java();
        command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        command.arg(self.config_path());
        for user in scram {
            command.args(["--add-scram", user]);
        }
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts the process in its own process group, so that a Ctrl-C meant for the test does not reach it half-way.
    pub(crate) fn spawn(&mut self, dist: &Dist) -> Result<u32> {
        let path = self.log_path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .context(|| format!("cannot write {}", path.display()))?;
        let errors = log.try_clone().context(|| "cannot share the log".into())?;
        let child = dist
            .java()
            .arg(self.main_class())
            .arg(self.config_path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .context(|| "cannot start `java`".into())?;
        let pid = child.id();
        self.process = Some(child);
        self.paused = false;
        Ok(pid)
    }

    /// SIGTERM: it hands its partitions over and ends. Killed if it has not after `limit`.
    pub(crate) fn shut_down(&mut self, limit: Duration) -> Option<u32> {
        let child = self.process.as_mut()?;
        signal(child.id(), "TERM");
        let deadline = Instant::now() + limit;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        self.kill()
    }

    /// SIGKILL, and waits for the end: a second process on the same data folder would make both fail.
    pub(crate) fn kill(&mut self) -> Option<u32> {
        let mut child = self.process.take()?;
        let _ = child.kill();
        let _ = child.wait();
        Some(child.id())
    }

    /// True if all listeners accept connections.
    pub(crate) fn is_open(&self) -> bool {
        self.ports.values().all(|port| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
        })
    }
}

/// What brokers and controllers of every version have in common.
fn common(shared: &Shared, set: &mut impl FnMut(&str, String)) {
    // Internal topics wait for three brokers by default; one partition of them is enough and far quicker to make.
    let copies = shared.brokers.min(3);
    let in_sync = if copies == 3 { 2 } else { 1 };
    set("default.replication.factor", copies.to_string());
    set("min.insync.replicas", in_sync.to_string());
    set("offsets.topic.replication.factor", copies.to_string());
    set("offsets.topic.num.partitions", "1".into());
    set("transaction.state.log.replication.factor", copies.to_string());
    set("transaction.state.log.min.isr", in_sync.to_string());
    set("transaction.state.log.num.partitions", "1".into());
    set("group.initial.rebalance.delay.ms", "0".into());
    // Retention counts from record timestamps: a test's old timestamps would delete its records within minutes.
    set("log.retention.ms", "-1".into());
}
