//! JSON, by serde.

use std::error::Error;

use serde::Serialize;

use super::{Serialized, Serializer, SerializerContext};

/// Writes any [`serde::Serialize`] as compact JSON. `None` is the JSON text `null`, not a null record:
/// for that there is [`Nullable`](super::Nullable)`(Json)`.
///
/// Needs the feature `serde`.
///
/// ```
/// use klamm::{Json, Serializer, SerializerContext};
///
/// let mut out = Vec::new();
/// Json.serialize(&SerializerContext::value("points"), &[1.5, 2.0], &mut out)?;
/// assert_eq!(out, b"[1.5,2.0]");
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + ?Sized> Serializer<T> for Json {
    fn serialize(
        &self,
        _: &SerializerContext<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<Serialized, Box<dyn Error + Send + Sync>> {
        serde_json::to_writer(out, value)?;
        Ok(Serialized::Bytes)
    }
}
