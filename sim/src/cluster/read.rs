//! Fetch and ListOffsets: enough for consumers that are assigned their partitions.

use super::Cluster;
use super::log::StoredBatch;
use super::replica::Replica;
use super::serve::{Origin, reshape};
use crate::batch::decode_records;
use crate::error;
use crate::fault::{Action, Effects};
use crate::protocol::{fetch, list_offsets};

impl Cluster {
    /// The answer, and how long the broker waits before it gives it: a fetch that finds nothing takes its whole
    /// `max.wait.ms`, so that a consumer does not spin.
    pub(super) fn fetch(
        &self,
        origin: Origin,
        request: &fetch::Request<'_>,
        effects: &Effects,
    ) -> (fetch::Response, u64) {
        let mut response =
            fetch::Response { throttle_time_ms: effects.throttle_time_ms(), ..fetch::Response::default() };
        if request.session_id != 0 {
            // No session is ever granted (KIP-227): the answer's session id 0 told the client so.
            response.error_code = error::FETCH_SESSION_ID_NOT_FOUND;
            return (response, 0);
        }
        let mut room = usize::try_from(request.max_bytes).unwrap_or(0);
        let mut idle = true;
        for topic in &request.topics {
            let name = self.topic_name(origin.broker, topic.topic, &topic.topic_id);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let scripted = scripted_error(effects, &name, asked.partition);
                let partition = match scripted {
                    Some(code) => Err(code),
                    None if name.is_empty() => Err(error::UNKNOWN_TOPIC_ID),
                    None => self.led(origin, &name, asked.partition, asked.current_leader_epoch),
                };
                let answer = match partition {
                    Ok(leader) => fetched(leader, asked, &mut room),
                    Err(code) => unfetched(asked.partition, code),
                };
                idle &= answer.error_code == error::NONE && answer.records.as_ref().is_none_or(Vec::is_empty);
                partitions.push(answer);
            }
            response.topics.push(fetch::ResponseTopic { topic: name, topic_id: topic.topic_id, partitions });
        }
        reshape(
            &mut response.topics,
            effects,
            |topic| topic.topic.clone(),
            |topic| &mut topic.partitions,
            |partition| partition.partition_index,
        );
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let waits = idle && request.min_bytes > 0;
        (response, if waits { wait_ms } else { 0 })
    }

    /// The partition, if this broker leads it and the client's leader epoch is right (KIP-320; -1 is "do not check").
    fn led(&self, origin: Origin, topic: &str, index: i32, current_leader_epoch: i32) -> Result<&Replica, i16> {
        let topic = self.topic_known(origin.broker, topic);
        let place = topic.and_then(|topic| self.place_known(origin.broker, topic, index));
        let partition = place.and_then(|place| self.partition_at(place)).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION)?;
        let replica = partition.replica(origin.broker).filter(|replica| replica.leadership().is_some());
        let replica = replica.ok_or(error::NOT_LEADER_OR_FOLLOWER)?;
        if current_leader_epoch == -1 || current_leader_epoch == replica.epoch {
            Ok(replica)
        } else if current_leader_epoch < replica.epoch {
            Err(error::FENCED_LEADER_EPOCH)
        } else {
            Err(error::UNKNOWN_LEADER_EPOCH)
        }
    }

    pub(super) fn list_offsets(
        &self,
        origin: Origin,
        request: &list_offsets::Request<'_>,
        effects: &Effects,
    ) -> list_offsets::Response {
        let answer = |topic: &str, asked: &list_offsets::RequestPartition| {
            let index = asked.partition_index;
            let partition = match scripted_error(effects, topic, index) {
                Some(code) => Err(code),
                None => self.led(origin, topic, index, asked.current_leader_epoch),
            };
            let mut answer = list_offsets::ResponsePartition {
                partition_index: index,
                error_code: error::NONE,
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
            };
            match partition {
                Ok(leader) => {
                    (answer.offset, answer.timestamp) = found(leader, asked.timestamp);
                    if answer.offset >= 0 {
                        answer.leader_epoch = leader.epoch;
                    }
                }
                Err(code) => answer.error_code = code,
            }
            answer
        };
        let topics = request
            .topics
            .iter()
            .map(|topic| list_offsets::ResponseTopic {
                name: topic.name.to_owned(),
                partitions: topic.partitions.iter().map(|asked| answer(topic.name, asked)).collect(),
            })
            .collect();
        list_offsets::Response { throttle_time_ms: effects.throttle_time_ms(), topics }
    }
}

fn scripted_error(effects: &Effects, topic: &str, partition: i32) -> Option<i16> {
    effects.at(topic, Some(partition)).find_map(|action| match action {
        Action::Error(code) => Some(*code),
        _ => None,
    })
}

fn unfetched(partition_index: i32, error_code: i16) -> fetch::ResponsePartition {
    fetch::ResponsePartition {
        partition_index,
        error_code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        records: Some(Vec::new()),
    }
}

fn fetched(leader: &Replica, asked: &fetch::RequestPartition, room: &mut usize) -> fetch::ResponsePartition {
    let log = &leader.log;
    if asked.fetch_offset < log.start_offset() || asked.fetch_offset > log.end_offset() {
        return unfetched(asked.partition, error::OFFSET_OUT_OF_RANGE);
    }
    let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0);
    let mut records = Vec::new();
    // Consumers see what is committed.
    let committed = |batch: &&StoredBatch| batch.last_offset() < leader.high_watermark;
    for batch in log.batches_from(asked.fetch_offset).take_while(committed) {
        let size = batch.bytes.len();
        // The first batch of an answer comes whole even if it is too large, so that a consumer always gets on (KIP-74).
        let fits = records.len() + size <= limit && size <= *room;
        let first = records.is_empty() && *room > 0;
        if !fits && !first {
            break;
        }
        *room = room.saturating_sub(size);
        records.extend_from_slice(&batch.bytes);
    }
    fetch::ResponsePartition {
        partition_index: asked.partition,
        error_code: error::NONE,
        high_watermark: leader.high_watermark,
        last_stable_offset: leader.high_watermark,
        log_start_offset: log.start_offset(),
        preferred_read_replica: -1,
        records: Some(records),
    }
}

/// Offset and timestamp for what ListOffsets asks; -1 for both if there is none.
fn found(leader: &Replica, asked: i64) -> (i64, i64) {
    let log = &leader.log;
    match asked {
        list_offsets::LATEST => return (leader.high_watermark, -1),
        list_offsets::EARLIEST => return (log.start_offset(), -1),
        _ => {}
    }
    let newest = log.batches_from(0).map(|batch| batch.header.max_timestamp).max();
    let wanted = if asked == list_offsets::MAX_TIMESTAMP { newest.unwrap_or(i64::MAX) } else { asked };
    for batch in log.batches_from(0) {
        if batch.header.max_timestamp < wanted {
            continue;
        }
        let mut first = None;
        // What does not decode was never appended.
        let _ = decode_records(&batch.header, &batch.bytes, |record| {
            if first.is_none() && record.timestamp >= wanted {
                first = Some((record.offset, record.timestamp));
            }
        });
        if let Some(first) = first {
            return first;
        }
    }
    (-1, -1)
}
