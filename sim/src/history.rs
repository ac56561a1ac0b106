//! What the brokers saw.

use crate::cluster::connection::ConnectionId;

/// One request as a broker read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// When its last byte arrived.
    pub now_ms: u64,
    /// The broker that read it.
    pub broker: i32,
    /// On which connection.
    pub connection: ConnectionId,
    /// The API key.
    pub api_key: i16,
    /// The version.
    pub api_version: i16,
    /// The client's number for it.
    pub correlation_id: i32,
    /// The client's name.
    pub client_id: Option<String>,
    /// Bytes of the frame, without the size field.
    pub bytes: usize,
    /// Produce: the acks; 0 otherwise.
    pub acks: i16,
    /// Produce: one entry per partition; empty for other APIs, and for requests that a fault kept from being processed.
    pub batches: Vec<SeenBatch>,
}

/// What a produce request carried for one partition, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBatch {
    /// The topic's name; empty if its id is unknown.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The producer's id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records.
    pub records: i32,
    /// Bytes of the batch.
    pub bytes: usize,
    /// Its CRC: over everything from the attributes to the last record.
    pub crc: u32,
    /// The code in the answer; 0 as long as the answer waits for the replicas in sync.
    pub error_code: i16,
    /// The offset in the answer.
    pub base_offset: i64,
    /// Whether the log grew by it: false for a refused batch and for a duplicate.
    pub appended: bool,
}
