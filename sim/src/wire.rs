//! Kafka's primitive types, both encodings.
//!
//! A message version is either *flexible* (KIP-482: compact lengths, tag buffers) or not. [`Reader`] and [`Writer`] carry
//! that as a flag, so that each message has one decode and one encode function for all its versions.

/// Why a message could not be decoded. A broker closes the connection on any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A length points past the end of the frame.
    Truncated,
    /// A varint has more bytes than its type allows.
    Varint,
    /// A null where the schema has none, or a negative length other than -1.
    Length,
    /// A string is not UTF-8.
    Utf8,
    /// Tag numbers do not ascend.
    Tags,
    /// The API or version is not one of ours.
    Version,
}

pub(crate) type Decoded<T> = Result<T, Malformed>;

/// 16 raw bytes; all zero means "none".
pub(crate) type Uuid = [u8; 16];

/// Reads a frame from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether the version being read is flexible.
    pub(crate) flex: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], flex: bool) -> Self {
        Self { rest: bytes, flex }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, n: usize) -> Decoded<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn i8(&mut self) -> Decoded<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn bool(&mut self) -> Decoded<bool> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i16(&mut self) -> Decoded<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Decoded<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Decoded<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn uuid(&mut self) -> Decoded<Uuid> {
        self.array()
    }

    pub(crate) fn uvarint(&mut self) -> Decoded<u32> {
        let wide = self.leb128(5)?;
        u32::try_from(wide).map_err(|_| Malformed::Varint)
    }

    fn leb128(&mut self, max_bytes: u32) -> Decoded<u64> {
        let mut value = 0u64;
        for index in 0..max_bytes {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    /// Zigzag varint of a record (i32). One byte is by far the commonest, hence the short way out.
    pub(crate) fn varint(&mut self) -> Decoded<i32> {
        if let Some((&byte, tail)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = tail;
            return Ok(i32::from(byte >> 1) ^ -i32::from(byte & 1));
        }
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// Zigzag varlong of a record (i64).
    pub(crate) fn varlong(&mut self) -> Decoded<i64> {
        let raw = self.leb128(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The length of a nullable array, string or bytes field; `None` is null.
    fn length(&mut self, short: bool) -> Decoded<Option<usize>> {
        let signed = if self.flex {
            i64::from(self.uvarint()?) - 1
        } else if short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match signed {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| Malformed::Length),
        }
    }

    pub(crate) fn nullable_string(&mut self) -> Decoded<Option<&'a str>> {
        let Some(n) = self.length(true)? else {
            return Ok(None);
        };
        let bytes = self.take(n)?;
        str::from_utf8(bytes).map(Some).map_err(|_| Malformed::Utf8)
    }

    pub(crate) fn string(&mut self) -> Decoded<&'a str> {
        self.nullable_string()?.ok_or(Malformed::Length)
    }

    pub(crate) fn nullable_bytes(&mut self) -> Decoded<Option<&'a [u8]>> {
        match self.length(false)? {
            Some(n) => self.take(n).map(Some),
            None => Ok(None),
        }
    }

    /// Reads an array with `element` for each; `None` is a null array.
    pub(crate) fn nullable_list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Decoded<T>,
    ) -> Decoded<Option<Vec<T>>> {
        let Some(n) = self.length(false)? else {
            return Ok(None);
        };
        // Every element has at least one byte: a count beyond that is a lie, and must not size a buffer.
        if n > self.remaining() {
            return Err(Malformed::Truncated);
        }
        let mut list = Vec::with_capacity(n.min(1024));
        for _ in 0..n {
            list.push(element(self)?);
        }
        Ok(Some(list))
    }

    pub(crate) fn list<T>(&mut self, element: impl FnMut(&mut Self) -> Decoded<T>) -> Decoded<Vec<T>> {
        self.nullable_list(element)?.ok_or(Malformed::Length)
    }

    /// Skips the tag buffer that ends every struct of a flexible version.
    pub(crate) fn tags(&mut self) -> Decoded<()> {
        self.tags_with(|_, _| Ok(()))
    }

    /// Reads a tag buffer, handing each field to `known`, which may ignore it.
    pub(crate) fn tags_with(&mut self, mut known: impl FnMut(u32, &mut Self) -> Decoded<()>) -> Decoded<()> {
        if !self.flex {
            return Ok(());
        }
        let mut above = None;
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            if above.is_some_and(|last| tag <= last) {
                return Err(Malformed::Tags);
            }
            above = Some(tag);
            let size = self.uvarint()? as usize;
            let mut field = Self::new(self.take(size)?, true);
            known(tag, &mut field)?;
        }
        Ok(())
    }
}

/// Writes a message into a growing buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    /// Whether the version being written is flexible.
    pub(crate) flex: bool,
}

impl Writer {
    pub(crate) fn new(flex: bool) -> Self {
        Self { out: Vec::new(), flex }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn length(&mut self, length: Option<usize>, short: bool) {
        if self.flex {
            self.uvarint(length.map_or(0, |n| n as u32 + 1));
        } else if short {
            self.i16(length.map_or(-1, |n| n as i16));
        } else {
            self.i32(length.map_or(-1, |n| n as i32));
        }
    }

    pub(crate) fn nullable_string(&mut self, value: Option<&str>) {
        self.length(value.map(str::len), true);
        self.raw(value.unwrap_or_default().as_bytes());
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub(crate) fn nullable_bytes(&mut self, value: Option<&[u8]>) {
        self.length(value.map(<[u8]>::len), false);
        self.raw(value.unwrap_or_default());
    }

    pub(crate) fn nullable_list<T>(&mut self, list: Option<&[T]>, mut element: impl FnMut(&mut Self, &T)) {
        self.length(list.map(<[T]>::len), false);
        for item in list.unwrap_or_default() {
            element(self, item);
        }
    }

    pub(crate) fn list<T>(&mut self, list: &[T], element: impl FnMut(&mut Self, &T)) {
        self.nullable_list(Some(list), element);
    }

    pub(crate) fn i32_list(&mut self, list: &[i32]) {
        self.list(list, |w, value| w.i32(*value));
    }

    /// An empty tag buffer, in flexible versions.
    pub(crate) fn tags(&mut self) {
        self.tagged(&[]);
    }

    /// A tag buffer with these fields, which the caller gives in ascending order; fields at their default are left out by
    /// the caller, as the schema demands.
    pub(crate) fn tagged(&mut self, fields: &[(u32, Vec<u8>)]) {
        if !self.flex {
            return;
        }
        self.uvarint(fields.len() as u32);
        for (tag, bytes) in fields {
            self.uvarint(*tag);
            self.uvarint(bytes.len() as u32);
            self.raw(bytes);
        }
    }
}

/// Encodes the content of one tagged field.
pub(crate) fn field(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new(true);
    encode(&mut writer);
    writer.out
}
