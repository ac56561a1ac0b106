//! ApiVersions (key 18), versions 0-5.

use crate::wire::{Decoded, Reader, Writer, field};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Request<'a> {
    /// v3+ (KIP-511).
    pub(crate) client_software_name: &'a str,
    /// v3+.
    pub(crate) client_software_version: &'a str,
    /// v5+ (KIP-1242): the cluster that the client expects.
    pub(crate) cluster_id: Option<&'a str>,
    /// v5+: the broker that the client expects, or -1.
    pub(crate) node_id: i32,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        let mut request = Self { node_id: -1, ..Self::default() };
        if version >= 3 {
            request.client_software_name = r.string()?;
            request.client_software_version = r.string()?;
        }
        if version >= 5 {
            request.cluster_id = r.nullable_string()?;
            request.node_id = r.i32()?;
        }
        r.tags()?;
        Ok(request)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiKey {
    pub(crate) api_key: i16,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
}

/// A feature with its lowest and highest version (or version level, for finalized ones).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) error_code: i16,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) throttle_time_ms: i32,
    /// Tag 0.
    pub(crate) supported_features: Vec<Feature>,
    /// Tag 1; -1 is "none".
    pub(crate) finalized_features_epoch: i64,
    /// Tag 2.
    pub(crate) finalized_features: Vec<Feature>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
        }
    }
}

impl Response {
    pub(crate) fn encode(&self, w: &mut Writer, version: i16) {
        w.i16(self.error_code);
        w.list(&self.api_keys, |w, key| {
            w.i16(key.api_key);
            w.i16(key.min_version);
            w.i16(key.max_version);
            w.tags();
        });
        // The throttle time stands after the array here, unlike in most answers.
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.tagged(&self.tag_fields());
    }

    fn tag_fields(&self) -> Vec<(u32, Vec<u8>)> {
        let mut fields = Vec::new();
        if !self.supported_features.is_empty() {
            let encode = |w: &mut Writer, f: &Feature| {
                w.string(&f.name);
                w.i16(f.min);
                w.i16(f.max);
                w.tags();
            };
            fields.push((0, field(|w| w.list(&self.supported_features, encode))));
        }
        if self.finalized_features_epoch != -1 {
            fields.push((1, field(|w| w.i64(self.finalized_features_epoch))));
        }
        if !self.finalized_features.is_empty() {
            // Finalized features carry the maximum level first.
            let encode = |w: &mut Writer, f: &Feature| {
                w.string(&f.name);
                w.i16(f.max);
                w.i16(f.min);
                w.tags();
            };
            fields.push((2, field(|w| w.list(&self.finalized_features, encode))));
        }
        fields
    }

    /// For the reader, which asks in version 0 only: every broker answers that.
    pub(crate) fn decode_v0(r: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            error_code: r.i16()?,
            api_keys: r.list(|r| Ok(ApiKey { api_key: r.i16()?, min_version: r.i16()?, max_version: r.i16()? }))?,
            ..Self::default()
        })
    }
}
