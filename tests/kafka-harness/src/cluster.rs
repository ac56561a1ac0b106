//! A running cluster and what can be done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::batches::{LogBatch, parse_batches};
use crate::builder::Builder;
use crate::dist::{Dist, Version};
use crate::error::{Context, Error, Result};
use crate::guard::{Guard, signal};
use crate::node::{Node, ZOOKEEPER_SESSION};
use crate::records::{ReadRecord, parse_counts, parse_records};
use crate::run::{run, run_lines, tool_command};
use crate::wire::{self, Metadata, Partition};

/// How long a Java program may take.
const TOOL_LIMIT: Duration = Duration::from_secs(180);

/// How long a change of the cluster may take to be seen everywhere.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// A running Kafka cluster; everything is killed and removed when it is dropped or when this process ends.
///
/// All methods take `&self`, so that a test may kill brokers from one thread while it produces from others.
pub struct Kafka {
    dist: Dist,
    dir: PathBuf,
    guard: Mutex<Option<Guard>>,
    nodes: Mutex<Vec<Node>>,
}

/// A cluster that was left running, see [`Kafka::detach`].
#[derive(Clone, Debug)]
pub struct Detached {
    /// Addresses to connect to.
    pub bootstrap_servers: String,
    /// Every Kafka process.
    pub pids: Vec<u32>,
    /// Configuration, data and logs.
    pub dir: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kafka {
    /// Describes a cluster to start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// One broker for all tests of this process, started by the first that asks. It ends with the process.
    pub fn shared_single() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Kafka>> = OnceLock::new();
        SHARED.get_or_init(|| Self::builder().start()).as_ref().map_err(Error::clone)
    }

    pub(crate) fn new(dist: Dist, dir: PathBuf, guard: Guard, nodes: Vec<Node>) -> Self {
        Self { dist, dir, guard: Mutex::new(Some(guard)), nodes: Mutex::new(nodes) }
    }

    /// The addresses of all brokers, for plain text: `127.0.0.1:15001,127.0.0.1:15002`.
    pub fn bootstrap_servers(&self) -> String {
        self.bootstrap_of("PLAINTEXT").unwrap_or_default()
    }

    /// The addresses of a listener that was added with [`Builder::listener`].
    pub fn bootstrap_of(&self, listener: &str) -> Option<String> {
        let nodes = lock(&self.nodes);
        let ports = nodes.iter().filter_map(|node| node.ports.get(listener));
        let addresses: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        (!addresses.is_empty()).then(|| addresses.join(","))
    }

    /// The plain text address of one broker.
    pub fn address(&self, broker: i32) -> Option<String> {
        Some(format!("127.0.0.1:{}", self.port(broker, "PLAINTEXT")?))
    }

    /// The port on which one broker listens, whatever it tells its clients.
    pub fn port(&self, broker: i32, listener: &str) -> Option<u16> {
        let nodes = lock(&self.nodes);
        let node = nodes.iter().find(|node| node.is_broker() && node.id == broker)?;
        node.ports.get(listener).copied()
    }

    /// The version that runs.
    pub fn version(&self) -> Version {
        self.dist.version()
    }

    /// Configuration, data and logs of the nodes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills a broker with SIGKILL; returns when the process is gone.
    pub fn kill(&self, broker: i32) -> Result<()> {
        let pid = self.with_broker(broker, |node| Ok(node.kill()))?;
        self.forget(pid)
    }

    fn forget(&self, pid: Option<u32>) -> Result<()> {
        match (pid, &mut *lock(&self.guard)) {
            (Some(pid), Some(guard)) => guard.forget(pid),
            _ => Ok(()),
        }
    }

    /// False if the broker was killed, or ended by itself.
    pub fn is_running(&self, broker: i32) -> bool {
        self.with_broker(broker, |node| Ok(node.is_running())).unwrap_or(false)
    }

    /// Stops a broker with SIGTERM: it hands its leaderships over and ends. Returns when it is gone; it is killed if it
    /// is not after `limit`. Not for a paused broker.
    pub fn shut_down(&self, broker: i32, limit: Duration) -> Result<()> {
        let pid = self.with_broker(broker, |node| Ok(node.shut_down(limit)))?;
        self.forget(pid)
    }

    /// Starts a broker again (killing it before, if it runs). It is back when this returns: its listeners accept, and it and all
    /// brokers that are not paused know each other. See [`wait_in_sync`](Self::wait_in_sync) for its replicas.
    pub fn restart(&self, broker: i32) -> Result<()> {
        self.restart_within(broker, SETTLE_LIMIT)
    }

    /// [`restart`](Self::restart) with a limit of one's own, for a machine that has much else to do.
    pub fn restart_within(&self, broker: i32, limit: Duration) -> Result<()> {
        self.kill(broker)?;
        if self.dist.needs_zookeeper() {
            // An old broker gives up if its predecessor's session still holds its id, instead of waiting.
            thread::sleep(ZOOKEEPER_SESSION + Duration::from_secs(2));
        }
        let pid = self.with_broker(broker, |node| node.spawn(&self.dist))?;
        if let Some(guard) = &mut *lock(&self.guard) {
            guard.watch(pid)?;
        }
        self.wait_until_ready(Instant::now() + limit)
    }

    /// Stops a broker with SIGSTOP: its connections stay open and it answers nothing.
    pub fn pause(&self, broker: i32) -> Result<()> {
        self.stop_or_continue(broker, "STOP", true)
    }

    /// Lets a paused broker go on.
    pub fn resume(&self, broker: i32) -> Result<()> {
        self.stop_or_continue(broker, "CONT", false)
    }

    fn stop_or_continue(&self, broker: i32, name: &str, paused: bool) -> Result<()> {
        self.with_broker(broker, |node| {
            let pid = node.process.as_ref().map(std::process::Child::id);
            if !pid.is_some_and(|pid| signal(pid, name)) {
                return Err(Error::new(format!("broker {broker} does not run")));
            }
            node.paused = paused;
            Ok(())
        })
    }

    fn with_broker<T>(&self, broker: i32, act: impl FnOnce(&mut Node) -> Result<T>) -> Result<T> {
        let mut nodes = lock(&self.nodes);
        let node = nodes.iter_mut().find(|node| node.is_broker() && node.id == broker);
        act(node.ok_or_else(|| Error::new(format!("there is no broker {broker}")))?)
    }

    /// Ids and ports of the brokers that can answer.
    fn live(&self) -> Vec<(i32, u16)> {
        let mut nodes = lock(&self.nodes);
        let live = nodes.iter_mut().filter_map(|node| {
            let port = node.plaintext_port()?;
            (!node.paused && node.is_running()).then_some((node.id, port))
        });
        live.collect()
    }

    /// What the brokers say about the cluster: the answer of the first that can.
    pub fn metadata(&self) -> Result<Metadata> {
        let mut last = Error::new("no broker runs");
        for (_, port) in self.live() {
            match wire::metadata(port) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The id of the broker that leads this partition, if one does.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Result<Option<i32>> {
        let metadata = self.metadata()?;
        let found = metadata
            .partitions
            .iter()
            .find(|p| p.topic == topic && p.index == partition)
            .ok_or_else(|| Error::new(format!("there is no partition {topic}-{partition}")))?;
        Ok((found.leader >= 0).then_some(found.leader))
    }

    /// Waits until no live broker counts this one in any more (after [`kill`](Self::kill) or [`pause`](Self::pause)).
    pub fn wait_until_fenced(&self, broker: i32) -> Result<()> {
        self.wait_for(&format!("broker {broker} to be fenced"), |metadata| !metadata.brokers.contains(&broker))
    }

    /// Waits until every replica on a live broker is in sync.
    pub fn wait_in_sync(&self) -> Result<()> {
        self.wait_in_sync_within(SETTLE_LIMIT)
    }

    /// [`wait_in_sync`](Self::wait_in_sync) with a limit of one's own.
    pub fn wait_in_sync_within(&self, limit: Duration) -> Result<()> {
        self.wait_within(limit, "all replicas to be in sync", |metadata| {
            metadata.partitions.iter().all(|partition| {
                let missing = |id: &&i32| metadata.brokers.contains(id) && !partition.isr.contains(id);
                partition.leader >= 0 && !partition.replicas.iter().any(|id| missing(&id))
            })
        })
    }

    /// Waits until the view of every live broker satisfies a condition.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Metadata) -> bool) -> Result<()> {
        self.wait_within(SETTLE_LIMIT, what, condition)
    }

    fn wait_within(&self, limit: Duration, what: &str, condition: impl Fn(&Metadata) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let live = self.live();
            let holds = |port| wire::metadata(port).is_ok_and(|metadata| condition(&metadata));
            if !live.is_empty() && live.iter().all(|(_, port)| holds(*port)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("waited {limit:?} for {what}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all running, unpaused brokers accept connections and know each other.
    pub(crate) fn wait_until_ready(&self, deadline: Instant) -> Result<()> {
        loop {
            if self.is_ready()? {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("Kafka was not ready in time:\n{}", self.log_tails())));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> Result<bool> {
        for node in &mut *lock(&self.nodes) {
            if node.process.is_some() && !node.is_running() {
                let log = node.log_tail();
                return Err(Error::new(format!("Kafka node {} ended by itself:\n{log}", node.id)));
            }
            if node.process.is_some() && !node.paused && !node.is_open() {
                return Ok(false);
            }
        }
        let live = self.live();
        let knows_all =
            |port| wire::metadata(port).is_ok_and(|metadata| live.iter().all(|(id, _)| metadata.brokers.contains(id)));
        Ok(live.iter().all(|(_, port)| knows_all(*port)))
    }

    /// The end of every node's log, for messages of failed tests.
    pub fn log_tails(&self) -> String {
        let nodes = lock(&self.nodes);
        let tails = nodes.iter().map(|node| format!("--- node {}\n{}\n", node.id, node.log_tail()));
        tails.collect()
    }

    /// Creates a topic; when this returns, every live broker knows it and its leaders, and these are ready.
    pub fn create_topic(&self, name: &str, partitions: i32, replication: i16, configs: &[(&str, &str)]) -> Result<()> {
        self.create_topics(&[name], partitions, replication, configs)
    }

    /// Creates topics that differ in their names only, all at once.
    pub fn create_topics(
        &self,
        names: &[&str],
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        wire::create_topics(self.any_port()?, names, partitions, replication, configs)?;
        let live = self.live();
        self.wait_for(&format!("leaders of {}", names.join(", ")), |metadata| {
            let ours = metadata.partitions.iter().filter(|p| names.contains(&p.topic.as_str()));
            let led: Vec<&Partition> = ours.filter(|p| p.leader >= 0).collect();
            let serves = |&(id, port): &(i32, u16)| {
                let its: Vec<&Partition> = led.iter().copied().filter(|p| p.leader == id).collect();
                its.is_empty() || wire::serves(port, &its).unwrap_or(false)
            };
            led.len() == names.len() * partitions as usize && live.iter().all(serves)
        })
    }

    /// Deletes a topic; no live broker lists it any more when this returns.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        wire::delete_topic(self.any_port()?, name)?;
        self.wait_for(&format!("the end of topic {name}"), |metadata| {
            metadata.partitions.iter().all(|p| p.topic != name)
        })
    }

    fn any_port(&self) -> Result<u16> {
        let first = self.live().first().map(|(_, port)| *port);
        first.ok_or_else(|| Error::new("no broker runs"))
    }

    /// Runs a tool: a short name such as `topics`, a full class name, or a program of `tests/java` by its short name. The address is added
    /// where the tool takes one. Many of Kafka's tools exit with 0 even when everything failed: judge by the output.
    pub fn run_tool(&self, tool: &str, args: &[&str], stdin: &[u8]) -> Result<Output> {
        let command = tool_command(&self.dist, &self.bootstrap_servers(), tool, args)?;
        run(command, stdin, TOOL_LIMIT)
    }

    /// Runs a tool and hands over what it prints line by line as it comes, for outputs that are too large to keep. Gives what it wrote
    /// to its standard error, and an error if that took longer than `limit`.
    pub fn tool_lines(
        &self,
        tool: &str,
        args: &[&str],
        limit: Duration,
        line: impl FnMut(&[u8]) + Send,
    ) -> Result<String> {
        run_lines(tool_command(&self.dist, &self.bootstrap_servers(), tool, args)?, limit, line)
    }

    /// [`run_tool`](Self::run_tool), an error unless it exits with 0; gives what it printed.
    pub fn tool_text(&self, tool: &str, args: &[&str], stdin: &[u8]) -> Result<String> {
        let output = self.run_tool(tool, args, stdin)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::new(format!(
            "{tool} {} failed ({}):\n{}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )))
    }

    /// Every record of a topic, as the Java consumer reads it, by partition and offset.
    pub fn read_back(&self, topic: &str) -> Result<Vec<ReadRecord>> {
        self.read_back_with(topic, &[])
    }

    /// [`read_back`](Self::read_back) with consumer properties, e.g. `isolation.level=read_committed`.
    pub fn read_back_with(&self, topic: &str, properties: &[&str]) -> Result<Vec<ReadRecord>> {
        let args = [&[topic], properties].concat();
        let mut records = parse_records(&self.tool_text("read-back", &args, b"")?)?;
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// Every record of several topics, by topic, partition and offset: one start of Java for all of them.
    pub fn read_back_all(&self, topics: &[&str]) -> Result<Vec<ReadRecord>> {
        let mut records = self.read_back_with(&topics.join(","), &[])?;
        // Stable: partitions and offsets are in order already.
        records.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(records)
    }

    /// How many records each partition holds.
    pub fn count(&self, topic: &str) -> Result<BTreeMap<i32, u64>> {
        parse_counts(&self.tool_text("read-back", &[topic, "count"], b"")?)
    }

    /// The partition of `partitions` that the Java client chooses for each key.
    pub fn partition_of(&self, partitions: i32, keys: &[&[u8]]) -> Result<Vec<i32>> {
        let hex = |key: &&[u8]| key.iter().map(|byte| format!("{byte:02x}")).chain(["\n".into()]).collect::<String>();
        let input: String = keys.iter().map(hex).collect();
        let text = self.tool_text("partitions", &[&partitions.to_string()], input.as_bytes())?;
        let chosen: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if chosen.len() == keys.len() {
            Ok(chosen)
        } else {
            Err(Error::new(format!("{} keys, but the answer was:\n{text}", keys.len())))
        }
    }

    /// What `DumpLogSegments` prints for all segments of a partition on a broker: batches with sequence numbers, codec and
    /// CRC check, and their records. Works while the broker runs.
    pub fn dump_log(&self, broker: i32, topic: &str, partition: i32) -> Result<String> {
        let files = self.segments(broker, |name| name == format!("{topic}-{partition}"))?;
        self.tool_text("dump-log", &["--deep-iteration", "--print-data-log", "--files", &files], b"")
    }

    /// The batches of several topics as they lie in a broker's log, as `DumpLogSegments` sees them; by topic,
    /// partition and offset. Works while the broker runs.
    pub fn dump_batches(&self, broker: i32, topics: &[&str]) -> Result<Vec<LogBatch>> {
        let is_theirs = |name: &str| name.rsplit_once('-').is_some_and(|(topic, _)| topics.contains(&topic));
        let files = self.segments(broker, is_theirs)?;
        parse_batches(&self.tool_text("dump-log", &["--files", &files], b"")?)
    }

    /// The segment files of the partitions whose folder is wanted, separated by commas.
    fn segments(&self, broker: i32, is_wanted: impl Fn(&str) -> bool) -> Result<String> {
        let data = self.with_broker(broker, |node| Ok(node.data_dir()))?;
        let list = |dir: &Path| -> Result<Vec<PathBuf>> {
            let entries = fs::read_dir(dir).context(|| format!("cannot read {}", dir.display()))?;
            Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        };
        let mut segments = Vec::new();
        for dir in list(&data)? {
            if dir.file_name().is_some_and(|name| is_wanted(&name.to_string_lossy())) {
                let files = list(&dir)?.into_iter().map(|path| path.display().to_string());
                segments.extend(files.filter(|path| path.ends_with(".log")));
            }
        }
        segments.sort();
        Ok(segments.join(","))
    }

    /// Leaves the cluster running; whoever gets this must end it.
    pub fn detach(self) -> Result<Detached> {
        let bootstrap_servers = self.bootstrap_servers();
        let nodes = std::mem::take(&mut *lock(&self.nodes));
        let pids = nodes.iter().filter_map(|node| Some(node.process.as_ref()?.id())).collect();
        if let Some(guard) = lock(&self.guard).take() {
            guard.release()?;
        }
        Ok(Detached { bootstrap_servers, pids, dir: self.dir.clone() })
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The guard kills all nodes and removes the folder; then the processes are collected, so that no zombie stays.
        drop(lock(&self.guard).take());
        for node in &mut *lock(&self.nodes) {
            node.kill();
        }
    }
}
