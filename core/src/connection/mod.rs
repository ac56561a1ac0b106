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
mod timers;
pub(crate) mod transmit;

use crate::event::ConnId;
use crate::state::State;
use crate::state::connection::ConnectionState;
use crate::state::partition::NONE;

impl State<'_> {
    pub(crate) fn init_connections(&mut self) {
        for connection in 0..self.connections.len() {
            self.connections.at_mut(connection).renew(0);
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
