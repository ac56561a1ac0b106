//! A producer on the bench: commands and inputs by hand, checked as a driver would see it, with a simulated cluster at the
//! other end of its sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use klamm_core::{
    Accepted, Action, Compression, Config, ConnId, Disconnect, Event, Instant, JobId, Limits, PeerError, Producer,
    Record, SendError, Storage, Target, TopicId,
};
use klamm_sim::{Cluster, ClusterOptions, ConnectionId};

use crate::books::Books;
use crate::codec::{Bench, Pool};

/// More outputs than a bench can have at one time: a loop without end.
const ENDLESS: u32 = 20_000;
/// The first broker's port, as `ClusterOptions` has it.
const FIRST_PORT: u16 = 9092;
/// Where every broker lives.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// What was asked of a socket last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Resolving,
    Connecting,
    Open,
}

/// The transport's side of one connection slot.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) conn: Option<ConnId>,
    pub(crate) stage: Stage,
    broker: i32,
    remote: Option<ConnectionId>,
    /// Bytes from the broker that the producer has not read.
    pub(crate) down: Vec<u8>,
    /// The first bytes of the request that is being written, then how many of it are still to come.
    header: Vec<u8>,
    left: usize,
    /// Correlation id of the last request.
    pub(crate) correlation_id: [u8; 4],
    /// What the producer lent and we did not take.
    shown: Vec<u8>,
}

impl Socket {
    const fn new() -> Self {
        Self {
            conn: None,
            stage: Stage::Idle,
            broker: 0,
            remote: None,
            down: Vec::new(),
            header: Vec::new(),
            left: 0,
            correlation_id: [0; 4],
            shown: Vec::new(),
        }
    }

    /// Follows the requests that are written, for their correlation ids.
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                self.left -= n;
                bytes = &bytes[n..];
                continue;
            }
            let (head, rest) = bytes.split_at((12 - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(head);
            bytes = rest;
            if let Ok([a, b, c, d, _, _, _, _, id @ ..]) = <[u8; 12]>::try_from(&self.header[..]) {
                self.correlation_id = id;
                let size = u32::from_be_bytes([a, b, c, d]) as usize;
                self.left = size.checked_sub(8).expect("a request without a header");
                self.header.clear();
            }
        }
    }
}

/// The codecs of transport-std, one pool for each `compression.type`. At the quickest levels: it is not they who are tested.
static POOLS: LazyLock<[Pool; 5]> = LazyLock::new(|| {
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        .map(|compression| Pool::new(compression, crate::levels::Levels { gzip: 1, zstd: 1, ..Default::default() }))
});

/// See the module.
pub(crate) struct Rig {
    pub(crate) producer: Producer<'static>,
    pub(crate) cluster: Cluster,
    pub(crate) now_us: u64,
    pub(crate) sockets: Vec<Socket>,
    /// Connections of earlier uses.
    pub(crate) stale: Vec<ConnId>,
    pub(crate) books: Books,
    /// Jobs that were taken and not done.
    pub(crate) jobs: Vec<Bench>,
    /// Jobs of which the producer heard already.
    pub(crate) stale_jobs: Vec<JobId>,
    pool: &'static Pool,
    delivery_us: u64,
    closed: bool,
    /// Commands or inputs came since the last full poll.
    stirred: bool,
    deadline_us: Option<u64>,
}

impl Rig {
    /// `None` if the configuration is refused.
    pub(crate) fn new(config: Config<'static>, limits: &Limits, cluster: ClusterOptions) -> Option<Self> {
        let pool = &POOLS[config.compression as usize];
        let delivery_us = u64::from(config.delivery_timeout_ms) * 1000;
        let producer = Producer::new(config, Storage::heap(limits), [7; 32], Instant::ZERO).ok()?;
        Some(Self {
            producer,
            cluster: Cluster::new(cluster),
            now_us: 0,
            sockets: Vec::new(),
            stale: Vec::new(),
            books: Books::default(),
            jobs: Vec::new(),
            stale_jobs: Vec::new(),
            pool,
            delivery_us,
            closed: false,
            stirred: true,
            deadline_us: None,
        })
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.now_us)
    }

    // ---- commands ----

    pub(crate) fn send(&mut self, topic: TopicId, record: &Record<'_>) -> Result<Accepted, SendError> {
        let sent = self.producer.send(self.now(), topic, record);
        let Ok(accepted) = sent else {
            self.stirred = true;
            return sent;
        };
        self.stirred |= accepted.wake || accepted.compress;
        if !self.stirred {
            let deadline = self.next_deadline();
            let told = self.deadline_us.unwrap_or(u64::MAX);
            assert!(deadline.unwrap_or(u64::MAX) >= told, "wake: false, but {told} became {deadline:?}");
        }
        self.books.accept(self.now_us, topic, accepted);
        sent
    }

    /// The producer, for what the bench has no method for.
    pub(crate) fn stir(&mut self) -> &mut Producer<'static> {
        self.stirred = true;
        &mut self.producer
    }

    fn next_deadline(&self) -> Option<u64> {
        self.producer.poll_timeout().map(|deadline| deadline.at.as_micros())
    }

    // ---- time ----

    /// Time passes, and the producer is called once, late or not.
    pub(crate) fn pass(&mut self, us: u64) {
        // Never back: deadlines may lie behind the last moment that this goes to.
        self.now_us = self.now_us.saturating_add(us).min(self.now_us.max(1 << 60));
        self.serve();
    }

    /// Time passes to the next deadline. Whether there is one.
    pub(crate) fn pass_to_deadline(&mut self) -> bool {
        self.poll_all();
        let Some(at) = self.deadline_us else { return false };
        self.now_us = self.now_us.max(at);
        self.serve();
        true
    }

    /// Serves what is due. A deadline that was served is gone, or its service had an effect; and no record is older
    /// than `delivery.timeout.ms` afterwards.
    fn serve(&mut self) {
        let mut turns = 0;
        loop {
            self.producer.handle_timeout(self.now());
            let outputs = self.poll_all();
            turns += 1;
            let Some(at) = self.deadline_us.filter(|at| *at <= self.now_us) else { break };
            let timer = self.producer.poll_timeout();
            assert!(outputs > 0 && turns < ENDLESS, "a busy loop: {timer:?} at {at} was served at {}", self.now_us);
        }
        if let Some(since) = self.books.oldest_us() {
            assert!(since + self.delivery_us > self.now_us, "a record from {since} has no outcome at {}", self.now_us);
        }
    }

    // ---- outputs ----

    /// Polls all that there is, in the order of the contract. How much that was.
    pub(crate) fn poll_all(&mut self) -> u32 {
        let mut total = 0;
        loop {
            let before = total;
            total += self.poll_actions() + self.poll_jobs();
            while self.producer.poll_writable().is_some() {
                total += 1;
                assert!(total < ENDLESS, "writable without end");
            }
            total += self.poll_jobs() + self.poll_events();
            if total == before {
                break;
            }
            assert!(total < ENDLESS, "outputs without end");
        }
        self.stirred = false;
        self.deadline_us = self.next_deadline();
        self.check_memory();
        total
    }

    pub(crate) fn poll_actions(&mut self) -> u32 {
        let mut count = 0;
        while let Some(action) = self.producer.poll_action() {
            count += 1;
            assert!(count < ENDLESS, "actions without end");
            let (conn, stage, port) = match action {
                Action::Resolve { conn, host } => {
                    assert!(host.parse::<IpAddr>().is_err(), "an address is to be resolved: {host}");
                    (conn, Stage::Resolving, 0)
                }
                Action::Connect { conn, target: Target::Address(address), .. } => {
                    (conn, Stage::Connecting, address.port())
                }
                Action::Connect { conn, target: Target::Name { port, .. }, .. } => (conn, Stage::Connecting, port),
                Action::Disconnect { conn } => (conn, Stage::Idle, 0),
                other => panic!("an action that the bench does not know: {other:?}"),
            };
            self.act(conn, stage, port);
        }
        count
    }

    fn act(&mut self, conn: ConnId, stage: Stage, port: u16) {
        while self.sockets.len() <= conn.slot() {
            self.sockets.push(Socket::new());
        }
        let socket = &mut self.sockets[conn.slot()];
        match stage {
            Stage::Idle => {
                // One that was given up before anybody polled for its beginning is closed all the same.
                assert!(socket.conn.is_none_or(|open| open == conn), "another connection than this slot's is closed");
                self.let_go(conn.slot());
            }
            Stage::Resolving => assert!(socket.conn.replace(conn).is_none(), "{conn:?} is in use"),
            Stage::Connecting | Stage::Open => {
                assert!(socket.conn.replace(conn).is_none_or(|before| before == conn), "{conn:?} is in use");
                socket.broker = i32::from(port.wrapping_sub(FIRST_PORT)) + 1;
            }
        }
        self.sockets[conn.slot()].stage = stage;
    }

    /// The transport forgets a connection.
    fn let_go(&mut self, slot: usize) {
        let socket = std::mem::replace(&mut self.sockets[slot], Socket::new());
        if let Some(remote) = socket.remote {
            self.cluster.disconnect(remote);
        }
        if let Some(conn) = socket.conn {
            self.stale.push(conn);
        }
    }

    pub(crate) fn poll_jobs(&mut self) -> u32 {
        let mut count = 0;
        while self.producer.compress_due() {
            let Some(bench) = self.pool.take_job(&mut self.producer) else { break };
            self.jobs.push(bench);
            count += 1;
        }
        count
    }

    pub(crate) fn poll_events(&mut self) -> u32 {
        let mut count = 0;
        while let Some(event) = self.producer.poll_event() {
            count += 1;
            assert!(count < ENDLESS, "events without end");
            assert!(!self.closed, "{event:?} after Closed");
            match event {
                Event::Batch(outcome) => {
                    let _ = self.producer.error_text();
                    self.books.settle(&outcome);
                }
                Event::Flushed => {}
                Event::Closed => {
                    self.closed = true;
                    assert!(self.books.all_settled(), "closed, and a record has no outcome");
                }
                _ => {}
            }
        }
        count
    }

    fn check_memory(&self) {
        let producer = &self.producer;
        assert!(producer.buffer_available_bytes() <= producer.buffer_total_bytes());
        assert!(producer.batches_available() <= producer.batches_total());
        assert!(producer.outstanding_batches() <= producer.batches_total());
        if producer.outstanding_batches() == 0 {
            assert!(self.books.all_settled());
        }
    }

    // ---- sockets ----

    pub(crate) fn resolve(&mut self, slot: usize, addresses: &[IpAddr]) {
        let Some(conn) = self.sockets.get(slot).and_then(|socket| socket.conn) else { return };
        self.sockets[slot].stage = Stage::Idle;
        self.stir();
        self.producer.handle_resolved(self.now(), conn, addresses);
        self.forget_if_gone(conn);
    }

    /// What the producer was told to be over needs no action to be forgotten. One that it was closing already is still its
    /// own until that action was polled.
    fn forget_if_gone(&mut self, conn: ConnId) {
        if self.producer.connection_host(conn).is_none() {
            self.let_go(conn.slot());
        }
    }

    /// The stream opens, or is refused if no broker is there.
    pub(crate) fn connect(&mut self, slot: usize) {
        let Some((conn, broker)) = self.sockets.get(slot).and_then(|s| Some((s.conn?, s.broker))) else { return };
        let now_ms = self.now_us / 1000;
        let Some(remote) = self.cluster.connect(now_ms, broker) else {
            return self.lose(slot, Disconnect::Refused);
        };
        self.sockets[slot].remote = Some(remote);
        self.sockets[slot].stage = Stage::Open;
        self.stir();
        self.producer.handle_connected(self.now(), conn);
    }

    /// The stream ends.
    pub(crate) fn lose(&mut self, slot: usize, why: Disconnect) {
        let Some(conn) = self.sockets.get(slot).and_then(|socket| socket.conn) else { return };
        self.stir();
        self.producer.handle_disconnected(self.now(), conn, why);
        self.forget_if_gone(conn);
    }

    /// The socket takes at most `most` of the bytes that are offered. Whether it took any.
    pub(crate) fn write(&mut self, slot: usize, most: usize) -> bool {
        let Some(conn) = self.sockets.get(slot).and_then(|socket| socket.conn) else { return false };
        let now = self.now();
        self.stirred = true;
        let Some(transmit) = self.producer.poll_transmit(now, conn) else {
            if !self.sockets[slot].shown.is_empty() {
                // Only with their connection, which the producer gave up: that is what it says next.
                self.poll_actions();
                assert_ne!(self.sockets[slot].conn, Some(conn), "bytes that were lent are gone");
            }
            return false;
        };
        let socket = &mut self.sockets[slot];
        let same = socket.shown.len().min(transmit.bytes.len());
        assert_eq!(socket.shown[..same], transmit.bytes[..same], "bytes changed while they were lent");
        assert!(!transmit.bytes.is_empty(), "an offer of nothing");
        let n = most.min(transmit.bytes.len());
        socket.shown.clear();
        socket.shown.extend_from_slice(&transmit.bytes[n..]);
        let taken = &transmit.bytes[..n];
        socket.follow(taken);
        let now_ms = self.now_us / 1000;
        if let Some(remote) = socket.remote {
            self.cluster.receive(now_ms, remote, taken);
        }
        self.producer.handle_transmitted(now, conn, n);
        n > 0
    }

    /// Fetches what the broker says by now. False once it closed.
    pub(crate) fn fetch(&mut self, slot: usize) -> bool {
        let Some(socket) = self.sockets.get_mut(slot) else { return false };
        let Some(remote) = socket.remote else { return false };
        let open = self.cluster.transmit(self.now_us / 1000, remote, &mut socket.down);
        if !open {
            socket.remote = None;
        }
        open
    }

    /// The producer reads the first `n` bytes of the broker's. Whether there were any.
    pub(crate) fn read(&mut self, slot: usize, n: usize) -> bool {
        let Some(socket) = self.sockets.get_mut(slot) else { return false };
        let n = n.min(socket.down.len());
        let Some(conn) = socket.conn.filter(|_| n > 0) else { return false };
        let bytes: Vec<u8> = socket.down.drain(..n).collect();
        let _ = self.input(conn, &bytes);
        true
    }

    /// Bytes for a connection, whatever they are. After an error it is closed.
    pub(crate) fn input(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), PeerError> {
        self.stirred = true;
        let result = self.producer.handle_input(self.now(), conn, bytes);
        if result.is_err() {
            self.poll_actions();
            let open = self.sockets.get(conn.slot()).and_then(|socket| socket.conn);
            assert_ne!(open, Some(conn), "open after {result:?}");
        }
        result
    }

    /// Does a job that was taken, and says whether the producer heard of it.
    pub(crate) fn end_job(&mut self, at: usize, result: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>) {
        if at >= self.jobs.len() {
            return;
        }
        let mut bench = self.jobs.swap_remove(at);
        bench.work();
        if let Some((id, made)) = bench.done() {
            let made = result(made);
            self.tell_job(id, made.as_deref());
        }
        self.pool.put_back(bench);
    }

    pub(crate) fn tell_job(&mut self, id: JobId, result: Option<&[u8]>) {
        let before = self.next_deadline().unwrap_or(u64::MAX);
        let wake = self.producer.handle_compressed(self.now(), id, result);
        let after = self.next_deadline().unwrap_or(u64::MAX);
        assert!(wake || after >= before, "wake: false, but {before} became {after}");
        self.stirred = true;
        self.stale_jobs.push(id);
    }

    // ---- a good driver and a good network ----

    /// One round of all that can go well now. Whether anything moved.
    pub(crate) fn round(&mut self) -> bool {
        let mut moved = self.poll_all() > 0;
        while !self.jobs.is_empty() {
            self.end_job(0, |made| made.map(<[u8]>::to_vec));
            moved = true;
        }
        for slot in 0..self.sockets.len() {
            match self.sockets[slot].stage {
                Stage::Idle => continue,
                Stage::Resolving => self.resolve(slot, &[ADDRESS]),
                Stage::Connecting => self.connect(slot),
                Stage::Open => {
                    let mut writes = 0;
                    while self.write(slot, usize::MAX) {
                        moved = true;
                        writes += 1;
                        assert!(writes < ENDLESS, "bytes without end");
                    }
                    let open = self.fetch(slot);
                    moved |= self.read(slot, usize::MAX);
                    if !open && self.sockets[slot].stage == Stage::Open {
                        self.lose(slot, Disconnect::Closed);
                        moved = true;
                    }
                    continue;
                }
            }
            moved = true;
        }
        moved | (self.poll_all() > 0)
    }

    // ---- the end ----

    /// Closes, within this long or at once, and sees that everything has its outcome and nothing is left.
    pub(crate) fn finish(mut self, within_us: Option<u64>) {
        self.poll_all();
        let until = match within_us {
            None => {
                self.producer.fail_all(self.now());
                self.now_us
            }
            Some(us) => {
                self.producer.close(self.now(), std::time::Duration::from_micros(us));
                self.now_us.saturating_add(us)
            }
        };
        self.poll_all();
        let mut turns = 0;
        while !self.closed {
            let timer = self.producer.poll_timeout();
            assert!(self.deadline_us.is_some_and(|at| at <= until), "closing until {until}, but {timer:?}");
            self.pass_to_deadline();
            turns += 1;
            assert!(turns < ENDLESS, "closing without end");
        }
        for bench in self.jobs.drain(..) {
            self.pool.put_back(bench);
        }
        let producer = &self.producer;
        assert!(producer.is_closed() && self.books.all_settled());
        assert_eq!(producer.outstanding_batches(), 0);
        assert_eq!(producer.buffer_available_bytes(), producer.buffer_total_bytes(), "memory is not free");
        assert_eq!(producer.batches_available(), producer.batches_total(), "batches are not free");
        assert_eq!(producer.poll_timeout(), None, "a deadline after the end");
        assert_eq!(self.books.accepted, self.books.delivered + self.books.failed);
        let open = self.sockets.iter().find(|socket| socket.conn.is_some());
        assert!(open.is_none(), "a connection after the end: {open:?}");
    }
}
