//! The one table of properties. It is long because Kafka's is: every property that its producer has is a row, so that
//! none is overlooked; `tests.rs` holds the rows to Kafka's own list of names, types, defaults and ranges.

use super::keys::{ConfigKey, ConfigType, Support, Valid};
use super::setters::*;

/// A row: the property, and what setting it does.
pub(super) struct Entry {
    pub(super) key: ConfigKey,
    pub(super) deed: Deed,
}

/// What becomes of a legal value.
pub(super) enum Deed {
    /// It is set.
    Set(Setter),
    /// Nothing; a value that is neither Kafka's default nor `as_if` is warned of.
    Warn { as_if: &'static str, why: &'static str },
    /// It is refused, unless it is Kafka's default.
    NotYet(&'static str),
    /// The same.
    NoCounterpart(&'static str),
    /// It is set under another name, after a change of notation.
    Rename(&'static str, Conversion),
}

/// Type, default and range.
type Value = (ConfigType, Option<&'static str>, Valid);

const fn entry(name: &'static str, value: Value, doc: &'static str, support: Support, deed: Deed) -> Entry {
    let (kind, default, valid) = value;
    Entry { key: ConfigKey { name, kind, default, valid, doc, support }, deed }
}

const fn set(name: &'static str, value: Value, doc: &'static str, setter: Setter) -> Entry {
    entry(name, value, doc, Support::Set, Deed::Set(setter))
}

/// `as_if`: the value that says what klamm does.
const fn inert(name: &'static str, value: Value, doc: &'static str, why: &'static str, as_if: &'static str) -> Entry {
    entry(name, value, doc, Support::Inert(why), Deed::Warn { as_if, why })
}

const fn not_yet(name: &'static str, value: Value, doc: &'static str, instead: &'static str) -> Entry {
    entry(name, value, doc, Support::NotYet(instead), Deed::NotYet(instead))
}

const fn foreign(name: &'static str, value: Value, doc: &'static str, instead: &'static str) -> Entry {
    entry(name, value, doc, Support::NoCounterpart(instead), Deed::NoCounterpart(instead))
}

const fn alias(name: &'static str, value: Value, doc: &'static str, of: &'static str, how: Conversion) -> Entry {
    entry(name, value, doc, Support::Alias(of), Deed::Rename(of, how))
}

/// One function per type of value.
macro_rules! types {
    ($($name:ident: $kind:ident,)*) => {
        $(
            const fn $name(default: Option<&'static str>, valid: Valid) -> Value {
                (ConfigType::$kind, default, valid)
            }
        )*
    };
}

types! {
    boolean: Boolean,
    short: Short,
    int: Int,
    long: Long,
    double: Double,
    text: Text,
    list: List,
    class: Class,
    password: Password,
}

/// Every property, in chapters.
pub(super) static TABLE: &[Entry] = &[
    // Brokers.
    set(
        "bootstrap.servers",
        list(None, Valid::Any),
        "`host:port[,host:port…]` to ask first, IPv6 in brackets; required.",
        |b, v| Ok(b.bootstrap_servers(v)),
    ),
    inert(
        "bootstrap.resolve.timeout.ms",
        long(Some("0"), Valid::AtLeast(0)),
        "How long to try to resolve the first brokers (Kafka 4.4).",
        "names are resolved when they are needed, within socket.connection.setup.timeout.ms",
        "",
    ),
    set(
        "client.dns.lookup",
        text(Some("use_all_dns_ips"), Valid::OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])),
        "All addresses of a name are tried, in turn.",
        dns_lookup,
    ),
    set(
        "client.id",
        text(Some(""), Valid::Any),
        "The name in brokers' logs, metrics and quotas; empty means `klamm`.",
        |b, v| Ok(if v.is_empty() { b } else { b.client_id(v) }),
    ),
    inert(
        "client.rack",
        text(Some(""), Valid::Any),
        "The client's rack (Kafka 4.4).",
        "partitions are chosen without regard to racks",
        "",
    ),
    set(
        "metadata.max.age.ms",
        long(Some("300000"), Valid::AtLeast(0)),
        "Metadata is refreshed at least this often.",
        |b, v| Ok(b.metadata_max_age_ms(ms(v)?)),
    ),
    inert(
        "metadata.max.idle.ms",
        long(Some("300000"), Valid::AtLeast(5000)),
        "After how long without records a topic is forgotten.",
        "topics stay known; Limits::topics bounds them",
        "",
    ),
    inert(
        "metadata.cluster.check.enable",
        boolean(Some("true"), Valid::Any),
        "Ask a broker whether it is of the right cluster (Kafka 4.4).",
        "klamm does not ask, as if it were false",
        "false",
    ),
    set(
        "metadata.recovery.strategy",
        text(Some("rebootstrap"), Valid::OneOfAnyCase(&["REBOOTSTRAP", "NONE"])),
        "When no known broker can be reached: start over from bootstrap.servers, or not.",
        recovery,
    ),
    set(
        "metadata.recovery.rebootstrap.trigger.ms",
        long(Some("300000"), Valid::AtLeast(0)),
        "Start over after this long without metadata.",
        |b, v| Ok(b.metadata_recovery_rebootstrap_trigger_ms(ms(v)?)),
    ),
    set(
        "allow.auto.create.topics",
        boolean(Some("true"), Valid::Any),
        "Let brokers create unknown topics, as Java's producer always does (a consumer's property).",
        |b, v| Ok(b.allow_auto_create_topics(flag(v)?)),
    ),
    // Delivery.
    set(
        "acks",
        text(Some("all"), Valid::OneOf(&["all", "-1", "0", "1"])),
        "When a record counts as delivered: written, appended by the leader, or by all in-sync replicas.",
        |b, v| Ok(b.acks(choice(v, ACKS)?)),
    ),
    set(
        "enable.idempotence",
        boolean(Some("true"), Valid::Any),
        "Brokers drop duplicates and keep order. Needs acks=all and retries.",
        |b, v| Ok(b.enable_idempotence(flag(v)?)),
    ),
    set(
        "max.in.flight.requests.per.connection",
        int(Some("5"), Valid::AtLeast(1)),
        "Requests under way per broker; klamm allows 1 to 5.",
        |b, v| Ok(b.max_in_flight_requests_per_connection(within(v, 1, 5)?)),
    ),
    set(
        "retries",
        int(Some("2147483647"), Valid::Between(0, 2147483647)),
        "Attempts after the first; delivery.timeout.ms is the limit that counts.",
        |b, v| Ok(b.retries(within(v, 0, MS_MAX)?)),
    ),
    set(
        "delivery.timeout.ms",
        int(Some("120000"), Valid::AtLeast(0)),
        "From a record's batch being opened to its outcome. Not less than linger.ms + request.timeout.ms.",
        |b, v| Ok(b.delivery_timeout_ms(ms(v)?)),
    ),
    set(
        "request.timeout.ms",
        int(Some("30000"), Valid::AtLeast(0)),
        "Longest wait for a broker's answer; klamm needs at least 1.",
        |b, v| Ok(b.request_timeout_ms(positive(v)?)),
    ),
    set(
        "retry.backoff.ms",
        long(Some("100"), Valid::AtLeast(0)),
        "First wait before another attempt; doubled each time.",
        |b, v| Ok(b.retry_backoff_ms(ms(v)?)),
    ),
    set("retry.backoff.max.ms", long(Some("1000"), Valid::AtLeast(0)), "Longest such wait.", |b, v| {
        Ok(b.retry_backoff_max_ms(ms(v)?))
    }),
    set(
        "on.gap",
        text(Some("fail"), Valid::OneOf(&["fail", "resend"])),
        "A batch of unknown fate whose sequence is lost: fail, or resend (may duplicate). klamm's own.",
        |b, v| Ok(b.on_gap(choice(v, ON_GAP)?)),
    ),
    // Batches and memory.
    set(
        "batch.size",
        int(Some("16384"), Valid::AtLeast(0)),
        "Target size of a batch in bytes; 0 sends each record by itself.",
        |b, v| Ok(b.batch_size(ms(v)?)),
    ),
    set("linger.ms", long(Some("5"), Valid::AtLeast(0)), "How long a batch waits for more records.", |b, v| {
        Ok(b.linger_ms(ms(v)?))
    }),
    set(
        "buffer.memory",
        long(Some("33554432"), Valid::AtLeast(0)),
        "Bytes for records that wait, travel or await their answer.",
        |b, v| Ok(b.buffer_memory(number(v)?)),
    ),
    inert(
        "buffer.memory.allocation.strategy",
        text(Some("full"), Valid::OneOfAnyCase(&["FULL", "INCREMENTAL"])),
        "How that memory grows (Kafka's own, 4.4).",
        "the memory is reserved at once and touched as needed",
        "",
    ),
    set(
        "max.block.ms",
        long(Some("60000"), Valid::AtLeast(0)),
        "Longest wait of a send for memory or metadata.",
        |b, v| Ok(b.max_block_ms(number(v)?)),
    ),
    set(
        "max.request.size",
        int(Some("1048576"), Valid::AtLeast(0)),
        "Largest record and largest request in bytes; klamm allows 1 to 104857600.",
        |b, v| Ok(b.max_request_size(within(v, 1, 100 << 20)?)),
    ),
    set(
        "broker.share.percent",
        int(Some("75"), Valid::Between(1, 100)),
        "Largest share of buffer.memory for one broker while there are others, in percent. klamm's own.",
        |b, v| Ok(b.broker_share_percent(number(v)?)),
    ),
    set(
        "compression.type",
        text(Some("none"), Valid::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"])),
        "Codec of new batches.",
        |b, v| Ok(b.compression(compression(v)?)),
    ),
    set(
        "compression.gzip.level",
        int(Some("-1"), Valid::BetweenOr(1, 9, -1)),
        "Level of gzip; -1 is the usual one.",
        |b, v| Ok(b.compression_gzip_level(number(v)?)),
    ),
    set(
        "compression.lz4.level",
        int(Some("9"), Valid::Between(1, 17)),
        "Level of lz4; all of them are the fast one here, which is Kafka's 9.",
        |b, v| Ok(b.compression_lz4_level(number(v)?)),
    ),
    set("compression.zstd.level", int(Some("3"), Valid::Between(-131072, 22)), "Level of zstd.", |b, v| {
        Ok(b.compression_zstd_level(number(v)?))
    }),
    // Partitions.
    set(
        "partitioner.class",
        class(None, Valid::Any),
        "Who chooses partitions: empty for Kafka's way, a class of Kafka's, or a word of librdkafka's.",
        |b, v| Ok(b.partitioner(partitioner(v)?)),
    ),
    set(
        "partitioner.ignore.keys",
        boolean(Some("false"), Valid::Any),
        "Records with a key are spread like those without.",
        |b, v| Ok(b.partitioner_ignore_keys(flag(v)?)),
    ),
    set(
        "partitioner.adaptive.partitioning.enable",
        boolean(Some("true"), Valid::Any),
        "Records without a key prefer partitions with shorter queues.",
        |b, v| Ok(b.partitioner_adaptive_partitioning_enable(flag(v)?)),
    ),
    set(
        "partitioner.availability.timeout.ms",
        long(Some("0"), Valid::AtLeast(0)),
        "Such records leave out a broker that has taken nothing for this long; 0: never.",
        |b, v| Ok(b.partitioner_availability_timeout_ms(ms(v)?)),
    ),
    not_yet(
        "partitioner.rack.aware",
        boolean(Some("false"), Valid::Any),
        "Such records prefer leaders in client.rack (Kafka 4.4).",
        "leave it out",
    ),
    // Connections.
    set(
        "connections.max.idle.ms",
        long(Some("540000"), Valid::Any),
        "Idle connections are closed; negative or 0: never.",
        |b, v| Ok(b.connections_max_idle_ms(ms_or_never(v)?)),
    ),
    set(
        "reconnect.backoff.ms",
        long(Some("50"), Valid::AtLeast(0)),
        "Wait before a broker is connected again; doubled per failure.",
        |b, v| Ok(b.reconnect_backoff_ms(ms(v)?)),
    ),
    set(
        "reconnect.backoff.max.ms",
        long(Some("1000"), Valid::AtLeast(0)),
        "Longest such wait; reconnect.backoff.ms if only that is set.",
        |b, v| Ok(b.reconnect_backoff_max_ms(ms(v)?)),
    ),
    set(
        "socket.connection.setup.timeout.ms",
        long(Some("10000"), Valid::Any),
        "Resolving and connecting; klamm needs at least 1.",
        |b, v| Ok(b.socket_connection_setup_timeout_ms(positive(v)?)),
    ),
    set(
        "socket.connection.setup.timeout.max.ms",
        long(Some("30000"), Valid::Any),
        "The same after failures, as it grows.",
        |b, v| Ok(b.socket_connection_setup_timeout_max_ms(positive(v)?)),
    ),
    set(
        "send.buffer.bytes",
        int(Some("131072"), Valid::AtLeast(-1)),
        "`SO_SNDBUF`; -1, klamm's default, leaves it to the operating system.",
        |b, v| Ok(b.send_buffer_bytes(size_or_system(v)?)),
    ),
    set(
        "receive.buffer.bytes",
        int(Some("32768"), Valid::AtLeast(-1)),
        "`SO_RCVBUF`; -1, klamm's default, leaves it to the operating system.",
        |b, v| Ok(b.receive_buffer_bytes(size_or_system(v)?)),
    ),
    set(
        "socket.keepalive.enable",
        boolean(Some("true"), Valid::Any),
        "TCP keepalive. librdkafka's, but on by default.",
        |b, v| Ok(b.socket_keepalive_enable(flag(v)?)),
    ),
    // Around the Java client.
    inert("key.serializer", class(None, Valid::Any), "Turns keys into bytes in Java.", "records are bytes already", ""),
    inert(
        "value.serializer",
        class(None, Valid::Any),
        "Turns values into bytes in Java.",
        "records are bytes already",
        "",
    ),
    foreign(
        "interceptor.classes",
        list(Some(""), Valid::Any),
        "Hooks around records.",
        "JVM classes cannot be loaded here; add yours with Builder::interceptor",
    ),
    inert(
        "metric.reporters",
        list(Some("org.apache.kafka.common.metrics.JmxReporter"), Valid::Any),
        "Where metrics go.",
        "read Producer::metrics",
        "",
    ),
    inert(
        "auto.include.jmx.reporter",
        boolean(Some("true"), Valid::Any),
        "Whether metrics go to JMX (Kafka 3.4 to 3.9).",
        "read Producer::metrics",
        "",
    ),
    set(
        "metrics.num.samples",
        int(Some("2"), Valid::AtLeast(1)),
        "Windows that rates, averages and maxima reach over; klamm allows 1 to 1000.",
        |b, v| Ok(b.metrics_num_samples(within(v, 1, 1000)?)),
    ),
    inert(
        "metrics.recording.level",
        text(Some("INFO"), Valid::OneOf(&["INFO", "DEBUG", "TRACE"])),
        "Which metrics are kept.",
        "Producer::metrics has them all",
        "",
    ),
    set(
        "metrics.sample.window.ms",
        long(Some("30000"), Valid::AtLeast(0)),
        "Length of such a window; klamm allows 1 to 2147483647.",
        |b, v| Ok(b.metrics_sample_window_ms(within(v, 1, MS_MAX)?)),
    ),
    inert(
        "enable.metrics.push",
        boolean(Some("true"), Valid::Any),
        "Send the client's metrics to the brokers (KIP-714).",
        "klamm pushes none",
        "false",
    ),
    foreign(
        "config.providers",
        list(Some(""), Valid::Any),
        "Where `${…}` values are looked up.",
        "put the values themselves in",
    ),
    foreign("security.providers", text(None, Valid::Any), "Security providers of the JVM.", "there is no JVM here"),
    // Transactions.
    not_yet(
        "transactional.id",
        text(None, Valid::NotEmpty),
        "Turns transactions on.",
        "leave it out; idempotence keeps order and drops duplicates without it",
    ),
    not_yet(
        "transaction.timeout.ms",
        int(Some("60000"), Valid::Any),
        "When the coordinator aborts an open transaction.",
        "leave it out, together with transactional.id",
    ),
    not_yet(
        "transaction.two.phase.commit.enable",
        boolean(Some("false"), Valid::Any),
        "Somebody else decides about transactions.",
        "leave it out, together with transactional.id",
    ),
    // Security: TLS.
    set(
        "security.protocol",
        text(Some("PLAINTEXT"), Valid::OneOfAnyCase(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"])),
        "How to talk to brokers; today only PLAINTEXT.",
        security_protocol,
    ),
    not_yet(
        "ssl.truststore.location",
        text(None, Valid::Any),
        "File of trusted certificates.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet("ssl.truststore.password", password(None, Valid::Any), "Its password.", "connect to a PLAINTEXT listener"),
    not_yet(
        "ssl.truststore.certificates",
        password(None, Valid::Any),
        "Trusted certificates, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.truststore.type",
        text(Some("JKS"), Valid::Any),
        "Format of the truststore: JKS, PKCS12 or PEM.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.keystore.location",
        text(None, Valid::Any),
        "File of the client's certificate and key.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet("ssl.keystore.password", password(None, Valid::Any), "Its password.", "connect to a PLAINTEXT listener"),
    not_yet(
        "ssl.keystore.certificate.chain",
        password(None, Valid::Any),
        "The client's certificate, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.keystore.key",
        password(None, Valid::Any),
        "The client's key, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet("ssl.key.password", password(None, Valid::Any), "Password of that key.", "connect to a PLAINTEXT listener"),
    not_yet(
        "ssl.keystore.type",
        text(Some("JKS"), Valid::Any),
        "Format of the keystore: JKS, PKCS12 or PEM.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.protocol",
        text(Some("TLSv1.3"), Valid::Any),
        "TLS version of the context.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.enabled.protocols",
        list(Some("TLSv1.2,TLSv1.3"), Valid::Any),
        "TLS versions allowed.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.cipher.suites",
        list(Some(""), Valid::Any),
        "Cipher suites allowed; empty: all.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.endpoint.identification.algorithm",
        text(Some("https"), Valid::Any),
        "How host names are checked; empty turns that off.",
        "connect to a PLAINTEXT listener",
    ),
    foreign(
        "ssl.engine.factory.class",
        class(None, Valid::Any),
        "Makes the JVM's TLS engine.",
        "the JVM's TLS is not here",
    ),
    foreign(
        "ssl.keymanager.algorithm",
        text(Some("SunX509"), Valid::Any),
        "The JVM's key manager.",
        "the JVM's TLS is not here",
    ),
    foreign(
        "ssl.trustmanager.algorithm",
        text(Some("PKIX"), Valid::Any),
        "The JVM's trust manager.",
        "the JVM's TLS is not here",
    ),
    foreign("ssl.provider", text(None, Valid::Any), "The JVM's TLS provider.", "the JVM's TLS is not here"),
    foreign(
        "ssl.secure.random.implementation",
        text(None, Valid::Any),
        "The JVM's random numbers for TLS.",
        "the JVM's TLS is not here",
    ),
    // Security: SASL.
    not_yet(
        "sasl.mechanism",
        text(Some("GSSAPI"), Valid::Any),
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.jaas.config",
        password(None, Valid::Any),
        "User and password, as a JAAS entry.",
        "connect to a listener without SASL",
    ),
    foreign(
        "sasl.client.callback.handler.class",
        class(None, Valid::Any),
        "Supplies credentials.",
        "JVM classes cannot be loaded here",
    ),
    foreign(
        "sasl.login.callback.handler.class",
        class(None, Valid::Any),
        "Supplies what a login needs.",
        "JVM classes cannot be loaded here",
    ),
    foreign("sasl.login.class", class(None, Valid::Any), "Logs in.", "JVM classes cannot be loaded here"),
    not_yet(
        "sasl.login.connect.timeout.ms",
        int(None, Valid::Any),
        "Connecting to the token endpoint.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.read.timeout.ms",
        int(None, Valid::Any),
        "Reading from the token endpoint.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.refresh.buffer.seconds",
        short(Some("300"), Valid::Between(0, 3600)),
        "Refresh a token this long before it ends.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.refresh.min.period.seconds",
        short(Some("60"), Valid::Between(0, 900)),
        "Least time between two refreshes.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.refresh.window.factor",
        double(Some("0.8"), Valid::Decimal(0.5, 1.0)),
        "Refresh a token at this share of its life.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.refresh.window.jitter",
        double(Some("0.05"), Valid::Decimal(0.0, 0.25)),
        "Spread of that share.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.retry.backoff.ms",
        long(Some("100"), Valid::Any),
        "First wait before the token endpoint is asked again.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.login.retry.backoff.max.ms",
        long(Some("10000"), Valid::Any),
        "Longest such wait.",
        "connect to a listener without SASL",
    ),
    foreign(
        "sasl.kerberos.service.name",
        text(None, Valid::Any),
        "Kerberos name of the brokers.",
        "Kerberos is not planned",
    ),
    foreign(
        "sasl.kerberos.kinit.cmd",
        text(Some("/usr/bin/kinit"), Valid::Any),
        "Path of kinit.",
        "Kerberos is not planned",
    ),
    foreign(
        "sasl.kerberos.min.time.before.relogin",
        long(Some("60000"), Valid::Any),
        "Least time between two logins.",
        "Kerberos is not planned",
    ),
    foreign(
        "sasl.kerberos.ticket.renew.jitter",
        double(Some("0.05"), Valid::Any),
        "Spread of ticket renewal.",
        "Kerberos is not planned",
    ),
    foreign(
        "sasl.kerberos.ticket.renew.window.factor",
        double(Some("0.8"), Valid::Any),
        "Renew a ticket at this share of its life.",
        "Kerberos is not planned",
    ),
    not_yet(
        "sasl.oauthbearer.token.endpoint.url",
        text(None, Valid::Any),
        "Where tokens are issued.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.scope",
        text(None, Valid::Any),
        "Scope to ask for.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.client.credentials.client.id",
        text(None, Valid::Any),
        "The client's id for the token endpoint.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.client.credentials.client.secret",
        password(None, Valid::Any),
        "The client's secret for the token endpoint.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.header.urlencode",
        boolean(Some("false"), Valid::Any),
        "URL-encode id and secret in the header.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.algorithm",
        text(Some("RS256"), Valid::OneOfAnyCase(&["ES256", "RS256"])),
        "Algorithm that signs assertions.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.aud",
        text(None, Valid::Any),
        "Audience of an assertion.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.exp.seconds",
        int(Some("300"), Valid::Between(0, 86400)),
        "Life of an assertion.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.iss",
        text(None, Valid::Any),
        "Issuer of an assertion.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.jti.include",
        boolean(Some("false"), Valid::Any),
        "Give each assertion an id.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.nbf.seconds",
        int(Some("60"), Valid::Between(0, 3600)),
        "How far back an assertion is valid.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.claim.sub",
        text(None, Valid::Any),
        "Subject of an assertion.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.file",
        text(None, Valid::Any),
        "File of a ready assertion.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.private.key.file",
        text(None, Valid::Any),
        "Key that signs assertions.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.private.key.passphrase",
        password(None, Valid::Any),
        "Passphrase of that key.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.assertion.template.file",
        text(None, Valid::Any),
        "Template of assertions.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.allow.unverified.audience",
        boolean(Some("false"), Valid::Any),
        "Take tokens for any audience.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.allow.unverified.issuer",
        boolean(Some("false"), Valid::Any),
        "Take tokens of any issuer.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.clock.skew.seconds",
        int(Some("30"), Valid::Any),
        "Clock difference that is tolerated.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.expected.audience",
        list(Some(""), Valid::Any),
        "Audience that tokens must have.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.expected.issuer",
        text(None, Valid::Any),
        "Issuer that tokens must have.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.jwks.endpoint.url",
        text(None, Valid::Any),
        "Where the provider's keys are.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        long(Some("3600000"), Valid::Any),
        "How often to fetch those keys.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        long(Some("100"), Valid::Any),
        "First wait before they are asked for again.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        long(Some("10000"), Valid::Any),
        "Longest such wait.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.scope.claim.name",
        text(Some("scope"), Valid::Any),
        "Name of a token's scope claim.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.oauthbearer.sub.claim.name",
        text(Some("sub"), Valid::Any),
        "Name of a token's subject claim.",
        "connect to a listener without SASL",
    ),
    foreign(
        "sasl.oauthbearer.jwt.retriever.class",
        class(Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), Valid::Any),
        "Fetches tokens.",
        "JVM classes cannot be loaded here",
    ),
    foreign(
        "sasl.oauthbearer.jwt.validator.class",
        class(Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), Valid::Any),
        "Checks tokens.",
        "JVM classes cannot be loaded here",
    ),
    // librdkafka's names: the same settings.
    alias("metadata.broker.list", text(Some(""), Valid::Any), "librdkafka's old name.", "bootstrap.servers", same),
    alias("request.required.acks", text(Some("-1"), Valid::Any), "-1, 0, 1 or all.", "acks", same),
    alias(
        "message.timeout.ms",
        int(Some("300000"), Valid::AtLeast(0)),
        "0 means no limit.",
        "delivery.timeout.ms",
        never_at_zero,
    ),
    alias(
        "message.send.max.retries",
        int(Some("2147483647"), Valid::AtLeast(0)),
        "librdkafka's own name.",
        "retries",
        same,
    ),
    alias(
        "socket.timeout.ms",
        int(Some("60000"), Valid::AtLeast(10)),
        "librdkafka's time for requests.",
        "request.timeout.ms",
        same,
    ),
    alias(
        "max.in.flight",
        int(Some("1000000"), Valid::AtLeast(1)),
        "More than 5 counts as 5, which is klamm's most.",
        "max.in.flight.requests.per.connection",
        five_at_most,
    ),
    alias(
        "queue.buffering.max.ms",
        double(Some("5"), Valid::Decimal(0.0, 900_000.0)),
        "Decimals are cut off.",
        "linger.ms",
        whole_part,
    ),
    alias(
        "queue.buffering.max.kbytes",
        int(Some("1048576"), Valid::Between(1, 2_147_483_647)),
        "In KiB.",
        "buffer.memory",
        kib,
    ),
    alias(
        "message.max.bytes",
        int(Some("1000000"), Valid::Between(1000, 1_000_000_000)),
        "librdkafka's own name.",
        "max.request.size",
        same,
    ),
    alias("compression.codec", text(Some("none"), Valid::Any), "librdkafka's other name.", "compression.type", same),
    alias(
        "partitioner",
        text(Some("consistent_random"), Valid::Any),
        "librdkafka's own name.",
        "partitioner.class",
        same,
    ),
    alias(
        "topic.metadata.refresh.interval.ms",
        int(Some("300000"), Valid::AtLeast(-1)),
        "-1 means never.",
        "metadata.max.age.ms",
        never_below_zero,
    ),
    alias(
        "socket.send.buffer.bytes",
        int(Some("0"), Valid::AtLeast(0)),
        "0 leaves it to the operating system.",
        "send.buffer.bytes",
        system_at_zero,
    ),
    alias(
        "socket.receive.buffer.bytes",
        int(Some("0"), Valid::AtLeast(0)),
        "0 leaves it to the operating system.",
        "receive.buffer.bytes",
        system_at_zero,
    ),
    alias("sasl.mechanisms", text(Some("GSSAPI"), Valid::Any), "librdkafka's own name.", "sasl.mechanism", same),
    // librdkafka's names without a counterpart in Kafka.
    inert(
        "queue.buffering.max.messages",
        int(Some("100000"), Valid::AtLeast(0)),
        "Most records in memory.",
        "buffer.memory is the limit",
        "",
    ),
    inert(
        "batch.num.messages",
        int(Some("10000"), Valid::Between(1, 1_000_000)),
        "Most records in a batch.",
        "batch.size is the limit",
        "",
    ),
    inert(
        "enable.gapless.guarantee",
        boolean(Some("false"), Valid::Any),
        "Stop for good at a gap in a sequence.",
        "on.gap=fail keeps order and duplicates nothing, and goes on",
        "",
    ),
    inert(
        "queuing.strategy",
        text(Some("fifo"), Valid::OneOf(&["fifo", "lifo"])),
        "Order of the record queue.",
        "records of a partition keep their order, always",
        "fifo",
    ),
    inert(
        "sticky.partitioning.linger.ms",
        int(Some("10"), Valid::Between(0, 900_000)),
        "How long one partition is stuck to.",
        "the sticky partitioner goes by bytes, as Kafka's does",
        "",
    ),
    inert(
        "broker.address.ttl",
        int(Some("1000"), Valid::Between(0, 86_400_000)),
        "How long addresses of a broker are kept.",
        "a name is resolved for each connection",
        "",
    ),
    inert(
        "broker.address.family",
        text(Some("any"), Valid::OneOf(&["any", "v4", "v6"])),
        "Addresses to use.",
        "all addresses of a name are tried",
        "any",
    ),
    inert(
        "socket.nagle.disable",
        boolean(Some("false"), Valid::Any),
        "Send small packets at once.",
        "klamm always does",
        "true",
    ),
    inert(
        "statistics.interval.ms",
        int(Some("0"), Valid::Between(0, 86_400_000)),
        "How often to call back with statistics.",
        "read Producer::metrics",
        "0",
    ),
    not_yet(
        "sasl.username",
        text(Some(""), Valid::Any),
        "User of PLAIN and SCRAM.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "sasl.password",
        password(Some(""), Valid::Any),
        "Password of PLAIN and SCRAM.",
        "connect to a listener without SASL",
    ),
    not_yet(
        "ssl.ca.location",
        text(Some(""), Valid::Any),
        "File of trusted certificates.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.ca.pem",
        text(Some(""), Valid::Any),
        "Trusted certificates, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.certificate.location",
        text(Some(""), Valid::Any),
        "File of the client's certificate.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.certificate.pem",
        text(Some(""), Valid::Any),
        "The client's certificate, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.key.location",
        text(Some(""), Valid::Any),
        "File of the client's key.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "ssl.key.pem",
        password(Some(""), Valid::Any),
        "The client's key, as PEM text.",
        "connect to a PLAINTEXT listener",
    ),
    not_yet(
        "enable.ssl.certificate.verification",
        boolean(Some("true"), Valid::Any),
        "Whether to check the brokers' certificates.",
        "connect to a PLAINTEXT listener",
    ),
];
