//! The I/O thread: it owns the sockets, and turns what the core asks for into system calls.
//!
//! One turn: wait for readiness; read, without the lock; tell the core and ask it, under the lock;
//! then complete deliveries, connect, write, without the lock. Callers meet one lock per turn.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use klamm_core::{Action, BatchOutcome, ConnId, Disconnect, Event, Instant, Limits, Problem, Storage};
use mio::{Poll, Token, Waker};

use crate::Acks;
use crate::cells::Completion;
use crate::config::Builder;
use crate::error::ConfigError;
use crate::events::{self, Events};
use crate::failures::{self, Target};
use crate::inside::{become_io_thread, caught};
use crate::io::dns::{Names, Resolved};
use crate::io::socket::{Conn, Got, Phase, SocketOptions};
use crate::metrics::Metering;
use crate::problem::Describe;
use crate::producer::Producer;
use crate::shared::{COARSE, Inner, Life, Shared, Terms};

#[cfg(test)]
mod tests;

const WAKER: Token = Token(usize::MAX);
/// Bytes read from all connections in one turn, at most.
const INBOX: usize = 64 << 10;
/// Batches compressed between two turns, at most.
#[cfg(feature = "codecs")]
const JOBS_PER_TURN: usize = 16;
/// How long bytes of `acks=0` are still written after their connection was given up.
const LINGER: Duration = Duration::from_secs(5);

/// Makes the core and starts the thread.
pub(crate) fn start(settings: Builder, limits: &Limits) -> Result<Producer, ConfigError> {
    let io = prepare(settings, limits)?;
    let inner = Arc::clone(&io.inner);
    let thread = super::spawn("klamm-io", Box::new(move || io.run())).map_err(ConfigError::Io)?;
    *inner.join.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(thread);
    Ok(Producer::new(inner))
}

/// Makes the core, and all that the thread needs.
fn prepare(settings: Builder, limits: &Limits) -> Result<Io, ConfigError> {
    let poll = Poll::new().map_err(ConfigError::Io)?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(ConfigError::Io)?;
    let max_block = settings.max_block();
    #[cfg(feature = "codecs")]
    let codecs = crate::codec::Pool::new(settings.core.compression, settings.levels);
    let Builder { core: config, socket, on_problem, describe, hooks, sampling, .. } = settings;
    let metering = Metering::new(sampling, config.client_id.as_str());
    let (events, announced) = (Events::new(config.client_id.as_str()), config.clone());
    let terms = Terms {
        max_block,
        delivery_timeout: Duration::from_millis(config.delivery_timeout_ms.into()),
        hooks,
        #[cfg(feature = "codecs")]
        codecs,
    };
    let linger = (config.acks == Acks::None).then_some(LINGER);
    ask_for_memory(limits)?;
    let core = klamm_core::Producer::new(config, Storage::heap(limits), crate::seed::seed(), Instant::ZERO)?;
    events::started(&announced, limits.buffer_memory);
    let origin = std::time::Instant::now();
    let inner = Arc::new(Inner::new(core, metering, waker, origin, terms));
    inner.with(|shared| shared.tick(&inner));
    Ok(Io {
        inner,
        poll,
        socket,
        linger,
        on_problem,
        describe,
        conns: Vec::new(),
        live: Vec::new(),
        inbox: vec![0; INBOX].into_boxed_slice(),
        inputs: Vec::new(),
        deeds: Vec::new(),
        completions: Vec::new(),
        told: Vec::new(),
        problems: Vec::new(),
        events,
        reports: Vec::new(),
        moved: 0,
        #[cfg(feature = "codecs")]
        jobs: false,
        names: Names::new(),
    })
}

/// Asked for first: an allocation that fails would end the process.
fn ask_for_memory(limits: &Limits) -> Result<(), ConfigError> {
    /// About what a slot takes; texts come on top.
    const SLOT: usize = 256;
    let Limits { topics, brokers, connections, topic_bytes, host_bytes, scratch_bytes, .. } = *limits;
    let parts = [
        ("buffer.memory", limits.buffer_memory, 1),
        ("Limits::batches", limits.batches, SLOT),
        ("Limits::partitions", limits.partitions, SLOT),
        ("Limits::topics", topics, SLOT),
        ("Limits::brokers", brokers, SLOT),
        ("Limits::connections", connections, SLOT),
        ("Limits::topic_bytes", topic_bytes, topics.max(1)),
        ("Limits::host_bytes", host_bytes, brokers.max(1)),
        ("Limits::scratch_bytes", scratch_bytes, connections.max(1)),
    ];
    for (name, value, times) in parts {
        if Vec::<u8>::new().try_reserve_exact(value.saturating_mul(times)).is_err() {
            let (value, expected) = (value.to_string(), "as much memory as there is".into());
            return Err(ConfigError::Invalid { name: name.into(), value, expected });
        }
    }
    Ok(())
}

/// Something that happened, to be told to the core.
enum Input {
    Connected(ConnId),
    /// A range of the inbox.
    Bytes(ConnId, std::ops::Range<usize>),
    Resolved(Resolved),
    Lost(ConnId, Disconnect),
}

/// Something that the core asked for.
enum Deed {
    Resolve { conn: ConnId, host: String, target: Target },
    Connect { conn: ConnId, address: std::net::SocketAddr, target: Target },
    Disconnect(ConnId),
}

/// How long to stay away from the lock and the sockets while records come in fast: long enough for
/// several batches to gather, so that neither a wake nor a write is paid per batch. Callers wake nobody
/// meanwhile. The operating system adds some 50 µs.
const NAP: Duration = Duration::from_micros(50);
/// Records come in fast if so many bytes left since the last time there was nothing to do.
const FAST: usize = 16 << 10;

/// How long a turn's successor waits.
enum Rest {
    /// Until something happens, or this time has passed.
    Sleep(Option<Duration>),
    /// For [`NAP`], whatever happens.
    Nap,
}

/// What a turn under the lock came to.
struct Turn {
    rest: Rest,
    /// Everything has its outcome, every connection is gone.
    over: bool,
}

/// Tells the application that code of its own failed.
fn tell_reports(on_problem: Option<&crate::config::OnProblem>, reports: Vec<String>) {
    for text in reports {
        events::warn_user_code(&text);
        let Some(on_problem) = on_problem else { continue };
        let _ = caught(|| on_problem(&Problem::Application, &text));
    }
}

struct Io {
    inner: Arc<Inner>,
    poll: Poll,
    socket: SocketOptions,
    linger: Option<Duration>,
    on_problem: Option<crate::config::OnProblem>,
    describe: Option<Describe>,
    /// By connection slot.
    conns: Vec<Option<Box<Conn>>>,
    /// The slots in use.
    live: Vec<usize>,
    inbox: Box<[u8]>,
    // Reused from turn to turn.
    inputs: Vec<Input>,
    deeds: Vec<Deed>,
    completions: Vec<Completion>,
    /// Flush epochs of batches whose waiters were told, for the next turn under the lock.
    told: Vec<u64>,
    problems: Vec<(Problem, String)>,
    events: Events,
    /// Failures of the application's own code.
    reports: Vec<String>,
    /// Bytes taken from the core since there was nothing to do.
    moved: usize,
    /// Batches came up that have to be compressed before they leave.
    #[cfg(feature = "codecs")]
    jobs: bool,
    names: Names,
}

impl Io {
    fn run(mut self) {
        become_io_thread();
        let inner = Arc::clone(&self.inner);
        // Whatever becomes of the thread, nobody is left waiting for it.
        let panicked = caught(|| self.work(&inner)).is_err();
        self.finish(&inner, panicked);
    }

    /// Every record gets its outcome: the one that was settled and not told yet, if there is one.
    fn finish(mut self, inner: &Inner, panicked: bool) {
        let settled = std::mem::take(&mut self.completions);
        let on_problem = self.on_problem.take();
        let client_id = self.events.client_id();
        // Sockets close before those who wait for the end are told.
        drop(self);
        for completion in settled {
            completion.deliver(inner);
        }
        inner.end(panicked);
        tell_reports(on_problem.as_ref(), inner.with(|shared| std::mem::take(&mut shared.reports)));
        if events::ON {
            let undelivered = inner.with(|shared| shared.undelivered);
            // A subscriber's panic must not keep those waiting who wait for the end.
            let _ = caught(|| events::closed(&client_id, undelivered, panicked));
        }
        inner.ended();
    }

    fn work(&mut self, inner: &Inner) {
        let mut events = mio::Events::with_capacity(256);
        let mut sleep = Some(Duration::ZERO);
        loop {
            match self.poll.poll(&mut events, sleep) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // The poller is broken; a panic ends every wait with a clear error.
                    inner.with(Shared::abandon);
                    break;
                }
                _ => {}
            }
            for event in &events {
                if let Some(Some(conn)) = self.conns.get_mut(event.token().0) {
                    conn.ready(event);
                }
            }
            self.gather();
            let turn = inner.with(|shared| self.turn(shared));
            self.fill_up();
            self.act();
            if turn.over {
                break;
            }
            sleep = match turn.rest {
                _ if self.compress() => Some(Duration::ZERO),
                Rest::Sleep(sleep) => sleep,
                Rest::Nap => {
                    std::thread::sleep(NAP);
                    Some(Duration::ZERO)
                }
            };
        }
        self.events.tell();
    }

    /// Reads from the sockets, and finds out which are connected.
    fn gather(&mut self) {
        self.names.take(|resolved| self.inputs.push(Input::Resolved(resolved)));
        let mut used = 0;
        for &slot in &self.live {
            let Some(Some(conn)) = self.conns.get_mut(slot) else { continue };
            if conn.phase == Phase::Connecting && conn.writable {
                match conn.connected() {
                    Ok(true) => {
                        conn.phase = Phase::Open;
                        self.inputs.push(Input::Connected(conn.id));
                    }
                    Ok(false) => conn.writable = false,
                    Err(error) => Self::lose(&self.inner, &mut self.events, conn, &mut self.inputs, &error),
                }
            }
            while conn.phase == Phase::Open && conn.readable && used < self.inbox.len() {
                match conn.read(&mut self.inbox[used..]) {
                    Got::Bytes(count) => {
                        self.inputs.push(Input::Bytes(conn.id, used..used + count));
                        used += count;
                    }
                    Got::Nothing => {}
                    Got::End(error) => Self::lose(&self.inner, &mut self.events, conn, &mut self.inputs, &error),
                }
            }
        }
        // Whoever is left unread because the inbox was full comes first next time.
        if used == self.inbox.len() {
            self.live.rotate_left(1);
        }
    }

    /// The connection is lost: the core hears of it in the next turn.
    fn lose(inner: &Inner, events: &mut Events, conn: &mut Conn, inputs: &mut Vec<Input>, error: &io::Error) {
        let why = failures::words(error);
        match std::mem::replace(&mut conn.phase, Phase::Failed) {
            Phase::Connecting => events.unreachable(&conn.target, &why),
            _ => events.lost(&conn.target, &why),
        }
        inner.with(|shared| shared.failures.note(shared.now, &conn.target, why));
        inputs.push(Input::Lost(conn.id, failures::disconnect(error)));
    }

    /// Everything that needs the lock.
    fn turn(&mut self, shared: &mut Shared) -> Turn {
        if shared.life == Life::Broken {
            return Turn { rest: Rest::Sleep(None), over: true };
        }
        shared.sleeping = false;
        shared.tick(&self.inner);
        shared.metering.begin_turn(shared.now, &mut shared.core, &shared.topics);
        for epoch in self.told.drain(..) {
            shared.cells.told(epoch);
        }
        self.reports.append(&mut shared.reports);
        let flushed = shared.cells.flushed();
        shared.waiters.release_flushes(flushed, &mut shared.released);
        self.hand_over(shared);
        if shared.core.poll_timeout().is_some_and(|deadline| deadline.at <= shared.now) {
            shared.core.handle_timeout(shared.now);
        }
        shared.waiters.expire(shared.now, &mut shared.released);
        self.collect_deeds(shared);
        while let Some(conn) = shared.core.poll_writable() {
            if let Some(conn) = self.conn(conn) {
                conn.wanted = true;
            }
        }
        self.fill(shared);
        let over = self.collect_events(shared);
        if shared.waiters.queued() && shared.room_is_ample() {
            shared.waiters.room_is_ample();
        }
        Turn { rest: self.plan(shared), over }
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.slot())?.as_deref_mut().filter(|conn| conn.id == id)
    }

    fn conn_of(conns: &[Option<Box<Conn>>], id: ConnId) -> Option<&Conn> {
        conns.get(id.slot())?.as_deref().filter(|conn| conn.id == id)
    }

    /// Tells the core what happened.
    fn hand_over(&mut self, shared: &mut Shared) {
        let now = shared.now;
        let mut inputs = std::mem::take(&mut self.inputs);
        for input in inputs.drain(..) {
            match input {
                Input::Connected(id) => shared.core.handle_connected(now, id),
                Input::Bytes(id, range) => {
                    let bytes = self.inbox.get(range).unwrap_or(&[]);
                    let usable = shared.core.stats().connections_opened;
                    let result = shared.core.handle_input(now, id, bytes);
                    let Some(conn) = Self::conn_of(&self.conns, id) else { continue };
                    if let Err(error) = result {
                        self.events.lost(&conn.target, error);
                        shared.failures.note(shared.now, &conn.target, error.to_string());
                    } else if shared.core.stats().connections_opened != usable {
                        // Only now: what accepts connections need not be a broker.
                        self.events.opened(&conn.target);
                        shared.failures.clear(&conn.target);
                    }
                }
                Input::Resolved(Resolved { conn, target, addresses }) if addresses.is_empty() => {
                    self.events.unreachable(&target, "name cannot be resolved");
                    shared.failures.note(shared.now, &target, "name cannot be resolved");
                    shared.core.handle_disconnected(now, conn, Disconnect::Dns);
                }
                Input::Resolved(Resolved { conn, target, addresses }) => {
                    shared.failures.clear(&target);
                    shared.core.handle_resolved(now, conn, &addresses);
                }
                Input::Lost(id, why) => {
                    shared.core.handle_disconnected(now, id, why);
                    self.deeds.push(Deed::Disconnect(id));
                }
            }
        }
        self.inputs = inputs;
    }

    fn collect_deeds(&mut self, shared: &mut Shared) {
        let core = &mut shared.core;
        while let Some(action) = core.poll_action() {
            // Targets are looked up once the action no longer borrows the core.
            match action {
                Action::Resolve { conn, host } => {
                    let host = host.to_owned();
                    self.deeds.push(Deed::Resolve { conn, host, target: Target::of(core, conn) });
                }
                Action::Connect { conn, target: klamm_core::Target::Address(address), .. } => {
                    self.deeds.push(Deed::Connect { conn, address, target: Target::of(core, conn) });
                }
                // Names are resolved here, so the core never asks for this.
                Action::Connect { conn, .. } => self.inputs.push(Input::Lost(conn, Disconnect::Other)),
                Action::Disconnect { conn } => self.deeds.push(Deed::Disconnect(conn)),
                _ => {}
            }
        }
    }

    /// Copies a piece of bytes out of the core for every connection that can take it.
    fn fill(&mut self, shared: &mut Shared) {
        for &slot in &self.live {
            if let Some(Some(conn)) = self.conns.get_mut(slot) {
                self.moved += conn.fill(&mut shared.core, shared.now);
            }
        }
        #[cfg(feature = "codecs")]
        {
            self.jobs |= shared.core.compress_due();
        }
    }

    /// Goes on with that, letting callers in between pieces, until the chunks are full.
    fn fill_up(&mut self) {
        let inner = Arc::clone(&self.inner);
        while self.live().any(Conn::can_fill) {
            inner.with(|shared| self.fill(shared));
        }
    }

    /// Compresses the batches that are to leave and that no caller compressed, but not for so long that
    /// the sockets wait. Whether there were any: then there is more to do.
    #[cfg(feature = "codecs")]
    fn compress(&mut self) -> bool {
        if !std::mem::take(&mut self.jobs) {
            return false;
        }
        let mut job = self.inner.with(|shared| self.inner.take_job(shared));
        let any = job.is_some();
        for round in 1..=JOBS_PER_TURN {
            let Some(bench) = job.take() else { break };
            job = self.inner.compress(bench, |_, _| round < JOBS_PER_TURN);
        }
        any
    }

    #[cfg(not(feature = "codecs"))]
    fn compress(&mut self) -> bool {
        false
    }

    fn live(&self) -> impl Iterator<Item = &Conn> {
        self.live.iter().filter_map(|&slot| self.conns.get(slot)?.as_deref())
    }

    /// Takes the core's news; true if they are the last.
    fn collect_events(&mut self, shared: &mut Shared) -> bool {
        let mut over = false;
        while let Some(event) = shared.core.poll_event() {
            match event {
                Event::Batch(outcome) => {
                    self.events.outcome(&shared.core, &outcome);
                    self.outcome(shared, &outcome);
                }
                Event::Writable => {
                    let next = shared.waiters.space_available();
                    shared.released.extend(next);
                }
                Event::Topic(topic) => {
                    self.events.topic(&shared.core, topic);
                    shared.waiters.release_topics(Some(topic), &mut shared.released);
                }
                Event::Problem(problem) => {
                    if matches!(problem, Problem::Fatal(_)) {
                        shared.waiters.release_topics(None, &mut shared.released);
                    }
                    if let Some(describe) = self.describe {
                        let text = describe(&problem, &shared.core);
                        self.events.problem(&text, matches!(problem, Problem::Fatal(_)));
                        self.problems.push((problem, text));
                    }
                }
                Event::Closed => over = true,
                // Flushes are counted here, per call: the core only knows the last.
                _ => {}
            }
        }
        self.events.look(shared.core.stats(), shared.core.measurements().leader_changes);
        over
    }

    fn outcome(&mut self, shared: &mut Shared, outcome: &BatchOutcome) {
        let text = if outcome.result.is_err() { shared.core.error_text() } else { "" };
        let message = if text.is_empty() { shared.timeout_cause(outcome) } else { Some(Arc::from(text)) };
        if outcome.result.is_err() && shared.life == Life::Closing {
            shared.undelivered = shared.undelivered.saturating_add(outcome.count.into());
        }
        if let Some(mut completion) = shared.cells.settle(outcome, message) {
            let partition = |batch, slot| shared.core.batch_partition(batch, slot);
            let callbacks = shared.callbacks.as_mut();
            completion.calls = callbacks.and_then(|all| all.settle(outcome, &completion.segment, &partition));
            self.completions.push(completion);
        }
    }

    /// Whether and how long the thread may sleep after this turn.
    fn plan(&mut self, shared: &mut Shared) -> Rest {
        let busy = !self.deeds.is_empty()
            || !self.inputs.is_empty()
            || !self.completions.is_empty()
            || self.live().any(|conn| conn.can_progress() || (conn.readable && conn.phase == Phase::Open));
        if busy {
            return Rest::Sleep(Some(Duration::ZERO));
        }
        let moved = std::mem::take(&mut self.moved);
        if shared.active && moved >= FAST {
            shared.active = false;
            shared.precise = false;
            shared.metering.nap(NAP);
            return Rest::Nap;
        }
        let wake_at = [shared.core.poll_timeout().map(|deadline| deadline.at), shared.waiters.next_deadline()];
        let wake_at = wake_at.into_iter().flatten().min();
        let now = self.inner.now();
        let mut sleep = wake_at.map(|at| at.since(now));
        if std::mem::take(&mut shared.active) {
            // Records are coming in: wake soon enough to keep their clock.
            sleep = Some(sleep.map_or(COARSE, |sleep| sleep.min(COARSE)));
        }
        shared.precise = sleep.is_none_or(|sleep| sleep > COARSE);
        shared.wake_at = sleep.map_or(Instant::from_micros(u64::MAX), |sleep| now.after(sleep));
        shared.sleeping = true;
        shared.metering.sleep(now);
        Rest::Sleep(sleep)
    }

    /// Everything that a turn found to do and that needs no lock.
    fn act(&mut self) {
        for completion in self.completions.drain(..) {
            self.told.extend(completion.finished);
            completion.deliver(&self.inner);
        }
        tell_reports(self.on_problem.as_ref(), std::mem::take(&mut self.reports));
        for (problem, text) in self.problems.drain(..) {
            let Some(on_problem) = &self.on_problem else { break };
            // A panic of the caller's code must not end the producer.
            if caught(|| on_problem(&problem, &text)).is_err() {
                events::warn_user_code("on_problem panicked");
            }
        }
        self.events.tell();
        let mut deeds = std::mem::take(&mut self.deeds);
        for deed in deeds.drain(..) {
            self.perform(deed);
        }
        self.deeds = deeds;
        for &slot in &self.live {
            let Some(Some(conn)) = self.conns.get_mut(slot) else { continue };
            if conn.phase == Phase::Open
                && let Err(error) = conn.write()
            {
                Self::lose(&self.inner, &mut self.events, conn, &mut self.inputs, &error);
            }
        }
    }

    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Disconnect(id) => self.remove(id),
            Deed::Resolve { conn, host, target } => self.names.ask(&self.inner, conn, host, target),
            Deed::Connect { conn: id, address, target } => {
                // The core reuses a slot only after it was told to disconnect; this is for safety.
                self.remove_slot(id.slot());
                match Conn::open(id, address, target.clone(), &self.socket, self.poll.registry()) {
                    Ok(conn) => {
                        if id.slot() >= self.conns.len() {
                            self.conns.resize_with(id.slot() + 1, || None);
                        }
                        self.conns[id.slot()] = Some(Box::new(conn));
                        self.live.push(id.slot());
                    }
                    Err(error) => {
                        let why = failures::words(&error);
                        self.events.unreachable(&target, &why);
                        self.inner.with(|shared| shared.failures.note(shared.now, &target, why));
                        self.inputs.push(Input::Lost(id, failures::disconnect(&error)));
                    }
                }
            }
        }
    }

    fn remove(&mut self, id: ConnId) {
        let Some(conn) = Self::conn_of(&self.conns, id) else { return };
        match conn.phase {
            Phase::Connecting => {
                let text = "no connection within socket.connection.setup.timeout.ms";
                self.events.unreachable(&conn.target, text);
                self.inner.with(|shared| shared.failures.note(shared.now, &conn.target, text));
            }
            Phase::Open => self.events.disconnected(&conn.target),
            Phase::Failed => {}
        }
        self.remove_slot(id.slot());
    }

    fn remove_slot(&mut self, slot: usize) {
        if let Some(conn) = self.conns.get_mut(slot).and_then(Option::take) {
            self.live.retain(|&live| live != slot);
            conn.close(self.poll.registry(), self.linger);
        }
    }
}
