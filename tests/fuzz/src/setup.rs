//! Configurations, memories and clusters, drawn from a fuzzer's bytes.

use klamm_core::{Acks, Compression, Config, Limits, OnGap, PartitionRequest, Partitioner};
use klamm_sim::{ClusterOptions, VersionSet};

use crate::input::Input;

/// Memories from the smallest board on. The cluster's host name has 10 bytes.
pub(crate) fn limits(choice: u8) -> Limits {
    let (blocks, block_size, batches, partitions, topics, brokers, connections) = match choice % 5 {
        0 => (5, 128, 3, 2, 1, 1, 1),
        1 => (32, 128, 8, 4, 2, 2, 2),
        2 => (48, 256, 16, 16, 3, 4, 3),
        3 => (12, 1024, 10, 8, 4, 3, 4),
        _ => (8, 4096, 24, 16, 4, 4, 4),
    };
    Limits {
        buffer_memory: blocks * block_size,
        block_size,
        batches,
        partitions,
        topics,
        brokers,
        connections,
        topic_bytes: 24,
        host_bytes: 32,
        scratch_bytes: 96,
    }
}

fn out_of_range(request: &PartitionRequest<'_>) -> i32 {
    (request.random % 7) as i32 - 1
}

/// A configuration that is mostly legal. Times are short: minutes of waiting are bytes of input.
pub(crate) fn config(input: &mut Input<'_>) -> Config<'static> {
    let mut config = Config::new("broker.sim:9092,broker.sim:9093");
    config.crc32c = crc32c::crc32c_append;
    let (a, b, c, d) = (input.u8(), input.u8(), input.u8(), input.u8());
    config.acks = [Acks::All, Acks::All, Acks::Leader, Acks::None][usize::from(a & 3)];
    config.enable_idempotence = config.acks == Acks::All && a & 4 == 0;
    config.on_gap = if a & 8 == 0 { OnGap::Fail } else { OnGap::Resend };
    config.max_in_flight_requests_per_connection = 1 + (a >> 4) % 5;
    config.compression = compression(b & 7);
    config.lz4_in_place = b & 8 == 0;
    config.resolve_names = b & 16 == 0;
    config.partitioner = match b >> 5 {
        0 => Partitioner::RoundRobin,
        1 => Partitioner::Custom(out_of_range),
        _ => Partitioner::Default,
    };
    config.batch_size = [0, 60, 300, 1000, 4000, 16_384, 700, 120][usize::from(c & 7)];
    config.linger_ms = [0, 5, 50, 0][usize::from(c >> 3 & 3)];
    config.max_request_size = [1 << 20, 400, 3000, 100_000][usize::from(c >> 5 & 3)];
    config.allow_auto_create_topics = c & 128 == 0;
    config.request_timeout_ms = [100, 1000, 30_000, 400][usize::from(d & 3)];
    config.delivery_timeout_ms = config.request_timeout_ms + [100, 2000, 90_000, 50][usize::from(d >> 2 & 3)];
    config.retries = [i32::MAX as u32, 1, 3, 0][usize::from(d >> 4 & 3)];
    config.broker_share_percent = if d & 64 == 0 { 75 } else { 30 };
    config.metadata_max_age_ms = if d & 128 == 0 { 300_000 } else { 500 };
    config.connections_max_idle_ms = if d & 128 == 0 { 0 } else { 2000 };
    config
}

/// `compression.type` by number.
pub(crate) fn compression(choice: u8) -> Compression {
    match choice {
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 | 5 => Compression::Lz4,
        4 => Compression::Zstd,
        _ => Compression::None,
    }
}

/// A cluster of one to three brokers of some release.
pub(crate) fn cluster(choice: u8) -> ClusterOptions {
    ClusterOptions {
        brokers: 1 + u32::from(choice & 3) % 3,
        auto_create_topics: choice & 4 == 0,
        default_partitions: 1 + u32::from(choice >> 3 & 3),
        versions: release(choice >> 5),
        max_message_bytes: if choice & 4 == 0 { 1 << 20 } else { 900 },
        keep_history: false,
        ..ClusterOptions::default()
    }
}

/// A release's versions by number.
pub(crate) fn release(choice: u8) -> VersionSet {
    match choice % 8 {
        0 => VersionSet::kafka_4_3(),
        1 => VersionSet::kafka_2_1(),
        2 => VersionSet::kafka_2_4(),
        3 => VersionSet::kafka_2_8(),
        4 => VersionSet::kafka_3_3(),
        5 => VersionSet::kafka_3_9(),
        6 => VersionSet::kafka_4_0(),
        _ => VersionSet::kafka_4_4(),
    }
}
