//! LZ4 frames of independent blocks of 64 KiB, without checksums: brokers refuse linked blocks as soon as
//! there is more than one (PITFALLS 49).

use std::io::{Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// An encoder with its hash table and buffers. It writes one frame after the other.
pub(super) struct Lz4 {
    encoder: FrameEncoder<Vec<u8>>,
}

impl Lz4 {
    pub(super) fn new() -> Self {
        let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
        Self { encoder: FrameEncoder::with_frame_info(info, Vec::new()) }
    }

    pub(super) fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        std::mem::swap(self.encoder.get_mut(), out);
        let written = self.encoder.write_all(raw).is_ok() && self.encoder.try_finish().is_ok();
        std::mem::swap(self.encoder.get_mut(), out);
        written.then_some(())
    }
}

pub(super) fn expand(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    FrameDecoder::new(packed).read_to_end(out).ok().map(|_| ())
}
