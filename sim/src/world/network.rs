//! The network between producer and cluster: names, latencies, pieces, and everything that can go wrong.

use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// How many bytes move at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// All there are.
    Whole,
    /// This many.
    Fixed(usize),
    /// One to this many, anew each time.
    Random(usize),
}

impl Pieces {
    pub(crate) fn take(self, random: &mut Random, available: usize) -> usize {
        let most = match self {
            Self::Whole => available,
            Self::Fixed(most) => most,
            Self::Random(most) => 1 + random.below(most.max(1) as u64) as usize,
        };
        most.clamp(1, available.max(1)).min(available)
    }
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the producer to a broker.
    ToBroker,
    /// From a broker to the producer.
    ToClient,
}

/// Breaks one connection at an exact byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which connection, counted from 1 over all that were opened.
    pub connection: u64,
    /// In which direction bytes are counted.
    pub direction: Direction,
    /// How many bytes still arrive.
    pub after: u64,
}

/// Changes one byte on its way to the producer: a peer gone mad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// Which connection, counted from 1 over all that were opened.
    pub connection: u64,
    /// Which byte of all that arrive on it, from 0.
    pub at: u64,
    /// The bits that change.
    pub mask: u8,
}

/// The network's behaviour. Every field may be changed at any time.
///
/// The default is a good one: half a millisecond each way, nothing lost, whole pieces.
#[derive(Debug, Clone)]
pub struct Network {
    /// One way, for each segment; segments of a connection keep their order.
    pub latency_us: RangeInclusive<u64>,
    /// The same from brokers to the producer; `None` is as the other way.
    pub latency_back_us: Option<RangeInclusive<u64>>,
    /// How many bytes a connection carries per millisecond and direction; 0 is no limit.
    pub bandwidth_bytes_per_ms: u64,
    /// Segments that arrive together with those of their connection which are on the way in front of them, in permille.
    pub coalesce_permille: u32,
    /// From the wish to connect to the open stream.
    pub connect_us: RangeInclusive<u64>,
    /// From the question to the addresses.
    pub resolve_us: RangeInclusive<u64>,
    /// How much a socket takes at a time: less than offered is a short write.
    pub write: Pieces,
    /// After a short write the socket is full for this long.
    pub write_pause_us: u64,
    /// How much the producer is handed at a time.
    pub read: Pieces,
    /// Whether bytes are taken through `poll_transmit_vectored`, in permille of writes.
    pub vectored_permille: u32,
    /// Connections that are refused.
    pub refuse_permille: u32,
    /// Connections whose opening is never answered.
    pub hang_permille: u32,
    /// Names that cannot be resolved.
    pub dns_failure_permille: u32,
    /// No name can be resolved before this time, in microseconds of the world's clock.
    pub dns_down_until_us: u64,
    /// Segments at which a connection breaks, in either direction.
    pub reset_permille: u32,
    /// Segments that stall their direction.
    pub stall_permille: u32,
    /// For how long.
    pub stall_us: RangeInclusive<u64>,
    /// Whether bytes that a closed connection had sent still arrive at the broker, in permille of closed connections: the
    /// late arrivals that make duplicates.
    pub late_arrival_permille: u32,
    /// Names and their addresses, in the resolver's order. Names that are missing cannot be resolved.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Addresses, and the host of the cluster that listens there. Nobody listens at the others.
    pub hosts: BTreeMap<IpAddr, String>,
    /// Connections that break at an exact byte.
    pub cuts: Vec<Cut>,
    /// Bytes that change on their way.
    pub flips: Vec<Flip>,
    /// Brokers that nothing reaches: see [`block_to`](Self::block_to).
    pub blocked_to: BTreeSet<i32>,
    /// Brokers from which nothing comes: see [`block_from`](Self::block_from).
    pub blocked_from: BTreeSet<i32>,
    /// After this many microseconds, bytes on a connection that the other end forgot are answered with a reset; `None`:
    /// they never are. See [`World::forget_connections`](super::World::forget_connections).
    pub forgotten_reset_us: Option<u64>,
    /// Brokers to which connections are refused.
    pub refused: BTreeSet<i32>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency_us: 500..=500,
            latency_back_us: None,
            bandwidth_bytes_per_ms: 0,
            coalesce_permille: 0,
            connect_us: 1000..=1000,
            resolve_us: 200..=200,
            write: Pieces::Whole,
            write_pause_us: 0,
            read: Pieces::Whole,
            vectored_permille: 0,
            refuse_permille: 0,
            hang_permille: 0,
            dns_failure_permille: 0,
            dns_down_until_us: 0,
            reset_permille: 0,
            stall_permille: 0,
            stall_us: 0..=0,
            late_arrival_permille: 1000,
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            cuts: Vec::new(),
            flips: Vec::new(),
            blocked_to: BTreeSet::new(),
            blocked_from: BTreeSet::new(),
            forgotten_reset_us: None,
            refused: BTreeSet::new(),
        }
    }
}

impl Network {
    /// Holds back every byte to and from a broker, and lets connections to it hang: a cable that was pulled. Bytes that
    /// were held back arrive once it is unblocked.
    pub fn block(&mut self, broker: i32) {
        self.block_to(broker);
        self.block_from(broker);
    }

    /// The same in one direction: nothing reaches the broker. What it says still arrives; connections hang.
    pub fn block_to(&mut self, broker: i32) {
        self.blocked_to.insert(broker);
    }

    /// The same in the other one: the broker hears everything, and nobody hears it; connections hang.
    pub fn block_from(&mut self, broker: i32) {
        self.blocked_from.insert(broker);
    }

    /// Plugs the cable in again, both ways.
    pub fn unblock(&mut self, broker: i32) {
        self.blocked_to.remove(&broker);
        self.blocked_from.remove(&broker);
    }

    /// Refuses connections to a broker, as a host on which it does not run.
    pub fn refuse(&mut self, broker: i32) {
        self.refused.insert(broker);
    }

    /// Lets connections to a broker through again.
    pub fn admit(&mut self, broker: i32) {
        self.refused.remove(&broker);
    }

    /// Ends every misbehaviour; latencies, bandwidth and names stay. Connections that the other end forgot are dead for
    /// good, but the next byte on one of them finds that out.
    pub fn heal(&mut self) {
        self.refuse_permille = 0;
        self.hang_permille = 0;
        self.dns_failure_permille = 0;
        self.dns_down_until_us = 0;
        self.reset_permille = 0;
        self.stall_permille = 0;
        self.cuts.clear();
        self.flips.clear();
        self.blocked_to.clear();
        self.blocked_from.clear();
        self.forgotten_reset_us.get_or_insert(0);
        self.refused.clear();
    }

    /// Makes `name` known, at addresses where the cluster's `host` listens.
    pub fn name(&mut self, name: &str, addresses: &[IpAddr], host: &str) {
        self.names.insert(name.to_owned(), addresses.to_vec());
        for address in addresses {
            self.hosts.insert(*address, host.to_owned());
        }
    }

    /// Gives a host of the cluster other addresses under all its names; nobody listens at the old ones any more.
    /// Connections stay.
    pub fn move_host(&mut self, host: &str, addresses: &[IpAddr]) {
        let hosts = &self.hosts;
        let leads_there = |address: &IpAddr| hosts.get(address).is_some_and(|there| there == host);
        let names: Vec<String> =
            self.names.iter().filter(|(_, at)| at.iter().any(leads_there)).map(|(name, _)| name.clone()).collect();
        self.hosts.retain(|_, there| there != host);
        for name in names {
            self.name(&name, addresses, host);
        }
    }

    /// Makes a host of the cluster known under its own name, at an address of its own.
    pub(crate) fn name_host(&mut self, host: &str) {
        if host.parse::<IpAddr>().is_ok() || self.names.contains_key(host) {
            return;
        }
        // 10.0.0.0/8 has more addresses than anybody has hosts.
        let mut free =
            (0x0a00_0001 + self.names.len() as u32..0x0aff_ffff).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        if let Some(address) = free.find(|address| !self.hosts.contains_key(address)) {
            self.name(host, &[address], host);
        }
    }

    pub(crate) fn is_blocked_to(&self, broker: Option<i32>) -> bool {
        !self.blocked_to.is_empty() && broker.is_some_and(|broker| self.blocked_to.contains(&broker))
    }

    pub(crate) fn is_blocked_from(&self, broker: Option<i32>) -> bool {
        !self.blocked_from.is_empty() && broker.is_some_and(|broker| self.blocked_from.contains(&broker))
    }

    pub(crate) fn latency(&self, direction: Direction) -> &RangeInclusive<u64> {
        match (&self.latency_back_us, direction) {
            (Some(back), Direction::ToClient) => back,
            _ => &self.latency_us,
        }
    }

    pub(crate) fn is_refused(&self, broker: i32) -> bool {
        self.refused.contains(&broker)
    }
}
