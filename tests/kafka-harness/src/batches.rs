//! What `DumpLogSegments` prints, as Rust values.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// A record batch as it lies in a broker's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// How many records.
    pub count: i32,
    /// Sequence of the first record, -1 without idempotence.
    pub base_sequence: i32,
    /// Sequence of the last record, -1 without idempotence.
    pub last_sequence: i32,
    /// Producer id, -1 without idempotence.
    pub producer_id: i64,
    /// Producer epoch, -1 without idempotence.
    pub producer_epoch: i16,
    /// Version of the batch's format.
    pub magic: i8,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub codec: String,
    /// The CRC is that of the bytes.
    pub is_valid: bool,
}

/// Parses a dump of segments without their records: a line per batch, below a line that names the segment.
pub(crate) fn parse_batches(text: &str) -> Result<Vec<LogBatch>> {
    let mut batches = Vec::new();
    let mut segment = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("Dumping ") {
            segment = partition_of(path);
        } else if line.starts_with("baseOffset: ") {
            let batch = segment.as_ref().and_then(|(topic, partition)| parse(line, topic, *partition));
            batches.push(batch.ok_or_else(|| Error::new(format!("DumpLogSegments printed what is no batch: {line}")))?);
        } else if line.starts_with("Found ") {
            return Err(Error::new(format!("a damaged log: {text}")));
        }
    }
    batches.sort_by(|a, b| (&a.topic, a.partition, a.base_offset).cmp(&(&b.topic, b.partition, b.base_offset)));
    Ok(batches)
}

/// `…/my-topic-3/00000000000000000000.log` is partition 3 of `my-topic`.
fn partition_of(path: &str) -> Option<(String, i32)> {
    let (topic, partition) = path.rsplit('/').nth(1)?.rsplit_once('-')?;
    Some((topic.to_owned(), partition.parse().ok()?))
}

/// The order of the fields differs between versions, their names do not.
fn parse(line: &str, topic: &str, partition: i32) -> Option<LogBatch> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let fields: HashMap<&str, &str> =
        words.windows(2).filter_map(|pair| Some((pair[0].strip_suffix(':')?, pair[1]))).collect();
    Some(LogBatch {
        topic: topic.to_owned(),
        partition,
        base_offset: fields.get("baseOffset")?.parse().ok()?,
        count: fields.get("count")?.parse().ok()?,
        base_sequence: fields.get("baseSequence")?.parse().ok()?,
        last_sequence: fields.get("lastSequence")?.parse().ok()?,
        producer_id: fields.get("producerId")?.parse().ok()?,
        producer_epoch: fields.get("producerEpoch")?.parse().ok()?,
        magic: fields.get("magic")?.parse().ok()?,
        codec: fields.get("compresscodec")?.to_lowercase(),
        is_valid: *fields.get("isvalid")? == "true",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_old_and_new_versions() {
        let text = "Dumping data1/a-b-3/00000000000000000000.log\nStarting offset: 0\n\
            baseOffset: 0 lastOffset: 4 count: 5 baseSequence: 0 lastSequence: 4 producerId: 7 producerEpoch: 1 \
            partitionLeaderEpoch: 0 isTransactional: false isControl: false position: 0 CreateTime: 9 isvalid: true \
            size: 85 magic: 2 compresscodec: LZ4 crc: 1\n\
            baseOffset: 5 lastOffset: 5 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 \
            partitionLeaderEpoch: 0 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty \
            position: 85 CreateTime: 9 size: 70 magic: 2 compresscodec: none crc: 1 isvalid: false\n";
        let batches = parse_batches(text).unwrap();
        assert_eq!((batches[0].topic.as_str(), batches[0].partition), ("a-b", 3));
        assert_eq!((batches[0].last_sequence, batches[0].producer_id, batches[0].codec.as_str()), (4, 7, "lz4"));
        assert!(batches[0].is_valid && !batches[1].is_valid);
        assert_eq!((batches[1].base_offset, batches[1].producer_epoch, batches[1].codec.as_str()), (5, -1, "none"));
        assert!(parse_batches("Dumping /x/t-0/0.log\nbaseOffset: 1 oops\n").is_err());
    }
}
