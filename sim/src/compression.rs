//! Decompression of a batch's records, as strict as Kafka's own decoders where they are strict; and the other way, for
//! producers that leave it to the [`World`](crate::world::World).

use std::io::Read;
#[cfg(feature = "codecs")]
use std::io::Write;

/// Compression codecs by their id in the batch attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Id 0.
    None,
    /// Id 1.
    Gzip,
    /// Id 2, in xerial's stream format or as one raw block.
    Snappy,
    /// Id 3, the LZ4 frame format.
    Lz4,
    /// Id 4 (KIP-110), from Produce v7.
    Zstd,
}

impl From<klamm_core::Compression> for Codec {
    fn from(compression: klamm_core::Compression) -> Self {
        use klamm_core::Compression;
        match compression {
            Compression::Gzip => Self::Gzip,
            Compression::Snappy => Self::Snappy,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl Codec {
    /// The codec in the low three bits of the attributes; 5 to 7 are not assigned.
    #[must_use]
    pub const fn from_attributes(attributes: i16) -> Option<Self> {
        match attributes & 7 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Why a payload could not be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The feature `codecs` is off.
    #[cfg_attr(feature = "codecs", allow(dead_code, reason = "only built without codecs"))]
    Unavailable,
    /// The payload is not what its codec id says.
    Corrupt,
}

/// The records of one batch never expand beyond this; a bomb is corrupt.
const MAX_DECOMPRESSED: u64 = 256 << 20;

pub(crate) fn decompress(codec: Codec, data: &[u8]) -> Result<Vec<u8>, Failure> {
    match codec {
        Codec::None => Ok(data.to_vec()),
        Codec::Lz4 => lz4(data),
        Codec::Gzip => gzip(data),
        Codec::Snappy => snappy(data),
        Codec::Zstd => zstd(data),
    }
}

fn read_all(source: impl Read) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut limited = source.take(MAX_DECOMPRESSED + 1);
    limited.read_to_end(&mut out).map_err(|_| Failure::Corrupt)?;
    if out.len() as u64 > MAX_DECOMPRESSED {
        return Err(Failure::Corrupt);
    }
    Ok(out)
}

fn lz4(data: &[u8]) -> Result<Vec<u8>, Failure> {
    check_lz4_frame(data).ok_or(Failure::Corrupt)?;
    read_all(lz4_flex::frame::FrameDecoder::new(data))
}

/// The rules of Kafka's LZ4 decoder that a general decoder does not have: one frame with an end mark and nothing behind it,
/// no dictionary, and independent blocks as soon as there is more than one.
fn check_lz4_frame(data: &[u8]) -> Option<()> {
    let (magic, rest) = data.split_first_chunk::<4>()?;
    let (&[flags, _block], mut rest) = rest.split_first_chunk::<2>()?;
    if u32::from_le_bytes(*magic) != 0x184D_2204 || flags >> 6 != 1 || flags & 1 != 0 {
        return None;
    }
    let independent = flags & 0x20 != 0;
    let block_checksum = if flags & 0x10 != 0 { 4 } else { 0 };
    let content_size = if flags & 0x08 != 0 { 8 } else { 0 };
    let content_checksum = if flags & 0x04 != 0 { 4 } else { 0 };
    rest = rest.get(content_size + 1..)?;
    let mut blocks = 0;
    loop {
        let (size, tail) = rest.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) & 0x7fff_ffff;
        if size == 0 {
            return (tail.len() == content_checksum).then_some(());
        }
        blocks += 1;
        if blocks > 1 && !independent {
            return None;
        }
        rest = tail.get(size as usize + block_checksum..)?;
    }
}

#[cfg(not(feature = "codecs"))]
fn gzip(_: &[u8]) -> Result<Vec<u8>, Failure> {
    Err(Failure::Unavailable)
}

#[cfg(not(feature = "codecs"))]
fn snappy(_: &[u8]) -> Result<Vec<u8>, Failure> {
    Err(Failure::Unavailable)
}

#[cfg(not(feature = "codecs"))]
fn zstd(_: &[u8]) -> Result<Vec<u8>, Failure> {
    Err(Failure::Unavailable)
}

#[cfg(feature = "codecs")]
fn gzip(data: &[u8]) -> Result<Vec<u8>, Failure> {
    // Java reads concatenated members as one stream.
    read_all(flate2::read::MultiGzDecoder::new(data))
}

#[cfg(feature = "codecs")]
fn snappy(data: &[u8]) -> Result<Vec<u8>, Failure> {
    const XERIAL: &[u8; 8] = b"\x82SNAPPY\x00";
    let mut decoder = snap::raw::Decoder::new();
    let mut block = |bytes: &[u8]| {
        let length = snap::raw::decompress_len(bytes).map_err(|_| Failure::Corrupt)?;
        if length as u64 > MAX_DECOMPRESSED {
            return Err(Failure::Corrupt);
        }
        decoder.decompress_vec(bytes).map_err(|_| Failure::Corrupt)
    };
    // Without xerial's magic the whole payload is one raw block.
    let Some(stream) = data.strip_prefix(XERIAL) else {
        return block(data);
    };
    // Version and compatible version: written by some clients in the other byte order, and read by nobody.
    let mut rest = stream.get(8..).ok_or(Failure::Corrupt)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(Failure::Corrupt)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (chunk, tail) = tail.split_at_checked(length).ok_or(Failure::Corrupt)?;
        out.extend_from_slice(&block(chunk)?);
        if out.len() as u64 > MAX_DECOMPRESSED {
            return Err(Failure::Corrupt);
        }
        rest = tail;
    }
    Ok(out)
}

#[cfg(feature = "codecs")]
fn zstd(mut data: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    // Several frames may follow each other.
    while !data.is_empty() {
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut data).map_err(|_| Failure::Corrupt)?;
        out.extend_from_slice(&read_all(frame)?);
        if out.len() as u64 > MAX_DECOMPRESSED {
            return Err(Failure::Corrupt);
        }
    }
    Ok(out)
}

/// Compresses as Kafka's own clients do. `None` if the codec is not built in.
#[cfg(feature = "codecs")]
pub(crate) fn compress(codec: Codec, data: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Codec::None => Some(data.to_vec()),
        Codec::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
            let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(data).ok()?;
            encoder.finish().ok()
        }
        #[cfg(not(feature = "codecs"))]
        Codec::Gzip | Codec::Snappy | Codec::Zstd => None,
        #[cfg(feature = "codecs")]
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).ok()?;
            encoder.finish().ok()
        }
        #[cfg(feature = "codecs")]
        Codec::Snappy => {
            let mut out = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01".to_vec();
            let mut encoder = snap::raw::Encoder::new();
            for chunk in data.chunks(32 << 10) {
                let block = encoder.compress_vec(chunk).ok()?;
                out.extend_from_slice(&u32::try_from(block.len()).ok()?.to_be_bytes());
                out.extend_from_slice(&block);
            }
            Some(out)
        }
        #[cfg(feature = "codecs")]
        Codec::Zstd => Some(ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)),
    }
}
