//! The log of one partition, and what it remembers of its producers.

use crate::batch::{Header, StoredRecord, decode_records, increment_sequence};
use crate::error;
use std::collections::{BTreeMap, VecDeque};

/// How many batches of a producer a broker remembers per partition.
const REMEMBERED_BATCHES: usize = 5;

/// One batch as it was stored.
#[derive(Debug)]
pub(crate) struct StoredBatch {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
}

impl StoredBatch {
    pub(crate) fn last_offset(&self) -> i64 {
        self.header.base_offset + i64::from(self.header.last_offset_delta)
    }
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    timestamp: i64,
}

#[derive(Debug)]
struct ProducerState {
    epoch: i16,
    batches: VecDeque<Remembered>,
}

/// What the producer rules say of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is in the log already, here.
    Duplicate {
        base_offset: i64,
        timestamp: i64,
    },
    Refuse(i16),
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<StoredBatch>,
    start_offset: i64,
    end_offset: i64,
    stored_bytes: u64,
    /// Records appended so far, whether still kept or not.
    appended: u64,
    producers: BTreeMap<i64, ProducerState>,
}

impl Log {
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    pub(crate) fn appended(&self) -> u64 {
        self.appended
    }

    /// The sequence rules of a leader for one batch.
    pub(crate) fn check_producer(&self, header: &Header, strict_first_sequence: bool) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Append;
        }
        let base = header.base_sequence;
        let Some(state) = self.producers.get(&header.producer_id) else {
            // Without state any first sequence is accepted, until KAFKA-15591 forbids it on a log that never held a record.
            if strict_first_sequence && self.end_offset == 0 && base != 0 {
                return Verdict::Refuse(error::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
            return Verdict::Append;
        };
        if header.producer_epoch < state.epoch {
            return Verdict::Refuse(error::INVALID_PRODUCER_EPOCH);
        }
        if header.producer_epoch > state.epoch {
            // A new epoch restarts the sequences (KIP-360).
            return if base == 0 { Verdict::Append } else { Verdict::Refuse(error::OUT_OF_ORDER_SEQUENCE_NUMBER) };
        }
        let last = header.last_sequence();
        let same = |b: &&Remembered| b.base_sequence == base && b.last_sequence == last;
        if let Some(known) = state.batches.iter().find(same) {
            return Verdict::Duplicate { base_offset: known.base_offset, timestamp: known.timestamp };
        }
        match state.batches.back() {
            Some(newest) if base != increment_sequence(newest.last_sequence, 1) => {
                Verdict::Refuse(error::OUT_OF_ORDER_SEQUENCE_NUMBER)
            }
            _ => Verdict::Append,
        }
    }

    /// Stores a batch that was checked and stamped with [`end_offset`](Self::end_offset).
    pub(crate) fn append(&mut self, header: Header, bytes: Vec<u8>, retention: Option<u64>) {
        self.remember(&header);
        self.end_offset += i64::from(header.record_count);
        self.appended += u64::from(header.record_count.unsigned_abs());
        self.stored_bytes += bytes.len() as u64;
        self.batches.push_back(StoredBatch { header, bytes });
        let Some(retention) = retention else {
            return;
        };
        while self.stored_bytes > retention {
            let Some(oldest) = self.batches.pop_front() else {
                break;
            };
            self.stored_bytes -= oldest.bytes.len() as u64;
            self.start_offset = oldest.last_offset() + 1;
        }
    }

    fn remember(&mut self, header: &Header) {
        if header.producer_id < 0 {
            return;
        }
        let state = self.producers.entry(header.producer_id).or_insert_with(|| ProducerState {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(REMEMBERED_BATCHES),
        });
        if state.epoch != header.producer_epoch {
            state.epoch = header.producer_epoch;
            state.batches.clear();
        }
        if state.batches.len() == REMEMBERED_BATCHES {
            state.batches.pop_front();
        }
        state.batches.push_back(Remembered {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        });
    }

    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
    }

    /// Moves the start of the log; batches that end before it go.
    pub(crate) fn delete_before(&mut self, offset: i64) {
        let offset = offset.clamp(self.start_offset, self.end_offset);
        while let Some(oldest) = self.batches.front()
            && oldest.last_offset() < offset
        {
            self.stored_bytes -= oldest.bytes.len() as u64;
            self.batches.pop_front();
        }
        self.start_offset = offset;
    }

    /// Cuts the log's end back to a batch boundary at or before `offset`, as after an unclean election. The producers are rebuilt
    /// from what is left, as a broker does from its log.
    pub(crate) fn truncate(&mut self, offset: i64) {
        while let Some(newest) = self.batches.back()
            && newest.last_offset() >= offset
        {
            self.stored_bytes -= newest.bytes.len() as u64;
            self.end_offset = newest.header.base_offset;
            self.appended -= u64::from(newest.header.record_count.unsigned_abs());
            self.batches.pop_back();
        }
        self.start_offset = self.start_offset.min(self.end_offset);
        self.producers.clear();
        let headers: Vec<Header> = self.batches.iter().map(|batch| batch.header).collect();
        for header in &headers {
            self.remember(header);
        }
    }

    /// The batches from the one that holds `offset` on.
    pub(crate) fn batches_from(&self, offset: i64) -> impl Iterator<Item = &StoredBatch> {
        let first = self.batches.partition_point(|batch| batch.last_offset() < offset);
        self.batches.range(first..)
    }

    /// All records that are kept, decoded.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        for batch in &self.batches {
            // What does not decode was never appended.
            let _ = decode_records(&batch.header, &batch.bytes, |record| {
                if record.offset >= self.start_offset {
                    records.push(record);
                }
            });
        }
        records
    }
}
