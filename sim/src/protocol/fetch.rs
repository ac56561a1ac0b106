//! Fetch (key 1), versions 4-13.

use crate::wire::{Decoded, Reader, Uuid, Writer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPartition {
    pub(crate) partition: i32,
    /// v9+.
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    /// v12+.
    pub(crate) last_fetched_epoch: i32,
    /// v5+.
    pub(crate) log_start_offset: i64,
    pub(crate) partition_max_bytes: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestTopic<'a> {
    /// v4-12.
    pub(crate) topic: &'a str,
    /// v13+ (KIP-516).
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<RequestPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) replica_id: i32,
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) isolation_level: i8,
    /// v7+ (KIP-227).
    pub(crate) session_id: i32,
    /// v7+; -1 is sessionless.
    pub(crate) session_epoch: i32,
    pub(crate) topics: Vec<RequestTopic<'a>>,
    /// v11+.
    pub(crate) rack_id: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let mut request = Self {
            replica_id: r.i32()?,
            max_wait_ms: r.i32()?,
            min_bytes: r.i32()?,
            max_bytes: r.i32()?,
            isolation_level: r.i8()?,
            session_id: if version >= 7 { r.i32()? } else { 0 },
            session_epoch: if version >= 7 { r.i32()? } else { -1 },
            topics: r.list(|r| RequestTopic::decode(r, version))?,
            rack_id: "",
        };
        if version >= 7 {
            // Topics forgotten by a session: we never grant one, so there is nothing to forget.
            r.list(|r| {
                skip_topic(r, version)?;
                r.list(Reader::i32)?;
                r.tags()
            })?;
        }
        if version >= 11 {
            request.rack_id = r.string()?;
        }
        r.tags()?;
        Ok(request)
    }

    /// For the reader, versions 4-12.
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.replica_id);
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if version >= 7 {
            w.i32(self.session_id);
            w.i32(self.session_epoch);
        }
        w.list(&self.topics, |w, topic| {
            w.string(topic.topic);
            w.list(&topic.partitions, |w, p| p.encode(w, version));
            w.tags();
        });
        if version >= 7 {
            w.i32_list(&[]);
        }
        if version >= 11 {
            w.string(self.rack_id);
        }
        w.tags();
    }
}

fn skip_topic(r: &mut Reader<'_>, version: i16) -> Decoded<()> {
    if version >= 13 {
        r.uuid()?;
    } else {
        r.string()?;
    }
    Ok(())
}

impl<'a> RequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let topic = Self {
            topic: if version < 13 { r.string()? } else { "" },
            topic_id: if version >= 13 { r.uuid()? } else { [0; 16] },
            partitions: r.list(|r| RequestPartition::decode(r, version))?,
        };
        r.tags()?;
        Ok(topic)
    }
}

impl RequestPartition {
    fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let partition = Self {
            partition: r.i32()?,
            current_leader_epoch: if version >= 9 { r.i32()? } else { -1 },
            fetch_offset: r.i64()?,
            last_fetched_epoch: if version >= 12 { r.i32()? } else { -1 },
            log_start_offset: if version >= 5 { r.i64()? } else { -1 },
            partition_max_bytes: r.i32()?,
        };
        r.tags()?;
        Ok(partition)
    }

    fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition);
        if version >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if version >= 12 {
            w.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        w.tags();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponsePartition {
    pub(crate) partition_index: i32,
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    /// v5+.
    pub(crate) log_start_offset: i64,
    /// v11+ (KIP-392).
    pub(crate) preferred_read_replica: i32,
    pub(crate) records: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseTopic {
    /// v4-12.
    pub(crate) topic: String,
    /// v13+.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<ResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Response {
    pub(crate) throttle_time_ms: i32,
    /// v7+.
    pub(crate) error_code: i16,
    /// v7+.
    pub(crate) session_id: i32,
    pub(crate) topics: Vec<ResponseTopic>,
}

impl ResponsePartition {
    fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        // Aborted transactions: null, as for read_uncommitted.
        w.nullable_list::<()>(None, |_, ()| {});
        if version >= 11 {
            w.i32(self.preferred_read_replica);
        }
        w.nullable_bytes(self.records.as_deref());
        w.tags();
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let partition_index = r.i32()?;
        let error_code = r.i16()?;
        let high_watermark = r.i64()?;
        let last_stable_offset = r.i64()?;
        let log_start_offset = if version >= 5 { r.i64()? } else { -1 };
        r.nullable_list(|r| {
            r.i64()?;
            r.i64()?;
            r.tags()
        })?;
        let preferred_read_replica = if version >= 11 { r.i32()? } else { -1 };
        let records = r.nullable_bytes()?.map(<[u8]>::to_vec);
        r.tags()?;
        Ok(Self {
            partition_index,
            error_code,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            preferred_read_replica,
            records,
        })
    }
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 7 {
            w.i16(self.error_code);
            w.i32(self.session_id);
        }
        w.list(&self.topics, |w, topic| {
            if version >= 13 {
                w.raw(&topic.topic_id);
            } else {
                w.string(&topic.topic);
            }
            w.list(&topic.partitions, |w, p| p.encode(w, version));
            w.tags();
        });
        w.tags();
    }

    pub(crate) fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let response = Self {
            throttle_time_ms: r.i32()?,
            error_code: if version >= 7 { r.i16()? } else { 0 },
            session_id: if version >= 7 { r.i32()? } else { 0 },
            topics: r.list(|r| {
                let topic = ResponseTopic {
                    topic: if version < 13 { r.string()?.to_owned() } else { String::new() },
                    topic_id: if version >= 13 { r.uuid()? } else { [0; 16] },
                    partitions: r.list(|r| ResponsePartition::decode(r, version))?,
                };
                r.tags()?;
                Ok(topic)
            })?,
        };
        r.tags()?;
        Ok(response)
    }
}
