//! Generated inputs.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Compression as Codec;
use klamm_core::{Acks, Compression, Config, Header, Limits, Producer, Record, Storage};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use crate::broker::BOOTSTRAP;

/// Tagged fields that nobody knows.
pub type Tags = BTreeMap<i32, Bytes>;

/// The codecs of the core, and what kafka-protocol calls them.
pub const CODECS: &[(Compression, Codec)] = &[
    (Compression::None, Codec::None),
    (Compression::Gzip, Codec::Gzip),
    (Compression::Snappy, Codec::Snappy),
    (Compression::Lz4, Codec::Lz4),
    (Compression::Zstd, Codec::Zstd),
];

/// The wall clock when the producer starts, in Unix milliseconds.
pub const WALL_CLOCK: i64 = 1_700_000_000_000;

/// Unknown tagged fields, mostly none. Their tags lie behind all that Kafka has given out.
pub fn tags() -> BoxedStrategy<Tags> {
    let some = btree_map(prop_oneof![20..130i32, 16_000..17_000i32, Just(i32::MAX)], bytes(300), 1..4);
    prop_oneof![4 => Just(Tags::new()), 1 => some].boxed()
}

/// Up to `max` bytes, mostly few; many are a few over and over, so that a compressor has something to do.
pub fn bytes(max: usize) -> BoxedStrategy<Bytes> {
    let few = vec(any::<u8>(), 0..20.min(max)).boxed();
    let again = (vec(any::<u8>(), 1..20), 0..max).prop_map(|(few, len)| few.into_iter().cycle().take(len).collect());
    prop_oneof![4 => few, 1 => vec(any::<u8>(), 0..300.min(max)), 2 => again].prop_map(Bytes::from).boxed()
}

/// Text of up to `max` characters of any script, mostly few.
pub fn text(max: usize) -> BoxedStrategy<StrBytes> {
    let some = proptest::string::string_regex(&format!("\\PC{{0,{max}}}")).expect("a pattern");
    prop_oneof![2 => "[a-z]{0,8}", 1 => some].prop_map(StrBytes::from_string).boxed()
}

/// Text, null, or nothing.
pub fn nullable_text(max: usize) -> BoxedStrategy<Option<StrBytes>> {
    option::of(text(max)).boxed()
}

/// Sizes of pieces, from single bytes to all at once.
pub fn pieces() -> BoxedStrategy<Vec<usize>> {
    let sizes = prop_oneof![Just(0), Just(1), 1..10usize, 1..2000usize];
    prop_oneof![Just(vec![1]), Just(vec![0]), vec(sizes, 1..6)].boxed()
}

/// Names of topics, all different.
pub fn topic_names(count: std::ops::Range<usize>) -> BoxedStrategy<Vec<String>> {
    // 125 and 126 bytes are where the compact length grows by a byte; 249 is the longest that Kafka allows.
    let name = prop_oneof![6 => "[a-zA-Z0-9._-]{1,20}", 1 => "[a-z]{125}", 1 => "[a-z]{126}", 1 => "[a-z]{127}", 1 => "[a-z]{249}"];
    btree_set(name, count).prop_map(|names| names.into_iter().collect::<Vec<_>>()).prop_shuffle().boxed()
}

/// One record.
#[derive(Clone)]
pub struct Sent {
    /// Index of its topic, to be taken modulo their number.
    pub topic: usize,
    /// Its partition, to be taken modulo their number.
    pub partition: usize,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// Headers; kafka-protocol keeps one per name, so names do not repeat.
    pub headers: BTreeMap<String, Option<Bytes>>,
    /// The timestamp.
    pub timestamp: Option<i64>,
}

impl std::fmt::Debug for Sent {
    /// Long values say nothing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |bytes: &Bytes| format!("{} of {:?}", bytes.len(), bytes.slice(..bytes.len().min(8)));
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name, value.as_ref().map(short))).collect();
        let (key, value) = (self.key.as_ref().map(short), self.value.as_ref().map(short));
        let Self { topic, partition, timestamp, .. } = self;
        write!(f, "{topic}-{partition} key {key:?} value {value:?} headers {headers:?} at {timestamp:?}")
    }
}

impl Sent {
    /// Calls `with` with the record as the core takes it.
    pub fn with<T>(&self, partition: i32, with: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        with(&Record {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            timestamp: self.timestamp,
            partition: Some(partition),
        })
    }
}

/// A record.
pub fn record() -> BoxedStrategy<Sent> {
    let timestamp = prop_oneof![
        3 => Just(None),
        3 => (WALL_CLOCK..WALL_CLOCK + 10_000).prop_map(Some),
        1 => (0..=i64::MAX).prop_map(Some),
        1 => Just(Some(0)),
        1 => Just(Some(i64::MAX)),
    ];
    let headers = btree_map("\\PC{0,8}", option::of(bytes(200)), 0..4);
    let headers = prop_oneof![2 => Just(BTreeMap::new()), 1 => headers];
    (0..8usize, 0..8usize, option::of(bytes(300)), option::of(bytes(6000)), headers, timestamp)
        .prop_map(|(topic, partition, key, value, headers, timestamp)| Sent {
            topic,
            partition,
            key,
            value,
            headers,
            timestamp,
        })
        .boxed()
}

/// How a producer is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `client.id`
    pub client_id: String,
    /// `acks`
    pub acks: Acks,
    /// `enable.idempotence`
    pub idempotence: bool,
    /// Index into [`CODECS`].
    pub codec: usize,
    /// `batch.size`
    pub batch_size: u32,
    /// `max.request.size`
    pub max_request_size: u32,
    /// `request.timeout.ms`
    pub request_timeout_ms: u32,
    /// `retries`
    pub retries: u32,
    /// Whether brokers may create topics.
    pub auto_create: bool,
    /// Bytes per block of the arena.
    pub block_size: usize,
    /// Bytes of scratch per connection.
    pub scratch_bytes: usize,
    /// Whether the producer is told what time it is.
    pub clock: bool,
    /// Feeds the producer's choices.
    pub seed: u8,
}

impl Setup {
    /// Neither idempotence nor retries nor compression: each answer is final.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            client_id: "judge".into(),
            acks: Acks::Leader,
            idempotence: false,
            codec: 0,
            batch_size: 16_384,
            max_request_size: 1 << 20,
            request_timeout_ms: 30_000,
            retries: 0,
            auto_create: true,
            block_size: 4096,
            scratch_bytes: 512,
            clock: true,
            seed: 1,
        }
    }

    /// The codec as the core calls it, and as kafka-protocol does.
    #[must_use]
    pub fn codec(&self) -> (Compression, Codec) {
        CODECS[self.codec % CODECS.len()]
    }

    /// The producer.
    ///
    /// # Panics
    /// If the core refuses the settings.
    #[must_use]
    pub fn producer(&self) -> Producer<'static> {
        let mut config = Config::new(BOOTSTRAP);
        config.client_id = self.client_id.clone().into();
        config.acks = self.acks;
        config.enable_idempotence = self.idempotence;
        config.compression = self.codec().0;
        config.batch_size = self.batch_size;
        config.max_request_size = self.max_request_size;
        config.request_timeout_ms = self.request_timeout_ms;
        config.retries = self.retries;
        config.allow_auto_create_topics = self.auto_create;
        config.broker_share_percent = 100;
        config.crc32c = crc32c::crc32c_append;
        let limits = Limits {
            buffer_memory: 4 << 20,
            block_size: self.block_size,
            batches: 1024,
            scratch_bytes: self.scratch_bytes,
            ..Limits::default()
        };
        let now = klamm_core::Instant::ZERO;
        let mut producer = Producer::new(config, Storage::heap(&limits), [self.seed; 32], now).expect("sound settings");
        if self.clock {
            producer.set_wall_clock(now, WALL_CLOCK);
        }
        producer
    }
}

/// A producer with any settings that all its records can be delivered with.
pub fn setup() -> BoxedStrategy<Setup> {
    let acks = prop_oneof![
        1 => Just((Acks::None, false)),
        1 => Just((Acks::Leader, false)),
        1 => Just((Acks::All, false)),
        4 => Just((Acks::All, true)),
    ];
    let client_id = prop_oneof![3 => "[ -~]{0,40}", 1 => "\\PC{0,20}"];
    let sizes = (
        prop_oneof![Just(0u32), 100..1000u32, Just(16_384), Just(1 << 20)],
        prop_oneof![Just(10_000u32), Just(1 << 20)],
        prop_oneof![Just(128usize), 128..600usize, Just(4096)],
        prop_oneof![Just(268usize), Just(512)],
    );
    let rest = (client_id, acks, 0..CODECS.len(), 1000..60_000u32, any::<bool>(), any::<bool>(), any::<u8>());
    (sizes, rest)
        .prop_map(|(sizes, (client_id, (acks, idempotence), codec, request_timeout_ms, auto_create, clock, seed))| {
            let (batch_size, max_request_size, block_size, scratch_bytes) = sizes;
            Setup {
                client_id,
                acks,
                idempotence,
                codec,
                batch_size,
                max_request_size,
                request_timeout_ms,
                retries: i32::MAX as u32,
                auto_create,
                block_size,
                scratch_bytes,
                clock,
                seed,
            }
        })
        .boxed()
}
