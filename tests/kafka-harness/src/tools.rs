//! Kafka's command line tools by their short names, in the class where each version keeps them.

use crate::dist::Version;

/// How a tool learns where the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bootstrap {
    /// `--bootstrap-server ADDRESS`.
    Flag,
    /// `--broker-list ADDRESS`: what produces, before 2.5, and GetOffsetShell before 3.0.
    BrokerList,
    /// `--producer-props bootstrap.servers=ADDRESS`: ProducerPerformance before 4.2.
    ProducerProps,
    /// The first argument: our own Java programs.
    First,
    /// It reads files, not a cluster.
    None,
}

/// A tool that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// A Java class, or the name of one of our own programs in `tests/java` (ending in `.java`).
    pub(crate) class: String,
    /// How it is told the address.
    pub(crate) bootstrap: Bootstrap,
}

/// The short names, for a help text.
pub const TOOL_NAMES: [&str; 20] = [
    "topics",
    "console-consumer",
    "console-producer",
    "producer-perf-test",
    "configs",
    "get-offsets",
    "dump-log",
    "verifiable-consumer",
    "verifiable-producer",
    "consumer-groups",
    "acls",
    "broker-api-versions",
    "leader-election",
    "log-dirs",
    "reassign-partitions",
    "transactions",
    "metadata-quorum",
    "storage",
    "read-back",
    "partitions",
];

/// Finds a tool by its short name (with or without `kafka-` and `.sh`) or by a full class name.
///
/// Classes moved from `kafka.admin` and `kafka.tools` (Scala) to `org.apache.kafka.tools` between 3.3 and 4.3.
pub(crate) fn find(name: &str, version: Version) -> Option<Tool> {
    let short = name.strip_prefix("kafka-").unwrap_or(name);
    let short = short.strip_suffix(".sh").unwrap_or(short);
    let v35 = version >= Version(3, 5, 0);
    let v40 = version >= Version(4, 0, 0);
    let tools = |new: bool, class: &str| {
        if new { format!("org.apache.kafka.tools.{class}") } else { format!("kafka.tools.{class}") }
    };
    let admin = |new: bool, class: &str| {
        if new { format!("org.apache.kafka.tools.{class}") } else { format!("kafka.admin.{class}") }
    };
    let mut bootstrap = Bootstrap::Flag;
    let producers = if version < Version(2, 5, 0) { Bootstrap::BrokerList } else { Bootstrap::Flag };
    let class = match short {
        "topics" => admin(v35, "TopicCommand"),
        "console-consumer" if v35 => "org.apache.kafka.tools.consumer.ConsoleConsumer".into(),
        "console-consumer" => "kafka.tools.ConsoleConsumer".into(),
        "console-producer" => {
            bootstrap = producers;
            tools(v40, "ConsoleProducer")
        }
        "producer-perf-test" => {
            if version < Version(4, 2, 0) {
                bootstrap = Bootstrap::ProducerProps;
            }
            tools(true, "ProducerPerformance")
        }
        "configs" => admin(false, "ConfigCommand"),
        "get-offsets" => {
            if version < Version(3, 0, 0) {
                bootstrap = Bootstrap::BrokerList;
            }
            tools(v35, "GetOffsetShell")
        }
        "dump-log" => {
            bootstrap = Bootstrap::None;
            tools(version >= Version(4, 3, 0), "DumpLogSegments")
        }
        "verifiable-consumer" => tools(true, "VerifiableConsumer"),
        "verifiable-producer" => {
            bootstrap = producers;
            tools(true, "VerifiableProducer")
        }
        "consumer-groups" if v40 => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand".into(),
        "consumer-groups" => "kafka.admin.ConsumerGroupCommand".into(),
        "acls" => admin(v40, "AclCommand"),
        "broker-api-versions" => admin(v40, "BrokerApiVersionsCommand"),
        "leader-election" => admin(v35, "LeaderElectionCommand"),
        "log-dirs" => admin(v35, "LogDirsCommand"),
        "reassign-partitions" if v35 => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand".into(),
        "reassign-partitions" => "kafka.admin.ReassignPartitionsCommand".into(),
        "transactions" => tools(true, "TransactionsCommand"),
        "metadata-quorum" => admin(v35, "MetadataQuorumCommand"),
        "storage" => {
            bootstrap = Bootstrap::None;
            "kafka.tools.StorageTool".into()
        }
        "read-back" => {
            bootstrap = Bootstrap::First;
            "ReadBack.java".into()
        }
        "partitions" => {
            bootstrap = Bootstrap::None;
            "Partitions.java".into()
        }
        class if class.contains('.') => return Some(by_class(class, version)),
        _ => return None,
    };
    Some(Tool { class, bootstrap })
}

/// A full class name; told the address like the tool of that name, and not at all when we do not know it.
fn by_class(class: &str, version: Version) -> Tool {
    let known = TOOL_NAMES.iter().filter_map(|name| find(name, version)).find(|tool| tool.class == class);
    known.unwrap_or_else(|| Tool { class: class.into(), bootstrap: Bootstrap::None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_version() {
        let class = |name, version| find(name, version).map(|tool| tool.class);
        assert_eq!(class("topics", Version(3, 3, 2)).as_deref(), Some("kafka.admin.TopicCommand"));
        assert_eq!(class("kafka-topics.sh", Version(4, 3, 1)).as_deref(), Some("org.apache.kafka.tools.TopicCommand"));
        assert_eq!(class("dump-log", Version(4, 2, 0)).as_deref(), Some("kafka.tools.DumpLogSegments"));
        assert_eq!(class("no-such-tool", Version(4, 3, 1)), None);
    }

    #[test]
    fn every_short_name_is_known() {
        for name in TOOL_NAMES {
            assert!(find(name, Version(4, 3, 1)).is_some(), "{name}");
        }
    }

    #[test]
    fn a_known_class_is_told_the_address() {
        let tool = find("org.apache.kafka.tools.TopicCommand", Version(4, 3, 1));
        assert_eq!(tool.map(|tool| tool.bootstrap), Some(Bootstrap::Flag));
        let tool = find("com.example.Mine", Version(4, 3, 1));
        assert_eq!(tool.map(|tool| tool.bootstrap), Some(Bootstrap::None));
    }
}
