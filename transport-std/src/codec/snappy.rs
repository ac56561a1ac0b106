//! Snappy as Kafka has it: xerial's stream, whose header old consumers insist on (PITFALLS 50).

/// Magic, version 1, readable by version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
/// Bytes that go into one block, as in Java's client.
const CHUNK: usize = 32 << 10;
const SIZE_FIELD: usize = 4;

/// An encoder with its hash table.
pub(super) struct Snappy {
    encoder: Box<snap::raw::Encoder>,
}

impl Snappy {
    pub(super) fn new() -> Self {
        Self { encoder: Box::new(snap::raw::Encoder::new()) }
    }

    pub(super) fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(&HEADER);
        for chunk in raw.chunks(CHUNK) {
            let size_at = out.len();
            let block_at = size_at + SIZE_FIELD;
            out.resize(block_at + snap::raw::max_compress_len(chunk.len()), 0);
            let size = self.encoder.compress(chunk, out.get_mut(block_at..)?).ok()?;
            out.get_mut(size_at..block_at)?.copy_from_slice(&u32::try_from(size).ok()?.to_be_bytes());
            out.truncate(block_at + size);
        }
        Some(())
    }
}

pub(super) fn expand(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoder = snap::raw::Decoder::new();
    let mut rest = packed.strip_prefix(&HEADER)?;
    while !rest.is_empty() {
        let (size, tail) = rest.split_first_chunk::<SIZE_FIELD>()?;
        let (block, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
        out.extend_from_slice(&decoder.decompress_vec(block).ok()?);
        rest = tail;
    }
    Some(())
}
