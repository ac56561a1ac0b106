//! Arrays that never grow: slots, bytes, text. Borrowed from the caller, or owned where there is a heap.

/// An array of slots, never empty: borrowed from the caller, or owned where there is a heap.
///
/// An index out of range yields the last slot rather than a panic: firmware links no panic
/// machinery. Debug builds assert. With the last slot apart, that takes one comparison. Both variants
/// are pointer, pointer, length, so that telling them apart takes no instruction at all.
#[derive(Debug)]
pub(crate) enum Slots<'a, T> {
    Borrowed {
        last: &'a mut T,
        before: &'a mut [T],
    },
    #[cfg(feature = "alloc")]
    Owned {
        last: alloc::boxed::Box<T>,
        before: alloc::boxed::Box<[T]>,
    },
}

impl<'a, T> Slots<'a, T> {
    pub(crate) fn borrowed(slots: &'a mut [T]) -> Option<Self> {
        let (last, before) = slots.split_last_mut()?;
        Some(Self::Borrowed { last, before })
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn owned(count: usize) -> Self
    where
        T: Default + Clone,
    {
        let last = alloc::boxed::Box::new(T::default());
        let before = alloc::vec![T::clone(&last); count.saturating_sub(1)].into_boxed_slice();
        Self::Owned { last, before }
    }

    /// `count` fresh slots, for unit tests of the structures built on slots.
    #[cfg(all(test, feature = "alloc"))]
    pub(crate) fn for_test(count: usize) -> Self
    where
        T: Default + Clone,
    {
        Self::owned(count)
    }

    #[inline]
    fn parts(&self) -> (&[T], &T) {
        match self {
            Self::Borrowed { last, before } => (before, last),
            #[cfg(feature = "alloc")]
            Self::Owned { last, before } => (before, last),
        }
    }

    #[inline]
    fn parts_mut(&mut self) -> (&mut [T], &mut T) {
        match self {
            Self::Borrowed { last, before } => (before, last),
            #[cfg(feature = "alloc")]
            Self::Owned { last, before } => (before, last),
        }
    }

    /// How many slots there are, at least one.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        (self.parts().0.len() as u32).wrapping_add(1)
    }

    // On a board a call is smaller than the look-up, and there are hundreds of them.
    #[cfg_attr(feature = "fast", inline)]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn at(&self, index: u32) -> &T {
        debug_assert!(index < self.len(), "slot {index} of {}", self.len());
        let (before, last) = self.parts();
        before.get(index as usize).unwrap_or(last)
    }

    /// Like [`Self::at`], for an index that may be out of range.
    #[inline]
    pub(crate) fn nearest(&self, index: u32) -> &T {
        let (before, last) = self.parts();
        before.get(index as usize).unwrap_or(last)
    }

    #[cfg_attr(feature = "fast", inline)]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn at_mut(&mut self, index: u32) -> &mut T {
        debug_assert!(index < self.len(), "slot {index} of {}", self.len());
        let (before, last) = self.parts_mut();
        before.get_mut(index as usize).unwrap_or(last)
    }

    /// Every slot with its index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.len()).map(|index| (index, self.at(index)))
    }
}

/// Plain bytes: borrowed, or owned where there is a heap.
#[derive(Debug)]
pub(crate) enum Bytes<'a> {
    Borrowed(&'a mut [u8]),
    #[cfg(feature = "alloc")]
    Owned(alloc::boxed::Box<[u8]>),
}

impl Bytes<'_> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Owned(bytes) => bytes,
        }
    }

    #[inline]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Equal pieces of text: topic names, hosts, the connections' scratch.
#[derive(Debug)]
pub(crate) struct Slab<'a> {
    pub(crate) bytes: Bytes<'a>,
    pub(crate) stride: usize,
}

impl Slab<'_> {
    /// Stands in for a slab that is lent elsewhere for a moment.
    pub(crate) fn empty() -> Self {
        Self { bytes: Bytes::Borrowed(&mut []), stride: 0 }
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn get(&self, index: u32) -> &[u8] {
        let start = self.stride.saturating_mul(index as usize);
        self.bytes.as_slice().get(start..start.saturating_add(self.stride)).unwrap_or(&[])
    }

    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut [u8] {
        let start = self.stride.saturating_mul(index as usize);
        self.bytes.as_mut_slice().get_mut(start..start.saturating_add(self.stride)).unwrap_or(&mut [])
    }
}
