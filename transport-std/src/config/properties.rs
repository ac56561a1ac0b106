//! Kafka's own property names and value syntax.

use std::str::FromStr;

use crate::config::builder::Builder;
use crate::config::names;
use crate::error::ConfigError;
use crate::{Acks, Compression, MetadataRecoveryStrategy, OnGap, Partitioner};

/// Why a value was refused.
enum Refused {
    /// What would be legal.
    Expected(&'static str),
    /// What works today instead.
    NotYet(&'static str),
}

type Setter = fn(Builder, &str) -> Result<Builder, Refused>;

/// Every property that does something.
const SETTERS: &[(&str, Setter)] = &[
    ("acks", |b, v| Ok(b.acks(choice(v, ACKS, "all, -1, 0 or 1")?))),
    ("allow.auto.create.topics", |b, v| Ok(b.allow_auto_create_topics(boolean(v)?))),
    ("batch.size", |b, v| Ok(b.batch_size(number(v)?))),
    ("bootstrap.servers", |b, v| Ok(b.bootstrap_servers(v))),
    ("broker.share.percent", |b, v| Ok(b.broker_share_percent(number(v)?))),
    ("buffer.memory", |b, v| Ok(b.buffer_memory(number(v)?))),
    ("client.dns.lookup", |b, v| match v {
        "use_all_dns_ips" => Ok(b),
        "resolve_canonical_bootstrap_servers_only" => Err(Refused::NotYet("all addresses of a name are tried")),
        _ => Err(Refused::Expected("use_all_dns_ips")),
    }),
    ("client.id", |b, v| Ok(b.client_id(v))),
    ("compression.type", |b, v| Ok(b.compression(compression(v)?))),
    ("connections.max.idle.ms", |b, v| {
        // Java's word for never.
        Ok(b.connections_max_idle_ms(if v == "-1" { 0 } else { number(v)? }))
    }),
    ("delivery.timeout.ms", |b, v| Ok(b.delivery_timeout_ms(number(v)?))),
    ("enable.idempotence", |b, v| Ok(b.enable_idempotence(boolean(v)?))),
    ("enable.metrics.push", |b, v| if boolean(v)? { Err(Refused::NotYet("klamm pushes no metrics")) } else { Ok(b) }),
    ("linger.ms", |b, v| Ok(b.linger_ms(number(v)?))),
    ("max.block.ms", |b, v| Ok(b.max_block_ms(number(v)?))),
    ("max.in.flight.requests.per.connection", |b, v| Ok(b.max_in_flight_requests_per_connection(number(v)?))),
    ("max.request.size", |b, v| Ok(b.max_request_size(number(v)?))),
    ("metadata.max.age.ms", |b, v| Ok(b.metadata_max_age_ms(number(v)?))),
    ("metadata.recovery.rebootstrap.trigger.ms", |b, v| Ok(b.metadata_recovery_rebootstrap_trigger_ms(number(v)?))),
    ("metadata.recovery.strategy", |b, v| {
        let strategy = choice(&v.to_ascii_lowercase(), RECOVERY, "rebootstrap or none")?;
        Ok(b.metadata_recovery_strategy(strategy))
    }),
    ("on.gap", |b, v| Ok(b.on_gap(choice(v, &[("fail", OnGap::Fail), ("resend", OnGap::Resend)], "fail or resend")?))),
    ("partitioner.adaptive.partitioning.enable", |b, v| Ok(b.partitioner_adaptive_partitioning_enable(boolean(v)?))),
    ("partitioner.availability.timeout.ms", |b, v| Ok(b.partitioner_availability_timeout_ms(number(v)?))),
    ("partitioner.class", |b, v| Ok(b.partitioner(partitioner(v)?))),
    ("partitioner.ignore.keys", |b, v| Ok(b.partitioner_ignore_keys(boolean(v)?))),
    ("receive.buffer.bytes", |b, v| Ok(b.receive_buffer_bytes(size_or_system(v)?))),
    ("reconnect.backoff.max.ms", |b, v| Ok(b.reconnect_backoff_max_ms(number(v)?))),
    ("reconnect.backoff.ms", |b, v| Ok(b.reconnect_backoff_ms(number(v)?))),
    ("request.timeout.ms", |b, v| Ok(b.request_timeout_ms(number(v)?))),
    ("retries", |b, v| Ok(b.retries(number(v)?))),
    ("retry.backoff.max.ms", |b, v| Ok(b.retry_backoff_max_ms(number(v)?))),
    ("retry.backoff.ms", |b, v| Ok(b.retry_backoff_ms(number(v)?))),
    ("security.protocol", |b, v| match v.to_ascii_uppercase().as_str() {
        "PLAINTEXT" => Ok(b),
        "SSL" | "SASL_SSL" | "SASL_PLAINTEXT" => Err(Refused::NotYet("only PLAINTEXT works today")),
        _ => Err(Refused::Expected("PLAINTEXT")),
    }),
    ("send.buffer.bytes", |b, v| Ok(b.send_buffer_bytes(size_or_system(v)?))),
    ("socket.connection.setup.timeout.max.ms", |b, v| Ok(b.socket_connection_setup_timeout_max_ms(number(v)?))),
    ("socket.connection.setup.timeout.ms", |b, v| Ok(b.socket_connection_setup_timeout_ms(number(v)?))),
    ("socket.keepalive.enable", |b, v| Ok(b.socket_keepalive_enable(boolean(v)?))),
];

/// Part of every Java configuration, and without meaning where records are bytes already.
const IGNORED: &[&str] = &["key.serializer", "value.serializer"];

const ACKS: &[(&str, Acks)] = &[("all", Acks::All), ("-1", Acks::All), ("0", Acks::None), ("1", Acks::Leader)];
const RECOVERY: &[(&str, MetadataRecoveryStrategy)] =
    &[("rebootstrap", MetadataRecoveryStrategy::Rebootstrap), ("none", MetadataRecoveryStrategy::None)];

pub(super) fn set(builder: Builder, name: &str, value: &str) -> Result<Builder, ConfigError> {
    let (name, value) = (name.trim(), value.trim());
    if let Some((_, setter)) = SETTERS.iter().find(|(known, _)| *known == name) {
        return setter(builder, value).map_err(|refused| match refused {
            Refused::Expected(expected) => {
                ConfigError::Invalid { name: name.to_owned(), value: value.to_owned(), expected }
            }
            Refused::NotYet(instead) => ConfigError::NotYet { name: format!("{name}={value}"), instead },
        });
    }
    if IGNORED.contains(&name) {
        return Ok(builder);
    }
    let exact = names::NOT_YET.iter().find(|(known, _)| *known == name);
    let prefix = || names::NOT_YET_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
    if let Some((_, instead)) = exact.or_else(prefix) {
        return Err(ConfigError::NotYet { name: name.to_owned(), instead });
    }
    if names::NO_COUNTERPART.contains(&name) {
        return Err(ConfigError::NoCounterpart { name: name.to_owned() });
    }
    let suggestion = names::nearest(name, SETTERS.iter().map(|(known, _)| *known));
    Err(ConfigError::Unknown { name: name.to_owned(), suggestion })
}

fn choice<T: Copy>(value: &str, choices: &[(&str, T)], expected: &'static str) -> Result<T, Refused> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, choice)| *choice).ok_or(Refused::Expected(expected))
}

fn boolean(value: &str) -> Result<bool, Refused> {
    choice(&value.to_ascii_lowercase(), &[("true", true), ("false", false)], "true or false")
}

fn number<T: FromStr>(value: &str) -> Result<T, Refused> {
    value.parse().map_err(|_| Refused::Expected("a whole number that is not negative, within the property's range"))
}

/// A size in bytes; −1 leaves it to the operating system.
fn size_or_system(value: &str) -> Result<Option<usize>, Refused> {
    if value == "-1" { Ok(None) } else { number(value).map(Some) }
}

fn compression(value: &str) -> Result<Compression, Refused> {
    match value {
        "none" | "uncompressed" => Ok(Compression::None),
        #[cfg(feature = "lz4")]
        "lz4" => Ok(Compression::Lz4),
        #[cfg(not(feature = "lz4"))]
        "lz4" => Err(Refused::NotYet("enable klamm's feature lz4")),
        "gzip" | "snappy" | "zstd" => Err(Refused::NotYet("use lz4 or none")),
        _ => Err(Refused::Expected("none or lz4")),
    }
}

fn partitioner(value: &str) -> Result<Partitioner, Refused> {
    // Java's class names, with or without their package, and librdkafka's words for the same.
    match value.rsplit_once('.').map_or(value, |(_, class)| class) {
        "" | "null" | "default" | "DefaultPartitioner" | "murmur2" | "murmur2_random" => Ok(Partitioner::Default),
        "RoundRobinPartitioner" | "round_robin" => Ok(Partitioner::RoundRobin),
        "UniformStickyPartitioner" => Err(Refused::NotYet("set partitioner.ignore.keys=true, which is the same")),
        "random" | "consistent" | "consistent_random" | "fnv1a" | "fnv1a_random" => {
            Err(Refused::NotYet("pass a function to Builder::partitioner"))
        }
        _ => Err(Refused::Expected(
            "murmur2, round_robin, or one of Java's own partitioner classes (for others, Builder::partitioner takes a function)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<T> = fn(&Builder) -> T;

    fn set_one(name: &str, value: &str) -> Result<Builder, ConfigError> {
        Builder::new().property(name, value)
    }

    #[test]
    fn tables_are_sorted_and_disjoint() {
        assert!(SETTERS.is_sorted_by_key(|(name, _)| *name));
        for (name, _) in SETTERS {
            assert!(!IGNORED.contains(name) && !names::NO_COUNTERPART.contains(name));
            assert!(names::NOT_YET.iter().all(|(other, _)| other != name));
        }
        for (alias, meant) in names::ALIASES {
            assert!(SETTERS.iter().any(|(name, _)| name == meant), "{alias}");
        }
    }

    #[test]
    fn every_property_reaches_its_setting() {
        let numbers: &[(&str, Read<u64>)] = &[
            ("batch.size", |b| b.core.batch_size.into()),
            ("broker.share.percent", |b| b.core.broker_share_percent.into()),
            ("connections.max.idle.ms", |b| b.core.connections_max_idle_ms.into()),
            ("linger.ms", |b| b.core.linger_ms.into()),
            ("max.block.ms", |b| b.max_block_ms),
            ("max.in.flight.requests.per.connection", |b| b.core.max_in_flight_requests_per_connection.into()),
            ("max.request.size", |b| b.core.max_request_size.into()),
            ("metadata.max.age.ms", |b| b.core.metadata_max_age_ms.into()),
            ("metadata.recovery.rebootstrap.trigger.ms", |b| b.core.metadata_recovery_rebootstrap_trigger_ms.into()),
            ("partitioner.availability.timeout.ms", |b| b.core.partitioner_availability_timeout_ms.into()),
            ("request.timeout.ms", |b| b.core.request_timeout_ms.into()),
            ("retries", |b| b.core.retries.into()),
            ("retry.backoff.max.ms", |b| b.core.retry_backoff_max_ms.into()),
            ("retry.backoff.ms", |b| b.core.retry_backoff_ms.into()),
            ("socket.connection.setup.timeout.max.ms", |b| b.core.socket_connection_setup_timeout_max_ms.into()),
            ("socket.connection.setup.timeout.ms", |b| b.core.socket_connection_setup_timeout_ms.into()),
            ("receive.buffer.bytes", |b| b.socket.receive_buffer.unwrap_or(0) as u64),
            ("send.buffer.bytes", |b| b.socket.send_buffer.unwrap_or(0) as u64),
        ];
        for (name, read) in numbers {
            assert_eq!(read(&set_one(name, " 3 ").unwrap()), 3, "{name}");
            assert!(matches!(set_one(name, "x"), Err(ConfigError::Invalid { .. })), "{name}");
            assert!(matches!(set_one(name, "-2"), Err(ConfigError::Invalid { .. })), "{name}");
        }
        let booleans: &[(&str, Read<bool>)] = &[
            ("allow.auto.create.topics", |b| b.core.allow_auto_create_topics),
            ("partitioner.adaptive.partitioning.enable", |b| b.core.partitioner_adaptive_partitioning_enable),
            ("partitioner.ignore.keys", |b| b.core.partitioner_ignore_keys),
            ("socket.keepalive.enable", |b| b.socket.keepalive),
        ];
        for (name, read) in booleans {
            assert!(read(&set_one(name, "TRUE").unwrap()), "{name}");
            assert!(!read(&set_one(name, "false").unwrap()), "{name}");
            assert!(set_one(name, "yes").is_err(), "{name}");
        }
        // Settings that are settled together.
        let all = [("bootstrap.servers", "a:1"), ("buffer.memory", "1048576"), ("delivery.timeout.ms", "70000")];
        let rest = [("reconnect.backoff.ms", "7"), ("reconnect.backoff.max.ms", "8"), ("enable.idempotence", "false")];
        let (settled, limits) = Builder::new().properties(all).unwrap().properties(rest).unwrap().settle().unwrap();
        assert_eq!((settled.core.bootstrap_servers.as_str(), limits.buffer_memory), ("a:1", 1 << 20));
        assert_eq!((settled.core.delivery_timeout_ms, settled.core.enable_idempotence), (70_000, false));
        assert_eq!((settled.core.reconnect_backoff_ms, settled.core.reconnect_backoff_max_ms), (7, 8));
    }

    #[test]
    fn words_are_kafkas() {
        for (value, acks) in ACKS {
            assert_eq!(set_one("acks", value).unwrap().core.acks, *acks);
        }
        assert!(set_one("acks", "2").is_err());
        assert_eq!(set_one("client.id", "me").unwrap().core.client_id.as_str(), "me");
        #[cfg(feature = "lz4")]
        assert_eq!(set_one("compression.type", "lz4").unwrap().core.compression, Compression::Lz4);
        assert_eq!(set_one("compression.type", "none").unwrap().core.compression, Compression::None);
        let round = set_one("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner").unwrap();
        assert!(matches!(round.core.partitioner, Partitioner::RoundRobin));
        assert!(matches!(set_one("partitioner.class", "murmur2").unwrap().core.partitioner, Partitioner::Default));
        let strategy = set_one("metadata.recovery.strategy", "NONE").unwrap().core.metadata_recovery_strategy;
        assert_eq!(strategy, MetadataRecoveryStrategy::None);
        assert_eq!(set_one("on.gap", "resend").unwrap().core.on_gap, OnGap::Resend);
        assert_eq!(set_one("connections.max.idle.ms", "-1").unwrap().core.connections_max_idle_ms, 0);
        assert_eq!(set_one("send.buffer.bytes", "-1").unwrap().socket.send_buffer, None);
        for (name, value) in [
            ("security.protocol", "plaintext"),
            ("client.dns.lookup", "use_all_dns_ips"),
            ("enable.metrics.push", "false"),
            ("key.serializer", "org.apache.kafka.common.serialization.StringSerializer"),
            ("value.serializer", "x"),
        ] {
            assert!(set_one(name, value).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let text = |name, value| set_one(name, value).unwrap_err().to_string();
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("ssl.truststore.location", "x"),
            ("transactional.id", "x"),
            ("compression.type", "zstd"),
            ("compression.type", "gzip"),
            ("compression.type", "snappy"),
            ("enable.metrics.push", "true"),
        ] {
            let text = text(name, value);
            assert!(text.starts_with(name) && text.contains("not implemented yet"), "{text}");
        }
        assert!(text("metric.reporters", "x").contains("does not have"));
        assert_eq!(text("linger.msec", "1"), "unknown property linger.msec: did you mean linger.ms?");
        assert_eq!(text("group.id", "1"), "unknown property group.id");
        assert_eq!(text("acks", "2"), "acks: expected all, -1, 0 or 1, not \"2\"");
        assert!(text("queue.buffering.max.ms", "1").contains("linger.ms"));
    }
}
