//! The other end of the wire: the brokers' ports, a name server, and one that gives addresses.

use klamm_sim::world::Random;
use klamm_sim::{Cluster, ConnectionId};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use std::net::Ipv4Addr;

use crate::leases::Leases;
use crate::names::Names;
use crate::wire::Card;
use crate::{FIRST_PORT, HOST, HOST6};

/// Sockets per broker: as many more connections as the board has may be closing, or be left over from an address that it had.
const SOCKETS_PER_BROKER: usize = 6;
const BUFFER: usize = 16 << 10;

/// The machine that all brokers run on.
pub struct Host {
    /// The name server.
    pub names: Names,
    /// The DHCP server.
    pub leases: Leases,
    pub(crate) card: Card,
    iface: Interface,
    sockets: SocketSet<'static>,
    ports: Vec<Port>,
    name_server: SocketHandle,
    lease_server: SocketHandle,
    /// Connections that ended with a FIN of the board's.
    pub farewells: u32,
    /// Brokers acknowledge a FIN of the board's and never send their own.
    pub never_closes: bool,
}

/// A listening socket of a broker, or a connection that came of it.
struct Port {
    handle: SocketHandle,
    broker: i32,
    connection: Option<ConnectionId>,
    /// When something came last.
    heard_ms: u64,
    /// Answers that the socket did not take yet.
    out: Vec<u8>,
}

impl Host {
    pub(crate) fn new(brokers: u32, random: &mut Random) -> Self {
        let mut card = Card::new(usize::MAX);
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
        config.random_seed = random.draw();
        let mut iface = Interface::new(config, &mut card, Instant::ZERO);
        iface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(Ipv4Addr::from(HOST).into(), 24)).expect("there is room");
            addresses.push(IpCidr::new(HOST6.into(), 64)).expect("there is room");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let ports = (1..=brokers as i32).flat_map(|broker| [broker; SOCKETS_PER_BROKER]).map(|broker| {
            let buffer = || SocketBuffer::new(vec![0; BUFFER]);
            let mut socket = Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            Port { handle: sockets.add(socket), broker, connection: None, heard_ms: 0, out: Vec::new() }
        });
        let ports = ports.collect();
        let mut server = |port: u16| {
            let packets = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 4096]);
            let mut server = udp::Socket::new(packets(), packets());
            server.bind(port).expect("the port is free");
            sockets.add(server)
        };
        let (name_server, lease_server) = (server(53), server(67));
        let (names, leases) = (Names::default(), Leases::new());
        let (farewells, never_closes) = (0, false);
        Self { names, leases, card, iface, sockets, ports, name_server, lease_server, farewells, never_closes }
    }

    /// Does all that can be done now.
    pub(crate) fn turn(&mut self, now_us: u64, cluster: &mut Cluster) {
        let timestamp = Instant::from_micros(now_us as i64);
        loop {
            let mut moved = self.iface.poll(timestamp, &mut self.card, &mut self.sockets) != PollResult::None;
            for port in &mut self.ports {
                let socket = self.sockets.get::<Socket<'_>>(port.handle);
                if !(self.never_closes && socket.state() == State::CloseWait) {
                    moved |= port.turn(now_us / 1000, cluster, &mut self.sockets, &mut self.farewells);
                }
            }
            self.make_room();
            self.serve();
            if !moved {
                return;
            }
        }
    }

    pub(crate) fn next(&mut self, now_us: u64) -> Option<u64> {
        let at = self.iface.poll_at(Instant::from_micros(now_us as i64), &self.sockets)?;
        Some((at.total_micros() as u64).max(now_us + 1))
    }

    /// The machine forgets all connections without a word, as if its power had failed for a moment.
    pub fn forget_connections(&mut self, cluster: &mut Cluster) {
        for port in &mut self.ports {
            let socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
            *self.sockets.get_mut::<Socket<'_>>(port.handle) = socket;
            port.out.clear();
            port.connection.take().into_iter().for_each(|connection| cluster.disconnect(connection));
        }
    }

    /// A broker whose sockets are all taken gives up the connection that has been silent for longest: a board that lost its address
    /// could not say goodbye. Real brokers do so after a while.
    fn make_room(&mut self) {
        for taken in self.ports.chunk_by_mut(|one, next| one.broker == next.broker) {
            let is_taken = |port: &Port| self.sockets.get::<Socket<'_>>(port.handle).state() != State::Listen;
            if taken.iter().all(|port| port.connection.is_some() && is_taken(port))
                && let Some(port) = taken.iter().min_by_key(|port| port.heard_ms)
            {
                self.sockets.get_mut::<Socket<'_>>(port.handle).abort();
            }
        }
    }

    /// Answers those who ask for names and addresses.
    fn serve(&mut self) {
        let server = self.sockets.get_mut::<udp::Socket<'_>>(self.name_server);
        while let Ok((question, from)) = server.recv() {
            self.names.asked += 1;
            let answer = self.names.answer(question);
            if let Some(answer) = answer {
                server.send_slice(&answer, from).expect("there is room");
            }
        }
        let server = self.sockets.get_mut::<udp::Socket<'_>>(self.lease_server);
        while let Ok((message, _)) = server.recv() {
            if let Some((answer, to)) = self.leases.answer(message) {
                server.send_slice(&answer, to).expect("there is room");
            }
        }
    }
}

impl Port {
    fn turn(&mut self, now_ms: u64, cluster: &mut Cluster, sockets: &mut SocketSet<'_>, farewells: &mut u32) -> bool {
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        let before = (socket.state(), socket.send_queue(), self.connection);
        if !socket.is_open() {
            self.out.clear();
            self.connection.take().into_iter().for_each(|connection| cluster.disconnect(connection));
            if cluster.is_alive(self.broker) {
                socket.listen(FIRST_PORT + self.broker as u16 - 1).expect("the socket is closed");
            }
        } else if !cluster.is_alive(self.broker) {
            // What is sent to a port where nobody listens is refused by smoltcp itself.
            socket.abort();
            self.out.clear();
            self.connection.take().into_iter().for_each(|connection| cluster.disconnect(connection));
        }
        if self.connection.is_none() && socket.may_send() && socket.state() == State::Established {
            self.connection = cluster.connect(now_ms, self.broker);
            self.heard_ms = now_ms;
        }
        if let Some(connection) = self.connection {
            while socket.can_recv() {
                self.heard_ms = now_ms;
                let take = |bytes: &mut [u8]| (bytes.len(), cluster.receive(now_ms, connection, bytes));
                socket.recv(take).expect("it can receive");
            }
            let is_open = cluster.transmit(now_ms, connection, &mut self.out);
            if socket.can_send() {
                let taken = socket.send_slice(&self.out).expect("it can send");
                self.out.drain(..taken);
            }
            if !is_open || !socket.may_recv() {
                *farewells += u32::from(socket.state() == State::CloseWait);
                socket.close();
                cluster.disconnect(connection);
                self.connection = None;
            }
        } else if socket.state() == State::CloseWait {
            socket.close();
        }
        before != (socket.state(), socket.send_queue(), self.connection)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let states =
            self.ports.iter().map(|port| match self.sockets.get::<Socket<'_>>(port.handle).remote_endpoint() {
                Some(remote) => format!("{}: {remote}", port.broker),
                None => String::new(),
            });
        f.debug_list().entries(states.filter(|state| !state.is_empty())).finish()
    }
}
