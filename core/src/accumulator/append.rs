//! Accepting a record: its place is found, then it is written once, in its final wire form.

use crate::error::SendError;
use crate::event::Accepted;
use crate::record::Record;
use crate::record::batch::HEADER_SIZE;
use crate::record::encode::{self, PREFIX_MAX, Place, PutSlice};
use crate::state::State;
use crate::state::arena::Position;
use crate::state::batch::{BatchState, RECORDS_AT};
use crate::state::list::NIL;
use crate::state::partition::NONE;

/// What a record needs, worked out once.
#[derive(Clone, Copy)]
pub(crate) struct Sized {
    /// Key, value and headers with their lengths.
    payload: u32,
    /// Upper bound of the record alone in a batch.
    bound: u32,
    timestamp: i64,
    /// The timestamp counts from the clock's origin, since no wall clock is set.
    uptime: bool,
}

#[cfg(all(test, feature = "alloc"))]
impl Sized {
    /// Vectors have timestamps that `send` refuses.
    pub(crate) fn set_timestamp_for_test(&mut self, timestamp: i64) {
        (self.timestamp, self.uptime) = (timestamp, false);
    }
}

impl State<'_> {
    /// Checks a record against every limit that does not depend on its partition.
    pub(crate) fn size_record(&self, record: &Record<'_>) -> Result<Sized, SendError> {
        let max = self.record_size_max;
        // A size that cannot be counted is too large all the same.
        let payload = encode::payload_size(record).unwrap_or(u32::MAX);
        let bound = payload.saturating_add(HEADER_SIZE + PREFIX_MAX);
        if bound > max {
            return Err(SendError::TooLarge { size: bound, max });
        }
        let (timestamp, uptime) = match record.timestamp {
            Some(timestamp) if timestamp < 0 => return Err(SendError::Timestamp),
            Some(timestamp) => (timestamp, false),
            None => (self.record_time, self.wall_offset_ms.is_none()),
        };
        Ok(Sized { payload, bound, timestamp, uptime })
    }

    /// The largest record: `max.request.size`, or what the arena can hold at all.
    pub(crate) fn work_out_record_size_max(&self) -> u32 {
        let blocks = self.arena.blocks().saturating_sub(self.reserved_blocks());
        let arena = blocks.saturating_mul(self.arena.block_size()).saturating_sub(RECORDS_AT - HEADER_SIZE);
        self.config.max_request_size.min(arena)
    }

    /// Appends to the partition's open batch, or to a new one. A refused append has no effect but
    /// to hurry the sender.
    pub(crate) fn append(&mut self, slot: u32, record: &Record<'_>, sized: Sized) -> Result<Accepted, SendError> {
        let tail = self.partitions.at(slot).queue.back();
        if tail != NIL && self.batches.at(tail).state == BatchState::Open {
            if self.has_room(tail, sized) {
                let accepted = self.write_record(tail, record, sized, false)?;
                if self.is_full(tail) {
                    #[cfg(feature = "codecs")]
                    self.close_if_full(tail);
                    self.settle(slot);
                }
                return Ok(accepted);
            }
            self.close_batch(tail);
            self.settle(slot);
        }
        let batch = self.open_batch(slot, sized)?;
        let accepted = self.write_record(batch, record, sized, true)?;
        #[cfg(feature = "codecs")]
        self.close_if_full(batch);
        if self.batches.at(batch).lingered || self.is_full(batch) {
            self.settle(slot);
        }
        Ok(accepted)
    }

    /// The size a batch of this partition aims at.
    pub(crate) fn batch_size(&self, slot: u32) -> u32 {
        self.topic_batch_size(self.partitions.at(slot).topic)
    }

    /// The size a batch of this topic aims at.
    #[inline]
    pub(crate) fn topic_batch_size(&self, topic: u16) -> u32 {
        self.config.batch_size.min(self.topics.at(topic.into()).batch_limit)
    }

    /// PRODUCER a.4: the new record counts uncompressed, the others by the expected ratio. Raw bytes
    /// never exceed `max.request.size`, so a wrong estimate costs no memory.
    pub(crate) fn has_room(&self, batch: u32, sized: Sized) -> bool {
        let batch = self.batches.at(batch);
        let place = Place {
            timestamp_delta: sized.timestamp.wrapping_sub(batch.base_timestamp),
            offset_delta: batch.count as i32,
        };
        let (_, size) = encode::record_size(sized.payload, place);
        let raw = HEADER_SIZE.saturating_add(batch.record_bytes).saturating_add(size);
        let estimate = self.estimate(batch.partition, batch.record_bytes).saturating_add(size);
        estimate <= self.batch_size(batch.partition)
            && raw <= self.config.max_request_size
            && batch.uptime == sized.uptime
    }

    /// What `record_bytes` are expected to take on the wire, header included.
    fn estimate(&self, slot: u32, record_bytes: u32) -> u32 {
        if cfg!(not(any(feature = "lz4", feature = "codecs"))) || self.config.compression == crate::Compression::None {
            return HEADER_SIZE.saturating_add(record_bytes);
        }
        let ratio = self.topics.at(self.partitions.at(slot).topic.into()).ratio;
        // Java's safety factor of 1.05, in 1/1024.
        let expected = (u64::from(record_bytes) * u64::from(ratio) * 1075) >> 20;
        HEADER_SIZE.saturating_add(u32::try_from(expected).unwrap_or(u32::MAX))
    }

    /// No further record fits, whatever its size.
    pub(crate) fn is_full(&self, batch: u32) -> bool {
        let batch = self.batches.at(batch);
        self.estimate(batch.partition, batch.record_bytes) >= self.batch_size(batch.partition)
    }

    /// Ends the appending; the batch may leave at once, or be compressed if that is done outside.
    pub(crate) fn close_batch(&mut self, batch: u32) {
        self.batches.at_mut(batch).state = BatchState::Closed;
        self.end_linger(batch);
        #[cfg(feature = "codecs")]
        self.compress_early(batch);
    }

    /// Opens a batch with room for the first record.
    fn open_batch(&mut self, slot: u32, sized: Sized) -> Result<u32, SendError> {
        let blocks = (sized.bound.saturating_add(RECORDS_AT - HEADER_SIZE)).div_ceil(self.arena.block_size().max(1));
        self.may_take(slot, blocks).map_err(|full| self.refuse_room(full))?;
        let Some(batch) = self.take_batch(self.reserved_batches()) else {
            return Err(self.refuse_room(SendError::Full));
        };
        let Some(first) = self.arena.take() else {
            self.free_batch(batch);
            return Err(self.refuse_room(SendError::Full));
        };
        let id = self.accumulator.next_batch_id;
        self.accumulator.next_batch_id = id.wrapping_add(1);
        let now = self.now;
        let lingered = self.config.linger_ms == 0 || self.net.closing();
        let new = self.batches.at_mut(batch);
        new.first_block = first;
        new.blocks = 1;
        new.tail = Position { block: first, at: RECORDS_AT };
        new.id = id;
        new.partition = slot;
        new.created_at = now;
        new.base_timestamp = sized.timestamp;
        new.uptime = sized.uptime;
        new.state = BatchState::Open;
        self.book_blocks(slot, 1, 0);
        self.enqueue_new(slot, batch, lingered);
        Ok(batch)
    }

    /// Puts a new batch behind all others.
    fn enqueue_new(&mut self, slot: u32, batch: u32, lingered: bool) {
        if self.partitions.at(slot).queued == 0 {
            self.accumulator.idle_partitions.remove(&mut self.partitions, slot);
        }
        let partition = self.partitions.at_mut(slot);
        partition.queue.push_back(&mut self.batches, batch);
        partition.queued = partition.queued.wrapping_add(1);
        let topic = self.topics.at_mut(partition.topic.into());
        topic.batches = topic.batches.wrapping_add(1);
        // The earliest deadline may have moved forward: the first delivery timeout, or the first linger.
        self.wake |= self.accumulator.by_age.is_empty();
        self.accumulator.by_age.push_back(&mut self.batches, batch);
        self.accumulator.live = self.accumulator.live.wrapping_add(1);
        self.accumulator.outstanding = self.accumulator.outstanding.wrapping_add(1);
        self.batches.at_mut(batch).lingered = lingered;
        if !lingered && self.accumulator.lingering == NIL {
            self.accumulator.lingering = batch;
            self.wake = true;
        }
    }

    /// Writes the record at the batch's tail, taking the blocks it needs first.
    fn write_record(
        &mut self,
        index: u32,
        record: &Record<'_>,
        sized: Sized,
        new_batch: bool,
    ) -> Result<Accepted, SendError> {
        let batch = self.batches.at(index);
        let place = Place {
            timestamp_delta: sized.timestamp.wrapping_sub(batch.base_timestamp),
            offset_delta: batch.count as i32,
        };
        let tail = batch.tail;
        let (body, size) = encode::record_size(sized.payload, place);
        let end = tail.at.saturating_add(size);
        let fits = self.arena.block_mut(tail.block).get_mut(tail.at as usize..end as usize);
        let tail = if let Some(room) = fits {
            encode::write_record(&mut PutSlice::new(room), record, body, place);
            Position { block: tail.block, at: end }
        } else {
            self.extend_chain(index, end)?;
            let mut out = self.arena.writer(tail);
            encode::write_record(&mut out, record, body, place);
            out.position()
        };
        Ok(self.count_record(index, tail, size, sized, new_batch))
    }

    fn count_record(&mut self, index: u32, tail: Position, size: u32, sized: Sized, new_batch: bool) -> Accepted {
        self.stats.records_accepted = self.stats.records_accepted.wrapping_add(1);
        self.stats.bytes_accepted = self.stats.bytes_accepted.wrapping_add(size.into());
        Accepted { new_batch, ..self.batches.at_mut(index).count_record(index, tail, size, sized.timestamp) }
    }

    /// Chains blocks to the batch until byte `end` of its last block (counted on) has a place. A batch without a record was
    /// given leave for all of them when it was opened.
    #[cold]
    pub(super) fn extend_chain(&mut self, batch: u32, end: u32) -> Result<(), SendError> {
        let block_size = self.arena.block_size().max(1);
        let more = end.div_ceil(block_size).saturating_sub(1);
        let (partition, count) = (self.batches.at(batch).partition, self.batches.at(batch).count);
        if count > 0 {
            self.may_take(partition, more).map_err(|full| self.refuse_room(full))?;
        }
        let mut last = self.batches.at(batch).tail.block;
        for _ in 0..more {
            let Some(block) = self.arena.take() else { break };
            self.arena.set_next(last, block);
            last = block;
        }
        let slot = self.batches.at_mut(batch);
        slot.blocks = slot.blocks.wrapping_add(more);
        self.book_blocks(partition, more, 0);
        Ok(())
    }

    /// Whether `blocks` more may be taken for a partition: the reserve stays, and one broker may not
    /// hold more than its share, so that a dead broker does not starve the live ones (PITFALLS 17).
    pub(super) fn may_take(&self, slot: u32, blocks: u32) -> Result<(), SendError> {
        let free = self.arena.free();
        if blocks.saturating_add(self.reserved_blocks()) > free {
            return Err(SendError::Full);
        }
        let leader = self.partitions.at(slot).leader;
        let share = u64::from(self.config.broker_share_percent);
        // A partition that holds nothing may always begin.
        if share >= 100 || self.cluster.brokers < 2 || leader == NONE || self.partitions.at(slot).blocks == 0 {
            return Ok(());
        }
        let held = u64::from(self.brokers.at(leader.into()).blocks).saturating_add(blocks.into());
        let within = held * 100 <= held.saturating_add(free.into()) * share;
        if within { Ok(()) } else { Err(SendError::BrokerShare) }
    }

    /// No room: whatever lingers leaves now (PITFALLS 21), and the caller is told when there is some.
    #[cold]
    fn refuse_room(&mut self, error: SendError) -> SendError {
        self.accumulator.wants_room = true;
        self.stats.buffer_full = self.stats.buffer_full.wrapping_add(1);
        self.end_all_lingers();
        error
    }
}
