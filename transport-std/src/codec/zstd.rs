//! Zstandard: one frame, without checksum, since the batch has one.

use ::zstd::bulk::{Compressor, Decompressor};
use ::zstd::zstd_safe::compress_bound;

/// A context for one level.
pub(super) struct Zstd {
    context: Compressor<'static>,
}

impl Zstd {
    pub(super) fn new(level: i32) -> Option<Self> {
        Compressor::new(level).ok().map(|context| Self { context })
    }

    pub(super) fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.reserve(compress_bound(raw.len()));
        self.context.compress_to_buffer(raw, out).ok().map(|_| ())
    }
}

/// `out` has room for all of it.
pub(super) fn expand(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    Decompressor::new().ok()?.decompress_to_buffer(packed, out).ok().map(|_| ())
}
