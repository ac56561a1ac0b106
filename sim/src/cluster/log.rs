//! The log of one partition, and what it remembers of its producers.

use crate::batch::{Header, StoredRecord, decode_records, increment_sequence};
use crate::error;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many batches of a producer a broker remembers per partition.
const REMEMBERED_BATCHES: usize = 5;

/// One batch as it was stored. All replicas share it.
#[derive(Debug)]
pub(crate) struct StoredBatch {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
    /// When its leader appended it.
    pub(crate) appended_ms: u64,
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

#[derive(Debug, Clone)]
struct ProducerState {
    epoch: i16,
    batches: VecDeque<Remembered>,
    /// When its newest batch was appended.
    touched_ms: u64,
}

impl ProducerState {
    /// `producer.id.expiration.ms` without a write.
    fn is_expired(&self, now_ms: u64, expiration_ms: Option<u64>) -> bool {
        expiration_ms.is_some_and(|limit| now_ms.saturating_sub(self.touched_ms) > limit)
    }
}

/// What a leader's checks of a producer depend on, besides the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProducerRules {
    pub(crate) now_ms: u64,
    pub(crate) expiration_ms: Option<u64>,
    pub(crate) strict_first_sequence: bool,
}

/// What a log forgets by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keeping {
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) expiration_ms: Option<u64>,
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

/// One replica's log. Offsets are dense from 0, so the end offset counts the records that were ever appended.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    batches: VecDeque<Arc<StoredBatch>>,
    start_offset: i64,
    end_offset: i64,
    stored_bytes: u64,
    producers: BTreeMap<i64, ProducerState>,
    /// Sequence numbers of batches before this offset count no more, not even where the state is built from the log.
    sequences_from: i64,
}

impl Log {
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The leader epoch of the newest batch; -1 without one.
    pub(crate) fn last_epoch(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.header.leader_epoch)
    }

    /// The sequence rules of a leader for one batch.
    pub(crate) fn check_producer(&self, header: &Header, rules: &ProducerRules) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Append;
        }
        let base = header.base_sequence;
        let known = self.producers.get(&header.producer_id);
        let Some(state) = known.filter(|state| !state.is_expired(rules.now_ms, rules.expiration_ms)) else {
            // Without state any first sequence is accepted, until KAFKA-15591 forbids it on a log that never held a record.
            if rules.strict_first_sequence && self.end_offset == 0 && base != 0 {
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
    pub(crate) fn append(&mut self, batch: Arc<StoredBatch>, keeping: Keeping) {
        self.remember(&batch.header, batch.appended_ms, keeping.expiration_ms);
        self.end_offset += i64::from(batch.header.record_count);
        self.stored_bytes += batch.bytes.len() as u64;
        self.batches.push_back(batch);
        let Some(retention) = keeping.retention_bytes else {
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

    /// Takes everything from the leader's log that is missing at the end of this one. The leader's log must not diverge from it.
    pub(crate) fn follow(&mut self, leader: &Self, keeping: Keeping) {
        if self.end_offset < leader.start_offset {
            // The leader keeps nothing that would join on (OFFSET_OUT_OF_RANGE): start over where it starts.
            *self = Self {
                start_offset: leader.start_offset,
                end_offset: leader.batches.front().map_or(leader.end_offset, |batch| batch.header.base_offset),
                ..Self::default()
            };
        }
        self.sequences_from = leader.sequences_from;
        let next = leader.batches.partition_point(|batch| batch.last_offset() < self.end_offset);
        if let Some(batch) = leader.batches.get(next).filter(|_| self.batches.is_empty()) {
            // With nothing left, the end may be in the middle of a batch: begin with all of it, as Kafka's followers do.
            self.end_offset = self.end_offset.min(batch.header.base_offset);
        }
        for batch in leader.batches.range(next..) {
            self.append(Arc::clone(batch), keeping);
        }
        if self.start_offset < leader.start_offset {
            self.delete_before(leader.start_offset);
        }
    }

    /// How many of this log's records a leader's log has too: where a follower truncates, found by leader epochs (KIP-101, KIP-279).
    pub(crate) fn divergence(&self, leader: &Self) -> i64 {
        let mut epoch = self.last_epoch();
        loop {
            if epoch < 0 {
                return self.start_offset.min(leader.end_offset);
            }
            let (found, leader_end) = leader.end_of_epoch(epoch);
            let (own, own_end) = self.end_of_epoch(found);
            if own == found {
                return own_end.min(leader_end).min(self.end_offset);
            }
            // This log has no such epoch: go on with the one before it.
            epoch = own;
        }
    }

    /// The largest epoch up to this one that has a batch here, and where it ends; -1 and the start without one.
    fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let after = self.batches.partition_point(|batch| batch.header.leader_epoch <= epoch);
        let end = self.batches.get(after).map_or(self.end_offset, |batch| batch.header.base_offset);
        match after.checked_sub(1).and_then(|last| self.batches.get(last)) {
            Some(batch) => (batch.header.leader_epoch, end),
            None => (-1, self.start_offset),
        }
    }

    fn remember(&mut self, header: &Header, now_ms: u64, expiration_ms: Option<u64>) {
        if header.producer_id < 0 || header.base_offset < self.sequences_from {
            return;
        }
        let state = self.producers.entry(header.producer_id).or_insert_with(|| ProducerState {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(REMEMBERED_BATCHES),
            touched_ms: now_ms,
        });
        if state.epoch != header.producer_epoch || state.is_expired(now_ms, expiration_ms) {
            state.epoch = header.producer_epoch;
            state.batches.clear();
        }
        state.touched_ms = now_ms;
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

    /// Forgets the producers for good: whatever is here never was a producer's. Followers learn from their leader up to where.
    pub(crate) fn forget_sequences(&mut self) {
        self.producers.clear();
        self.sequences_from = self.end_offset;
    }

    /// Builds the producers' state from what the log holds, as a broker does when it starts. What retention deleted it knows from its
    /// snapshots.
    pub(crate) fn rebuild_producers(&mut self, expiration_ms: Option<u64>) {
        let kept_from = self.batches.front().map_or(self.end_offset, |batch| batch.header.base_offset);
        self.producers.retain(|_, state| {
            state.batches.retain(|batch| batch.base_offset < kept_from);
            !state.batches.is_empty()
        });
        for at in 0..self.batches.len() {
            let batch = Arc::clone(&self.batches[at]);
            self.remember(&batch.header, batch.appended_ms, expiration_ms);
        }
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

    /// Cuts the log's end back to a batch boundary at or before `offset`. The producers are rebuilt from what is left, as a broker does
    /// from its log. Whether anything was cut.
    pub(crate) fn truncate(&mut self, offset: i64, expiration_ms: Option<u64>) -> bool {
        let before = self.end_offset;
        while let Some(newest) = self.batches.back()
            && newest.last_offset() >= offset
        {
            self.stored_bytes -= newest.bytes.len() as u64;
            self.end_offset = newest.header.base_offset;
            self.batches.pop_back();
        }
        self.start_offset = self.start_offset.min(self.end_offset);
        self.sequences_from = self.sequences_from.min(self.end_offset);
        if self.end_offset != before {
            self.rebuild_producers(expiration_ms);
        }
        self.end_offset != before
    }

    /// The batches from the one that holds `offset` on.
    pub(crate) fn batches_from(&self, offset: i64) -> impl Iterator<Item = &StoredBatch> {
        let first = self.batches.partition_point(|batch| batch.last_offset() < offset);
        self.batches.range(first..).map(Arc::as_ref)
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
