//! The types that Kafka's own serializers know, as they write them.

use std::borrow::Cow;
use std::error::Error;

use super::{Serialized, Serializer, SerializerContext};

/// Writes each type as the Java client's serializer for it does, so that its deserializer can read it:
///
/// | type | bytes | Java |
/// |---|---|---|
/// | `[u8]`, `Vec<u8>`, `[u8; N]`, `Cow<[u8]>` | as they are | `ByteArraySerializer` |
/// | `str`, `String`, `Cow<str>` | UTF-8 | `StringSerializer` |
/// | `i16`, `i32`, `i64` | big-endian, 2, 4, 8 bytes | `ShortSerializer`, `IntegerSerializer`, `LongSerializer` |
/// | `f32`, `f64` | IEEE 754, big-endian, 4, 8 bytes | `FloatSerializer`, `DoubleSerializer` |
/// | `bool` | one byte, 0 or 1 | `BooleanSerializer` |
/// | `uuid::Uuid` (feature `uuid`) | its 36 letters | `UUIDSerializer` |
/// | `()` | null | `VoidSerializer` |
/// | `Option<T>` | null, or as `T` | a Java `null` |
/// | `u8`, `i8`, `u16`, `u32`, `u64` | big-endian, 1, 2, 4, 8 bytes | none |
///
/// References are written as what they refer to.
///
/// ```
/// use klamm::{Native, Serializer, SerializerContext};
///
/// let mut out = Vec::new();
/// Native.serialize(&SerializerContext::key("counts"), &258i32, &mut out)?;
/// assert_eq!(out, [0, 0, 1, 2]);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

type Outcome = Result<Serialized, Box<dyn Error + Send + Sync>>;

macro_rules! bytes {
    ($($type:ty => |$value:ident| $bytes:expr;)*) => {
        $(
            impl Serializer<$type> for Native {
                #[inline]
                fn serialize(&self, _: &SerializerContext<'_>, $value: &$type, out: &mut Vec<u8>) -> Outcome {
                    out.extend_from_slice($bytes);
                    Ok(Serialized::Bytes)
                }
            }
        )*
    };
}

bytes! {
    [u8] => |value| value;
    Vec<u8> => |value| value;
    Cow<'_, [u8]> => |value| value;
    str => |value| value.as_bytes();
    String => |value| value.as_bytes();
    Cow<'_, str> => |value| value.as_bytes();
    bool => |value| &[u8::from(*value)];
    u8 => |value| &[*value];
    i8 => |value| &value.to_be_bytes();
    i16 => |value| &value.to_be_bytes();
    u16 => |value| &value.to_be_bytes();
    i32 => |value| &value.to_be_bytes();
    u32 => |value| &value.to_be_bytes();
    i64 => |value| &value.to_be_bytes();
    u64 => |value| &value.to_be_bytes();
    f32 => |value| &value.to_be_bytes();
    f64 => |value| &value.to_be_bytes();
}

#[cfg(feature = "uuid")]
bytes! {
    uuid::Uuid => |value| value.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]).as_bytes();
}

impl<const N: usize> Serializer<[u8; N]> for Native {
    #[inline]
    fn serialize(&self, _: &SerializerContext<'_>, value: &[u8; N], out: &mut Vec<u8>) -> Outcome {
        out.extend_from_slice(value);
        Ok(Serialized::Bytes)
    }
}

impl Serializer<()> for Native {
    fn serialize(&self, _: &SerializerContext<'_>, (): &(), _: &mut Vec<u8>) -> Outcome {
        Ok(Serialized::Null)
    }
}

impl<T> Serializer<Option<T>> for Native
where
    Self: Serializer<T>,
{
    fn serialize(&self, context: &SerializerContext<'_>, value: &Option<T>, out: &mut Vec<u8>) -> Outcome {
        match value {
            Some(value) => self.serialize(context, value, out),
            None => Ok(Serialized::Null),
        }
    }
}

impl<T: ?Sized> Serializer<&T> for Native
where
    Self: Serializer<T>,
{
    fn serialize(&self, context: &SerializerContext<'_>, value: &&T, out: &mut Vec<u8>) -> Outcome {
        self.serialize(context, *value, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<T: ?Sized>(value: &T) -> Option<Vec<u8>>
    where
        Native: Serializer<T>,
    {
        let mut out = b"before".to_vec();
        match Native.serialize(&SerializerContext::value("t"), value, &mut out).unwrap() {
            Serialized::Bytes => Some(out.strip_prefix(b"before").unwrap().to_vec()),
            Serialized::Null => None,
        }
    }

    fn hex<T: ?Sized>(value: &T) -> String
    where
        Native: Serializer<T>,
    {
        bytes(value).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What `org.apache.kafka.common.serialization` writes for the same values.
    #[test]
    fn values_are_written_as_java_writes_them() {
        assert_eq!(hex(&12_345i16), "3039");
        assert_eq!(hex(&i16::MIN), "8000");
        assert_eq!(hex(&42i32), "0000002a");
        assert_eq!(hex(&-1i32), "ffffffff");
        assert_eq!(hex(&1_234_567_890i32), "499602d2");
        assert_eq!(hex(&1_234_567_890_123_456_789i64), "112210f47de98115");
        assert_eq!(hex(&i64::MIN), "8000000000000000");
        assert_eq!(hex(&std::f32::consts::PI), "40490fdb");
        assert_eq!(hex(&-0.0f32), "80000000");
        assert_eq!(hex(&std::f64::consts::PI), "400921fb54442d18");
        assert_eq!(hex(&f64::NEG_INFINITY), "fff0000000000000");
        // Java has one NaN of each size: 0x7fc00000 and 0x7ff8000000000000.
        assert_eq!((hex(&f32::NAN), hex(&f64::NAN)), ("7fc00000".to_owned(), "7ff8000000000000".to_owned()));
        assert_eq!((hex(&true), hex(&false)), ("01".to_owned(), "00".to_owned()));
        assert_eq!(hex("é☃"), "c3a9e29883");
        assert_eq!(hex(&String::new()), "");
        assert_eq!(hex(&Cow::Borrowed("a")), "61");
    }

    #[test]
    fn bytes_stay_as_they_are_and_nothing_is_null() {
        assert_eq!(bytes(&[1u8, 2][..]).unwrap(), [1, 2]);
        assert_eq!(bytes(&vec![3u8]).unwrap(), [3]);
        assert_eq!(bytes(b"four").unwrap(), b"four");
        assert_eq!(bytes(&Cow::Borrowed(&[5u8][..])).unwrap(), [5]);
        assert_eq!(bytes(&"by reference").unwrap(), b"by reference");
        assert_eq!((bytes(&0xfeu8).unwrap(), bytes(&-2i8).unwrap()), (vec![0xfe], vec![0xfe]));
        assert_eq!(hex(&0x0102u16) + &hex(&0x0304_0506u32) + &hex(&7u64), "0102030405060000000000000007");
        assert_eq!(bytes(&()), None);
        assert_eq!(bytes(&None::<i32>), None);
        assert_eq!(bytes(&Some("text")).unwrap(), b"text");
        assert_eq!(bytes(&Some(None::<&[u8]>)), None);
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn a_uuid_is_text() {
        let id = uuid::Uuid::from_u128(0x0055_0e84_0000_29b4_1d4a_7164_4665_5440);
        assert_eq!(bytes(&id).unwrap(), b"00550e84-0000-29b4-1d4a-716446655440");
    }
}
