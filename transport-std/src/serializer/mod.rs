//! From values to bytes.

#[cfg(feature = "serde")]
mod json;
mod native;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "serde")]
pub use json::Json;
pub use native::Native;

/// Writes values as bytes: keys or values of records, see
/// [`Producer::typed`](crate::Producer::typed).
///
/// [`Native`] writes numbers, text and bytes as Java's serializers do, `Json` (feature `serde`) writes
/// JSON, [`Nullable`] makes of `None` a null. A closure is a serializer too:
///
/// ```
/// use klamm::{Serialized, SerializerContext, Serializer};
///
/// struct Point { x: i32, y: i32 }
///
/// let text = |_: &SerializerContext<'_>, point: &Point, out: &mut Vec<u8>| {
///     out.extend_from_slice(format!("{},{}", point.x, point.y).as_bytes());
///     Ok(Serialized::Bytes)
/// };
/// let mut out = Vec::new();
/// text.serialize(&SerializerContext::value("points"), &Point { x: 1, y: -2 }, &mut out)?;
/// assert_eq!(out, b"1,-2");
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub trait Serializer<T: ?Sized>: Send + Sync {
    /// Appends the bytes of `value` to `out`, which may hold other bytes already; or says that it is null.
    ///
    /// # Errors
    /// Why the value has no bytes. The send fails with
    /// [`SendError::Serialization`](crate::SendError::Serialization), which adds the topic.
    fn serialize(
        &self,
        context: &SerializerContext<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<Serialized, Box<dyn Error + Send + Sync>>;
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serialized {
    /// The bytes that were appended, if only none.
    Bytes,
    /// Null: no key, or a tombstone. What was appended does not count.
    Null,
}

/// What a value is serialized for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SerializerContext<'c> {
    /// The record's topic.
    pub topic: &'c str,
    /// Key or value.
    pub part: RecordPart,
}

impl<'c> SerializerContext<'c> {
    /// For the key of a record of `topic`.
    #[must_use]
    pub const fn key(topic: &'c str) -> Self {
        Self { topic, part: RecordPart::Key }
    }

    /// For the value of a record of `topic`.
    #[must_use]
    pub const fn value(topic: &'c str) -> Self {
        Self { topic, part: RecordPart::Value }
    }
}

/// A part of a record that a serializer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPart {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl fmt::Display for RecordPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
    }
}

/// A serializer refused a value. Its [`source`](Error::source) is the serializer's own error.
///
/// ```
/// use klamm::SendError;
///
/// fn explain(error: &SendError) -> String {
///     match error {
///         SendError::Serialization(error) => format!("bad {} for {}: {}", error.part, error.topic, error.cause),
///         other => other.to_string(),
///     }
/// }
/// # let _ = explain(&SendError::Full);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SerializationError {
    /// Key or value.
    pub part: RecordPart,
    /// The record's topic.
    pub topic: Box<str>,
    /// What the serializer said.
    pub cause: Arc<dyn Error + Send + Sync>,
}

/// Equal if they say the same.
impl PartialEq for SerializationError {
    fn eq(&self, other: &Self) -> bool {
        (self.part, &self.topic) == (other.part, &other.topic) && self.cause.to_string() == other.cause.to_string()
    }
}

impl Eq for SerializationError {}

impl fmt::Display for SerializationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of a record for topic '{}' cannot be serialized: {}", self.part, self.topic, self.cause)
    }
}

impl Error for SerializationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

impl<T: ?Sized, F> Serializer<T> for F
where
    F: Fn(&SerializerContext<'_>, &T, &mut Vec<u8>) -> Result<Serialized, Box<dyn Error + Send + Sync>> + Send + Sync,
{
    fn serialize(
        &self,
        context: &SerializerContext<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<Serialized, Box<dyn Error + Send + Sync>> {
        self(context, value, out)
    }
}

impl<T: ?Sized, S: Serializer<T> + ?Sized> Serializer<T> for Arc<S> {
    fn serialize(
        &self,
        context: &SerializerContext<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<Serialized, Box<dyn Error + Send + Sync>> {
        (**self).serialize(context, value, out)
    }
}

/// Writes an `Option`: `None` is null, and `Some` is left to the serializer inside. ([`Native`] writes
/// options by itself.)
///
/// ```
/// use klamm::{Native, Nullable, Serialized, Serializer, SerializerContext};
///
/// let mut out = Vec::new();
/// let context = SerializerContext::value("t");
/// assert_eq!(Nullable(Native).serialize(&context, &None::<i32>, &mut out)?, Serialized::Null);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Nullable<S>(
    /// The serializer of what is there.
    pub S,
);

impl<T, S: Serializer<T>> Serializer<Option<T>> for Nullable<S> {
    fn serialize(
        &self,
        context: &SerializerContext<'_>,
        value: &Option<T>,
        out: &mut Vec<u8>,
    ) -> Result<Serialized, Box<dyn Error + Send + Sync>> {
        match value {
            Some(value) => self.0.serialize(context, value, out),
            None => Ok(Serialized::Null),
        }
    }
}
