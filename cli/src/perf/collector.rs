//! When each record was delivered, observed without slowing the thread that sends.
//!
//! The sender hands over chunks of deliveries. The collector polls the first delivery of each chunk that is not done,
//! as the future it is, with a waker of the chunk's own: so it is woken when a batch is done, reads the clock once,
//! and takes every record done by then. Chunks do not wait for one another, so a slow broker does not lengthen the
//! latencies of a quick one.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use klamm::{Delivery, Fate};

use super::stats::Stats;
use crate::output::print;
use crate::progress::Progress;

/// Records of a chunk: about one batch of small records.
const CHUNK: usize = 256;
/// Chunks that the collector has not looked at yet; a sender that is further ahead waits.
const AHEAD: usize = 1024;

/// Milliseconds since the run began.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

struct Entry {
    delivery: Delivery,
    sent_ms: u32,
    bytes: u32,
}

struct Chunk {
    entries: VecDeque<Entry>,
    /// Its records come after the warm-up.
    steady: bool,
}

#[derive(Default)]
struct Mailbox {
    chunks: VecDeque<Chunk>,
    /// Places of chunks that may have got further.
    woken: Vec<usize>,
    closed: bool,
}

struct Shared(Mutex<Mailbox>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was counted.
pub(crate) struct Collected {
    pub(crate) stats: Stats,
    pub(crate) steady: Option<Stats>,
    /// Failed deliveries by kind.
    pub(crate) failures: BTreeMap<String, u64>,
}

/// What the collector must know from the start.
pub(crate) struct Plan {
    pub(crate) num_records: u64,
    pub(crate) warmup_records: u64,
    pub(crate) reporting_interval_ms: u64,
}

/// The sender's end.
pub(crate) struct Collector {
    shared: Arc<Shared>,
    thread: JoinHandle<Collected>,
    filling: VecDeque<Entry>,
    steady: bool,
}

impl Collector {
    /// Starts the thread.
    pub(crate) fn start(plan: Plan, clock: Clock, progress: Progress) -> Self {
        let shared = Arc::new(Shared(Mutex::default()));
        let mailbox = Arc::clone(&shared);
        let thread = thread::spawn(move || Observer::new(plan, clock, progress, mailbox).run());
        Self { shared, thread, filling: VecDeque::with_capacity(CHUNK), steady: false }
    }

    /// The records from here on come after the warm-up.
    pub(crate) fn begin_steady_state(&mut self) {
        self.hand_over();
        self.steady = true;
    }

    /// Adds a record that was accepted.
    #[inline]
    pub(crate) fn add(&mut self, delivery: Delivery, sent_ms: u64, bytes: usize) {
        self.filling.push_back(Entry { delivery, sent_ms: sent_ms as u32, bytes: bytes as u32 });
        if self.filling.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Lets the collector see what was added. To be called before waiting: records must not be observed late.
    pub(crate) fn hand_over(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let entries = std::mem::replace(&mut self.filling, VecDeque::with_capacity(CHUNK));
        let chunk = Chunk { entries, steady: self.steady };
        let mut mailbox = self.shared.lock();
        mailbox.chunks.push_back(chunk);
        let ahead = mailbox.chunks.len() > AHEAD;
        drop(mailbox);
        self.thread.thread().unpark();
        if ahead {
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits for every delivery.
    pub(crate) fn finish(mut self) -> Collected {
        self.hand_over();
        self.shared.lock().closed = true;
        self.thread.thread().unpark();
        match self.thread.join() {
            Ok(collected) => collected,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Wakes the collector for one chunk.
struct ChunkWaker {
    shared: Arc<Shared>,
    thread: Thread,
    place: usize,
}

impl Wake for ChunkWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.lock().woken.push(self.place);
        self.thread.unpark();
    }
}

/// The thread's own state.
struct Observer {
    plan: Plan,
    clock: Clock,
    progress: Progress,
    shared: Arc<Shared>,
    collected: Collected,
    /// Chunks that are not done, by place, each with its waker. Places are used again.
    places: Vec<(Chunk, Waker)>,
    free: Vec<usize>,
    done: u64,
}

impl Observer {
    fn new(plan: Plan, clock: Clock, progress: Progress, shared: Arc<Shared>) -> Self {
        let stats = Stats::new(plan.num_records, plan.reporting_interval_ms, false, clock.now_ms());
        let collected = Collected { stats, steady: None, failures: BTreeMap::new() };
        Self { plan, clock, progress, shared, collected, places: Vec::new(), free: Vec::new(), done: 0 }
    }

    fn run(mut self) -> Collected {
        let mut woken = Vec::new();
        loop {
            let mut mailbox = self.shared.lock();
            let chunks = std::mem::take(&mut mailbox.chunks);
            woken.append(&mut mailbox.woken);
            let closed = mailbox.closed;
            drop(mailbox);
            if chunks.is_empty() && woken.is_empty() {
                if closed && self.free.len() == self.places.len() {
                    return self.collected;
                }
                thread::park();
                continue;
            }
            for place in woken.drain(..) {
                self.advance(place);
            }
            for chunk in chunks {
                let place = self.place(chunk);
                self.advance(place);
            }
            self.progress.set(self.done);
        }
    }

    fn place(&mut self, chunk: Chunk) -> usize {
        if chunk.steady && self.collected.steady.is_none() {
            let Plan { num_records, warmup_records, reporting_interval_ms } = self.plan;
            let start = chunk.entries.front().map_or(0, |entry| u64::from(entry.sent_ms));
            self.collected.steady = Some(Stats::new(num_records - warmup_records, reporting_interval_ms, true, start));
            self.collected.stats.silent = true;
        }
        if let Some(place) = self.free.pop() {
            self.places[place].0 = chunk;
            return place;
        }
        let place = self.places.len();
        let waker = ChunkWaker { shared: Arc::clone(&self.shared), thread: thread::current(), place };
        self.places.push((chunk, Arc::new(waker).into()));
        place
    }

    /// Takes the records of a chunk that are done; leaves its waker with the first that is not.
    fn advance(&mut self, place: usize) {
        let Self { places, collected, progress, clock, .. } = self;
        let (chunk, waker) = &mut places[place];
        // A waker of an earlier chunk in this place may come late.
        if chunk.entries.is_empty() {
            return;
        }
        let mut context = Context::from_waker(waker);
        let now_ms = clock.now_ms();
        while let Some(entry) = chunk.entries.front_mut() {
            let Poll::Ready(result) = Pin::new(&mut entry.delivery).poll(&mut context) else { return };
            match result {
                Ok(_) => collected.delivered(entry.sent_ms, entry.bytes, now_ms, chunk.steady, progress),
                Err(error) => {
                    let fate = match error.fate {
                        Fate::NotWritten => "not written",
                        Fate::Unknown => "possibly written",
                    };
                    *collected.failures.entry(format!("{} ({fate})", error.kind)).or_default() += 1;
                }
            }
            self.done += 1;
            chunk.entries.pop_front();
        }
        self.free.push(place);
    }
}

impl Collected {
    #[inline]
    fn delivered(&mut self, sent_ms: u32, bytes: u32, now_ms: u64, steady: bool, progress: &Progress) {
        let latency_ms = now_ms.saturating_sub(u64::from(sent_ms)) as u32;
        if let Some(text) = self.stats.record(latency_ms, bytes, now_ms) {
            progress.aside(|| print(&text));
        }
        if steady
            && let Some(stats) = &mut self.steady
            && let Some(text) = stats.record(latency_ms, bytes, now_ms)
        {
            progress.aside(|| print(&text));
        }
    }
}
