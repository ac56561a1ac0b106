//! The board: a stack of its own, the driver, a producer, and an account of when it was awake.

use klamm_core::{Instant, Producer};
use klamm_sim::world::Random;
use klamm_smoltcp::{Connection, Driver, Options};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::socket::{dhcpv4, dns};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::application::Application;
use crate::wire::Card;
use crate::{HOST, HOST6, Setup};

/// The board.
pub struct Board {
    /// What sends.
    pub application: Application,
    /// The producer.
    pub producer: Producer<'static>,
    /// What is being tested.
    pub driver: Driver<'static>,
    /// Times that it woke up although no packet came and no reading was due.
    pub wakeups: u64,
    /// Of those, the ones at which nothing at all moved.
    pub idle_wakeups: u64,
    pub(crate) card: Card,
    iface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    dhcp: Option<SocketHandle>,
    dns: Option<SocketHandle>,
    wake: Option<u64>,
}

impl Board {
    pub(crate) fn new(
        setup: &Setup,
        producer: Producer<'static>,
        application: Application,
        random: &mut Random,
    ) -> Self {
        let mut card = Card::new(setup.card_room);
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
        config.random_seed = random.draw();
        let iface = Interface::new(config, &mut card, smoltcp::time::Instant::ZERO);
        let mut sockets = SocketSet::new(Vec::new());
        let handles: Vec<_> = (0..setup.sockets)
            .map(|_| {
                let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
                sockets.add(Socket::new(buffer(setup.receive_bytes), buffer(setup.transmit_bytes)))
            })
            .collect();
        let mut options = Options::new();
        options.port_seed = random.draw() as u16;
        options.keep_alive = setup.keep_alive;
        if setup.dns {
            let queries: Vec<Option<dns::DnsQuery>> = vec![None];
            // One query for all connections: those that ask second wait. A slice, since smoltcp lets a `Vec` grow.
            let queries = Vec::leak(queries);
            let server = if setup.address { Ipv4Addr::from(HOST).into() } else { IpAddress::from(HOST6) };
            options.dns = Some(sockets.add(dns::Socket::new(&[server][usize::from(setup.dhcp)..], queries)));
        }
        let dhcp = setup.dhcp.then(|| sockets.add(dhcpv4::Socket::new()));
        let connections: Vec<_> = handles.iter().map(|handle| Connection::new(*handle)).collect();
        let driver = Driver::new(Vec::leak(connections), options);
        Self {
            application,
            producer,
            driver,
            wakeups: 0,
            idle_wakeups: 0,
            card,
            iface,
            sockets,
            handles,
            dhcp,
            dns: options.dns,
            wake: Some(0),
        }
    }

    /// What a DHCP client does with a lease, or with its end.
    pub fn set_address(&mut self, octets: Option<[u8; 4]>) {
        let address = octets.map(|octets| IpCidr::new(Ipv4Addr::from(octets).into(), 24));
        self.replace(|old| matches!(old, IpCidr::Ipv4(_)), address);
    }

    /// The same for IPv6: an address that a router's word gave, or took.
    pub fn set_address6(&mut self, address: Option<Ipv6Addr>) {
        self.replace(|old| matches!(old, IpCidr::Ipv6(_)), address.map(|address| IpCidr::new(address.into(), 64)));
    }

    fn replace(&mut self, is_old: impl Fn(&IpCidr) -> bool, new: Option<IpCidr>) {
        self.iface.update_ip_addrs(|addresses| {
            addresses.retain(|address| !is_old(address));
            addresses.extend(new);
        });
        self.wake = Some(0);
    }

    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddress> {
        self.iface.ip_addrs().iter().map(IpCidr::address).collect()
    }

    /// Hears whether its DHCP client has news, and does what they say.
    fn poll_lease(&mut self) -> bool {
        let Some(dhcp) = self.dhcp else { return false };
        let Some(event) = self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() else { return false };
        let lease = match event {
            dhcpv4::Event::Configured(config) => Some((config.address, config.dns_servers)),
            dhcpv4::Event::Deconfigured => None,
        };
        if let (Some((_, servers)), Some(dns)) = (&lease, self.dns) {
            let servers: Vec<IpAddress> = servers.iter().map(|server| (*server).into()).collect();
            self.sockets.get_mut::<dns::Socket<'_>>(dns).update_servers(&servers);
        }
        self.set_address(lease.map(|(address, _)| address.address().octets()));
        true
    }

    /// Tells the driver of the link.
    pub fn set_link(&mut self, up: bool) {
        self.driver.link_changed(up);
        self.wake = Some(0);
    }

    /// How many frames its card takes at a time from now on; none while something else uses the bus, for instance.
    pub fn set_card_room(&mut self, frames: usize) {
        self.card.room = frames;
    }

    /// It looks at everything in the next turn; a command was given, for instance.
    pub fn wake(&mut self) {
        self.wake = Some(0);
    }

    /// What its sockets are doing.
    #[must_use]
    pub fn socket_states(&self) -> Vec<smoltcp::socket::tcp::State> {
        self.handles.iter().map(|handle| self.sockets.get::<Socket<'_>>(*handle).state()).collect()
    }

    /// When it wakes up by itself.
    pub(crate) fn next(&self, now_us: u64) -> Option<u64> {
        let due = self.application.next().filter(|at| *at > now_us);
        self.wake.into_iter().chain(due).min()
    }

    /// As a main loop: awake if a packet came, a reading is due, or its deadline is reached.
    pub(crate) fn turn(&mut self, now_us: u64) {
        let now = Instant::from_micros(now_us);
        let (packet, deadline) = (!self.card.received.is_empty(), self.wake.is_some_and(|at| at <= now_us));
        let mut sent = self.application.send(&mut self.producer, now);
        if !packet && !deadline && !sent {
            return;
        }
        let quiet = (*self.producer.stats(), self.card.sent.len(), self.socket_states());
        let by_itself = !packet && !sent && self.wake != Some(0);
        for _ in 0..10_000 {
            let wake = self.driver.turn(now, &mut self.card, &mut self.iface, &mut self.sockets, &mut self.producer);
            self.wake = wake.map(Instant::as_micros);
            // A lease that came or went is a reason to look at all connections.
            let heard = self.application.listen(&mut self.producer) | self.poll_lease();
            sent = heard && self.application.send(&mut self.producer, now);
            if !heard && !sent {
                self.wakeups += u64::from(by_itself);
                let unmoved = quiet == (*self.producer.stats(), self.card.sent.len(), self.socket_states());
                self.idle_wakeups += u64::from(by_itself && unmoved);
                return;
            }
        }
        panic!("the board never sleeps: {self:#?}");
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut board = f.debug_struct("Board");
        board.field("wake", &self.wake).field("driver", &self.driver).field("sockets", &self.socket_states());
        board.field("deadline", &self.producer.poll_timeout()).field("stats", self.producer.stats());
        board.field("problems", &self.application.problems).finish_non_exhaustive()
    }
}
