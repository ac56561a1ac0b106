//! A Produce response, as it streams by: each partition's batch has its outcome as soon as the
//! partition's fields are complete.

use crate::error::ErrorCode;
use crate::protocol::decode::Sink;
use crate::protocol::produce::field;
use crate::state::State;
use crate::state::batch::InState;
use crate::state::list::{List, NIL};
use crate::state::partition::NONE;
use crate::state::reading::{NO_ANSWER, ProduceResponse};
use crate::state::topic::{FNV_START, fnv1a};

/// Applies a response's fields to the state.
pub(crate) struct ProduceSink<'s, 'a> {
    pub(crate) state: &'s mut State<'a>,
    pub(crate) connection: u16,
}

impl ProduceSink<'_, '_> {
    pub(super) fn reading(&mut self) -> &mut ProduceResponse {
        &mut self.state.connections.at_mut(self.connection.into()).produce
    }

    /// The batches of the request that is being answered.
    fn request(&self) -> (u32, List<InState>) {
        let connection = self.state.connections.at(self.connection.into());
        connection.oldest().map_or((0, List::new()), |request| (request.request, request.batches))
    }

    /// Finds the topic of the id among those of the request: ids are matched as they were when the
    /// request was formed, whatever metadata says by now (KAFKA-19397).
    fn topic_by_id(&mut self, id: &[u8; 16]) -> u16 {
        let (_, batches) = self.request();
        let cursor = self.reading().cursor;
        let start = if cursor == NIL { batches.front() } else { cursor };
        for from in [start, batches.front()] {
            let mut batch = from;
            while batch != NIL {
                let slot = self.state.batches.at(batch);
                let topic = self.state.partitions.at(slot.partition).topic;
                if self.state.topics.at(topic.into()).answers_to(id) {
                    return topic;
                }
                batch = List::<InState>::after(&self.state.batches, batch);
            }
        }
        NONE
    }

    pub(super) fn batch(&mut self) -> Option<u32> {
        let (topic, index) = (self.reading().topic, self.reading().index);
        let (request, _) = self.request();
        if topic == NONE { None } else { self.state.batch_in_request(topic, index, request) }
    }

    fn end_partition(&mut self) {
        let Some(batch) = self.batch() else {
            self.reading().mismatch = true;
            return;
        };
        let (topic, index, answer) = (self.reading().topic, self.reading().index, self.reading().answer);
        let (leader_id, leader_epoch) = (self.reading().leader_id, self.reading().leader_epoch);
        let connection = self.state.connections.at_mut(self.connection.into());
        let next = List::<InState>::after(&self.state.batches, batch);
        if let Some(request) = connection.awaiting_mut().first_mut() {
            request.batches.remove(&mut self.state.batches, batch);
        }
        connection.produce.cursor = next;
        if leader_id >= 0 && leader_epoch >= 0 {
            // KIP-951: the new leader came with the refusal; the retry need not wait for metadata.
            self.state.hint_leader(topic, index, leader_id, leader_epoch);
        }
        self.state.answered(batch, &answer);
    }
}

impl Sink for ProduceSink<'_, '_> {
    fn int(&mut self, field: u8, value: i64) {
        let reading = self.reading();
        match field {
            field::PARTITION_INDEX => reading.index = value as i32,
            field::ERROR => reading.answer.error = ErrorCode::from(value as i16),
            field::BASE_OFFSET => reading.answer.base_offset = value,
            field::LOG_APPEND_TIME => reading.answer.log_append_time = value,
            field::LOG_START_OFFSET => reading.answer.log_start_offset = value,
            field::RECORD_INDEX if reading.answer.record.is_none() => reading.answer.record = u32::try_from(value).ok(),
            field::LEADER_ID => reading.leader_id = value as i32,
            field::LEADER_EPOCH => reading.leader_epoch = value as i32,
            field::THROTTLE => reading.throttle_ms = u32::try_from(value).unwrap_or(0),
            field::NODE_ID => {
                let node = self.state.begin_broker(value as i32);
                self.reading().node = node;
            }
            field::NODE_PORT => {
                let node = self.reading().node;
                self.state.end_broker(node, value);
            }
            _ => {}
        }
    }

    fn uuid(&mut self, _field: u8, id: &[u8; 16]) {
        let topic = self.topic_by_id(id);
        self.reading().topic = topic;
    }

    fn text_begin(&mut self, field: u8, len: Option<u32>) {
        match field {
            field::TOPIC_NAME => {
                let reading = self.reading();
                (reading.name_hash, reading.name_len) = (FNV_START, len.unwrap_or(0));
            }
            #[cfg(feature = "error-text")]
            field::RECORD_MESSAGE | field::ERROR_MESSAGE => self.begin_error_text(),
            field::NODE_HOST => {
                let node = self.reading().node;
                self.state.begin_host(node, len.unwrap_or(0));
            }
            _ => {}
        }
    }

    fn text(&mut self, field: u8, chunk: &[u8]) {
        match field {
            field::TOPIC_NAME => {
                let reading = self.reading();
                reading.name_hash = fnv1a(reading.name_hash, chunk);
            }
            #[cfg(feature = "error-text")]
            field::RECORD_MESSAGE | field::ERROR_MESSAGE => self.take_error_text(chunk),
            field::NODE_HOST => {
                let node = self.reading().node;
                self.state.take_host(node, chunk);
            }
            _ => {}
        }
    }

    fn text_end(&mut self, field: u8) {
        if field == field::TOPIC_NAME {
            let (hash, len) = (self.reading().name_hash, self.reading().name_len);
            let topic = self.state.find_topic_by_hash(hash, len);
            self.reading().topic = topic;
        }
    }

    fn element_begin(&mut self, field: u8) {
        let reading = self.reading();
        match field {
            field::TOPIC => reading.topic = NONE,
            field::PARTITION => {
                reading.index = -1;
                reading.answer = NO_ANSWER;
                (reading.leader_id, reading.leader_epoch) = (-1, -1);
            }
            _ => {}
        }
    }

    fn element_end(&mut self, field: u8) {
        if field == field::PARTITION {
            self.end_partition();
        }
    }
}
