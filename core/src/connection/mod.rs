//! Connections: their life, what they send, what they read, and who gets one of the few slots.
//!
//! * [`lifecycle`]: resolve, connect, negotiate, ready, closed; timers and backoff (PRODUCER f).
//! * [`select`]: which broker is asked, which connection makes room.
//! * [`transmit`]: forming requests at the last moment; peek and commit.
//! * [`outgoing`]: the walk over a request's pieces.
//! * [`receive`]: frames, and whose answer they are.

pub(crate) mod lifecycle;
pub(crate) mod outgoing;
pub(crate) mod receive;
mod select;
pub(crate) mod slot;
mod timers;
pub(crate) mod transmit;

use crate::accumulator::partition::NONE;
use crate::event::ConnId;
use crate::list::List;
use crate::state::State;

use slot::{ByAction, ByWritable, Connection, ConnectionState};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// Nothing new is accepted; what there is drains.
    Closing,
    /// Everything has its outcome; connections are being closed.
    Ending,
    /// `Event::Closed` was told.
    Ended,
}

/// Lists over the connections, and counters they share.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) actions: List<ByAction>,
    pub(crate) writables: List<ByWritable>,
    pub(crate) life: Life,
    correlation: i32,
    request: u32,
}

impl Connections {
    pub(crate) const fn new() -> Self {
        Self { actions: List::new(), writables: List::new(), life: Life::Running, correlation: 0, request: 0 }
    }

    pub(crate) const fn closing(&self) -> bool {
        !matches!(self.life, Life::Running)
    }

    pub(crate) const fn closed(&self) -> bool {
        matches!(self.life, Life::Ending | Life::Ended)
    }

    /// Correlation ids stay below Java's reserved range for SASL.
    pub(crate) fn next_correlation(&mut self) -> i32 {
        self.correlation = if self.correlation >= 0x7fff_fff0 { 1 } else { self.correlation.wrapping_add(1) };
        self.correlation
    }

    /// A number for a Produce request; never 0, which is no request's.
    pub(crate) fn next_request(&mut self) -> u32 {
        self.request = self.request.wrapping_add(1).max(1);
        self.request
    }
}

impl State<'_> {
    pub(crate) fn init_connections(&mut self) {
        for connection in 0..self.connections.len() {
            *self.connections.at_mut(connection) = Connection::new();
        }
    }

    /// The slot of a connection, unless the id is of an earlier use.
    pub(crate) fn connection(&self, conn: ConnId) -> Option<u16> {
        let known = u32::from(conn.slot) < self.connections.len();
        (known && self.connections.at(conn.slot.into()).generation == conn.generation).then_some(conn.slot)
    }

    pub(crate) fn conn_id(&self, slot: u16) -> ConnId {
        ConnId { slot, generation: self.connections.at(slot.into()).generation }
    }

    /// The transport should ask this connection for bytes.
    pub(crate) fn mark_writable(&mut self, slot: u16) {
        let connection = self.connections.at_mut(slot.into());
        if !connection.writable && connection.is_open() {
            connection.writable = true;
            self.net.writables.push_back(&mut self.connections, slot.into());
            self.wake = true;
        }
    }

    /// An action of this connection is due.
    pub(crate) fn push_action(&mut self, slot: u16) {
        let connection = self.connections.at_mut(slot.into());
        connection.told = false;
        if !connection.acts {
            connection.acts = true;
            self.net.actions.push_back(&mut self.connections, slot.into());
        }
        self.wake = true;
    }

    /// The broker has something to send: its connection is writable, or one is opened.
    pub(crate) fn kick_broker(&mut self, slot: u16) {
        if slot == NONE || self.net.closed() {
            return;
        }
        let connection = self.brokers.at(slot.into()).connection;
        if connection == NONE {
            self.connect_broker(slot);
        } else if self.may_produce(connection) {
            self.mark_writable(connection);
        }
    }

    /// Whether a Produce request may be formed on this connection now.
    pub(crate) fn may_produce(&self, slot: u16) -> bool {
        let connection = self.connections.at(slot.into());
        connection.state == ConnectionState::Ready
            && !connection.retiring
            && connection.throttled_until <= self.now
            && connection.in_flight_count < self.config.max_in_flight_requests_per_connection
            && !self.turn_is_over(connection)
    }
}
