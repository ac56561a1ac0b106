//! Produce (key 0), versions 3-13.

use super::metadata::Broker;
use crate::wire::{Decoded, Reader, Uuid, Writer, field};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPartition<'a> {
    pub(crate) index: i32,
    pub(crate) records: Option<&'a [u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestTopic<'a> {
    /// v3-12; empty at v13.
    pub(crate) name: &'a str,
    /// v13+.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<RequestPartition<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) transactional_id: Option<&'a str>,
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) topics: Vec<RequestTopic<'a>>,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let request = Self {
            transactional_id: r.nullable_string()?,
            acks: r.i16()?,
            timeout_ms: r.i32()?,
            topics: r.list(|r| RequestTopic::decode(r, version))?,
        };
        r.tags()?;
        Ok(request)
    }
}

impl<'a> RequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let topic = Self {
            name: if version < 13 { r.string()? } else { "" },
            topic_id: if version >= 13 { r.uuid()? } else { [0; 16] },
            partitions: r.list(|r| {
                let partition = RequestPartition { index: r.i32()?, records: r.nullable_bytes()? };
                r.tags()?;
                Ok(partition)
            })?,
        };
        r.tags()?;
        Ok(topic)
    }
}

/// One refused record of a batch, v8+ (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordError {
    pub(crate) batch_index: i32,
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponsePartition {
    pub(crate) index: i32,
    pub(crate) error_code: i16,
    pub(crate) base_offset: i64,
    /// -1 for topics with CreateTime.
    pub(crate) log_append_time_ms: i64,
    /// v5+.
    pub(crate) log_start_offset: i64,
    /// v8+.
    pub(crate) record_errors: Vec<RecordError>,
    /// v8+.
    pub(crate) error_message: Option<String>,
    /// v10+ (KIP-951), tag 0: leader id and epoch; both -1 is "none".
    pub(crate) current_leader: (i32, i32),
}

impl ResponsePartition {
    /// A refusal without details.
    pub(crate) fn error(index: i32, error_code: i16) -> Self {
        Self {
            index,
            error_code,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: (-1, -1),
        }
    }

    fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.index);
        w.i16(self.error_code);
        w.i64(self.base_offset);
        w.i64(self.log_append_time_ms);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.list(&self.record_errors, |w, e| {
                w.i32(e.batch_index);
                w.nullable_string(e.message.as_deref());
                w.tags();
            });
            w.nullable_string(self.error_message.as_deref());
        }
        let mut tags = Vec::new();
        if version >= 10 && self.current_leader != (-1, -1) {
            let leader = field(|w| {
                w.i32(self.current_leader.0);
                w.i32(self.current_leader.1);
                w.tags();
            });
            tags.push((0, leader));
        }
        w.tagged(&tags);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseTopic {
    /// v3-12.
    pub(crate) name: String,
    /// v13+.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<ResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Response {
    pub(crate) topics: Vec<ResponseTopic>,
    pub(crate) throttle_time_ms: i32,
    /// v10+ (KIP-951), tag 0.
    pub(crate) node_endpoints: Vec<Broker>,
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.list(&self.topics, |w, topic| {
            if version >= 13 {
                w.raw(&topic.topic_id);
            } else {
                w.string(&topic.name);
            }
            w.list(&topic.partitions, |w, p| p.encode(w, version));
            w.tags();
        });
        // Last, unlike in most answers.
        w.i32(self.throttle_time_ms);
        let mut tags = Vec::new();
        if version >= 10 && !self.node_endpoints.is_empty() {
            let endpoints = field(|w| w.list(&self.node_endpoints, |w, b| b.encode(w)));
            tags.push((0, endpoints));
        }
        w.tagged(&tags);
    }
}
