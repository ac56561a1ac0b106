//! A chain of arena blocks turned into an LZ4 frame, and back, with three spare blocks.
//!
//! # The frame
//!
//! What Kafka writes itself and every broker reads: independent LZ4 blocks of at most 64 KiB, no
//! checksums, no content size, an end mark. The record bytes of each arena block are one *piece*
//! (more than one if an arena block exceeds 64 KiB). A piece that shrinks by [`PACKED_OVERHEAD`] or
//! more becomes an LZ4 block of its own. Any other piece is *stored*: it continues the stored LZ4
//! block before it up to 64 KiB, so that a long chain of small incompressible pieces costs one size
//! field, not one each. The compressor reads one arena block at a time, so matches do not reach over
//! the border between two: that is the price of needing no memory (4 KiB blocks lose about a tenth
//! against 16 KiB; below 256 bytes nothing is gained).
//!
//! # Why three spare blocks are enough
//!
//! Let `B` be the block size and `R` the record bytes. One spare takes the compressed piece; from
//! there, or straight from the piece if it is stored, bytes go to a new chain, which takes blocks as
//! it needs them. A block is freed once all of it is read.
//!
//! A packed piece takes `c + 4 ≤ len − 4` bytes: it pays for its own size field and for that of a
//! stored block which may follow. So the only size fields nobody paid for are that of the very first
//! stored block and those where a stored block reached 64 KiB. After reading any number of bytes, at
//! most [`overhead`] more were written than read, at the end as well:
//!
//! `overhead(R) = 7 (header) + 4 (first stored block) + 4·⌊R / 64 KiB⌋ + 4 (end mark)`
//!
//! If `overhead(R) ≤ B` (or else nothing is done: with 128-byte blocks that means R ≤ 1.8 MB, with
//! 4 KiB blocks 66 MB), then while the block `k` of `n` is read, the new chain has at most `k + 1`
//! blocks (its bytes begin where those of the old one do); `n − k + 1` of the old one are left; and
//! there is the spare one: `n + 3`, three more than at the start, at any time.
//!
//! # Why a batch that gains nothing stays intact
//!
//! Reading destroys, so a batch must be known to shrink before anything is written. The pieces are
//! compressed on trial, each into the spare block, until those that shrink save more than
//! `overhead(R)`. The compressor gives the same result the second time, and no piece ever costs more
//! than it has paid for, so the frame is smaller than `R`. Records that compress at all prove it with
//! their first piece, whose result is kept: nothing is done twice. Incompressible ones are tried to
//! the end and left alone.
//!
//! # The way back
//!
//! Pieces end where the blocks of the old chain ended and the new chain begins at the same place in
//! its first block, so each packed piece has its place in one block. It is gathered in a spare
//! block (it may straddle blocks of the frame) and decompressed from there; stored bytes are copied.
//! Let `m` be the blocks of the frame and `n` those of the raw chain. The frame that is yet to be read
//! is at most `B` longer than the raw bytes to come, for the same reason as above. So when `j` blocks
//! are written and whole, at most `n − j + 2` of the frame are left. A spare block is held only
//! until its piece has moved, and it is taken before the next raw block, which is taken after the
//! piece's frame blocks are freed: `n + 3` blocks at most, `n − m + 3` more than at the start.

use crate::accumulator::arena::{Arena, Position};
use crate::accumulator::batch::RECORDS_AT;
use crate::list::NIL;
use crate::record::encode::Put;
use crate::storage::RESERVED_BLOCKS;

use super::block::{self, BLOCK_MAX};

/// Magic; version 1, independent blocks; blocks of at most 64 KiB; the checksum of the two.
const FRAME: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// In a block's size: the bytes are not compressed.
const STORED: u32 = 1 << 31;
const SIZE_FIELD: u32 = 4;
/// What a packed piece pays for: its size field, and that of a stored block behind it.
const PACKED_OVERHEAD: u32 = 2 * SIZE_FIELD;
/// Hash table entries at most: 1 KiB of stack. 512 entries reach 99 % of the ratio that 4096 do on
/// 4 KiB blocks of JSON, 96 % on 16 KiB; shorter pieces use (and clear) half as many as they have bytes.
const TABLE: usize = 512;

/// A finished chain: records, raw or as a frame, from [`RECORDS_AT`] on.
pub(crate) struct Chain {
    pub(crate) first: u32,
    pub(crate) tail: Position,
    pub(crate) blocks: u32,
    pub(crate) bytes: u32,
    /// How many blocks of the old chain were freed: all.
    pub(crate) freed: u32,
}

/// Bytes by which a frame may exceed the `raw` bytes in it.
fn overhead(raw: u32) -> u32 {
    const FIXED: u32 = FRAME.len() as u32 + 2 * SIZE_FIELD;
    (raw / BLOCK_MAX).saturating_mul(SIZE_FIELD).saturating_add(FIXED)
}

/// Compresses the `raw` record bytes of the chain from `first` on. `None`, and nothing has changed, if
/// that gains nothing or cannot be done.
#[inline(never)] // the table is on the stack only while it is used
pub(crate) fn compress(arena: &mut Arena<'_>, first: u32, raw: u32) -> Option<Chain> {
    if overhead(raw) > arena.block_size() || arena.free() < RESERVED_BLOCKS {
        return None;
    }
    let mut packer = Packer { spare: arena.take()?, table: [0; TABLE], only: None };
    let start = Source::new(first);
    if !packer.shrinks(arena, start, raw) {
        arena.free_chain(packer.spare);
        return None;
    }
    let (mut from, mut rest) = (start, raw);
    let (mut to, mut run) = (Sink::new(), Run { size_at: start.at, len: 0 });
    to.put(arena, &FRAME);
    while rest > 0 {
        from.enter_block(arena);
        let piece = piece_len(arena, from.at, rest);
        match packer.pack(arena, from.at, piece) {
            Some(size) => {
                run.len = 0;
                to.put(arena, &size.to_le_bytes());
                carry(arena, &mut Source { at: Position { block: packer.spare, at: 0 }, freed: 0 }, &mut to, size);
                from.at.at = from.at.at.saturating_add(piece);
            }
            None => run.store(arena, &mut from, &mut to, piece),
        }
        rest = rest.saturating_sub(piece);
    }
    to.put(arena, &[0; SIZE_FIELD as usize]);
    arena.free_chain(packer.spare);
    Some(to.end(arena, from))
}

/// How many free blocks [`expand`] needs for `raw` bytes from a frame in `blocks` blocks. That many but
/// the reserve are taken for good.
pub(crate) fn blocks_to_expand(arena: &Arena<'_>, raw: u32, blocks: u32) -> u32 {
    let needed = RECORDS_AT.saturating_add(raw).div_ceil(arena.block_size().max(1));
    needed.saturating_sub(blocks).saturating_add(RESERVED_BLOCKS)
}

/// Turns the frame in the chain from `first` on back into records; [`blocks_to_expand`] must be free.
pub(crate) fn expand(arena: &mut Arena<'_>, first: u32) -> Chain {
    let (mut from, mut to) = (Source::new(first), Sink::new());
    from.at.at = RECORDS_AT; // the first block has room for all of the frame's header
    let mut skipped = [0; FRAME.len()];
    from.read(arena, &mut skipped);
    debug_assert_eq!(skipped, FRAME);
    loop {
        let mut size = [0; SIZE_FIELD as usize];
        from.read(arena, &mut size);
        let size = u32::from_le_bytes(size);
        if size == 0 {
            return to.end(arena, from);
        }
        let moved = if size & STORED != 0 {
            carry(arena, &mut from, &mut to, size ^ STORED)
        } else {
            unpack(arena, &mut from, &mut to, size)
        };
        if moved.is_none() {
            debug_assert!(false, "we wrote this frame");
            return to.end(arena, from);
        }
    }
}

/// Decompresses the next `size` bytes of a frame.
fn unpack(arena: &mut Arena<'_>, from: &mut Source, to: &mut Sink, size: u32) -> Option<()> {
    let spare = arena.take()?;
    let mut gathered = Sink { first: spare, at: Position { block: spare, at: 0 }, blocks: 1, bytes: 0 };
    let piece = carry(arena, from, &mut gathered, size).and_then(|()| {
        to.enter_block(arena);
        let (read, write) = arena.pair(spare, to.at.block);
        block::decompress(read.get(..size as usize)?, write.get_mut(to.at.at as usize..)?)
    });
    arena.free_chain(spare);
    to.advance(piece? as u32);
    Some(())
}

/// Bytes of the piece that begins at `at`, with `rest` bytes to come.
fn piece_len(arena: &Arena<'_>, at: Position, rest: u32) -> u32 {
    rest.min(arena.block_size().saturating_sub(at.at)).min(BLOCK_MAX)
}

/// Compresses pieces into a spare block.
struct Packer {
    spare: u32,
    table: [u16; TABLE],
    /// The result that the spare block holds since the trial.
    only: Option<u32>,
}

impl Packer {
    /// Tries whether `raw` bytes from `start` on will surely shrink.
    fn shrinks(&mut self, arena: &mut Arena<'_>, start: Source, raw: u32) -> bool {
        let (mut at, mut rest, mut saved) = (start.at, raw, 0u32);
        while rest > 0 {
            let piece = piece_len(arena, at, rest);
            if let Some(size) = self.pack(arena, at, piece) {
                saved = saved.saturating_add(piece.saturating_sub(size).saturating_sub(PACKED_OVERHEAD));
                if saved > overhead(raw) {
                    self.only = (rest == raw).then_some(size);
                    return true;
                }
            }
            rest = rest.saturating_sub(piece);
            if rest > 0 {
                at = arena.advance(at, piece);
            }
        }
        false
    }

    /// Compresses the `piece` bytes at `at`, if they shrink enough, and says to how many.
    fn pack(&mut self, arena: &mut Arena<'_>, at: Position, piece: u32) -> Option<u32> {
        if let Some(size) = self.only.take() {
            return Some(size);
        }
        let (read, write) = arena.pair(at.block, self.spare);
        let from = read.get(at.at as usize..)?.get(..piece as usize)?;
        let to = write.get_mut(..piece.checked_sub(PACKED_OVERHEAD)? as usize)?;
        let entries = (piece as usize / 2).next_power_of_two().clamp(64, TABLE);
        block::compress(from, to, self.table.get_mut(..entries)?).map(|size| size as u32)
    }
}

/// A stored LZ4 block that may go on.
struct Run {
    size_at: Position,
    /// Its length so far; 0 if there is none.
    len: u32,
}

impl Run {
    /// Stores `len` bytes as they are.
    fn store(&mut self, arena: &mut Arena<'_>, from: &mut Source, to: &mut Sink, mut len: u32) {
        while len > 0 {
            if self.len == 0 || self.len >= BLOCK_MAX {
                *self = Self { size_at: to.at, len: 0 };
                to.put(arena, &[0; SIZE_FIELD as usize]);
            }
            let part = len.min(BLOCK_MAX.saturating_sub(self.len));
            if carry(arena, from, to, part).is_none() {
                return;
            }
            self.len = self.len.saturating_add(part);
            arena.writer(self.size_at).put(&(self.len | STORED).to_le_bytes());
            len = len.saturating_sub(part);
        }
    }
}

/// Reads a chain, freeing each block once the next one is entered.
#[derive(Clone, Copy)]
struct Source {
    at: Position,
    freed: u32,
}

impl Source {
    const fn new(first: u32) -> Self {
        Self { at: Position { block: first, at: RECORDS_AT }, freed: 0 }
    }

    /// At a block's end: on to the next one.
    fn enter_block(&mut self, arena: &mut Arena<'_>) {
        if self.at.at >= arena.block_size() {
            let read = self.at.block;
            self.at = Position { block: arena.next(read), at: 0 };
            arena.set_next(read, NIL);
            self.freed = self.freed.wrapping_add(arena.free_chain(read));
        }
    }

    fn read(&mut self, arena: &mut Arena<'_>, bytes: &mut [u8]) {
        for byte in bytes {
            self.enter_block(arena);
            *byte = arena.slice(self.at, 1).first().copied().unwrap_or(0);
            self.at.at = self.at.at.saturating_add(1);
        }
    }
}

/// Writes a chain that grows.
struct Sink {
    first: u32,
    at: Position,
    blocks: u32,
    bytes: u32,
}

impl Sink {
    const fn new() -> Self {
        Self { first: NIL, at: Position { block: NIL, at: 0 }, blocks: 0, bytes: 0 }
    }

    /// Before the first block, or at a block's end: takes another one.
    fn enter_block(&mut self, arena: &mut Arena<'_>) {
        if self.first != NIL && self.at.at < arena.block_size() {
            return;
        }
        let Some(block) = arena.take() else {
            debug_assert!(false, "the reserve is large enough");
            return;
        };
        if self.first == NIL {
            (self.first, self.at) = (block, Position { block, at: RECORDS_AT });
        } else {
            arena.set_next(self.at.block, block);
            self.at = Position { block, at: 0 };
        }
        self.blocks = self.blocks.wrapping_add(1);
    }

    fn advance(&mut self, len: u32) {
        self.at.at = self.at.at.saturating_add(len);
        self.bytes = self.bytes.saturating_add(len);
    }

    /// Writes a few bytes, fewer than a block has.
    fn put(&mut self, arena: &mut Arena<'_>, bytes: &[u8]) {
        for byte in bytes {
            self.enter_block(arena);
            if let Some(to) = arena.block_mut(self.at.block).get_mut(self.at.at as usize) {
                *to = *byte;
            }
            self.advance(1);
        }
    }

    /// All is moved: what is left of the old chain is free.
    fn end(self, arena: &mut Arena<'_>, from: Source) -> Chain {
        let freed = from.freed.wrapping_add(arena.free_chain(from.at.block));
        Chain { first: self.first, tail: self.at, blocks: self.blocks, bytes: self.bytes, freed }
    }
}

/// Moves `len` bytes from one chain to another.
fn carry(arena: &mut Arena<'_>, from: &mut Source, to: &mut Sink, mut len: u32) -> Option<()> {
    while len > 0 {
        from.enter_block(arena);
        to.enter_block(arena);
        let (read, write) = arena.pair(from.at.block, to.at.block);
        let (read, write) = (read.get(from.at.at as usize..)?, write.get_mut(to.at.at as usize..)?);
        let part = (len as usize).min(read.len()).min(write.len());
        write.get_mut(..part)?.copy_from_slice(read.get(..part)?);
        if part == 0 {
            return None;
        }
        from.at.at = from.at.at.saturating_add(part as u32);
        to.advance(part as u32);
        len = len.saturating_sub(part as u32);
    }
    Some(())
}
