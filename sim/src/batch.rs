//! Record batch v2: its header, its records, and what a leader checks before it appends one.

use crate::compression::{Codec, Failure, decompress};
use crate::error;
use crate::protocol::produce::RecordError;
use crate::wire::{Decoded, Malformed, Reader};

/// Bytes before the records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batchLength` counts.
const LENGTH_OVERHEAD: usize = 12;
/// Where the CRC's own coverage starts.
const CRC_FROM: usize = 21;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The 61 bytes in front of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, its first 12 included.
    pub(crate) total_bytes: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8]) -> Decoded<Self> {
        let mut r = Reader::new(bytes, false);
        let base_offset = r.i64()?;
        let length = r.i32()?;
        let header = Self {
            base_offset,
            total_bytes: usize::try_from(length).map_err(|_| Malformed::Length)? + LENGTH_OVERHEAD,
            leader_epoch: r.i32()?,
            magic: r.i8()?,
            crc: r.u32()?,
            attributes: r.i16()?,
            last_offset_delta: r.i32()?,
            base_timestamp: r.i64()?,
            max_timestamp: r.i64()?,
            producer_id: r.i64()?,
            producer_epoch: r.i16()?,
            base_sequence: r.i32()?,
            record_count: r.i32()?,
        };
        if header.total_bytes < HEADER_BYTES {
            return Err(Malformed::Length);
        }
        Ok(header)
    }

    pub(crate) fn codec(&self) -> Option<Codec> {
        Codec::from_attributes(self.attributes)
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// The sequence of the last record; the space wraps from `i32::MAX` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }
}

pub(crate) fn increment_sequence(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

/// One record, borrowed from the (decompressed) records of its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordView<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    header_count: i32,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    #[inline]
    pub(crate) fn next(r: &mut Reader<'a>) -> Decoded<Self> {
        let length = usize::try_from(r.varint()?).map_err(|_| Malformed::Length)?;
        let mut body = Reader::new(r.take(length)?, false);
        let _attributes = body.i8()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = var_bytes(&mut body)?;
        let value = var_bytes(&mut body)?;
        let header_count = body.varint()?;
        if header_count < 0 {
            return Err(Malformed::Length);
        }
        let headers = body.take(body.remaining())?;
        let view = Self { timestamp_delta, offset_delta, key, value, header_count, headers };
        view.each_header(|_, _| ())?;
        Ok(view)
    }

    /// Calls `see` for each header, in order.
    pub(crate) fn each_header(&self, mut see: impl FnMut(&'a str, Option<&'a [u8]>)) -> Decoded<()> {
        let mut r = Reader::new(self.headers, false);
        for _ in 0..self.header_count {
            let key = var_bytes(&mut r)?.ok_or(Malformed::Length)?;
            let key = str::from_utf8(key).map_err(|_| Malformed::Utf8)?;
            see(key, var_bytes(&mut r)?);
        }
        if r.remaining() > 0 {
            return Err(Malformed::Length);
        }
        Ok(())
    }
}

fn var_bytes<'a>(r: &mut Reader<'a>) -> Decoded<Option<&'a [u8]>> {
    match r.varint()? {
        -1 => Ok(None),
        n => {
            let n = usize::try_from(n).map_err(|_| Malformed::Length)?;
            r.take(n).map(Some)
        }
    }
}

/// A record as it stands in a partition's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place in the log.
    pub offset: i64,
    /// Milliseconds; the broker's clock for topics with `LogAppendTime`, -1 if there is none.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, if any.
    pub value: Option<Vec<u8>>,
    /// Header keys and values in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The producer's id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// This record's own sequence number, or -1.
    pub sequence: i32,
    /// The sequence number of the first record of its batch, or -1.
    pub batch_base_sequence: i32,
    /// The offset of the first record of its batch.
    pub batch_base_offset: i64,
    /// How its batch was compressed.
    pub codec: Codec,
    /// The leader epoch under which it was appended.
    pub leader_epoch: i32,
}

/// Decodes all records of one batch whose header is given.
pub(crate) fn decode_records(header: &Header, batch: &[u8], mut see: impl FnMut(StoredRecord)) -> Decoded<()> {
    let codec = header.codec().ok_or(Malformed::Version)?;
    let payload = batch.get(HEADER_BYTES..header.total_bytes).ok_or(Malformed::Truncated)?;
    let plain;
    let payload = if codec == Codec::None {
        payload
    } else {
        plain = decompress(codec, payload).map_err(|_| Malformed::Length)?;
        &plain
    };
    let mut r = Reader::new(payload, false);
    for _ in 0..header.record_count {
        let view = RecordView::next(&mut r)?;
        let mut headers = Vec::new();
        view.each_header(|key, value| headers.push((key.to_owned(), value.map(<[u8]>::to_vec))))?;
        let sequence =
            if header.base_sequence < 0 { -1 } else { increment_sequence(header.base_sequence, view.offset_delta) };
        see(StoredRecord {
            offset: header.base_offset.checked_add(view.offset_delta.into()).ok_or(Malformed::Length)?,
            timestamp: if header.has_log_append_time() {
                header.max_timestamp
            } else {
                header.base_timestamp.wrapping_add(view.timestamp_delta)
            },
            key: view.key.map(<[u8]>::to_vec),
            value: view.value.map(<[u8]>::to_vec),
            headers,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            sequence,
            batch_base_sequence: header.base_sequence,
            batch_base_offset: header.base_offset,
            codec,
            leader_epoch: header.leader_epoch,
        });
    }
    Ok(())
}

/// What the topic and the request demand of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) produce_version: i16,
    pub(crate) max_message_bytes: usize,
    pub(crate) segment_bytes: usize,
    pub(crate) compacted: bool,
    /// Oldest and newest timestamp that is let in.
    pub(crate) timestamps: (i64, i64),
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error_code: i16,
    pub(crate) message: String,
    pub(crate) record_errors: Vec<RecordError>,
}

impl Refusal {
    pub(crate) fn new(error_code: i16, message: impl Into<String>) -> Self {
        Self { error_code, message: message.into(), record_errors: Vec::new() }
    }
}

/// Checks what a produce request carries for one partition, in the order in which Kafka does.
pub(crate) fn validate(records: Option<&[u8]>, rules: &Rules) -> Result<Header, Refusal> {
    let invalid = |message: &str| Refusal::new(error::INVALID_RECORD, message);
    let bytes = records.unwrap_or_default();
    if bytes.len() < HEADER_BYTES {
        return Err(invalid("Produce requests must have exactly one record batch per partition"));
    }
    // Older magics have another layout, so this comes before everything else.
    if bytes[16] != 2 {
        return Err(invalid("Produce requests must contain record batches with magic version 2"));
    }
    let header =
        Header::decode(bytes).map_err(|_| Refusal::new(error::CORRUPT_MESSAGE, "Record batch has a wrong length"))?;
    if header.total_bytes != bytes.len() {
        return Err(invalid("Produce requests must have exactly one record batch per partition"));
    }
    let codec = header.codec();
    if codec == Some(Codec::Zstd) && rules.produce_version < 7 {
        // KIP-110: clients that speak an older version could not read it back.
        return Err(Refusal::new(
            error::UNSUPPORTED_COMPRESSION_TYPE,
            "Produce requests before version 7 must not use ZStandard compression",
        ));
    }
    if bytes.len() > rules.max_message_bytes {
        let message = format!(
            "The record batch size is {} bytes which exceeds the maximum configured value of {}",
            bytes.len(),
            rules.max_message_bytes
        );
        return Err(Refusal::new(error::MESSAGE_TOO_LARGE, message));
    }
    if bytes.len() > rules.segment_bytes {
        let message = "Message batch exceeds the maximum configured segment size";
        return Err(Refusal::new(error::RECORD_LIST_TOO_LARGE, message));
    }
    if crc32c::crc32c(&bytes[CRC_FROM..]) != header.crc {
        return Err(Refusal::new(error::CORRUPT_MESSAGE, "Record is corrupt"));
    }
    check_header(&header)?;
    let codec = codec.ok_or_else(|| invalid("Unknown compression type id"))?;
    check_payload(&header, codec, &bytes[HEADER_BYTES..], rules)?;
    Ok(header)
}

fn check_header(header: &Header) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(error::INVALID_RECORD, message));
    if header.base_offset != 0 {
        return invalid("The base offset of the record batch must be 0");
    }
    if header.record_count <= 0 || header.last_offset_delta.wrapping_add(1) != header.record_count {
        return invalid("Inconsistent record count and last offset delta");
    }
    if header.is_control() {
        return invalid("Clients are not allowed to write control records");
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return invalid("Invalid sequence number in record batch with a producer id");
    }
    Ok(())
}

fn check_payload(header: &Header, codec: Codec, payload: &[u8], rules: &Rules) -> Result<(), Refusal> {
    if codec == Codec::None {
        return walk(header, payload, rules);
    }
    let plain = decompress(codec, payload).map_err(|failure| match failure {
        Failure::Unavailable => {
            Refusal::new(error::UNSUPPORTED_COMPRESSION_TYPE, "The broker was built without this codec")
        }
        Failure::Corrupt => Refusal::new(error::INVALID_RECORD, "The records cannot be decompressed"),
    })?;
    walk(header, &plain, rules)
}

/// Every record, without allocating unless one is refused.
fn walk(header: &Header, payload: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let mut r = Reader::new(payload, false);
    let mut refused: Vec<RecordError> = Vec::new();
    let mut error_code = error::INVALID_RECORD;
    for index in 0..header.record_count {
        let Ok(record) = RecordView::next(&mut r) else {
            let message = format!("Record {index} of the batch cannot be parsed");
            return Err(Refusal::new(error::INVALID_RECORD, message));
        };
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        let (oldest, newest) = rules.timestamps;
        let message = if record.offset_delta != index {
            "Inner record does not have incremental offsets"
        } else if rules.compacted && record.key.is_none() {
            "Compacted topic cannot accept message without key"
        } else if timestamp != -1 && (timestamp < oldest || timestamp > newest) {
            error_code = error::INVALID_TIMESTAMP;
            "Timestamp of message is out of range"
        } else {
            continue;
        };
        refused.push(RecordError { batch_index: index, message: Some(message.to_owned()) });
    }
    if r.remaining() > 0 {
        return Err(Refusal::new(error::INVALID_RECORD, "There are bytes after the last record of the batch"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        error_code,
        message: format!("One or more records have been rejected due to {} record errors in total", refused.len()),
        record_errors: refused,
    })
}

/// Stamps what the leader decides into a batch that is about to be stored. Offset and leader epoch are outside the CRC;
/// a log append time is inside.
pub(crate) fn stamp(
    batch: &mut [u8],
    header: &mut Header,
    base_offset: i64,
    leader_epoch: i32,
    log_append_time: Option<i64>,
) {
    header.base_offset = base_offset;
    header.leader_epoch = leader_epoch;
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if let Some(now) = log_append_time {
        header.attributes |= LOG_APPEND_TIME;
        header.max_timestamp = now;
        batch[21..23].copy_from_slice(&header.attributes.to_be_bytes());
        batch[35..43].copy_from_slice(&now.to_be_bytes());
        header.crc = crc32c::crc32c(&batch[CRC_FROM..]);
        batch[17..21].copy_from_slice(&header.crc.to_be_bytes());
    }
}
