//! What the tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use klamm::{Builder, Producer};
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{ClusterOptions, StoredRecord};

/// Longer than anything here may take, and short enough to notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster with one topic `t` of `partitions`.
pub(crate) fn cluster(brokers: u32, partitions: u32) -> TcpCluster {
    let cluster = TcpCluster::start(ClusterOptions { brokers, ..ClusterOptions::default() }).expect("loopback sockets");
    cluster.with(|cluster| cluster.create_topic("t", partitions));
    cluster
}

/// Settings for impatient tests against `cluster`.
pub(crate) fn builder(bootstrap: &str) -> Builder {
    Producer::builder().bootstrap_servers(bootstrap).reconnect_backoff_ms(20).retry_backoff_ms(20)
}

pub(crate) fn producer(cluster: &TcpCluster) -> Producer {
    builder(&cluster.bootstrap_servers()).build().expect("a producer")
}

/// Everything in the topic, in the order of partitions and offsets.
pub(crate) fn stored(cluster: &TcpCluster, topic: &str) -> Vec<StoredRecord> {
    cluster.with(|cluster| {
        (0..cluster.partition_count(topic)).flat_map(|partition| cluster.log(topic, partition)).collect()
    })
}

/// How often each value is stored.
pub(crate) fn counts(cluster: &TcpCluster, topic: &str) -> HashMap<Vec<u8>, u32> {
    let mut counts = HashMap::new();
    for record in stored(cluster, topic) {
        *counts.entry(record.value.unwrap_or_default()).or_default() += 1;
    }
    counts
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on.
pub(crate) fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// Names of this process's threads.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// A man in the middle: passes bytes on to `to`, and breaks the connection after so many bytes of
/// answers. Each connection takes the next limit; after the last, none is broken.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr, limits: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let limit = limits.get(count.fetch_add(1, Ordering::Relaxed)).copied();
                let Ok(server) = TcpStream::connect(to) else { continue };
                let (Ok(client_read), Ok(server_write)) = (client.try_clone(), server.try_clone()) else { continue };
                std::thread::spawn(move || pass(client_read, server_write, usize::MAX));
                std::thread::spawn(move || pass(server, client, limit.unwrap_or(usize::MAX)));
            }
        });
        Self { address, connections }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut limit: usize) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        let count = count.min(limit);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        limit -= count;
        if limit == 0 {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
