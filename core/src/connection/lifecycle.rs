//! A connection's life: resolve, connect, negotiate versions, ready, closed (PRODUCER f.1–f.4).

use crate::state::batch::InState;
use crate::state::broker::Backoff;
use crate::state::connection::{Connection, ConnectionState, InFlight, MAX_ADDRESSES, Peer};
use crate::state::list::List;
use crate::state::partition::NONE;
use core::net::IpAddr;

use crate::address::parse_ip;
use crate::error::{Disconnect, ErrorCode, PeerError, Problem};
use crate::protocol::ApiKey;
use crate::state::{Problems, State};

impl State<'_> {
    /// Takes a free slot for `peer` and starts with its name, or at once with its address.
    pub(crate) fn open(&mut self, slot: u16, peer: Peer) {
        self.connections.at_mut(slot.into()).reset();
        let setup_ms = {
            let backoff = self.backoff_of(peer);
            let failures = backoff.setup_failures.into();
            let (initial, max) =
                (self.config.socket_connection_setup_timeout_ms, self.config.socket_connection_setup_timeout_max_ms);
            self.backoff_ms(initial, max, failures)
        };
        let now = self.now;
        let backoff = self.backoff_of(peer);
        backoff.last_attempt = now;
        let api_versions = backoff.api_versions;
        match peer {
            Peer::Broker(broker) => self.brokers.at_mut(broker.into()).connection = slot,
            Peer::Bootstrap(_) => self.cluster.bootstrap.connection = slot,
        }
        let (literal, resolves) = (self.literal_address(peer), self.config.resolve_names);
        let connection = self.connections.at_mut(slot.into());
        connection.peer = peer;
        connection.api_versions = api_versions;
        connection.setup_deadline = now.after_ms(setup_ms);
        connection.last_used = now;
        connection.state = ConnectionState::Connecting;
        if let (Some(address), Some(first)) = (literal, connection.addresses.first_mut()) {
            *first = address;
        } else if resolves {
            connection.state = ConnectionState::Resolving;
        }
        self.push_action(slot);
        self.set_connection_timer(slot);
    }

    /// The host of a peer, if it is an address already.
    fn literal_address(&self, peer: Peer) -> Option<IpAddr> {
        parse_ip(self.peer_host(peer)?.0)
    }

    /// Host and port of a peer.
    pub(crate) fn peer_host(&self, peer: Peer) -> Option<(&str, u16)> {
        match peer {
            Peer::Broker(broker) => Some((self.broker_host(broker), self.brokers.at(broker.into()).port)),
            Peer::Bootstrap(index) => self.bootstrap_server(index),
        }
    }

    pub(crate) fn backoff_of(&mut self, peer: Peer) -> &mut Backoff {
        match peer {
            Peer::Broker(broker) => &mut self.brokers.at_mut(broker.into()).backoff,
            Peer::Bootstrap(_) => &mut self.cluster.bootstrap.backoff,
        }
    }

    /// The host's addresses. Each failure moves on to the next; the one that was just lost comes last
    /// (KAFKA-15817). Only addresses of the first one's family are kept, as Java does.
    pub(crate) fn resolved(&mut self, slot: u16, addresses: &[IpAddr]) {
        if self.connections.at(slot.into()).state != ConnectionState::Resolving {
            return;
        }
        let peer = self.connections.at(slot.into()).peer;
        let Some(first) = addresses.first() else {
            return self.connection_lost(slot, Disconnect::Dns);
        };
        let (rotation, lost) = (self.backoff_of(peer).rotation, self.backoff_of(peer).lost);
        let connection = self.connections.at_mut(slot.into());
        let mut count = 0u8;
        let family = addresses.iter().filter(|address| address.is_ipv4() == first.is_ipv4());
        for (to, from) in connection.addresses.iter_mut().zip(family.take(MAX_ADDRESSES)) {
            *to = *from;
            count = count.wrapping_add(1);
        }
        let mut chosen = rotation % count.max(1);
        if connection.addresses.get(usize::from(chosen)).copied() == lost && count > 1 {
            chosen = chosen.wrapping_add(1) % count.max(1);
        }
        connection.address = chosen;
        connection.state = ConnectionState::Connecting;
        self.push_action(slot);
    }

    /// Bytes can flow: the versions are asked for, and nothing else until they are known.
    pub(crate) fn connected(&mut self, slot: u16) {
        let connection = self.connections.at_mut(slot.into());
        if connection.state != ConnectionState::Connecting {
            return;
        }
        connection.state = ConnectionState::Negotiating;
        connection.wants_api_versions = true;
        connection.setup_deadline = crate::Instant::NEVER;
        let peer = connection.peer;
        self.backoff_of(peer).setup_failures = 0;
        self.mark_writable(slot);
        self.set_connection_timer(slot);
    }

    /// Versions are agreed: the connection is usable. Only here the backoff starts over (KAFKA-13879).
    pub(crate) fn became_ready(&mut self, slot: u16) {
        self.stats.connections_opened = self.stats.connections_opened.wrapping_add(1);
        self.problems.cure(Problems::UNREACHABLE | Problems::PEER);
        let now = self.now;
        let connection = self.connections.at_mut(slot.into());
        connection.state = ConnectionState::Ready;
        connection.last_used = now;
        let peer = connection.peer;
        let &mut Backoff { rotation, api_versions, .. } = self.backoff_of(peer);
        *self.backoff_of(peer) = Backoff { rotation, api_versions, last_attempt: now, ..Backoff::new() };
        self.cluster.bootstrap.tried = 0;
        if let Peer::Broker(broker) = peer {
            if !self.brokers.at(broker.into()).ready.is_empty() {
                self.mark_writable(slot);
            }
        } else {
            self.cluster.bootstrap.backoff.until = now;
        }
        self.pursue_metadata();
        self.pursue_producer_id();
        self.set_connection_timer(slot);
    }

    /// The stream ended, or never began. Everything it carried is lost or retried.
    pub(crate) fn connection_lost(&mut self, slot: u16, why: Disconnect) {
        let connection = self.connections.at(slot.into());
        let greeted = connection.oldest().is_some_and(|request| request.api == ApiKey::ApiVersions && request.written);
        if greeted {
            let (peer, asked) = (connection.peer, connection.api_versions);
            self.backoff_of(peer).lower_api_versions(asked);
        }
        self.end_connection(slot, ErrorCode::NETWORK_EXCEPTION, why);
        self.connections.at_mut(slot.into()).reset();
        self.after_connection_end();
    }

    /// The core ends the stream: the transport is told, and the slot is free after that.
    pub(crate) fn abort_connection(&mut self, slot: u16, error: ErrorCode, why: Disconnect) {
        self.end_connection(slot, error, why);
        self.begin_closing(slot);
        self.after_connection_end();
    }

    /// Ends a connection without blame: idle, retired, in the way, closing down.
    pub(crate) fn disconnect(&mut self, slot: u16) {
        let state = self.connections.at(slot.into()).state;
        if matches!(state, ConnectionState::Free | ConnectionState::Closing) {
            return;
        }
        self.detach(slot, ErrorCode::NETWORK_EXCEPTION);
        self.begin_closing(slot);
    }

    fn begin_closing(&mut self, slot: u16) {
        // The peer is forgotten already; the generation changes when the action is told.
        self.connections.at_mut(slot.into()).state = ConnectionState::Closing;
        self.push_action(slot);
    }

    /// A peer that breaks the protocol.
    pub(crate) fn protocol_error(&mut self, slot: u16, error: PeerError) -> PeerError {
        self.problems.report(Problem::Peer(error));
        self.abort_connection(slot, ErrorCode::NETWORK_EXCEPTION, Disconnect::Other);
        error
    }

    fn end_connection(&mut self, slot: u16, error: ErrorCode, why: Disconnect) {
        let connection = self.connections.at(slot.into());
        let (peer, state, address) = (connection.peer, connection.state, current_address(connection));
        let was_ready = state == ConnectionState::Ready;
        let asked_versions = state == ConnectionState::Negotiating;
        // The backoff comes first: what is retried below must not reconnect at once.
        self.blame(peer, was_ready, asked_versions, address);
        if let Peer::Bootstrap(index) = peer {
            self.bootstrap_failed(index, was_ready, why);
        }
        self.detach(slot, error);
        // A lost connection puts every leader in doubt (PITFALLS 32).
        self.refresh_metadata(true);
    }

    /// Backs off from a peer whose connection failed.
    fn blame(&mut self, peer: Peer, was_ready: bool, negotiating: bool, address: Option<IpAddr>) {
        let failures = self.backoff_of(peer).failures;
        let (initial, max) = (self.config.reconnect_backoff_ms, self.config.reconnect_backoff_max_ms);
        let wait = self.backoff_ms(initial, max, failures.into());
        let until = self.now.after_ms(wait);
        let backoff = self.backoff_of(peer);
        backoff.failures = failures.saturating_add(1);
        backoff.until = until;
        if was_ready {
            backoff.lost = address;
        } else {
            backoff.rotation = backoff.rotation.wrapping_add(1);
            if !negotiating {
                backoff.setup_failures = backoff.setup_failures.saturating_add(1);
            }
        }
        if let Peer::Broker(broker) = peer {
            self.set_broker_timer(broker, until);
        }
    }

    /// The next server of the list is tried at once; only a whole round of failures backs off.
    fn bootstrap_failed(&mut self, index: u16, was_ready: bool, why: Disconnect) {
        let bootstrap = &mut self.cluster.bootstrap;
        bootstrap.next = index.wrapping_add(1) % bootstrap.servers.max(1);
        if was_ready {
            return;
        }
        bootstrap.tried = bootstrap.tried.saturating_add(1);
        if bootstrap.tried < bootstrap.servers {
            bootstrap.backoff.until = self.now;
            bootstrap.backoff.failures = bootstrap.backoff.failures.saturating_sub(1);
        } else {
            bootstrap.tried = 0;
            if self.cluster.brokers == 0 {
                self.problems.report(Problem::Unreachable(why));
            }
        }
    }

    /// Takes a connection out of everything that knows it and settles what it carried.
    fn detach(&mut self, slot: u16, error: ErrorCode) {
        self.stats.connections_closed = self.stats.connections_closed.wrapping_add(1);
        self.measure_end(slot);
        self.clear_connection_timer(slot);
        let connection = self.connections.at_mut(slot.into());
        connection.state = ConnectionState::Closing;
        let (peer, writable, acts) = (connection.peer, connection.writable, connection.acts);
        connection.writable = false;
        connection.acts = false;
        if writable {
            self.net.writables.remove(&mut self.connections, slot.into());
        }
        if acts {
            self.net.actions.remove(&mut self.connections, slot.into());
        }
        match peer {
            Peer::Broker(broker) if self.brokers.at(broker.into()).connection == slot => {
                self.brokers.at_mut(broker.into()).connection = NONE;
            }
            Peer::Bootstrap(_) if self.cluster.bootstrap.connection == slot => {
                self.cluster.bootstrap.connection = NONE;
            }
            _ => {}
        }
        self.lose_requests(slot, error);
    }

    /// Every request without an answer fails (f.5): batches are retried, control requests asked anew.
    fn lose_requests(&mut self, slot: u16, error: ErrorCode) {
        while let Some(request) = self.connections.at_mut(slot.into()).pop_oldest() {
            match request.api {
                ApiKey::Produce => self.lose_batches(&request, error),
                ApiKey::Metadata => self.metadata_failed(),
                ApiKey::InitProducerId => self.producer_id_lost(),
                ApiKey::ApiVersions => {}
            }
        }
        let connection = self.connections.at_mut(slot.into());
        let wanted_metadata = core::mem::take(&mut connection.wants_metadata);
        let wanted_id = core::mem::take(&mut connection.wants_producer_id);
        if wanted_metadata {
            self.cluster.refresh.under_way = false;
        }
        if wanted_id {
            self.producer_id_unasked();
        }
    }

    pub(crate) fn lose_batches(&mut self, request: &InFlight, error: ErrorCode) {
        let mut batches: List<InState> = request.batches;
        while let Some(batch) = batches.pop_front(&mut self.batches) {
            self.lost(batch, error, request.written);
        }
    }

    /// A slot may be free now, and work may have to find another way.
    fn after_connection_end(&mut self) {
        self.serve_waiting();
        self.pursue_metadata();
        self.pursue_producer_id();
    }
}

/// The address that a connection uses.
pub(crate) fn current_address(connection: &Connection) -> Option<IpAddr> {
    connection.addresses.get(usize::from(connection.address)).copied()
}
