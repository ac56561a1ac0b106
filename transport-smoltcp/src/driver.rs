//! The driver: what the producer wants done goes to the sockets, and what they have comes back.

use core::time::Duration;

use klamm_core::{Action, ConnId, Disconnect, Instant, Producer, Target};
#[cfg(feature = "dns")]
use smoltcp::iface::SocketHandle;
use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::Device;

use crate::connection::{Connection, Stage, is_addressed};
use crate::{from_smoltcp, to_smoltcp};

/// Rounds of one call. A round moves all that can be moved, so two or three do; more only mean that a core without any
/// backoff tries and fails in circles.
const ROUNDS_OF_POLL: u32 = 16;
/// Rounds of one [`Driver::turn`], so that a flood of packets cannot keep the caller.
const ROUNDS_OF_TURN: u32 = 64;
/// Packets that are taken in before the driver looks at the sockets again.
const PACKETS_PER_ROUND: u32 = 4;
/// How soon a device that took no packet is asked again. It may not say when it can.
const DEVICE_BUSY: Duration = Duration::from_millis(1);
/// The first of the ports for outgoing connections (RFC 6335), of which there are 2¹⁴.
const FIRST_PORT: u16 = 49_152;

/// How the driver does its work.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// smoltcp's DNS socket in the same socket set, with the servers' addresses; it needs one query slot, or as many as
    /// names shall be looked up at a time. Without one (the default) brokers and bootstrap servers must be literal
    /// addresses; others fail as [`Disconnect::Dns`].
    ///
    /// smoltcp keeps one address per name unless its feature `dns-max-result-count-4` is on (or a greater one: the core
    /// uses up to four). It turns to the next DNS server after 10 s, and to its second answerless one therefore only if
    /// `socket_connection_setup_timeout_ms` is longer; that timeout grows by itself up to its maximum.
    #[cfg(feature = "dns")]
    pub dns: Option<SocketHandle>,
    /// An open connection on which nothing was sent for this long is probed, and so stays alive in firewalls and
    /// address translators. Each probe is a wake-up. `None` (the default) never probes.
    ///
    /// A peer that answers no probe is not given up for that: it is found out by the next request.
    pub keep_alive: Option<Duration>,
    /// Where local ports begin: they count up from 49 152 + `port_seed` mod 2¹⁴ and begin anew after 65 535. A number that
    /// differs from one start of the board to the next keeps a new connection from meeting what the peer remembers of an
    /// old one, which would cost about a second. Default 0.
    pub port_seed: u16,
}

impl Options {
    /// The defaults: no DNS, no keep-alive, ports from 49 152.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "dns")]
            dns: None,
            keep_alive: None,
            port_seed: 0,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Driver::poll`] leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Next {
    /// Call again at this time at the latest, if nothing happens before; `None` if only packets or commands can bring work.
    /// It does not know smoltcp's own timers ([`Interface::poll_at`]).
    pub at: Option<Instant>,
    /// Something moved: the interface may have packets to send, and the producer events to tell.
    pub moved: bool,
}

/// Drives a producer over TCP sockets of smoltcp's: one socket for each connection slot of the producer's storage.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Debug)]
pub struct Driver<'a> {
    connections: &'a mut [Connection],
    pub(crate) options: Options,
    next_port: u16,
    link_up: bool,
}

/// Everything that one call works with.
pub(crate) struct Hands<'t, 's, 'p> {
    pub(crate) now: Instant,
    /// The interface was polled since the driver last looked at the sockets.
    pub(crate) polled: bool,
    pub(crate) iface: &'t mut Interface,
    pub(crate) sockets: &'t mut SocketSet<'s>,
    pub(crate) producer: &'t mut Producer<'p>,
}

impl<'a> Driver<'a> {
    /// A driver for the given sockets: as many as the producer's storage has connections, and nobody else may use them. The
    /// link counts as up until [`link_changed`](Self::link_changed) says otherwise.
    ///
    /// A connection for which there is no socket fails as [`Disconnect::Other`], again and again: a message by `defmt` or
    /// `log` says so.
    pub fn new(connections: &'a mut [Connection], options: Options) -> Self {
        Self { connections, options, next_port: FIRST_PORT | options.port_seed, link_up: true }
    }

    /// The cable was plugged or pulled, the radio joined or lost its network.
    ///
    /// While the link is down nothing is asked for and nothing is sent: no connection is begun, no name is looked up,
    /// [`turn`](Self::turn) sends no packet and wakes the board for no retransmission. Open connections stay: if the link
    /// comes back before the core's `request_timeout_ms`, they go on where they were. Call [`turn`](Self::turn) after it.
    ///
    /// Addresses need no call. While the interface has none, or only the one that IPv6 gives each card for its own link, nothing
    /// is begun either. After a change (a new DHCP lease, one that ended), the next `poll` or `turn` ends each connection whose
    /// own address is gone, and the core opens another.
    pub fn link_changed(&mut self, up: bool) {
        debug!("link is up: {}", up);
        self.link_up = up;
    }

    /// Whether the link is up, as far as the driver was told.
    #[must_use]
    pub const fn is_link_up(&self) -> bool {
        self.link_up
    }

    /// Does everything that can be done now without waiting: timeouts, what was received, what the core wants done, what is
    /// to be sent. Poll the interface before it, for what came in, and after it if something moved, for what goes out.
    /// [`turn`](Self::turn) does all that.
    pub fn poll(
        &mut self,
        now: Instant,
        iface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        producer: &mut Producer<'_>,
    ) -> Next {
        let mut hands = Hands { now, polled: true, iface, sockets, producer };
        let mut moved = false;
        for _ in 0..ROUNDS_OF_POLL {
            if !self.round(&mut hands) {
                return Next { at: self.deadline(&hands), moved };
            }
            moved = true;
            hands.polled = false;
        }
        Next { at: Some(now), moved }
    }

    /// Polls the interface and the driver by turns until nothing moves, and says when the board must call again at the
    /// latest if no packet arrives before and nothing is sent: the earliest deadline of core, smoltcp and driver. `None`:
    /// nothing is due at all.
    ///
    /// Take the producer's events after it, and call it again if that made you send something. The time may lie in the
    /// past or be `now`: then call again at once, as after a flood of packets that one call did not get to the end of.
    pub fn turn<D: Device + ?Sized>(
        &mut self,
        now: Instant,
        device: &mut D,
        iface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        producer: &mut Producer<'_>,
    ) -> Option<Instant> {
        let timestamp = to_smoltcp(now);
        iface.poll_maintenance(timestamp);
        for _ in 0..ROUNDS_OF_TURN {
            let mut moved = false;
            for _ in 0..PACKETS_PER_ROUND {
                if iface.poll_ingress_single(timestamp, device, sockets) == PollIngressSingleResult::None {
                    break;
                }
                moved = true;
            }
            let next = self.poll(now, iface, sockets, producer);
            if self.link_up {
                moved |= iface.poll_egress(timestamp, device, sockets) == PollResult::SocketStateChanged;
            }
            if !moved && !next.moved {
                return earliest(next.at, self.interface_deadline(now, iface, sockets));
            }
        }
        Some(now)
    }

    /// When smoltcp has something to do next.
    fn interface_deadline(&self, now: Instant, iface: &mut Interface, sockets: &SocketSet<'_>) -> Option<Instant> {
        if !self.link_up {
            return None; // retransmissions go nowhere; they are due at once when the link is back
        }
        let at = from_smoltcp(iface.poll_at(to_smoltcp(now), sockets)?);
        // Nothing moved although something is due: the device is full.
        Some(if at <= now { now.after(DEVICE_BUSY) } else { at })
    }

    /// When the core or one of the connections has something to do next.
    fn deadline(&self, hands: &Hands<'_, '_, '_>) -> Option<Instant> {
        let core = hands.producer.poll_timeout().map(|deadline| deadline.at);
        let asks = self.link_up && is_addressed(hands.iface);
        let own = self.connections.iter().filter_map(|connection| connection.deadline(hands.now, asks));
        own.fold(core, |first, at| earliest(first, Some(at)))
    }

    /// Moves what can be moved, and says whether anything did.
    fn round(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let mut moved = false;
        if hands.producer.poll_timeout().is_some_and(|deadline| deadline.at <= hands.now) {
            hands.producer.handle_timeout(hands.now);
            moved = true;
        }
        for index in 0..self.connections.len() {
            moved |= self.advance(index, hands);
        }
        moved |= self.take_actions(hands);
        while let Some(conn) = hands.producer.poll_writable() {
            if let Some(connection) = self.connection(conn) {
                connection.has_output = true;
            }
        }
        for connection in self.connections.iter_mut() {
            moved |= connection.write(hands);
        }
        moved
    }

    /// Goes on with one connection: what was received, what ended, what can begin.
    fn advance(&mut self, index: usize, hands: &mut Hands<'_, '_, '_>) -> bool {
        let link_up = self.link_up;
        #[cfg(feature = "dns")]
        let dns = self.options.dns;
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let closed = connection.finish_closing(hands);
        let moved = match connection.stage {
            Stage::Idle => false,
            #[cfg(feature = "dns")]
            Stage::Resolving { .. } => link_up && connection.resolve(hands, dns),
            Stage::Waiting { to } => link_up && self.connect(index, to, hands),
            Stage::Connecting => connection.watch_handshake(hands),
            Stage::Open => connection.read(hands),
        };
        closed || moved
    }

    /// Begins a TCP connection if its socket is free.
    fn connect(&mut self, index: usize, to: core::net::SocketAddr, hands: &mut Hands<'_, '_, '_>) -> bool {
        let (port, keep_alive) = (self.free_port(), self.options.keep_alive);
        self.next_port = port.wrapping_add(1) | FIRST_PORT;
        self.connections.get_mut(index).is_some_and(|connection| connection.connect(hands, to, port, keep_alive))
    }

    /// The next local port that none of the connections uses.
    fn free_port(&self) -> u16 {
        let mut port = self.next_port;
        // As many as there are connections can be in use; one more cannot.
        for _ in 0..self.connections.len() {
            if !self.connections.iter().any(|connection| connection.uses_port(port)) {
                break;
            }
            port = port.wrapping_add(1) | FIRST_PORT;
        }
        port
    }

    /// The connection that the core means, unless it is over.
    fn connection(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(conn.slot()).filter(|connection| connection.conn == Some(conn))
    }

    fn take_actions(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        let mut moved = false;
        // Each connection has one action due at a time, and a failure brings another.
        for _ in 0..=self.connections.len() {
            let Some(action) = hands.producer.poll_action() else { break };
            let (conn, stage) = match action {
                Action::Connect { conn, target: Target::Address(to), .. } => (conn, Some(Stage::Waiting { to })),
                #[cfg(feature = "dns")]
                Action::Resolve { conn, .. } if self.options.dns.is_some() => (conn, Some(Stage::asking())),
                Action::Resolve { conn, .. } | Action::Connect { conn, .. } => (conn, None),
                Action::Disconnect { conn } => {
                    self.disconnect(conn, hands);
                    moved = true;
                    continue;
                }
                _ => continue,
            };
            moved = true;
            self.begin(conn, stage, hands);
        }
        moved
    }

    /// The core wants a connection. Without a stage to begin with, it is a name that nobody here can look up.
    fn begin(&mut self, conn: ConnId, stage: Option<Stage>, hands: &mut Hands<'_, '_, '_>) {
        let why = match (self.connections.get_mut(conn.slot()), stage) {
            (Some(connection), Some(stage)) => {
                connection.conn = Some(conn);
                connection.has_output = false;
                connection.stage = stage;
                return;
            }
            (Some(_), None) => Disconnect::Dns,
            (None, _) => {
                warning!("slot {} has no socket", conn.slot());
                Disconnect::Other
            }
        };
        hands.producer.handle_disconnected(hands.now, conn, why);
    }

    fn disconnect(&mut self, conn: ConnId, hands: &mut Hands<'_, '_, '_>) {
        #[cfg(feature = "dns")]
        let dns = self.options.dns;
        let Some(connection) = self.connection(conn) else { return };
        debug!("slot {}: the core closes the connection", conn.slot());
        #[cfg(feature = "dns")]
        connection.cancel_query(hands, dns);
        connection.close(hands);
    }
}

/// The earlier of two times, either of which may be never.
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::iface::SocketSet;
    use smoltcp::socket::tcp::{Socket, SocketBuffer};
    use smoltcp::wire::{IpAddress, IpEndpoint};

    /// After 2¹⁴ connections the ports begin anew, and an old connection may still have one.
    #[test]
    fn ports_in_use_are_passed_over() {
        let mut places = [const { smoltcp::iface::SocketStorage::EMPTY }; 2];
        let mut sockets = SocketSet::new(&mut places[..]);
        let (mut rx, mut tx) = ([0; 16], [0; 16]);
        let handle = sockets.add(Socket::new(SocketBuffer::new(&mut rx[..]), SocketBuffer::new(&mut tx[..])));
        let mut connections = [Connection::new(handle), Connection::new(handle), Connection::new(handle)];
        for (connection, port) in connections.iter_mut().zip([65_535, FIRST_PORT]) {
            connection.local = Some(IpEndpoint::new(IpAddress::v4(10, 0, 0, 2), port));
        }
        let mut options = Options::new();
        options.port_seed = 0xffff;
        let driver = Driver::new(&mut connections, options);
        assert_eq!(driver.next_port, 65_535);
        assert_eq!(driver.free_port(), FIRST_PORT + 1);
    }
}
