//! What `ReadBack.java` prints, as Rust values.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Context, Error, Result};

/// A record as the Java consumer saw it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, -1 for none.
    pub timestamp: i64,
    /// `CreateTime`, `LogAppendTime` or `NoTimestampType`.
    pub timestamp_type: String,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers in order, repeated names kept.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Parses one record per line.
pub(crate) fn parse_records(text: &str) -> Result<Vec<ReadRecord>> {
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| parse(line).ok_or_else(|| Error::new(format!("ReadBack printed what is not a record: {line}"))))
        .collect()
}

fn parse(line: &str) -> Option<ReadRecord> {
    let json: Value = serde_json::from_str(line).ok()?;
    let headers = json["headers"].as_array()?.iter().map(|header| {
        let name = header.get(0)?.as_str()?.to_owned();
        Some((name, bytes(header.get(1)?)?))
    });
    Some(ReadRecord {
        topic: json["topic"].as_str()?.to_owned(),
        partition: json["partition"].as_i64()?.try_into().ok()?,
        offset: json["offset"].as_i64()?,
        timestamp: json["timestamp"].as_i64()?,
        timestamp_type: json["timestampType"].as_str()?.to_owned(),
        key: bytes(&json["key"])?,
        value: bytes(&json["value"])?,
        headers: headers.collect::<Option<_>>()?,
    })
}

/// Outer `None`: not base64. Inner `None`: null.
fn bytes(json: &Value) -> Option<Option<Vec<u8>>> {
    match json {
        Value::Null => Some(None),
        Value::String(text) => STANDARD.decode(text).ok().map(Some),
        _ => None,
    }
}

/// Parses the one line of the count mode: `{"0":12,"1":0}`.
pub(crate) fn parse_counts(text: &str) -> Result<BTreeMap<i32, u64>> {
    let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let json: BTreeMap<String, u64> =
        serde_json::from_str(line).context(|| format!("ReadBack printed no counts: {text}"))?;
    json.into_iter()
        .map(|(partition, n)| Ok((partition.parse().context(|| "a partition that is no number".into())?, n)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_are_told_apart() {
        let line = r#"{"topic":"t","partition":1,"offset":2,"timestamp":3,"timestampType":"CreateTime","key":null,"value":"","headers":[["a","/w=="],["a",null]]}"#;
        let records = parse_records(line).unwrap();
        assert_eq!(records[0].key, None);
        assert_eq!(records[0].value, Some(Vec::new()));
        assert_eq!(records[0].headers, [("a".to_owned(), Some(vec![0xff])), ("a".to_owned(), None)]);
    }

    #[test]
    fn counts() {
        let counts = parse_counts("{\"0\":12,\"11\":0}\n").unwrap();
        assert_eq!(counts, BTreeMap::from([(0, 12), (11, 0)]));
        assert!(parse_counts("Exception in thread").is_err());
    }
}
