//! ListOffsets (key 2), versions 1-7.

use crate::wire::{Decoded, Reader, Writer};

/// Asks for the end of the log.
pub(crate) const LATEST: i64 = -1;
/// Asks for the start of the log.
pub(crate) const EARLIEST: i64 = -2;
/// Asks for the record with the highest timestamp, v7+ (KIP-734).
pub(crate) const MAX_TIMESTAMP: i64 = -3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPartition {
    pub(crate) partition_index: i32,
    /// v4+.
    pub(crate) current_leader_epoch: i32,
    pub(crate) timestamp: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: Vec<RequestPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) replica_id: i32,
    /// v2+.
    pub(crate) isolation_level: i8,
    pub(crate) topics: Vec<RequestTopic<'a>>,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let request = Self {
            replica_id: r.i32()?,
            isolation_level: if version >= 2 { r.i8()? } else { 0 },
            topics: r.list(|r| {
                let topic = RequestTopic {
                    name: r.string()?,
                    partitions: r.list(|r| {
                        let partition = RequestPartition {
                            partition_index: r.i32()?,
                            current_leader_epoch: if version >= 4 { r.i32()? } else { -1 },
                            timestamp: r.i64()?,
                        };
                        r.tags()?;
                        Ok(partition)
                    })?,
                };
                r.tags()?;
                Ok(topic)
            })?,
        };
        r.tags()?;
        Ok(request)
    }

    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.replica_id);
        if version >= 2 {
            w.i8(self.isolation_level);
        }
        w.list(&self.topics, |w, topic| {
            w.string(topic.name);
            w.list(&topic.partitions, |w, p| {
                w.i32(p.partition_index);
                if version >= 4 {
                    w.i32(p.current_leader_epoch);
                }
                w.i64(p.timestamp);
                w.tags();
            });
            w.tags();
        });
        w.tags();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponsePartition {
    pub(crate) partition_index: i32,
    pub(crate) error_code: i16,
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
    /// v4+.
    pub(crate) leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseTopic {
    pub(crate) name: String,
    pub(crate) partitions: Vec<ResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// v2+.
    pub(crate) throttle_time_ms: i32,
    pub(crate) topics: Vec<ResponseTopic>,
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.list(&self.topics, |w, topic| {
            w.string(&topic.name);
            w.list(&topic.partitions, |w, p| {
                w.i32(p.partition_index);
                w.i16(p.error_code);
                w.i64(p.timestamp);
                w.i64(p.offset);
                if version >= 4 {
                    w.i32(p.leader_epoch);
                }
                w.tags();
            });
            w.tags();
        });
        w.tags();
    }

    pub(crate) fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let response = Self {
            throttle_time_ms: if version >= 2 { r.i32()? } else { 0 },
            topics: r.list(|r| {
                let topic = ResponseTopic {
                    name: r.string()?.to_owned(),
                    partitions: r.list(|r| {
                        let partition = ResponsePartition {
                            partition_index: r.i32()?,
                            error_code: r.i16()?,
                            timestamp: r.i64()?,
                            offset: r.i64()?,
                            leader_epoch: if version >= 4 { r.i32()? } else { -1 },
                        };
                        r.tags()?;
                        Ok(partition)
                    })?,
                };
                r.tags()?;
                Ok(topic)
            })?,
        };
        r.tags()?;
        Ok(response)
    }
}
