//! What the codecs write, against the formats that brokers take and the bytes that Java's client writes. That a
//! decoder as strict as Kafka's takes it is shown in `tests/codecs.rs`.

use klamm_core::{Compression, Config, Instant, Limits, Record, Storage};

use super::{Bench, Codec, Pool};
use crate::levels::Levels;

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn codec(compression: Compression) -> Codec {
    Codec::new(compression, Levels::default()).unwrap()
}

fn compress(codec: &mut Codec, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.compress(raw, &mut out).unwrap();
    out
}

fn expand(codec: &mut Codec, packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    codec.expand(packed, bytes, &mut out).map(|()| out)
}

/// The bytes behind the batch header of a shared vector.
fn payload(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/vectors/data/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let hex = std::fs::read_to_string(path).unwrap();
    let digits = hex.trim().as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    bytes.skip(61).collect()
}

/// Bytes that do not shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Long, short, empty of any pattern, and at the borders of blocks.
fn samples() -> Vec<Vec<u8>> {
    let mut samples = vec![payload("codec_variants/big_none"), payload("batch_ten_none")];
    for len in [1, 2, 100, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 300_000] {
        samples.push(noise(len));
        samples.push(vec![b'a'; len]);
        let text = (0..).flat_map(|n: u32| format!("{{\"reading\":{n},\"unit\":\"kPa\"}},").into_bytes());
        samples.push(text.take(len).collect());
    }
    samples
}

#[test]
fn what_was_compressed_can_be_expanded() {
    assert!(payload("codec_variants/big_none").len() > 140_000);
    for compression in CODECS {
        let mut reused = codec(compression);
        for raw in samples() {
            let packed = compress(&mut reused, &raw);
            // A context that has worked before gives what a new one gives: nothing of a batch gets into the next.
            assert!(packed == compress(&mut codec(compression), &raw), "{compression:?}, {} bytes", raw.len());
            assert!(expand(&mut reused, &packed, raw.len()).as_deref() == Some(&raw[..]), "{compression:?}");
            assert!(packed.len() < raw.len() + raw.len() / 100 + 100, "{compression:?}: {}", packed.len());
        }
        let text = &samples()[0];
        assert!(compress(&mut reused, text).len() < text.len() / 2);
    }
}

#[test]
fn what_comes_out_whole_is_right() {
    for compression in CODECS {
        let raw = payload("batch_ten_none").repeat(20);
        let packed = compress(&mut codec(compression), &raw);
        for cut in [0, 1, 7, 16, packed.len() / 2, packed.len() - 1] {
            let got = expand(&mut codec(compression), &packed[..cut], raw.len());
            assert!(got.is_none_or(|got| got.len() != raw.len() || got == raw), "{compression:?} cut to {cut}");
        }
    }
}

#[test]
fn levels_are_used() {
    let raw = &samples()[4 + 3 * 10]; // the longest text
    assert_eq!(raw.len(), 300_000);
    let size = |compression, levels| {
        let mut codec = Codec::new(compression, levels).unwrap();
        let packed = compress(&mut codec, raw);
        assert!(expand(&mut codec, &packed, raw.len()).as_deref() == Some(&raw[..]));
        packed.len()
    };
    let gzip = |level| size(Compression::Gzip, Levels { gzip: level, ..Levels::default() });
    assert!(gzip(9) < gzip(1));
    assert_eq!(gzip(-1), gzip(6));
    let zstd = |level| size(Compression::Zstd, Levels { zstd: level, ..Levels::default() });
    assert!(zstd(19) < zstd(3) && zstd(3) < zstd(-50));
    assert!(zstd(22) < raw.len() && zstd(-131_072) <= raw.len() + 100);
}

/// PRODUCER b: one member, default flags, no time.
#[test]
fn gzip_is_one_plain_member() {
    let raw = payload("codec_variants/big_none");
    let packed = compress(&mut codec(Compression::Gzip), &raw);
    let java = payload("batch_big_gzip");
    assert_eq!(packed[..8], java[..8]);
    let trailer = &packed[packed.len() - 4..];
    assert_eq!(trailer, u32::try_from(raw.len()).unwrap().to_le_bytes());
}

/// PITFALLS 50: xerial's header, then blocks of at most 32 KiB, each with its length.
#[test]
fn snappy_is_framed_as_xerial_does() {
    let raw = payload("codec_variants/big_none");
    let packed = compress(&mut codec(Compression::Snappy), &raw);
    assert_eq!(packed[..16], payload("batch_big_snappy")[..16]);
    let (mut rest, mut lens) = (&packed[16..], Vec::new());
    while let Some((size, tail)) = rest.split_first_chunk() {
        let (block, tail) = tail.split_at(u32::from_be_bytes(*size) as usize);
        lens.push(snap::raw::decompress_len(block).unwrap());
        rest = tail;
    }
    assert_eq!(lens.iter().sum::<usize>(), raw.len());
    assert!(lens.len() > 3 && lens.iter().all(|len| *len <= 32 << 10), "{lens:?}");
}

/// PITFALLS 49: independent blocks of at most 64 KiB, no checksums, no content size, an end mark, nothing behind it.
#[test]
fn lz4_has_independent_blocks() {
    for raw in [payload("codec_variants/big_none"), noise(200_000)] {
        let packed = compress(&mut codec(Compression::Lz4), &raw);
        assert_eq!(packed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
        assert_eq!(packed[..7], payload("batch_big_lz4")[..7]);
        let (mut rest, mut bytes) = (&packed[7..], Vec::new());
        loop {
            let (size, tail) = rest.split_first_chunk().unwrap();
            let size = u32::from_le_bytes(*size);
            if size == 0 {
                assert!(tail.is_empty());
                break;
            }
            let (block, tail) = tail.split_at((size & 0x7fff_ffff) as usize);
            // By itself: a linked block would need those before it.
            let block =
                if size >> 31 == 1 { block.to_vec() } else { lz4_flex::block::decompress(block, 64 << 10).unwrap() };
            assert!(block.len() <= 64 << 10);
            bytes.extend(block);
            rest = tail;
        }
        assert!(bytes == raw && raw.len() > 2 * (64 << 10));
    }
}

#[test]
fn zstd_is_a_standard_frame() {
    let packed = compress(&mut codec(Compression::Zstd), &payload("codec_variants/big_none"));
    assert_eq!(packed[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert_eq!(packed[4] & 0x04, 0, "no checksum");
    assert_eq!(packed[4] & 0x03, 0, "no dictionary");
}

fn core() -> klamm_core::Producer<'static> {
    let mut config = Config::new("a:1");
    config.compression = Compression::Gzip;
    config.batch_size = 1;
    let storage = Storage::heap(&Limits { buffer_memory: 1 << 20, ..Limits::default() });
    klamm_core::Producer::new(config, storage, [0; 32], Instant::ZERO).unwrap()
}

/// A panic in a codec leaves the batch as it is; the next one gets a new codec.
#[test]
fn a_codec_that_panics_leaves_the_batch_as_it_is() {
    let mut core = core();
    core.set_wall_clock(Instant::ZERO, 1_700_000_000_000);
    let topic = core.topic("t").unwrap();
    core.declare_partitions(topic, 1);
    let pool = Pool::new(Compression::Gzip, Levels::default());
    let bad = Bench { codec: Some(Codec::Panics), job: None, from: Vec::new(), to: Vec::new() };
    pool.put_back(bad);
    for expected in [None, Some(())] {
        let accepted = core.send(Instant::ZERO, topic, &Record::value(&[b'x'; 1000])).unwrap();
        assert!(accepted.compress);
        let mut bench = pool.take_job(&mut core).unwrap();
        bench.work();
        let (id, result) = bench.done().unwrap();
        assert_eq!(result.map(|_| ()), expected);
        core.handle_compressed(Instant::ZERO, id, result);
        pool.put_back(bench);
        assert!(!core.compress_due());
    }
}

#[test]
fn benches_do_not_hoard() {
    let pool = Pool::new(Compression::Gzip, Levels::default());
    for _ in 0..100 {
        let from = Vec::with_capacity(8 << 20);
        pool.put_back(Bench { codec: None, job: None, from, to: Vec::new() });
    }
    let idle = pool.idle.lock().unwrap();
    assert_eq!(idle.len(), super::KEPT);
    assert!(idle.iter().all(|bench| bench.from.capacity() <= super::BUFFER_KEPT));
}
