//! Bytes from a peer: frames, whose answer they are, and what follows from them.

use crate::error::{ErrorCode, PeerError};
use crate::protocol::decode::{DEFAULT_MAX_FRAME, Decoder, Progress, Sink};
use crate::protocol::{ApiKey, ApiRange, api_versions, init_producer_id, negotiate};
use crate::sender::response::ProduceSink;
use crate::state::State;
use crate::state::batch::InState;
use crate::state::connection::{ConnectionState, InFlight};
use crate::state::list::List;
use crate::state::partition::NONE;
use crate::state::reading::{ProduceResponse, Versions, VersionsRead};

use super::transmit::PRODUCE_BY_ID;
use crate::cluster::metadata::MetadataSink;

/// The first version that tells topic ids (KIP-516).
const METADATA_WITH_IDS: i16 = 10;

impl State<'_> {
    /// Consumes all of `bytes`.
    pub(crate) fn receive(&mut self, slot: u16, mut bytes: &[u8]) -> Result<(), PeerError> {
        self.stats.bytes_in = self.stats.bytes_in.wrapping_add(bytes.len() as u64);
        self.measure_in(slot, bytes.len());
        if !self.connections.at(slot.into()).is_open() {
            return Ok(()); // late bytes of a connection that is being closed
        }
        let generation = self.connections.at(slot.into()).generation;
        // The decoder is out of the slot while it runs: its sink changes the slot.
        let idle = Decoder::new(DEFAULT_MAX_FRAME);
        let mut decoder = core::mem::replace(&mut self.connections.at_mut(slot.into()).decoder, idle);
        let result = self.read(slot, &mut decoder, &mut bytes);
        let connection = self.connections.at_mut(slot.into());
        if connection.generation == generation && connection.is_open() {
            connection.decoder = decoder;
        }
        if let Err(error) = result {
            return Err(self.protocol_error(slot, error));
        }
        Ok(())
    }

    fn read(&mut self, slot: u16, decoder: &mut Decoder, bytes: &mut &[u8]) -> Result<(), PeerError> {
        loop {
            let api = self.connections.at(slot.into()).oldest().map(|request| request.api);
            let progress = match api {
                Some(ApiKey::Produce) => decoder.advance(bytes, &mut ProduceSink { state: self, connection: slot }),
                Some(ApiKey::Metadata) => decoder.advance(bytes, &mut MetadataSink { state: self }),
                Some(ApiKey::ApiVersions) => {
                    decoder.advance(bytes, &mut VersionsSink { state: self, connection: slot })
                }
                Some(ApiKey::InitProducerId) => {
                    decoder.advance(bytes, &mut ProducerIdSink { state: self, connection: slot })
                }
                None => decoder.advance(bytes, &mut ()),
            };
            match progress.map_err(|_| PeerError::Malformed)? {
                Progress::NeedMore => return Ok(()),
                Progress::Header { correlation_id } => self.begin_response(slot, decoder, correlation_id)?,
                Progress::Frame => self.end_response(slot)?,
            }
            if !self.connections.at(slot.into()).is_open() {
                return Ok(()); // what was read ended this connection
            }
        }
    }

    /// Answers come in the order of the requests; anything else is a protocol error.
    fn begin_response(&mut self, slot: u16, decoder: &mut Decoder, correlation_id: i32) -> Result<(), PeerError> {
        let acks0 = !self.expects_answers();
        let connection = self.connections.at_mut(slot.into());
        connection.produce = ProduceResponse::new();
        match connection.oldest() {
            Some(request) if request.correlation_id == correlation_id && request.written => {
                let (api, version) = (request.api, request.version.into());
                decoder.begin(api, version);
                if api == ApiKey::Metadata {
                    self.begin_metadata(version);
                }
                Ok(())
            }
            // Some servers answer Produce requests with acks=0 all the same (PITFALLS 45).
            _ if acks0 && connection.served > 0 => {
                connection.skipping = true;
                decoder.skip_frame();
                Ok(())
            }
            _ => Err(PeerError::Unexpected),
        }
    }

    /// A response was read to its end.
    fn end_response(&mut self, slot: u16) -> Result<(), PeerError> {
        let connection = self.connections.at_mut(slot.into());
        if core::mem::take(&mut connection.skipping) {
            return Ok(());
        }
        let Some(request) = connection.pop_oldest() else { return Err(PeerError::Unexpected) };
        self.measure_response(slot, &request);
        match request.api {
            ApiKey::Produce => self.end_produce(slot, &request)?,
            ApiKey::Metadata => {
                let throttle_ms = self.cluster.reading.throttle_ms;
                self.throttle(slot, throttle_ms);
                self.metadata_answered();
            }
            ApiKey::ApiVersions => self.end_api_versions(slot, &request)?,
            ApiKey::InitProducerId => self.end_producer_id(slot),
        }
        self.after_response(slot);
        Ok(())
    }

    fn after_response(&mut self, slot: u16) {
        let now = self.now;
        let connection = self.connections.at_mut(slot.into());
        connection.last_used = now;
        if !connection.is_open() {
            return;
        }
        self.pursue_metadata();
        self.pursue_producer_id();
        self.end_if_drained();
        if !self.connections.at(slot.into()).is_open() {
            return;
        }
        self.set_connection_timer(slot);
        self.close_if_done(slot);
        let broker = self.broker_of(slot);
        if broker != NONE && !self.brokers.at(broker.into()).ready.is_empty() {
            self.kick_broker(broker);
        }
        let connection = self.connections.at(slot.into());
        if connection.wants_metadata || connection.wants_producer_id || connection.wants_api_versions {
            self.mark_writable(slot);
        }
    }

    /// A partition without an answer, or one that nobody asked for, breaks the protocol: what was not
    /// answered is retried as after a disconnect (PRODUCER d.4).
    fn end_produce(&mut self, slot: u16, request: &InFlight) -> Result<(), PeerError> {
        let latency = self.now.micros_since(request.formed_at);
        self.stats.request_latency_us = self.stats.request_latency_us.wrapping_add(latency);
        self.stats.request_latency_us_max = self.stats.request_latency_us_max.max(latency);
        self.stats.request_latency_count = self.stats.request_latency_count.wrapping_add(1);
        let reading = &self.connections.at(slot.into()).produce;
        let (throttle_ms, mismatch) = (reading.throttle_ms, reading.mismatch);
        self.throttle(slot, throttle_ms);
        if request.batches.is_empty() && !mismatch {
            return Ok(());
        }
        let mut unanswered: List<InState> = request.batches;
        while let Some(batch) = unanswered.pop_front(&mut self.batches) {
            self.lost(batch, ErrorCode::NETWORK_EXCEPTION, true);
        }
        Err(PeerError::Mismatch)
    }

    /// Versions are agreed per connection: brokers differ during a rolling upgrade.
    fn end_api_versions(&mut self, slot: u16, request: &InFlight) -> Result<(), PeerError> {
        let connection = self.connections.at_mut(slot.into());
        let reading = connection.versions_read;
        let throttle_ms = reading.throttle_ms;
        match reading.error {
            ErrorCode::NONE => {}
            ErrorCode::UNSUPPORTED_VERSION if request.version > 0 => {
                // KIP-511: ask again at what the broker knows, or at 0 (PRODUCER e.2).
                connection.api_versions = reading.api_versions_max.min((request.version as i8).wrapping_sub(1)).max(0);
                connection.versions_read = VersionsRead::new();
                connection.wants_api_versions = true;
                self.mark_writable(slot);
                return Ok(());
            }
            ErrorCode::REBOOTSTRAP_REQUIRED => {
                self.rebootstrap();
                return Ok(());
            }
            _ => return Err(PeerError::UnsupportedVersion),
        }
        let idempotent = self.config.enable_idempotence;
        let versions = reading.versions;
        let missing = |version: i8| version == Versions::NONE;
        // Azure Event Hubs offers what takes ids without giving any, but also what takes names.
        let nameless = reading.ids_only && i16::from(versions.metadata) < METADATA_WITH_IDS;
        if missing(versions.produce)
            || missing(versions.metadata)
            || nameless
            || (idempotent && missing(versions.init_producer_id))
        {
            return Err(PeerError::UnsupportedVersion);
        }
        let connection = self.connections.at_mut(slot.into());
        connection.versions = versions;
        if connection.state == ConnectionState::Negotiating {
            if request.version >= 2 {
                self.throttle(slot, throttle_ms);
            }
            self.became_ready(slot);
        }
        Ok(())
    }

    fn end_producer_id(&mut self, slot: u16) {
        let read = self.connections.at(slot.into()).producer_id_read;
        self.throttle(slot, read.throttle_ms);
        self.producer_id_answered(read.error, read.producer_id, read.epoch);
    }
}

struct VersionsSink<'s, 'a> {
    state: &'s mut State<'a>,
    connection: u16,
}

impl Sink for VersionsSink<'_, '_> {
    fn int(&mut self, field: u8, value: i64) {
        use api_versions::field;
        let read = &mut self.state.connections.at_mut(self.connection.into()).versions_read;
        match field {
            field::ERROR => {
                *read = VersionsRead::new();
                read.error = ErrorCode::from(value as i16);
            }
            field::API_KEY => read.key = value as i16,
            field::API_MIN => read.min = value as i16,
            field::API_MAX => {
                let max = value as i16;
                let Some(api) = ApiKey::from_key(read.key) else { return };
                let version =
                    negotiate(api.ours(), ApiRange { min: read.min, max }).map_or(Versions::NONE, |v| v as i8);
                match api {
                    ApiKey::Produce => {
                        read.versions.produce = version;
                        read.ids_only = read.min >= PRODUCE_BY_ID;
                    }
                    ApiKey::Metadata => read.versions.metadata = version,
                    ApiKey::InitProducerId => read.versions.init_producer_id = version,
                    ApiKey::ApiVersions => read.api_versions_max = max.clamp(0, i8::MAX.into()) as i8,
                }
            }
            field::THROTTLE => read.throttle_ms = u32::try_from(value).unwrap_or(0),
            _ => {}
        }
    }
}

struct ProducerIdSink<'s, 'a> {
    state: &'s mut State<'a>,
    connection: u16,
}

impl Sink for ProducerIdSink<'_, '_> {
    fn int(&mut self, field: u8, value: i64) {
        use init_producer_id::field;
        let read = &mut self.state.connections.at_mut(self.connection.into()).producer_id_read;
        match field {
            field::THROTTLE => read.throttle_ms = u32::try_from(value).unwrap_or(0),
            field::ERROR => read.error = ErrorCode::from(value as i16),
            field::PRODUCER_ID => read.producer_id = value,
            field::PRODUCER_EPOCH => read.epoch = value as i16,
            _ => {}
        }
    }
}
