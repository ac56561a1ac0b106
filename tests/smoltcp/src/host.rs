//! The other end of the wire: the brokers' ports and a name server.

use klamm_sim::world::Random;
use klamm_sim::{Cluster, ConnectionId};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::wire::Card;
use crate::{FIRST_PORT, HOST};

/// Sockets per broker: one more connection than the board has may be closing.
const SOCKETS_PER_BROKER: usize = 6;
const BUFFER: usize = 16 << 10;

/// What the name server knows.
#[derive(Debug, Default)]
pub struct Names {
    /// Names and their addresses; any other name does not exist.
    pub known: BTreeMap<String, Vec<Ipv4Addr>>,
    /// It answers nobody.
    pub silent: bool,
    /// Questions that reached it.
    pub asked: u32,
}

/// The machine that all brokers run on.
pub struct Host {
    /// The name server.
    pub names: Names,
    pub(crate) card: Card,
    iface: Interface,
    sockets: SocketSet<'static>,
    ports: Vec<Port>,
    name_server: SocketHandle,
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
        });
        let mut sockets = SocketSet::new(Vec::new());
        let ports = (1..=brokers as i32).flat_map(|broker| [broker; SOCKETS_PER_BROKER]).map(|broker| {
            let buffer = || SocketBuffer::new(vec![0; BUFFER]);
            let mut socket = Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            Port { handle: sockets.add(socket), broker, connection: None, out: Vec::new() }
        });
        let ports = ports.collect();
        let packets = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 4096]);
        let mut server = udp::Socket::new(packets(), packets());
        server.bind(53).expect("the port is free");
        let name_server = sockets.add(server);
        Self { names: Names::default(), card, iface, sockets, ports, name_server, farewells: 0, never_closes: false }
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
            self.answer_names();
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

    fn answer_names(&mut self) {
        let server = self.sockets.get_mut::<udp::Socket<'_>>(self.name_server);
        while let Ok((question, from)) = server.recv() {
            self.names.asked += 1;
            let answer = self.names.answer(question);
            if let Some(answer) = answer {
                server.send_slice(&answer, from).expect("there is room");
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
        }
        if let Some(connection) = self.connection {
            while socket.can_recv() {
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

impl Names {
    /// The answer to a question for an address, as RFC 1035 has it.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        if self.silent || question.len() < 12 {
            return None;
        }
        let mut name = String::new();
        let mut at = 12;
        while let Some(&length) = question.get(at).filter(|length| **length > 0) {
            let label = question.get(at + 1..at + 1 + usize::from(length))?;
            name += if name.is_empty() { "" } else { "." };
            name += std::str::from_utf8(label).ok()?;
            at += 1 + usize::from(length);
        }
        let addresses = self.known.get(&name);
        let count = addresses.map_or(0, Vec::len) as u8;
        let mut answer = question[..at + 5].to_vec();
        // A response, recursion available; NXDOMAIN if nobody has that name.
        answer[2..4].copy_from_slice(&[0x81, if addresses.is_some() { 0x80 } else { 0x83 }]);
        answer[6..8].copy_from_slice(&[0, count]);
        for address in addresses.into_iter().flatten() {
            // The question's name; type A, class IN, a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
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

/// An address as smoltcp has it.
pub(crate) fn address(octets: [u8; 4]) -> IpAddress {
    Ipv4Addr::from(octets).into()
}
