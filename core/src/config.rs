//! Settings, under Kafka's names, with Kafka's defaults.

use core::fmt;

use crate::TopicId;
use crate::error::ConfigError;
use crate::record::crc32c;
use crate::state::connection::MAX_IN_FLIGHT;

/// Text that a configuration owns or borrows.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Borrowed, for boards and statics.
    Borrowed(&'a str),
    /// Owned, where there is a heap.
    #[cfg(feature = "alloc")]
    Owned(alloc::string::String),
}

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            #[cfg(feature = "alloc")]
            Self::Owned(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text)
    }
}

#[cfg(feature = "alloc")]
impl From<alloc::string::String> for Text<'_> {
    fn from(text: alloc::string::String) -> Self {
        Self::Owned(text)
    }
}

/// `acks`: when a record counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Acks {
    /// `0`: once its bytes were written to the connection. There is no answer: offset −1, and the
    /// record may be lost without a word.
    None,
    /// `1`: once the partition leader appended it.
    Leader,
    /// `all` (`-1`): once every in-sync replica has it.
    #[default]
    All,
}

impl Acks {
    pub(crate) const fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// `compression.type`. Which of them a build can do is for its features to say; a producer with another
/// one is refused ([`ConfigError::Codec`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Compression {
    /// Records travel as they are.
    #[default]
    None = 0,
    /// Gzip, by a codec outside the core (feature `codecs`).
    Gzip = 1,
    /// Snappy in xerial's framing, by a codec outside the core (feature `codecs`).
    Snappy = 2,
    /// LZ4 frames: in place when a batch leaves, without memory of their own (feature `lz4`), or by a
    /// codec outside the core ([`Config::lz4_in_place`], feature `codecs`).
    Lz4 = 3,
    /// Zstandard, by a codec outside the core (feature `codecs`).
    Zstd = 4,
}

impl Compression {
    /// Kafka's name for it, as in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec's bits in a batch's attributes (PRODUCER a.2).
    #[cfg(any(feature = "lz4", feature = "codecs"))]
    pub(crate) const fn attributes(self) -> i16 {
        self as i16
    }
}

/// How a partition is chosen for a record that does not name one.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Partitioner {
    /// The Java client's default: murmur2 of the key; without a key the uniform sticky partitioner
    /// of KIP-794.
    #[default]
    Default,
    /// Every record to the next available partition, whatever its key.
    #[cfg(feature = "round-robin")]
    RoundRobin,
    /// The caller's function. A result outside `0..partitions` is refused as
    /// [`SendError::NoSuchPartition`](crate::SendError::NoSuchPartition).
    Custom(fn(&PartitionRequest<'_>) -> i32),
    /// librdkafka's `random`: any partition, whatever the key; one with a leader is preferred.
    #[cfg(feature = "librdkafka-partitioners")]
    Random,
    /// librdkafka's `consistent`: CRC-32 of the key; records without a key have that of an empty one,
    /// and so share a partition.
    #[cfg(feature = "librdkafka-partitioners")]
    Consistent,
    /// librdkafka's default, `consistent_random`: CRC-32 of the key; records without a key, or with an
    /// empty one, are spread by the uniform sticky partitioner.
    #[cfg(feature = "librdkafka-partitioners")]
    ConsistentRandom,
    /// librdkafka's `murmur2`: as [`Default`](Self::Default), but records without a key have the hash of
    /// an empty one, and so share a partition.
    #[cfg(feature = "librdkafka-partitioners")]
    Murmur2,
    /// librdkafka's `murmur2_random`: [`Default`](Self::Default) under another name, but it never ignores
    /// keys.
    #[cfg(feature = "librdkafka-partitioners")]
    Murmur2Random,
    /// librdkafka's `fnv1a`, as Sarama has it: FNV-1a of the key; records without a key have the hash of
    /// an empty one, and so share a partition.
    #[cfg(feature = "librdkafka-partitioners")]
    Fnv1a,
    /// librdkafka's `fnv1a_random`: FNV-1a of the key; records without a key are spread by the uniform
    /// sticky partitioner.
    #[cfg(feature = "librdkafka-partitioners")]
    Fnv1aRandom,
}

/// What a [`Partitioner::Custom`] function sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PartitionRequest<'r> {
    /// The topic.
    pub topic: &'r str,
    /// The record's key.
    pub key: Option<&'r [u8]>,
    /// The record's value.
    pub value: Option<&'r [u8]>,
    /// How many partitions the topic has, those without a leader included.
    pub partitions: u32,
    /// A random number, from the producer's seed.
    pub random: u32,
}

/// What to do with a batch whose fate is unknown when its sequence can no longer be used (klamm's
/// own setting; see `docs/decisions.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnGap {
    /// It fails with [`Fate::Unknown`](crate::Fate::Unknown): nothing is ever duplicated.
    #[default]
    Fail,
    /// It is sent again under a new epoch, as the Java client does: it can be duplicated.
    Resend,
}

/// `metadata.recovery.strategy` (KIP-899, KIP-1102).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MetadataRecoveryStrategy {
    /// When no known broker can be reached, start over from `bootstrap.servers`.
    #[default]
    Rebootstrap,
    /// Go on trying the known brokers.
    None,
}

/// The CRC-32C of `bytes`, continuing from `crc` (0 at the start).
pub type Crc32c = fn(crc: u32, bytes: &[u8]) -> u32;

/// The producer's settings. [`Config::new`] gives Kafka's defaults (as of 4.x); every field may be
/// changed before [`Producer::new`](crate::Producer::new), which checks them all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config<'a> {
    /// `bootstrap.servers`: `host:port[,host:port…]`, IPv6 addresses in brackets.
    pub bootstrap_servers: Text<'a>,
    /// `client.id`, sent with every request; quotas and broker logs use it. Default `klamm`.
    pub client_id: Text<'a>,
    /// `acks`. Default `all`.
    pub acks: Acks,
    /// `enable.idempotence`: the broker drops duplicates and keeps order. Needs `acks=all`,
    /// `retries` > 0. Default true.
    pub enable_idempotence: bool,
    /// `max.in.flight.requests.per.connection`: 1 to 5 (a broker remembers the last 5 batches of a
    /// producer, and the core's in-flight table has that size). Default 5. Without the feature `alloc`, 1 to 3, and 3.
    pub max_in_flight_requests_per_connection: u8,
    /// `retries`. Default 2³¹−1: `delivery_timeout_ms` is the limit that counts.
    pub retries: u32,
    /// `delivery.timeout.ms`: from a batch's creation to its outcome. At least `linger_ms` +
    /// `request_timeout_ms`. Default 120 000.
    pub delivery_timeout_ms: u32,
    /// `request.timeout.ms`: longest wait for an answer; then the connection is closed. Default 30 000.
    pub request_timeout_ms: u32,
    /// `retry.backoff.ms`: first backoff of batch retries and of metadata requests. Default 100.
    pub retry_backoff_ms: u32,
    /// `retry.backoff.max.ms`: its cap. Default 1000.
    pub retry_backoff_max_ms: u32,
    /// `reconnect.backoff.ms`: first backoff before a broker is connected again; also before one whose connection made room for another
    /// broker's, where there are fewer connections than brokers: less means more turns, and more connections. Default 50.
    pub reconnect_backoff_ms: u32,
    /// `reconnect.backoff.max.ms`: its cap. Default 1000.
    pub reconnect_backoff_max_ms: u32,
    /// `socket.connection.setup.timeout.ms`: resolving, connecting, TLS. Default 10 000.
    pub socket_connection_setup_timeout_ms: u32,
    /// `socket.connection.setup.timeout.max.ms`: cap of its growth. Default 30 000.
    pub socket_connection_setup_timeout_max_ms: u32,
    /// `connections.max.idle.ms`; 0 keeps idle connections. Default 540 000; behind load balancers
    /// that drop silent connections, less than their limit (180 000 for Azure).
    pub connections_max_idle_ms: u32,
    /// `batch.size`: target size of a batch in bytes; 0 sends each record by itself. Default 16 384.
    pub batch_size: u32,
    /// `linger.ms`: how long a batch waits for more records. Default 5.
    pub linger_ms: u32,
    /// `max.request.size`: largest record, and largest produce request, in bytes. Default 1 048 576.
    pub max_request_size: u32,
    /// `compression.type`. Default none.
    pub compression: Compression,
    /// LZ4 is done by the core in the batch's own memory (feature `lz4`), not as a job of the driver.
    /// Default true.
    #[cfg(feature = "codecs")]
    pub lz4_in_place: bool,
    /// `partitioner.class`. Default Kafka's.
    pub partitioner: Partitioner,
    /// `partitioner.ignore.keys`: keyed records are spread like keyless ones. Default false.
    pub partitioner_ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`: keyless records prefer partitions with shorter
    /// queues. Default true.
    #[cfg(feature = "adaptive-partitioning")]
    pub partitioner_adaptive_partitioning_enable: bool,
    /// `partitioner.availability.timeout.ms`: keyless records leave out a broker that has not taken
    /// data for this long; 0 turns it off. Default 0.
    #[cfg(feature = "adaptive-partitioning")]
    pub partitioner_availability_timeout_ms: u32,
    /// `metadata.max.age.ms`: refresh at least this often. Default 300 000.
    pub metadata_max_age_ms: u32,
    /// `metadata.recovery.strategy`. Default rebootstrap.
    pub metadata_recovery_strategy: MetadataRecoveryStrategy,
    /// `metadata.recovery.rebootstrap.trigger.ms`. Default 300 000.
    pub metadata_recovery_rebootstrap_trigger_ms: u32,
    /// Let the broker create unknown topics (`allow_auto_topic_creation` of the Metadata request;
    /// Kafka's own producer always allows it). Default true.
    pub allow_auto_create_topics: bool,
    /// What becomes of batches whose fate is unknown after a sequence gap. Default fail.
    pub on_gap: OnGap,
    /// Largest share of the arena, in percent, that the batches of one broker may hold while others
    /// exist, so that a dead broker does not starve the live ones. Default 75; 100 turns it off.
    pub broker_share_percent: u8,
    /// Resolve names through [`Action::Resolve`](crate::Action::Resolve); off for hosts that connect
    /// by name. Default on.
    pub resolve_names: bool,
    /// The CRC-32C to use. Default [`crc32c::nibble`], the smallest; servers inject hardware.
    pub crc32c: Crc32c,
}

impl<'a> Config<'a> {
    /// Kafka's defaults, for the cluster at `bootstrap_servers`.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<Text<'a>>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            client_id: Text::Borrowed("klamm"),
            acks: Acks::All,
            enable_idempotence: true,
            max_in_flight_requests_per_connection: MAX_IN_FLIGHT as u8,
            retries: i32::MAX as u32,
            delivery_timeout_ms: 120_000,
            request_timeout_ms: 30_000,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
            reconnect_backoff_ms: 50,
            reconnect_backoff_max_ms: 1_000,
            socket_connection_setup_timeout_ms: 10_000,
            socket_connection_setup_timeout_max_ms: 30_000,
            connections_max_idle_ms: 540_000,
            batch_size: 16_384,
            linger_ms: 5,
            max_request_size: 1_048_576,
            compression: Compression::None,
            #[cfg(feature = "codecs")]
            lz4_in_place: true,
            partitioner: Partitioner::Default,
            partitioner_ignore_keys: false,
            #[cfg(feature = "adaptive-partitioning")]
            partitioner_adaptive_partitioning_enable: true,
            #[cfg(feature = "adaptive-partitioning")]
            partitioner_availability_timeout_ms: 0,
            metadata_max_age_ms: 300_000,
            metadata_recovery_strategy: MetadataRecoveryStrategy::Rebootstrap,
            metadata_recovery_rebootstrap_trigger_ms: 300_000,
            allow_auto_create_topics: true,
            on_gap: OnGap::Fail,
            broker_share_percent: 75,
            resolve_names: true,
            crc32c: crc32c::nibble,
        }
    }

    /// Checks every setting and their combinations.
    ///
    /// # Errors
    /// The first setting that cannot work, by Kafka's name. Nothing is adjusted silently.
    #[inline(never)]
    pub fn validate(&self) -> Result<(), ConfigError> {
        const MS_MAX: u32 = i32::MAX as u32;
        // Apart from the values, so that it is data and not code.
        static RANGES: [(&str, u32, u32); 13] = [
            ("max.in.flight.requests.per.connection", 1, MAX_IN_FLIGHT as u32),
            ("retries", 0, MS_MAX),
            ("delivery.timeout.ms", 1, MS_MAX),
            ("request.timeout.ms", 1, MS_MAX),
            ("retry.backoff.ms", 0, MS_MAX),
            ("retry.backoff.max.ms", 0, MS_MAX),
            ("reconnect.backoff.ms", 0, MS_MAX),
            ("reconnect.backoff.max.ms", 0, MS_MAX),
            ("socket.connection.setup.timeout.ms", 1, MS_MAX),
            ("batch.size", 0, MS_MAX),
            ("linger.ms", 0, MS_MAX),
            ("max.request.size", 1, 100 << 20),
            ("broker.share.percent", 1, 100),
        ];
        let values = [
            self.max_in_flight_requests_per_connection.into(),
            self.retries,
            self.delivery_timeout_ms,
            self.request_timeout_ms,
            self.retry_backoff_ms,
            self.retry_backoff_max_ms,
            self.reconnect_backoff_ms,
            self.reconnect_backoff_max_ms,
            self.socket_connection_setup_timeout_ms,
            self.batch_size,
            self.linger_ms,
            self.max_request_size,
            self.broker_share_percent.into(),
        ];
        for (value, &(name, min, max)) in values.into_iter().zip(&RANGES) {
            if value < min || value > max {
                return Err(ConfigError::OutOfRange { name, min, max });
            }
        }
        let needs = |name, needs| Err(ConfigError::Conflict { name, needs });
        if self.enable_idempotence && self.acks != Acks::All {
            return needs("enable.idempotence=true", "acks=all");
        }
        if self.enable_idempotence && self.retries == 0 {
            return needs("enable.idempotence=true", "retries greater than 0");
        }
        if !self.can_compress() {
            return Err(ConfigError::Codec(self.compression));
        }
        if self.delivery_timeout_ms < self.linger_ms.saturating_add(self.request_timeout_ms).min(MS_MAX) {
            return needs("delivery.timeout.ms", "at least linger.ms + request.timeout.ms");
        }
        self.bootstrap_servers_within(usize::MAX)?;
        Ok(())
    }

    /// Whether this build has the codec, or somebody outside to ask for it.
    fn can_compress(&self) -> bool {
        #[cfg(feature = "codecs")]
        if self.compresses_outside() {
            return true;
        }
        match self.compression {
            Compression::None => true,
            Compression::Lz4 => cfg!(feature = "lz4"),
            Compression::Gzip | Compression::Snappy | Compression::Zstd => false,
        }
    }

    /// Batches are compressed by the driver, as jobs.
    #[cfg(feature = "codecs")]
    pub(crate) fn compresses_outside(&self) -> bool {
        match self.compression {
            Compression::None => false,
            Compression::Lz4 => !self.lz4_in_place,
            Compression::Gzip | Compression::Snappy | Compression::Zstd => true,
        }
    }

    /// How many bootstrap servers there are, none of whose hosts may be longer than `host_max` bytes.
    pub(crate) fn bootstrap_servers_within(&self, host_max: usize) -> Result<u16, ConfigError> {
        let (mut rest, mut count) = (self.bootstrap_servers.as_str().as_bytes(), 0u16);
        while let Some((entry, after)) = next_entry(rest) {
            let server = parse_host_port(entry);
            let (host, _) = server.ok_or_else(|| ConfigError::BadBootstrapServer { index: count.into() })?;
            if host.len() > host_max {
                return Err(ConfigError::HostTooLong { max: host_max as u32 });
            }
            count = count.saturating_add(1);
            rest = after;
        }
        if count == 0 { Err(ConfigError::NoBootstrapServers) } else { Ok(count) }
    }

    /// Host and port of an entry of `bootstrap.servers`.
    pub(crate) fn bootstrap_server(&self, index: u16) -> Option<(&str, u16)> {
        let (mut entry, mut rest) = next_entry(self.bootstrap_servers.as_str().as_bytes())?;
        for _ in 0..index {
            (entry, rest) = next_entry(rest)?;
        }
        parse_host_port(entry)
    }
}

/// The next entry of a list that is not empty, and what follows it. Of bytes: searching text links the searchers' panics into
/// firmware.
fn next_entry(mut list: &[u8]) -> Option<(&[u8], &[u8])> {
    while !list.is_empty() {
        let end = list.iter().position(|&byte| byte == b',').unwrap_or(list.len());
        let (entry, rest) = list.split_at_checked(end)?;
        list = rest.get(1..).unwrap_or(&[]);
        let entry = entry.trim_ascii();
        if !entry.is_empty() {
            return Some((entry, list));
        }
    }
    None
}

/// `host:port` or `[ipv6]:port`.
fn parse_host_port(entry: &[u8]) -> Option<(&str, u16)> {
    let (host, port) = split_last(entry, b':')?;
    // A listener name such as PLAINTEXT:// may precede the host, as in broker configurations.
    let host = match split_last(host, b'/') {
        Some((listener, host)) => listener.ends_with(b":/").then_some(host)?,
        None => host,
    };
    if cfg!(not(feature = "ipv6")) && host.contains(&b':') {
        return None;
    }
    let bracketed = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    if bracketed.is_none() && host.contains(&b':') {
        return None;
    }
    let host = bracketed.unwrap_or(host);
    if host.is_empty() || port.is_empty() || host.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let port = port.iter().try_fold(0u16, |port, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit < 10 { port.checked_mul(10)?.checked_add(digit.into()) } else { None }
    })?;
    (port != 0).then_some((core::str::from_utf8(host).ok()?, port))
}

/// The bytes before and behind the last `mark`.
fn split_last(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|&byte| byte == mark)?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}", self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_servers_are_hosts_with_ports() {
        let config = Config::new(" a:1, [::1]:9092,PLAINTEXT://b.example:65535 ,");
        let entries = [0, 1, 2, 3].map(|index| config.bootstrap_server(index));
        let v6 = cfg!(feature = "ipv6").then_some(("::1", 9092));
        assert_eq!(entries, [Some(("a", 1)), v6, Some(("b.example", 65535)), None]);
        assert_eq!(config.bootstrap_servers_within(9).is_ok(), v6.is_some());
        assert!(config.bootstrap_servers_within(8).is_err());
        for bad in ["a", "a:", ":1", "a:0", "a:70000", "a:+1", "::1:9092", "a b:1", "a/b:1"] {
            assert_eq!(
                Config::new(std::format!("ok:1,{bad}").as_str()).validate(),
                Err(ConfigError::BadBootstrapServer { index: 1 }),
                "{bad}"
            );
        }
        assert_eq!(Config::new(" ,").validate(), Err(ConfigError::NoBootstrapServers));
    }

    #[test]
    fn contradictions_are_named() {
        let with = |change: fn(&mut Config<'_>)| {
            let mut config = Config::new("a:1");
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        use std::string::ToString;
        assert!(with(|c| c.acks = Acks::Leader).contains("enable.idempotence=true needs acks=all"));
        assert!(with(|c| c.retries = 0).contains("retries"));
        assert!(with(|c| c.linger_ms = 100_000).contains("delivery.timeout.ms"));
        let most = if cfg!(feature = "alloc") { "between 1 and 5" } else { "between 1 and 3" };
        assert!(with(|c| c.max_in_flight_requests_per_connection = 6).contains(most));
        assert!(Config::new("a:1").validate().is_ok());
    }

    #[test]
    fn codecs_that_the_build_does_not_have_are_named() {
        for (codec, name) in [
            (Compression::Gzip, "gzip"),
            (Compression::Snappy, "snappy"),
            (Compression::Lz4, "lz4"),
            (Compression::Zstd, "zstd"),
        ] {
            let mut config = Config::new("a:1");
            config.compression = codec;
            let has = cfg!(feature = "codecs") && codec != Compression::Lz4
                || cfg!(feature = "lz4") && codec == Compression::Lz4;
            assert_eq!(config.validate(), if has { Ok(()) } else { Err(ConfigError::Codec(codec)) });
            let text = std::format!("{}", ConfigError::Codec(codec));
            assert!(text.contains(name), "{text}");
        }
    }
}
