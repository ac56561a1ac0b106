//! Gzip: one member of RFC 1952, without name and time.

use std::io::Read;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Magic, deflate, no flags, no time, no extra flags, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// What deflate may add to bytes that do not shrink, and the trailer.
const OVERHEAD: usize = 64;

/// A deflate context, reset for each batch.
pub(super) struct Gzip {
    deflate: Compress,
}

impl Gzip {
    /// `level` −1 is zlib's default, 6.
    pub(super) fn new(level: i32) -> Self {
        let level = u32::try_from(level).map_or_else(|_| Compression::default(), Compression::new);
        Self { deflate: Compress::new(level, false) }
    }

    pub(super) fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.deflate.reset();
        out.reserve(raw.len() + raw.len() / 1000 + OVERHEAD);
        out.extend_from_slice(&HEADER);
        loop {
            let rest = raw.get(usize::try_from(self.deflate.total_in()).ok()?..)?;
            match self.deflate.compress_vec(rest, out, FlushCompress::Finish).ok()? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => out.reserve(raw.len() / 8 + OVERHEAD),
            }
        }
        let mut crc = Crc::new();
        crc.update(raw);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Some(())
    }
}

pub(super) fn expand(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    flate2::read::GzDecoder::new(packed).read_to_end(out).ok().map(|_| ())
}
