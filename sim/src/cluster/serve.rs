//! From the bytes of a connection to requests, and from answers back to bytes.

use super::produce::Produced;
use super::purgatory::Envelope;
use super::{Cluster, ConnectionId};
use crate::error;
use crate::fault::{Action, Effects, Sighting};
use crate::history::{SeenBatch, SeenRequest};
use crate::protocol::{
    Api, RequestHeader, api_versions, fetch, find_coordinator, finish, init_producer_id, list_offsets, metadata,
    produce, response,
};
use crate::wire::{Decoded, Reader, Uuid, Writer};

/// A decoded request.
enum Request<'a> {
    Produce(produce::Request<'a>),
    Fetch(fetch::Request<'a>),
    ListOffsets(list_offsets::Request<'a>),
    Metadata(metadata::Request<'a>),
    FindCoordinator(find_coordinator::Request<'a>),
    ApiVersions(api_versions::Request<'a>),
    InitProducerId(init_producer_id::Request<'a>),
}

/// What a broker makes of a request.
enum Handled {
    /// The answer, and how long the broker waits before it gives it.
    Answer(Writer, u64),
    /// The answer comes when the replicas have everything; a place is kept for it.
    Later(u64),
    /// acks=0: no answer.
    Silent,
    /// The broker closes the connection.
    Close,
}

/// Where a request came from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) now_ms: u64,
    pub(super) connection: ConnectionId,
    pub(super) broker: i32,
    pub(super) version: i16,
}

impl<'a> Request<'a> {
    fn decode(api: Api, r: &mut Reader<'a>, version: i16) -> Decoded<Self> {
        Ok(match api {
            Api::Produce => Self::Produce(produce::Request::decode(r, version)?),
            Api::Fetch => Self::Fetch(fetch::Request::decode(r, version)?),
            Api::ListOffsets => Self::ListOffsets(list_offsets::Request::decode(r, version)?),
            Api::Metadata => Self::Metadata(metadata::Request::decode(r, version)?),
            Api::FindCoordinator => Self::FindCoordinator(find_coordinator::Request::decode(r, version)?),
            Api::ApiVersions => Self::ApiVersions(api_versions::Request::decode(r, version)?),
            Api::InitProducerId => Self::InitProducerId(init_producer_id::Request::decode(r, version)?),
        })
    }
}

impl Cluster {
    /// Processes the whole frames at the front of `bytes`; returns how many bytes they are.
    pub(super) fn process(&mut self, now_ms: u64, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let Some(connection) = self.connections.get_mut(&id) else {
                return bytes.len();
            };
            if connection.muted_until_ms <= now_ms {
                connection.muted_until_ms = 0;
            }
            let must_wait = !self.options.pipelined && connection.is_busy(now_ms);
            let paused = self.brokers.get(&connection.broker).is_some_and(|broker| broker.paused);
            if connection.is_closing() || must_wait || paused || connection.muted_until_ms > 0 {
                return used;
            }
            let Some((size, rest)) = bytes[used..].split_first_chunk::<4>() else {
                return used;
            };
            let size = i32::from_be_bytes(*size);
            let Some(size) = usize::try_from(size).ok().filter(|size| *size <= self.options.max_request_bytes) else {
                connection.close(now_ms);
                return used;
            };
            let Some(frame) = rest.get(..size) else {
                return used;
            };
            let broker = connection.broker;
            used += 4 + size;
            // A frame that cannot be read has no answer: the broker closes.
            if self.serve(now_ms, id, broker, frame).is_err() {
                self.close(now_ms, id);
            }
        }
    }

    fn close(&mut self, now_ms: u64, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.close(now_ms);
        }
    }

    fn serve(&mut self, now_ms: u64, id: ConnectionId, broker: i32, frame: &[u8]) -> Decoded<()> {
        let prefix = RequestHeader::prefix(frame)?;
        let Some(api) = Api::from_key(prefix.api_key) else {
            self.close(now_ms, id);
            return Ok(());
        };
        let served = self.brokers[&broker].versions.serves(api, prefix.api_version);
        if !served && api == Api::ApiVersions {
            // KIP-511: the only API whose unknown versions get an answer, in the layout of version 0.
            let effects = self.strike(now_ms, broker, api, prefix.api_version, None);
            self.note(now_ms, id, broker, &prefix, frame.len(), (0, Vec::new()));
            let answer = self.unsupported_api_versions(broker, prefix.correlation_id, None);
            self.deliver(now_ms, id, &effects, Handled::Answer(answer, 0));
            return Ok(());
        }
        if !served {
            self.close(now_ms, id);
            return Ok(());
        }
        let (header, mut body) = RequestHeader::decode(frame, api)?;
        let request = Request::decode(api, &mut body, header.api_version)?;
        let effects = self.strike(now_ms, broker, api, header.api_version, Some(&request));
        let mut batches = Vec::new();
        let acks = match &request {
            Request::Produce(request) => request.acks,
            _ => 0,
        };
        let stopped = effects.has(&Action::CloseBefore) || effects.has(&Action::Ignore);
        let handled = if stopped {
            Handled::Silent
        } else {
            let origin = Origin { now_ms, connection: id, broker, version: header.api_version };
            self.handle(origin, &header, &request, &effects, (frame.len(), &mut batches))
        };
        self.note(now_ms, id, broker, &header, frame.len(), (acks, batches));
        self.deliver(now_ms, id, &effects, handled);
        Ok(())
    }

    fn note(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        broker: i32,
        header: &RequestHeader<'_>,
        bytes: usize,
        (acks, batches): (i16, Vec<SeenBatch>),
    ) {
        if !self.options.keep_history {
            return;
        }
        self.history.push(SeenRequest {
            now_ms,
            broker,
            connection,
            api_key: header.api_key,
            api_version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.map(str::to_owned),
            bytes,
            acks,
            batches,
        });
    }

    /// Asks the script what goes wrong with a request.
    fn strike(&mut self, now_ms: u64, broker: i32, api: Api, version: i16, request: Option<&Request<'_>>) -> Effects {
        if self.faults.is_empty() {
            return Effects::default();
        }
        let targets = request.map_or_else(Vec::new, |request| self.targets(broker, request));
        self.faults.strike(&Sighting { now_ms, api, broker, version, targets })
    }

    fn targets(&self, broker: i32, request: &Request<'_>) -> Vec<(String, Option<i32>)> {
        let mut targets = Vec::new();
        match request {
            Request::Produce(request) => {
                for topic in &request.topics {
                    let name = self.topic_name(broker, topic.name, &topic.topic_id);
                    let indices = topic.partitions.iter().map(|p| Some(p.index));
                    targets.extend(indices.map(|index| (name.clone(), index)));
                }
            }
            Request::Fetch(request) => {
                for topic in &request.topics {
                    let name = self.topic_name(broker, topic.topic, &topic.topic_id);
                    let indices = topic.partitions.iter().map(|p| Some(p.partition));
                    targets.extend(indices.map(|index| (name.clone(), index)));
                }
            }
            Request::ListOffsets(request) => {
                for topic in &request.topics {
                    let indices = topic.partitions.iter().map(|p| Some(p.partition_index));
                    targets.extend(indices.map(|index| (topic.name.to_owned(), index)));
                }
            }
            Request::Metadata(request) => match &request.topics {
                Some(topics) => targets.extend(topics.iter().map(|topic| {
                    let name = topic.name.unwrap_or_default();
                    (self.topic_name(broker, name, &topic.topic_id), None)
                })),
                None => targets.extend(self.topic_numbers.keys().map(|name| (name.clone(), None))),
            },
            _ => {}
        }
        targets
    }

    /// The name in a request, or the one that belongs to the id; empty if there is none.
    pub(super) fn topic_name(&self, broker: i32, name: &str, id: &Uuid) -> String {
        if !name.is_empty() {
            return name.to_owned();
        }
        self.topic_known_by_id(broker, id).map(|number| self.topics[&number].name.clone()).unwrap_or_default()
    }

    fn handle(
        &mut self,
        origin: Origin,
        header: &RequestHeader<'_>,
        request: &Request<'_>,
        effects: &Effects,
        (bytes, batches): (usize, &mut Vec<SeenBatch>),
    ) -> Handled {
        let version = origin.version;
        let answer = |api: Api| response(api, version, header.correlation_id);
        match request {
            Request::Produce(request) => {
                let throttle_ms = self.throttle(origin, header.client_id, bytes);
                let mut produced = self.produce(origin, request, effects, batches);
                produced.response.throttle_time_ms =
                    produced.response.throttle_time_ms.max(i32::try_from(throttle_ms).unwrap_or(i32::MAX));
                if request.acks == 0 && !effects.has(&Action::AnswerAcksZero) {
                    // The only sign of a failure that a client with acks=0 gets is a closed connection.
                    return if produced.failed { Handled::Close } else { Handled::Silent };
                }
                self.answer_produce(origin, header, request.timeout_ms, produced, (effects, throttle_ms))
            }
            Request::Fetch(request) => {
                let (fetched, wait_ms) = self.fetch(origin, request, effects);
                let mut w = answer(Api::Fetch);
                fetched.encode(&mut w, version);
                Handled::Answer(w, wait_ms)
            }
            Request::ListOffsets(request) => {
                let mut w = answer(Api::ListOffsets);
                self.list_offsets(origin, request, effects).encode(&mut w, version);
                Handled::Answer(w, 0)
            }
            Request::Metadata(request) => {
                let mut w = answer(Api::Metadata);
                self.metadata(origin, request, effects).encode(&mut w, version);
                Handled::Answer(w, 0)
            }
            Request::FindCoordinator(request) => {
                let mut w = answer(Api::FindCoordinator);
                no_coordinator(request, effects).encode(&mut w, version);
                Handled::Answer(w, 0)
            }
            Request::ApiVersions(request) => {
                let unsupported = effects.all().find_map(|action| match action {
                    Action::UnsupportedVersion { max } => Some(*max),
                    _ => None,
                });
                if let Some(max) = unsupported {
                    let id = header.correlation_id;
                    let w = self.unsupported_api_versions(origin.broker, id, Some(max));
                    return Handled::Answer(w, 0);
                }
                let mut w = answer(Api::ApiVersions);
                self.api_versions(origin, request, effects).encode(&mut w, version);
                Handled::Answer(w, 0)
            }
            Request::InitProducerId(request) => {
                let mut w = answer(Api::InitProducerId);
                self.init_producer_id(request, effects).encode(&mut w);
                Handled::Answer(w, 0)
            }
        }
    }

    /// Books a produce request with the quota; how long the client is throttled. Its connection is not read for so long.
    fn throttle(&mut self, origin: Origin, client_id: Option<&str>, bytes: usize) -> u64 {
        let Some(rate) = self.options.producer_byte_rate else { return 0 };
        let throttle_ms = self.quotas.book(origin.now_ms, origin.broker, client_id.unwrap_or_default(), bytes, rate);
        if throttle_ms > 0
            && let Some(connection) = self.connections.get_mut(&origin.connection)
        {
            connection.muted_until_ms = origin.now_ms.saturating_add(throttle_ms);
        }
        throttle_ms
    }

    /// Answers a produce request: now, when the disk is done, or when the replicas have everything.
    fn answer_produce(
        &mut self,
        origin: Origin,
        header: &RequestHeader<'_>,
        timeout_ms: i32,
        mut produced: Produced,
        (effects, throttle_ms): (&Effects, u64),
    ) -> Handled {
        // Newer clients are told at once and wait by themselves; for older ones the answer is held back (KIP-219).
        let held_ms = if origin.version >= 6 { 0 } else { throttle_ms };
        let throttled_until_ms = origin.now_ms.saturating_add(held_ms);
        let unanswered = effects.has(&Action::CloseAfter) || effects.has(&Action::NoAnswer);
        if !produced.open.is_empty() && !unanswered {
            let envelope = Envelope {
                broker: origin.broker,
                connection: origin.connection,
                version: origin.version,
                correlation_id: header.correlation_id,
                effects: effects.clone(),
                throttled_until_ms,
            };
            return Handled::Later(self.wait_for_replicas(produced, envelope, timeout_ms));
        }
        self.finish_produce(origin.broker, &mut produced.response, effects);
        let mut w = response(Api::Produce, origin.version, header.correlation_id);
        produced.response.encode(&mut w, origin.version);
        Handled::Answer(w, produced.stored_ms.max(throttled_until_ms).saturating_sub(origin.now_ms))
    }

    /// Fills the place that was kept for an answer.
    pub(super) fn answer_late(&mut self, number: u64, envelope: Envelope, mut produced: Produced) {
        let Envelope { broker, connection, version, correlation_id, effects, throttled_until_ms } = envelope;
        self.finish_produce(broker, &mut produced.response, &effects);
        let mut w = response(Api::Produce, version, correlation_id);
        produced.response.encode(&mut w, version);
        let framed = framed(w, &effects);
        let due_ms = self.now_ms.max(produced.stored_ms).max(throttled_until_ms).saturating_add(framed.delay_ms);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.fill_place(number, due_ms, framed.bytes, framed.cut);
        }
    }

    /// The answer to a version of ApiVersions that is not supported. `forced` overrides the broker's own entry.
    fn unsupported_api_versions(&self, broker: i32, correlation_id: i32, forced: Option<Option<i16>>) -> Writer {
        let versions = &self.brokers[&broker].versions;
        let key = Api::ApiVersions.key();
        let own = versions.range(Api::ApiVersions).filter(|_| !versions.empty_unsupported_answer);
        let entry = match forced {
            Some(max) => max.map(|max| (0, max)),
            None => own,
        };
        let answer = api_versions::Response {
            error_code: error::UNSUPPORTED_VERSION,
            api_keys: entry
                .map(|(min_version, max_version)| api_versions::ApiKey { api_key: key, min_version, max_version })
                .into_iter()
                .collect(),
            ..api_versions::Response::default()
        };
        let mut w = response(Api::ApiVersions, 0, correlation_id);
        answer.encode(&mut w, 0);
        w
    }

    /// Puts an answer on its way, as far as the faults let it.
    fn deliver(&mut self, now_ms: u64, id: ConnectionId, effects: &Effects, handled: Handled) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if effects.has(&Action::CloseBefore) || effects.has(&Action::CloseAfter) {
            connection.close(now_ms);
            return;
        }
        if effects.has(&Action::Ignore) || effects.has(&Action::NoAnswer) {
            connection.never_answer();
            return;
        }
        let (writer, wait_ms) = match handled {
            Handled::Answer(writer, wait_ms) => (writer, wait_ms),
            Handled::Later(number) => return connection.keep_place(number),
            Handled::Silent => return,
            Handled::Close => {
                connection.close(now_ms);
                return;
            }
        };
        let framed = framed(writer, effects);
        connection.answer(now_ms, wait_ms.saturating_add(framed.delay_ms), framed.bytes);
        if framed.cut {
            connection.close(now_ms);
        }
    }

    fn api_versions(
        &self,
        origin: Origin,
        request: &api_versions::Request<'_>,
        effects: &Effects,
    ) -> api_versions::Response {
        let mut answer = api_versions::Response {
            throttle_time_ms: effects.throttle_time_ms(),
            ..api_versions::Response::default()
        };
        let named = is_software_name(request.client_software_name) && is_software_name(request.client_software_version);
        let elsewhere = request.cluster_id.is_some_and(|id| id != self.cluster_id)
            || request.node_id >= 0 && request.node_id != origin.broker;
        answer.error_code = if let Some(code) = effects.error() {
            code
        } else if origin.version >= 3 && !named || request.cluster_id.is_some() != (request.node_id >= 0) {
            error::INVALID_REQUEST
        } else if elsewhere {
            // KIP-1242: the client thinks it talks to somebody else.
            error::REBOOTSTRAP_REQUIRED
        } else {
            error::NONE
        };
        if answer.error_code != error::NONE {
            return answer;
        }
        let versions = &self.brokers[&origin.broker].versions;
        answer.api_keys = versions
            .ranges
            .iter()
            .map(|(&api_key, &(min_version, max_version))| api_versions::ApiKey { api_key, min_version, max_version })
            .collect();
        let feature = |min, max| api_versions::Feature { name: "transaction.version".to_owned(), min, max };
        let level = versions.transaction_version;
        if level > 0 {
            // Version 3 cannot carry a feature whose lowest version is 0 (KAFKA-17011).
            if origin.version >= 4 {
                answer.supported_features.push(feature(0, level));
            }
            answer.finalized_features_epoch = 1;
            answer.finalized_features.push(feature(level, level));
        }
        answer
    }

    fn init_producer_id(
        &mut self,
        request: &init_producer_id::Request<'_>,
        effects: &Effects,
    ) -> init_producer_id::Response {
        let error_code = effects
            .error()
            .unwrap_or_else(|| if request.transactional_id.is_some() { error::NOT_COORDINATOR } else { error::NONE });
        let mut answer = init_producer_id::Response {
            throttle_time_ms: effects.throttle_time_ms(),
            error_code,
            producer_id: -1,
            producer_epoch: -1,
        };
        if error_code == error::NONE {
            // Without a transactional id a broker ignores the id and epoch of KIP-360 and hands out a new id.
            answer.producer_id = self.next_producer_id;
            let scripted = effects.all().find_map(|action| match action {
                Action::ProducerEpoch(epoch) => Some(*epoch),
                _ => None,
            });
            answer.producer_epoch = scripted.unwrap_or(0);
            self.next_producer_id += 1;
        }
        answer
    }
}

/// An answer as it goes out.
struct Framed {
    bytes: Vec<u8>,
    delay_ms: u64,
    /// Whether it is cut off, so that the connection ends with it.
    cut: bool,
}

/// Applies the faults that change an answer's bytes.
fn framed(writer: Writer, effects: &Effects) -> Framed {
    let mut frame = writer;
    let mut delay_ms = 0u64;
    let mut correlation_id = None;
    let mut garbage = None;
    let mut cut = None;
    for action in effects.all() {
        match action {
            Action::TrailingBytes(bytes) => frame.raw(bytes),
            Action::CorrelationId(id) => correlation_id = Some(*id),
            Action::Garbage(bytes) => garbage = Some(bytes.clone()),
            Action::CloseAfterBytes(n) => cut = Some(*n),
            Action::Delay(ms) => delay_ms = delay_ms.saturating_add(*ms),
            _ => {}
        }
    }
    let mut bytes = finish(frame);
    if let Some(correlation_id) = correlation_id {
        bytes[4..8].copy_from_slice(&i32::to_be_bytes(correlation_id));
    }
    let mut bytes = garbage.unwrap_or(bytes);
    bytes.truncate(cut.unwrap_or(usize::MAX));
    Framed { bytes, delay_ms, cut: cut.is_some() }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`, as KIP-511 demands of software names and versions.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn no_coordinator(request: &find_coordinator::Request<'_>, effects: &Effects) -> find_coordinator::Response {
    let error_code = effects.error().unwrap_or(error::COORDINATOR_NOT_AVAILABLE);
    let coordinators = request
        .keys
        .iter()
        .map(|key| find_coordinator::Coordinator {
            key: (*key).to_owned(),
            node_id: -1,
            host: String::new(),
            port: -1,
            error_code,
            error_message: None,
        })
        .collect();
    find_coordinator::Response { throttle_time_ms: effects.throttle_time_ms(), coordinators }
}

/// Applies the faults that reorder, drop or double parts of an answer.
pub(super) fn reshape<T: Clone, P: Clone>(
    topics: &mut Vec<T>,
    effects: &Effects,
    name: impl Fn(&T) -> String,
    partitions: impl Fn(&mut T) -> &mut Vec<P>,
    index: impl Fn(&P) -> i32,
) {
    if effects.is_empty() {
        return;
    }
    for mut topic in std::mem::take(topics) {
        let name = name(&topic);
        let has = |wanted: &Action| effects.at(&name, None).any(|action| action == wanted);
        if has(&Action::DropTopic) {
            continue;
        }
        let list = partitions(&mut topic);
        list.retain(|partition| {
            !effects.at(&name, Some(index(partition))).any(|action| *action == Action::DropPartition)
        });
        if has(&Action::DuplicatePartitions) {
            *list = list.iter().flat_map(|p| [p.clone(), p.clone()]).collect();
        }
        if has(&Action::ReversePartitions) {
            list.reverse();
        }
        if has(&Action::DuplicateTopic) {
            topics.push(topic.clone());
        }
        topics.push(topic);
    }
    if effects.has(&Action::ReverseTopics) {
        topics.reverse();
    }
}
