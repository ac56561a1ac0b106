//! FindCoordinator (key 10), versions 0-6: only enough to say that there is none.

use crate::wire::{Decoded, Reader, Writer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// One key up to v3; v4+ asks for several at once (KIP-699).
    pub(crate) keys: Vec<&'a str>,
    /// v1+: 0 group, 1 transaction, 2 share.
    pub(crate) key_type: i8,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let mut keys = Vec::new();
        if version < 4 {
            keys.push(r.string()?);
        }
        let key_type = if version >= 1 { r.i8()? } else { 0 };
        if version >= 4 {
            keys = r.list(Reader::string)?;
        }
        r.tags()?;
        Ok(Self { keys, key_type })
    }
}

/// The answer for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coordinator {
    pub(crate) key: String,
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) throttle_time_ms: i32,
    /// Exactly one up to v3.
    pub(crate) coordinators: Vec<Coordinator>,
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if version >= 4 {
            w.list(&self.coordinators, |w, c| {
                w.string(&c.key);
                w.i32(c.node_id);
                w.string(&c.host);
                w.i32(c.port);
                w.i16(c.error_code);
                w.nullable_string(c.error_message.as_deref());
                w.tags();
            });
        } else if let Some(c) = self.coordinators.first() {
            w.i16(c.error_code);
            if version >= 1 {
                w.nullable_string(c.error_message.as_deref());
            }
            w.i32(c.node_id);
            w.string(&c.host);
            w.i32(c.port);
        }
        w.tags();
    }
}
