//! How a value that is legal in Kafka reaches its setting, in Kafka's syntax.

use std::borrow::Cow;

use crate::config::builder::Builder;
use crate::{Acks, Compression, MetadataRecoveryStrategy, OnGap, Partitioner};

/// Why a value was refused.
pub(super) enum Refused {
    /// What would be legal.
    Expected(Cow<'static, str>),
    /// What works today instead.
    NotYet(&'static str),
}

/// Sets a value.
pub(super) type Setter = fn(Builder, &str) -> Result<Builder, Refused>;
/// Puts a value of librdkafka's into Kafka's notation.
pub(super) type Conversion = fn(&str) -> String;

/// Times count up to this, 24 days. Java takes longer ones, which mean "never" in practice.
pub(super) const MS_MAX: u32 = i32::MAX as u32;

pub(super) const ACKS: &[(&str, Acks)] =
    &[("all", Acks::All), ("-1", Acks::All), ("0", Acks::None), ("1", Acks::Leader)];
pub(super) const ON_GAP: &[(&str, OnGap)] = &[("fail", OnGap::Fail), ("resend", OnGap::Resend)];

fn expected(what: &'static str) -> Refused {
    Refused::Expected(what.into())
}

pub(super) fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, Refused> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| expected("one of its words"))
}

pub(super) fn flag(value: &str) -> Result<bool, Refused> {
    choice(&value.to_ascii_lowercase(), &[("true", true), ("false", false)])
}

fn whole(value: &str) -> Result<i64, Refused> {
    value.parse().map_err(|_| expected("a whole number"))
}

/// A number that the table's range made fit.
pub(super) fn number<T: TryFrom<i64>>(value: &str) -> Result<T, Refused> {
    T::try_from(whole(value)?).map_err(|_| expected("a number that this computer can count to"))
}

/// Milliseconds or bytes; what is more than can be told apart from "never" counts as 2³¹−1.
pub(super) fn ms(value: &str) -> Result<u32, Refused> {
    number(&whole(value)?.min(MS_MAX.into()).to_string())
}

/// Milliseconds, of which there must be one.
pub(super) fn positive(value: &str) -> Result<u32, Refused> {
    match whole(value)? {
        ..1 => Err(Refused::Expected(format!("a whole number from 1 to {MS_MAX}").into())),
        _ => ms(value),
    }
}

/// Milliseconds; Java never closes idle connections with a negative time. The core's word for that is 0.
pub(super) fn ms_or_never(value: &str) -> Result<u32, Refused> {
    if whole(value)? < 0 { Ok(0) } else { ms(value) }
}

/// A number in a range that is narrower than Kafka's.
pub(super) fn within<T: TryFrom<i64>>(value: &str, min: u32, max: u32) -> Result<T, Refused> {
    let whole = whole(value)?;
    if whole < min.into() || whole > max.into() {
        return Err(Refused::Expected(format!("a whole number from {min} to {max}").into()));
    }
    number(value)
}

/// A size in bytes; −1 leaves it to the operating system.
pub(super) fn size_or_system(value: &str) -> Result<Option<usize>, Refused> {
    if value == "-1" { Ok(None) } else { number(value).map(Some) }
}

pub(super) fn dns_lookup(builder: Builder, value: &str) -> Result<Builder, Refused> {
    match value {
        "use_all_dns_ips" => Ok(builder),
        _ => Err(Refused::NotYet("all addresses of a name are tried")),
    }
}

pub(super) fn security_protocol(builder: Builder, value: &str) -> Result<Builder, Refused> {
    if value.eq_ignore_ascii_case("PLAINTEXT") {
        Ok(builder)
    } else {
        Err(Refused::NotYet("only PLAINTEXT works today"))
    }
}

pub(super) fn recovery(builder: Builder, value: &str) -> Result<Builder, Refused> {
    let strategies = [("rebootstrap", MetadataRecoveryStrategy::Rebootstrap), ("none", MetadataRecoveryStrategy::None)];
    Ok(builder.metadata_recovery_strategy(choice(&value.to_ascii_lowercase(), &strategies)?))
}

/// Whether the build has the codec is for [`Builder::build`] to say.
pub(super) fn compression(value: &str) -> Result<Compression, Refused> {
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    choice(value, &codecs.map(|codec| (codec.name(), codec)))
}

pub(super) fn partitioner(value: &str) -> Result<Partitioner, Refused> {
    // Java's class names, with or without their package, and librdkafka's words for the same.
    match value.rsplit_once('.').map_or(value, |(_, class)| class) {
        "" | "null" | "default" | "DefaultPartitioner" => Ok(Partitioner::Default),
        "RoundRobinPartitioner" | "round_robin" => Ok(Partitioner::RoundRobin),
        "UniformStickyPartitioner" => Err(Refused::NotYet("set partitioner.ignore.keys=true, which is the same")),
        "random" => Ok(Partitioner::Random),
        "consistent" => Ok(Partitioner::Consistent),
        "consistent_random" => Ok(Partitioner::ConsistentRandom),
        "murmur2" => Ok(Partitioner::Murmur2),
        "murmur2_random" => Ok(Partitioner::Murmur2Random),
        "fnv1a" => Ok(Partitioner::Fnv1a),
        "fnv1a_random" => Ok(Partitioner::Fnv1aRandom),
        _ => Err(expected(
            "default, round_robin, one of librdkafka's partitioners, or one of Java's own classes (for others, Builder::partitioner_with takes a function)",
        )),
    }
}

pub(super) fn same(value: &str) -> String {
    value.to_owned()
}

pub(super) fn five_at_most(value: &str) -> String {
    value.parse().map_or_else(|_| value.to_owned(), |number: u64| number.min(5).to_string())
}

pub(super) fn never_at_zero(value: &str) -> String {
    if value == "0" { MS_MAX.to_string() } else { value.to_owned() }
}

pub(super) fn never_below_zero(value: &str) -> String {
    if value.starts_with('-') { MS_MAX.to_string() } else { value.to_owned() }
}

pub(super) fn system_at_zero(value: &str) -> String {
    if value == "0" { "-1".to_owned() } else { value.to_owned() }
}

/// Milliseconds without their decimals.
pub(super) fn whole_part(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.to_owned(), |ms| (ms as i64).to_string())
}

/// KiB as bytes.
pub(super) fn kib(value: &str) -> String {
    value.parse::<i64>().map_or_else(|_| value.to_owned(), |kib| (kib << 10).to_string())
}
