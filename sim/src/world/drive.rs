//! The driver: what a transport does, with a simulated network under it.

use super::World;
use super::link::{Link, Stage};
use super::network::{Direction, Network};
use super::random::Random;
use crate::cluster::Cluster;
use crate::protocol::Api;
use klamm_core::{Action, ConnId, DeliveryError, Disconnect, Event, Instant, Producer, Target};
use std::net::IpAddr;

/// Rounds at one moment of time after which the world is running in a circle.
const ROUNDS: u32 = 200_000;
/// Times that the producer may ask to be called again at once, with something to show for it each time.
const TURNS: u32 = 10_000;
/// Slices that a vectored write takes.
const SLICES: usize = 8;

/// An [`Action`] that owns its text.
enum Deed {
    Resolve(ConnId, String),
    Connect(ConnId, Place),
    Disconnect(ConnId),
}

enum Place {
    Address(IpAddr, u16),
    Name(String, u16),
}

impl World {
    /// What the producer is told what time it is.
    pub(super) fn now(&mut self) -> Instant {
        let missing = if self.clock_lag_us > 0 { self.random.below(self.clock_lag_us + 1) } else { 0 };
        Instant::from_micros(self.now_us.saturating_sub(missing))
    }

    /// Lets time pass until `done` or until `until_us`. Whether it was done.
    pub(super) fn run(&mut self, until_us: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        if let Some(ms) = self.ends_after_ms.filter(|ms| self.now_us > ms.saturating_mul(1000)) {
            self.fail(format_args!("{ms} ms have passed, and the code goes on: what does it wait for?"));
        }
        let mut rounds = 0u32;
        loop {
            self.settle_moment();
            if done(self) {
                return true;
            }
            if self.stirred {
                continue; // `done` did something
            }
            match self.next_moment() {
                Some(at) if at <= until_us => {
                    rounds = if at > self.now_us { 0 } else { rounds + 1 };
                    if rounds > ROUNDS {
                        self.fail(format_args!("{ROUNDS} rounds without time passing"));
                    }
                    self.now_us = at.max(self.now_us);
                }
                _ => {
                    self.now_us = until_us;
                    self.check_deadlines();
                    return false;
                }
            }
        }
    }

    /// When anything happens next.
    fn next_moment(&self) -> Option<u64> {
        let links = self.links.iter().filter_map(|link| self.next_of(link));
        let jobs = self.jobs.iter().map(|job| job.due_us);
        let cluster = self.cluster.next_event().map(|ms| ms.saturating_mul(1000).max(self.now_us));
        let others = [self.deadline_us, self.next_linger(), self.nemesis_due_us(), cluster];
        links.chain(jobs).chain(others.into_iter().flatten()).min()
    }

    fn next_of(&self, link: &Link) -> Option<u64> {
        let held_up = self.network.is_blocked_to(link.broker);
        let held_down = self.network.is_blocked_from(link.broker);
        match &link.stage {
            Stage::Resolving { at, .. } => Some(*at),
            Stage::Connecting { at, .. } => (!held_up && !held_down && *at != u64::MAX).then_some(*at),
            Stage::Resolved => None,
            Stage::Open => {
                let answer = link.remote.and_then(|remote| self.cluster.next_due_of(remote));
                let answer = answer.map(|ms| ms.saturating_mul(1000).max(self.now_us));
                let up = link.up.next().filter(|_| !held_up);
                let down = link.down.next().filter(|_| !held_down);
                let full = (link.writable && link.is_open()).then_some(link.full_until.max(self.now_us));
                let ends =
                    link.ends.filter(|_| !held_down && link.conn.is_some() && link.down.is_empty()).map(|(at, _)| at);
                up.into_iter().chain(down).chain(answer).chain(full).chain(ends).min()
            }
        }
    }

    /// Does everything that is due now.
    fn settle_moment(&mut self) {
        self.book_strangers();
        self.check_deadlines();
        let mut rounds = 0u32;
        loop {
            let mut moved = std::mem::take(&mut self.stirred);
            if moved {
                self.poll_all();
            }
            moved |= self.let_nemesis_act();
            self.heed_cluster();
            moved |= self.end_due_jobs();
            moved |= self.serve_deadline();
            moved |= self.move_links();
            moved |= self.resume_writes();
            if !moved && !self.stirred {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS {
                self.fail(format_args!("{ROUNDS} rounds without time passing"));
            }
        }
        self.check_moment();
    }

    /// Lets time pass inside the cluster.
    pub(super) fn heed_cluster(&mut self) {
        self.cluster.advance(self.now_us / 1000);
        for line in self.cluster.take_news() {
            self.trace.push(self.now_us, format_args!("cluster: {line}"));
        }
    }

    /// Calls the producer if its time has come. A served deadline must be gone, or have had an effect.
    fn serve_deadline(&mut self) -> bool {
        let mut turns = 0;
        while let Some(deadline) = self.deadline_us.filter(|at| *at <= self.now_us) {
            let timer = self.producer.poll_timeout();
            self.trace.push(self.now_us, format_args!("timeout {:?}", timer.map(|timer| timer.timer)));
            let late = self.requests_late();
            let timeouts = self.producer.stats().request_timeouts;
            self.producer.handle_timeout(Instant::from_micros(self.now_us));
            self.wakeups += 1;
            if self.producer.stats().request_timeouts - timeouts > late {
                self.fail(format_args!("a request timed out, and {late} waited for request.timeout.ms"));
            }
            let outputs = self.poll_all();
            turns += 1;
            let again = self.deadline_us.is_some_and(|at| at <= self.now_us);
            if again && (outputs == 0 || turns > TURNS) {
                let timer = self.producer.poll_timeout();
                self.fail(format_args!(
                    "a busy loop: {timer:?} after the deadline {deadline} was served, now {}",
                    self.now_us
                ));
            }
        }
        turns > 0
    }

    /// Polls the producer in the order of its contract until it has nothing more to say. How much it said.
    pub(super) fn poll_all(&mut self) -> u32 {
        let mut total = 0;
        loop {
            let mut outputs = 0;
            while let Some(deed) = next_deed(&mut self.producer) {
                self.act(deed);
                outputs += 1;
            }
            outputs += self.begin_jobs();
            while let Some(conn) = self.producer.poll_writable() {
                outputs += 1;
                if let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn)) {
                    link.writable = true;
                }
                outputs += self.write(conn);
            }
            while let Some(event) = self.producer.poll_event() {
                self.hear(event);
                outputs += 1;
            }
            total += outputs;
            if outputs == 0 {
                break;
            }
        }
        // Only a connection that the producer gives up may leave a request unfinished, and it has said so by now.
        if let Some(conn) = self.links.iter().filter(|link| link.took_back).find_map(|link| link.conn) {
            self.fail(format_args!("{conn:?} took back bytes that it had shown"));
        }
        self.stirred = false;
        self.deadline_us = self.producer.poll_timeout().map(|deadline| deadline.at.as_micros());
        total
    }

    fn hear(&mut self, event: Event) {
        self.trace.push(self.now_us, format_args!("event {event:?}"));
        if let Event::Batch(outcome) = &event {
            let text = self.producer.error_text();
            if !text.is_empty() {
                self.texts.push(text.to_owned());
            }
            if let Some(name) = self.producer.topic_name(outcome.topic) {
                self.ledger.know_topic(outcome.topic, name);
            }
            // Without a history nobody knows what brokers said.
            let known = self.cluster.options_mut().keep_history;
            let judged = self.debts.judge(self.now_us, outcome, &self.ledger, &self.watch);
            let judged = if known { judged } else { Ok(()) };
            if let Err(wrong) = self.ledger.settle(self.now_us, outcome).and(judged) {
                self.fail(format_args!("{wrong}"));
            }
            if outcome.result.is_err_and(|failed| failed.error == DeliveryError::SequenceGap) {
                self.watch.gave_up(self.ledger.topic_name(outcome.topic), outcome.partition);
            }
        }
        if let Err(wrong) = self.debts.hear(&event, &self.ledger) {
            self.fail(format_args!("{wrong}"));
        }
        self.events.push((self.now_us, event));
    }

    // ---- actions ----

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Resolve(conn, host) => {
                let known = self.network.names.get(&host).cloned().unwrap_or_default();
                let down = self.now_us < self.network.dns_down_until_us;
                let lost = self.random.chance(self.network.dns_failure_permille) || down;
                let addresses = if lost { Vec::new() } else { known };
                let at = self.now_us + self.random.within(&self.network.resolve_us);
                self.trace.push(self.now_us, format_args!("resolve {conn:?} {host}"));
                self.connections_made += 1;
                let mut link = Link::new(self.connections_made, conn, self.now_us);
                link.stage = Stage::Resolving { at, addresses };
                self.add_link(link);
            }
            Deed::Connect(conn, place) => self.connect(conn, &place),
            Deed::Disconnect(conn) => {
                self.trace.push(self.now_us, format_args!("disconnect {conn:?}"));
                if let Some(at) = self.links.iter().position(|link| link.conn == Some(conn)) {
                    self.let_go(at);
                }
            }
        }
    }

    fn add_link(&mut self, link: Link) {
        let conn = link.conn;
        if self.links.iter().any(|other| other.conn == conn) {
            self.fail(format_args!("{conn:?} is in use already"));
        }
        self.links.push(link);
    }

    fn connect(&mut self, conn: ConnId, place: &Place) {
        let (host, port) = match place {
            Place::Address(ip, port) => (self.network.hosts.get(ip).cloned().unwrap_or_else(|| ip.to_string()), *port),
            Place::Name(host, port) => (host.clone(), *port),
        };
        let broker = broker_at(&self.cluster, &host, port);
        let refused = self.random.chance(self.network.refuse_permille)
            || broker.is_some_and(|broker| self.network.is_refused(broker));
        let hangs = self.random.chance(self.network.hang_permille);
        let at = if hangs { u64::MAX } else { self.now_us + self.random.within(&self.network.connect_us) };
        if !self.links.iter().any(|link| link.conn == Some(conn)) {
            self.connections_made += 1;
            self.add_link(Link::new(self.connections_made, conn, self.now_us));
        }
        let cuts = &mut self.network.cuts;
        let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn)) else { return };
        let number = link.number;
        self.trace
            .push(self.now_us, format_args!("connection {number}, {conn:?}, to {host}:{port}, broker {broker:?}"));
        link.broker = broker;
        link.stage = Stage::Connecting { at, broker: broker.filter(|_| !refused) };
        cuts.retain(|cut| {
            let own = cut.connection == link.number;
            if own {
                let lane = if cut.direction == Direction::ToBroker { &mut link.up } else { &mut link.down };
                lane.cut = Some(cut.after);
            }
            !own
        });
    }

    /// The producer forgets a connection. What it wrote may still arrive.
    fn let_go(&mut self, at: usize) {
        let late = self.random.chance(self.network.late_arrival_permille);
        let link = &mut self.links[at];
        link.conn = None;
        link.writable = false;
        self.ended_us = Some(self.now_us);
        link.down.clear();
        if !late {
            link.up.clear();
        }
        if let Some(id) = link.id {
            self.watch.ended(id);
        }
        if link.up.is_empty()
            && let Some(remote) = link.remote.take()
        {
            self.cluster.disconnect(remote);
        }
        if self.links[at].is_gone() {
            self.links.remove(at);
        }
    }

    /// Breaks a connection from outside: the producer is told behind the bytes that still arrive.
    fn break_link(&mut self, at: usize, why: Disconnect) {
        let late = self.random.chance(self.network.late_arrival_permille);
        let link = &mut self.links[at];
        self.trace.push(self.now_us, format_args!("connection {} breaks", link.number));
        link.ends.get_or_insert((self.now_us, why));
        link.down.clear();
        if !late {
            link.up.clear();
        }
        if link.up.is_empty()
            && let Some(remote) = link.remote.take()
        {
            self.cluster.disconnect(remote);
        }
    }

    /// Breaks every open connection.
    pub fn reset_connections(&mut self) {
        for at in 0..self.links.len() {
            if self.links[at].is_open() {
                self.break_link(at, Disconnect::Closed);
            }
        }
    }

    /// Lets a broker forget its connections without a word, as a machine that lost power or a router that lost its
    /// table: what is under way is lost, and what the producer goes on sending goes nowhere, until it finds out by itself
    /// or, after [`Network::forgotten_reset_us`], is told.
    pub fn forget_connections(&mut self, broker: i32) {
        for link in self.links.iter_mut().filter(|link| link.broker == Some(broker)) {
            if !matches!(link.stage, Stage::Open) || link.ends.is_some() {
                continue;
            }
            self.trace.push(self.now_us, format_args!("broker {broker} forgets connection {}", link.number));
            link.forgotten = true;
            link.up.clear();
            link.down.clear();
            if let Some(remote) = link.remote.take() {
                self.cluster.disconnect(remote);
            }
        }
        let gone = |link: &Link| link.conn.is_none() && link.is_gone();
        self.links.retain(|link| !gone(link));
    }

    // ---- bytes ----

    /// Sockets that were full take bytes again.
    fn resume_writes(&mut self) -> bool {
        let now_us = self.now_us;
        let due = |link: &Link| link.writable && link.is_open() && link.full_until <= now_us;
        let ready: Vec<ConnId> = self.links.iter().filter(|link| due(link)).filter_map(|link| link.conn).collect();
        let mut moved = false;
        for conn in ready {
            self.write(conn);
            self.stirred = true;
            moved = true;
        }
        moved
    }

    /// Lets a socket take what it can. How often it took something.
    fn write(&mut self, conn: ConnId) -> u32 {
        let Some(at) = self.links.iter().position(|link| link.conn == Some(conn)) else { return 0 };
        let mut taken = 0;
        while self.links[at].is_open() && self.links[at].writable && self.links[at].full_until <= self.now_us {
            let Some(short) = self.write_once(at, conn) else { break };
            taken += 1;
            if short && self.network.write_pause_us > 0 {
                break;
            }
        }
        taken
    }

    /// One write. Whether it was a short one; `None` if there was nothing to write.
    fn write_once(&mut self, at: usize, conn: ConnId) -> Option<bool> {
        let now = self.now();
        self.watch.refreshes = self.producer.stats().metadata_refreshes.into();
        let news = self.watch.news();
        let link = &mut self.links[at];
        let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
        if self.random.chance(self.network.vectored_permille) {
            let _ = self.producer.poll_transmit_vectored(now, conn, &mut slices);
        } else if let Some(transmit) = self.producer.poll_transmit(now, conn) {
            slices[0] = transmit.bytes;
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        if offered == 0 {
            link.writable = false;
            link.took_back = link.shown.len() > 0;
            return None;
        }
        let n = self.network.write.take(&mut self.random, offered);
        if n < offered {
            link.full_until = self.now_us + self.network.write_pause_us;
        }
        let unchanged = link.lend(&slices, n);
        let answered = self.watch.terms.answered;
        let route = route(&mut self.random, &self.network, link, self.now_us, (Direction::ToBroker, n));
        if !link.may_ask(self.now_us + self.watch.terms.lag_us) {
            self.fail(format_args!("{conn:?}: a request although the broker asked for patience"));
        }
        let link = &mut self.links[at];
        let mut left = n;
        for (index, slice) in slices.iter().enumerate() {
            let piece = &slice[..left.min(slice.len())];
            left -= piece.len();
            link.talk.ask((self.now_us, news), piece, |api_key| answered || api_key != Api::Produce.key());
            if let Some((arrives, joined)) = route
                && !link.forgotten
                && !piece.is_empty()
            {
                link.up.send(arrives, piece, joined || index > 0);
            }
        }
        let waiting = link.talk.waiting();
        self.writes += 1;
        self.producer.handle_transmitted(now, conn, n);
        if !unchanged {
            self.fail(format_args!("{conn:?}: bytes changed while they were lent"));
        }
        if waiting > self.watch.terms.max_in_flight {
            self.fail(format_args!("{conn:?}: {waiting} requests wait for an answer"));
        }
        self.written(at, route.is_none());
        Some(n < offered)
    }

    /// What follows from a write: a break, or the discovery that nobody listens.
    fn written(&mut self, at: usize, breaks: bool) {
        if breaks {
            self.break_link(at, Disconnect::Other);
        }
        let (now_us, after) = (self.now_us, self.network.forgotten_reset_us);
        let link = &mut self.links[at];
        if let Some(after) = after.filter(|_| link.forgotten) {
            link.ends.get_or_insert((now_us + after, Disconnect::Other));
        }
    }

    /// Everything on the way moves as far as it has come by now.
    fn move_links(&mut self) -> bool {
        let mut moved = false;
        let mut at = 0;
        while at < self.links.len() {
            let number = self.links[at].number;
            moved |= self.move_link(at);
            // The link may be gone, and another one in its place.
            if self.links.get(at).is_some_and(|link| link.number == number) {
                at += 1;
            }
        }
        moved
    }

    fn move_link(&mut self, at: usize) -> bool {
        let link = &mut self.links[at];
        let held = self.network.is_blocked_to(link.broker) || self.network.is_blocked_from(link.broker);
        match &mut link.stage {
            Stage::Resolving { at: due, addresses } if *due <= self.now_us => {
                let addresses = std::mem::take(addresses);
                link.stage = Stage::Resolved;
                let Some(conn) = link.conn else { return false };
                if addresses.is_empty() {
                    self.end(at, Disconnect::Dns);
                } else {
                    let now = self.now();
                    self.producer.handle_resolved(now, conn, &addresses);
                    self.poll_all();
                }
                true
            }
            Stage::Connecting { at: due, broker } if *due <= self.now_us && !held => {
                let broker = *broker;
                self.opened(at, broker);
                true
            }
            Stage::Open => self.carry(at),
            _ => false,
        }
    }

    fn opened(&mut self, at: usize, broker: Option<i32>) {
        let remote = broker.and_then(|broker| self.cluster.connect(self.now_us / 1000, broker));
        let link = &mut self.links[at];
        link.stage = Stage::Open;
        link.remote = remote;
        link.id = remote;
        let Some(conn) = link.conn else { return };
        if remote.is_some() {
            self.trace.push(self.now_us, format_args!("connected {conn:?}"));
            let now = self.now();
            self.producer.handle_connected(now, conn);
            self.poll_all();
        } else {
            self.end(at, Disconnect::Refused);
        }
    }

    /// Tells the producer that a connection is over.
    fn end(&mut self, at: usize, why: Disconnect) {
        let link = &mut self.links[at];
        let conn = link.conn.take();
        link.down.clear();
        self.ended_us = Some(self.now_us);
        if let Some(id) = link.id {
            self.watch.ended(id);
        }
        if self.links[at].is_gone() {
            self.links.remove(at);
        }
        if let Some(conn) = conn {
            self.trace.push(self.now_us, format_args!("ended {conn:?} {why:?}"));
            let now = self.now();
            self.producer.handle_disconnected(now, conn, why);
            self.poll_all();
        }
    }

    /// Moves bytes of an open connection both ways.
    fn carry(&mut self, at: usize) -> bool {
        let number = self.links[at].number;
        let mut moved = self.carry_up(at);
        self.fetch_answers(at);
        moved |= self.carry_down(at, number);
        let Some(link) = self.links.get_mut(at).filter(|link| link.number == number) else { return true };
        if let Some((due, why)) = link.ends
            && due <= self.now_us
            && link.down.is_empty()
            && link.conn.is_some()
            && !self.network.is_blocked_from(link.broker)
        {
            self.end(at, why);
            return true;
        }
        if link.conn.is_none() && link.up.is_empty() {
            if let Some(remote) = link.remote.take() {
                self.cluster.disconnect(remote);
            }
            self.links.remove(at);
            return true;
        }
        moved
    }

    /// What arrives at the broker.
    fn carry_up(&mut self, at: usize) -> bool {
        if self.network.is_blocked_to(self.links[at].broker) {
            return false;
        }
        let mut moved = false;
        while let Some((len, cut)) = self.links[at].up.due(self.now_us) {
            moved = true;
            let link = &mut self.links[at];
            if let Some(remote) = link.remote {
                self.cluster.receive(self.now_us / 1000, remote, link.up.front(len));
            }
            link.up.arrive(len, cut);
            if cut {
                self.break_link(at, Disconnect::Closed);
            }
        }
        if moved {
            self.read_history();
        }
        moved
    }

    /// What the broker has to say goes on the wire.
    fn fetch_answers(&mut self, at: usize) {
        let Some(remote) = self.links[at].remote else { return };
        let now_ms = self.now_us / 1000;
        // Without anything due there is nothing to fetch, unless the connection is gone.
        let idle = match self.cluster.next_due_of(remote) {
            Some(due) => due > now_ms,
            None => self.cluster.broker_of(remote).is_some(),
        };
        if idle {
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        let open = self.cluster.transmit(now_ms, remote, &mut bytes);
        let link = &mut self.links[at];
        if !bytes.is_empty() {
            self.trace.push(self.now_us, format_args!("connection {} brings {} bytes", link.number, bytes.len()));
        }
        if !bytes.is_empty() && link.ends.is_none() && link.conn.is_some() {
            let sent = (Direction::ToClient, bytes.len());
            match route(&mut self.random, &self.network, link, self.now_us, sent) {
                Some((arrives, joined)) => link.down.send(arrives, &bytes, joined),
                None => self.break_link(at, Disconnect::Other),
            }
        }
        self.scratch = bytes;
        if !open {
            let link = &mut self.links[at];
            link.remote = None;
            link.up.clear();
            let at = link.down.not_before.max(self.now_us);
            link.ends.get_or_insert((at, Disconnect::Closed));
        }
        self.read_history();
    }

    /// What arrives at the producer, piece by piece.
    fn carry_down(&mut self, at: usize, number: u64) -> bool {
        let mut moved = false;
        let mut bytes = Vec::new();
        loop {
            let Some(link) = self.links.get_mut(at).filter(|link| link.number == number) else { return true };
            let Some((len, cut)) = link.down.due(self.now_us) else { return moved };
            let Some(conn) = link.conn.filter(|_| !self.network.is_blocked_from(link.broker)) else { return moved };
            moved = true;
            bytes.clear();
            bytes.extend_from_slice(link.down.front(len));
            for flip in self.network.flips.iter().filter(|flip| flip.connection == number) {
                let place = flip.at.checked_sub(link.down.arrived).and_then(|at| bytes.get_mut(at as usize));
                if let Some(byte) = place {
                    self.watch.deceived = true;
                    *byte ^= flip.mask;
                }
            }
            link.down.arrive(len, cut);
            self.reads += 1;
            self.trace.push(self.now_us, format_args!("{conn:?} reads {} bytes", bytes.len()));
            self.hand_over(conn, &bytes);
            if cut && self.links.get(at).is_some_and(|link| link.number == number) {
                self.break_link(at, Disconnect::Closed);
            }
        }
    }
}

/// Sends a piece on its way: when it arrives, and whether together with what is in front of it. `None`: the connection
/// breaks here.
fn route(
    random: &mut Random,
    network: &Network,
    link: &mut Link,
    now_us: u64,
    (direction, bytes): (Direction, usize),
) -> Option<(u64, bool)> {
    if random.chance(network.reset_permille) {
        return None;
    }
    let mut latency = random.within(network.latency(direction));
    if random.chance(network.stall_permille) {
        latency += random.within(&network.stall_us);
    }
    let lane = if direction == Direction::ToBroker { &mut link.up } else { &mut link.down };
    let joined = !lane.is_empty() && random.chance(network.coalesce_permille);
    Some((lane.leaves(now_us, bytes, network.bandwidth_bytes_per_ms) + latency, joined))
}

fn next_deed(producer: &mut Producer<'static>) -> Option<Deed> {
    Some(match producer.poll_action()? {
        Action::Resolve { conn, host } => Deed::Resolve(conn, host.to_owned()),
        Action::Connect { conn, target: Target::Address(address), .. } => {
            Deed::Connect(conn, Place::Address(address.ip(), address.port()))
        }
        Action::Connect { conn, target: Target::Name { host, port }, .. } => {
            Deed::Connect(conn, Place::Name(host.to_owned(), port))
        }
        Action::Disconnect { conn } => Deed::Disconnect(conn),
        other => panic!("an action that the world does not know: {other:?}"),
    })
}

fn broker_at(cluster: &Cluster, host: &str, port: u16) -> Option<i32> {
    cluster.brokers().find(|broker| cluster.address(*broker) == (host.to_owned(), port))
}
