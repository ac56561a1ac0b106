//! The board: a stack of its own, the driver, a producer, and an account of when it was awake.

use klamm_core::{Instant, Producer};
use klamm_sim::world::Random;
use klamm_smoltcp::{Connection, Driver, Options};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::dns;
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{EthernetAddress, IpCidr};
use std::net::Ipv4Addr;

use crate::application::Application;
use crate::host::address;
use crate::wire::Card;
use crate::{HOST, Setup};

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
            options.dns = Some(sockets.add(dns::Socket::new(&[address(HOST)], queries)));
        }
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
            wake: Some(0),
        }
    }

    /// What a DHCP client does with a lease, or with its end.
    pub fn set_address(&mut self, octets: Option<[u8; 4]>) {
        self.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.extend(octets.map(|octets| IpCidr::new(Ipv4Addr::from(octets).into(), 24)));
        });
        self.wake = Some(0);
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
            let heard = self.application.listen(&mut self.producer);
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
