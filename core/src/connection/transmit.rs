//! Forming requests at the last moment, and giving out their bytes.
//!
//! A request is formed when the transport asks for bytes and the previous one is written, so nothing
//! half-written is ever behind another, and what arrived meanwhile still goes along.

use crate::Instant;
use crate::event::Transmit;
use crate::protocol::write::Writer;
use crate::protocol::{
    ApiKey, api_versions, init_producer_id, metadata, produce, request_header_size, write_request_header,
};
use crate::sender::drain::Drained;
use crate::state::State;
use crate::state::batch::InState;
use crate::state::connection::{ConnectionState, InFlight};
use crate::state::list::{List, NIL};
use crate::state::outgoing::{Outgoing, Piece};
use crate::state::partition::NONE;
use crate::state::slots::Slab;

/// The first version that names topics by id alone.
pub(crate) const PRODUCE_BY_ID: i16 = 13;

impl State<'_> {
    /// Makes sure that the connection has a request on its way if there is one to send.
    pub(crate) fn ensure_request(&mut self, slot: u16) -> bool {
        let connection = self.connections.at(slot.into());
        if !connection.is_open() {
            return false;
        }
        if !connection.outgoing.is_idle() {
            return true;
        }
        self.form_control(slot) || (self.may_produce(slot) && self.form_produce(slot))
    }

    /// Control requests go first: nothing flows without them.
    fn form_control(&mut self, slot: u16) -> bool {
        let connection = self.connections.at_mut(slot.into());
        if core::mem::take(&mut connection.wants_api_versions) {
            let version = connection.api_versions.into();
            return self.form_small(slot, ApiKey::ApiVersions, version, |w, _| api_versions::write_request(w, version));
        }
        let full = connection.in_flight_count >= self.config.max_in_flight_requests_per_connection;
        if connection.state != ConnectionState::Ready || full || connection.throttled_until > self.now {
            return false;
        }
        let versions = connection.versions;
        if core::mem::take(&mut connection.wants_metadata) {
            return self.form_metadata(slot, versions.metadata.into());
        }
        if core::mem::take(&mut connection.wants_producer_id) {
            let version = versions.init_producer_id.into();
            return self.form_small(slot, ApiKey::InitProducerId, version, |w, _| {
                init_producer_id::write_request(w, version, None, init_producer_id::NO_TIMEOUT, (-1, -1));
            });
        }
        false
    }

    /// Forms a request that fits the scratch whole.
    fn form_small(&mut self, slot: u16, api: ApiKey, version: i16, body: impl FnOnce(&mut Writer<'_>, &Self)) -> bool {
        let correlation_id = self.net.next_correlation();
        let mut scratch = core::mem::replace(&mut self.scratch, Slab::empty());
        let mut w = Writer::new(scratch.get_mut(slot.into()));
        w.begin_frame();
        write_request_header(&mut w, api, version, correlation_id, self.config.client_id.as_str());
        body(&mut w, self);
        let len = w.end_frame().unwrap_or(0);
        self.scratch = scratch;
        self.begin_request(slot, api, version, correlation_id, Outgoing::begin(len, version, NIL), None);
        self.measure_request(slot, len);
        true
    }

    fn begin_request(
        &mut self,
        slot: u16,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        outgoing: Outgoing,
        drained: Option<Drained>,
    ) {
        let now = self.now;
        self.stats.requests = self.stats.requests.wrapping_add(1);
        let (request, batches) = drained.map_or((0, List::new()), |drained| (drained.request, drained.batches));
        let connection = self.connections.at_mut(slot.into());
        connection.outgoing = outgoing;
        connection.last_used = now;
        connection.push_in_flight(InFlight {
            api,
            version: version as u8,
            correlation_id,
            request,
            formed_at: now,
            batches,
            ..InFlight::new()
        });
        self.set_connection_timer(slot);
    }

    /// A Metadata request may name thousands of topics: its size is worked out first, then the names
    /// go through the scratch piece by piece.
    fn form_metadata(&mut self, slot: u16, version: i16) -> bool {
        let full = core::mem::take(&mut self.cluster.refresh.full);
        self.cluster.refresh.needed = false;
        self.cluster.refresh.next_topic = 0;
        let (mut count, mut names) = (0u32, 0usize);
        for topic in 0..self.topics.len() {
            let topic = self.topics.at_mut(topic);
            topic.asked = topic.in_use && (full || topic.wanted);
            if topic.asked {
                count = count.wrapping_add(1);
                names = names.saturating_add(metadata::topic_size(version, topic.name_len.into()));
            }
        }
        let correlation_id = self.net.next_correlation();
        let client_id = self.config.client_id.as_str();
        let size = request_header_size(ApiKey::Metadata, version, client_id.len())
            .saturating_add(metadata::prefix_size(version, count))
            .saturating_add(names)
            .saturating_add(metadata::suffix_size(version));
        let mut scratch = core::mem::replace(&mut self.scratch, Slab::empty());
        let mut w = Writer::new(scratch.get_mut(slot.into()));
        w.i32(i32::try_from(size).unwrap_or(i32::MAX));
        write_request_header(&mut w, ApiKey::Metadata, version, correlation_id, client_id);
        metadata::write_prefix(&mut w, version, count);
        let mut len = w.finish().unwrap_or(0);
        self.scratch = scratch;
        len = self.append_topic_names(slot, version, len);
        self.begin_request(slot, ApiKey::Metadata, version, correlation_id, Outgoing::begin(len, version, NIL), None);
        self.measure_request(slot, size.saturating_add(4));
        true
    }

    /// Adds as many topic names as fit the scratch behind its first `len` bytes, and what ends the
    /// request behind the last one.
    fn append_topic_names(&mut self, slot: u16, version: i16, mut len: usize) -> usize {
        let mut scratch = core::mem::replace(&mut self.scratch, Slab::empty());
        let room = scratch.get_mut(slot.into());
        while self.cluster.refresh.next_topic < self.topics.len() {
            let index = self.cluster.refresh.next_topic;
            if self.topics.at(index).asked {
                let mut w = Writer::new(room.get_mut(len..).unwrap_or(&mut []));
                metadata::write_topic(&mut w, version, self.topic_name(index as u16));
                let Some(written) = w.finish() else { break };
                len = len.saturating_add(written);
                // What is wanted from here on is wanted anew.
                self.topics.at_mut(index).wanted = false;
            }
            self.cluster.refresh.next_topic = index.wrapping_add(1);
        }
        if self.cluster.refresh.next_topic == self.topics.len() {
            let mut w = Writer::new(room.get_mut(len..).unwrap_or(&mut []));
            metadata::write_suffix(&mut w, version, self.config.allow_auto_create_topics);
            if let Some(written) = w.finish() {
                len = len.saturating_add(written);
                self.cluster.refresh.next_topic = NIL;
            }
        }
        self.scratch = scratch;
        len
    }

    /// Drains what is ready for the broker into one request.
    fn form_produce(&mut self, slot: u16) -> bool {
        let broker = self.broker_of(slot);
        if broker == NONE || self.brokers.at(broker.into()).ready.is_empty() {
            return false;
        }
        let drained = self.drain(broker);
        let first = drained.batches.front();
        if first == NIL {
            return false;
        }
        let negotiated: i16 = self.connections.at(slot.into()).versions.produce.into();
        // Azure Event Hubs offers v13 without giving ids: a topic without one must be named.
        let version = if drained.needs_names { negotiated.min(PRODUCE_BY_ID - 1) } else { negotiated };
        let behind = self.frame(drained.batches, version);
        let correlation_id = self.net.next_correlation();
        let client_id = self.config.client_id.as_str();
        let size = (behind as usize)
            .saturating_add(request_header_size(ApiKey::Produce, version, client_id.len()))
            .saturating_add(produce::prefix_size(version, None, drained.topics));
        let mut scratch = core::mem::replace(&mut self.scratch, Slab::empty());
        let mut w = Writer::new(scratch.get_mut(slot.into()));
        w.i32(i32::try_from(size).unwrap_or(i32::MAX));
        write_request_header(&mut w, ApiKey::Produce, version, correlation_id, client_id);
        let timeout = i32::try_from(self.config.request_timeout_ms).unwrap_or(i32::MAX);
        produce::write_prefix(&mut w, version, None, self.config.acks.wire(), timeout, drained.topics);
        let len = w.finish().unwrap_or(0);
        self.scratch = scratch;
        self.stats.produce_requests = self.stats.produce_requests.wrapping_add(1);
        let connection = self.connections.at_mut(slot.into());
        connection.served = connection.served.wrapping_add(1);
        // The length that the request begins with does not count itself.
        let left = u32::try_from(size.saturating_add(4)).unwrap_or(0);
        let outgoing = Outgoing { left, ..Outgoing::begin(len, version, first) };
        self.begin_request(slot, ApiKey::Produce, version, correlation_id, outgoing, Some(drained));
        self.measure_request(slot, size.saturating_add(4));
        true
    }

    /// The next slice to write.
    pub(crate) fn peek(&self, slot: u16) -> Option<Transmit<'_>> {
        let mut out = self.connections.at(slot.into()).outgoing;
        let bytes = self.outgoing_slice(slot, &out);
        if bytes.is_empty() {
            return None;
        }
        let mut next = out;
        self.outgoing_advance(slot, &mut next, bytes.len() as u32);
        out = next;
        Some(Transmit { bytes, more: !out.is_idle() || self.more_names() })
    }

    fn more_names(&self) -> bool {
        self.cluster.refresh.under_way && self.cluster.refresh.next_topic != NIL
    }

    /// The next slices to write, as many as `out` holds.
    pub(crate) fn peek_vectored<'s>(&'s self, slot: u16, out: &mut [&'s [u8]]) -> usize {
        let mut at = self.connections.at(slot.into()).outgoing;
        let mut count = 0usize;
        for to in out.iter_mut() {
            let bytes = self.outgoing_slice(slot, &at);
            if bytes.is_empty() {
                break;
            }
            *to = bytes;
            count = count.wrapping_add(1);
            self.outgoing_advance(slot, &mut at, bytes.len() as u32);
        }
        count
    }

    /// The transport took `n` bytes.
    pub(crate) fn transmitted(&mut self, slot: u16, n: u32) {
        let mut out = self.connections.at(slot.into()).outgoing;
        if out.is_idle() || n == 0 {
            return;
        }
        self.stats.bytes_out = self.stats.bytes_out.wrapping_add(n.into());
        self.measure_out(slot, n);
        if n == out.left {
            out = Outgoing::new(); // the usual case, without a walk over all pieces
        } else {
            out.left = out.left.saturating_sub(n);
        }
        let mut left = n;
        while left > 0 && !out.is_idle() {
            let len = (self.outgoing_slice(slot, &out).len() as u32).min(left);
            self.outgoing_advance(slot, &mut out, len);
            left = left.saturating_sub(len);
            if out.is_idle() {
                out = self.refill(slot, out);
            }
        }
        let now = self.now;
        let connection = self.connections.at_mut(slot.into());
        connection.outgoing = out;
        connection.last_used = now;
        if out.is_idle() {
            self.request_written(slot);
        }
    }

    /// More topic names of a Metadata request, if it is that and has any.
    fn refill(&mut self, slot: u16, done: Outgoing) -> Outgoing {
        let newest = self.connections.at_mut(slot.into()).newest_mut();
        let is_metadata = newest.is_some_and(|request| request.api == ApiKey::Metadata);
        if !is_metadata || !self.more_names() {
            return done;
        }
        let len = self.append_topic_names(slot, done.version.into(), 0);
        if len == 0 {
            done
        } else {
            Outgoing { piece: Piece::Scratch, ..Outgoing::begin(len, done.version.into(), NIL) }
        }
    }

    /// All of the newest request is with the transport.
    fn request_written(&mut self, slot: u16) {
        let answers = self.expects_answers();
        let connection = self.connections.at_mut(slot.into());
        let Some(request) = connection.newest_mut() else { return };
        request.written = true;
        if request.api == ApiKey::Produce && !answers {
            // There will be no answer (f.5).
            let Some(request) = connection.pop_newest() else { return };
            let mut batches: List<InState> = request.batches;
            while let Some(batch) = batches.pop_front(&mut self.batches) {
                self.written_unacknowledged(batch);
            }
            self.end_if_drained();
            // No answer will come that could do this.
            self.pursue_metadata();
            self.close_if_done(slot);
        }
        self.set_connection_timer(slot);
    }

    /// The time of the oldest unanswered request starts over by what a throttle adds (KAFKA-16083).
    pub(crate) fn throttle(&mut self, slot: u16, throttle_ms: u32) {
        if throttle_ms == 0 {
            return;
        }
        self.stats.throttle_ms = self.stats.throttle_ms.wrapping_add(throttle_ms.into());
        let until: Instant = self.now.after_ms(throttle_ms);
        let connection = self.connections.at_mut(slot.into());
        connection.throttled_until = connection.throttled_until.max(until);
        for request in connection.awaiting_mut() {
            request.throttled_ms = request.throttled_ms.saturating_add(throttle_ms);
        }
    }
}
