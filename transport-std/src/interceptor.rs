//! The application's own code around every send: what it sees, and what if it fails.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::delivery::RecordMetadata;
use crate::error::{DeliveryError, SendError};
use crate::inside::caught;
use crate::record::{Header, Record};
use crate::shared::Inner;

/// Sees every record of a producer twice: before it is sent, and when its outcome is known. Tracing,
/// auditing and adding headers are what it is for.
///
/// Added with [`Builder::interceptor`](crate::Builder::interceptor); several are called in the order in
/// which they were added, each seeing what the ones before it made of the record.
///
/// **A failing one never breaks a send.** An error or a panic is caught, reported to
/// [`Builder::on_problem`](crate::Builder::on_problem) once until the interceptor succeeds again, and the
/// record goes on as it was before that interceptor.
///
/// [`on_send`](Self::on_send) runs on the thread that sends, the others, but for refused records, on the
/// producer's I/O thread, where they hold up everything else: they must be quick. Nothing waits there: see
/// [`Producer::send_with`](crate::Producer::send_with).
///
/// ```
/// use klamm::{Interceptor, OutgoingRecord, Producer};
/// use std::error::Error;
///
/// struct Origin;
///
/// impl Interceptor for Origin {
///     fn on_send(&self, record: &mut OutgoingRecord<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
///         record.add_header("origin", "billing");
///         Ok(())
///     }
/// }
///
/// let builder = Producer::builder().bootstrap_servers("localhost:9092").interceptor(Origin);
/// # let _ = builder;
/// ```
pub trait Interceptor: Send + Sync {
    /// A record is about to be sent: it has no partition yet, unless the caller named one. May change
    /// any part of it.
    ///
    /// # Errors
    /// Whatever went wrong. The record is sent all the same, as it was before.
    fn on_send(&self, record: &mut OutgoingRecord<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = record;
        Ok(())
    }

    /// A record was delivered. Called before the record's own callback.
    fn on_acknowledgement(&self, metadata: &RecordMetadata) {
        let _ = metadata;
    }

    /// A record was refused by a send, or accepted and not delivered. Called before the record's own
    /// callback, or before the send returns. A [`SendFuture`](crate::SendFuture) that is dropped before its
    /// record was accepted ends without a call.
    fn on_error(&self, failed: &FailedRecord<'_>) {
        let _ = failed;
    }

    /// The producer has ended: every record had its outcome. Called once, before
    /// [`Producer::close`](crate::Producer::close) returns.
    fn close(&self) {}
}

impl<I: Interceptor + ?Sized> Interceptor for Arc<I> {
    fn on_send(&self, record: &mut OutgoingRecord<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        (**self).on_send(record)
    }

    fn on_acknowledgement(&self, metadata: &RecordMetadata) {
        (**self).on_acknowledgement(metadata);
    }

    fn on_error(&self, failed: &FailedRecord<'_>) {
        (**self).on_error(failed);
    }

    fn close(&self) {
        (**self).close();
    }
}

/// A record that failed, as an [`Interceptor`] sees it.
///
/// ```
/// use klamm::{FailedRecord, Failure};
///
/// fn log(failed: &FailedRecord<'_>) {
///     let lost = matches!(failed.failure, Failure::NotDelivered(_));
///     eprintln!("{} partition {:?}, accepted: {lost}: {}", failed.topic, failed.partition, failed.failure);
/// }
/// # let _ = log;
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FailedRecord<'f> {
    /// The topic.
    pub topic: &'f str,
    /// The partition, if one was chosen.
    pub partition: Option<i32>,
    /// What happened.
    pub failure: Failure<'f>,
}

/// How a record failed.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'f> {
    /// The send refused it: nothing of it was kept.
    Refused(&'f SendError),
    /// It was accepted, and not delivered.
    NotDelivered(&'f DeliveryError),
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::NotDelivered(error) => error.fmt(f),
        }
    }
}

/// A record on its way, to be looked at and changed by an [`Interceptor`]. What is not changed stays
/// borrowed from the caller of `send`.
///
/// ```
/// # use klamm::OutgoingRecord;
/// fn redact(record: &mut OutgoingRecord<'_>) {
///     if record.topic() == "payments" {
///         record.set_topic("payments-redacted");
///         record.set_value(Some(b"***"));
///         record.remove_headers("card");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct OutgoingRecord<'r> {
    topic: Cow<'r, str>,
    key: Option<Cow<'r, [u8]>>,
    value: Option<Cow<'r, [u8]>>,
    headers: Headers<'r>,
    timestamp: Option<i64>,
    partition: Option<i32>,
}

#[derive(Clone, Debug)]
enum Headers<'r> {
    AsSent(&'r [Header<'r>]),
    Changed(Vec<OwnHeader<'r>>),
}

type OwnHeader<'r> = (Cow<'r, str>, Option<Cow<'r, [u8]>>);

impl<'r> OutgoingRecord<'r> {
    pub(crate) fn new(record: &'r Record<'_>) -> Self {
        let core = record.as_core();
        Self {
            topic: Cow::Borrowed(record.topic()),
            key: core.key.map(Cow::Borrowed),
            value: core.value.map(Cow::Borrowed),
            headers: Headers::AsSent(core.headers),
            timestamp: core.timestamp,
            partition: core.partition,
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The value; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// The headers, in their order.
    #[must_use]
    pub fn headers(&self) -> Vec<Header<'_>> {
        match &self.headers {
            Headers::AsSent(headers) => headers.to_vec(),
            Headers::Changed(headers) => {
                headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
            }
        }
    }

    /// The partition, if the caller or an interceptor named one.
    #[must_use]
    pub fn partition(&self) -> Option<i32> {
        self.partition
    }

    /// Milliseconds since 1970-01-01 UTC, if they were given; otherwise it will be the time of the send.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// Sends the record to another topic.
    pub fn set_topic(&mut self, topic: impl Into<Cow<'static, str>>) {
        self.topic = topic.into();
    }

    /// Replaces the key.
    pub fn set_key(&mut self, key: Option<impl Into<Cow<'static, [u8]>>>) {
        self.key = key.map(Into::into);
    }

    /// Replaces the value; `None` makes the record a tombstone.
    pub fn set_value(&mut self, value: Option<impl Into<Cow<'static, [u8]>>>) {
        self.value = value.map(Into::into);
    }

    /// Names a partition, or leaves it to the partitioner.
    pub fn set_partition(&mut self, partition: Option<i32>) {
        self.partition = partition;
    }

    /// Gives the record a time, in milliseconds since 1970-01-01 UTC, or leaves that to the send.
    pub fn set_timestamp(&mut self, unix_ms: Option<i64>) {
        self.timestamp = unix_ms;
    }

    /// Adds a header behind the others.
    pub fn add_header<V: AsRef<[u8]> + ?Sized>(&mut self, name: impl Into<Cow<'static, str>>, value: &V) {
        self.own_headers().push((name.into(), Some(Cow::Owned(value.as_ref().to_vec()))));
    }

    /// Adds a header without a value behind the others.
    pub fn add_null_header(&mut self, name: impl Into<Cow<'static, str>>) {
        self.own_headers().push((name.into(), None));
    }

    /// Removes all headers of this name.
    pub fn remove_headers(&mut self, name: &str) {
        self.own_headers().retain(|(key, _)| key != name);
    }

    fn own_headers(&mut self) -> &mut Vec<OwnHeader<'r>> {
        if let Headers::AsSent(headers) = self.headers {
            let own = |header: &Header<'r>| (Cow::Borrowed(header.key), header.value.map(Cow::Borrowed));
            self.headers = Headers::Changed(headers.iter().map(own).collect());
        }
        match &mut self.headers {
            Headers::Changed(headers) => headers,
            Headers::AsSent(_) => unreachable!("changed above"),
        }
    }

    /// As a send takes it, for `partition` if one was chosen.
    pub(crate) fn with_record<R>(&self, partition: Option<i32>, take: impl FnOnce(&Record<'_>) -> R) -> R {
        let changed;
        let headers = match self.headers {
            Headers::AsSent(headers) => headers,
            Headers::Changed(_) => {
                changed = self.headers();
                &changed
            }
        };
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        let partition = self.partition.or(partition);
        take(&Record::from_parts(&self.topic, key, value, headers, self.timestamp, partition))
    }
}

/// A producer's interceptors, in their order.
#[derive(Default)]
pub(crate) struct Interceptors {
    links: Vec<Link>,
}

struct Link {
    interceptor: Box<dyn Interceptor>,
    /// The methods whose failure was reported, and that have not succeeded since.
    failing: AtomicU8,
}

/// A method of an interceptor, by its bit.
#[derive(Clone, Copy)]
enum Method {
    Send = 1,
    Acknowledgement = 2,
    Error = 4,
    Close = 8,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "on_send",
            Self::Acknowledgement => "on_acknowledgement",
            Self::Error => "on_error",
            Self::Close => "close",
        }
    }
}

impl Interceptors {
    pub(crate) fn push(&mut self, interceptor: Box<dyn Interceptor>) {
        self.links.push(Link { interceptor, failing: AtomicU8::new(0) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Lets each of them change the record.
    pub(crate) fn on_send(&self, inner: &Inner, record: &mut OutgoingRecord<'_>) {
        for (place, link) in self.links.iter().enumerate() {
            let before = record.clone();
            let failure = match caught(|| link.interceptor.on_send(record)) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(caught(|| error.to_string()).unwrap_or_default()),
                Err(panic) => Some(format!("panicked: {panic}")),
            };
            if failure.is_some() {
                *record = before;
            }
            link.note(inner, place, Method::Send, failure);
        }
    }

    /// Tells them the outcome of an accepted record.
    pub(crate) fn told(&self, inner: &Inner, outcome: &Result<RecordMetadata, DeliveryError>) {
        match outcome {
            Ok(metadata) => {
                self.each(inner, Method::Acknowledgement, |interceptor| interceptor.on_acknowledgement(metadata));
            }
            Err(error) => {
                let partition = (error.partition >= 0).then_some(error.partition);
                let failure = Failure::NotDelivered(error);
                self.failed(inner, &FailedRecord { topic: &error.topic, partition, failure });
            }
        }
    }

    /// Tells them of a failure.
    pub(crate) fn failed(&self, inner: &Inner, failed: &FailedRecord<'_>) {
        self.each(inner, Method::Error, |interceptor| interceptor.on_error(failed));
    }

    /// Tells them that the producer has ended.
    pub(crate) fn close(&self, inner: &Inner) {
        self.each(inner, Method::Close, |interceptor| interceptor.close());
    }

    fn each(&self, inner: &Inner, method: Method, call: impl Fn(&dyn Interceptor)) {
        for (place, link) in self.links.iter().enumerate() {
            let result = caught(|| call(&*link.interceptor));
            link.note(inner, place, method, result.err().map(|panic| format!("panicked: {panic}")));
        }
    }
}

impl Link {
    /// Reports a failure unless the last call failed too.
    fn note(&self, inner: &Inner, place: usize, method: Method, failure: Option<String>) {
        let bit = method as u8;
        let Some(failure) = failure else {
            if self.failing.load(Ordering::Relaxed) & bit != 0 {
                self.failing.fetch_and(!bit, Ordering::Relaxed);
            }
            return;
        };
        if self.failing.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            inner.report(format!("interceptor {}, {}: {failure}", place + 1, method.name()));
        }
    }
}
