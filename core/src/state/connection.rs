//! The slot of one connection: what is on its way out, what awaits an answer, what is being read.

use crate::state::batch::InState;
use crate::state::list::{Link, List, chain};
use crate::state::outgoing::Outgoing;
use crate::state::partition::NONE;
use crate::state::reading::{ProduceResponse, ProducerIdRead, Versions, VersionsRead};
use core::net::{IpAddr, Ipv4Addr};

use crate::Instant;
use crate::protocol::ApiKey;
use crate::protocol::decode::{DEFAULT_MAX_FRAME, Decoder};

/// A broker remembers the last five batches of a producer per partition, so more requests in flight
/// would not be safe with idempotence; without it they gain nothing here. Each takes RAM in every connection: a board's send
/// buffers hold no more than two or three requests.
pub(crate) const MAX_IN_FLIGHT: usize = if cfg!(feature = "alloc") { 5 } else { 3 };
/// Addresses kept per resolution.
pub(crate) const MAX_ADDRESSES: usize = 4;

/// Where a connection stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// The slot is free.
    Free,
    /// `Action::Resolve` is due or its answer is awaited.
    Resolving,
    /// `Action::Connect` is due or its answer is awaited.
    Connecting,
    /// Bytes flow; ApiVersions is asked and nothing else (KIP-511).
    Negotiating,
    /// Usable.
    Ready,
    /// `Action::Disconnect` is due; then the slot is free.
    Closing,
}

/// Whom a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// An entry of `bootstrap.servers`.
    Bootstrap(u16),
    /// A broker slot.
    Broker(u16),
}

/// A request that was formed and has no answer yet.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) api: ApiKey,
    pub(crate) version: u8,
    /// All its bytes were taken by the transport: only then can the broker have acted on it.
    pub(crate) written: bool,
    pub(crate) correlation_id: i32,
    /// The Produce request's number, as in its batches.
    pub(crate) request: u32,
    /// The batches it carries.
    pub(crate) batches: List<InState>,
    pub(crate) formed_at: Instant,
    /// Milliseconds of throttling since, which its deadline is put off by.
    pub(crate) throttled_ms: u32,
}

impl InFlight {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    const BLANK: Self = Self { api: ApiKey::Produce, batches: List::BLANK, ..Self::new() };

    /// When its answer is late: `request.timeout.ms` after it was formed, throttling apart.
    pub(crate) const fn deadline(&self, request_timeout_ms: u32) -> Instant {
        self.formed_at.after_ms(request_timeout_ms).after_ms(self.throttled_ms)
    }

    pub(crate) const fn new() -> Self {
        Self {
            api: ApiKey::Metadata,
            version: 0,
            written: false,
            correlation_id: 0,
            request: 0,
            formed_at: Instant::ZERO,
            throttled_ms: 0,
            batches: List::new(),
        }
    }
}

/// One connection.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[repr(C)]
pub(crate) struct Connection {
    pub(crate) state: ConnectionState,
    /// In the list of connections with an action due.
    pub(crate) acts: bool,
    /// In the list of writable connections.
    pub(crate) writable: bool,
    /// The action due was handed out.
    pub(crate) told: bool,
    pub(crate) wants_api_versions: bool,
    pub(crate) wants_metadata: bool,
    pub(crate) wants_producer_id: bool,
    /// ApiVersions version to ask next: lowered when the broker refuses or resets (PRODUCER e.2).
    pub(crate) api_versions: i8,
    pub(crate) address: u8,
    /// The broker moved: nothing more is sent here, and the connection closes once all is answered.
    pub(crate) retiring: bool,
    pub(crate) in_flight_count: u8,
    /// The frame being read is nobody's answer.
    pub(crate) skipping: bool,
    pub(crate) generation: u16,
    pub(crate) peer: Peer,
    pub(crate) versions: Versions,
    /// Produce requests sent since it opened.
    pub(crate) served: u32,
    pub(crate) actions: Link,
    pub(crate) writables: Link,
    /// When a set-up must be done, while it is being set up.
    pub(crate) setup_deadline: Instant,
    /// KIP-219: nothing may be sent before this.
    pub(crate) throttled_until: Instant,
    pub(crate) last_used: Instant,
    pub(crate) outgoing: Outgoing,
    pub(crate) decoder: Decoder,
    pub(crate) produce: ProduceResponse,
    pub(crate) versions_read: VersionsRead,
    pub(crate) producer_id_read: ProducerIdRead,
    /// Oldest first.
    pub(crate) in_flight: [InFlight; MAX_IN_FLIGHT],
    /// Addresses of the host, and the one in use.
    pub(crate) addresses: [IpAddr; MAX_ADDRESSES],
}

chain!(
    /// Connections with an action due.
    ByAction, Connection, actions
);
chain!(
    /// Connections with something to send.
    ByWritable, Connection, writables
);

impl Connection {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self {
        peer: Peer::Bootstrap(0),
        versions: Versions::BLANK,
        setup_deadline: Instant::ZERO,
        in_flight: [const { InFlight::BLANK }; MAX_IN_FLIGHT],
        outgoing: Outgoing::BLANK,
        decoder: Decoder::BLANK,
        produce: ProduceResponse::BLANK,
        versions_read: VersionsRead::BLANK,
        producer_id_read: ProducerIdRead::BLANK,
        actions: Link::BLANK,
        writables: Link::BLANK,
        ..Self::new()
    };

    pub(crate) const fn new() -> Self {
        Self {
            state: ConnectionState::Free,
            peer: Peer::Broker(NONE),
            generation: 0,
            acts: false,
            writable: false,
            told: false,
            wants_api_versions: false,
            wants_metadata: false,
            wants_producer_id: false,
            api_versions: 0,
            versions: Versions::new(),
            addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); MAX_ADDRESSES],
            address: 0,
            retiring: false,
            served: 0,
            setup_deadline: Instant::NEVER,
            throttled_until: Instant::ZERO,
            last_used: Instant::ZERO,
            in_flight: [const { InFlight::new() }; MAX_IN_FLIGHT],
            in_flight_count: 0,
            outgoing: Outgoing::new(),
            decoder: Decoder::new(DEFAULT_MAX_FRAME),
            produce: ProduceResponse::new(),
            versions_read: VersionsRead::new(),
            producer_id_read: ProducerIdRead::new(),
            skipping: false,
            actions: Link::new(),
            writables: Link::new(),
        }
    }

    /// A fresh slot for another peer, under a new generation.
    pub(crate) fn reset(&mut self) {
        self.renew(self.generation.wrapping_add(1));
    }

    /// A fresh slot of this generation.
    #[cfg_attr(not(feature = "fast"), inline(never))]
    pub(crate) fn renew(&mut self, generation: u16) {
        *self = Self { generation, ..Self::new() };
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, ConnectionState::Negotiating | ConnectionState::Ready)
    }

    /// The requests without an answer, oldest first.
    pub(crate) fn awaiting(&self) -> &[InFlight] {
        self.in_flight.get(..usize::from(self.in_flight_count)).unwrap_or(&[])
    }

    pub(crate) fn awaiting_mut(&mut self) -> &mut [InFlight] {
        self.in_flight.get_mut(..usize::from(self.in_flight_count)).unwrap_or(&mut [])
    }

    /// The oldest request without an answer.
    pub(crate) fn oldest(&self) -> Option<&InFlight> {
        self.awaiting().first()
    }

    /// The newest request.
    pub(crate) fn newest_mut(&mut self) -> Option<&mut InFlight> {
        self.awaiting_mut().last_mut()
    }

    pub(crate) fn push_in_flight(&mut self, request: InFlight) {
        if let Some(slot) = self.in_flight.get_mut(usize::from(self.in_flight_count)) {
            *slot = request;
            self.in_flight_count = self.in_flight_count.wrapping_add(1);
        }
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<InFlight> {
        if self.in_flight_count == 0 {
            return None;
        }
        let oldest = core::mem::replace(self.in_flight.first_mut()?, InFlight::new());
        self.in_flight.rotate_left(1);
        self.in_flight_count = self.in_flight_count.wrapping_sub(1);
        Some(oldest)
    }

    /// Drops the newest request, for one that expects no answer (`acks=0`).
    pub(crate) fn pop_newest(&mut self) -> Option<InFlight> {
        self.in_flight_count = self.in_flight_count.checked_sub(1)?;
        let newest = self.in_flight.get_mut(usize::from(self.in_flight_count))?;
        Some(core::mem::replace(newest, InFlight::new()))
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// Nothing new is accepted; what there is drains.
    Closing,
    /// Everything has its outcome; connections are being closed.
    Ending,
    /// `Event::Closed` was told.
    Ended,
}

/// Lists over the connections, and counters they share.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) life: Life,
    correlation: i32,
    request: u32,
    pub(crate) actions: List<ByAction>,
    pub(crate) writables: List<ByWritable>,
}

impl Connections {
    pub(crate) const fn new() -> Self {
        Self { actions: List::new(), writables: List::new(), life: Life::Running, correlation: 0, request: 0 }
    }

    pub(crate) const fn closing(&self) -> bool {
        !matches!(self.life, Life::Running)
    }

    pub(crate) const fn closed(&self) -> bool {
        matches!(self.life, Life::Ending | Life::Ended)
    }

    /// Correlation ids stay below Java's reserved range for SASL.
    pub(crate) fn next_correlation(&mut self) -> i32 {
        self.correlation = if self.correlation >= 0x7fff_fff0 { 1 } else { self.correlation.wrapping_add(1) };
        self.correlation
    }

    /// A number for a Produce request; never 0, which is no request's.
    pub(crate) fn next_request(&mut self) -> u32 {
        self.request = self.request.wrapping_add(1).max(1);
        self.request
    }
}
