//! Metadata for people, as aligned tables, and for programs, as JSON.

use klamm::ErrorCode;
use serde_json::{Map, Value, json};

use super::Report;
use super::wire::{APIS, Api, Cluster, Partition, Range, Topic};

/// An error by name.
pub(super) fn error(code: i16) -> String {
    ErrorCode::from(code).to_string()
}

/// Everything, as tables.
pub(super) fn tables(report: &Report) -> String {
    let Report { cluster, .. } = report;
    let topics =
        if cluster.topics.is_empty() { "No topics.\n".to_owned() } else { table(&topic_rows(&cluster.topics)) };
    format!("Cluster {}\n\n{}\n{topics}", cluster.id.as_deref().unwrap_or("-"), table(&broker_rows(report)))
}

fn broker_rows(report: &Report) -> Vec<Vec<String>> {
    let mut heads = ["BROKER", "HOST", "PORT", "RACK", "CONTROLLER"].map(str::to_owned).to_vec();
    heads.extend(APIS.iter().map(|api| api.name.to_uppercase()));
    let mut rows = vec![heads];
    for (broker, apis) in report.cluster.brokers.iter().zip(&report.apis) {
        let controller = if broker.id == report.cluster.controller { "yes" } else { "-" };
        let rack = broker.rack.clone().unwrap_or_else(|| "-".to_owned());
        let mut row =
            vec![broker.id.to_string(), broker.host.clone(), broker.port.to_string(), rack, controller.to_owned()];
        match apis {
            Ok(ranges) => row.extend(APIS.iter().map(|api| versions(api, ranges))),
            Err(_) => row.extend(APIS.iter().map(|_| "?".to_owned())),
        }
        rows.push(row);
    }
    rows
}

/// `0-13, uses 12`.
fn versions(api: &Api, ranges: &[Range]) -> String {
    let Some(range) = ranges.iter().find(|range| range.key == api.key) else { return "none".to_owned() };
    let used = api.used(*range).map_or_else(|| "none".to_owned(), |version| version.to_string());
    format!("{}-{}, uses {used}", range.min, range.max)
}

fn topic_rows(topics: &[Topic]) -> Vec<Vec<String>> {
    let heads = ["TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "OFFLINE", "ID", "INTERNAL", "ERROR"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for topic in topics {
        let head = |cells: [String; 6], code: i16| {
            let id = topic.id.map_or_else(|| "-".to_owned(), topic_id);
            let internal = if topic.internal { "yes" } else { "-" }.to_owned();
            let shown = if code == 0 { "-".to_owned() } else { error(code) };
            [vec![topic.name.clone()], cells.to_vec(), vec![id, internal, shown]].concat()
        };
        if topic.error != 0 || topic.partitions.is_empty() {
            rows.push(head(["-"; 6].map(str::to_owned), topic.error));
        }
        rows.extend(topic.partitions.iter().map(|partition| head(partition_cells(partition), partition.error)));
    }
    rows
}

fn partition_cells(partition: &Partition) -> [String; 6] {
    let leader = if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() };
    let ids = |ids: &[i32]| match ids {
        [] => "-".to_owned(),
        _ => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let Partition { index, leader_epoch, replicas, isr, offline, .. } = partition;
    [index.to_string(), leader, leader_epoch.to_string(), ids(replicas), ids(isr), ids(offline)]
}

/// Rows with their columns aligned, two spaces apart.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Everything, as one JSON object on one line.
pub(super) fn json(report: &Report) -> String {
    let Cluster { id, controller, brokers, topics, .. } = &report.cluster;
    let brokers = brokers.iter().zip(&report.apis).map(|(broker, apis)| {
        json!({
            "id": broker.id,
            "host": broker.host,
            "port": broker.port,
            "rack": broker.rack,
            "controller": broker.id == *controller,
            "apis": apis.as_ref().map_or(Value::Null, |ranges| api_map(ranges)),
            "error": apis.as_ref().err().map(ToString::to_string),
        })
    });
    let object = json!({
        "cluster_id": id,
        "controller": (*controller >= 0).then_some(*controller),
        "brokers": brokers.collect::<Vec<_>>(),
        "topics": topics.iter().map(json_topic).collect::<Vec<_>>(),
        "error": name_or_null(report.cluster.error),
    });
    format!("{object}\n")
}

fn api_map(ranges: &[Range]) -> Value {
    let entry = |api: &Api| {
        let range = ranges.iter().find(|range| range.key == api.key)?;
        Some((api.name.to_owned(), json!({ "min": range.min, "max": range.max, "used": api.used(*range) })))
    };
    Value::Object(APIS.iter().filter_map(entry).collect::<Map<_, _>>())
}

fn json_topic(topic: &Topic) -> Value {
    let partition = |p: &Partition| {
        json!({
            "partition": p.index,
            "leader": p.leader,
            "leader_epoch": p.leader_epoch,
            "replicas": p.replicas,
            "isr": p.isr,
            "offline": p.offline,
            "error": name_or_null(p.error),
        })
    };
    json!({
        "name": topic.name,
        "id": topic.id.map(topic_id),
        "internal": topic.internal,
        "partitions": topic.partitions.iter().map(partition).collect::<Vec<_>>(),
        "error": name_or_null(topic.error),
    })
}

fn name_or_null(code: i16) -> Option<String> {
    (code != 0).then(|| error(code))
}

/// As Kafka writes it: Base64 for URLs, without padding.
fn topic_id(id: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(id);
    // 21 digits of six bits, and the last two bits with four zeros behind them.
    let digit = |at: u32| if at < 21 { bits >> (122 - 6 * at) } else { bits << 4 } & 0x3f;
    (0..22).map(|at| char::from(DIGITS[digit(at) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_those_of_kafkas_tools() {
        assert_eq!(topic_id([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(topic_id([0xff; 16]), "_____________________w");
        let id = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10];
        assert_eq!(topic_id(id), "ASNFZ4mrze_-3LqYdlQyEA");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        assert_eq!(table(&rows), "A     B\nlong  x\n");
    }
}
