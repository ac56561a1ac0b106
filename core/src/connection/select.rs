//! Whom to ask, whom to connect, and which connection makes room.

use crate::Instant;
use crate::state::State;
use crate::state::connection::{Connection, ConnectionState, Peer};
use crate::state::identity::IdentityState;
use crate::state::partition::NONE;

/// Produce requests that a connection may send while other brokers wait for its slot.
const REQUESTS_PER_TURN: u32 = 4;

impl State<'_> {
    /// The usable connection with the fewest requests under way (f.9).
    pub(crate) fn least_loaded(&mut self) -> Option<u16> {
        let count = self.connections.len();
        let start = self.random.below(count);
        let mut best: Option<(u8, u16)> = None;
        for step in 0..count {
            let slot = start.wrapping_add(step);
            let slot = if slot >= count { slot.wrapping_sub(count) } else { slot };
            let connection = self.connections.at(slot);
            let usable = connection.state == ConnectionState::Ready
                && !connection.retiring
                && connection.throttled_until <= self.now
                && connection.in_flight_count < self.config.max_in_flight_requests_per_connection;
            if usable && best.is_none_or(|(load, _)| connection.in_flight_count < load) {
                best = Some((connection.in_flight_count, slot as u16));
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// No connection is usable: unless one is being set up, open one to the broker whose last attempt
    /// is the oldest, or to a bootstrap server.
    pub(crate) fn open_any(&mut self) {
        let coming = self.connections.iter().any(|(_, connection)| {
            matches!(
                connection.state,
                ConnectionState::Resolving | ConnectionState::Connecting | ConnectionState::Negotiating
            )
        });
        let busy = self.connections.iter().any(|(_, connection)| connection.state == ConnectionState::Ready);
        if coming {
            return;
        }
        let candidate = self.brokers.iter().filter(|(_, broker)| {
            broker.has_address() && broker.connection == NONE && broker.backoff.until <= self.now
        });
        let oldest = candidate.min_by_key(|(_, broker)| broker.backoff.last_attempt).map(|(slot, _)| slot as u16);
        if let Some(broker) = oldest {
            return self.connect_broker(broker);
        }
        // An answer that broke off may have named brokers without saying where they are.
        if !self.brokers.iter().any(|(_, broker)| broker.has_address()) {
            return self.connect_bootstrap();
        }
        // Everyone known is out of reach. A connection that is only busy or throttled will do soon.
        if !busy && self.may_rebootstrap() {
            self.rebootstrap();
        }
    }

    fn connect_bootstrap(&mut self) {
        let bootstrap = &self.cluster.bootstrap;
        if bootstrap.connection != NONE {
            return;
        }
        if bootstrap.backoff.until > self.now {
            return self.set_bootstrap_timer(bootstrap.backoff.until);
        }
        let index = bootstrap.next;
        if let Some(slot) = self.find_slot() {
            self.open(slot, Peer::Bootstrap(index));
        }
    }

    /// Connects a broker that has none, unless it backs off or every slot is busy.
    pub(crate) fn connect_broker(&mut self, broker: u16) {
        let known = self.brokers.at(broker.into());
        if self.net.closed() || known.connection != NONE || !known.has_address() {
            return;
        }
        if known.backoff.until > self.now {
            let at = known.backoff.until;
            return self.set_broker_timer(broker, at);
        }
        match self.find_slot() {
            Some(slot) => self.open(slot, Peer::Broker(broker)),
            None => self.wait_for_slot(broker),
        }
    }

    fn wait_for_slot(&mut self, broker: u16) {
        let broker = self.brokers.at_mut(broker.into());
        if !broker.waits_for_slot {
            broker.waits_for_slot = true;
            self.cluster.waiting = self.cluster.waiting.wrapping_add(1);
        }
    }

    /// A free slot; else the connection that has been idle longest makes room.
    fn find_slot(&mut self) -> Option<u16> {
        let mut coming = false;
        for (slot, connection) in self.connections.iter() {
            if connection.state == ConnectionState::Free {
                return Some(slot as u16);
            }
            coming |= connection.state == ConnectionState::Closing;
        }
        if coming {
            return None;
        }
        let idle = self.connections.iter().filter(|(slot, connection)| self.is_dispensable(*slot as u16, connection));
        let victim = idle.min_by_key(|(_, connection)| connection.last_used).map(|(slot, _)| slot as u16)?;
        self.make_room(victim);
        None // free once the transport was told; `serve_waiting` goes on then
    }

    /// Closes a connection because others wait for its slot. Its broker comes back no sooner than `reconnect_backoff_ms` later: where
    /// all have something to send all the time they would do nothing but connect.
    fn make_room(&mut self, slot: u16) {
        let served = self.broker_of(slot);
        self.disconnect(slot);
        if served == NONE {
            return;
        }
        let until = self.now.after_ms(self.config.reconnect_backoff_ms);
        self.brokers.at_mut(served.into()).backoff.until = until;
        // With more to send it gets another turn. Without, it may be the only one that is left to be asked for metadata then.
        self.set_broker_timer(served, until);
    }

    fn is_dispensable(&self, slot: u16, connection: &Connection) -> bool {
        let idle = connection.state == ConnectionState::Ready
            && connection.in_flight_count == 0
            && connection.outgoing.is_idle()
            && !connection.wants_metadata
            && !connection.wants_producer_id;
        let broker = self.broker_of(slot);
        // Somebody waits for the slot, or is about to: that is why this is asked.
        let had_its_turn = connection.served >= REQUESTS_PER_TURN;
        idle && (broker == NONE || self.brokers.at(broker.into()).ready.is_empty() || had_its_turn)
    }

    /// With fewer slots than busy brokers they take turns.
    pub(crate) fn turn_is_over(&self, connection: &Connection) -> bool {
        self.cluster.waiting > 0 && connection.served >= REQUESTS_PER_TURN
    }

    /// A slot may have come free: the brokers that wait get it, each in turn. Those with nothing left to send wait no longer.
    pub(crate) fn serve_waiting(&mut self) {
        while self.cluster.waiting > 0 && !self.net.closed() {
            let waiting = self.brokers.iter().filter(|(_, broker)| broker.waits_for_slot);
            let next = waiting.min_by_key(|(_, broker)| broker.backoff.last_attempt).map(|(slot, _)| slot as u16);
            let Some(broker) = next else { return };
            self.stop_waiting(broker);
            if !self.brokers.at(broker.into()).ready.is_empty() {
                self.connect_broker(broker);
                if self.brokers.at(broker.into()).waits_for_slot {
                    return; // there is no slot yet, for the others neither
                }
            }
        }
    }

    /// With the last one that waits, turns end: connections that had theirs go on.
    pub(crate) fn stop_waiting(&mut self, broker: u16) {
        let broker = self.brokers.at_mut(broker.into());
        if !core::mem::take(&mut broker.waits_for_slot) {
            return;
        }
        self.cluster.waiting = self.cluster.waiting.wrapping_sub(1);
        if self.cluster.waiting == 0 {
            for broker in 0..self.brokers.len() as u16 {
                let busy = self.brokers.at(broker.into());
                if busy.connection != NONE && !busy.ready.is_empty() {
                    self.kick_broker(broker);
                }
            }
        }
    }

    /// Nothing more is sent on this connection; it closes once everything is answered.
    pub(crate) fn retire(&mut self, slot: u16) {
        let connection = self.connections.at_mut(slot.into());
        connection.retiring = true;
        if !connection.is_open() || connection.in_flight_count == 0 {
            self.disconnect(slot);
        }
    }

    /// A retired connection, or one whose turn is over, closes when its last answer is in. The broker
    /// that it served may have more to send.
    pub(crate) fn close_if_done(&mut self, slot: u16) {
        let connection = self.connections.at(slot.into());
        if connection.state != ConnectionState::Ready || connection.in_flight_count > 0 {
            return;
        }
        let (retiring, turn_over) = (connection.retiring, self.turn_is_over(connection));
        if !retiring && !turn_over {
            if self.cluster.waiting > 0 && self.is_dispensable(slot, self.connections.at(slot.into())) {
                self.make_room(slot);
            }
            return;
        }
        if !retiring {
            return self.make_room(slot);
        }
        let broker = self.broker_of(slot);
        self.disconnect(slot);
        if broker != NONE && !self.brokers.at(broker.into()).ready.is_empty() {
            self.connect_broker(broker);
        }
    }

    /// A producer id is due no earlier than its backoff allows.
    pub(crate) fn schedule_producer_id(&mut self) {
        let at = self.identity.retry_at.max(self.now);
        self.set_producer_id_timer(at);
    }

    /// Asks for a producer id as soon as somebody can be asked.
    pub(crate) fn pursue_producer_id(&mut self) {
        if self.identity.state != IdentityState::Needed || self.net.closed() {
            return;
        }
        if self.identity.retry_at > self.now {
            return self.schedule_producer_id();
        }
        self.set_producer_id_timer(Instant::NEVER);
        match self.least_loaded() {
            Some(connection) => {
                self.identity.state = IdentityState::Asked;
                self.connections.at_mut(connection.into()).wants_producer_id = true;
                self.mark_writable(connection);
            }
            None if self.accumulator.live > 0 => self.open_any(),
            None => {} // a connection that becomes ready will be asked
        }
    }

    /// The connection that was to ask is gone; nothing was sent.
    pub(crate) fn producer_id_unasked(&mut self) {
        if self.identity.state == IdentityState::Asked {
            self.identity.state = IdentityState::Needed;
        }
    }
}
