//! JSON, by serde.

use std::error::Error;

use serde::Serialize;

use super::{Serialized, Serializer, SerializerContext};

/// Writes any [`serde::Serialize`] as compact JSON. `None` is the JSON text `null`, not a null record:
/// for that there is [`Nullable`](super::Nullable)`(Json)`.
///
/// Needs the feature `serde`.
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
