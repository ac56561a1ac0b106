//! Frames, as kafka-protocol reads and writes them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_protocol::records::{
    BatchDecodeInfo, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, RecordSet,
};

use crate::generate::Tags;

/// A request that the core wrote.
#[derive(Clone, Debug)]
pub struct Request {
    /// Port of the broker that it went to.
    pub port: u16,
    /// The API.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// The header.
    pub header: RequestHeader,
    /// The body.
    pub body: RequestKind,
}

impl Request {
    /// Decodes a frame, without its size.
    ///
    /// # Panics
    /// If kafka-protocol cannot decode it, leaves bytes over, or would have written other bytes for the same contents. So one
    /// look at the fields is a look at every byte.
    #[must_use]
    pub fn decode(port: u16, frame: &[u8]) -> Self {
        let word = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let version = word(2);
        let api = ApiKey::try_from(word(0)).unwrap_or_else(|()| panic!("no such API: {frame:02x?}"));
        let mut bytes = Bytes::copy_from_slice(frame);
        let header_version = api.request_header_version(version);
        let header = RequestHeader::decode(&mut bytes, header_version)
            .unwrap_or_else(|error| panic!("header of {api:?} v{version}: {error}\n{frame:02x?}"));
        let body = RequestKind::decode(api, &mut bytes, version)
            .unwrap_or_else(|error| panic!("{api:?} v{version}: {error}\n{frame:02x?}"));
        assert!(bytes.is_empty(), "{api:?} v{version}: {} bytes left over", bytes.len());
        let mut again = BytesMut::new();
        header.encode(&mut again, header_version).expect("what was decoded can be encoded");
        body.encode(&mut again, version).expect("what was decoded can be encoded");
        assert_eq!(again, frame, "{api:?} v{version} is not canonical");
        Self { port, api, version, header, body }
    }

    /// The frame of an answer to this request.
    #[must_use]
    pub fn respond(&self, header_tags: &Tags, body: &impl Encodable) -> Vec<u8> {
        self.respond_as(self.version, header_tags, body)
    }

    /// The same in another version than was asked for.
    ///
    /// # Panics
    /// If kafka-protocol cannot encode it.
    #[must_use]
    pub fn respond_as(&self, version: i16, header_tags: &Tags, body: &impl Encodable) -> Vec<u8> {
        let header = ResponseHeader::default()
            .with_correlation_id(self.header.correlation_id)
            .with_unknown_tagged_fields(header_tags.clone());
        let mut bytes = BytesMut::new();
        header.encode(&mut bytes, self.api.response_header_version(version)).expect("a header");
        body.encode(&mut bytes, version).unwrap_or_else(|error| panic!("{:?} v{version}: {error}", self.api));
        framed(&bytes)
    }
}

/// Puts the size in front.
///
/// # Panics
/// Beyond 2 GiB.
#[must_use]
pub fn framed(contents: &[u8]) -> Vec<u8> {
    let size = i32::try_from(contents.len()).expect("a frame has less than 2 GiB");
    [&size.to_be_bytes(), contents].concat()
}

/// The one batch of a partition of a Produce request: its header and its records.
///
/// # Panics
/// If it is not exactly one batch, which is all that brokers accept, or if its CRC is wrong; and, where there is one way only
/// to write the batch, if kafka-protocol would write it otherwise.
#[must_use]
pub fn decode_batch(records: &Bytes) -> (BatchDecodeInfo, RecordSet) {
    let infos = RecordBatchDecoder::decode_batch_info(&mut records.clone()).expect("a batch header");
    let [info] = <[BatchDecodeInfo; 1]>::try_from(infos).expect("one batch");
    let mut rest = records.clone();
    let set = RecordBatchDecoder::decode(&mut rest).expect("a batch");
    assert!(rest.is_empty(), "{} bytes behind the batch", rest.len());
    if is_canonical(&info, &set) {
        let mut again = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: info.compression };
        RecordBatchEncoder::encode(&mut again, &set.records, &options).expect("what was decoded can be encoded");
        assert_eq!(again, records, "the batch is not canonical");
    }
    (info, set)
}

/// kafka-protocol takes the least timestamp as base, where Kafka and klamm take the first. Compressed bytes are up to the
/// compressor. (It also keeps one header per name; so names do not repeat in what is generated.)
fn is_canonical(info: &BatchDecodeInfo, set: &RecordSet) -> bool {
    let compressed = info.compression != kafka_protocol::records::Compression::None;
    let least = set.records.iter().map(|record| record.timestamp).min();
    !compressed && least == Some(info.min_timestamp)
}
