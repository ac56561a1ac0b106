//! What the core tells its driver: actions to take, outcomes of records, the next deadline.

use core::net::SocketAddr;

use crate::Instant;
use crate::error::{DeliveryError, Fate, Problem};

/// A connection slot and the generation of its use. A call that names an old generation is ignored,
/// so a late callback of a closed socket can do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnId {
    pub(crate) slot: u16,
    pub(crate) generation: u16,
}

impl ConnId {
    /// The index of the connection slot, below the `connections` of the storage: a transport keeps
    /// its sockets in an array of that length.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A topic that the producer knows, from [`Producer::topic`](crate::Producer::topic). It means nothing to another producer, which
/// can take it for one of its own: only an id that was given up is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TopicId {
    pub(crate) slot: u16,
    pub(crate) generation: u16,
}

/// Names one accepted record: the batch it went into, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecordId {
    /// The batch, counted over the whole producer (wrapping after 2³²).
    pub batch: u32,
    /// The record's index in that batch as it was first filled; a split keeps it.
    pub index: u32,
}

/// What [`Producer::send`](crate::Producer::send) did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Accepted {
    /// The record's name in later [`BatchOutcome`]s.
    pub id: RecordId,
    /// The batch slot, below the `batches` of the storage; it names a live batch uniquely.
    pub slot: u32,
    /// The timestamp the record got, in Unix milliseconds; −1 while no wall clock is set.
    pub timestamp: i64,
    /// The record opened this batch.
    pub new_batch: bool,
    /// A connection became writable, an action is due, or the earliest deadline moved forward: a
    /// driver that sleeps must wake up.
    pub wake: bool,
    /// The record filled a batch, or closed one, and [`Producer::poll_compress`](crate::Producer::poll_compress)
    /// has it: whoever sent the record may well do that job.
    #[cfg(feature = "codecs")]
    pub compress: bool,
}

/// Something the transport must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'p> {
    /// Look up `host` and answer with
    /// [`handle_resolved`](crate::Producer::handle_resolved), or with
    /// [`handle_disconnected`](crate::Producer::handle_disconnected) and
    /// [`Disconnect::Dns`](crate::Disconnect::Dns). Never asked for literal addresses, nor when
    /// [`Config::resolve_names`](crate::Config::resolve_names) is off.
    Resolve {
        /// The connection that waits for the address.
        conn: ConnId,
        /// The name to look up.
        host: &'p str,
    },
    /// Open a byte stream and answer with
    /// [`handle_connected`](crate::Producer::handle_connected) once bytes can flow (after TLS, where
    /// there is TLS) or with [`handle_disconnected`](crate::Producer::handle_disconnected).
    Connect {
        /// The connection to open.
        conn: ConnId,
        /// Where to.
        target: Target<'p>,
        /// The name that a TLS certificate must be valid for: the broker's advertised host.
        tls_name: &'p str,
    },
    /// Close the stream and forget `conn`. No answer is expected; the slot may be used again at once.
    Disconnect {
        /// The connection to close.
        conn: ConnId,
    },
}

/// Where to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// A resolved address.
    Address(SocketAddr),
    /// A name, for hosts that resolve by themselves (browsers, edge workers).
    Name {
        /// Host name as advertised by the broker or given in `bootstrap_servers`.
        host: &'p str,
        /// TCP port.
        port: u16,
    },
}

/// A lent slice of outgoing bytes.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'p> {
    /// Bytes to write. They stay the core's until
    /// [`handle_transmitted`](crate::Producer::handle_transmitted) says how many were taken.
    pub bytes: &'p [u8],
    /// More bytes of the same request follow: a transport that coalesces may wait for them.
    pub more: bool,
}

/// What happened to records and to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The outcome of one batch, or of a part of it after a split. Each accepted record is covered
    /// by exactly one such event.
    Batch(BatchOutcome),
    /// After a [`SendError::Full`](crate::SendError::Full) or
    /// [`SendError::BrokerShare`](crate::SendError::BrokerShare): there is room again.
    Writable,
    /// Every record accepted before the last [`flush`](crate::Producer::flush) has its outcome.
    Flushed,
    /// A topic's partitions became known, or its metadata error changed: a caller that met
    /// [`SendError::PartitionsUnknown`](crate::SendError::PartitionsUnknown) may try again.
    Topic(TopicId),
    /// Something a person should know; said once per kind until it is cured.
    Problem(Problem),
    /// After [`close`](crate::Producer::close): everything has its outcome and every connection is
    /// gone. The last event.
    Closed,
}

/// The outcome of `count` consecutive records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BatchOutcome {
    /// The batch, as in [`RecordId::batch`].
    pub batch: u32,
    /// The slot it held, as in [`Accepted::slot`]; free again now. A part of a split batch has its own.
    pub slot: u32,
    /// The first record's [`RecordId::index`].
    pub first_index: u32,
    /// How many records.
    pub count: u32,
    /// The topic.
    pub topic: TopicId,
    /// The partition; −1 if the records failed before one was chosen.
    pub partition: i32,
    /// Delivered or failed.
    pub result: Result<Delivered, Failed>,
}

/// Where records were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Delivered {
    /// Offset of the first record; the others follow. −1 when the broker did not say: `acks=0`, or
    /// an old duplicate (`DUPLICATE_SEQUENCE_NUMBER`).
    pub base_offset: i64,
    /// The broker's time for topics with `LogAppendTime`, Unix milliseconds.
    pub log_append_time: Option<i64>,
}

impl Delivered {
    /// The offset of the record at `position` after the first one of this outcome; −1 if unknown.
    #[must_use]
    pub const fn offset(self, position: u32) -> i64 {
        if self.base_offset < 0 { -1 } else { self.base_offset.saturating_add(position as i64) }
    }
}

/// What metadata said of a partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader<'p> {
    /// The broker's node id; `None` while no broker leads the partition.
    pub id: Option<i32>,
    /// Where it advertises to be; `None` if the storage has no room for that broker
    /// or its name.
    pub host: Option<(&'p str, u16)>,
    /// The leader epoch (KIP-320); `None` if it is not known: brokers before 2.4 tell none that can be
    /// relied on.
    pub epoch: Option<i32>,
}

/// Why records were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Failed {
    /// The cause.
    pub error: DeliveryError,
    /// Whether the records can be in the log all the same.
    pub fate: Fate,
    /// When the broker named bad records (KIP-467, Produce v8): position, after the first record of
    /// this outcome, of the first one it named. The others failed only because they shared its batch.
    pub record: Option<u32>,
}

/// The next moment at which [`handle_timeout`](crate::Producer::handle_timeout) has work.
///
/// A soft deadline: harmless to call early, potentially harmful to call late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Why, for logs and debuggers.
    pub timer: Timer,
}

/// The reasons to wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Timer {
    /// A batch has waited `linger.ms`.
    Linger,
    /// A batch has lived `delivery.timeout.ms`.
    Delivery,
    /// A batch's retry backoff is over.
    Retry,
    /// A connection's own timer: set-up, request timeout, throttle, idle.
    Connection,
    /// A broker's reconnect backoff is over.
    Reconnect,
    /// A bootstrap server may be tried again.
    Bootstrap,
    /// Metadata is due.
    Metadata,
    /// A producer id is to be asked for again.
    ProducerId,
    /// `close` ran out of time.
    Close,
}
