//! The leader's side of Produce.

use super::serve::{Origin, reshape};
use super::{Cluster, ClusterOptions, Topic};
use crate::batch::{Header, Refusal, Rules, stamp, validate};
use crate::cluster::log::Verdict;
use crate::error;
use crate::fault::{Action, Effects};
use crate::history::SeenBatch;
use crate::protocol::metadata::Broker;
use crate::protocol::produce::{Request, RequestPartition, RequestTopic, Response, ResponsePartition, ResponseTopic};

/// The answer, and whether any partition failed.
pub(super) struct Produced {
    pub(super) response: Response,
    pub(super) failed: bool,
}

/// What one partition made of a batch.
struct Appended {
    answer: ResponsePartition,
    appended: bool,
}

impl From<ResponsePartition> for Appended {
    fn from(answer: ResponsePartition) -> Self {
        Self { answer, appended: false }
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
        for topic in &request.topics {
            let name = self.topic_name(topic.name, &topic.topic_id);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let result = self.produce_one(origin, request, &name, topic, partition, effects);
                if self.options.keep_history {
                    batches.push(seen(&name, partition, &result));
                }
                partitions.push(result.answer);
            }
            for action in effects.at(&name, None) {
                if let Action::ExtraPartition(index) = action {
                    partitions
                        .push(ResponsePartition { base_offset: 0, ..ResponsePartition::error(*index, error::NONE) });
                }
            }
            response.topics.push(ResponseTopic { name, topic_id: topic.topic_id, partitions });
        }
        self.add_endpoints(&mut response, effects);
        let mut answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let failed = answers.any(|answer| answer.error_code != error::NONE);
        reshape(
            &mut response.topics,
            effects,
            |topic| topic.name.clone(),
            |topic| &mut topic.partitions,
            |partition| partition.index,
        );
        Produced { response, failed }
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
            self.append(origin, request, name, partition)
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
        self.add_leader_hint(name, &mut result.answer, effects);
        result
    }

    /// What the leader of a partition does with a batch, in Kafka's order of checks.
    fn append(&mut self, origin: Origin, request: &Request<'_>, name: &str, sent: &RequestPartition<'_>) -> Appended {
        let wall_clock_ms = self.wall_clock_ms(origin.now_ms);
        let refuse = |code| Appended::from(ResponsePartition::error(sent.index, code));
        if !(-1..=1).contains(&request.acks) {
            return refuse(error::INVALID_REQUIRED_ACKS);
        }
        let options = &self.options;
        let brokers = &self.brokers;
        let Some(topic) = self.topics.get_mut(name) else {
            return refuse(error::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let rules = rules(options, topic, origin.version, wall_clock_ms);
        let min_insync = topic.options.min_insync_replicas.unwrap_or(options.min_insync_replicas);
        let log_append_time = topic.options.log_append_time.then_some(wall_clock_ms);
        let Some(partition) = topic.partition_mut(sent.index) else {
            return refuse(error::UNKNOWN_TOPIC_OR_PARTITION);
        };
        if partition.leader != origin.broker {
            return refuse(error::NOT_LEADER_OR_FOLLOWER);
        }
        if request.acks == -1 {
            let replicas = partition.replicas.iter();
            let in_sync = replicas.filter(|id| brokers[*id].alive).count();
            if in_sync < min_insync as usize {
                return refuse(error::NOT_ENOUGH_REPLICAS);
            }
        }
        let mut header = match checked(sent, request, origin.version, &rules) {
            Ok(header) => header,
            Err(refusal) => return refused(sent.index, refusal).into(),
        };
        let mut answer = ResponsePartition::error(sent.index, error::NONE);
        answer.log_start_offset = partition.log.start_offset();
        match partition.log.check_producer(&header, options.strict_first_sequence) {
            Verdict::Refuse(code) => return refuse(code),
            Verdict::Duplicate { base_offset, timestamp } => {
                answer.base_offset = base_offset;
                // Kafka puts the stored batch's timestamp here, also for topics with CreateTime.
                answer.log_append_time_ms = timestamp;
                return answer.into();
            }
            Verdict::Append => {}
        }
        let mut bytes = sent.records.unwrap_or_default().to_vec();
        let base_offset = partition.log.end_offset();
        let epoch = partition.leader_epoch;
        stamp(&mut bytes, &mut header, base_offset, epoch, log_append_time);
        partition.log.append(header, bytes, options.retention_bytes);
        answer.base_offset = base_offset;
        answer.log_append_time_ms = log_append_time.unwrap_or(-1);
        answer.log_start_offset = partition.log.start_offset();
        Appended { answer, appended: true }
    }

    /// KIP-951: who leads instead, for the errors that say "not me". Versions before 10 do not encode it.
    fn add_leader_hint(&self, name: &str, answer: &mut ResponsePartition, effects: &Effects) {
        let moved = matches!(answer.error_code, error::NOT_LEADER_OR_FOLLOWER | error::FENCED_LEADER_EPOCH);
        if moved
            && let Some(topic) = self.topics.get(name)
            && let Some(partition) = topic.partition(answer.index)
        {
            answer.current_leader = (partition.leader, partition.leader_epoch);
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
