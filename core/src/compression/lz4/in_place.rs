//! A chain of arena blocks turned into an LZ4 frame where it is, and back.
//!
//! # The frame
//!
//! What Kafka writes itself and every broker reads: independent LZ4 blocks of at most 64 KiB, no
//! checksums, no content size, an end mark. The record bytes of each arena block are one *piece*
//! (more than one if an arena block exceeds 64 KiB). A piece that shrinks by [`PACKED_OVERHEAD`] or
//! more becomes an LZ4 block of its own. Any other piece is *stored*: it continues the stored LZ4
//! block before it up to 64 KiB, so that a long chain of small incompressible pieces costs one size
//! field, not one each. Matches do not reach over the border between two arena blocks: that is the
//! price of needing no memory. JSON shrinks 1.5 times in blocks of 256 bytes, 2.5 in 1 KiB, 3.1 in
//! 4 KiB, 3.4 in 16 KiB; in blocks of 128 bytes only repetition does.
//!
//! # Why two spare blocks are enough
//!
//! Let `B` be the block size and `R` the record bytes. One spare block takes each piece, compressed or
//! not, before it is written. The other one is put before the chain: what is written begins in it, at
//! the place where the records begin in the block behind it, so the writer is `B` bytes behind the
//! reader. It must not overtake.
//!
//! A packed piece of `len` bytes takes at most `len − 4` with its size field: it has paid for that and
//! for the size field of a stored block that may follow. Nobody paid for the size fields of the very
//! first stored block and of those where one reached 64 KiB. So whatever was read, at most
//!
//! `overhead(R) = 7 (header) + 4 (first stored block) + 4·⌊R / 64 KiB⌋ + 4 (end mark)`
//!
//! more bytes were written. If that exceeds `B`, nothing is done (in blocks of 128 bytes from 1.9 MB of
//! records on, in 4 KiB from 66 MB on); else the writer stays behind. The condition also means that
//! `R / B < 2^14`: the number of blocks fits 16 bits.
//!
//! # Why a batch that gains nothing stays intact
//!
//! Writing destroys, so a batch must be known to shrink before anything is written. The pieces are
//! compressed on trial, each into the spare block, until those that shrink save more than
//! `overhead(R)`. The compressor gives the same result the second time, and no piece ever costs more
//! than was paid for it, so the frame is smaller than `R`. Records that compress at all mostly prove
//! it with their first piece, whose result is kept: nothing is done twice. Incompressible ones are
//! tried to the end and left alone.
//!
//! # The way back
//!
//! Let `n` be the blocks of the records and `m` those of the frame. `n − m + 2` blocks are put before
//! the frame, and one takes each piece on its way: that is `n − m + 3`, of which two and the last are
//! free again in the end. Again the writer must not overtake the reader. What it gains on the reader
//! up to some place is what the frame saves in all, less than `(n − m + 1)·B`, less what the frame saves
//! from there on; which is not less than `−overhead(R) ≥ −B`, as above. So it gains less than
//! `(n − m + 2)·B`, which is its distance at the start.
//!
//! The records come to lie as they did, so every packed piece has its place within one block.

use crate::record::encode::Put;
use crate::state::arena::{Arena, Position};
use crate::state::batch::RECORDS_AT;
use crate::state::list::NIL;
use crate::state::storage::SPARE_BLOCKS;

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
/// Free blocks that [`compress`] needs for its time.
const SPARE: u32 = 2;
/// Free blocks that [`expand`] needs for its time, beside those it takes for good.
const SPARE_TO_EXPAND: u32 = 3;
/// Neither may want more than is kept for it.
const _: () = assert!(SPARE <= SPARE_BLOCKS && SPARE_TO_EXPAND <= SPARE_BLOCKS);

/// A chain with records, raw or as a frame, from [`RECORDS_AT`] on.
pub(super) struct Chain {
    pub(super) first: u32,
    pub(super) tail: Position,
    /// All of them, also those behind the tail.
    pub(super) blocks: u32,
    /// From [`RECORDS_AT`] to the tail.
    pub(super) bytes: u32,
}

impl Chain {
    fn used(&self, arena: &Arena<'_>) -> u32 {
        RECORDS_AT.saturating_add(self.bytes).div_ceil(arena.block_size().max(1))
    }

    /// Frees the blocks behind the tail, but of the first `keep` of the chain none.
    fn cut(mut self, arena: &mut Arena<'_>, keep: u32) -> Self {
        let mut last = self.tail.block;
        self.blocks = self.used(arena);
        while self.blocks < keep && arena.next(last) != NIL {
            last = arena.next(last);
            self.blocks = self.blocks.wrapping_add(1);
        }
        let behind = arena.next(last);
        arena.set_next(last, NIL);
        arena.free_chain(behind);
        self
    }
}

/// Bytes by which a frame may exceed the `raw` bytes in it.
fn overhead(raw: u32) -> u32 {
    const FIXED: u32 = FRAME.len() as u32 + 2 * SIZE_FIELD;
    (raw / BLOCK_MAX).saturating_mul(SIZE_FIELD).saturating_add(FIXED)
}

/// Compresses the records of a chain without blocks behind its tail. A frame of more than `hold_above`
/// bytes keeps all the blocks. `None`, and nothing has changed, if it would not be smaller or cannot be
/// had.
#[inline(never)] // the table is on the stack only while it is used
pub(super) fn compress(arena: &mut Arena<'_>, raw: &Chain, hold_above: u32) -> Option<Chain> {
    if overhead(raw.bytes) > arena.block_size() || arena.free() < SPARE {
        return None;
    }
    let start = Position { block: raw.first, at: RECORDS_AT };
    let mut packer = Packer { spare: arena.take()?, table: [0; TABLE], first: None };
    let front = if packer.shrinks(arena, start, raw.bytes) { arena.take() } else { None };
    let Some(front) = front else {
        arena.free_chain(packer.spare);
        return None;
    };
    arena.set_next(front, raw.first);
    let mut to = Output::new(front, packer.spare);
    to.put(arena, &FRAME);
    let (mut from, mut rest) = (start, raw.bytes);
    while rest > 0 {
        let piece = piece_len(arena, from, rest);
        let next = arena.advance(from, piece);
        match packer.pack(arena, from, piece) {
            Some(size) => to.packed(arena, size),
            None => to.stored(arena, from, piece),
        }
        (from, rest) = (next, rest.saturating_sub(piece));
    }
    to.put(arena, &[0; SIZE_FIELD as usize]);
    let keep = if to.bytes > hold_above { raw.blocks } else { 0 };
    Some(to.end(arena).cut(arena, keep))
}

/// Turns a frame back into records of `raw_blocks` blocks. `None`, and nothing has changed, if there are
/// too few free blocks for that.
pub(super) fn expand(arena: &mut Arena<'_>, frame: Chain, raw_blocks: u32) -> Option<Chain> {
    if arena.free() < raw_blocks.saturating_sub(frame.blocks).saturating_add(SPARE_TO_EXPAND) {
        return None;
    }
    let frame = frame.cut(arena, 0);
    let spare = arena.take()?;
    let mut front = frame.first;
    for _ in frame.blocks..raw_blocks.saturating_add(SPARE_TO_EXPAND - 1) {
        let block = arena.take()?;
        arena.set_next(block, front);
        front = block;
    }
    let mut to = Output::new(front, spare);
    let mut from = Position { block: frame.first, at: RECORDS_AT.saturating_add(FRAME.len() as u32) };
    loop {
        let mut size = [0; SIZE_FIELD as usize];
        read(arena, &mut from, &mut size);
        let size = u32::from_le_bytes(size);
        if size == 0 {
            break;
        }
        let moved = if size & STORED == 0 {
            to.unpack(arena, &mut from, size)
        } else {
            to.copy(arena, &mut from, size ^ STORED)
        };
        if moved.is_none() {
            debug_assert!(false, "we wrote this frame");
            break;
        }
    }
    Some(to.end(arena).cut(arena, 0))
}

/// Bytes of the piece that begins at `at`, with `rest` bytes to come.
fn piece_len(arena: &Arena<'_>, at: Position, rest: u32) -> u32 {
    rest.min(arena.block_size().saturating_sub(at.at)).min(BLOCK_MAX)
}

/// Compresses pieces into a spare block.
struct Packer {
    spare: u32,
    table: [u16; TABLE],
    /// The first piece's result, if the spare block holds it since the trial.
    first: Option<u32>,
}

impl Packer {
    /// Tries whether `raw` bytes from `at` on will surely shrink.
    fn shrinks(&mut self, arena: &mut Arena<'_>, mut at: Position, raw: u32) -> bool {
        let (mut rest, mut saved) = (raw, 0u32);
        while rest > 0 {
            let piece = piece_len(arena, at, rest);
            if let Some(size) = self.pack(arena, at, piece) {
                saved = saved.saturating_add(piece.saturating_sub(size).saturating_sub(PACKED_OVERHEAD));
                if saved > overhead(raw) {
                    self.first = (rest == raw).then_some(size);
                    return true;
                }
            }
            rest = rest.saturating_sub(piece);
            at = arena.advance(at, piece);
        }
        false
    }

    /// Compresses the `piece` bytes at `at`, if they shrink enough, and says to how many.
    fn pack(&mut self, arena: &mut Arena<'_>, at: Position, piece: u32) -> Option<u32> {
        if let Some(size) = self.first.take() {
            return Some(size);
        }
        let (read, write) = arena.pair(at.block, self.spare);
        let from = read.get(at.at as usize..)?.get(..piece as usize)?;
        let to = write.get_mut(..piece.checked_sub(PACKED_OVERHEAD)? as usize)?;
        let entries = (piece as usize / 2).next_power_of_two().clamp(64, TABLE);
        block::compress(from, to, self.table.get_mut(..entries)?).map(|size| size as u32)
    }
}

/// What is written, along a chain, by way of a spare block.
struct Output {
    first: u32,
    at: Position,
    bytes: u32,
    spare: u32,
    /// Length of the stored block that may go on, 0 if there is none, and where its size field is.
    run: u32,
    run_at: Position,
}

impl Output {
    fn new(first: u32, spare: u32) -> Self {
        let at = Position { block: first, at: RECORDS_AT };
        Self { first, at, bytes: 0, spare, run: 0, run_at: at }
    }

    fn end(self, arena: &mut Arena<'_>) -> Chain {
        arena.free_chain(self.spare);
        Chain { first: self.first, tail: self.at, blocks: 0, bytes: self.bytes }
    }

    fn put(&mut self, arena: &mut Arena<'_>, bytes: &[u8]) {
        self.at = write(arena, self.at, bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u32);
    }

    /// The start of the spare block.
    fn spare(&self) -> Position {
        Position { block: self.spare, at: 0 }
    }

    /// Writes an LZ4 block that the spare block holds.
    fn packed(&mut self, arena: &mut Arena<'_>, size: u32) {
        self.run = 0;
        self.put(arena, &size.to_le_bytes());
        self.bytes = self.bytes.saturating_add(size);
        carry(arena, &mut self.spare(), &mut self.at, size);
    }

    /// Writes the `len` bytes at `from` as they are, as stored LZ4 blocks.
    fn stored(&mut self, arena: &mut Arena<'_>, mut from: Position, mut len: u32) {
        let mut spare = self.spare();
        carry(arena, &mut from, &mut spare, len);
        spare.at = 0;
        while len > 0 {
            if self.run == 0 || self.run >= BLOCK_MAX {
                (self.run, self.run_at) = (0, self.at);
                self.put(arena, &[0; SIZE_FIELD as usize]);
            }
            let part = len.min(BLOCK_MAX.saturating_sub(self.run));
            self.bytes = self.bytes.saturating_add(part);
            carry(arena, &mut spare, &mut self.at, part);
            self.run = self.run.saturating_add(part);
            write(arena, self.run_at, &(self.run | STORED).to_le_bytes());
            len = len.saturating_sub(part);
        }
    }

    /// Takes over the next `len` bytes of a frame as they are.
    fn copy(&mut self, arena: &mut Arena<'_>, from: &mut Position, mut len: u32) -> Option<()> {
        while len > 0 {
            let part = len.min(arena.block_size());
            carry(arena, from, &mut self.spare(), part)?;
            carry(arena, &mut self.spare(), &mut self.at, part)?;
            self.bytes = self.bytes.saturating_add(part);
            len = len.saturating_sub(part);
        }
        Some(())
    }

    /// Decompresses the next `len` bytes of a frame.
    fn unpack(&mut self, arena: &mut Arena<'_>, from: &mut Position, len: u32) -> Option<()> {
        carry(arena, from, &mut self.spare(), len)?;
        enter_block(arena, &mut self.at);
        let (read, write) = arena.pair(self.spare, self.at.block);
        let piece = block::decompress(read.get(..len as usize)?, write.get_mut(self.at.at as usize..)?)? as u32;
        self.at.at = self.at.at.saturating_add(piece);
        self.bytes = self.bytes.saturating_add(piece);
        Some(())
    }
}

/// At a block's end: on to the next one.
fn enter_block(arena: &Arena<'_>, at: &mut Position) {
    let next = arena.next(at.block);
    if at.at >= arena.block_size() && next != NIL {
        *at = Position { block: next, at: 0 };
    }
}

#[inline(never)] // small, and called from many places
fn write(arena: &mut Arena<'_>, at: Position, bytes: &[u8]) -> Position {
    let mut out = arena.writer(at);
    out.put(bytes);
    out.position()
}

fn read(arena: &Arena<'_>, at: &mut Position, bytes: &mut [u8]) {
    for byte in bytes {
        enter_block(arena, at);
        *byte = arena.slice(*at, 1).first().copied().unwrap_or(0);
        at.at = at.at.saturating_add(1);
    }
}

/// Copies `len` bytes from or to a spare block along a chain, and moves both places on.
fn carry(arena: &mut Arena<'_>, from: &mut Position, to: &mut Position, mut len: u32) -> Option<()> {
    while len > 0 {
        enter_block(arena, from);
        enter_block(arena, to);
        let (read, write) = arena.pair(from.block, to.block);
        let (read, write) = (read.get(from.at as usize..)?, write.get_mut(to.at as usize..)?);
        let part = (len as usize).min(read.len()).min(write.len());
        write.get_mut(..part)?.copy_from_slice(read.get(..part)?);
        if part == 0 {
            return None;
        }
        from.at = from.at.saturating_add(part as u32);
        to.at = to.at.saturating_add(part as u32);
        len = len.saturating_sub(part as u32);
    }
    Some(())
}
