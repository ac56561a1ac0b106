//! What needs no host.

use std::format;
use std::vec::Vec;

use klamm_core::{Acks, Compression};

use crate::{settings, staging};

fn record(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let len = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i32).to_le_bytes();
    let mut staged = Vec::new();
    staged.extend(7u32.to_le_bytes());
    staged.extend(3i32.to_le_bytes());
    staged.extend(12.0f64.to_le_bytes());
    staged.extend(len(key));
    staged.extend(len(value));
    staged.extend((headers.len() as u32).to_le_bytes());
    staged.extend(key.unwrap_or_default());
    staged.extend(value.unwrap_or_default());
    for (name, value) in headers {
        staged.extend((name.len() as u32).to_le_bytes());
        staged.extend(len(*value));
        staged.extend(name.as_bytes());
        staged.extend(value.unwrap_or_default());
    }
    staged
}

#[test]
fn records_are_read_as_they_were_staged() {
    let mut staged = record(Some(b""), None, &[("a", Some(b"1")), ("", None)]);
    staged.extend(record(None, Some(b"v"), &[]));
    let mut rest = &staged[..];
    let first = staging::take(&mut rest).unwrap();
    assert_eq!((first.topic, first.partition, first.timestamp), (7, Some(3), Some(12)));
    assert_eq!((first.key, first.value), (Some(&b""[..]), None));
    let headers: Vec<_> = first.headers.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("a", Some(&b"1"[..])), ("", None)]);
    let second = staging::take(&mut rest).unwrap();
    assert_eq!((second.key, second.value, second.headers.len()), (None, Some(&b"v"[..]), 0));
    assert!(rest.is_empty());
}

#[test]
fn cut_off_records_are_none() {
    let staged = record(Some(b"key"), Some(b"value"), &[("name", Some(b"header"))]);
    assert!(staged.len() > staging::FIXED);
    for len in 0..staged.len() {
        assert!(staging::take(&mut &staged[..len]).is_none(), "{len} bytes");
    }
    // A count or a length that lies asks for no memory.
    let mut lying = record(None, None, &[]);
    lying[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(staging::take(&mut &lying[..]).is_none());
}

/// As `wasm/js/settings.js` stages them.
fn stage(texts: &[(u32, &str)], numbers: &[(u32, u32)]) -> Vec<u8> {
    let mut staged = Vec::new();
    for (number, text) in texts {
        staged.extend(number.to_le_bytes());
        staged.extend((text.len() as u32).to_le_bytes());
        staged.extend(text.as_bytes());
    }
    for (number, value) in numbers {
        staged.extend(number.to_le_bytes());
        staged.extend(value.to_le_bytes());
    }
    staged
}

#[test]
fn settings_are_read_as_they_were_staged() {
    let staged = stage(&[(0, "a:1"), (1, "me")], &[(21, 1), (22, 1), (13, 7), (18, 1 << 20), (19, 3)]);
    let settings = settings::read(&staged).unwrap();
    let config = settings.config;
    assert_eq!((config.bootstrap_servers.as_str(), config.client_id.as_str()), ("a:1", "me"));
    assert_eq!((config.acks, config.compression), (Acks::Leader, Compression::Lz4));
    assert_eq!((config.linger_ms, settings.limits.buffer_memory), (7, 1 << 20));
    assert_eq!(config.max_in_flight_requests_per_connection, 3);
    // Nobody asked for it, and it cannot be had with acks=1.
    assert!(!config.enable_idempotence);
    assert!(settings::read(&stage(&[], &[(21, 1), (20, 1)])).unwrap().config.validate().is_err());
    assert!(settings::read(&[]).unwrap().config.enable_idempotence);
}

/// The names in the table of `wasm/js/settings.js`, in its order.
fn host_names() -> Vec<&'static str> {
    let script = include_str!("../../js/settings.js");
    let table = script.split_once("new Map(Object.entries({").unwrap().1.split_once("})").unwrap().0;
    table.lines().filter_map(|line| line.trim().strip_prefix('\'')?.split_once("': ")).map(|(name, _)| name).collect()
}

/// The name of the first field that differs.
fn changed<'t>(before: &'t str, after: &str) -> &'t str {
    let at = before.bytes().zip(after.bytes()).position(|(before, after)| before != after).unwrap();
    let name = before[..at].rsplit_once(": ").unwrap().0;
    name.rsplit_once(' ').unwrap().1
}

#[test]
fn the_host_means_the_same_settings() {
    let read = |texts: &[(u32, &str)], numbers: &[(u32, u32)]| {
        // Said before, so that its default changes with no other.
        let staged = [stage(&[], &[(20, 1)]), stage(texts, numbers)].concat();
        format!("{:?}", settings::read(&staged).unwrap())
    };
    let plain = read(&[], &[]);
    let names = host_names();
    assert_eq!(names.len(), 29);
    for (number, name) in (0..).zip(names) {
        let other = match number {
            0 | 1 => read(&[(number, "other")], &[]),
            18 => read(&[], &[(number, 1 << 20)]),
            // There unless it is refused.
            20 | 23 | 25 => read(&[], &[(number, 0)]),
            21 => read(&[], &[(number, 1)]),
            _ => read(&[], &[(number, 4)]),
        };
        let plain_name = name.trim_end_matches(".type").trim_end_matches(".class").replace('.', "_");
        assert_eq!(changed(&plain, &other), plain_name, "{number}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    let small = settings::read(&stage(&[], &[(18, 1000)])).unwrap_err();
    assert!(small.text.starts_with("buffer.memory"), "{small:?}");
    let staged = stage(&[(0, "a:1")], &[(13, 7)]);
    for len in [1, 4, 7, 8, 10, 12, 15, 18] {
        assert_eq!(settings::read(&staged[..len]).unwrap_err().name, "INTERNAL_ERROR", "{len} bytes");
    }
}
