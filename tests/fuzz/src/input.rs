//! A fuzzer's bytes as a supply of decisions.

/// Hands out the bytes from the front; when they are used up, zeros. So every input means something, and a longer one only goes
/// on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether none is left.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    /// Two bytes, big-endian.
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Four bytes, big-endian.
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }

    /// Eight bytes, big-endian.
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound.max(1)
    }

    /// One of the items, of which there is at least one.
    pub(crate) fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        &items[self.below(items.len())]
    }

    /// The next `n` bytes, or as many as there are.
    pub(crate) fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(n.min(self.0.len()));
        self.0 = tail;
        head
    }

    /// Bytes whose number, below 256, comes first.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let n = self.u8();
        self.take(n.into())
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Sizes of pieces that follow from one byte: 0 cuts after each byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces(u32);

impl Pieces {
    /// The pattern of this number.
    #[must_use]
    pub(crate) const fn new(pattern: u8) -> Self {
        Self(pattern as u32)
    }

    /// The next size, from 1 to 32.
    pub(crate) fn size(&mut self) -> usize {
        if self.0 == 0 {
            return 1;
        }
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 1;
        1 + (self.0 >> 27) as usize
    }
}
