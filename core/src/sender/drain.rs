//! Taking batches for one Produce request: one per partition, in turn, within `max.request.size`.

use crate::protocol::produce::{self, Opening};
use crate::state::State;
use crate::state::batch::{BatchState, HEADROOM, InState};
use crate::state::list::{List, NIL};
use crate::state::partition::ByUse;

/// What a request carries.
pub(crate) struct Drained {
    /// Its number, unique among those under way.
    pub(crate) request: u32,
    /// The batches, those of a topic next to each other.
    pub(crate) batches: List<InState>,
    pub(crate) topics: u32,
    /// Some topic's id is not known, or was not told last: it must be named (Produce ≤ 12).
    pub(crate) needs_names: bool,
}

impl State<'_> {
    /// Takes what fits into one request to this broker. Partitions take turns: who was served goes to
    /// the end of the line, who did not fit stays first (PITFALLS 16). A partition that may not send
    /// is not in the line at all, so it stops nobody (PITFALLS 15).
    pub(crate) fn drain(&mut self, broker: u16) -> Drained {
        let request = self.net.next_request();
        let mut drained = Drained { request, batches: List::new(), topics: 0, needs_names: false };
        let mut size = 0u32;
        loop {
            let slot = self.brokers.at(broker.into()).ready.front();
            if slot == NIL || self.partitions.at(slot).last_request == request {
                break;
            }
            let batch = self.next_to_send(slot);
            self.brokers.at_mut(broker.into()).ready.remove(&mut self.partitions, slot);
            self.partitions.at_mut(slot).ready = false;
            if batch == NIL || self.needs_new_id(slot, batch) {
                continue;
            }
            if !self.complete(batch) {
                self.settle(slot);
                continue;
            }
            let bytes = self.batches.at(batch).wire_bytes();
            if size > 0 && size.saturating_add(bytes) > self.config.max_request_size {
                self.put_back_first(broker, slot);
                break;
            }
            size = size.saturating_add(bytes);
            self.depart(slot, batch, request);
            self.add_to_request(&mut drained, slot, batch);
            self.settle(slot);
        }
        self.brokers.at_mut(broker.into()).has_taken(self.now);
        drained
    }

    fn put_back_first(&mut self, broker: u16, slot: u32) {
        let ready: &mut List<ByUse> = &mut self.brokers.at_mut(broker.into()).ready;
        ready.insert_after(&mut self.partitions, NIL, slot);
        self.partitions.at_mut(slot).ready = true;
    }

    /// Identity and sequence go into the header, so they come before the seal.
    fn depart(&mut self, slot: u32, index: u32, request: u32) {
        if !self.batches.at(index).sealed {
            if self.config.enable_idempotence && !self.batches.at(index).sequenced {
                self.assign_sequence(slot, index);
            }
            self.seal(index);
        }
        let partition = self.partitions.at_mut(slot);
        partition.last_request = request;
        partition.in_flight = partition.in_flight.wrapping_add(1);
        let batch = self.batches.at_mut(index);
        batch.state = BatchState::InFlight;
        batch.former_id = false;
        batch.request = request;
        batch.leader_epoch = partition.leader_epoch;
        if batch.attempts > 0 {
            self.stats.records_retried = self.stats.records_retried.wrapping_add(batch.count.into());
        }
        batch.attempts = batch.attempts.saturating_add(1);
        self.stats.batches_sent = self.stats.batches_sent.wrapping_add(1);
        self.stats.batch_bytes_sent = self.stats.batch_bytes_sent.wrapping_add(batch.wire_bytes().into());
        self.measure_departure(index);
    }

    /// Links the batch behind the last one of its topic.
    fn add_to_request(&mut self, drained: &mut Drained, slot: u32, batch: u32) {
        let request = drained.request;
        let topic = self.topics.at_mut(self.partitions.at(slot).topic.into());
        let opens_topic = topic.request != request;
        if opens_topic {
            topic.request = request;
            topic.request_first = batch;
            topic.request_partitions = 0;
            drained.topics = drained.topics.wrapping_add(1);
            drained.needs_names |= !topic.id_told;
            drained.batches.push_back(&mut self.batches, batch);
        } else {
            drained.batches.insert_after(&mut self.batches, topic.request_last, batch);
        }
        topic.request_last = batch;
        topic.request_partitions = topic.request_partitions.wrapping_add(1);
        self.batches.at_mut(batch).opens_topic = opens_topic;
    }

    /// Writes the framing before each batch, in its headroom, for this request and version. Returns
    /// the size of everything behind the request's first topic.
    pub(crate) fn frame(&mut self, batches: List<InState>, version: i16) -> u32 {
        let mut size = produce::close_body(version).len() as u32;
        let mut index = batches.front();
        while index != NIL {
            let batch = self.batches.at(index);
            let partition = self.partitions.at(batch.partition);
            let topic = self.topics.at(partition.topic.into());
            let opening = if batch.opens_topic {
                size = size.saturating_add(produce::topic_size(version, topic.name_len.into()) as u32);
                if index != batches.front() {
                    size = size.saturating_add(produce::close_topic(version).len() as u32);
                }
                Opening::First { partitions: topic.request_partitions }
            } else {
                Opening::Next
            };
            let (first_block, wire_bytes, partition_index) = (batch.first_block, batch.wire_bytes(), partition.index);
            let headroom = self.arena.block_mut(first_block).get_mut(..HEADROOM as usize).unwrap_or(&mut []);
            let at = produce::partition_frame(version, opening, partition_index, wire_bytes, headroom);
            let at = at.unwrap_or_default() as u8;
            self.batches.at_mut(index).frame_at = at;
            size = size.saturating_add(HEADROOM.saturating_sub(at.into())).saturating_add(wire_bytes);
            index = List::<InState>::after(&self.batches, index);
        }
        size
    }
}
