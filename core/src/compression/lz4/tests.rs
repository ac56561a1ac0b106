//! Frames against an independent decoder, over block sizes and kinds of data, with no
//! more blocks free than it takes; the way back; the expected ratio; what Java's client wrote.

use crate::state::batch::{BatchState, HEADROOM};
use crate::state::list::NIL;
use crate::state::storage::{Limits, RESERVED_BLOCKS, SPARE_BLOCKS, Storage};
use crate::state::topic::RATIO_ONE;
use std::format;
use std::io::Read;
use std::vec;
use std::vec::Vec;

use super::block;
use crate::compression::Records;
use crate::config::{Acks, Compression, Config};
use crate::random::Random;
use crate::record::Record;
use crate::state::State;
use crate::time::Instant;

const BLOCK_SIZES: [usize; 9] = [128, 129, 256, 1000, 1024, 4096, 40_000, 65_536, 131_072];

/// Bytes of every kind, in pieces of every length.
struct Data(Random);

impl Data {
    fn new(seed: u8) -> Self {
        Self(Random::new([seed; 32]))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u32) as usize
    }

    fn random(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    fn json(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let (device, at, value) = (self.below(300), self.below(1 << 20), self.below(4000));
            let record = format!("{{\"device\":\"sensor-{device:04}\",\"at\":17{at:08},\"temperature\":{value}}}\n");
            bytes.extend_from_slice(record.as_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Runs of `stride` bytes, alternately of one byte and random.
    fn alternating(&mut self, len: usize, stride: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            bytes.extend(vec![self.below(256) as u8; stride]);
            bytes.extend(self.random(stride));
        }
        bytes.truncate(len);
        bytes
    }

    /// Every kind, by number; `stride` is the arena's block size.
    fn of_kind(&mut self, kind: usize, len: usize, stride: usize) -> Vec<u8> {
        let mut mixed = |first: usize| {
            let mut bytes = vec![b'x'; first.min(len)];
            bytes.extend(self.random(len - bytes.len()));
            bytes
        };
        match kind {
            0 => vec![0; len],
            1 => self.json(len),
            2 => self.random(len),
            3 => mixed(len / 2),
            4 => {
                let mut bytes = mixed(len / 8);
                bytes.reverse();
                bytes
            }
            5 => self.alternating(len, stride),
            6 => self.alternating(len, stride / 2 + 3),
            7 => self.alternating(len, 20),
            _ => {
                // One piece that pays, late.
                let mut bytes = self.random(len);
                let end = len - len / 10;
                bytes[end.saturating_sub(stride * 2)..end].fill(7);
                bytes
            }
        }
    }
}

const KINDS: usize = 9;

/// A state with one open batch, of one record with this value.
struct Bench {
    state: State<'static>,
    slot: u32,
    batch: u32,
    /// Blocks taken away so that only some are free.
    kept: Vec<u32>,
}

fn config(compression: Compression) -> Config<'static> {
    let mut config = Config::new("a:1");
    config.compression = compression;
    config.batch_size = 1 << 24;
    config.max_request_size = 1 << 24;
    config
}

impl Bench {
    fn new(block_size: usize, config: Config<'static>, memory: usize) -> Self {
        let limits = Limits {
            // An eighth is reserved.
            buffer_memory: memory + memory / 6 + 12 * block_size,
            block_size,
            batches: 8,
            partitions: 2,
            topics: 1,
            brokers: 1,
            connections: 1,
            ..Limits::default()
        };
        let mut state = State::new(config, Storage::heap(&limits), [1; 32], Instant::ZERO).unwrap();
        let topic = state.add_topic("t").unwrap().slot;
        let slot = state.bind_partition(topic, 0).unwrap();
        Self { state, slot, batch: NIL, kept: Vec::new() }
    }

    /// A batch of one record with this value, completed.
    fn with_value(block_size: usize, compression: Compression, value: &[u8]) -> Self {
        let mut bench = Self::new(block_size, config(compression), value.len() + 200);
        bench.append(value);
        bench
    }

    fn append(&mut self, value: &[u8]) {
        let record = Record::value(value).at(1_700_000_000_000);
        let sized = self.state.size_record(&record).unwrap();
        self.state.append(self.slot, &record, sized).unwrap();
        self.batch = self.state.partitions.at(self.slot).queue.back();
    }

    /// Takes blocks away, or gives them back, until `free` are free.
    fn leave_free(&mut self, free: u32) {
        while self.state.arena.free() > free {
            self.kept.push(self.state.arena.take().unwrap());
        }
        while self.state.arena.free() < free {
            self.state.arena.free_chain(self.kept.pop().unwrap());
        }
    }

    fn compress(&mut self) {
        self.state.complete(self.batch);
    }

    fn is_compressed(&self) -> bool {
        assert_eq!(self.state.codec_of(self.batch), if self.state.batches.at(self.batch).compressed { 3 } else { 0 });
        self.state.batches.at(self.batch).compressed
    }

    fn bytes_of(&self, batch: u32) -> Vec<u8> {
        let batch = self.state.batches.at(batch);
        self.state.arena.fold(batch.records_at(), batch.record_bytes, Vec::new(), |mut bytes, slice| {
            bytes.extend_from_slice(slice);
            bytes
        })
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes_of(self.batch)
    }

    /// Every block is in one chain, or free, or kept, and all the books agree.
    fn check_books(&self) {
        let (arena, mut held, mut seen) = (&self.state.arena, 0, vec![false; self.state.arena.blocks() as usize]);
        for (_, batch) in self.state.batches.iter().filter(|(_, batch)| batch.state != BatchState::Free) {
            let (mut block, mut chain) = (batch.first_block, Vec::new());
            while block != NIL {
                assert!(!core::mem::replace(&mut seen[block as usize], true), "block {block} is in two chains");
                chain.push(block);
                block = arena.next(block);
            }
            let count = chain.len() as u32;
            let end = batch.records_at().at + batch.record_bytes;
            let used = end.div_ceil(arena.block_size());
            assert_eq!(
                (batch.tail.block, batch.tail.at),
                (chain[used as usize - 1], end - (used - 1) * arena.block_size())
            );
            assert_eq!(count, batch.blocks);
            // Only what may come back to be split holds more than it uses.
            assert!(count == used || batch.compressed && batch.count > 1 && u32::from(batch.raw_blocks) == count);
            held += count;
        }
        assert_eq!(self.state.partitions.at(self.slot).blocks, held);
        assert_eq!(arena.free() + held + self.kept.len() as u32, arena.blocks());
    }
}

/// Takes a frame apart as strictly as Kafka's decoder does, and decompresses it by both decoders.
fn decode(frame: &[u8]) -> Vec<u8> {
    assert_eq!(frame[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    let (mut rest, mut own) = (&frame[7..], Vec::new());
    loop {
        let (size, after) = rest.split_first_chunk().unwrap();
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            assert!(after.is_empty(), "bytes behind the end mark");
            break;
        }
        let (bytes, after) = after.split_at((size & 0x7fff_ffff) as usize);
        assert!(bytes.len() <= 1 << 16);
        if size >> 31 == 1 {
            own.extend_from_slice(bytes);
        } else {
            let mut raw = vec![0; 1 << 16];
            let len = block::decompress(bytes, &mut raw).unwrap();
            own.extend_from_slice(&raw[..len]);
        }
        rest = after;
    }
    let mut theirs = Vec::new();
    lz4_flex::frame::FrameDecoder::new(frame).read_to_end(&mut theirs).unwrap();
    assert!(own == theirs);
    own
}

/// Compresses with only two blocks free, checks all, and goes the way back with only just enough free.
fn round_trip(block_size: usize, value: &[u8], what: &str) -> bool {
    let mut bench = Bench::with_value(block_size, Compression::Lz4, value);
    let (raw, first) = (bench.bytes(), bench.state.batches.at(bench.batch).first_block);
    bench.leave_free(2);
    bench.compress();
    bench.check_books();
    if !bench.is_compressed() {
        assert!(bench.bytes() == raw, "{what}: not intact");
        assert_eq!((bench.state.arena.free(), bench.state.batches.at(bench.batch).first_block), (2, first));
        return false;
    }
    let frame = bench.bytes();
    assert!(frame.len() < raw.len() && decode(&frame) == raw, "{what}");
    let blocks = (77 + raw.len()).div_ceil(block_size) as u32;
    assert_eq!(u32::from(bench.state.batches.at(bench.batch).raw_blocks), blocks);
    let needed = blocks - bench.state.batches.at(bench.batch).blocks + SPARE_BLOCKS;
    bench.leave_free(needed - 1);
    assert_eq!(bench.state.make_splittable(bench.batch), Records::NoRoom);
    assert!(bench.is_compressed() && bench.bytes() == frame, "{what}");
    bench.check_books();
    bench.leave_free(needed);
    assert_eq!(bench.state.make_splittable(bench.batch), Records::There, "{what}");
    assert!(!bench.is_compressed() && bench.bytes() == raw, "{what}");
    assert_eq!(bench.state.arena.free(), SPARE_BLOCKS);
    bench.check_books();
    true
}

#[test]
fn frames_decode_whatever_the_data_and_the_block_size() {
    let mut data = Data::new(7);
    for block_size in BLOCK_SIZES {
        let mut compressed = [0; KINDS];
        for round in 0..6 {
            for (kind, compressed) in compressed.iter_mut().enumerate() {
                let most = [40, 400, 3 * block_size, 20 * block_size, 20_000, 150_000][round].min(150_000);
                let len = 1 + data.below(most);
                let value = data.of_kind(kind, len, block_size);
                let what = format!("block {block_size}, kind {kind}, {len} bytes");
                *compressed += u32::from(round_trip(block_size, &value, &what));
            }
        }
        assert_eq!(compressed[2], 0, "random bytes do not shrink");
        assert!(compressed[0] >= 3, "{block_size}: {compressed:?}");
        assert!(block_size < 256 || compressed[1] >= 2, "{block_size}: {compressed:?}");
    }
}

#[test]
fn lengths_around_borders() {
    let mut data = Data::new(8);
    for block_size in [128usize, 256, 1024, 65_536] {
        for blocks in 1..=3 {
            for around in 0..60 {
                // From before to behind the point where the last record byte meets the block's end.
                let len = (blocks * block_size - 120) + around;
                round_trip(block_size, &vec![3; len], &format!("{block_size} × {blocks} − 120 + {around}"));
                if block_size < 65_536 {
                    let json = data.json(len);
                    round_trip(block_size, &json, &format!("{block_size} × {blocks} − 120 + {around}, json"));
                }
            }
        }
    }
    for len in 1..200 {
        round_trip(128, &vec![0; len], &format!("{len} zeros"));
    }
}

#[test]
fn the_way_back_is_longest_from_a_hardly_begun_block_to_a_full_one() {
    let mut data = Data::new(14);
    for block_size in [128, 256] {
        // 77 bytes, the record's own 9 and the value fill the last block.
        let len = 20 * block_size - 77 - 9;
        let mut ends = vec![false; block_size];
        for random in 0..3 * block_size {
            let mut value = vec![0; len - random];
            value.extend(data.random(random));
            let mut bench = Bench::with_value(block_size, Compression::Lz4, &value);
            assert_eq!(bench.state.batches.at(bench.batch).tail.at as usize, block_size);
            bench.compress();
            ends[bench.state.batches.at(bench.batch).tail.at as usize % block_size] = true;
            round_trip(block_size, &value, &format!("{block_size}, {random} at random"));
        }
        assert!(ends[2..8].iter().all(|end| *end), "{block_size}: {ends:?}");
    }
}

#[test]
fn long_chains_of_small_blocks_need_no_more_than_others() {
    let mut data = Data::new(9);
    for block_size in [128, 256] {
        for kind in [0, 2, 3, 4, 5, 8] {
            let value = data.of_kind(kind, 300_000, block_size);
            let compressed = round_trip(block_size, &value, &format!("300 kB in {block_size}, kind {kind}"));
            assert_eq!(compressed, kind != 2, "{block_size}, kind {kind}");
        }
    }
    // 28 × 64 KiB and more of it in blocks of 128: the bound of the size fields exceeds a block.
    assert!(!round_trip(128, &vec![0; 2_000_000], "too long"));
    assert!(round_trip(256, &vec![0; 2_000_000], "not too long"));
}

#[test]
fn without_two_spare_blocks_a_batch_is_left_alone() {
    let mut bench = Bench::with_value(1024, Compression::Lz4, &[0; 5000]);
    let raw = bench.bytes();
    bench.leave_free(1);
    bench.compress();
    assert!(!bench.is_compressed() && bench.bytes() == raw);
    bench.check_books();
    let mut off = Bench::with_value(1024, Compression::None, &[0; 5000]);
    off.compress();
    assert!(!off.is_compressed() && off.bytes() == raw);
}

#[test]
fn both_halves_of_a_split_are_compressed_again() {
    for block_size in [256, 1024, 4096] {
        let mut bench = Bench::new(block_size, config(Compression::Lz4), 200_000);
        let mut data = Data::new(10);
        let values: Vec<Vec<u8>> = (0..301)
            .map(|_| {
                let len = 40 + data.below(200);
                data.json(len)
            })
            .collect();
        for value in &values {
            bench.append(value);
        }
        bench.compress();
        assert!(bench.is_compressed());
        bench.state.seal(bench.batch);
        let refused = bench.state.batches.at(bench.batch).wire_bytes();
        // As a refusal finds it, with no more than the reserve free.
        bench.leave_free(RESERVED_BLOCKS);
        bench.state.topics.at_mut(0).taken = 1 << 20;
        assert_eq!(bench.state.make_splittable(bench.batch), Records::There);
        assert_eq!(bench.state.topics.at(0).taken, 0);
        bench.check_books();
        let second = bench.state.split(bench.batch).unwrap();
        bench.check_books();
        bench.leave_free(2 * SPARE_BLOCKS);
        assert_eq!(bench.state.topics.at(0).batch_limit, refused / 2);
        assert_eq!(bench.state.topics.at(0).ratio, RATIO_ONE);
        let mut found = Vec::new();
        for half in [bench.batch, second] {
            let batch = bench.state.batches.at(half);
            assert_eq!((batch.state, batch.sealed, batch.compressed), (BatchState::Retry, false, false));
            let raw = bench.bytes_of(half);
            bench.state.complete(half);
            bench.check_books();
            bench.state.seal(half);
            let batch = bench.state.batches.at(half);
            assert!(batch.complete && batch.wire_bytes() < refused);
            found.extend(values_of(&raw, batch.count));
            // Where no other cut would do, the first part is a single record, and that need not become smaller.
            assert!(batch.compressed || batch.count == 1);
            if batch.compressed {
                assert_eq!(decode(&bench.bytes_of(half)), raw);
                let attributes = bench.state.arena.block(batch.first_block)[HEADROOM as usize + 21..][..2].to_vec();
                assert_eq!(attributes, [0, 3]);
            }
        }
        assert_eq!(found, values);
    }
}

/// The values of uncompressed records without keys and headers; offsets must count from 0.
fn values_of(mut bytes: &[u8], count: u32) -> Vec<Vec<u8>> {
    fn varint(bytes: &mut &[u8]) -> i64 {
        let (value, len) = crate::protocol::varint::decode_varlong(bytes).unwrap();
        *bytes = &bytes[len..];
        value
    }
    let mut values = Vec::new();
    for index in 0..count {
        let body = varint(&mut bytes) as usize;
        let (mut record, rest) = bytes.split_at(body);
        record = &record[1..];
        assert_eq!((varint(&mut record), varint(&mut record), varint(&mut record)), (0, index.into(), -1));
        let len = varint(&mut record) as usize;
        values.push(record[..len].to_vec());
        assert_eq!(record[len..], [0]);
        bytes = rest;
    }
    assert!(bytes.is_empty());
    values
}

#[test]
fn saved_blocks_are_free_at_once_when_no_split_can_come() {
    let used = |bench: &Bench| {
        let batch = bench.state.batches.at(bench.batch);
        (batch.blocks, batch.raw_blocks, (77 + batch.record_bytes).div_ceil(1024))
    };
    let filled = |acks| {
        let mut config = config(Compression::Lz4);
        (config.acks, config.enable_idempotence) = (acks, false);
        let mut bench = Bench::new(1024, config, 100_000);
        (0..20).for_each(|_| bench.append(&[1; 500]));
        bench
    };
    let mut bench = filled(Acks::All);
    bench.compress();
    bench.check_books();
    assert_eq!(used(&bench), (11, 11, 1));
    // The broker took it, so it will take another one of its size.
    bench.state.note_taken(bench.batch);
    (0..20).for_each(|_| bench.append(&[1; 500]));
    bench.compress();
    bench.check_books();
    assert_eq!(used(&bench), (1, 11, 1));
    let mut unanswered = filled(Acks::None);
    unanswered.compress();
    assert_eq!(used(&unanswered), (1, 11, 1));
}

#[test]
fn no_split_without_a_slot_for_the_other_half() {
    let mut bench = Bench::new(1024, config(Compression::Lz4), 100_000);
    (0..10).for_each(|_| bench.append(&[1; 500]));
    bench.compress();
    let frame = bench.bytes();
    while bench.state.accumulator.free_batch_count > 0 {
        bench.state.take_batch(0).unwrap();
    }
    assert_eq!(bench.state.make_splittable(bench.batch), Records::NoRoom);
    assert_eq!(bench.bytes(), frame);
}

#[test]
fn the_expected_ratio_rises_fast_and_falls_slowly() {
    let mut data = Data::new(11);
    let mut bench = Bench::new(4096, config(Compression::Lz4), 1 << 20);
    let ratio = |bench: &Bench| bench.state.topics.at(0).ratio;
    let send = |bench: &mut Bench, value: &[u8]| {
        bench.append(value);
        bench.state.close_batch(bench.batch);
        bench.compress();
        bench.state.leave_queues(bench.batch);
        bench.state.free_blocks(bench.batch, 0);
        bench.state.free_batch(bench.batch);
    };
    for step in 1..=3 {
        send(&mut bench, &[0; 10_000]);
        assert_eq!(ratio(&bench), RATIO_ONE - step * 5);
    }
    bench.state.topics.at_mut(0).ratio = 300;
    send(&mut bench, &[0; 10_000]);
    assert_eq!(ratio(&bench), 295);
    // A little worse than expected: 0.05 more.
    let json = data.json(10_000);
    bench.state.topics.at_mut(0).ratio = 1;
    send(&mut bench, &json);
    let observed = ratio(&bench);
    assert!((200..600).contains(&observed));
    bench.state.topics.at_mut(0).ratio = observed - 1;
    send(&mut bench, &json);
    assert_eq!(ratio(&bench), observed + 50);
    // Not compressible at all: at once.
    send(&mut bench, &data.random(10_000));
    assert_eq!(ratio(&bench), RATIO_ONE);
    // It never falls below what was seen.
    bench.state.topics.at_mut(0).ratio = observed + 2;
    send(&mut bench, &json);
    assert_eq!(ratio(&bench), observed);
}

#[test]
fn blocks_decode_and_keep_the_rules_of_the_end() {
    let mut data = Data::new(12);
    for round in 0..3000 {
        let len = data.below([20, 100, 1000, 65_537][round % 4]);
        let kind = data.below(KINDS);
        let raw = data.of_kind(kind, len, 50);
        let mut table = vec![0xffff; 1 << (6 + data.below(7))];
        let mut packed = vec![0; len + len / 255 + 16];
        let Some(size) = block::compress(&raw, &mut packed, &mut table) else {
            assert!(len < 12);
            continue;
        };
        let packed = &packed[..size];
        assert_eq!(lz4_flex::block::decompress(packed, len).unwrap(), raw);
        let mut own = vec![0; len];
        assert_eq!(block::decompress(packed, &mut own), Some(len));
        assert!(own == raw);
        check_end(packed, len);
        // A byte less than it takes is refused, not overrun; so is a byte less to decompress into.
        let mut short = vec![0; size - 1];
        assert_eq!(block::compress(&raw, &mut short, &mut table), None);
        assert_eq!(block::decompress(packed, &mut own[1..]), None);
    }
}

/// The last 5 bytes are literals; no match starts in the last 12.
fn check_end(packed: &[u8], len: usize) {
    fn byte(bytes: &mut &[u8]) -> usize {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        (*first).into()
    }
    fn length(bytes: &mut &[u8], nibble: usize) -> usize {
        let (mut length, mut more) = (nibble, if nibble == 15 { 255 } else { 0 });
        while more == 255 {
            more = byte(bytes);
            length += more;
        }
        length
    }
    let (mut bytes, mut at, mut last_match) = (packed, 0, None);
    loop {
        let token = byte(&mut bytes);
        let literals = length(&mut bytes, token >> 4);
        bytes = &bytes[literals..];
        at += literals;
        if bytes.is_empty() {
            assert_eq!(at, len);
            assert!(last_match.is_none_or(|start| literals >= 5 && start + 12 <= len));
            return;
        }
        bytes = &bytes[2..];
        last_match = Some(at);
        at += length(&mut bytes, token & 15) + 4;
    }
}

#[test]
fn damaged_blocks_are_refused_or_decoded_within_bounds() {
    let mut data = Data::new(13);
    let (mut table, mut packed, mut to) = ([0; 256], [0; 2000], [0; 1000]);
    for _ in 0..20_000 {
        let raw = data.alternating(1000, 30);
        let size = block::compress(&raw, &mut packed, &mut table).unwrap();
        for _ in 0..1 + data.below(3) {
            packed[data.below(size)] = data.below(256) as u8;
        }
        let len = block::decompress(&packed[..data.below(size + 1)], &mut to);
        assert!(len.is_none_or(|len| len <= 1000));
    }
}

#[test]
fn frames_of_javas_client_decode() {
    for name in ["ten", "big", "incompressible"] {
        let read = |suffix: &str| klamm_vectors::read(&format!("batch_{name}_lz4.{suffix}"));
        let sidecar: serde_json::Value = serde_json::from_str(&read("json")).unwrap();
        let mut raw = &decode(&unhex(&read("hex"))[61..])[..];
        for record in sidecar["input"]["records"].as_array().unwrap() {
            let value = match record["value_hex"].as_str() {
                Some(hex) => unhex(hex),
                None => {
                    let (repeat, len) =
                        (&record["value_repeat"], record["value_repeat"]["total_len"].as_u64().unwrap());
                    let unit = unhex(repeat["unit_hex"].as_str().unwrap());
                    unit.into_iter().cycle().take(len as usize).collect()
                }
            };
            let at = raw.windows(value.len()).position(|window| window == value);
            raw = &raw[at.unwrap() + value.len()..];
        }
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let hex = hex.trim();
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}
