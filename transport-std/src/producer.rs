//! The handle that callers share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use klamm_core::{Instant, Measurements, NodeStats, Stats, TopicStats};

use crate::callbacks::Callback;
use crate::config::Builder;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{CloseError, ConfigError, DeliveryError, SendError};
use crate::inside::on_io_thread;
use crate::metrics::Metrics;
use crate::partition::{self, PartitionInfo};
use crate::prepared::{self, not_here};
use crate::record::Record;
use crate::sending::{self, Parker, SendFuture};
use crate::serializer::Serializer;
use crate::shared::{Inner, Life, Patience, Shared};
use crate::typed::TypedProducer;

/// How much later than the core a closer loses patience.
const GRACE: Duration = Duration::from_secs(1);

/// A Kafka producer: a cheap handle, to be cloned and shared between threads and tasks.
///
/// Records of one caller for one partition are stored in the order of its sends. Nothing is lost
/// silently: each accepted record ends in exactly one outcome, which its [`Delivery`] tells.
///
/// # The end
///
/// [`close`](Self::close) delivers what is outstanding and ends the producer; call it before the
/// process exits. Dropping the last handle does the same in the background, within
/// `delivery.timeout.ms`, and does not wait: **a process that exits right after loses what was not
/// delivered yet.** [`Delivery`] values stay valid in every case.
///
/// After `fork`, a producer works only in the parent: the child has no I/O thread.
///
/// ```no_run
/// use klamm::{Producer, Record};
/// use std::time::Duration;
///
/// let producer = Producer::builder().bootstrap_servers("localhost:9092").linger_ms(5).build()?;
/// let delivery = producer.send(&Record::to("payments").key("customer-17").value("1250"))?;
/// println!("stored at offset {}", delivery.wait()?.offset);
/// producer.close(Duration::from_secs(30))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// Shared by all clones; its destructor is the end of the last one.
struct Handle {
    inner: Arc<Inner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let within = self.inner.delivery_timeout;
        self.inner.with(|shared| shared.begin_close(self.inner.now(), within));
    }
}

impl Producer {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { handle: Arc::new(Handle { inner }) }
    }

    #[inline]
    fn inner(&self) -> &Inner {
        &self.handle.inner
    }

    /// Settings, one method per property.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A producer from properties under Kafka's own names, with Kafka's own value syntax.
    ///
    /// ```no_run
    /// let producer = klamm::Producer::from_properties([
    ///     ("bootstrap.servers", "localhost:9092"),
    ///     ("acks", "all"),
    ///     ("linger.ms", "5"),
    /// ])?;
    /// # Ok::<(), klamm::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The first property that is unknown, not implemented yet or illegal.
    pub fn from_properties<K, V>(properties: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        Self::builder().properties(properties)?.build()
    }

    /// Accepts the record if that is possible at once. Never waits, needs no connection.
    ///
    /// # Errors
    /// [`SendError::Full`] and, for records that need the partition count, [`SendError::PartitionsUnknown`]
    /// where [`send`](Self::send) would wait; else as there. A record without a key is taken even before the
    /// first connection, and fails after `delivery.timeout.ms` if there never is one.
    #[inline]
    pub fn try_send(&self, record: &Record<'_>) -> Result<Delivery, SendError> {
        let inner = self.inner();
        if let Some(hooks) = &inner.hooks {
            return (hooks.way.send)(inner, record, None, Patience::None);
        }
        match inner.fast(record, Patience::None) {
            Ok(delivery) => Ok(delivery),
            Err(refused) => self.refuse(record, refused),
        }
    }

    #[cold]
    fn refuse(&self, record: &Record<'_>, refused: klamm_core::SendError) -> Result<Delivery, SendError> {
        Err(self.inner().with(|shared| {
            let error = shared.refusal(refused, record.topic());
            shared.count_refusal(&error);
            error
        }))
    }

    /// Accepts the record, waiting for space and for the topic's partitions if need be, at most
    /// `max.block.ms`. It does not wait for the record's delivery: that is what the [`Delivery`] is for.
    ///
    /// Waiting callers are served first come, first served. In a callback nothing waits: there it does what
    /// [`try_send`](Self::try_send) does, and says [`SendError::InCallback`] where that is not enough.
    ///
    /// # Errors
    /// [`SendError::Timeout`] names what the call waited for, and why that did not come. The other
    /// variants are final, and told at once.
    #[inline]
    pub fn send(&self, record: &Record<'_>) -> Result<Delivery, SendError> {
        let inner = self.inner();
        if let Some(hooks) = &inner.hooks {
            return (hooks.way.send)(inner, record, None, Patience::Waits);
        }
        match inner.fast(record, Patience::Waits) {
            Ok(delivery) => Ok(delivery),
            Err(refused) => self.send_slow(record, refused),
        }
    }

    #[cold]
    fn send_slow(&self, record: &Record<'_>, refused: klamm_core::SendError) -> Result<Delivery, SendError> {
        if !refused.is_retriable() {
            return self.refuse(record, refused);
        }
        let inner = self.inner();
        if on_io_thread() {
            let accepted = inner.fast(record, Patience::None);
            return accepted.or_else(|refused| self.refuse(record, refused)).map_err(not_here);
        }
        sending::block(inner, record.topic(), |shared| shared.accept(inner, record, Patience::Waits))
            .inspect_err(|error| inner.with(|shared| shared.count_refusal(error)))
    }

    /// As [`send`](Self::send), and calls `callback` with the record's outcome. `Ok` means that the record
    /// was accepted; then, and only then, `callback` is called, exactly once.
    ///
    /// Callbacks run on the producer's I/O thread, in the order of their records per partition, whatever
    /// became of these; before a [`flush`](Self::flush) that covers the record returns, and before
    /// [`close`](Self::close) does. An outcome that comes earlier than that of a record before it waits for it.
    ///
    /// They hold up everything else, so they must be quick, and nothing blocks in them, on this
    /// producer or on another one:
    ///
    /// * all ways to send work. [`send`](Self::send) and `send_with` do what their `try_` forms do, and say
    ///   [`SendError::InCallback`] where they would have to wait;
    /// * [`flush`](Self::flush) makes what lingers leave, and returns at once;
    /// * [`close`](Self::close) begins to close, and returns `Ok` at once; records go on being delivered;
    /// * [`Delivery::wait`] without an outcome returns
    ///   [`DeliveryErrorKind::InCallback`](crate::DeliveryErrorKind::InCallback);
    /// * [`partition_count`](Self::partition_count) and [`partitions_for`](Self::partitions_for) return
    ///   [`SendError::InCallback`] while they know nothing.
    ///
    /// What it must not do is to wait by other means: to block on one of this crate's futures, or on a
    /// thread that waits for a delivery.
    ///
    /// A panic in a callback is caught and reported to [`Builder::on_problem`]. A callback may hold a
    /// producer, and drop its last handle.
    ///
    /// ```no_run
    /// # fn example(producer: klamm::Producer) -> Result<(), klamm::SendError> {
    /// use klamm::Record;
    ///
    /// producer.send_with(&Record::to("payments").value("1250"), |outcome| match outcome {
    ///     Ok(stored) => println!("{}-{} at offset {}", stored.topic, stored.partition, stored.offset),
    ///     Err(error) => eprintln!("{error}"),
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); `callback` is dropped then.
    pub fn send_with(
        &self,
        record: &Record<'_>,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) -> Result<(), SendError> {
        self.send_and_call(record, Box::new(callback), Patience::Waits)
    }

    /// As [`try_send`](Self::try_send), and calls `callback` with the record's outcome: see
    /// [`send_with`](Self::send_with).
    ///
    /// ```no_run
    /// # fn example(producer: klamm::Producer) {
    /// use klamm::{Record, SendError};
    ///
    /// let sent = producer.try_send_with(&Record::to("clicks").value("17"), |outcome| drop(outcome));
    /// if sent == Err(SendError::Full) {
    ///     // Shed load: this click is not counted.
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send); `callback` is dropped then.
    pub fn try_send_with(
        &self,
        record: &Record<'_>,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) -> Result<(), SendError> {
        self.send_and_call(record, Box::new(callback), Patience::None)
    }

    fn send_and_call(&self, record: &Record<'_>, callback: Callback, patience: Patience) -> Result<(), SendError> {
        prepared::send(self.inner(), record, Some(callback), patience).map(drop)
    }

    /// A producer of keys `K` and values `V`, which these serializers make into bytes.
    ///
    /// ```no_run
    /// # fn example(producer: klamm::Producer) {
    /// use klamm::{Native, TypedProducer};
    ///
    /// let counts: TypedProducer<str, i64> = producer.typed(Native, Native);
    /// # let _ = counts;
    /// # }
    /// ```
    #[must_use]
    pub fn typed<K: ?Sized, V: ?Sized>(
        &self,
        key: impl Serializer<K> + 'static,
        value: impl Serializer<V> + 'static,
    ) -> TypedProducer<K, V> {
        TypedProducer::new(self.clone(), Arc::new(key), Arc::new(value))
    }

    /// As [`send`](Self::send), without blocking the thread: a future for any executor.
    ///
    /// ```no_run
    /// # async fn example(producer: klamm::Producer) -> Result<(), Box<dyn std::error::Error>> {
    /// # use klamm::Record;
    /// let record = Record::to("payments").value("1250");
    /// let delivery = producer.send_async(&record).await?; // accepted
    /// let metadata = delivery.await?; // delivered
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send). A caller whose turn it is but who is not polled holds up those
    /// behind it, until `max.block.ms` takes its place away.
    pub fn send_async<'p>(&'p self, record: &'p Record<'p>) -> SendFuture<'p> {
        SendFuture::new(self.inner(), record)
    }

    /// Sends every batch without lingering further, and waits until every record accepted before the
    /// call has its outcome, and its callback was called. That takes at most about `delivery.timeout.ms`.
    ///
    /// In a callback it does not wait.
    pub fn flush(&self) {
        self.flush_until(None);
    }

    /// As [`flush`](Self::flush), for at most `timeout`; false if records are still outstanding then.
    #[must_use = "whether everything has its outcome"]
    pub fn flush_timeout(&self, timeout: Duration) -> bool {
        self.flush_until(Some(self.inner().now().after(timeout)))
    }

    fn flush_until(&self, deadline: Option<Instant>) -> bool {
        let inner = self.inner();
        if on_io_thread() {
            return inner.with(|shared| {
                let target = shared.flush(inner);
                shared.ended || shared.cells.flushed() > target
            });
        }
        let parker = Parker::current();
        let waker = Waker::from(Arc::clone(&parker));
        let mut flush = FlushFuture::new(inner);
        loop {
            if flush.step(&waker).is_ready() {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= inner.now()) {
                return false;
            }
            // Once an hour without a deadline, which does no harm.
            parker.park(|| deadline.map_or(Duration::from_secs(3600), |deadline| deadline.since(inner.now())));
        }
    }

    /// As [`flush`](Self::flush), as a future.
    pub fn flush_async(&self) -> FlushFuture<'_> {
        FlushFuture::new(self.inner())
    }

    /// Accepts no more records, delivers the outstanding ones, and ends the producer: its thread and
    /// sockets are gone when this returns. What is not delivered within `timeout` fails with
    /// [`DeliveryErrorKind::Closed`](crate::DeliveryErrorKind::Closed).
    ///
    /// Every handle is closed with it. Closing again waits for the same end. In a callback it does not wait
    /// for the end: it returns `Ok` at once, and what is not delivered within `timeout` fails all the same.
    ///
    /// A callback (or an interceptor, or a waker) that does not return is waited for in vain for six seconds beyond
    /// `timeout`. Then this returns an error that says so; the callback still runs, and with it the producer's thread.
    ///
    /// # Errors
    /// How many records were outstanding at the call and were not delivered.
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        let inner = self.inner();
        let now = inner.now();
        inner.with(|shared| shared.begin_close(now, timeout));
        if on_io_thread() {
            return Ok(());
        }
        if !inner.wait_ended(Some(now.after(timeout.saturating_add(GRACE)))) {
            inner.with(|shared| shared.fail_all(inner.now()));
        }
        let stuck = !self.join();
        let undelivered = inner.with(|shared| {
            let open = if stuck { shared.cells.outstanding() } else { 0 };
            shared.undelivered.saturating_add(open)
        });
        if undelivered == 0 && !stuck { Ok(()) } else { Err(CloseError { undelivered, stuck }) }
    }

    /// Ends the producer at once: every outstanding record fails with
    /// [`DeliveryErrorKind::Closed`](crate::DeliveryErrorKind::Closed), whatever became of it. Waits for a callback that
    /// is running to return, for five seconds at most.
    pub fn close_now(&self) {
        let inner = self.inner();
        inner.with(|shared| shared.fail_all(inner.now()));
        if !on_io_thread() {
            self.join();
        }
    }

    /// Waits for the end of the I/O thread; false if it is stuck in the application's code.
    fn join(&self) -> bool {
        let inner = self.inner();
        if !inner.wait_ended(Some(inner.now().after(GRACE * 4))) {
            // It is stuck in something of its own: end without its consent.
            inner.with(Shared::abandon);
            if !inner.wait_ended(Some(inner.now().after(GRACE))) {
                return false;
            }
        }
        let thread = inner.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was told to everyone already.
            let _ = thread.join();
        }
        true
    }

    /// How many partitions the topic has, those without a leader included. Waits for its metadata, at
    /// most `max.block.ms`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn partition_count(&self, topic: &str) -> Result<u32, SendError> {
        let inner = self.inner();
        sending::ask(inner, topic, |shared| {
            if shared.life != Life::Open {
                return Err(klamm_core::SendError::Closed);
            }
            let at = shared.topic(inner, topic)?;
            let id = shared.topics.entries[at].id;
            shared.core.partition_count(id).ok_or(klamm_core::SendError::PartitionsUnknown)
        })
    }

    /// The topic's partitions and their leaders, as the metadata says that the producer holds. Waits for the
    /// topic's metadata, at most `max.block.ms`; a declared count is not enough.
    ///
    /// ```no_run
    /// # fn example(producer: klamm::Producer) -> Result<(), klamm::SendError> {
    /// for info in producer.partitions_for("payments")? {
    ///     println!("{}: led by {:?}", info.partition, info.leader.map(|leader| leader.id));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn partitions_for(&self, topic: &str) -> Result<Vec<PartitionInfo>, SendError> {
        partition::partitions_for(self.inner(), topic)
    }

    /// Tells how many partitions `topic` has, so that keyed records are accepted before the cluster
    /// was reached. If the count proves wrong, they fail as not written.
    ///
    /// # Errors
    /// The topic's name is illegal, the topic table is full, or the producer is closed.
    pub fn declare_partitions(&self, topic: &str, count: u32) -> Result<(), SendError> {
        let inner = self.inner();
        inner.with(|shared| {
            if shared.life != Life::Open {
                return Err(shared.refusal(klamm_core::SendError::Closed, topic));
            }
            let at = shared.topic(inner, topic).map_err(|refused| shared.refusal(refused, topic))?;
            let id = shared.topics.entries[at].id;
            shared.core.declare_partitions(id, count);
            shared.waiters.release_topics(Some(id), &mut shared.released);
            shared.wake_if_asleep();
            Ok(())
        })
    }

    /// All metrics as of now, under Kafka's names. Copies counters: a few per topic and broker in use.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let inner = self.inner();
        inner.with(|shared| shared.snapshot(inner.now())).sorted()
    }

    /// An exporter of these metrics for the recorder of the crate `metrics`. It holds a handle of this producer.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn export_metrics(&self) -> crate::MetricsExporter {
        crate::MetricsExporter::new(self.clone())
    }

    /// The counters of a topic; `None` if the producer does not know it (any more).
    #[must_use]
    pub fn topic_stats(&self, topic: &str) -> Option<TopicStats> {
        self.inner().with(|shared| shared.core.topic_stats(shared.topics.id(topic)?))
    }

    /// The counters of a broker, by node id; −1 means bootstrap servers whose ids are not known yet. `None` if nothing
    /// was ever sent there. All brokers' are in [`metrics`](Self::metrics).
    #[must_use]
    pub fn node_stats(&self, node_id: i32) -> Option<NodeStats> {
        self.inner().with(|shared| shared.core.node_stats(node_id))
    }

    /// What [`metrics`](Self::metrics) rests on besides [`stats`](Self::stats). Its maxima start over at the end of each
    /// `metrics.sample.window.ms`.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        self.inner().with(|shared| *shared.core.measurements())
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner().with(|shared| *shared.core.stats())
    }

    /// Bytes of `buffer.memory`, and how many of them are free now.
    #[must_use]
    pub fn buffer(&self) -> (u64, u64) {
        self.inner().with(|shared| (shared.core.buffer_total_bytes(), shared.core.buffer_available_bytes()))
    }

    /// Records that were accepted and have no outcome yet. Looks at every open batch.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.inner().with(|shared| shared.cells.outstanding())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (life, outstanding) = self.inner().with(|shared| (shared.life, shared.cells.outstanding()));
        f.debug_struct("Producer").field("life", &life).field("outstanding", &outstanding).finish()
    }
}

/// The future of [`Producer::flush_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct FlushFuture<'p> {
    inner: &'p Inner,
    target: Option<u64>,
    waiter: Option<u64>,
    /// When it began, until its time is counted.
    started: Option<Instant>,
}

impl<'p> FlushFuture<'p> {
    fn new(inner: &'p Inner) -> Self {
        Self { inner, target: None, waiter: None, started: None }
    }

    fn step(&mut self, waker: &Waker) -> Poll<()> {
        let inner = self.inner;
        inner.with(|shared| {
            let target = *self.target.get_or_insert_with(|| {
                self.started = Some(inner.now());
                shared.flush(inner)
            });
            if let Some(waiter) = self.waiter.take() {
                shared.waiters.leave_flush(waiter);
            }
            if shared.ended || shared.cells.flushed() > target {
                Self::count(&mut self.started, inner, shared);
                return Poll::Ready(());
            }
            self.waiter = Some(shared.waiters.join_flush(target, waker));
            Poll::Pending
        })
    }

    /// Its wait is over, whether it was in vain or not.
    fn count(started: &mut Option<Instant>, inner: &Inner, shared: &mut Shared) {
        if let Some(started) = started.take() {
            shared.metering.meters.flush_us += inner.now().since(started).as_micros() as u64;
        }
    }
}

impl Future for FlushFuture<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.step(context.waker())
    }
}

impl Drop for FlushFuture<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.inner.with(|shared| {
                Self::count(&mut self.started, self.inner, shared);
                shared.waiters.leave_flush(waiter);
            });
        }
    }
}

impl fmt::Debug for FlushFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushFuture").finish_non_exhaustive()
    }
}
