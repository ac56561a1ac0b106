//! InitProducerId (key 22), versions 0-5.

use crate::wire::{Decoded, Reader, Writer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) transactional_id: Option<&'a str>,
    pub(crate) transaction_timeout_ms: i32,
    /// v3+ (KIP-360).
    pub(crate) producer_id: i64,
    /// v3+.
    pub(crate) producer_epoch: i16,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let request = Self {
            transactional_id: r.nullable_string()?,
            transaction_timeout_ms: r.i32()?,
            producer_id: if version >= 3 { r.i64()? } else { -1 },
            producer_epoch: if version >= 3 { r.i16()? } else { -1 },
        };
        r.tags()?;
        Ok(request)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.tags();
    }
}
