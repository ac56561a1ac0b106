//! How a cluster is described and started.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::Kafka;
use crate::dist::{DEFAULT_VERSION, Dist, Version, require_java};
use crate::error::{Context, Error, Result};
use crate::guard::Guard;
use crate::node::{CONTROLLER_ID, LOOPBACK, Listener, Node, Role, Shared};
use crate::ports::free_port;

/// Describes a cluster; [`start`](Self::start) starts it.
#[derive(Clone, Debug)]
pub struct Builder {
    version: String,
    brokers: i32,
    settings: Vec<(String, String)>,
    listeners: Vec<Listener>,
    scram: Vec<String>,
    combined: bool,
    dir: Option<PathBuf>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: DEFAULT_VERSION.into(),
            brokers: 1,
            settings: Vec::new(),
            listeners: Vec::new(),
            scram: Vec::new(),
            combined: false,
            dir: None,
        }
    }
}

impl Builder {
    /// Which Kafka, e.g. `4.3.1` (the default). From 3.3 on in KRaft mode; 2.1 to 3.2 with ZooKeeper, one broker only.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// How many brokers, with ids from 1: one (which is its own controller, the default) or more (with a controller of their own, so
    /// that killing brokers leaves a quorum).
    pub fn brokers(mut self, brokers: i32) -> Self {
        self.brokers = brokers;
        self
    }

    /// A line of every node's configuration; wins over the harness's own.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// A further listener on every broker, e.g. `("SASLSSL", "SASL_SSL")`; [`Kafka::bootstrap_of`] gives its addresses.
    /// Key stores and JAAS lines come by [`config`](Self::config).
    pub fn listener(mut self, name: &str, protocol: &str) -> Self {
        let (name, protocol) = (name.into(), protocol.into());
        self.listeners.push(Listener { name, protocol, advertised: Vec::new(), host: LOOPBACK.into() });
        self
    }

    /// What clients of a listener are told to connect to instead of its own ports: those of a proxy, one for each broker.
    pub fn advertised(mut self, listener: &str, ports: &[u16]) -> Self {
        for known in self.listeners.iter_mut().filter(|known| known.name == listener) {
            known.advertised = ports.to_vec();
        }
        self
    }

    /// The host that clients of a listener are told to connect to, instead of `127.0.0.1`: what this machine is called
    /// where they are, in a virtual machine for instance.
    pub fn advertised_host(mut self, listener: &str, host: &str) -> Self {
        for known in self.listeners.iter_mut().filter(|known| known.name == listener) {
            known.host = host.into();
        }
        self
    }

    /// Makes every broker a controller as well, instead of one controller beside them all: killing a broker may kill the
    /// quorum's leader, and two that are down at once end the quorum.
    pub fn combined(mut self) -> Self {
        self.combined = true;
        self
    }

    /// A user that can log in with SCRAM-SHA-256 and SCRAM-SHA-512 (Kafka 3.5 or newer).
    pub fn scram_user(mut self, name: &str, password: &str) -> Self {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            self.scram.push(format!("{mechanism}=[name={name},iterations=4096,password={password}]"));
        }
        self
    }

    /// Where the data goes; must not exist. By default a folder in the system's temporary folder.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts the cluster; every listener accepts and every broker knows all others when this returns.
    pub fn start(&self) -> Result<Kafka> {
        if self.brokers < 1 {
            return Err(Error::new("a cluster needs at least one broker"));
        }
        require_java()?;
        let dist = Dist::fetch(self.version.parse::<Version>()?)?;
        // A chosen port may be taken by someone else before the broker binds it: then choose others.
        let mut attempts = 3;
        loop {
            attempts -= 1;
            match self.try_start(&dist) {
                Err(error) if attempts > 0 && error.to_string().contains("Address already in use") => {}
                result => return result,
            }
        }
    }

    fn try_start(&self, dist: &Dist) -> Result<Kafka> {
        let dir = self.create_dir()?;
        let mut guard = Guard::new(Some(&dir))?;
        let mut nodes = self.nodes(dist, &dir)?;
        let controllers = nodes.iter().filter(|node| node.is_controller());
        let shared = Shared {
            brokers: self.brokers,
            controllers: controllers.map(|node| Ok((node.id, free_port()?))).collect::<Result<_>>()?,
            listeners: self.listeners.clone(),
            settings: self.settings.clone(),
        };
        for node in &nodes {
            node.write_config(&shared)?;
        }
        if !dist.needs_zookeeper() {
            self.format(dist, &nodes, &mut guard)?;
        }
        for node in &mut nodes {
            guard.watch(node.spawn(dist)?)?;
        }
        let kafka = Kafka::new(dist.clone(), dir, guard, nodes);
        kafka.wait_until_ready(Instant::now() + Duration::from_secs(90))?;
        Ok(kafka)
    }

    fn nodes(&self, dist: &Dist, dir: &Path) -> Result<Vec<Node>> {
        let (helper, role) = match (dist.needs_zookeeper(), self.brokers) {
            (false, 1) => (None, Role::Combined),
            (false, _) if self.combined => (None, Role::Combined),
            (false, _) => (Some(Role::Controller), Role::Broker),
            (true, 1) => (Some(Role::ZooKeeper), Role::OldBroker),
            (true, _) => return Err(Error::new(format!("Kafka {} runs with one broker here", dist.version()))),
        };
        let helper = helper.map(|role| Node::new(CONTROLLER_ID, role, BTreeMap::new(), dir));
        let mut nodes = Vec::from_iter(helper);
        for id in 1..=self.brokers {
            nodes.push(Node::new(id, role, self.choose_ports()?, dir));
        }
        Ok(nodes)
    }

    fn create_dir(&self) -> Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = self.dir.clone().unwrap_or_else(|| {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            std::env::temp_dir().join(format!("klamm-kafka-{}-{n}", std::process::id()))
        });
        fs::create_dir_all(dir.parent().unwrap_or(&dir)).context(|| format!("cannot create {}", dir.display()))?;
        fs::create_dir(&dir).context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    fn choose_ports(&self) -> Result<BTreeMap<String, u16>> {
        let names = self.listeners.iter().map(|listener| listener.name.as_str());
        names.chain(["PLAINTEXT"]).map(|name| Ok((name.to_owned(), free_port()?))).collect()
    }

    /// Formats all data folders at the same time: each takes a JVM start.
    fn format(&self, dist: &Dist, nodes: &[Node], guard: &mut Guard) -> Result<()> {
        let mut running = Vec::new();
        for node in nodes {
            let mut command = node.format_command(dist, &self.scram);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let child = command.spawn().context(|| "cannot start `java`".into())?;
            guard.watch(child.id())?;
            running.push(child);
        }
        for child in running {
            let pid = child.id();
            let output = child.wait_with_output().context(|| "cannot format a data folder".into())?;
            guard.forget(pid)?;
            if !output.status.success() {
                return Err(Error::new(format!(
                    "Kafka refused its configuration:\n{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                )));
            }
        }
        Ok(())
    }
}
