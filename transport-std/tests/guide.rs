//! The error handbook knows every error that there is, in its own words.

use klamm::{CloseError, DeliveryErrorKind, ErrorCode, SendError};
use std::time::Duration;

const HANDBOOK: &str = include_str!("../guide/errors.md");

/// Variants as the source lists them: an error that is added without a line in the handbook is found.
fn variants(source: &'static str, name: &str) -> Vec<&'static str> {
    let start = source.find(&format!("pub enum {name} {{")).expect("the enum is there");
    let body = &source[start..];
    let body = &body[..body.find("\n}").expect("it ends")];
    let lines = body.lines().skip(1).filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    lines
        .filter_map(|line| line.trim().split(['(', '{', ',', ' ']).next())
        .filter(|word| word.starts_with(char::is_uppercase))
        .collect()
}

#[test]
fn every_variant_has_its_line() {
    let std = include_str!("../src/error.rs");
    let core = include_str!("../../core/src/error.rs");
    let enums = [(std, "ConfigError"), (std, "SendError"), (std, "DeliveryErrorKind"), (core, "Problem")];
    for (source, name) in enums {
        let variants = variants(source, name);
        assert!(variants.len() > 4, "{name}: {variants:?}");
        for variant in variants.into_iter().filter(|variant| *variant != "Other") {
            assert!(HANDBOOK.contains(&format!("| `{variant}` |")), "{name}::{variant} is not in the handbook");
        }
    }
}

#[test]
fn messages_are_as_printed() {
    let said = |text: String, words: &str| {
        assert!(text.contains(words), "{text:?} does not contain {words:?}");
        assert!(HANDBOOK.contains(words), "the handbook does not contain {words:?}");
    };
    said(SendError::Full.to_string(), "buffer.memory is exhausted");
    said(SendError::PartitionsUnknown.to_string(), "the topic's partitions are not known yet");
    said(SendError::NoSuchPartition { partitions: 3 }.to_string(), "no such partition: the topic has");
    said(SendError::InvalidTimestamp.to_string(), "a timestamp must not be negative");
    said(SendError::Closed.to_string(), "the producer is closed");
    said(SendError::Broken.to_string(), "klamm's I/O thread panicked");
    said(SendError::Fatal(ErrorCode::UNSUPPORTED_VERSION).to_string(), "the producer cannot go on");
    let cause = "no metadata for topic".into();
    said(SendError::Timeout { waited: Duration::ZERO, cause }.to_string(), "no metadata for topic");
    for (kind, words) in [
        (DeliveryErrorKind::TimedOut { last: ErrorCode::NONE }, "not delivered within delivery.timeout.ms"),
        (DeliveryErrorKind::RecordTooLarge, "larger than the topic's max.message.bytes"),
        (DeliveryErrorKind::SequenceGap, "an earlier batch of the partition was lost"),
        (DeliveryErrorKind::NoSuchPartition, "the partition does not exist"),
        (DeliveryErrorKind::UnsupportedVersion, "the broker is too old"),
        (DeliveryErrorKind::Closed, "the producer was closed before it was delivered"),
        (DeliveryErrorKind::Broker(ErrorCode::INVALID_RECORD), "the broker answered"),
    ] {
        said(kind.to_string(), words);
    }
    // Made by `close` only.
    let _: fn(&CloseError) -> u64 = |error| error.undelivered;
}

#[test]
fn codes_that_a_producer_meets_are_explained() {
    for code in [
        -1, 2, 3, 5, 6, 7, 10, 13, 18, 19, 20, 21, 29, 31, 32, 35, 44, 45, 46, 47, 56, 59, 74, 75, 76, 87, 89, 100, 103,
    ] {
        let code = ErrorCode::from(code);
        let text = format!("`{}` ({})", code.name().unwrap(), code.code()).replace("(-", "(−");
        assert!(HANDBOOK.contains(&text), "{text}");
    }
}
