//! The table against Kafka's own list of properties, and every property against its setting.

use std::collections::HashMap;

use super::*;
use crate::config::setters::ACKS;
use crate::config::table::{Deed, TABLE};
use crate::error::ConfigError;
use crate::{Compression, MetadataRecoveryStrategy, OnGap, Partitioner};

/// Read from Kafka's `ProducerConfig` class at run time.
const KAFKAS: &str = include_str!("../../../docs/reference/producer_config.json");

type Read<T> = fn(&Builder) -> T;

fn kafkas() -> Vec<serde_json::Value> {
    serde_json::from_str(KAFKAS).unwrap()
}

fn set_one(name: &str, value: &str) -> Result<Builder, ConfigError> {
    Builder::new().property(name, value)
}

fn refused(name: &str, value: &str) -> String {
    set_one(name, value).expect_err(&format!("{name}={value}")).to_string()
}

/// The warnings of a property, as text.
fn warned(name: &str, value: &str) -> Vec<String> {
    set_one(name, value).unwrap().warnings().iter().map(ToString::to_string).collect()
}

fn key(name: &str) -> &'static ConfigKey {
    keys().find(|key| key.name == name).unwrap_or_else(|| panic!("{name} has no row"))
}

#[test]
fn every_property_of_kafka_has_a_row_with_its_type_default_and_range() {
    let types: HashMap<_, _> = [("STRING", ConfigType::Text), ("LIST", ConfigType::List), ("CLASS", ConfigType::Class)]
        .into_iter()
        .chain([("BOOLEAN", ConfigType::Boolean), ("SHORT", ConfigType::Short), ("INT", ConfigType::Int)])
        .chain([("LONG", ConfigType::Long), ("DOUBLE", ConfigType::Double), ("PASSWORD", ConfigType::Password)])
        .collect();
    let all = kafkas();
    assert_eq!(all.len(), 120);
    for kafkas in &all {
        let text = |field: &str| kafkas[field].as_str().unwrap();
        let key = key(text("name"));
        assert_eq!(key.kind, types[text("type")], "{}", key.name);
        assert_eq!(key.valid.to_string(), text("valid"), "{}", key.name);
        let default = text("default");
        let expected = match key.kind {
            _ if ["null", "(required)"].contains(&default) => None,
            ConfigType::List => Some(default.trim_matches(['[', ']']).replace(", ", ",")),
            ConfigType::Class => Some(default.trim_start_matches("class ").to_owned()),
            _ => Some(default.to_owned()),
        };
        assert_eq!(key.default.map(str::to_owned), expected, "{}", key.name);
    }
}

#[test]
fn kafkas_defaults_are_accepted_in_silence() {
    for key in keys().filter(|key| !matches!(key.support, Support::Alias(_))) {
        let Some(default) = key.default else { continue };
        assert_eq!(warned(key.name, default), [""; 0], "{}={default}", key.name);
    }
    // All at once, as a tool writes them that dumps a configuration.
    let all = kafkas();
    let pairs = all.iter().filter_map(|k| Some((k["name"].as_str()?, key(k["name"].as_str()?).default?)));
    let builder = Builder::new().bootstrap_servers("a:1").properties(pairs).unwrap();
    assert_eq!(builder.settle().unwrap().0.warnings(), []);
}

/// Values that a property of this type and range does not take.
fn illegal(key: &ConfigKey) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    match key.kind {
        ConfigType::Boolean => values.extend(["yes", "1", ""].map(Into::into)),
        ConfigType::Short => values.extend(["x", "", "1.5", "32768", "-32769"].map(Into::into)),
        ConfigType::Int => values.extend(["x", "", "1.5", "2147483648", "-2147483649"].map(Into::into)),
        ConfigType::Long => values.extend(["x", "", "1.5", "9223372036854775808"].map(Into::into)),
        ConfigType::Double => values.extend(["x", "", "NaN", "inf"].map(Into::into)),
        _ => {}
    }
    match key.valid {
        Valid::Any => {}
        Valid::NotEmpty => values.push(String::new()),
        Valid::AtLeast(min) => values.push((min - 1).to_string()),
        Valid::Between(min, max) => values.extend([min - 1, max + 1].map(|n| n.to_string())),
        Valid::BetweenOr(min, max, _) => values.extend([min - 1, max + 1].map(|n| n.to_string())),
        Valid::Decimal(min, max) => values.extend([min - 0.01, max + 0.01].map(|n| n.to_string())),
        Valid::OneOf(words) => values.extend(["bogus".to_owned(), words[0].to_owned() + "x", String::new()]),
        Valid::OneOfAnyCase(_) => values.extend(["bogus", ""].map(Into::into)),
    }
    values
}

#[test]
fn every_illegal_value_is_refused_by_name_with_the_range() {
    let mut refusals = 0;
    for key in keys() {
        for value in illegal(key) {
            let error = set_one(key.name, &value).expect_err(&format!("{}={value}", key.name));
            let ConfigError::Invalid { name, value: shown, expected } = &error else { panic!("{error}") };
            assert_eq!((name.as_str(), shown.as_str()), (key.name, value.as_str()));
            let range = match key.valid {
                Valid::AtLeast(min) | Valid::Between(min, _) | Valid::BetweenOr(min, ..) => min.to_string(),
                Valid::Decimal(min, _) => format!("{min:?}"),
                Valid::OneOf(words) | Valid::OneOfAnyCase(words) => words[0].to_owned(),
                _ => String::new(),
            };
            assert!(expected.contains(&range), "{error}");
            refusals += 1;
        }
    }
    assert!(refusals > 300, "{refusals}");
    assert_eq!(refused("acks", "2"), "acks: expected all, -1, 0 or 1, not \"2\"");
    assert_eq!(
        refused("compression.gzip.level", "10"),
        "compression.gzip.level: expected a whole number from 1 to 9, or -1, not \"10\""
    );
    // Where klamm takes less than Kafka, it says so the same way.
    assert!(refused("max.in.flight.requests.per.connection", "6").contains("from 1 to 5"));
    assert!(refused("max.request.size", "0").contains("from 1 to 104857600"));
    assert!(refused("request.timeout.ms", "0").contains("from 1 to 2147483647"));
}

#[test]
fn rows_are_unique_documented_and_consistent() {
    let mut names = std::collections::HashSet::new();
    for key in keys() {
        assert!(names.insert(key.name), "{} twice", key.name);
        assert!(key.doc.ends_with('.') && key.doc.len() < 110, "{}: {}", key.name, key.doc);
        if let Support::Alias(of) = key.support {
            assert!(keys().any(|other| other.name == of), "{}", key.name);
        }
    }
    for entry in TABLE {
        let Deed::Set(setter) = entry.deed else { continue };
        // What a row promises as legal must not be refused for its form.
        let some = match (entry.key.valid, entry.key.kind) {
            (Valid::OneOf(words) | Valid::OneOfAnyCase(words), _) => words[0],
            (_, ConfigType::Boolean) => "false",
            (_, ConfigType::Int | ConfigType::Long) => "3",
            _ => "",
        };
        let outcome = setter(Builder::new(), some);
        assert!(outcome.is_ok() || entry.key.name == "security.protocol", "{}", entry.key.name);
    }
}

#[test]
fn every_number_reaches_its_setting() {
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
        ("metrics.num.samples", |b| b.sampling.num_samples.into()),
        ("metrics.sample.window.ms", |b| b.sampling.window_ms.into()),
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
fn booleans_and_words_reach_their_settings() {
    let booleans: &[(&str, Read<bool>)] = &[
        ("allow.auto.create.topics", |b| b.core.allow_auto_create_topics),
        ("partitioner.adaptive.partitioning.enable", |b| b.core.partitioner_adaptive_partitioning_enable),
        ("partitioner.ignore.keys", |b| b.core.partitioner_ignore_keys),
        ("socket.keepalive.enable", |b| b.socket.keepalive),
    ];
    for (name, read) in booleans {
        assert!(read(&set_one(name, "TRUE").unwrap()), "{name}");
        assert!(!read(&set_one(name, "false").unwrap()), "{name}");
    }
    for (value, acks) in ACKS {
        assert_eq!(set_one("acks", value).unwrap().core.acks, *acks);
    }
    assert_eq!(set_one("client.id", "me").unwrap().core.client_id.as_str(), "me");
    assert_eq!(set_one("client.id", "").unwrap().core.client_id.as_str(), "klamm");
    #[cfg(feature = "lz4")]
    for (name, codec) in [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        assert_eq!(set_one("compression.type", name).unwrap().core.compression, codec);
    }
    assert!(set_one("compression.type", "brotli").is_err());
    let round = set_one("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner").unwrap();
    assert!(matches!(round.core.partitioner, Partitioner::RoundRobin));
    let partitioner = |name| set_one("partitioner.class", name).unwrap().core.partitioner;
    assert!(matches!(partitioner("default"), Partitioner::Default));
    assert!(matches!(partitioner("random"), Partitioner::Random));
    assert!(matches!(partitioner("consistent"), Partitioner::Consistent));
    assert!(matches!(partitioner("consistent_random"), Partitioner::ConsistentRandom));
    assert!(matches!(partitioner("murmur2"), Partitioner::Murmur2));
    assert!(matches!(partitioner("murmur2_random"), Partitioner::Murmur2Random));
    assert!(matches!(partitioner("fnv1a"), Partitioner::Fnv1a));
    assert!(matches!(partitioner("fnv1a_random"), Partitioner::Fnv1aRandom));
    let strategy = set_one("metadata.recovery.strategy", "NONE").unwrap().core.metadata_recovery_strategy;
    assert_eq!(strategy, MetadataRecoveryStrategy::None);
    assert_eq!(set_one("on.gap", "resend").unwrap().core.on_gap, OnGap::Resend);
    assert_eq!(set_one("connections.max.idle.ms", "-1").unwrap().core.connections_max_idle_ms, 0);
    assert_eq!(set_one("send.buffer.bytes", "-1").unwrap().socket.send_buffer, None);
    assert!(set_one("security.protocol", "plaintext").is_ok());
}

#[test]
fn javas_word_for_never_is_a_long_time() {
    let most = i64::MAX.to_string();
    for name in ["linger.ms", "metadata.max.age.ms", "connections.max.idle.ms", "max.block.ms", "retry.backoff.ms"] {
        assert!(set_one(name, &most).is_ok(), "{name}");
    }
    let forever = set_one("linger.ms", &most).unwrap().bootstrap_servers("a:1").settle().unwrap().0;
    assert_eq!((forever.core.linger_ms, forever.core.delivery_timeout_ms), (i32::MAX as u32, i32::MAX as u32));
}

#[test]
fn librdkafkas_names_mean_the_same() {
    let numbers: &[(&str, &str, Read<u64>, u64)] = &[
        ("message.timeout.ms", "5000", |b| b.delivery_timeout_ms.unwrap().into(), 5000),
        ("message.timeout.ms", "0", |b| b.delivery_timeout_ms.unwrap().into(), i32::MAX as u64),
        ("queue.buffering.max.ms", "7.9", |b| b.core.linger_ms.into(), 7),
        ("queue.buffering.max.kbytes", "2048", |b| b.buffer_memory as u64, 2 << 20),
        ("message.max.bytes", "5000", |b| b.core.max_request_size.into(), 5000),
        ("message.send.max.retries", "4", |b| b.core.retries.into(), 4),
        ("socket.timeout.ms", "50", |b| b.core.request_timeout_ms.into(), 50),
        ("max.in.flight", "4", |b| b.core.max_in_flight_requests_per_connection.into(), 4),
        ("max.in.flight", "1000000", |b| b.core.max_in_flight_requests_per_connection.into(), 5),
        ("topic.metadata.refresh.interval.ms", "-1", |b| b.core.metadata_max_age_ms.into(), i32::MAX as u64),
        ("socket.send.buffer.bytes", "9", |b| b.socket.send_buffer.unwrap() as u64, 9),
        ("socket.receive.buffer.bytes", "0", |b| b.socket.receive_buffer.map_or(1, |_| 0), 1),
    ];
    for (name, value, read, expected) in numbers {
        assert_eq!(read(&set_one(name, value).unwrap()), *expected, "{name}={value}");
    }
    assert_eq!(set_one("metadata.broker.list", "a:1").unwrap().core.bootstrap_servers.as_str(), "a:1");
    assert_eq!(set_one("request.required.acks", "1").unwrap().core.acks, crate::Acks::Leader);
    // Errors are in the words of the one who wrote them.
    assert!(refused("request.required.acks", "7").starts_with("request.required.acks: expected all, "));
}

#[test]
fn unknown_names_are_warned_of_with_a_guess() {
    assert_eq!(warned("linger.msec", "1"), ["unknown property linger.msec: did you mean linger.ms?"]);
    assert_eq!(warned("LINGER_MS", "1"), ["unknown property LINGER_MS: did you mean linger.ms?"]);
    assert_eq!(
        warned("bootstrap.server", "a:1"),
        ["unknown property bootstrap.server: did you mean bootstrap.servers?"]
    );
    assert_eq!(warned("group.id", "1"), ["unknown property group.id"]);
    let strict = Builder::new().bootstrap_servers("a:1").property("acsk", "1").unwrap().refuse_unknown(true);
    assert_eq!(strict.settle().unwrap_err().to_string(), "unknown property acsk: did you mean acks?");
    let placed = Builder::new().properties_text("bootstrap.servers=a:1\nacsk=1").unwrap().refuse_unknown(true);
    assert_eq!(placed.settle().unwrap_err().to_string(), "line 2: unknown property acsk: did you mean acks?");
}

#[test]
fn what_has_no_effect_is_told() {
    assert_eq!(
        warned("metrics.recording.level", "DEBUG"),
        ["metrics.recording.level has no effect: Producer::metrics has them all"]
    );
    for (name, value) in [("client.rack", "r1"), ("metric.reporters", "com.example.Mine")] {
        assert_eq!(warned(name, value).len(), 1, "{name}");
    }
    for (name, value) in [
        ("key.serializer", "org.apache.kafka.common.serialization.StringSerializer"),
        ("value.serializer", "x"),
        ("enable.metrics.push", "false"),
        ("metadata.cluster.check.enable", "False"),
    ] {
        assert_eq!(warned(name, value), [""; 0], "{name}");
    }
}

#[test]
fn what_cannot_be_is_said() {
    for (name, value) in [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.oauthbearer.scope", "x"),
        ("ssl.truststore.location", "x"),
        ("transactional.id", "x"),
        ("enable.ssl.certificate.verification", "false"),
    ] {
        let text = refused(name, value);
        assert!(text.starts_with(name) && text.contains("not implemented yet"), "{text}");
    }
    for (name, value) in [
        ("config.providers", "file"),
        ("interceptor.classes", "com.example.Mine"),
        ("sasl.kerberos.service.name", "kafka"),
        ("ssl.provider", "x"),
    ] {
        let text = refused(name, value);
        assert!(text.starts_with(name) && text.contains("klamm does not have: "), "{text}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let secrets: Vec<_> = keys().filter(|key| key.is_secret()).map(|key| key.name).collect();
    for name in ["sasl.jaas.config", "ssl.keystore.key", "ssl.key.password", "sasl.password", "ssl.key.pem"] {
        assert!(secrets.contains(&name), "{name}");
    }
    for name in secrets {
        assert!(is_secret(name));
        let error = set_one(name, "hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let unknown = set_one("my.password", "hunter2").unwrap();
    assert!(!format!("{unknown:?} {:?}", unknown.warnings()).contains("hunter2"));
    assert!(is_secret("my.password") && !is_secret("linger.ms"));
}

#[test]
fn texts_and_files_name_the_line() {
    let text = "# brokers\nbootstrap.servers = a:1,\\\n    b:2\nlinger.ms: 7\n\nclient.rack=r\nbogus=1\n";
    let builder = Builder::new().properties_text(text).unwrap();
    assert_eq!((builder.core.bootstrap_servers.as_str(), builder.core.linger_ms), ("a:1,b:2", 7));
    let warnings: Vec<_> = builder.warnings().iter().map(ToString::to_string).collect();
    assert!(warnings[0].starts_with("line 6: client.rack has no effect: "), "{warnings:?}");
    assert_eq!(warnings[1], "line 7: unknown property bogus");
    let error = |text: &str| Builder::new().properties_text(text).unwrap_err().to_string();
    assert!(error("a=b\nlinger.ms=x").starts_with("line 2: linger.ms: expected a whole number"));
    assert_eq!(error("\n\nclient.id=\\u12"), "line 3: \\u must be followed by four hexadecimal digits");

    let path = std::env::temp_dir().join(format!("klamm-config-{}.properties", std::process::id()));
    std::fs::write(&path, "client.id=gr\\u00fcn\nacks=7").unwrap();
    let error = Builder::new().properties_file(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}, line 2: acks: expected all, -1, 0 or 1, not \"7\"", path.display()));
    std::fs::write(&path, "client.id=gr\\u00fcn").unwrap();
    assert_eq!(Builder::new().properties_file(&path).unwrap().core.client_id.as_str(), "grün");
    std::fs::remove_file(&path).unwrap();
    let gone = Builder::new().properties_file(&path).unwrap_err().to_string();
    assert!(gone.starts_with(&format!("cannot read {}: ", path.display())), "{gone}");
}

#[test]
fn maps_are_taken() {
    let map = HashMap::from([("linger.ms".to_owned(), "9".to_owned()), ("acks".to_owned(), "1".to_owned())]);
    assert_eq!(Builder::new().properties(&map).unwrap().core.linger_ms, 9);
    assert_eq!(Builder::new().properties(map).unwrap().core.acks, crate::Acks::Leader);
}

#[test]
fn levels_have_kafkas_ranges() {
    let build = |name, value| set_one(name, value).and_then(|b| b.bootstrap_servers("a:1").settle());
    for (name, legal, illegal) in [
        ("compression.gzip.level", ["-1", "1", "9"], ["-2", "0", "10"]),
        ("compression.lz4.level", ["1", "9", "17"], ["0", "18", "-1"]),
        ("compression.zstd.level", ["-131072", "3", "22"], ["-131073", "23", "x"]),
    ] {
        for value in legal {
            assert!(build(name, value).is_ok(), "{name}={value}");
        }
        for value in illegal {
            let error = build(name, value).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains(value), "{error}");
        }
    }
    let (set, _) = build("compression.zstd.level", "-7").unwrap();
    assert_eq!((set.levels.gzip, set.levels.lz4, set.levels.zstd), (-1, 9, -7));
    assert_eq!(set_one("compression.gzip.level", "4").unwrap().levels.gzip, 4);
    assert_eq!(set_one("compression.lz4.level", "4").unwrap().levels.lz4, 4);
}

/// A codec that was left out of the build is refused by the name of its feature.
#[test]
fn codecs_that_the_build_does_not_have_are_named() {
    for (name, has) in [
        ("gzip", cfg!(feature = "gzip")),
        ("snappy", cfg!(feature = "snappy")),
        ("lz4", cfg!(feature = "lz4")),
        ("zstd", cfg!(feature = "zstd")),
    ] {
        match set_one("compression.type", name).and_then(|b| b.bootstrap_servers("a:1").settle()) {
            Ok(_) => assert!(has),
            Err(error) => {
                let text = error.to_string();
                assert!(!has && text.contains(&format!("compression.type={name}")), "{text}");
                assert!(text.contains(&format!("feature `{name}`")), "{text}");
            }
        }
    }
}
