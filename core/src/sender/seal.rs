//! Patching a batch's header before its bytes leave; from then on they are frozen (PITFALLS 4).

use crate::record::batch::{self, CRC_FROM, HEADER_SIZE, Header};
use crate::state::State;
use crate::state::arena::Position;
use crate::state::batch::{BatchState, HEADROOM};
use crate::state::list::NIL;

impl State<'_> {
    /// Takes no more records: timestamps are settled and the records compressed, so that their size on
    /// the wire is known. False if a codec outside the core has to do its part first.
    pub(crate) fn complete(&mut self, index: u32) -> bool {
        if self.batches.at(index).state == BatchState::Open {
            self.close_batch(index);
        }
        if self.batches.at(index).complete {
            return true;
        }
        if self.batches.at(index).uptime {
            self.stamp_uptime(index);
        }
        self.measure_raw(index);
        let done = self.compress(index);
        self.batches.at_mut(index).complete = done;
        done
    }

    /// Writes the header and the CRC over everything behind it. The batch takes no more records.
    pub(crate) fn seal(&mut self, index: u32) {
        let batch = self.batches.at(index);
        let partition = self.partitions.at(batch.partition);
        let (producer_id, producer_epoch, base_sequence) = if batch.sequenced {
            (partition.producer_id, partition.producer_epoch, batch.base_sequence)
        } else {
            (-1, -1, -1)
        };
        let header = Header {
            attributes: self.codec_of(index),
            records: batch.count,
            record_bytes: batch.record_bytes,
            base_timestamp: batch.base_timestamp,
            max_timestamp: batch.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
        };
        let (first_block, wire_bytes) = (batch.first_block, batch.wire_bytes());
        let end = (HEADROOM + HEADER_SIZE) as usize;
        let block = self.arena.block_mut(first_block);
        header.write(block.get_mut(HEADROOM as usize..end).unwrap_or(&mut []));
        let covered = Position { block: first_block, at: HEADROOM + CRC_FROM };
        let crc = self.arena.fold(covered, wire_bytes.saturating_sub(CRC_FROM), 0, self.config.crc32c);
        let block = self.arena.block_mut(first_block);
        batch::write_crc(block.get_mut(HEADROOM as usize..end).unwrap_or(&mut []), crc);
        self.batches.at_mut(index).sealed = true;
    }

    /// The records were stamped by uptime. With a wall clock now, base and maximum move by its offset;
    /// without one the records get no timestamp (promise 7).
    fn stamp_uptime(&mut self, index: u32) {
        match self.wall_offset_ms {
            Some(offset) => {
                let batch = self.batches.at_mut(index);
                batch.base_timestamp = batch.base_timestamp.wrapping_add(offset);
                batch.max_timestamp = batch.max_timestamp.wrapping_add(offset);
            }
            None => self.erase_timestamps(index),
        }
        let batch = self.batches.at_mut(index);
        batch.uptime = false;
        // Erased deltas may have left blocks behind.
        let (tail, partition) = (batch.tail.block, batch.partition);
        let behind = self.arena.next(tail);
        if behind != NIL {
            self.arena.set_next(tail, NIL);
            let freed = self.arena.free_chain(behind);
            let batch = self.batches.at_mut(index);
            batch.blocks = batch.blocks.wrapping_sub(freed);
            self.book_blocks(partition, 0, freed);
        }
    }
}
