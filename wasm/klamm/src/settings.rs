//! Settings as the host stages them: numbers for names, checked and put into numbers by `wasm/js/settings.js`, which a page
//! downloads with less than what would read texts here.
//!
//! Each is its number (u32), then its value (u32), or the length of its text (u32) and the text.

use alloc::format;
use alloc::string::String;

use klamm_core::record::crc32c;
use klamm_core::{Acks, Compression, Config, Limits, MetadataRecoveryStrategy, OnGap, Partitioner, Text};

use crate::failure::Failure;

/// What a producer is made of.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config<'static>,
    pub(crate) limits: Limits,
}

/// Fewer blocks than this are no use.
const MIN_BLOCKS: usize = 16;

/// Reads what was staged.
///
/// # Errors
/// `buffer.memory` is too small, or the bytes are no settings.
pub(crate) fn read(mut staged: &[u8]) -> Result<Settings, Failure> {
    let mut settings = Settings { config: Config::new(""), limits: limits() };
    // The host connects by name.
    settings.config.resolve_names = false;
    settings.config.crc32c = crc32c::bytewise;
    let mut idempotence = None;
    while !staged.is_empty() {
        let wrong = || Failure::internal("the staged bytes are no settings");
        let number = take(&mut staged).ok_or_else(wrong)?;
        let value = take(&mut staged).ok_or_else(wrong)?;
        if number == IDEMPOTENCE {
            idempotence = Some(value > 0);
        } else if let Some(text) = text_of(&mut settings.config, number) {
            let (bytes, rest) = staged.split_at_checked(value as usize).ok_or_else(wrong)?;
            *text = String::from(core::str::from_utf8(bytes).map_err(|_| wrong())?).into();
            staged = rest;
        } else if let Some(place) = number_of(&mut settings.config, number) {
            *place = value;
        } else {
            choose(&mut settings, number, value);
        }
    }
    let config = &mut settings.config;
    // As Java's producer has it: who asks for less than all replicas, and not for idempotence, does without it.
    config.enable_idempotence = idempotence.unwrap_or(config.acks == Acks::All && config.retries > 0);
    let least = MIN_BLOCKS * settings.limits.block_size;
    if settings.limits.buffer_memory < least {
        return Err(Failure::setting(format!("buffer.memory must be at least {least}")));
    }
    Ok(settings)
}

/// A page or a worker talks to few brokers and topics; what it holds back is bounded by `buffer.memory`.
fn limits() -> Limits {
    Limits { batches: 4096, partitions: 2048, topics: 512, brokers: 64, connections: 64, ..Limits::default() }
}

fn take(staged: &mut &[u8]) -> Option<u32> {
    let (number, rest) = staged.split_first_chunk()?;
    *staged = rest;
    Some(u32::from_le_bytes(*number))
}

fn text_of<'c>(config: &'c mut Config<'static>, number: u32) -> Option<&'c mut Text<'static>> {
    match number {
        0 => Some(&mut config.bootstrap_servers),
        1 => Some(&mut config.client_id),
        _ => None,
    }
}

/// Settings that are nothing but a number.
fn number_of<'c>(config: &'c mut Config<'static>, number: u32) -> Option<&'c mut u32> {
    Some(match number {
        2 => &mut config.retries,
        3 => &mut config.delivery_timeout_ms,
        4 => &mut config.request_timeout_ms,
        5 => &mut config.retry_backoff_ms,
        6 => &mut config.retry_backoff_max_ms,
        7 => &mut config.reconnect_backoff_ms,
        8 => &mut config.reconnect_backoff_max_ms,
        9 => &mut config.socket_connection_setup_timeout_ms,
        10 => &mut config.socket_connection_setup_timeout_max_ms,
        11 => &mut config.connections_max_idle_ms,
        12 => &mut config.batch_size,
        13 => &mut config.linger_ms,
        14 => &mut config.max_request_size,
        15 => &mut config.partitioner_availability_timeout_ms,
        16 => &mut config.metadata_max_age_ms,
        17 => &mut config.metadata_recovery_rebootstrap_trigger_ms,
        _ => return None,
    })
}

/// `enable.idempotence`, whose default depends on others.
const IDEMPOTENCE: u32 = 20;

/// The others: choices, by their place in the host's table.
fn choose(settings: &mut Settings, number: u32, value: u32) {
    let Settings { config, limits } = settings;
    match number {
        18 => limits.buffer_memory = value as usize,
        19 => config.max_in_flight_requests_per_connection = u8::try_from(value).unwrap_or(u8::MAX),
        21 => config.acks = [Acks::None, Acks::Leader].get(value as usize).copied().unwrap_or(Acks::All),
        22 if value > 0 => config.compression = Compression::Lz4,
        23 => config.allow_auto_create_topics = value > 0,
        24 => config.partitioner_ignore_keys = value > 0,
        25 => config.partitioner_adaptive_partitioning_enable = value > 0,
        26 if value > 0 => config.partitioner = Partitioner::RoundRobin,
        27 if value > 0 => config.metadata_recovery_strategy = MetadataRecoveryStrategy::None,
        28 if value > 0 => config.on_gap = OnGap::Resend,
        _ => {}
    }
}
