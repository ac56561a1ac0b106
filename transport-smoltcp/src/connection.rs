//! One connection slot of the core and the TCP socket that serves it.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use klamm_core::{ConnId, Disconnect, Instant};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{ConnectError, Socket, State};
use smoltcp::wire::IpEndpoint;

use crate::driver::Hands;

/// How long the peer has for its part of closing, then the connection is reset; and how long the reset has to get out.
const CLOSING: Duration = Duration::from_secs(1);
/// How often a look-up is looked at: smoltcp notices only when it is polled that a DNS server has had its time.
#[cfg(feature = "dns")]
const LOOK_UP: Duration = Duration::from_secs(1);

/// The state of one TCP socket, in the caller's memory; see [`Driver::new`](crate::Driver::new).
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: SocketHandle,
    /// What the core calls it; `None` while it wants none.
    pub(crate) conn: Option<ConnId>,
    pub(crate) stage: Stage,
    /// The core has bytes that the socket did not take yet.
    pub(crate) has_output: bool,
    /// The socket's own end, while it has one. smoltcp forgets it when the address is gone.
    pub(crate) local: Option<IpEndpoint>,
    /// The socket still ends an earlier connection, at the longest until then.
    closing: Option<Instant>,
    /// The peer's FIN came; its acknowledgement leaves when the interface is polled next.
    parting: bool,
    /// The caller's setting of the socket, which closing changes.
    ack_delay: Option<smoltcp::time::Duration>,
}

/// How far the connection is that the core wants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// It wants none.
    Idle,
    /// Its name is looked up.
    #[cfg(feature = "dns")]
    Resolving {
        query: Option<Query>,
        /// No address of the first family: the other one is asked for.
        second: bool,
    },
    /// It waits for the link, an address of ours or the socket.
    Waiting { to: SocketAddr },
    /// SYN was sent, or is about to be.
    Connecting,
    /// Bytes can flow.
    Open,
}

/// A query of smoltcp's, which has no `Debug`.
#[cfg(feature = "dns")]
#[derive(Clone, Copy)]
pub(crate) struct Query(pub(crate) smoltcp::socket::dns::QueryHandle);

#[cfg(feature = "dns")]
impl core::fmt::Debug for Query {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Query")
    }
}

impl Stage {
    /// The name is to be looked up; nobody was asked yet.
    #[cfg(feature = "dns")]
    pub(crate) const fn asking() -> Self {
        Self::Resolving { query: None, second: false }
    }
}

impl Connection {
    /// A connection over the TCP socket of this handle. The driver sets the socket's options when it connects: no Nagle
    /// algorithm, keep-alive as in [`Options`](crate::Options), no timeout (the core has its own).
    #[must_use]
    pub const fn new(socket: SocketHandle) -> Self {
        Self {
            socket,
            conn: None,
            stage: Stage::Idle,
            has_output: false,
            local: None,
            closing: None,
            parting: false,
            ack_delay: None,
        }
    }

    pub(crate) fn uses_port(&self, port: u16) -> bool {
        self.local.is_some_and(|local| local.port == port)
    }

    /// When this connection must be looked at again though nothing happens. `asks`: names can be looked up now.
    #[cfg_attr(not(feature = "dns"), allow(unused_variables, reason = "only look-ups need them"))]
    pub(crate) fn deadline(&self, now: Instant, asks: bool) -> Option<Instant> {
        #[cfg(feature = "dns")]
        if asks && matches!(self.stage, Stage::Resolving { .. }) {
            let look = now.after(LOOK_UP);
            return Some(self.closing.map_or(look, |until| until.min(look)));
        }
        self.closing
    }

    /// Begins to connect. Waits while the interface has no address to do it from: a board that starts, or lost its lease.
    pub(crate) fn connect(
        &mut self,
        hands: &mut Hands<'_, '_, '_>,
        to: SocketAddr,
        port: u16,
        keep_alive: Option<Duration>,
    ) -> bool {
        if self.closing.is_some() || !(is_addressed(hands.iface) || is_on_link(to.ip())) {
            return false;
        }
        let Some(socket) = tcp(hands.sockets, self.socket) else {
            warning!("slot {:?}: no TCP socket has this handle", self.conn.map(ConnId::slot));
            self.lost(hands, Disconnect::Other);
            return true;
        };
        let Some(remote) = endpoint(to) else {
            self.lost(hands, Disconnect::Unreachable);
            return true;
        };
        socket.set_nagle_enabled(false);
        socket.set_timeout(None);
        let result = socket.connect(hands.iface.context(), remote, port);
        match result {
            Ok(()) => {
                socket.set_keep_alive(keep_alive.map(Into::into));
                self.local = socket.local_endpoint();
                self.stage = Stage::Connecting;
            }
            // Somebody else left it open.
            Err(ConnectError::InvalidState) => {
                socket.abort();
                self.ack_delay = socket.ack_delay();
                self.closing = Some(hands.now.after(CLOSING));
            }
            Err(ConnectError::Unaddressable) => self.lost(hands, Disconnect::Unreachable),
        }
        true
    }

    /// SYN is on its way: the answer to it, or a reset, or the loss of the address.
    pub(crate) fn watch_handshake(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        if self.lost_address(hands) {
            return true;
        }
        let (Some(conn), Some(socket)) = (self.conn, tcp(hands.sockets, self.socket)) else { return false };
        if socket.may_send() {
            debug!("slot {}: connected", conn.slot());
            self.stage = Stage::Open;
            hands.producer.handle_connected(hands.now, conn);
            true
        } else if socket.state() == State::Closed {
            self.lost(hands, Disconnect::Refused);
            true
        } else {
            false
        }
    }

    /// Received bytes go into the core where they lie, and the end of them is told.
    pub(crate) fn read(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let mut moved = false;
        let (Some(conn), Some(socket)) = (self.conn, tcp(hands.sockets, self.socket)) else { return false };
        while socket.can_recv() {
            moved = true;
            let take = |bytes: &mut [u8]| (bytes.len(), hands.producer.handle_input(hands.now, conn, bytes));
            let Ok(result) = socket.recv(take) else { break };
            if let Err(_error) = result {
                // The core wants the connection closed, and says so by an action.
                warning!("slot {}: {:?}", conn.slot(), _error);
                return true;
            }
        }
        if !socket.may_recv() {
            let gone = self.lost_address(hands);
            if !gone {
                self.lost(hands, Disconnect::Closed);
            }
            return true;
        }
        self.lost_address(hands) || moved
    }

    /// The core's slices go into the socket's ring, and nowhere between.
    pub(crate) fn write(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let mut moved = false;
        let (Some(conn), true, Stage::Open) = (self.conn, self.has_output, self.stage) else { return false };
        let Some(socket) = tcp(hands.sockets, self.socket) else { return false };
        while self.has_output && socket.can_send() {
            let (now, producer, has_output) = (hands.now, &mut *hands.producer, &mut self.has_output);
            let fill = |ring: &mut [u8]| {
                let mut filled = 0usize;
                while let Some(room) = ring.get_mut(filled..).filter(|room| !room.is_empty()) {
                    let Some(transmit) = producer.poll_transmit(now, conn) else {
                        *has_output = false;
                        break;
                    };
                    let taken = copy(transmit.bytes, room);
                    if taken == 0 {
                        break; // the core lends no empty slices; but if it did, this would never end
                    }
                    producer.handle_transmitted(now, conn, taken);
                    filled = filled.saturating_add(taken);
                }
                (filled, filled)
            };
            match socket.send(fill) {
                Ok(filled) if filled > 0 => moved = true,
                _ => break,
            }
        }
        moved
    }

    /// Ends every connection whose own address the interface has no longer.
    fn lost_address(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let gone = self.local.is_some_and(|local| !hands.iface.has_ip_addr(local.addr));
        if gone {
            self.lost(hands, Disconnect::Unreachable);
        }
        gone
    }

    /// The connection is over, and not by the core's wish.
    pub(crate) fn lost(&mut self, hands: &mut Hands<'_, '_, '_>, why: Disconnect) {
        let conn = self.conn;
        self.close(hands);
        if let Some(conn) = conn {
            debug!("slot {}: lost, {:?}", conn.slot(), why);
            hands.producer.handle_disconnected(hands.now, conn, why);
        }
    }

    /// The core wants the connection no longer. The socket has a while to end it in good manners: with a FIN, so that the
    /// peer reads all that was sent.
    pub(crate) fn close(&mut self, hands: &mut Hands<'_, '_, '_>) {
        self.conn = None;
        self.stage = Stage::Idle;
        self.has_output = false;
        let gone = self.local.is_some_and(|local| !hands.iface.has_ip_addr(local.addr));
        let Some(socket) = tcp(hands.sockets, self.socket) else { return };
        if self.closing.is_none() && self.local.is_some() {
            if gone {
                socket.abort(); // smoltcp sends nothing from an address that it has not
            } else {
                socket.close();
            }
            // The peer's FIN is to be acknowledged before the socket has other things to do.
            self.ack_delay = socket.ack_delay();
            socket.set_ack_delay(None);
            self.parting = false;
            self.closing = Some(hands.now.after(CLOSING));
        }
        self.finish_closing(hands);
    }

    /// Goes on with the end of an earlier connection. Says whether the socket is free now and was not before.
    pub(crate) fn finish_closing(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let (Some(until), Some(socket)) = (self.closing, tcp(hands.sockets, self.socket)) else { return false };
        // Late answers would fill the window before the peer's FIN.
        while socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {}
        let (is_closed, is_over) = (socket.state() == State::Closed, socket.state() == State::TimeWait);
        // A reset that is still to be sent has a remote end. In TIME-WAIT the peer's FIN may be without its acknowledgement: a
        // peer that lacks it holds its socket, and says FIN again to somebody who remembers nothing.
        let is_free = if is_closed { socket.remote_endpoint().is_none() } else { self.parting && hands.polled };
        let parts = is_over && !self.parting;
        let gone = self.local.is_some_and(|local| !hands.iface.has_ip_addr(local.addr));
        if is_free || gone || (is_closed && until <= hands.now) {
            socket.set_ack_delay(self.ack_delay);
            self.closing = None;
            self.local = None;
            return true;
        }
        self.parting |= is_over;
        if until <= hands.now {
            socket.abort();
            self.closing = Some(hands.now.after(CLOSING));
            return true;
        }
        parts
    }
}

/// Whether the interface has an address that leads further than its own link. IPv6 gives each card one for that, long before a
/// router, or DHCP, has told of another.
pub(crate) fn is_addressed(iface: &Interface) -> bool {
    iface.ip_addrs().iter().any(|own| !is_on_link(own.address().into()))
}

/// Whether an address is one of those that IPv6 has for a single link.
pub(crate) fn is_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(address) => cfg!(feature = "proto-ipv6") && address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    }
}

/// The TCP socket of a handle. Not by smoltcp's own accessor, which panics if there is none.
fn tcp<'t, 's>(sockets: &'t mut SocketSet<'s>, wanted: SocketHandle) -> Option<&'t mut Socket<'s>> {
    sockets.iter_mut().find_map(|(handle, socket)| match socket {
        smoltcp::socket::Socket::Tcp(socket) if handle == wanted => Some(socket),
        _ => None,
    })
}

/// smoltcp's word for an address, if it was built for its family.
fn endpoint(to: SocketAddr) -> Option<IpEndpoint> {
    match to.ip() {
        #[cfg(feature = "proto-ipv4")]
        IpAddr::V4(address) => Some(IpEndpoint::new(address.into(), to.port())),
        #[cfg(feature = "proto-ipv6")]
        IpAddr::V6(address) => Some(IpEndpoint::new(address.into(), to.port())),
        #[allow(unreachable_patterns, reason = "with both families there is no other")]
        _ => None,
    }
}

/// Copies as much as fits, and says how much that was.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..count), to.get_mut(..count)) {
        to.copy_from_slice(from);
    }
    count
}
