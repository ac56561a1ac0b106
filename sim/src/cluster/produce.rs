//! The leader's side of Produce.

use super::purgatory::Open;
use super::serve::{Origin, reshape};
use super::topic::{Place, Topic};
use super::{Cluster, ClusterOptions};
use crate::batch::{Header, Refusal, Rules, stamp, validate};
use crate::cluster::log::{Keeping, ProducerRules, StoredBatch, Verdict};
use crate::cluster::replica::Replica;
use crate::error;
use crate::fault::{Action, Effects};
use crate::history::SeenBatch;
use crate::protocol::metadata::Broker;
use crate::protocol::produce::{Request, RequestPartition, RequestTopic, Response, ResponsePartition, ResponseTopic};
use std::sync::Arc;

/// The answer as far as it is known, and what it waits for.
#[derive(Debug)]
pub(super) struct Produced {
    pub(super) response: Response,
    /// Whether any partition failed.
    pub(super) failed: bool,
    /// Partitions whose replicas in sync do not have everything yet.
    pub(super) open: Vec<Open>,
    /// When the disk has stored everything.
    pub(super) stored_ms: u64,
}

impl Produced {
    /// Sets the code of a partition that waited.
    pub(super) fn settle(&mut self, (topic, partition): (usize, usize), code: i16) {
        let topic = self.response.topics.get_mut(topic);
        if let Some(answer) = topic.and_then(|topic| topic.partitions.get_mut(partition)) {
            answer.error_code = code;
        }
    }
}

/// What one partition made of a batch.
struct Appended {
    answer: ResponsePartition,
    appended: bool,
    /// Where its log ends behind it, on which partition; `None` if it is not in the log.
    end: Option<(Place, i64)>,
    stored_ms: u64,
}

impl From<ResponsePartition> for Appended {
    fn from(answer: ResponsePartition) -> Self {
        Self { answer, appended: false, end: None, stored_ms: 0 }
    }
}

impl Cluster {
    pub(super) fn produce(
        &mut self,
        origin: Origin,
        request: &Request<'_>,
        effects: &Effects,
        batches: &mut Vec<SeenBatch>,
    ) -> Produced {
        let mut response = Response { throttle_time_ms: effects.throttle_time_ms(), ..Response::default() };
        let mut open = Vec::new();
        let mut stored_ms = 0;
        for topic in &request.topics {
            let name = self.topic_name(origin.broker, topic.name, &topic.topic_id);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let result = self.produce_one(origin, request, &name, topic, partition, effects);
                if self.options.keep_history {
                    batches.push(seen(&name, partition, &result));
                }
                stored_ms = stored_ms.max(result.stored_ms);
                if request.acks == -1
                    && result.answer.error_code == error::NONE
                    && let Some((place, offset)) = result.end
                    && self.committed(place, origin.broker) < offset
                {
                    open.push(Open { place, offset, at: (response.topics.len(), partitions.len()) });
                }
                partitions.push(result.answer);
            }
            response.topics.push(ResponseTopic { name, topic_id: topic.topic_id, partitions });
        }
        let mut answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let failed = answers.any(|answer| answer.error_code != error::NONE);
        Produced { response, failed, open, stored_ms }
    }

    /// The high watermark as a leader knows it.
    fn committed(&self, place: Place, leader: i32) -> i64 {
        let replica = self.partition_at(place).and_then(|partition| partition.replica(leader));
        replica.map_or(i64::MAX, |replica| replica.high_watermark)
    }

    /// Completes an answer whose codes are settled: who leads instead, and the faults that change its shape.
    pub(super) fn finish_produce(&self, broker: i32, response: &mut Response, effects: &Effects) {
        for topic in &mut response.topics {
            for answer in &mut topic.partitions {
                self.add_leader_hint(broker, &topic.name, answer, effects);
            }
            for action in effects.at(&topic.name, None) {
                if let Action::ExtraPartition(index) = action {
                    let extra = ResponsePartition::error(*index, error::NONE);
                    topic.partitions.push(ResponsePartition { base_offset: 0, ..extra });
                }
            }
        }
        self.add_endpoints(response, effects);
        reshape(
            &mut response.topics,
            effects,
            |topic| topic.name.clone(),
            |topic| &mut topic.partitions,
            |partition| partition.index,
        );
    }

    fn produce_one(
        &mut self,
        origin: Origin,
        request: &Request<'_>,
        name: &str,
        topic: &RequestTopic<'_>,
        partition: &RequestPartition<'_>,
        effects: &Effects,
    ) -> Appended {
        let actions = || effects.at(name, Some(partition.index));
        let scripted = actions().find_map(|action| match action {
            Action::Error(code) => Some(*code),
            _ => None,
        });
        let mut result = if let Some(code) = scripted {
            ResponsePartition::error(partition.index, code).into()
        } else if name.is_empty() && topic.name.is_empty() {
            // Only version 13 and later can ask by an id that nobody has.
            ResponsePartition::error(partition.index, error::UNKNOWN_TOPIC_ID).into()
        } else {
            self.append(origin, request, name, topic, partition)
        };
        for action in actions() {
            let answer = &mut result.answer;
            match action {
                Action::AppendThenError(code) => {
                    *answer = ResponsePartition::error(partition.index, *code);
                }
                Action::Message(text) => answer.error_message = Some(text.clone()),
                Action::RecordErrors(errors) => {
                    answer.record_errors = errors
                        .iter()
                        .map(|(batch_index, message)| crate::protocol::produce::RecordError {
                            batch_index: *batch_index,
                            message: message.clone(),
                        })
                        .collect();
                }
                Action::BaseOffset(offset) => answer.base_offset = *offset,
                Action::LogStartOffset(offset) => answer.log_start_offset = *offset,
                _ => {}
            }
        }
        result
    }

    /// What the leader of a partition does with a batch, in Kafka's order of checks.
    fn append(
        &mut self,
        origin: Origin,
        request: &Request<'_>,
        name: &str,
        asked: &RequestTopic<'_>,
        sent: &RequestPartition<'_>,
    ) -> Appended {
        let refuse = |code| Appended::from(ResponsePartition::error(sent.index, code));
        if !(-1..=1).contains(&request.acks) {
            return refuse(error::INVALID_REQUIRED_ACKS);
        }
        let topic = if asked.name.is_empty() {
            self.topic_known_by_id(origin.broker, &asked.topic_id)
        } else {
            self.topic_known(origin.broker, name)
        };
        let Some(place) = topic.and_then(|topic| self.place_known(origin.broker, topic, sent.index)) else {
            return refuse(error::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let result = self.append_at(origin, request, place, sent);
        if result.appended {
            self.replicate(place, origin.broker);
            self.tend(place, origin.broker);
        }
        result
    }

    fn append_at(
        &mut self,
        origin: Origin,
        request: &Request<'_>,
        place: Place,
        sent: &RequestPartition<'_>,
    ) -> Appended {
        let refuse = |code| Appended::from(ResponsePartition::error(sent.index, code));
        let wall_clock_ms = self.wall_clock_ms(origin.now_ms);
        let keeping = self.keeping();
        let own_disk = self.brokers.get(&origin.broker).and_then(|broker| broker.disk_ms.as_ref());
        let disk_ms = self.chance.within(own_disk.unwrap_or(&self.options.disk_ms));
        let options = &self.options;
        let Some(topic) = self.topics.get_mut(&place.topic) else {
            return refuse(error::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let rules = rules(options, topic, origin.version, wall_clock_ms);
        let min_insync = topic.options.min_insync_replicas.unwrap_or(options.min_insync_replicas);
        let log_append_time = topic.options.log_append_time.then_some(wall_clock_ms);
        let partition = topic.partitions.get_mut(place.partition as usize);
        let Some(leader) = partition.and_then(|partition| partition.replica_mut(origin.broker)) else {
            return refuse(error::NOT_LEADER_OR_FOLLOWER);
        };
        let Some(leadership) = leader.leadership() else {
            return refuse(error::NOT_LEADER_OR_FOLLOWER);
        };
        if request.acks == -1 && leadership.isr.len() < min_insync as usize {
            return refuse(error::NOT_ENOUGH_REPLICAS);
        }
        let mut header = match checked(sent, request, origin.version, &rules) {
            Ok(header) => header,
            Err(refusal) => return refused(sent.index, refusal).into(),
        };
        let mut answer = ResponsePartition::error(sent.index, error::NONE);
        answer.log_start_offset = leader.log.start_offset();
        let producers = ProducerRules {
            now_ms: origin.now_ms,
            expiration_ms: options.producer_id_expiration_ms,
            strict_first_sequence: options.strict_first_sequence,
        };
        match leader.log.check_producer(&header, &producers) {
            Verdict::Refuse(code) => return refuse(code),
            Verdict::Duplicate { base_offset, timestamp } => {
                answer.base_offset = base_offset;
                // Kafka puts the stored batch's timestamp here, also for topics with CreateTime.
                answer.log_append_time_ms = timestamp;
                let end = base_offset + i64::from(header.record_count);
                return Appended { answer, appended: false, end: Some((place, end)), stored_ms: leader.stored_ms };
            }
            Verdict::Append => {}
        }
        let mut bytes = sent.records.unwrap_or_default().to_vec();
        answer.base_offset = leader.log.end_offset();
        stamp(&mut bytes, &mut header, answer.base_offset, leader.epoch, log_append_time);
        store(leader, StoredBatch { header, bytes, appended_ms: origin.now_ms }, keeping, disk_ms);
        answer.log_append_time_ms = log_append_time.unwrap_or(-1);
        answer.log_start_offset = leader.log.start_offset();
        let end = Some((place, leader.log.end_offset()));
        Appended { answer, appended: true, end, stored_ms: leader.stored_ms }
    }

    /// KIP-951: who leads instead, for the errors that say "not me". Versions before 10 do not encode it.
    fn add_leader_hint(&self, broker: i32, name: &str, answer: &mut ResponsePartition, effects: &Effects) {
        let moved = matches!(answer.error_code, error::NOT_LEADER_OR_FOLLOWER | error::FENCED_LEADER_EPOCH);
        if moved
            && let Some(topic) = self.topic_known(broker, name)
            && let Some(place) = self.place_known(broker, topic, answer.index)
            && let Some(partition) = self.partition_at(place)
            && let Some((_, state)) = partition.states.at(self.brokers[&broker].known)
        {
            answer.current_leader = (state.leader, state.leader_epoch);
        }
        for action in effects.at(name, Some(answer.index)) {
            match action {
                Action::OmitLeaderHint => answer.current_leader = (-1, -1),
                Action::LeaderHint { leader_id, leader_epoch, .. } => {
                    answer.current_leader = (*leader_id, *leader_epoch)
                }
                _ => {}
            }
        }
    }

    /// The addresses of all leaders that the partitions name.
    fn add_endpoints(&self, response: &mut Response, effects: &Effects) {
        let mut scripted = false;
        for action in effects.all() {
            if let Action::LeaderHint { leader_id, endpoint, .. } = action {
                scripted = true;
                if let Some((host, port)) = endpoint {
                    response.node_endpoints.push(Broker {
                        node_id: *leader_id,
                        host: host.clone(),
                        port: i32::from(*port),
                        rack: None,
                    });
                }
            }
        }
        if scripted {
            return;
        }
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let mut leaders: Vec<i32> = answers.map(|answer| answer.current_leader.0).collect();
        leaders.sort_unstable();
        leaders.dedup();
        for id in leaders {
            if let Some(broker) = self.brokers.get(&id) {
                response.node_endpoints.push(broker.described(id));
            }
        }
    }
}

/// Appends to a leader's log. Its disk takes one batch after the other.
fn store(leader: &mut Replica, batch: StoredBatch, keeping: Keeping, disk_ms: u64) {
    let now_ms = batch.appended_ms;
    leader.stored_ms = if disk_ms == 0 && leader.stored_ms <= now_ms {
        0
    } else {
        leader.stored_ms.max(now_ms).saturating_add(disk_ms)
    };
    leader.log.append(Arc::new(batch), keeping);
    leader.note_append(now_ms);
}

fn rules(options: &ClusterOptions, topic: &Topic, version: i16, wall_clock_ms: i64) -> Rules {
    let settings = &topic.options;
    let bound = |limit: Option<u64>| limit.filter(|_| !settings.log_append_time);
    Rules {
        produce_version: version,
        max_message_bytes: settings.max_message_bytes.unwrap_or(options.max_message_bytes),
        segment_bytes: options.segment_bytes,
        compacted: settings.compacted,
        timestamps: (
            bound(settings.timestamp_before_max_ms).map_or(i64::MIN, |ms| wall_clock_ms.saturating_sub_unsigned(ms)),
            bound(settings.timestamp_after_max_ms).map_or(i64::MAX, |ms| wall_clock_ms.saturating_add_unsigned(ms)),
        ),
    }
}

fn checked(sent: &RequestPartition<'_>, request: &Request<'_>, version: i16, rules: &Rules) -> Result<Header, Refusal> {
    let header = validate(sent.records, rules)?;
    if header.is_transactional() || request.transactional_id.is_some() {
        // There is no transaction coordinator here, so no partition is ever part of a transaction (KIP-890's two codes).
        let code = if version >= 11 { error::TRANSACTION_ABORTABLE } else { error::INVALID_TXN_STATE };
        return Err(Refusal::new(code, "The partition is not in a transaction"));
    }
    Ok(header)
}

fn refused(index: i32, refusal: Refusal) -> ResponsePartition {
    ResponsePartition {
        record_errors: refusal.record_errors,
        error_message: Some(refusal.message),
        ..ResponsePartition::error(index, refusal.error_code)
    }
}

fn seen(name: &str, sent: &RequestPartition<'_>, result: &Appended) -> SeenBatch {
    let bytes = sent.records.unwrap_or_default();
    let header = Header::decode(bytes).ok();
    SeenBatch {
        topic: name.to_owned(),
        partition: sent.index,
        producer_id: header.map_or(-1, |header| header.producer_id),
        producer_epoch: header.map_or(-1, |header| header.producer_epoch),
        base_sequence: header.map_or(-1, |header| header.base_sequence),
        records: header.map_or(0, |header| header.record_count),
        bytes: bytes.len(),
        crc: bytes.get(17..21).and_then(|crc| crc.try_into().ok()).map_or(0, u32::from_be_bytes),
        error_code: result.answer.error_code,
        base_offset: result.answer.base_offset,
        appended: result.appended,
    }
}
