//! The Kafka protocol as far as a producer speaks it: primitives, requests, the resumable response decoder, errors.
//!
//! Nothing here keeps state but the [`Decoder`](decode::Decoder); nothing here decides. Requests are written with
//! a [`Writer`], by one module per API; responses are tables ([`program`]) that the decoder runs.

pub(crate) mod api_versions;
pub(crate) mod decode;
pub(crate) mod error_code;
pub(crate) mod init_producer_id;
pub(crate) mod metadata;
pub(crate) mod produce;
#[allow(clippy::indexing_slicing, reason = "tables are linked while compiling")]
pub(crate) mod program;
pub(crate) mod varint;
pub(crate) mod write;

#[cfg(test)]
mod tests;

use program::Op;
use write::Writer;

/// The id of no topic.
pub(crate) const NO_UUID: [u8; 16] = [0; 16];

/// The APIs that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ApiKey {
    /// Records to partitions.
    Produce = 0,
    /// Brokers, topics, leaders.
    Metadata = 3,
    /// What the broker speaks.
    ApiVersions = 18,
    /// A producer id for idempotence.
    InitProducerId = 22,
}

impl ApiKey {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Produce, Self::Metadata, Self::ApiVersions, Self::InitProducerId];

    /// Its number on the wire.
    pub(crate) const fn key(self) -> i16 {
        self as i16
    }

    /// The API with that number, if it is one of ours.
    pub(crate) fn from_key(key: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.key() == key)
    }

    /// The first version with compact lengths and tag buffers (KIP-482).
    pub(crate) const fn first_flexible(self) -> i16 {
        match self {
            Self::Produce | Self::Metadata => 9,
            Self::ApiVersions => 3,
            Self::InitProducerId => 2,
        }
    }

    /// The versions that we speak: those of brokers from 2.1 on (KIP-896 draws the same line).
    pub(crate) const fn ours(self) -> ApiRange {
        match self {
            Self::Produce | Self::Metadata => ApiRange { min: 7, max: 13 },
            Self::ApiVersions => ApiRange { min: 0, max: 4 },
            Self::InitProducerId => ApiRange { min: 1, max: 5 },
        }
    }

    /// The program of its response.
    pub(crate) const fn response(self) -> &'static [Op] {
        match self {
            Self::Produce => produce::RESPONSE,
            Self::Metadata => metadata::RESPONSE,
            Self::ApiVersions => api_versions::RESPONSE,
            Self::InitProducerId => init_producer_id::RESPONSE,
        }
    }

    /// Request header: version 2 (with tags) for flexible versions, else 1.
    pub(crate) const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.first_flexible() { 2 } else { 1 }
    }

    #[cfg(test)]
    /// Response header: version 1 (with tags) for flexible versions, else 0. ApiVersions stays at 0 for ever, because its
    /// answer may come in version 0 whatever was asked (KIP-511).
    pub(crate) const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if version >= self.first_flexible() => 1,
            _ => 0,
        }
    }
}

/// Versions of an API that someone speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiRange {
    /// The least.
    pub(crate) min: i16,
    /// The greatest.
    pub(crate) max: i16,
}

/// The greatest version in both ranges. It never clamps: without a common version the API cannot be used, and a range
/// that ends before it begins holds none.
pub(crate) fn negotiate(ours: ApiRange, broker: ApiRange) -> Option<i16> {
    let version = ours.max.min(broker.max);
    let least = ours.min.max(broker.min);
    if version >= least { Some(version) } else { None }
}

/// The header of a request, after the frame's size.
///
/// The client id keeps its `i16` length in flexible versions too, so that a broker can read the header of a version
/// that it does not know.
pub(crate) fn write_request_header(
    w: &mut Writer<'_>,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) {
    w.i16(api.key());
    w.i16(version);
    w.i32(correlation_id);
    w.string(client_id);
    w.no_tags(api.request_header_version(version) >= 2);
}

/// Size of [`write_request_header`].
pub(crate) const fn request_header_size(api: ApiKey, version: i16, client_id_len: usize) -> usize {
    let tags = if api.request_header_version(version) >= 2 { 1 } else { 0 };
    client_id_len.wrapping_add(2 + 2 + 4 + 2 + tags)
}
