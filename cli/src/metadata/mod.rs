//! `klamm metadata`: what the cluster says of itself.
//!
//! The producer keeps only what producing takes of it, so this command asks for itself.

mod client;
mod show;
mod wire;

use std::io::{self, Write};
use std::time::Duration;

use crate::args::Metadata;
use crate::config::{Settings, Usage};
use crate::output::print;
use client::{Asker, Connection, Failure};
use wire::Cluster;

/// An error that partitions may have without harm to clients: a replica is down (and `offline` says which).
const REPLICA_NOT_AVAILABLE: i16 = 9;

/// The cluster, and which APIs its brokers speak, in the order of the brokers.
struct Report {
    cluster: Cluster,
    apis: Vec<Result<Vec<wire::Range>, Failure>>,
}

/// Runs the command; whether all that was asked for is there and well.
pub(crate) fn run(args: &Metadata) -> Result<bool, Usage> {
    let mut settings = Settings::read(args.command_config.as_deref(), &args.command_property)?;
    if let Some(servers) = &args.bootstrap_server {
        settings.set("bootstrap.servers", servers);
    }
    // What the producer would refuse is refused here: a cluster with TLS cannot be asked in plain text.
    drop(settings.builder(CLIENT_ID)?);
    let servers = servers(settings.servers()?)?;
    let asker = Asker { client_id: settings.client_id(CLIENT_ID), patience: Duration::from_millis(args.timeout) };
    let Some(report) = ask(&asker, &servers, &args.topic) else { return Ok(false) };
    print(&if args.json { show::json(&report) } else { show::tables(&report) });
    Ok(complain(&report) == 0)
}

const CLIENT_ID: &str = "klamm-metadata";

/// Hosts and ports of `bootstrap.servers`.
fn servers(text: &str) -> Result<Vec<(String, u16)>, Usage> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| server(entry).ok_or_else(|| format!("bootstrap.servers: expected host:port, not {entry:?}")))
        .collect()
}

fn server(entry: &str) -> Option<(String, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let host = host.rsplit_once("://").map_or(host, |(_listener, host)| host);
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    if host.is_empty() || (inner.is_none() && host.contains(':')) {
        return None;
    }
    Some((host.to_owned(), port.parse().ok().filter(|&port| port != 0)?))
}

/// Asks the first server that answers; none: each one's failure was told.
fn ask(asker: &Asker, servers: &[(String, u16)], topics: &[String]) -> Option<Report> {
    for (host, port) in servers {
        let answer = asker.connect(host, *port).and_then(|mut connection| connection.metadata(topics));
        match answer {
            Ok(mut cluster) => {
                cluster.brokers.sort_by_key(|broker| broker.id);
                cluster.topics.sort_by(|a, b| a.name.cmp(&b.name));
                cluster.topics.iter_mut().for_each(|topic| topic.partitions.sort_by_key(|partition| partition.index));
                let apis = ask_brokers(asker, &cluster);
                return Some(Report { cluster, apis });
            }
            Err(failure) => say(format_args!("{host}:{port}: {failure}")),
        }
    }
    None
}

/// Each broker's API versions; all are asked at once, so that one that is down costs the others no time.
fn ask_brokers(asker: &Asker, cluster: &Cluster) -> Vec<Result<Vec<wire::Range>, Failure>> {
    let ask = |broker: &wire::Broker| {
        let port = u16::try_from(broker.port).unwrap_or(0);
        asker.connect(&broker.host, port).map(|Connection { ranges, .. }| ranges)
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = cluster.brokers.iter().map(|broker| scope.spawn(move || ask(broker))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Tells what is wrong, a line each on standard error; how many there were.
fn complain(report: &Report) -> usize {
    let mut lines = Vec::new();
    let Report { cluster, apis } = report;
    if cluster.error != 0 {
        lines.push(format!("the cluster answered {}", show::error(cluster.error)));
    }
    for (broker, apis) in cluster.brokers.iter().zip(apis) {
        if let Err(failure) = apis {
            lines.push(format!("broker {} ({}:{}): {failure}", broker.id, broker.host, broker.port));
        }
    }
    for topic in &cluster.topics {
        if topic.error != 0 {
            lines.push(format!("topic {}: {}", topic.name, show::error(topic.error)));
        }
        for partition in topic.partitions.iter().filter(|p| ![0, REPLICA_NOT_AVAILABLE].contains(&p.error)) {
            lines.push(format!("{}-{}: {}", topic.name, partition.index, show::error(partition.error)));
        }
    }
    lines.iter().for_each(|line| say(format_args!("{line}")));
    lines.len()
}

/// A line on standard error. A closed standard error is not an error.
fn say(line: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "klamm: {line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_ports() {
        let of = |text: &str| servers(text).map(|all| all.iter().map(|(h, p)| format!("{h} {p}")).collect::<Vec<_>>());
        assert_eq!(of("a:1, [::1]:9092,PLAINTEXT://b:2,").unwrap(), ["a 1", "::1 9092", "b 2"]);
        for bad in ["a", "a:", ":1", "a:0", "a:70000", "::1:9092"] {
            assert_eq!(of(bad).unwrap_err(), format!("bootstrap.servers: expected host:port, not {bad:?}"));
        }
    }
}
