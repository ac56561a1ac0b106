//! Metadata (key 3), versions 0-13.

use crate::wire::{Decoded, Reader, Uuid, Writer};

/// The value of an "authorized operations" field that was not asked for.
pub(crate) const NOT_REQUESTED: i32 = i32::MIN;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestTopic<'a> {
    /// v10+; usable from v12 (KAFKA-13543).
    pub(crate) topic_id: Uuid,
    pub(crate) name: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// `None` asks for all topics, an empty list for none.
    pub(crate) topics: Option<Vec<RequestTopic<'a>>>,
    pub(crate) allow_auto_topic_creation: bool,
    pub(crate) include_cluster_authorized_operations: bool,
    pub(crate) include_topic_authorized_operations: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let mut topics = r.nullable_list(|r| {
            let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
            let name = if version >= 10 { r.nullable_string()? } else { Some(r.string()?) };
            r.tags()?;
            Ok(RequestTopic { topic_id, name })
        })?;
        // In version 0 the empty list meant all topics.
        if version == 0 && topics.as_ref().is_some_and(Vec::is_empty) {
            topics = None;
        }
        let request = Self {
            topics,
            allow_auto_topic_creation: version < 4 || r.bool()?,
            // v11 removed it again (KIP-700).
            include_cluster_authorized_operations: (8..=10).contains(&version) && r.bool()?,
            include_topic_authorized_operations: version >= 8 && r.bool()?,
        };
        r.tags()?;
        Ok(request)
    }

    /// For the reader, versions 1-9.
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.nullable_list(self.topics.as_deref(), |w, topic| {
            w.string(topic.name.unwrap_or_default());
            w.tags();
        });
        if version >= 4 {
            w.bool(self.allow_auto_topic_creation);
        }
        if version >= 8 {
            w.bool(self.include_cluster_authorized_operations);
            w.bool(self.include_topic_authorized_operations);
        }
        w.tags();
    }
}

/// A broker with its address; Produce answers carry the same struct as node endpoints (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    /// v1+.
    pub(crate) rack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) error_code: i16,
    pub(crate) partition_index: i32,
    pub(crate) leader_id: i32,
    /// v7+.
    pub(crate) leader_epoch: i32,
    pub(crate) replica_nodes: Vec<i32>,
    pub(crate) isr_nodes: Vec<i32>,
    /// v5+.
    pub(crate) offline_replicas: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) error_code: i16,
    /// Null only at v12+.
    pub(crate) name: Option<String>,
    /// v10+.
    pub(crate) topic_id: Uuid,
    /// v1+.
    pub(crate) is_internal: bool,
    pub(crate) partitions: Vec<Partition>,
    /// v8+.
    pub(crate) topic_authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// v3+.
    pub(crate) throttle_time_ms: i32,
    pub(crate) brokers: Vec<Broker>,
    /// v2+.
    pub(crate) cluster_id: Option<String>,
    /// v1+.
    pub(crate) controller_id: i32,
    pub(crate) topics: Vec<Topic>,
    /// v8-10.
    pub(crate) cluster_authorized_operations: i32,
    /// v13+ (KIP-1102).
    pub(crate) error_code: i16,
}

impl Broker {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(self.rack.as_deref());
        w.tags();
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let broker = Self {
            node_id: r.i32()?,
            host: r.string()?.to_owned(),
            port: r.i32()?,
            rack: if version >= 1 { r.nullable_string()?.map(str::to_owned) } else { None },
        };
        r.tags()?;
        Ok(broker)
    }
}

impl Partition {
    fn encode(&self, w: &mut Writer, version: i16) {
        w.i16(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        // The epoch stands before the replicas, not at the end where it was added.
        if version >= 7 {
            w.i32(self.leader_epoch);
        }
        w.i32_list(&self.replica_nodes);
        w.i32_list(&self.isr_nodes);
        if version >= 5 {
            w.i32_list(&self.offline_replicas);
        }
        w.tags();
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let partition = Self {
            error_code: r.i16()?,
            partition_index: r.i32()?,
            leader_id: r.i32()?,
            leader_epoch: if version >= 7 { r.i32()? } else { -1 },
            replica_nodes: r.list(Reader::i32)?,
            isr_nodes: r.list(Reader::i32)?,
            offline_replicas: if version >= 5 { r.list(Reader::i32)? } else { Vec::new() },
        };
        r.tags()?;
        Ok(partition)
    }
}

impl Topic {
    fn encode(&self, w: &mut Writer, version: i16) {
        w.i16(self.error_code);
        if version >= 12 {
            w.nullable_string(self.name.as_deref());
        } else {
            w.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 10 {
            w.raw(&self.topic_id);
        }
        if version >= 1 {
            w.bool(self.is_internal);
        }
        w.list(&self.partitions, |w, p| p.encode(w, version));
        if version >= 8 {
            w.i32(self.topic_authorized_operations);
        }
        w.tags();
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let topic = Self {
            error_code: r.i16()?,
            name: r.nullable_string()?.map(str::to_owned),
            topic_id: if version >= 10 { r.uuid()? } else { [0; 16] },
            is_internal: version >= 1 && r.bool()?,
            partitions: r.list(|r| Partition::decode(r, version))?,
            topic_authorized_operations: if version >= 8 { r.i32()? } else { NOT_REQUESTED },
        };
        r.tags()?;
        Ok(topic)
    }
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.list(&self.brokers, |w, broker| {
            if version >= 1 {
                broker.encode(w);
            } else {
                w.i32(broker.node_id);
                w.string(&broker.host);
                w.i32(broker.port);
            }
        });
        if version >= 2 {
            w.nullable_string(self.cluster_id.as_deref());
        }
        if version >= 1 {
            w.i32(self.controller_id);
        }
        w.list(&self.topics, |w, t| t.encode(w, version));
        if (8..=10).contains(&version) {
            w.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            w.i16(self.error_code);
        }
        w.tags();
    }

    pub(crate) fn decode(r: &mut Reader<'_>, version: i16) -> Decoded<Self> {
        let response = Self {
            throttle_time_ms: if version >= 3 { r.i32()? } else { 0 },
            brokers: r.list(|r| Broker::decode(r, version))?,
            cluster_id: if version >= 2 { r.nullable_string()?.map(str::to_owned) } else { None },
            controller_id: if version >= 1 { r.i32()? } else { -1 },
            topics: r.list(|r| Topic::decode(r, version))?,
            cluster_authorized_operations: if (8..=10).contains(&version) { r.i32()? } else { NOT_REQUESTED },
            error_code: if version >= 13 { r.i16()? } else { 0 },
        };
        r.tags()?;
        Ok(response)
    }
}
