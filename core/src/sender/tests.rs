//! Sequence numbers where they wrap (PITFALLS 8; docs/pitfalls.md B4, B5): nobody sends 2³¹ records to get there, so the
//! state is put there.

use crate::config::Config;
use crate::error::{DeliveryError, ErrorCode, Fate};
use crate::event::BatchOutcome;
use crate::record::Record;
use crate::state::State;
use crate::state::batch::{BatchState, HEADROOM};
use crate::state::identity::IdentityState;
use crate::state::reading::{Answer, NO_ANSWER};
use crate::state::storage::{Limits, Storage};
use crate::time::Instant;
use std::vec::Vec;

const BATCHES: usize = 4;
const RECORDS: i32 = 20;

/// A partition whose sequence ends in the first of four batches, all in flight.
struct Bench {
    state: State<'static>,
    slot: u32,
    batches: Vec<u32>,
}

impl Bench {
    fn new() -> Self {
        let mut config = Config::new("a:1");
        config.batch_size = 300;
        let limits = Limits { buffer_memory: 64 << 10, batches: 8, partitions: 2, ..Limits::default() };
        let mut state = State::new(config, Storage::heap(&limits), [1; 32], Instant::ZERO).unwrap();
        let topic = state.add_topic("t").unwrap().slot;
        state.set_partition_count(topic, 1, false);
        let slot = state.bind_partition(topic, 0).unwrap();
        state.identity.state = IdentityState::Ready;
        (state.identity.producer_id, state.identity.epoch) = (7, 0);
        let partition = state.partitions.at_mut(slot);
        (partition.producer_id, partition.producer_epoch, partition.proven) = (7, 0, true);
        partition.next_sequence = i32::MAX - 9;
        partition.last_acked = i32::MAX - 10;
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            for _ in 0..RECORDS {
                let record = Record::value(b"v").to_partition(0);
                let sized = state.size_record(&record).unwrap();
                let accepted = state.append(slot, &record, sized).unwrap();
                if accepted.new_batch {
                    batches.push(accepted.slot);
                }
            }
            let batch = *batches.last().unwrap();
            state.close_batch(batch);
            state.assign_sequence(slot, batch);
            let sent = state.batches.at_mut(batch);
            (sent.state, sent.attempts, sent.uncertain) = (BatchState::InFlight, 1, false);
            let partition = state.partitions.at_mut(slot);
            partition.in_flight += 1;
        }
        assert_eq!(batches.len(), BATCHES);
        Self { state, slot, batches }
    }

    fn answer(&mut self, batch: usize, error: i16) {
        let base_offset = if error == 0 { 1000 + batch as i64 * 20 } else { -1 };
        self.state.answered(self.batches[batch], &Answer { error: ErrorCode::from(error), base_offset, ..NO_ANSWER });
    }

    fn sequence(&self, batch: usize) -> i32 {
        self.state.batches.at(self.batches[batch]).base_sequence
    }

    fn in_state(&self, batch: usize) -> BatchState {
        self.state.batches.at(self.batches[batch]).state
    }

    fn outcome(&mut self) -> Option<BatchOutcome> {
        self.state.next_outcome()
    }
}

#[test]
fn sequences_go_on_from_zero() {
    let bench = Bench::new();
    let bases: Vec<i32> = (0..BATCHES).map(|batch| bench.sequence(batch)).collect();
    assert_eq!(bases, [i32::MAX - 9, 10, 30, 50]);
    assert_eq!(bench.state.partitions.at(bench.slot).next_sequence, 70);
}

/// The last acknowledged one is the farthest, not the greatest.
#[test]
fn acknowledgements_are_compared_by_distance() {
    let mut bench = Bench::new();
    bench.answer(1, 0);
    assert_eq!(bench.state.partitions.at(bench.slot).last_acked, 29);
    bench.answer(0, 0);
    assert_eq!(bench.state.partitions.at(bench.slot).last_acked, 29);
    for batch in [2, 3] {
        bench.answer(batch, 0);
    }
    assert_eq!(bench.state.partitions.at(bench.slot).last_acked, 69);
    assert_eq!(bench.state.stats.epoch_bumps, 0);
}

/// The batch across the wrap failed: those behind it are refused and wait for it, without a new epoch.
#[test]
fn batches_behind_the_wrap_wait_for_the_one_before() {
    let mut bench = Bench::new();
    bench.answer(0, 19);
    for batch in 1..BATCHES {
        bench.answer(batch, 45);
        assert_eq!(bench.in_state(batch), BatchState::Backoff);
    }
    assert_eq!(bench.state.stats.epoch_bumps, 0);
    assert!(bench.outcome().is_none());
    let order: Vec<i32> = (0..BATCHES).map(|batch| bench.sequence(batch)).collect();
    assert_eq!(order, [i32::MAX - 9, 10, 30, 50]);
}

/// A later one is in the log: the one before the wrap can be appended no more.
#[test]
fn a_batch_that_was_overtaken_across_the_wrap_fails() {
    let mut bench = Bench::new();
    bench.answer(1, 0);
    bench.answer(0, 45);
    assert!(bench.outcome().unwrap().result.is_ok());
    let failed = bench.outcome().unwrap().result.unwrap_err();
    assert_eq!((failed.error, failed.fate), (DeliveryError::SequenceGap, Fate::NotWritten));
}

/// The next in line is refused: the broker forgot us, and the partition begins anew at 0 in another epoch.
#[test]
fn a_gap_at_the_wrap_begins_a_new_epoch() {
    let mut bench = Bench::new();
    for batch in 0..BATCHES {
        bench.answer(batch, 45);
    }
    assert_eq!((bench.state.stats.epoch_bumps, bench.state.identity.epoch), (1, 1));
    for batch in 0..BATCHES {
        assert!(!bench.state.batches.at(bench.batches[batch]).sequenced);
    }
    let (slot, first) = (bench.slot, bench.batches[0]);
    bench.state.assign_sequence(slot, first);
    assert_eq!(bench.sequence(0), 0);
}

/// Another producer's counter overflowed after 2³¹ records: a panic in debug builds. (This is one.) It wraps to 0 wherever in a batch
/// the last number falls.
#[test]
fn b04_the_sequence_wraps_to_zero_without_a_panic() {
    for before_the_end in 0..=RECORDS {
        let mut bench = Bench::new();
        let (slot, batch) = (bench.slot, bench.batches[0]);
        let start = i32::MAX - before_the_end;
        bench.state.partitions.at_mut(slot).next_sequence = start;
        bench.state.assign_sequence(slot, batch);
        assert_eq!(bench.sequence(0), start);
        // The batch holds `RECORDS`: the first ones up to the end of the numbers, the rest from 0 on.
        let next = bench.state.partitions.at(slot).next_sequence;
        let expected = if before_the_end == RECORDS { i32::MAX } else { RECORDS - before_the_end - 1 };
        assert_eq!(next, expected, "from {start}");
    }
}

/// Another one's wrapped to a negative number, which no broker expects. What counts is what is in the sealed header.
#[test]
fn b05_no_sequence_on_the_wire_is_negative() {
    let mut bench = Bench::new();
    for batch in 0..BATCHES {
        let index = bench.batches[batch];
        bench.state.batches.at_mut(index).sealed = false;
        bench.state.seal(index);
        let block = bench.state.batches.at(index).first_block;
        let at = HEADROOM as usize + 53;
        let bytes: [u8; 4] = bench.state.arena.block_mut(block)[at..at + 4].try_into().unwrap();
        let expected = [i32::MAX - 9, 10, 30, 50][batch];
        assert_eq!(i32::from_be_bytes(bytes), expected);
    }
}

/// Without splitting, what the broker finds too large fails, and later batches are half as large; no memory is kept for parts.
#[cfg(not(feature = "split"))]
#[test]
fn what_is_too_large_fails_whole() {
    let mut bench = Bench::new();
    assert_eq!((bench.state.reserved_blocks(), bench.state.reserved_batches()), (0, 0));
    let size = bench.state.batches.at(bench.batches[0]).wire_bytes();
    bench.answer(0, ErrorCode::MESSAGE_TOO_LARGE.code());
    let failed = bench.state.next_outcome().unwrap();
    let error = DeliveryError::Broker(ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!((failed.count, failed.result.map_err(|f| (f.error, f.fate))), (20, Err((error, Fate::NotWritten))));
    assert_eq!(bench.state.topic_batch_size(0), size / 2);
}

/// And what a split makes of the batch across the wrap.
#[cfg(feature = "split")]
#[test]
fn b05_no_sequence_of_a_part_is_negative() {
    let mut bench = Bench::new();
    let first = bench.batches[0];
    let landed = bench.state.batches.at_mut(first);
    (landed.state, landed.sealed) = (BatchState::Retry, false);
    let second = bench.state.split(first).unwrap();
    let (first, second) = (bench.state.batches.at(first), bench.state.batches.at(second));
    assert_eq!(first.count + second.count, RECORDS as u32);
    assert_eq!((first.base_sequence, second.base_sequence), (i32::MAX - 9, first.count as i32 - 10));
    assert!(second.base_sequence >= 0);
}
