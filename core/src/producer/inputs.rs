//! What happened outside. A call that names a connection of an earlier use is ignored.

use crate::state::connection::ConnectionState;
use core::net::IpAddr;

use crate::error::{Disconnect, PeerError};
use crate::event::ConnId;
use crate::{Instant, Producer};

impl Producer<'_> {
    /// The addresses of a name asked for by [`Action::Resolve`](crate::Action::Resolve), in the
    /// resolver's order; an empty slice counts as a failure. The core keeps up to four of the first
    /// one's family and tries them in turn. Poll actions after it.
    pub fn handle_resolved(&mut self, now: Instant, conn: ConnId, addresses: &[IpAddr]) {
        self.state.advance_clock(now);
        if let Some(slot) = self.state.connection(conn) {
            self.state.resolved(slot, addresses);
        }
    }

    /// Bytes can flow both ways (after TLS, where there is TLS). Poll for writable connections after it.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.state.advance_clock(now);
        if let Some(slot) = self.state.connection(conn) {
            self.state.connected(slot);
        }
    }

    /// The stream ended or could not be opened; the transport has let go of it. Batches whose request
    /// was not answered are sent again, to whoever leads their partition then. Poll everything after
    /// it.
    pub fn handle_disconnected(&mut self, now: Instant, conn: ConnId, why: Disconnect) {
        self.state.advance_clock(now);
        let Some(slot) = self.state.connection(conn) else { return };
        // A connection that the core is closing has nothing left to lose; the action is still due.
        if self.state.connections.at(slot.into()).state != ConnectionState::Closing {
            self.state.connection_lost(slot, why);
            self.state.end_if_drained();
        }
    }

    /// Bytes from the peer, in pieces of any size; all are consumed. Poll everything after it.
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is already being closed (an
    /// [`Action::Disconnect`](crate::Action::Disconnect) is due) and what it carried is retried; the
    /// error is for the log.
    pub fn handle_input(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> Result<(), PeerError> {
        self.state.advance_clock(now);
        let Some(slot) = self.state.connection(conn) else { return Ok(()) };
        self.state.receive(slot, bytes)
    }

    /// The transport took the first `n` bytes of what
    /// [`poll_transmit`](Self::poll_transmit) showed. From now on they may reach the peer.
    pub fn handle_transmitted(&mut self, now: Instant, conn: ConnId, n: usize) {
        self.state.advance_clock(now);
        if let Some(slot) = self.state.connection(conn) {
            self.state.transmitted(slot, u32::try_from(n).unwrap_or(u32::MAX));
        }
    }

    /// The result of a job from [`poll_compress`](Self::poll_compress); `None` if there is none. A job that
    /// nobody waits for any longer is ignored. Says whether a driver that sleeps must wake up, as
    /// [`Accepted::wake`](crate::Accepted::wake) does. Poll everything after it.
    #[cfg(feature = "codecs")]
    pub fn handle_compressed(&mut self, now: Instant, job: crate::JobId, result: Option<&[u8]>) -> bool {
        self.state.advance_clock(now);
        self.state.wake = false;
        self.state.job_done(job, result);
        self.state.end_if_drained();
        self.state.wake
    }

    /// Time passed. Call it once [`poll_timeout`](Self::poll_timeout)'s deadline is reached; earlier is
    /// harmless, later is late. Poll everything after it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.state.advance_clock(now);
        self.state.fire_timers();
        self.state.end_if_drained();
    }
}
