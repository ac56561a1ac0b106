//! The arena: equal blocks of bytes, chained per batch.

use crate::record::encode::Put;
use crate::state::list::NIL;
use crate::state::slots::{Bytes, Slots};

/// One arena block's place in a chain.
#[derive(Clone, Copy, Debug, Default)]
#[doc(hidden)]
pub(crate) struct Block {
    pub(crate) next: u32,
}

/// Blocks and their free list. Taking and freeing are O(1), whatever the order.
#[derive(Debug)]
pub(crate) struct Arena<'a> {
    bytes: Bytes<'a>,
    links: Slots<'a, Block>,
    block_size: u32,
    free_head: u32,
    free: u32,
}

/// A position in a chain of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) block: u32,
    pub(crate) at: u32,
}

impl<'a> Arena<'a> {
    pub(crate) fn new(bytes: Bytes<'a>, links: Slots<'a, Block>, block_size: u32) -> Self {
        let mut arena = Self { bytes, links, block_size, free_head: NIL, free: 0 };
        for block in (0..arena.links.len()).rev() {
            arena.links.at_mut(block).next = arena.free_head;
            arena.free_head = block;
            arena.free = arena.free.wrapping_add(1);
        }
        arena
    }

    #[inline]
    pub(crate) const fn block_size(&self) -> u32 {
        self.block_size
    }

    pub(crate) fn blocks(&self) -> u32 {
        self.links.len()
    }

    #[inline]
    pub(crate) const fn free(&self) -> u32 {
        self.free
    }

    /// Takes a block; it ends its chain.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let block = self.free_head;
        if block == NIL {
            return None;
        }
        self.free_head = core::mem::replace(&mut self.links.at_mut(block).next, NIL);
        self.free = self.free.wrapping_sub(1);
        Some(block)
    }

    /// Frees the chain from `block` to its end and says how many blocks that were.
    pub(crate) fn free_chain(&mut self, mut block: u32) -> u32 {
        let mut count = 0u32;
        while block != NIL {
            let next = core::mem::replace(&mut self.links.at_mut(block).next, self.free_head);
            self.free_head = block;
            self.free = self.free.wrapping_add(1);
            count = count.wrapping_add(1);
            block = next;
        }
        count
    }

    #[inline]
    pub(crate) fn next(&self, block: u32) -> u32 {
        self.links.at(block).next
    }

    pub(crate) fn set_next(&mut self, block: u32, next: u32) {
        self.links.at_mut(block).next = next;
    }

    #[cfg_attr(feature = "fast", inline)]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn block(&self, block: u32) -> &[u8] {
        let start = (block as usize).wrapping_mul(self.block_size as usize);
        self.bytes.as_slice().get(start..start.wrapping_add(self.block_size as usize)).unwrap_or(&[])
    }

    #[cfg_attr(feature = "fast", inline)]
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn block_mut(&mut self, block: u32) -> &mut [u8] {
        let start = (block as usize).wrapping_mul(self.block_size as usize);
        self.bytes.as_mut_slice().get_mut(start..start.wrapping_add(self.block_size as usize)).unwrap_or(&mut [])
    }

    /// One block to read and another to write.
    #[cfg(feature = "lz4")]
    pub(crate) fn pair(&mut self, read: u32, write: u32) -> (&[u8], &mut [u8]) {
        let size = self.block_size as usize;
        let start = |block: u32| (block as usize).wrapping_mul(size);
        let halves = self.bytes.as_mut_slice().split_at_mut_checked(start(read.max(write)));
        let (low, high) = halves.unwrap_or((&mut [], &mut []));
        let (from, to) = if read < write {
            (low.get(start(read)..).unwrap_or(&[]), high)
        } else {
            (&*high, low.get_mut(start(write)..).unwrap_or(&mut []))
        };
        (from.get(..size).unwrap_or(&[]), to.get_mut(..size).unwrap_or(&mut []))
    }

    /// The `len` bytes from `at`, if its block has them.
    #[inline]
    #[cfg(feature = "fast")]
    pub(crate) fn room_mut(&mut self, at: Position, len: u32) -> Option<&mut [u8]> {
        if at.at.wrapping_add(len) > self.block_size {
            return None;
        }
        let start = (at.block as usize).wrapping_mul(self.block_size as usize).wrapping_add(at.at as usize);
        self.bytes.as_mut_slice().get_mut(start..)?.get_mut(..len as usize)
    }

    /// The bytes of `block` from `at`, at most `len` of them.
    pub(crate) fn slice(&self, at: Position, len: u32) -> &[u8] {
        let end = at.at.saturating_add(len).min(self.block_size);
        self.block(at.block).get(at.at as usize..end as usize).unwrap_or(&[])
    }

    /// The position `len` bytes on; at a block's end, the start of the next.
    pub(crate) fn advance(&self, from: Position, len: u32) -> Position {
        let mut position = Position { block: from.block, at: from.at.saturating_add(len) };
        while position.at >= self.block_size {
            let next = self.next(position.block);
            if next == NIL {
                break; // the very end of the chain
            }
            position = Position { block: next, at: position.at.wrapping_sub(self.block_size) };
        }
        position
    }

    /// Folds `f` over the `len` bytes from `from`, slice by slice.
    pub(crate) fn fold<T>(&self, from: Position, len: u32, start: T, mut f: impl FnMut(T, &[u8]) -> T) -> T {
        let (mut value, mut at, mut rest) = (start, from, len);
        while rest > 0 {
            let slice = self.slice(at, rest);
            if slice.is_empty() {
                let next = self.next(at.block);
                if next == NIL {
                    break;
                }
                at = Position { block: next, at: 0 };
                continue;
            }
            value = f(value, slice);
            let taken = slice.len() as u32;
            rest = rest.saturating_sub(taken);
            at.at = at.at.saturating_add(taken);
        }
        value
    }

    /// Writes along the chain from `position`; the blocks must be there.
    pub(crate) fn writer(&mut self, position: Position) -> ChainWriter<'_, 'a> {
        ChainWriter { arena: self, position }
    }
}

/// Writes bytes along a chain of blocks, from one block into the next.
pub(crate) struct ChainWriter<'w, 'a> {
    arena: &'w mut Arena<'a>,
    position: Position,
}

impl ChainWriter<'_, '_> {
    pub(crate) const fn position(&self) -> Position {
        self.position
    }
}

impl Put for ChainWriter<'_, '_> {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Position { block, at } = self.position;
            let room = self.arena.block_mut(block).get_mut(at as usize..).unwrap_or(&mut []);
            if room.is_empty() {
                let next = self.arena.next(block);
                if next == NIL {
                    debug_assert!(false, "chain shorter than computed");
                    return;
                }
                self.position = Position { block: next, at: 0 };
                continue;
            }
            let (now, later) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
            if let Some(room) = room.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            self.position.at = at.saturating_add(now.len() as u32);
            bytes = later;
        }
    }
}
