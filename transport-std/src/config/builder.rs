//! The typed builder: one method per setting.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use klamm_core::{Config, Limits};

use crate::config::properties;
use crate::config::setters::MS_MAX;
use crate::config::warning::{ConfigWarning, ConfigWarningKind};
use crate::error::ConfigError;
use crate::events;
use crate::inside::caught;
use crate::interceptor::Interceptor;
use crate::io::socket::SocketOptions;
use crate::levels::{self, Levels};
use crate::metrics::Sampling;
use crate::partition::PartitionQuery;
use crate::prepared::Hooks;
use crate::problem::{Describe, describe};
use crate::producer::Producer;
use crate::{Acks, Compression, MetadataRecoveryStrategy, OnGap, Partitioner, Problem};

/// Told about each [`Problem`], with a sentence for people.
pub(crate) type OnProblem = Box<dyn Fn(&Problem, &str) + Send>;
/// Told about each [`ConfigWarning`].
type OnWarning = Box<dyn Fn(&ConfigWarning) + Send>;
/// Refuses settings.
type Check = fn(&Builder) -> Result<(), ConfigError>;

/// Settings of a [`Producer`], with Kafka's names and, unless said otherwise, Kafka's defaults.
///
/// ```no_run
/// use klamm::{Acks, Producer};
///
/// let producer = Producer::builder()
///     .bootstrap_servers("kafka-1:9092,kafka-2:9092")
///     .client_id("billing")
///     .acks(Acks::All)
///     .linger_ms(5)
///     .build()?;
/// # Ok::<(), klamm::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until build is called"]
pub struct Builder {
    pub(crate) core: Config<'static>,
    pub(crate) max_block_ms: u64,
    pub(super) buffer_memory: usize,
    limits: Option<Limits>,
    pub(crate) socket: SocketOptions,
    pub(crate) sampling: Sampling,
    pub(crate) levels: Levels,
    pub(crate) on_problem: Option<OnProblem>,
    /// Puts problems into words, if anybody is to hear of them.
    pub(crate) describe: Option<Describe>,
    on_warning: Option<OnWarning>,
    /// Tells the warnings to whoever wants to hear them.
    tell_warnings: Option<fn(&Self)>,
    /// What [`property`](Self::property) found odd.
    pub(super) warnings: Vec<ConfigWarning>,
    /// What is to be done about names that nobody knows.
    check_names: Option<Check>,
    pub(crate) hooks: Option<Box<Hooks>>,
    idempotence: Option<bool>,
    pub(super) delivery_timeout_ms: Option<u32>,
    reconnect_backoff_ms: Option<u32>,
    reconnect_backoff_max_ms: Option<u32>,
}

/// One setter per field of the core's configuration.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $type) -> Self {
                self.core.$name = $name;
                self
            }
        )*
    };
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut core = Config::new("");
        core.crc32c = crc32c::crc32c_append;
        #[cfg(feature = "codecs")]
        {
            // Outside the lock, and with matches across the arena's blocks.
            core.lz4_in_place = false;
        }
        Self {
            core,
            max_block_ms: 60_000,
            buffer_memory: 32 << 20,
            limits: None,
            socket: SocketOptions::default(),
            sampling: Sampling::default(),
            levels: Levels::default(),
            on_problem: None,
            describe: if events::ON { Some(describe) } else { None },
            on_warning: None,
            tell_warnings: if events::ON { Some(Self::tell_warnings) } else { None },
            warnings: Vec::new(),
            check_names: None,
            hooks: None,
            idempotence: None,
            delivery_timeout_ms: None,
            reconnect_backoff_ms: None,
            reconnect_backoff_max_ms: None,
        }
    }

    /// `bootstrap.servers`, required: `host:port[,host:port…]`, IPv6 addresses in brackets. Any
    /// broker that is up will do; the others are learned from it.
    pub fn bootstrap_servers(mut self, servers: impl Into<String>) -> Self {
        self.core.bootstrap_servers = servers.into().into();
        self
    }

    /// `client.id`: the name in the brokers' logs, metrics and quotas. Default `klamm`.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.core.client_id = client_id.into().into();
        self
    }

    /// `enable.idempotence`: the broker drops duplicates and keeps order. Default true; false if
    /// [`acks`](Self::acks) or [`retries`](Self::retries) are set to what excludes it, as in Java.
    pub fn enable_idempotence(mut self, enable_idempotence: bool) -> Self {
        self.idempotence = Some(enable_idempotence);
        self
    }

    /// `delivery.timeout.ms`: from a record's batch being opened to its outcome. Default 120 000, or
    /// `linger.ms` + `request.timeout.ms` if that is more.
    pub fn delivery_timeout_ms(mut self, delivery_timeout_ms: u32) -> Self {
        self.delivery_timeout_ms = Some(delivery_timeout_ms);
        self
    }

    /// `reconnect.backoff.ms`: wait before a broker is connected again, doubled per failure. Default 50.
    pub fn reconnect_backoff_ms(mut self, reconnect_backoff_ms: u32) -> Self {
        self.reconnect_backoff_ms = Some(reconnect_backoff_ms);
        self
    }

    /// `reconnect.backoff.max.ms`: its longest. Default 1000, or `reconnect.backoff.ms` if only that
    /// is set, as in Java.
    pub fn reconnect_backoff_max_ms(mut self, reconnect_backoff_max_ms: u32) -> Self {
        self.reconnect_backoff_max_ms = Some(reconnect_backoff_max_ms);
        self
    }

    setters! {
        /// `acks`: when a record counts as delivered. Default all.
        acks: Acks,
        /// `retries`. Default 2³¹−1: `delivery.timeout.ms` is the limit that counts.
        retries: u32,
        /// `max.in.flight.requests.per.connection`: 1 to 5. Default 5; order is kept all the same with
        /// idempotence.
        max_in_flight_requests_per_connection: u8,
        /// `request.timeout.ms`: longest wait for a broker's answer. Default 30 000.
        request_timeout_ms: u32,
        /// `retry.backoff.ms`: first wait before a batch or a metadata request is tried again. Default 100.
        retry_backoff_ms: u32,
        /// `retry.backoff.max.ms`: its longest. Default 1000.
        retry_backoff_max_ms: u32,
        /// `socket.connection.setup.timeout.ms`: resolving and connecting. Default 10 000.
        socket_connection_setup_timeout_ms: u32,
        /// `socket.connection.setup.timeout.max.ms`: its longest, as it grows per failure. Default 30 000.
        socket_connection_setup_timeout_max_ms: u32,
        /// `connections.max.idle.ms`; 0 keeps idle connections. Default 540 000; behind load balancers
        /// that drop silent connections, less than their limit.
        connections_max_idle_ms: u32,
        /// `batch.size`: target size of a batch in bytes; 0 sends each record by itself. Default 16 384.
        batch_size: u32,
        /// `linger.ms`: how long a batch waits for more records. Default 5.
        linger_ms: u32,
        /// `max.request.size`: largest record, and largest request, in bytes. Default 1 048 576.
        max_request_size: u32,
        /// `compression.type`. Default none. Batches are compressed outside the producer's lock, by the
        /// thread that fills them. Each codec is a feature of this crate; `zstd` is not on by default.
        compression: Compression,
        /// `partitioner.class`. Default Kafka's: murmur2 of the key, uniform sticky without one. A
        /// [`Partitioner::Custom`] function runs under the producer's lock: it must be quick, and a panic in
        /// it breaks the producer; [`partitioner_with`](Self::partitioner_with) has neither trouble.
        partitioner: Partitioner,
        /// `partitioner.ignore.keys`: keyed records are spread like keyless ones. Default false.
        partitioner_ignore_keys: bool,
        /// `partitioner.adaptive.partitioning.enable`: keyless records prefer partitions with shorter
        /// queues. Default true.
        partitioner_adaptive_partitioning_enable: bool,
        /// `partitioner.availability.timeout.ms`: keyless records leave out a broker that has not taken
        /// data for this long; 0 turns it off. Default 0.
        partitioner_availability_timeout_ms: u32,
        /// `metadata.max.age.ms`: refresh at least this often. Default 300 000.
        metadata_max_age_ms: u32,
        /// `metadata.recovery.strategy`. Default rebootstrap.
        metadata_recovery_strategy: MetadataRecoveryStrategy,
        /// `metadata.recovery.rebootstrap.trigger.ms`. Default 300 000.
        metadata_recovery_rebootstrap_trigger_ms: u32,
        /// `allow.auto.create.topics`: let brokers create unknown topics, as Java's producer always
        /// does. Default true.
        allow_auto_create_topics: bool,
        /// `on.gap`, klamm's own: what becomes of a batch whose fate is unknown and whose sequence is
        /// lost. Default fail: nothing is ever duplicated.
        on_gap: OnGap,
        /// `broker.share.percent`, klamm's own: largest share of `buffer.memory` that the records for
        /// one broker may hold while there are others, so that a dead broker does not starve the live
        /// ones. Default 75; 100 turns it off.
        broker_share_percent: u8,
    }

    /// `compression.gzip.level`: −1 for zlib's default, or 1 (fast) to 9 (small). Default −1.
    pub fn compression_gzip_level(mut self, level: i32) -> Self {
        self.levels.gzip = level;
        self
    }

    /// `compression.lz4.level`: 1 to 17, default 9. It is taken as Kafka's setting is, and chooses nothing:
    /// there is one compressor here, the fast one, which Kafka's default is too.
    pub fn compression_lz4_level(mut self, level: i32) -> Self {
        self.levels.lz4 = level;
        self
    }

    /// `compression.zstd.level`: −131 072 (fastest) to 22 (smallest). Default 3.
    pub fn compression_zstd_level(mut self, level: i32) -> Self {
        self.levels.zstd = level;
        self
    }

    /// `max.block.ms`: longest wait of [`send`](Producer::send), [`send_async`](Producer::send_async)
    /// and [`partition_count`](Producer::partition_count). Default 60 000.
    pub fn max_block_ms(mut self, max_block_ms: u64) -> Self {
        self.max_block_ms = max_block_ms;
        self
    }

    /// `buffer.memory`: bytes for records that wait, travel or await their answer. Allocated at once,
    /// touched as needed. Default 32 MiB.
    pub fn buffer_memory(mut self, buffer_memory: usize) -> Self {
        self.buffer_memory = buffer_memory;
        if let Some(limits) = &mut self.limits {
            limits.buffer_memory = buffer_memory;
        }
        self
    }

    /// Sizes of all tables, instead of those that follow from [`buffer_memory`](Self::buffer_memory)
    /// and [`batch_size`](Self::batch_size).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.buffer_memory = limits.buffer_memory;
        self.limits = Some(limits);
        self
    }

    /// `send.buffer.bytes`: `SO_SNDBUF`; `None` leaves it to the operating system, which is the
    /// default (Java: 131 072), since it adapts the size to the path.
    pub fn send_buffer_bytes(mut self, bytes: Option<usize>) -> Self {
        self.socket.send_buffer = bytes;
        self
    }

    /// `receive.buffer.bytes`: `SO_RCVBUF`; `None`, the default, leaves it to the operating system
    /// (Java: 32 768).
    pub fn receive_buffer_bytes(mut self, bytes: Option<usize>) -> Self {
        self.socket.receive_buffer = bytes;
        self
    }

    /// `socket.keepalive.enable`, librdkafka's: TCP keepalive. Default true.
    pub fn socket_keepalive_enable(mut self, enable: bool) -> Self {
        self.socket.keepalive = enable;
        self
    }

    /// `metrics.num.samples`: windows that rates, averages and maxima of [`Producer::metrics`] look back on, 1 to 1000.
    /// Each costs a copy of the counters of every topic in use. Default 2.
    pub fn metrics_num_samples(mut self, num_samples: u32) -> Self {
        self.sampling.num_samples = num_samples;
        self
    }

    /// `metrics.sample.window.ms`: how long one of these windows is, at least 1. Default 30 000.
    pub fn metrics_sample_window_ms(mut self, window_ms: u32) -> Self {
        self.sampling.window_ms = window_ms;
        self
    }

    /// Calls `told` with each [`Problem`] that a person should know, and a sentence about it. It runs on
    /// the I/O thread: it must not block, nor wait for this producer. It is told of failing interceptors and
    /// panicking callbacks as well, as [`Problem::Application`].
    pub fn on_problem(mut self, told: impl Fn(&Problem, &str) + Send + 'static) -> Self {
        self.on_problem = Some(Box::new(told));
        self.describe = Some(describe);
        self
    }

    /// Calls `told` with each [`ConfigWarning`] during [`build`](Self::build), on the calling thread.
    pub fn on_warning(mut self, told: impl Fn(&ConfigWarning) + Send + 'static) -> Self {
        self.on_warning = Some(Box::new(told));
        self.tell_warnings = Some(Self::tell_warnings);
        self
    }

    /// Whether [`build`](Self::build) refuses properties whose names nobody knows, instead of warning of them as
    /// Java does. Default false.
    pub fn refuse_unknown(mut self, refuse: bool) -> Self {
        self.check_names = if refuse { Some(Self::check_names) } else { None };
        self
    }

    /// Adds an [`Interceptor`] behind those that were added before. One that is shared is added as an
    /// [`Arc`](std::sync::Arc).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use klamm::{Interceptor, Producer, RecordMetadata};
    ///
    /// #[derive(Default)]
    /// struct Delivered(AtomicU64);
    ///
    /// impl Interceptor for Delivered {
    ///     fn on_acknowledgement(&self, _: &RecordMetadata) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let delivered = Arc::new(Delivered::default());
    /// let builder = Producer::builder().interceptor(Arc::clone(&delivered));
    /// # let _ = builder;
    /// ```
    pub fn interceptor(mut self, interceptor: impl Interceptor + 'static) -> Self {
        self.hooks.get_or_insert_with(Hooks::new).interceptors.push(Box::new(interceptor));
        self
    }

    /// Lets `choose` name the partition, from 0, of each record that does not name one itself; instead of
    /// [`partitioner`](Self::partitioner).
    ///
    /// It runs on the thread that sends, not under any lock: it may be slow, and use this producer. It
    /// needs the topic's metadata, so [`try_send`](Producer::try_send) says
    /// [`SendError::PartitionsUnknown`](crate::SendError::PartitionsUnknown) until that came; a declared
    /// count is not enough. Should it panic, or name a partition that does not exist, that record's send
    /// fails with [`SendError::Partitioner`](crate::SendError::Partitioner), and nothing else.
    ///
    /// ```
    /// use klamm::Producer;
    ///
    /// // Customers 0 to 9 in the first partition, and so on.
    /// let builder = Producer::builder().bootstrap_servers("localhost:9092").partitioner_with(|record| {
    ///     let customer = record.key.and_then(|key| std::str::from_utf8(key).ok()?.parse::<u32>().ok());
    ///     (customer.unwrap_or(0) / 10 % record.partitions) as i32
    /// });
    /// # let _ = builder;
    /// ```
    pub fn partitioner_with(mut self, choose: impl Fn(&PartitionQuery<'_>) -> i32 + Send + Sync + 'static) -> Self {
        self.hooks.get_or_insert_with(Hooks::new).partitioner = Some(Box::new(choose));
        self
    }

    /// Sets one property by Kafka's name, or by librdkafka's. A name that nobody knows is left out, which is a
    /// [warning](Self::warnings).
    ///
    /// # Errors
    /// The value is illegal, or asks for something that is not implemented yet, or that only Java has.
    pub fn property(self, name: &str, value: &str) -> Result<Self, ConfigError> {
        properties::set(self, name, value)
    }

    /// Sets properties by Kafka's names: pairs, a `HashMap`, and the like.
    ///
    /// # Errors
    /// As [`property`](Self::property), for the first that fails.
    pub fn properties<K, V>(self, properties: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        properties.into_iter().try_fold(self, |builder, (name, value)| builder.property(name.as_ref(), value.as_ref()))
    }

    /// Sets the properties of a text in Java's `.properties` syntax
    /// (see [`parse_properties`](crate::config::parse_properties)).
    ///
    /// # Errors
    /// As [`property`](Self::property), or the text is malformed. [`ConfigError::At`] names the line.
    pub fn properties_text(self, text: &str) -> Result<Self, ConfigError> {
        properties::set_text(self, None, text.as_bytes())
    }

    /// Sets the properties of a `.properties` file, such as Java's clients read.
    ///
    /// ```no_run
    /// let producer = klamm::Producer::builder().properties_file("producer.properties")?.build()?;
    /// # Ok::<(), klamm::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`properties_text`](Self::properties_text), with the file's name; or the file cannot be read.
    pub fn properties_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
        properties::set_text(self, Some(path), &bytes)
    }

    /// What is odd about the settings so far, though they work: unknown names, properties without effect,
    /// a `buffer.memory` that is too small for the rest.
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let mut warnings = self.warnings.clone();
        let core = &self.core;
        let largest = [("max.request.size", core.max_request_size), ("batch.size", core.batch_size)];
        warnings.extend(largest.into_iter().filter(|(_, size)| self.buffer_memory < *size as usize).map(
            |(name, size)| ConfigWarningKind::BufferMemory { buffer_memory: self.buffer_memory, name, size }.into(),
        ));
        warnings
    }

    pub(super) fn warn(&mut self, kind: ConfigWarningKind) {
        self.warnings.push(kind.into());
    }

    /// Tells the warnings to whoever wants to hear them.
    fn tell_warnings(&self) {
        for warning in self.warnings() {
            events::warn_config(&warning);
            let Some(told) = &self.on_warning else { continue };
            if caught(|| told(&warning)).is_err() {
                events::warn_user_code("on_warning panicked");
            }
        }
    }

    /// Starts the producer: its I/O thread, which connects to a bootstrap server in the background. A cluster
    /// that cannot be reached is not an error here.
    ///
    /// # Errors
    /// A setting is missing, out of range, or contradicts another; or the operating system refused a
    /// poller or a thread.
    pub fn build(self) -> Result<Producer, ConfigError> {
        let (settings, limits) = self.settle()?;
        if let Some(tell) = settings.tell_warnings {
            tell(&settings);
        }
        crate::io::start(settings, &limits)
    }

    /// Applies the rules that depend on several settings.
    pub(crate) fn settle(mut self) -> Result<(Self, Limits), ConfigError> {
        if let Some(check) = self.check_names {
            check(&self)?;
        }
        let core = &mut self.core;
        let possible = core.acks == Acks::All && core.retries > 0;
        if !possible && self.idempotence.is_none() {
            events::warn_config("enable.idempotence is off, since acks or retries exclude it: retries can duplicate");
        }
        core.enable_idempotence = self.idempotence.unwrap_or(possible);
        // As Java: what is set is taken at its word, and the default makes room for the other two.
        let least = core.linger_ms.saturating_add(core.request_timeout_ms).min(MS_MAX);
        core.delivery_timeout_ms = self.delivery_timeout_ms.unwrap_or_else(|| core.delivery_timeout_ms.max(least));
        if let Some(backoff) = self.reconnect_backoff_ms {
            core.reconnect_backoff_ms = backoff;
            core.reconnect_backoff_max_ms = backoff;
        }
        if let Some(max) = self.reconnect_backoff_max_ms {
            core.reconnect_backoff_max_ms = max;
        }
        levels::check_codec(core.compression)?;
        self.levels.validate()?;
        let servers = core.bootstrap_servers.as_str();
        core.validate().map_err(|error| in_words(error, servers))?;
        refuse_secure_listeners(servers)?;
        self.sampling.validate()?;
        let limits = self.limits.unwrap_or_else(|| limits_for(self.buffer_memory, self.core.batch_size));
        Ok((self, limits))
    }

    /// Refuses the first name that nobody knows.
    fn check_names(&self) -> Result<(), ConfigError> {
        for ConfigWarning { kind, place } in &self.warnings {
            let ConfigWarningKind::Unknown { name, suggestion } = kind else { continue };
            let error = ConfigError::Unknown { name: name.clone(), suggestion: *suggestion };
            return Err(match place {
                Some(place) => ConfigError::At { place: place.clone(), error: Box::new(error) },
                None => error,
            });
        }
        Ok(())
    }

    pub(crate) fn max_block(&self) -> Duration {
        Duration::from_millis(self.max_block_ms)
    }
}

/// The core's error, with the entry of `bootstrap.servers` that it can only count.
fn in_words(error: klamm_core::ConfigError, servers: &str) -> ConfigError {
    let klamm_core::ConfigError::BadBootstrapServer { index } = error else { return error.into() };
    let mut entries = servers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let entry = entries.nth(index as usize).unwrap_or(servers).to_owned();
    ConfigError::Invalid { name: "bootstrap.servers".to_owned(), value: entry, expected: "host:port".into() }
}

/// A listener's name before the host says nothing in Kafka. But who writes `SSL://` thinks that there is TLS, and there is none.
fn refuse_secure_listeners(servers: &str) -> Result<(), ConfigError> {
    let is_secure = |entry: &&str| {
        let listener = entry.split_once("://").map_or("", |(listener, _)| listener).to_ascii_uppercase();
        matches!(listener.as_str(), "SSL" | "SASL_SSL" | "SASL_PLAINTEXT" | "HTTPS")
    };
    let Some(entry) = servers.split(',').map(str::trim).find(is_secure) else { return Ok(()) };
    Err(ConfigError::NotYet { name: format!("bootstrap.servers={entry}"), instead: "only PLAINTEXT works today" })
}

/// Table sizes for a server. Memory of tables that are not touched costs nothing.
fn limits_for(buffer_memory: usize, batch_size: u32) -> Limits {
    const BLOCK_MAX: usize = 4096;
    const BLOCK_MIN: usize = 256;
    // Small batches would waste large blocks, and a small memory needs blocks for several partitions.
    let fitting = (batch_size as usize).next_power_of_two();
    let sharing = (buffer_memory / 128).max(1).next_power_of_two();
    let block_size = fitting.min(sharing).clamp(BLOCK_MIN, BLOCK_MAX);
    let blocks = (buffer_memory / block_size).max(8);
    Limits {
        buffer_memory,
        block_size,
        // Every batch holds a block at least: slots never run out first.
        batches: blocks,
        partitions: 16_384,
        topics: 1_024,
        brokers: 256,
        connections: 256,
        ..Limits::default()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("core", &self.core)
            .field("max_block_ms", &self.max_block_ms)
            .field("buffer_memory", &self.buffer_memory)
            .field("limits", &self.limits)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Builder {
        Builder::new().bootstrap_servers("a:1")
    }

    #[test]
    fn settings_that_depend_on_others_follow_java() {
        let (plain, _) = base().settle().unwrap();
        assert!(plain.core.enable_idempotence);
        assert_eq!((plain.core.reconnect_backoff_ms, plain.core.reconnect_backoff_max_ms), (50, 1000));
        let (acks, _) = base().acks(Acks::Leader).settle().unwrap();
        assert!(!acks.core.enable_idempotence);
        let (retries, _) = base().retries(0).settle().unwrap();
        assert!(!retries.core.enable_idempotence);
        assert!(base().acks(Acks::Leader).enable_idempotence(true).settle().is_err());
        let (slow, _) = base().linger_ms(100_000).request_timeout_ms(50_000).settle().unwrap();
        assert_eq!(slow.core.delivery_timeout_ms, 150_000);
        assert!(base().linger_ms(100_000).delivery_timeout_ms(120_000).settle().is_err());
        let (backoff, _) = base().reconnect_backoff_ms(70).settle().unwrap();
        assert_eq!(backoff.core.reconnect_backoff_max_ms, 70);
        let (both, _) = base().reconnect_backoff_max_ms(90).reconnect_backoff_ms(70).settle().unwrap();
        assert_eq!(both.core.reconnect_backoff_max_ms, 90);
        assert!(matches!(Builder::new().settle(), Err(ConfigError::Settings(_))));
    }

    #[test]
    fn bad_servers_are_quoted() {
        for (servers, entry) in
            [("no-port", "no-port"), ("a:1, b ,c:2", "b"), (" ,a:1,,::1:9", "::1:9"), ("a:0", "a:0")]
        {
            let error = Builder::new().bootstrap_servers(servers).settle().unwrap_err();
            assert_eq!(error.to_string(), format!("bootstrap.servers: expected host:port, not {entry:?}"));
        }
    }

    #[test]
    fn servers_that_are_said_to_be_secure_are_refused() {
        for listener in ["SSL", "ssl", "SASL_SSL", "SASL_PLAINTEXT", "https"] {
            let error = Builder::new().bootstrap_servers(format!("a:1, {listener}://b:2")).settle().unwrap_err();
            let told = format!("bootstrap.servers={listener}://b:2 is not implemented yet: only PLAINTEXT works today");
            assert_eq!(error.to_string(), told);
        }
        assert!(Builder::new().bootstrap_servers("PLAINTEXT://a:1,INTERNAL://ssl:2").settle().is_ok());
    }

    #[test]
    fn a_memory_smaller_than_a_record_is_told() {
        let told = |builder: Builder| builder.warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(base()), [""; 0]);
        let small = "buffer.memory=1000 cannot hold what max.request.size=1048576 allows";
        assert_eq!(told(base().buffer_memory(1000).batch_size(1000)), [small]);
        assert_eq!(told(base().buffer_memory(1000)).len(), 2);
    }

    #[test]
    fn blocks_fit_the_memory_and_the_batches() {
        assert_eq!(limits_for(32 << 20, 16_384).block_size, 4096);
        assert_eq!(limits_for(1 << 30, 1 << 20).block_size, 4096);
        assert_eq!(limits_for(32 << 20, 0).block_size, 256);
        assert_eq!(limits_for(64 << 10, 16_384).block_size, 512);
        assert_eq!(limits_for(0, 16_384).block_size, 256);
        let limits =
            base().limits(Limits { topics: 3, ..Limits::default() }).buffer_memory(1 << 20).settle().unwrap().1;
        assert_eq!((limits.topics, limits.buffer_memory), (3, 1 << 20));
    }
}
