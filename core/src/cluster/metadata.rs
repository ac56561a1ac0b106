//! The Metadata response, as it streams by, and what it changes (PRODUCER g.2).

use crate::error::{ErrorCode, Problem};
use crate::protocol::NO_UUID;
use crate::protocol::decode::Sink;
use crate::protocol::metadata::field;
use crate::state::batch::{InQueue, InState};
use crate::state::cluster::MetadataResponse;
use crate::state::list::{List, NIL};
use crate::state::partition::NONE;
use crate::state::topic::{FNV_START, fnv1a};
use crate::state::{Problems, State};

/// The first version whose leader epochs can be relied on (KAFKA-9840: brokers before 2.4 may report
/// stale ones).
const RELIABLE_EPOCHS: i16 = 9;

/// What a response amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataOutcome {
    /// Applied. `progress`: something was news; `again`: something is still missing.
    Applied { progress: bool, again: bool },
    /// No brokers in it: a broker that is still starting. Counts as a failure.
    Empty,
    /// REBOOTSTRAP_REQUIRED (KIP-1102).
    Rebootstrap,
}

impl State<'_> {
    pub(crate) fn begin_metadata(&mut self, version: i16) {
        self.cluster.reading = MetadataResponse { version, ..MetadataResponse::new() };
        for broker in 0..self.brokers.len() {
            self.brokers.at_mut(broker).seen = false;
        }
    }

    /// The response is complete.
    pub(crate) fn end_metadata(&mut self) -> MetadataOutcome {
        let reading = &self.cluster.reading;
        if reading.error == ErrorCode::REBOOTSTRAP_REQUIRED {
            return MetadataOutcome::Rebootstrap;
        }
        if reading.brokers == 0 {
            return MetadataOutcome::Empty;
        }
        let (progress, unwell, dropped) = (reading.progress, reading.unwell, reading.dropped_leader);
        let made_room = self.remove_unseen_brokers(dropped);
        if dropped && !made_room {
            self.problems.report(Problem::TooManyBrokers);
        } else if !dropped {
            self.problems.cure(Problems::TOO_MANY_BROKERS);
        }
        if self.brokers.iter().all(|(_, broker)| !broker.in_use || broker.host_len > 0) {
            self.problems.cure(Problems::HOST_TOO_LONG | Problems::BROKER_ADDRESS);
        }
        for topic in 0..self.topics.len() {
            self.topics.at_mut(topic).asked = false;
        }
        self.stats.metadata_refreshes = self.stats.metadata_refreshes.wrapping_add(1);
        MetadataOutcome::Applied {
            progress: progress || (dropped && made_room),
            again: unwell || (dropped && made_room),
        }
    }

    /// Brokers that are gone leave, and if a leader found no slot, those that lead nothing do too.
    fn remove_unseen_brokers(&mut self, need_room: bool) -> bool {
        let mut removed = false;
        for slot in 0..self.brokers.len() {
            let broker = self.brokers.at(slot);
            if broker.in_use && broker.leads == 0 && (!broker.seen || need_room) {
                self.remove_broker(slot as u16);
                removed = true;
            }
        }
        removed
    }

    /// Name, error and id of a topic are known; its partitions follow.
    fn begin_topic_partitions(&mut self, count: u32) {
        let (slot, error, id) = {
            let reading = &self.cluster.reading;
            (reading.topic, reading.topic_error, reading.id)
        };
        if slot == NONE {
            return;
        }
        if error != ErrorCode::NONE || count == 0 {
            self.cluster.reading.unwell = true;
            return self.set_topic_error(slot, error);
        }
        if self.is_former_id_lent(slot) && self.topics.at(slot.into()).id != id {
            // Two former ids are not kept: this answer has to wait.
            self.cluster.reading.topic = NONE;
            self.cluster.reading.unwell = true;
            self.topics.at_mut(slot.into()).wanted = true;
            return;
        }
        self.set_topic_error(slot, ErrorCode::NONE);
        let topic = self.topics.at_mut(slot.into());
        topic.wanted = false;
        topic.id_told = id != NO_UUID;
        if id != NO_UUID && topic.id != id {
            // The topic was recreated, or was while brokers told no ids: its epochs start over (KAFKA-13488).
            let recreated = topic.has_id();
            topic.previous_id = topic.id;
            topic.id = id;
            self.cluster.reading.progress = true;
            self.begin_anew(slot, recreated);
        }
        let topic = self.topics.at(slot.into());
        if topic.partitions < 0 || topic.declared {
            // Records that wait for it get their partitions now, and these their leaders from what follows.
            self.learn_partition_count(slot, i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    /// All partitions of the topic were read. Kafka numbers them from 0 without gaps, so the largest index tells their
    /// count even if the answer repeats some or leaves one out.
    fn end_topic_partitions(&mut self) {
        let (slot, last) = (self.cluster.reading.topic, self.cluster.reading.last_index);
        if slot != NONE && last >= 0 {
            self.learn_partition_count(slot, last.saturating_add(1));
        }
    }

    fn learn_partition_count(&mut self, slot: u16, count: i32) {
        let topic = self.topics.at(slot.into());
        if topic.partitions != count || topic.declared {
            self.cluster.reading.progress = true;
            self.set_partition_count(slot, count, false);
        }
    }

    /// The topic has another id. Requests that are being written go on with its former one, if it had any: bytes that
    /// were lent do not change.
    fn begin_anew(&mut self, topic: u16, had_id: bool) {
        for slot in 0..self.partitions.len() {
            let partition = self.partitions.at_mut(slot);
            if !partition.in_use || partition.topic != topic {
                continue;
            }
            partition.leader_epoch = -1;
            // Its log is another one, which takes any first sequence: that of a batch before may be refused meanwhile (k.7).
            partition.proven = false;
            let mut batch = partition.queue.front();
            while had_id && batch != NIL && self.batches.at(batch).attempts > 0 {
                self.batches.at_mut(batch).former_id = true;
                batch = List::<InQueue>::after(&self.batches, batch);
            }
        }
    }

    /// Whether a request that is being written names the topic by its former id.
    fn is_former_id_lent(&self, topic: u16) -> bool {
        (0..self.connections.len()).any(|slot| {
            let mut index = self.connections.at(slot).outgoing.batch;
            while index != NIL {
                let batch = self.batches.at(index);
                if batch.former_id && self.partitions.at(batch.partition).topic == topic {
                    return true;
                }
                index = List::<InState>::after(&self.batches, index);
            }
            false
        })
    }

    /// One partition is complete. Those with an error still carry leader and epoch.
    fn apply_partition(&mut self) {
        let reading = &self.cluster.reading;
        let (topic, index, leader_id, epoch) = (reading.topic, reading.index, reading.leader_id, reading.leader_epoch);
        let well = reading.partition_error == ErrorCode::NONE;
        let epochs = reading.version >= RELIABLE_EPOCHS;
        if topic == NONE || reading.topic_error != ErrorCode::NONE {
            return;
        }
        self.cluster.reading.last_index = self.cluster.reading.last_index.max(index);
        let slot = self.bind_spare_partition(topic, index);
        if slot == NIL {
            return; // its slot is bound on use, and its leader asked for then
        }
        let news = self.learn_leader(slot, leader_id, epoch, epochs);
        self.cluster.reading.progress |= news;
        // A leaderless partition is worth another request only if something waits for it. The answer may name a
        // leader that was not believed, or one that is not among its brokers.
        let partition = self.partitions.at(slot);
        let unlisted = partition.leader == NONE && !self.cluster.reading.passed_over;
        self.cluster.reading.unwell |= (!well || partition.leader_id < 0 || unlisted) && partition.queued > 0;
    }
}

/// Applies a response's fields to the state.
pub(crate) struct MetadataSink<'s, 'a> {
    pub(crate) state: &'s mut State<'a>,
}

impl Sink for MetadataSink<'_, '_> {
    fn int(&mut self, field: u8, value: i64) {
        let reading = &mut self.state.cluster.reading;
        match field {
            field::THROTTLE => reading.throttle_ms = u32::try_from(value).unwrap_or(0),
            field::BROKER_ID => {
                reading.brokers = reading.brokers.saturating_add(1);
                let broker = self.state.begin_broker(value as i32);
                self.state.cluster.reading.broker = broker;
            }
            field::BROKER_PORT => {
                let broker = reading.broker;
                self.state.end_broker(broker, value);
            }
            field::TOPIC_ERROR => reading.topic_error = ErrorCode::from(value as i16),
            field::PARTITION_ERROR => reading.partition_error = ErrorCode::from(value as i16),
            field::PARTITION_INDEX => reading.index = value as i32,
            field::PARTITION_LEADER => reading.leader_id = value as i32,
            field::PARTITION_LEADER_EPOCH => reading.leader_epoch = value as i32,
            field::ERROR => reading.error = ErrorCode::from(value as i16),
            _ => {}
        }
    }

    fn uuid(&mut self, _field: u8, id: &[u8; 16]) {
        self.state.cluster.reading.id = *id;
    }

    fn text_begin(&mut self, field: u8, len: Option<u32>) {
        let reading = &mut self.state.cluster.reading;
        match field {
            field::TOPIC_NAME => (reading.name_hash, reading.name_len) = (FNV_START, len.unwrap_or(0)),
            field::BROKER_HOST => {
                let broker = reading.broker;
                self.state.begin_host(broker, len.unwrap_or(0));
            }
            _ => {}
        }
    }

    fn text(&mut self, field: u8, chunk: &[u8]) {
        let reading = &mut self.state.cluster.reading;
        match field {
            field::TOPIC_NAME => reading.name_hash = fnv1a(reading.name_hash, chunk),
            field::BROKER_HOST => {
                let broker = reading.broker;
                self.state.take_host(broker, chunk);
            }
            _ => {}
        }
    }

    fn text_end(&mut self, field: u8) {
        if field == field::TOPIC_NAME {
            let reading = &self.state.cluster.reading;
            let topic = self.state.find_topic_by_hash(reading.name_hash, reading.name_len);
            self.state.cluster.reading.topic = topic;
        }
    }

    fn array(&mut self, field: u8, count: u32) {
        if field == field::PARTITION {
            self.state.begin_topic_partitions(count);
        }
    }

    fn element_begin(&mut self, field: u8) {
        let reading = &mut self.state.cluster.reading;
        match field {
            field::TOPIC => {
                reading.topic = NONE;
                reading.last_index = -1;
                reading.topic_error = ErrorCode::NONE;
                reading.id = NO_UUID;
            }
            field::PARTITION => {
                (reading.leader_id, reading.leader_epoch) = (-1, -1);
                reading.partition_error = ErrorCode::NONE;
            }
            _ => {}
        }
    }

    fn element_end(&mut self, field: u8) {
        match field {
            field::PARTITION => self.state.apply_partition(),
            field::TOPIC => self.state.end_topic_partitions(),
            _ => {}
        }
    }
}
