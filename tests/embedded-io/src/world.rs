//! Time, the network and the cluster behind it.

use klamm_core::Instant;
use klamm_embedded_io::Clock;
use klamm_sim::world::Random;
use klamm_sim::{Cluster, ClusterOptions, ConnectionId};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::sockets::{SimDns, SimTcp};

/// What the network is like.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Microseconds that bytes, and each half of a handshake, are under way.
    pub latency_us: RangeInclusive<u64>,
    /// Bytes that one read gives at most.
    pub read: RangeInclusive<u64>,
    /// Bytes that one write takes at most.
    pub write: RangeInclusive<u64>,
    /// Bytes under way to a broker at most; a socket's send buffer.
    pub window: usize,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency_us: 200..=2000, read: 1..=2000, write: 1..=2000, window: 2048 }
    }
}

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The broker decides.
    Open,
    /// Nobody listens.
    Refusing,
    /// Nobody answers.
    Silent,
}

/// The brokers' address.
pub const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

/// A handle to everything outside the application.
#[derive(Clone, Debug)]
pub struct World(Rc<RefCell<WorldState>>);

/// What is outside the application.
#[derive(Debug)]
pub struct WorldState {
    /// Microseconds since the start.
    pub now_us: u64,
    /// The brokers.
    pub cluster: Cluster,
    /// What is drawn.
    pub random: Random,
    /// What the network is like.
    pub weather: Weather,
    /// What becomes of attempts to connect to an address; others go nowhere.
    pub reach: BTreeMap<IpAddr, Reach>,
    /// What the resolver knows; it gives the addresses of a name in turns.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// The resolver answers nobody.
    pub names_silent: bool,
    /// Questions to the resolver.
    pub asked: usize,
    /// Attempts to connect.
    pub attempts: usize,
    /// Sockets that are open or opening.
    pub sockets: usize,
    /// The most of them at a time.
    pub most_sockets: usize,
    pub(crate) links: BTreeMap<u64, Link>,
    links_made: u64,
    sleepers: BTreeMap<(u64, u64), Waker>,
    naps: u64,
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Link {
    connection: ConnectionId,
    up: VecDeque<(u64, Vec<u8>)>,
    /// An empty piece is the broker's end.
    down: VecDeque<(u64, Vec<u8>)>,
    pub(crate) inbox: VecDeque<u8>,
    pub(crate) ended: bool,
    end_sent: bool,
    /// Everything vanishes, either way.
    swallows: bool,
    pub(crate) under_way: usize,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    abandoned: bool,
}

impl World {
    /// A cluster with the topic in four partitions, and a network.
    #[must_use]
    pub fn new(seed: u64, brokers: u32, weather: Weather) -> Self {
        let mut cluster = Cluster::new(ClusterOptions { brokers, seed, ..ClusterOptions::default() });
        cluster.create_topic(crate::TOPIC, 4);
        let names = [("broker.sim".to_owned(), vec![HOST])];
        Self(Rc::new(RefCell::new(WorldState {
            now_us: 0,
            cluster,
            random: Random::new(seed),
            weather,
            reach: [(HOST, Reach::Open)].into(),
            names: names.into(),
            names_silent: false,
            asked: 0,
            attempts: 0,
            sockets: 0,
            most_sockets: 0,
            links: BTreeMap::new(),
            links_made: 0,
            sleepers: BTreeMap::new(),
            naps: 0,
        })))
    }

    /// Looks at the world, or changes it.
    pub fn with<R>(&self, f: impl FnOnce(&mut WorldState) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }

    /// The application's clock.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock(self.clone())
    }

    /// The application's sockets.
    #[must_use]
    pub fn tcp(&self) -> SimTcp {
        SimTcp(self.clone())
    }

    /// The application's resolver.
    #[must_use]
    pub fn dns(&self) -> SimDns {
        SimDns(self.clone())
    }

    /// Ends after that many milliseconds.
    pub async fn sleep_ms(&self, ms: u64) {
        let at = self.with(|state| state.now_us) + ms * 1000;
        Nap::until(self, at).await;
    }

    /// All open connections swallow what is sent from now on, either way.
    pub fn swallow_everything(&self) {
        self.with(|state| state.links.values_mut().for_each(|link| link.swallows = true));
    }

    /// Moves to the next moment at which something happens; false if nothing will before `until_us`.
    pub(crate) fn advance(&self, until_us: u64) -> bool {
        let next = self.with(|state| state.next_event());
        match next {
            Some(at) if at <= until_us => {
                self.with(|state| state.now_us = state.now_us.max(at));
                let wakers = self.with(WorldState::happen);
                wakers.into_iter().for_each(Waker::wake);
                true
            }
            _ => {
                self.with(|state| state.now_us = until_us);
                false
            }
        }
    }
}

impl WorldState {
    /// The cluster's time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    pub(crate) fn latency(&mut self) -> u64 {
        self.random.within(&self.weather.latency_us)
    }

    pub(crate) fn open(&mut self, broker: i32) -> Option<u64> {
        let connection = self.cluster.connect(self.now_ms(), broker)?;
        self.links_made += 1;
        let link = Link {
            connection,
            up: VecDeque::new(),
            down: VecDeque::new(),
            inbox: VecDeque::new(),
            ended: false,
            end_sent: false,
            swallows: false,
            under_way: 0,
            reader: None,
            writer: None,
            abandoned: false,
        };
        self.links.insert(self.links_made, link);
        Some(self.links_made)
    }

    pub(crate) fn write(&mut self, id: u64, bytes: &[u8]) {
        let at = self.now_us + self.latency();
        let link = self.links.get_mut(&id).expect("an open socket");
        let at = link.up.back().map_or(at, |(last, _)| at.max(*last));
        link.under_way += bytes.len();
        link.up.push_back((at, bytes.to_vec()));
    }

    /// The application closed its socket: what it has written still arrives.
    pub(crate) fn abandon(&mut self, id: u64) {
        let at = self.now_us + self.latency();
        let link = self.links.get_mut(&id).expect("an open socket");
        link.abandoned = true;
        let at = link.up.back().map_or(at, |(last, _)| at.max(*last));
        link.up.push_back((at, Vec::new()));
    }

    fn next_event(&self) -> Option<u64> {
        let pieces = self.links.values().flat_map(|link| [link.up.front(), link.down.front()]).flatten();
        let cluster = self.cluster.next_due().into_iter().chain(self.cluster.next_event());
        let sleepers = self.sleepers.keys().next().map(|(at, _)| *at);
        let cluster = cluster.map(|ms| (ms * 1000).max(self.now_us + 1));
        pieces.map(|(at, _)| *at).chain(cluster).chain(sleepers).min()
    }

    /// Lets everything happen that is due; returns who is to be woken.
    fn happen(&mut self) -> Vec<Waker> {
        let (now_us, now_ms) = (self.now_us, self.now_ms());
        let mut wakers = Vec::new();
        while let Some(entry) = self.sleepers.first_entry().filter(|entry| entry.key().0 <= now_us) {
            wakers.push(entry.remove());
        }
        self.cluster.advance(now_ms);
        let ids: Vec<u64> = self.links.keys().copied().collect();
        for id in ids {
            let latency = self.latency();
            let link = self.links.get_mut(&id).expect("just listed");
            while let Some((_, bytes)) = due(&mut link.up, now_us) {
                if bytes.is_empty() {
                    self.cluster.disconnect(link.connection);
                } else if !link.swallows {
                    link.under_way -= bytes.len();
                    self.cluster.receive(now_ms, link.connection, &bytes);
                    wakers.extend(link.writer.take());
                }
            }
            let mut out = Vec::new();
            let open = self.cluster.transmit(now_ms, link.connection, &mut out);
            if !out.is_empty() && !link.swallows {
                let at = link.down.back().map_or(now_us + latency, |(last, _)| (now_us + latency).max(*last));
                link.down.push_back((at, out));
            }
            if !open && !link.swallows && !std::mem::replace(&mut link.end_sent, true) {
                let at = link.down.back().map_or(now_us + latency, |(last, _)| (now_us + latency).max(*last));
                link.down.push_back((at, Vec::new()));
            }
            while let Some((_, bytes)) = due(&mut link.down, now_us) {
                link.ended |= bytes.is_empty();
                link.inbox.extend(bytes);
                wakers.extend(link.reader.take());
                wakers.extend(link.writer.take());
            }
            if link.abandoned && link.up.is_empty() {
                self.cluster.disconnect(link.connection);
                self.links.remove(&id);
            }
        }
        wakers
    }
}

fn due(pieces: &mut VecDeque<(u64, Vec<u8>)>, now_us: u64) -> Option<(u64, Vec<u8>)> {
    let (at, _) = pieces.front()?;
    if *at <= now_us { pieces.pop_front() } else { None }
}

/// A sleep in simulated time. Dropped, it wakes nobody any longer.
#[derive(Debug)]
pub struct Nap {
    world: World,
    key: (u64, u64),
}

impl Nap {
    /// Ends at that time.
    pub async fn until(world: &World, at_us: u64) {
        let id = world.with(|state| {
            state.naps += 1;
            state.naps
        });
        let nap = Self { world: world.clone(), key: (at_us, id) };
        poll_fn(|cx| {
            nap.world.with(|state| {
                if state.now_us >= at_us {
                    return Poll::Ready(());
                }
                state.sleepers.insert(nap.key, cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        self.world.with(|state| state.sleepers.remove(&self.key));
    }
}

/// The application's clock.
#[derive(Clone, Debug)]
pub struct SimClock(World);

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.with(|state| state.now_us))
    }

    async fn sleep_until(&self, at: Instant) {
        Nap::until(&self.0, at.as_micros()).await;
    }
}
