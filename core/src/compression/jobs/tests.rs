//! Batches that go out as jobs and come back, over block sizes and results of every length, with the books
//! kept; results that nobody waits for.

use std::vec;
use std::vec::Vec;

use super::{CodecTask, JobId};
use crate::compression::Records;
use crate::config::{Compression, Config};
use crate::error::ConfigError;
use crate::record::Record;
use crate::state::State;
use crate::state::batch::BatchState;
use crate::state::list::NIL;
use crate::state::storage::{Limits, Storage};
use crate::state::topic::RATIO_ONE;
use crate::time::Instant;

/// A state with a wall clock, one topic and one partition.
struct Bench {
    state: State<'static>,
    slot: u32,
}

/// A job as a codec keeps it while it works.
struct Out {
    id: JobId,
    task: CodecTask,
    codec: Compression,
    bytes: Vec<u8>,
}

fn config(compression: Compression) -> Config<'static> {
    let mut config = Config::new("a:1");
    config.compression = compression;
    config.lz4_in_place = false;
    config.batch_size = 4_000;
    config
}

fn limits(block_size: usize) -> Limits {
    Limits {
        buffer_memory: 64 * block_size.max(1024),
        block_size,
        batches: 16,
        partitions: 2,
        topics: 1,
        brokers: 1,
        connections: 1,
        ..Limits::default()
    }
}

impl Bench {
    fn new(block_size: usize) -> Self {
        let storage = Storage::heap(&limits(block_size));
        let mut state = State::new(config(Compression::Gzip), storage, [1; 32], Instant::ZERO).unwrap();
        state.set_wall_clock(1_700_000_000_000);
        let topic = state.add_topic("t").unwrap().slot;
        let slot = state.bind_partition(topic, 0).unwrap();
        Self { state, slot }
    }

    fn append(&mut self, value: &[u8]) -> u32 {
        let record = Record::value(value);
        let sized = self.state.size_record(&record).unwrap();
        self.state.append(self.slot, &record, sized).unwrap();
        self.state.partitions.at(self.slot).queue.back()
    }

    /// Fills a batch until it becomes a job.
    fn fill(&mut self) -> u32 {
        loop {
            self.append(&[b'v'; 90]);
            let job = self.state.accumulator.jobs.back();
            if job != NIL {
                return job;
            }
        }
    }

    fn job(&mut self) -> Option<Out> {
        let job = self.state.next_job()?;
        let total = job.bytes.bytes_left();
        let bytes = job.bytes.flatten().copied().collect::<Vec<u8>>();
        assert_eq!(bytes.len(), total);
        Some(Out { id: job.id, task: job.task, codec: job.codec, bytes })
    }

    fn bytes_of(&self, batch: u32) -> Vec<u8> {
        let batch = self.state.batches.at(batch);
        self.state.arena.fold(batch.records_at(), batch.record_bytes, Vec::new(), |mut bytes, slice| {
            bytes.extend_from_slice(slice);
            bytes
        })
    }

    fn state_of(&self, batch: u32) -> BatchState {
        self.state.batches.at(batch).state
    }

    /// Every block is in one chain or free, and the books agree.
    fn check_books(&self) {
        let (arena, mut held) = (&self.state.arena, 0);
        for (_, batch) in self.state.batches.iter().filter(|(_, batch)| batch.state != BatchState::Free) {
            let (mut block, mut count) = (batch.first_block, 0);
            while block != NIL {
                count += 1;
                block = arena.next(block);
            }
            assert_eq!(count, batch.blocks);
            let end = batch.records_at().at + batch.record_bytes;
            assert_eq!(batch.tail.at, end - (end.div_ceil(arena.block_size()) - 1) * arena.block_size());
            held += count;
        }
        assert_eq!(self.state.partitions.at(self.slot).blocks, held);
        assert_eq!(arena.free() + held, arena.blocks());
    }
}

#[test]
fn results_of_every_length_replace_the_records_and_back() {
    for block_size in [128, 129, 256, 1024, 4096] {
        for hold in [true, false] {
            for divisor in [1, 2, 3, 7, 50, 5000] {
                let mut bench = Bench::new(block_size);
                let batch = bench.fill();
                let (raw, blocks) = (bench.bytes_of(batch), bench.state.batches.at(batch).blocks);
                if !hold {
                    bench.state.topics.at_mut(0).taken = u32::MAX;
                }
                let job = bench.job().unwrap();
                assert_eq!((job.task, job.codec), (CodecTask::Compress, Compression::Gzip));
                assert!(job.bytes == raw);
                let result = vec![7; (raw.len() / divisor).max(1)];
                bench.state.job_done(job.id, Some(&result));
                bench.check_books();
                let smaller = divisor > 1;
                assert_eq!(bench.state.codec_of(batch), if smaller { 1 } else { 0 });
                assert!(bench.bytes_of(batch) == if smaller { &result[..] } else { &raw[..] });
                assert_eq!(bench.state_of(batch), BatchState::Closed);
                let end = bench.state.batches.at(batch).records_at().at as usize + result.len();
                let used = if hold { blocks } else { end.div_ceil(block_size) as u32 };
                assert_eq!(bench.state.batches.at(batch).blocks, if smaller { used } else { blocks });
                assert!(bench.state.complete(batch), "once is enough");

                // Refused as too large.
                bench.state.batches.at_mut(batch).attempts = 1;
                let splittable = bench.state.make_splittable(batch);
                assert_eq!(bench.state.topics.at(0).ratio, RATIO_ONE);
                if !smaller {
                    assert_eq!(splittable, Records::There);
                    continue;
                }
                assert_eq!((splittable, bench.state_of(batch)), (Records::Outside, BatchState::Expanding));
                let job = bench.job().unwrap();
                assert_eq!(job.task, CodecTask::Expand { bytes: raw.len() as u32 });
                assert!(job.bytes == result);
                bench.state.job_done(job.id, Some(&raw));
                bench.check_books();
                assert_eq!((bench.state_of(batch), bench.state.stats.batches_split), (BatchState::Retry, 1));
                assert!(raw.starts_with(&bench.bytes_of(batch)));
                assert_eq!(bench.state.codec_of(batch), 0);
            }
        }
    }
}

#[test]
fn what_cannot_be_turned_back_fails_as_too_large() {
    for wrong in [None, Some(&[1, 2, 3][..])] {
        let mut bench = Bench::new(256);
        let batch = bench.fill();
        let job = bench.job().unwrap();
        bench.state.job_done(job.id, Some(&[9; 100]));
        assert_eq!(bench.state.make_splittable(batch), Records::Outside);
        let job = bench.job().unwrap();
        bench.state.job_done(job.id, wrong);
        assert_eq!(bench.state_of(batch), BatchState::Done);
        bench.check_books();
        let failed = bench.state.next_outcome().unwrap().result.unwrap_err();
        assert_eq!(failed.error, crate::DeliveryError::Broker(crate::ErrorCode::MESSAGE_TOO_LARGE));
        assert_eq!(failed.fate, crate::Fate::NotWritten);
    }
}

/// Without the blocks for its records a batch is sent again as it is, before and after the job.
#[test]
fn a_batch_waits_for_room_to_be_turned_back() {
    let mut bench = Bench::new(256);
    let batch = bench.fill();
    let raw = bench.bytes_of(batch);
    bench.state.topics.at_mut(0).taken = u32::MAX; // nothing is held
    let job = bench.job().unwrap();
    bench.state.job_done(job.id, Some(&[9; 100]));
    let mut taken = Vec::new();
    while bench.state.arena.free() > 5 {
        taken.push(bench.state.arena.take().unwrap());
    }
    assert_eq!(bench.state.make_splittable(batch), Records::NoRoom);
    for block in taken.drain(..) {
        bench.state.arena.free_chain(block);
    }
    bench.state.batches.at_mut(batch).attempts = 1;
    assert_eq!(bench.state.make_splittable(batch), Records::Outside);
    let job = bench.job().unwrap();
    while bench.state.arena.free() > 5 {
        taken.push(bench.state.arena.take().unwrap());
    }
    bench.state.job_done(job.id, Some(&raw));
    assert_eq!((bench.state_of(batch), bench.state.codec_of(batch)), (BatchState::Backoff, 1));
    assert!(bench.bytes_of(batch) == [9; 100]);
}

#[test]
fn results_that_nobody_waits_for_are_ignored() {
    let mut bench = Bench::new(256);
    let batch = bench.fill();
    let job = bench.job().unwrap();
    for stranger in [JobId { number: 2, ..job.id }, JobId { batch: 5, ..job.id }, JobId { batch: 9999, ..job.id }] {
        bench.state.job_done(stranger, Some(&[1]));
    }
    assert_eq!(bench.state_of(batch), BatchState::Compressing);
    bench.state.job_done(job.id, None);
    assert_eq!(bench.state_of(batch), BatchState::Closed);
    bench.state.job_done(job.id, Some(&[1])); // twice
    assert_eq!((bench.state_of(batch), bench.state.codec_of(batch)), (BatchState::Closed, 0));

    // Failed while it was out, and while it waited to be given out.
    let out = bench.fill();
    let job = bench.job().unwrap();
    let waits = bench.fill();
    bench.state.give_up_all(crate::DeliveryError::Closed);
    assert_eq!((bench.state_of(out), bench.state_of(waits)), (BatchState::Done, BatchState::Done));
    assert!(bench.job().is_none());
    bench.state.job_done(job.id, Some(&[1]));
    bench.check_books();
    while bench.state.next_outcome().is_some() {}
    assert_eq!(bench.state.arena.free(), bench.state.arena.blocks());
}

/// Records stamped by uptime may have to be written anew: such a batch is compressed when it leaves.
#[test]
fn a_batch_without_wall_clock_waits_for_its_turn() {
    let mut bench = Bench::new(256);
    bench.state.wall_offset_ms = None;
    let batch = bench.append(&[b'v'; 5000]);
    assert_eq!(bench.state_of(batch), BatchState::Closed);
    assert!(bench.job().is_none());
    assert!(!bench.state.complete(batch));
    assert!(!bench.state.batches.at(batch).uptime);
    assert_eq!(bench.state_of(batch), BatchState::Compressing);
    assert!(bench.job().is_some());
}

#[test]
fn every_codec_has_its_number_and_lz4_is_a_job_only_if_asked() {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    for (number, codec) in [None, Gzip, Snappy, Lz4, Zstd].into_iter().enumerate() {
        assert_eq!(usize::from(codec.attributes().unsigned_abs()), number);
        assert_eq!(config(codec).compresses_outside(), codec != None);
        assert_eq!(config(codec).validate(), Ok(()));
    }
    let mut in_place = config(Lz4);
    in_place.lz4_in_place = true;
    assert!(!in_place.compresses_outside());
    let refused = if cfg!(feature = "lz4") { Ok(()) } else { Err(ConfigError::Codec(Lz4)) };
    assert_eq!(in_place.validate(), refused);
}
