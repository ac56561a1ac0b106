//! Board, wire and cluster, from event to event.

use klamm_core::{Config, Instant, Limits, Producer, Storage};
use klamm_sim::world::Random;
use klamm_sim::{Cluster, ClusterOptions};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::application::Application;
use crate::board::Board;
use crate::host::Host;
use crate::wire::{End, Faults, Wire};
use crate::{BOARD, BOARD6, FIRST_PORT, HOST, TOPIC};

/// What a world is like at its beginning.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// The wire's faults.
    pub faults: Faults,
    /// Brokers of the cluster.
    pub brokers: u32,
    /// Partitions of the topic.
    pub partitions: u32,
    /// The host that brokers advertise: an address, or a name.
    pub host: String,
    /// The board has a DNS socket, and the name server knows the brokers' name.
    pub dns: bool,
    /// The board has an IPv4 address from the beginning.
    pub address: bool,
    /// And an IPv6 one.
    pub address6: bool,
    /// It asks for an IPv4 address by DHCP.
    pub dhcp: bool,
    /// TCP sockets of the board, one for each connection of its core.
    pub sockets: usize,
    /// Bytes of a socket's receive buffer.
    pub receive_bytes: usize,
    /// Bytes of a socket's transmit buffer.
    pub transmit_bytes: usize,
    /// Frames that the board's card takes at a time.
    pub card_room: usize,
    /// [`klamm_smoltcp::Options::keep_alive`].
    pub keep_alive: Option<Duration>,
    /// Readings to send.
    pub records: u32,
    /// Microseconds from one to the next.
    pub interval_us: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Changes settings of the producer.
    pub configure: fn(&mut Config<'static>),
}

impl Setup {
    /// A small board on a good wire, and three brokers at one address.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: Faults::none(),
            brokers: 3,
            partitions: 6,
            host: Ipv4Addr::from(HOST).to_string(),
            dns: false,
            address: true,
            address6: false,
            dhcp: false,
            sockets: 3,
            receive_bytes: 1024,
            transmit_bytes: 2048,
            card_room: usize::MAX,
            keep_alive: None,
            records: 500,
            interval_us: 5_000,
            value_bytes: 40,
            configure: |_| {},
        }
    }
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// What is tested.
    pub board: Board,
    /// The wire.
    pub wire: Wire,
    /// The brokers' machine.
    pub host: Host,
    /// The brokers.
    pub cluster: Cluster,
    now_us: u64,
}

impl World {
    /// A world at its beginning.
    ///
    /// # Panics
    /// If the settings are none that the producer takes.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let options = ClusterOptions {
            brokers: setup.brokers,
            host: setup.host.clone(),
            base_port: FIRST_PORT,
            seed: random.draw(),
            ..ClusterOptions::default()
        };
        let mut cluster = Cluster::new(options);
        cluster.create_topic(TOPIC, setup.partitions);
        let mut host = Host::new(setup.brokers, &mut random);
        if setup.dns {
            host.names.known.insert(setup.host.clone(), vec![HOST.into()]);
        }
        let mut producer = new_producer(setup, &cluster, &mut random);
        let application = Application::new(&mut producer, setup.records, setup.interval_us, setup.value_bytes);
        let mut board = Board::new(setup, producer, application, &mut random);
        if setup.address {
            board.set_address(Some(BOARD));
        }
        if setup.address6 {
            board.set_address6(Some(BOARD6));
        }
        let wire = Wire::new(setup.faults.clone(), random.fork());
        Self { board, wire, host, cluster, now_us: 0 }
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Lets `ms` milliseconds pass.
    pub fn run_for(&mut self, ms: u64) {
        let end = self.now_us + ms * 1000;
        while self.step(end) {}
    }

    /// Lets time pass until something is true.
    ///
    /// # Panics
    /// If that takes more than `limit_ms`.
    pub fn run_until(&mut self, limit_ms: u64, mut is_true: impl FnMut(&Self) -> bool) {
        let end = self.now_us + limit_ms * 1000;
        while !is_true(self) {
            assert!(self.step(end), "not within {limit_ms} ms: {:#?} {:#?}", self.board, self.host);
        }
    }

    /// Lets time pass until every reading was sent and has its outcome, and compares all of them with the log.
    ///
    /// # Panics
    /// If one was not delivered, or that takes more than `limit_ms`.
    pub fn deliver_all(&mut self, limit_ms: u64) {
        self.run_until(limit_ms, |world| world.board.application.is_done());
        self.board.application.verify_all_delivered(&self.cluster);
    }

    /// Compares every outcome with the log.
    ///
    /// # Panics
    /// If they do not agree.
    pub fn verify(&self) {
        self.board.application.verify(&self.cluster);
    }

    /// The link goes down, or comes up; `told`: the board notices.
    pub fn set_link(&mut self, up: bool, told: bool) {
        self.wire.cut = !up;
        if told {
            self.board.set_link(up);
        }
    }

    /// Goes on to the next thing that happens before `end_us`. False: nothing does, and it is `end_us` now.
    fn step(&mut self, end_us: u64) -> bool {
        let cluster_ms = [self.cluster.next_due(), self.cluster.next_event()].into_iter().flatten().min();
        let times = [
            self.wire.next(),
            self.board.next(self.now_us),
            self.host.next(self.now_us),
            // The cluster's clock has milliseconds.
            cluster_ms.map(|at| (at * 1000).max(self.now_us + 1)),
        ];
        let next = times.into_iter().flatten().min().unwrap_or(u64::MAX).max(self.now_us);
        if next > end_us {
            self.now_us = end_us;
            return false;
        }
        self.now_us = next;
        self.wire.deliver(self.now_us, &mut self.board.card, &mut self.host.card);
        self.cluster.advance(self.now_us / 1000);
        self.host.turn(self.now_us, &mut self.cluster);
        self.wire.take(self.now_us, End::Host, &mut self.host.card);
        self.board.turn(self.now_us);
        self.wire.take(self.now_us, End::Board, &mut self.board.card);
        true
    }
}

fn new_producer(setup: &Setup, cluster: &Cluster, random: &mut Random) -> Producer<'static> {
    let limits = Limits {
        buffer_memory: 16 << 10,
        block_size: 256,
        batches: 16,
        partitions: 8,
        topics: 1,
        brokers: setup.brokers as usize,
        connections: setup.sockets,
        topic_bytes: 64,
        host_bytes: 64,
        scratch_bytes: 160,
    };
    // An IPv6 address is told in brackets where a port follows it.
    let brackets = if setup.host.parse::<Ipv6Addr>().is_ok() { ["[", "]"] } else { [""; 2] };
    let servers = cluster.brokers().map(|broker| cluster.address(broker));
    let servers: Vec<String> =
        servers.map(|(host, port)| format!("{}{host}{}:{port}", brackets[0], brackets[1])).collect();
    let mut config = Config::new(servers.join(","));
    config.batch_size = 1024;
    (setup.configure)(&mut config);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&random.draw().to_le_bytes());
    Producer::new(config, Storage::heap(&limits), seed, Instant::ZERO).expect("the settings are legal")
}
