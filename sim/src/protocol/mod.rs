//! The broker's own codec: written from Kafka's schemas, sharing nothing with the producer under test.
//!
//! Requests borrow from the frame; responses own their fields. Messages that the [`reader`](crate::reader) sends and receives
//! have the opposite direction as well.

pub(crate) mod api_versions;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod produce;
#[cfg(test)]
mod tests;

use crate::wire::{Decoded, Malformed, Reader, Writer};

/// The APIs that the simulated brokers implement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// Produce, key 0.
    Produce,
    /// Fetch, key 1.
    Fetch,
    /// ListOffsets, key 2.
    ListOffsets,
    /// Metadata, key 3.
    Metadata,
    /// FindCoordinator, key 10.
    FindCoordinator,
    /// ApiVersions, key 18.
    ApiVersions,
    /// InitProducerId, key 22.
    InitProducerId,
}

impl Api {
    /// All of them, by ascending key.
    pub const ALL: [Self; 7] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::FindCoordinator,
        Self::ApiVersions,
        Self::InitProducerId,
    ];

    /// The key on the wire.
    #[must_use]
    pub const fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::Fetch => 1,
            Self::ListOffsets => 2,
            Self::Metadata => 3,
            Self::FindCoordinator => 10,
            Self::ApiVersions => 18,
            Self::InitProducerId => 22,
        }
    }

    /// The API with this key, if it is one of ours.
    #[must_use]
    pub fn from_key(key: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.key() == key)
    }

    /// The versions this codec speaks, inclusive.
    #[must_use]
    pub const fn versions(self) -> (i16, i16) {
        match self {
            Self::Produce => (3, 13),
            Self::Fetch => (4, 13),
            Self::ListOffsets => (1, 7),
            Self::Metadata => (0, 13),
            Self::FindCoordinator => (0, 6),
            Self::ApiVersions | Self::InitProducerId => (0, 5),
        }
    }

    /// Whether this version has compact lengths and tag buffers (KIP-482).
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version
            >= match self {
                Self::Produce | Self::Metadata => 9,
                Self::Fetch => 12,
                Self::ListOffsets => 6,
                Self::FindCoordinator | Self::ApiVersions => 3,
                Self::InitProducerId => 2,
            }
    }

    /// Whether the response header of this version ends with a tag buffer. ApiVersions never has one, because a client
    /// cannot know in which version it will be answered (KIP-511).
    pub(crate) const fn response_header_is_flexible(self, version: i16) -> bool {
        !matches!(self, Self::ApiVersions) && self.is_flexible(version)
    }
}

/// The fixed front of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestHeader<'a> {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// The three fields that stand before anything version dependent.
    pub(crate) fn prefix(frame: &'a [u8]) -> Decoded<Self> {
        let mut reader = Reader::new(frame, false);
        Ok(Self { api_key: reader.i16()?, api_version: reader.i16()?, correlation_id: reader.i32()?, client_id: None })
    }

    /// The whole header, and a reader that stands at the body.
    pub(crate) fn decode(frame: &'a [u8], api: Api) -> Decoded<(Self, Reader<'a>)> {
        let mut header = Self::prefix(frame)?;
        let body = frame.get(8..).ok_or(Malformed::Truncated)?;
        // Header v2 keeps the client id in its old form with an i16 length; only the tag buffer is new.
        let mut reader = Reader::new(body, false);
        header.client_id = reader.nullable_string()?;
        reader.flex = api.is_flexible(header.api_version);
        reader.tags()?;
        Ok((header, reader))
    }
}

/// Starts a frame: the size is patched by [`finish`].
pub(crate) fn response(api: Api, version: i16, correlation_id: i32) -> Writer {
    let mut writer = Writer::new(api.response_header_is_flexible(version));
    writer.i32(0);
    writer.i32(correlation_id);
    writer.tags();
    writer.flex = api.is_flexible(version);
    writer
}

/// Starts a request frame, for the reader's side.
pub(crate) fn request(api: Api, version: i16, correlation_id: i32, client_id: &str) -> Writer {
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.i16(api.key());
    writer.i16(version);
    writer.i32(correlation_id);
    writer.string(client_id);
    writer.flex = api.is_flexible(version);
    writer.tags();
    writer
}

/// Writes the frame's size in front of it.
pub(crate) fn finish(writer: Writer) -> Vec<u8> {
    let mut frame = writer.out;
    let size = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}
