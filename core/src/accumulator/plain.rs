//! Accepting the usual record: its partition has an open batch with room in its last block. Nine
//! records in ten go this way, so it counts instructions; the others go through
//! [`append`](State::append), which does the same and everything else.

use crate::config::Partitioner;
use crate::event::Accepted;
use crate::record::Record;
use crate::record::plain::Plain;
use crate::state::State;
use crate::state::arena::Position;
use crate::state::batch::{Batch, BatchState};
use crate::state::list::NIL;

use crate::record::batch::HEADER_SIZE;

impl State<'_> {
    /// What a batch may hold for records to be added without a further look. 0 where each one needs
    /// it: with compression, where the size is an estimate, and with another partitioner than Kafka's.
    pub(crate) fn work_out_plain_limit(&self) -> u32 {
        let default = match self.config.partitioner {
            Partitioner::Default => true,
            #[cfg(feature = "librdkafka-partitioners")]
            Partitioner::Murmur2Random => true,
            _ => false,
        };
        if default && self.config.compression == crate::Compression::None {
            self.config.batch_size.min(self.config.max_request_size)
        } else {
            0
        }
    }

    /// From now on every record gets a further look, and is refused.
    pub(crate) fn refuse_plain(&mut self) {
        self.plain_limit = 0;
    }

    /// Takes a keyless record if that opens, closes and moves nothing. `None`: nothing happened.
    #[inline]
    pub(crate) fn append_plain(&mut self, topic: u16, record: &Record<'_>) -> Option<Accepted> {
        if record.partition.is_some() {
            return None;
        }
        self.append_plain_keyless::<false>(topic, record)
    }

    /// The same for a record that goes on in a new block.
    #[inline(never)]
    pub(crate) fn append_plain_across(&mut self, topic: u16, record: &Record<'_>) -> Option<Accepted> {
        if record.partition.is_some() || record.key.is_some() {
            return None;
        }
        self.append_plain_keyless::<true>(topic, record)
    }

    #[inline(always)] // into both callers
    fn append_plain_keyless<const ACROSS: bool>(&mut self, topic: u16, record: &Record<'_>) -> Option<Accepted> {
        let known = self.topics.at(topic.into());
        let (slot, limit) = (known.sticky, known.batch_limit.min(self.plain_limit));
        if slot == NIL {
            return None;
        }
        let (accepted, size) = self.add_to_open::<false, ACROSS>(slot, limit, record)?;
        // The batch is open and not full: the turn goes on. The next batch will look at what this comes to.
        let known = self.topics.at_mut(topic.into());
        known.sticky_bytes = known.sticky_bytes.wrapping_add(size);
        Some(accepted)
    }

    /// Takes a keyed record if that opens, closes and moves nothing. `None`: nothing happened.
    #[inline]
    pub(crate) fn append_plain_keyed(&mut self, topic: u16, record: &Record<'_>) -> Option<Accepted> {
        let known = self.topics.at(topic.into());
        if record.partition.is_some() || known.declared || self.config.partitioner_ignore_keys {
            return None;
        }
        let limit = known.batch_limit.min(self.plain_limit);
        let slot = self.find_partition(topic, self.partition_of_key(topic, record.key?)?);
        if slot == NIL {
            return None;
        }
        self.add_to_open::<true, false>(slot, limit, record).map(|(accepted, _)| accepted)
    }

    /// Adds the record to the partition's open batch if that stays below `limit`; says the record's
    /// size as well.
    #[inline(always)] // into both callers
    fn add_to_open<const KEYED: bool, const ACROSS: bool>(
        &mut self,
        slot: u32,
        limit: u32,
        record: &Record<'_>,
    ) -> Option<(Accepted, u32)> {
        let index = self.partitions.at(slot).queue.back();
        if index == NIL {
            return None;
        }
        let batch: &mut Batch = self.batches.at_mut(index);
        let (timestamp, uptime) = match record.timestamp {
            Some(timestamp) if timestamp < 0 => return None,
            Some(timestamp) => (timestamp, false),
            None => (self.record_time, self.wall_offset_ms.is_none()),
        };
        if batch.state != BatchState::Open || batch.uptime != uptime {
            return None;
        }
        let plain = Plain::<KEYED>::new(record, timestamp.wrapping_sub(batch.base_timestamp), batch.count)?;
        let filled = batch.record_bytes.wrapping_add(plain.size).wrapping_add(HEADER_SIZE);
        if filled >= limit {
            return None;
        }
        let tail = if ACROSS {
            self.write_across(index, &plain)?
        } else {
            let Position { block, at } = batch.tail;
            plain.write(self.arena.room_mut(batch.tail, plain.size)?)?;
            Position { block, at: at.wrapping_add(plain.size) }
        };
        let batch = self.batches.at_mut(index);
        self.stats.records_accepted = self.stats.records_accepted.wrapping_add(1);
        self.stats.bytes_accepted = self.stats.bytes_accepted.wrapping_add(plain.size.into());
        Some((batch.count_record(index, tail, plain.size, timestamp), plain.size))
    }

    /// Writes the record from the batch's last block into new ones; says where it ends.
    fn write_across<const KEYED: bool>(&mut self, index: u32, plain: &Plain<'_, KEYED>) -> Option<Position> {
        let batch = self.batches.at(index);
        let (tail, partition) = (batch.tail, batch.partition);
        let end = tail.at.saturating_add(plain.size);
        let more = end.div_ceil(self.arena.block_size().max(1)).saturating_sub(1);
        if more == 0 || self.may_take(partition, more).is_err() {
            return None;
        }
        self.extend_chain(index, end).ok()?;
        let mut out = self.arena.writer(tail);
        plain.put(&mut out);
        Some(out.position())
    }
}
