//! What callers and the I/O thread share: the core and its tables, under one lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_core::{Accepted, Instant, TopicId};

use crate::callbacks::{Callback, Callbacks, Settle};
use crate::cells::Cells;
#[cfg(feature = "codecs")]
use crate::codec::{Bench, Pool};
use crate::delivery::Delivery;
use crate::failures::Failures;
use crate::metrics::Metering;
use crate::prepared::Hooks;
use crate::record::Record;
use crate::topics::Topics;
use crate::waiters::Waiters;
use crate::wake::wake_all;

/// How stale the time may be that callers see while the I/O thread sleeps; beyond, they read the clock.
pub(crate) const COARSE: Duration = Duration::from_millis(5);
/// How often a caller tries to get the lock before its thread sleeps; and how often of these while it keeps its processor.
const PATIENT_TRIES: u32 = 64;
const SPINNING_TRIES: u32 = 7;
/// How often the wall clock is looked at while there is work.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Batches that a caller compresses after its own call, at most: one record fills or closes two, three
/// with bad luck. What is left over is for the I/O thread.
#[cfg(feature = "codecs")]
const JOBS_PER_CALL: usize = 4;
/// Failures of the application's code that are kept to be told.
const REPORTS_MAX: usize = 16;

/// Less free memory than this is not ample, however small the buffer is: Kafka's `max.request.size`.
const AMPLE: u64 = 1 << 20;

/// How far the producer's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Records are accepted.
    Open,
    /// The last records are being delivered.
    Closing,
    /// Everything has its outcome.
    Closed,
    /// A panic, in the I/O thread or under the lock.
    Broken,
}

/// What was agreed on at the start, and holds for the producer's life.
pub(crate) struct Terms {
    pub(crate) max_block: Duration,
    pub(crate) delivery_timeout: Duration,
    /// Code of the application's that every send meets; usually there is none.
    pub(crate) hooks: Option<Box<Hooks>>,
    #[cfg(feature = "codecs")]
    pub(crate) codecs: Pool,
}

/// Shared by the handles and the I/O thread.
pub(crate) struct Inner {
    shared: Mutex<Shared>,
    /// Told when [`Shared::ended`] becomes true.
    end: Condvar,
    waker: mio::Waker,
    origin: std::time::Instant,
    pub(crate) max_block: Duration,
    pub(crate) delivery_timeout: Duration,
    /// Code of the application's that every send meets; usually there is none.
    pub(crate) hooks: Option<Box<Hooks>>,
    pub(crate) join: Mutex<Option<JoinHandle<()>>>,
    #[cfg(feature = "codecs")]
    codecs: Pool,
}

/// Under the lock.
pub(crate) struct Shared {
    pub(crate) core: klamm_core::Producer<'static>,
    pub(crate) life: Life,
    /// The I/O thread has nothing left to do but return.
    pub(crate) ended: bool,
    /// The coarse clock: the I/O thread sets it whenever it wakes.
    pub(crate) now: Instant,
    /// The I/O thread sleeps for long: callers read the clock themselves.
    pub(crate) precise: bool,
    /// A record was accepted since the I/O thread last looked.
    pub(crate) active: bool,
    /// The I/O thread sleeps, until `wake_at`, and nobody has woken it yet.
    pub(crate) sleeping: bool,
    pub(crate) wake_at: Instant,
    wall_clock_read: Option<Instant>,
    pub(crate) topics: Topics,
    pub(crate) cells: Cells,
    /// Since the first record whose outcome is to be told.
    pub(crate) callbacks: Option<Box<dyn Settle>>,
    /// Failures of the application's code, for its problem hook.
    pub(crate) reports: Vec<String>,
    pub(crate) waiters: Waiters,
    pub(crate) failures: Failures,
    pub(crate) metering: Metering,
    /// Records that failed since `close` was called.
    pub(crate) undelivered: u64,
    /// Wakers to call once the lock is gone.
    pub(crate) released: Vec<Waker>,
    /// The I/O thread must be woken once the lock is gone.
    wake_io: bool,
    /// Batches were filled that whoever holds the lock compresses once it is gone.
    #[cfg(feature = "codecs")]
    compress: bool,
}

impl Inner {
    pub(crate) fn new(
        core: klamm_core::Producer<'static>,
        metering: Metering,
        waker: mio::Waker,
        origin: std::time::Instant,
        terms: Terms,
    ) -> Self {
        let Terms { max_block, delivery_timeout, hooks, .. } = terms;
        let shared = Shared {
            core,
            life: Life::Open,
            ended: false,
            now: Instant::ZERO,
            precise: true,
            active: false,
            sleeping: false,
            wake_at: Instant::ZERO,
            wall_clock_read: None,
            topics: Topics::default(),
            cells: Cells::default(),
            callbacks: None,
            reports: Vec::new(),
            waiters: Waiters::default(),
            failures: Failures::default(),
            metering,
            undelivered: 0,
            released: Vec::new(),
            wake_io: false,
            #[cfg(feature = "codecs")]
            compress: false,
        };
        Self {
            shared: Mutex::new(shared),
            end: Condvar::new(),
            waker,
            origin,
            max_block,
            delivery_timeout,
            hooks,
            join: Mutex::new(None),
            #[cfg(feature = "codecs")]
            codecs: terms.codecs,
        }
    }

    /// The time, from the real clock.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.after(self.origin.elapsed())
    }

    /// `max.block.ms`, which came as so many.
    pub(crate) fn max_block_ms(&self) -> u64 {
        self.max_block.as_millis() as u64
    }

    /// Runs `work` under the lock; then, without it, wakes whoever `work` released.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Shared) -> R) -> R {
        let mut shared = self.lock();
        let result = work(&mut shared);
        self.unlock(shared);
        result
    }

    /// Accepts a record if nobody waits for space before it. The path of nearly every record.
    #[inline]
    pub(crate) fn fast(&self, record: &Record<'_>, patience: Patience) -> Result<Delivery, klamm_core::SendError> {
        let mut shared = self.lock();
        if shared.waiters.queued() && shared.life == Life::Open {
            return Err(klamm_core::SendError::Full);
        }
        let result = shared.accept(self, record, patience);
        self.unlock(shared);
        result
    }

    #[inline]
    fn unlock(&self, shared: MutexGuard<'_, Shared>) {
        if shared.has_errands() {
            self.unlock_and_run_errands(shared);
        }
    }

    #[cold]
    fn unlock_and_run_errands(&self, mut shared: MutexGuard<'_, Shared>) {
        let wake_io = std::mem::take(&mut shared.wake_io);
        let released = std::mem::take(&mut shared.released);
        #[cfg(feature = "codecs")]
        let job = if std::mem::take(&mut shared.compress) { self.take_job(&mut shared) } else { None };
        drop(shared);
        if wake_io {
            self.wake_io();
        }
        wake_all(released);
        #[cfg(feature = "codecs")]
        if let Some(job) = job {
            self.compress_some(job);
        }
    }

    /// Compresses what this thread filled. Should others have left more, the I/O thread goes on.
    #[cfg(feature = "codecs")]
    fn compress_some(&self, first: Bench) {
        let mut job = Some(first);
        for round in 1..=JOBS_PER_CALL {
            let Some(bench) = job.take() else { return };
            job = self.compress(bench, |shared, wake| {
                let more = shared.core.compress_due();
                if wake || more && round == JOBS_PER_CALL {
                    shared.wake_if_asleep();
                }
                more && round < JOBS_PER_CALL
            });
        }
    }

    /// Does a job without the lock and tells the core. `then` hears whether a driver that sleeps must
    /// wake, and says whether the next job is to be taken at the same time.
    #[cfg(feature = "codecs")]
    pub(crate) fn compress(&self, mut bench: Bench, then: impl FnOnce(&mut Shared, bool) -> bool) -> Option<Bench> {
        bench.work();
        let next = self.with(|shared| {
            if shared.life == Life::Broken {
                return None;
            }
            let wake = match bench.done() {
                Some((id, result)) => shared.core.handle_compressed(shared.now, id, result),
                None => false,
            };
            if then(shared, wake) { self.take_job(shared) } else { None }
        });
        self.codecs.put_back(bench);
        next
    }

    /// The core's next job, copied out of it.
    #[cfg(feature = "codecs")]
    pub(crate) fn take_job(&self, shared: &mut Shared) -> Option<Bench> {
        if shared.life == Life::Broken { None } else { self.codecs.take_job(&mut shared.core) }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shared> {
        match self.shared.try_lock() {
            Ok(shared) => shared,
            Err(TryLockError::WouldBlock) => self.lock_contended(),
            // The error holds the lock.
            Err(TryLockError::Poisoned(poisoned)) => self.mend(poisoned),
        }
    }

    /// The lock is held for well under a microsecond, so it is mostly free again after a few turns of a loop. The pauses grow: whoever has
    /// the lock sends several records meanwhile, and what it guards need not move between processors for each of them. If that does not
    /// help, its holder may wait for our processor: letting others run for a moment costs less than going to sleep, and spares the holder
    /// the call that would wake us.
    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, Shared> {
        for attempt in 0..PATIENT_TRIES {
            match self.shared.try_lock() {
                Ok(shared) => return shared,
                Err(TryLockError::WouldBlock) if attempt < SPINNING_TRIES => {
                    (0..16_u32 << attempt).for_each(|_| std::hint::spin_loop())
                }
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Poisoned(poisoned)) => return self.mend(poisoned),
            }
        }
        match self.shared.lock() {
            Ok(shared) => shared,
            Err(poisoned) => self.mend(poisoned),
        }
    }

    /// A panic under the lock left the core in an unknown state: the producer is broken.
    #[cold]
    fn mend<'i>(&self, poisoned: PoisonError<MutexGuard<'i, Shared>>) -> MutexGuard<'i, Shared> {
        let mut shared = poisoned.into_inner();
        if !matches!(shared.life, Life::Broken | Life::Closed) {
            // The I/O thread ends when it sees this, and fails whatever is open.
            shared.life = Life::Broken;
            shared.sleeping = false;
            self.wake_io();
        }
        shared
    }

    /// Code of the application's failed: its problem hook is told, on the I/O thread. A flood is cut short.
    pub(crate) fn report(&self, text: String) {
        self.with(|shared| {
            if shared.reports.len() < REPORTS_MAX {
                shared.reports.push(text);
                shared.wake_if_asleep();
            }
        });
    }

    /// Wakes the I/O thread.
    pub(crate) fn wake_io(&self) {
        // It can only fail when the poller is gone, and then so is the thread.
        let _ = self.waker.wake();
    }

    /// The I/O thread is ending: no record may be left without an outcome. [`ended`](Self::ended) follows.
    pub(crate) fn end(&self, panicked: bool) {
        let (calls, completions) = self.with(|shared| {
            let broken = panicked || shared.life == Life::Broken;
            shared.life = if broken { Life::Broken } else { Life::Closing };
            shared.sleeping = false;
            shared.undelivered = shared.undelivered.saturating_add(shared.cells.outstanding());
            (shared.callbacks.as_mut().map(|all| all.fail_all()), shared.cells.fail_all())
        });
        if let Some(calls) = calls {
            calls.run(self);
        }
        for completion in completions {
            completion.deliver(self);
        }
        if let Some(hooks) = &self.hooks {
            (hooks.way.end)(hooks, self);
        }
    }

    /// The I/O thread has nothing left to do but return: whoever waits for that is told.
    pub(crate) fn ended(&self) {
        self.with(|shared| {
            if shared.life != Life::Broken {
                shared.life = Life::Closed;
            }
            shared.ended = true;
            shared.waiters.close(true, &mut shared.released);
        });
        self.end.notify_all();
    }

    /// Waits until the I/O thread has ended; false if `deadline` passed first.
    pub(crate) fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        let mut shared = self.lock();
        while !shared.ended {
            let left = deadline.map(|deadline| deadline.since(self.now()));
            shared = match left {
                Some(left) if left.is_zero() => return false,
                Some(left) => self.end.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.end.wait(shared).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }
}

impl Shared {
    /// Accepts a record, at the coarse time.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        patience: Patience,
    ) -> Result<Delivery, klamm_core::SendError> {
        self.accept_noting(inner, record, patience, |_, _| {})
    }

    /// As [`accept`](Self::accept), for a record whose outcome is to be told to interceptors and to
    /// `callback`, which is taken if the record is.
    pub(crate) fn accept_told(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        patience: Patience,
        callback: &mut Option<Callback>,
    ) -> Result<Delivery, klamm_core::SendError> {
        let mut noted = None;
        let delivery =
            self.accept_noting(inner, record, patience, |accepted, topic| noted = Some((*accepted, topic)))?;
        if let Some((accepted, topic)) = noted {
            // Under the same lock: the outcome cannot come before.
            let partition = |batch, slot| self.core.batch_partition(batch, slot);
            let callbacks = self.callbacks.get_or_insert_with(|| Box::<Callbacks>::default());
            callbacks.add(&accepted, topic, &delivery, callback.take(), &partition);
        }
        Ok(delivery)
    }

    #[inline(always)] // costs nothing where there is nothing to note
    fn accept_noting(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        patience: Patience,
        note: impl FnOnce(&Accepted, TopicId),
    ) -> Result<Delivery, klamm_core::SendError> {
        if self.life != Life::Open {
            return Err(klamm_core::SendError::Closed);
        }
        if self.precise {
            self.tick(inner);
        }
        let at = self.topic(inner, record.topic())?;
        let topic = &mut self.topics.entries[at];
        if patience == Patience::Waits && !topic.known {
            // The core would take keyless records; but who can wait learns at once what is wrong.
            topic.known = self.core.partition_count(topic.id).is_some();
            if !topic.known {
                return Err(klamm_core::SendError::PartitionsUnknown);
            }
        }
        // By reference: moving the answer about costs more than reading it.
        let answer = self.core.send(self.now, topic.id, &record.as_core());
        let accepted = match &answer {
            Ok(accepted) => accepted,
            Err(refused) => {
                #[cfg(feature = "codecs")]
                {
                    // It may have closed a batch in vain.
                    self.compress = self.core.compress_due();
                }
                return Err(*refused);
            }
        };
        #[cfg(feature = "codecs")]
        if accepted.compress {
            self.compress = true;
        }
        let cell = self.cells.track(accepted, &topic.name);
        note(accepted, topic.id);
        self.active = true;
        if accepted.wake {
            self.wake_if_asleep();
        }
        Ok(Delivery::new(cell, accepted.id.index, accepted.timestamp))
    }

    /// Something is to be done once the lock is gone.
    #[inline]
    fn has_errands(&self) -> bool {
        #[cfg(feature = "codecs")]
        if self.compress {
            return true;
        }
        self.wake_io || !self.released.is_empty()
    }

    /// Reads the clocks.
    pub(crate) fn tick(&mut self, inner: &Inner) {
        self.now = self.now.max(inner.now());
        let due = self.wall_clock_read.is_none_or(|read| self.now.since(read) >= WALL_CLOCK_EVERY);
        if due && let Ok(since) = SystemTime::now().duration_since(UNIX_EPOCH) {
            self.wall_clock_read = Some(self.now);
            let unix_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            self.core.set_wall_clock(self.now, unix_ms);
        }
    }

    /// The I/O thread has something to do: it is woken once the lock is gone, if it sleeps.
    #[inline]
    pub(crate) fn wake_if_asleep(&mut self) {
        if self.sleeping {
            self.sleeping = false;
            // It sets the clock as soon as it runs.
            self.precise = false;
            self.wake_io = true;
        }
    }

    /// Makes sure that the I/O thread looks at the waiters' deadlines in time.
    pub(crate) fn wake_for(&mut self, deadline: Instant) {
        if deadline < self.wake_at {
            self.wake_if_asleep();
        }
    }

    /// The topic's place in the table; a new name starts a metadata look-up.
    #[inline]
    pub(crate) fn topic(&mut self, inner: &Inner, name: &str) -> Result<usize, klamm_core::SendError> {
        match self.topics.last(name) {
            Some(at) => Ok(at),
            None => self.topic_slow(inner, name),
        }
    }

    #[cold]
    fn topic_slow(&mut self, inner: &Inner, name: &str) -> Result<usize, klamm_core::SendError> {
        if let Some(at) = self.topics.find(name) {
            self.topics.last = at;
            return Ok(at);
        }
        self.tick(inner);
        let id = match self.core.topic(name) {
            Err(klamm_core::SendError::TooManyTopics { .. }) if self.forget_one() => self.core.topic(name)?,
            other => other?,
        };
        self.wake_if_asleep();
        Ok(self.topics.insert(name, id))
    }

    /// The table is full: a topic without records makes room, the one that was added first.
    fn forget_one(&mut self) -> bool {
        let (core, waiters) = (&mut self.core, &self.waiters);
        self.topics.remove_first(|id| !waiters.waits_for(id) && core.forget_topic(id))
    }

    /// Stops accepting, and drains within `within`.
    pub(crate) fn begin_close(&mut self, now: Instant, within: Duration) {
        if self.life != Life::Open {
            return;
        }
        self.life = Life::Closing;
        self.now = self.now.max(now);
        self.core.close(self.now, within);
        self.stop_senders();
    }

    /// Fails everything outstanding.
    pub(crate) fn fail_all(&mut self, now: Instant) {
        if matches!(self.life, Life::Closed | Life::Broken) {
            return;
        }
        self.life = Life::Closing;
        self.now = self.now.max(now);
        self.core.fail_all(self.now);
        self.stop_senders();
    }

    /// Ends the I/O thread whatever it is doing.
    pub(crate) fn abandon(&mut self) {
        self.life = Life::Broken;
        self.sleeping = true;
        self.stop_senders();
    }

    /// A quarter of everything is free, and enough for large records: those who wait lose nothing to others.
    pub(crate) fn room_is_ample(&self) -> bool {
        let (free, total) = (self.core.buffer_available_bytes(), self.core.buffer_total_bytes());
        free >= AMPLE && free >= total / 4 && self.core.batches_available() >= self.core.batches_total() / 4
    }

    /// Begins a flush; done when [`Cells::flushed`] exceeds the number returned.
    pub(crate) fn flush(&mut self, inner: &Inner) -> u64 {
        if matches!(self.life, Life::Open | Life::Closing) {
            self.tick(inner);
            self.core.flush(self.now);
            self.wake_if_asleep();
        }
        self.cells.begin_flush()
    }

    fn stop_senders(&mut self) {
        self.waiters.close(false, &mut self.released);
        self.wake_if_asleep();
    }
}

/// Whether a caller waits for what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// `try_send`: takes what can be had now.
    None,
    /// `send`, `send_async`: for space, and for the topic's metadata as Java's `send` does.
    Waits,
}
