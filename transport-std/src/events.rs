//! What happens to a producer, as events of `tracing` and records of `log`; with neither feature this compiles to nothing.
//!
//! Nothing of a record is ever told but how many there are, nor any setting that is a secret. A broker's own words on a
//! failed record stay in its [`DeliveryError`](crate::DeliveryError): they may quote the record.
//!
//! Whatever is noted under the producer's lock is told after it: a subscriber may send to the same producer.

use std::fmt::Display;
use std::sync::Arc;

use klamm_core::{BatchOutcome, ErrorCode, Stats};

use crate::error::DeliveryErrorKind;
use crate::failures::Target;
use crate::inside::caught;

/// Whether anybody may listen.
pub(crate) const ON: bool = cfg!(any(feature = "tracing", feature = "log"));

/// Tells a fixed sentence with its fields. Without a feature nothing is evaluated.
macro_rules! emit {
    ($level:ident, $text:literal $(, $field:ident = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "klamm", $($field = %$value,)* $text);
        #[cfg(feature = "log")]
        log::$level!(target: "klamm", concat!($text $(, " ", stringify!($field), "={}")*) $(, $value)*);
        #[cfg(not(any(feature = "tracing", feature = "log")))]
        if false {
            $(let _ = &$value;)*
        }
    }};
}

/// A setting does not do what its author may think.
pub(crate) fn warn_config(text: impl Display) {
    emit!(warn, "configuration", warning = text);
}

/// Code of the caller's (a callback, a waker, an interceptor) failed in our hands.
pub(crate) fn warn_user_code(text: impl Display) {
    emit!(warn, "the caller's code failed", what = text);
}

/// The producer runs. `config` was checked; these settings are no secrets.
pub(crate) fn started(config: &klamm_core::Config<'_>, buffer_memory: usize) {
    emit!(
        info,
        "producer started",
        client_id = config.client_id.as_str(),
        bootstrap_servers = config.bootstrap_servers.as_str(),
        acks = Quiet(config.acks),
        enable_idempotence = config.enable_idempotence,
        compression = Quiet(config.compression),
        batch_size = config.batch_size,
        linger_ms = config.linger_ms,
        delivery_timeout_ms = config.delivery_timeout_ms,
        request_timeout_ms = config.request_timeout_ms,
        buffer_memory = buffer_memory,
        version = env!("CARGO_PKG_VERSION"),
    );
}

/// The I/O thread ends, by a panic or by will.
pub(crate) fn closed(client_id: &str, undelivered: u64, panicked: bool) {
    match (panicked, undelivered) {
        (true, _) => {
            emit!(error, "producer broken: its I/O thread panicked", client_id = client_id, undelivered = undelivered);
        }
        (false, 0) => emit!(info, "producer closed", client_id = client_id, undelivered = undelivered),
        (false, _) => emit!(warn, "producer closed", client_id = client_id, undelivered = undelivered),
    }
}

/// Shows a value that has a name of its own only for programmers.
struct Quiet<T>(T);

impl<T: std::fmt::Debug> Display for Quiet<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Something to be told once the lock is gone.
enum Note {
    Opened(Target),
    Lost { target: Target, why: String },
    Unreachable { target: Target, why: String },
    Closed(Target),
    TimedOut { requests: u32 },
    Refreshed,
    LeadersMoved { partitions: u64 },
    TopicKnown { topic: String, partitions: u32 },
    TopicError { topic: String, error: ErrorCode },
    Failed { topic: String, outcome: BatchOutcome },
    SentAgain { records: u64 },
    Split { batches: u32 },
    Throttled { ms: u64 },
    Rebootstrapped,
    Problem { text: String, fatal: bool },
}

/// What one producer has to tell.
pub(crate) struct Events {
    client_id: Arc<str>,
    notes: Vec<Note>,
    /// The counters as of the last look.
    seen: Stats,
    leader_changes: u64,
}

impl Events {
    pub(crate) fn new(client_id: &str) -> Self {
        Self { client_id: client_id.into(), notes: Vec::new(), seen: Stats::default(), leader_changes: 0 }
    }

    pub(crate) fn client_id(&self) -> Arc<str> {
        Arc::clone(&self.client_id)
    }

    fn note(&mut self, note: impl FnOnce() -> Note) {
        if ON {
            self.notes.push(note());
        }
    }

    /// A connection became usable.
    pub(crate) fn opened(&mut self, target: &Target) {
        self.note(|| Note::Opened(target.clone()));
    }

    /// A connection that was established ended without our doing.
    pub(crate) fn lost(&mut self, target: &Target, why: impl Display) {
        self.note(|| Note::Lost { target: target.clone(), why: why.to_string() });
    }

    /// A connection could not be established.
    pub(crate) fn unreachable(&mut self, target: &Target, why: impl Display) {
        self.note(|| Note::Unreachable { target: target.clone(), why: why.to_string() });
    }

    /// A connection was ended by us.
    pub(crate) fn disconnected(&mut self, target: &Target) {
        self.note(|| Note::Closed(target.clone()));
    }

    /// A topic's partitions or its metadata error changed.
    pub(crate) fn topic(&mut self, core: &klamm_core::Producer<'_>, id: klamm_core::TopicId) {
        let name = || core.topic_name(id).unwrap_or("?").to_owned();
        let error = core.topic_error(id);
        if error == ErrorCode::NONE {
            let partitions = core.partition_count(id).unwrap_or(0);
            self.note(|| Note::TopicKnown { topic: name(), partitions });
        } else {
            self.note(|| Note::TopicError { topic: name(), error });
        }
    }

    /// A batch has its outcome; one that was delivered is not worth a word.
    pub(crate) fn outcome(&mut self, core: &klamm_core::Producer<'_>, outcome: &BatchOutcome) {
        if outcome.result.is_err() {
            let topic = || core.topic_name(outcome.topic).unwrap_or("?").to_owned();
            self.note(|| Note::Failed { topic: topic(), outcome: *outcome });
        }
    }

    pub(crate) fn problem(&mut self, text: &str, fatal: bool) {
        self.note(|| Note::Problem { text: text.to_owned(), fatal });
    }

    /// Finds out what happened from what was counted.
    pub(crate) fn look(&mut self, stats: &Stats, leader_changes: u64) {
        if !ON || *stats == self.seen {
            return;
        }
        let partitions = leader_changes.wrapping_sub(std::mem::replace(&mut self.leader_changes, leader_changes));
        let before = std::mem::replace(&mut self.seen, *stats);
        let records = stats.records_retried.wrapping_sub(before.records_retried);
        let batches = stats.batches_split.wrapping_sub(before.batches_split);
        let ms = stats.throttle_ms.wrapping_sub(before.throttle_ms);
        let requests = stats.request_timeouts.wrapping_sub(before.request_timeouts);
        let found = [
            (requests > 0).then_some(Note::TimedOut { requests }),
            (stats.rebootstraps != before.rebootstraps).then_some(Note::Rebootstrapped),
            (stats.metadata_refreshes != before.metadata_refreshes).then_some(Note::Refreshed),
            (partitions > 0).then_some(Note::LeadersMoved { partitions }),
            (batches > 0).then_some(Note::Split { batches }),
            (records > 0).then_some(Note::SentAgain { records }),
            (ms > 0).then_some(Note::Throttled { ms }),
        ];
        self.notes.extend(found.into_iter().flatten());
    }

    /// Tells what was noted. Not under the lock.
    pub(crate) fn tell(&mut self) {
        for note in self.notes.drain(..) {
            // A panic of somebody's subscriber must not end the producer.
            let _ = caught(|| note.tell(&self.client_id));
        }
    }
}

impl Note {
    fn tell(&self, client_id: &str) {
        match self {
            Self::Opened(target) => emit!(debug, "connection opened", client_id = client_id, target = target),
            Self::Lost { target, why } => {
                emit!(warn, "connection lost", client_id = client_id, target = target, why = why);
            }
            Self::Unreachable { target, why } => {
                emit!(warn, "connection could not be established", client_id = client_id, target = target, why = why);
            }
            Self::Closed(target) => emit!(debug, "connection closed", client_id = client_id, target = target),
            Self::TimedOut { requests } => {
                emit!(warn, "no answer within request.timeout.ms", client_id = client_id, connections = requests);
            }
            Self::Refreshed => emit!(debug, "metadata refreshed", client_id = client_id),
            Self::LeadersMoved { partitions } => {
                emit!(info, "leaders moved", client_id = client_id, partitions = partitions);
            }
            Self::TopicKnown { topic, partitions } => {
                emit!(debug, "topic known", client_id = client_id, topic = topic, partitions = partitions);
            }
            Self::TopicError { topic, error } => {
                emit!(warn, "no metadata for a topic", client_id = client_id, topic = topic, error = error);
            }
            Self::Failed { topic, outcome } => Self::tell_failed(client_id, topic, outcome),
            Self::SentAgain { records } => emit!(debug, "records sent again", client_id = client_id, records = records),
            Self::Split { batches } => {
                emit!(debug, "batches split, too large for the broker", client_id = client_id, batches = batches);
            }
            Self::Throttled { ms } => emit!(debug, "throttled by a broker", client_id = client_id, ms = ms),
            Self::Rebootstrapped => {
                emit!(warn, "no known broker can be reached: back to bootstrap.servers", client_id = client_id);
            }
            Self::Problem { text, fatal: true } => emit!(error, "problem", client_id = client_id, what = text),
            Self::Problem { text, .. } => emit!(warn, "problem", client_id = client_id, what = text),
        }
    }

    fn tell_failed(client_id: &str, topic: &str, outcome: &BatchOutcome) {
        let Err(failed) = outcome.result else { return };
        emit!(
            warn,
            "records not delivered",
            client_id = client_id,
            topic = topic,
            partition = outcome.partition,
            records = outcome.count,
            error = DeliveryErrorKind::from_core(failed.error),
            fate = Quiet(failed.fate),
        );
    }
}
