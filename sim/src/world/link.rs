//! One simulated connection.

use crate::cluster::ConnectionId;
use klamm_core::{ConnId, Disconnect};
use std::collections::VecDeque;
use std::net::IpAddr;

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The name is being looked up.
    Resolving { at: u64, addresses: Vec<IpAddr> },
    /// The producer has the addresses and will say which one to connect.
    Resolved,
    /// The stream is being opened; `None` is refused.
    Connecting { at: u64, broker: Option<i32> },
    /// Bytes flow.
    Open,
}

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) segments: VecDeque<(u64, Vec<u8>)>,
    /// Nothing arrives before this.
    pub(crate) not_before: u64,
    /// Bytes that arrived.
    pub(crate) arrived: u64,
    /// After this many bytes the connection breaks.
    pub(crate) cut: Option<u64>,
}

impl Lane {
    pub(crate) fn send(&mut self, at: u64, bytes: Vec<u8>) {
        self.not_before = self.not_before.max(at);
        self.segments.push_back((self.not_before, bytes));
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.segments.front().map(|(at, _)| *at)
    }
}

/// One simulated connection. It outlives the producer's interest in it while its bytes are on the way.
#[derive(Debug)]
pub(crate) struct Link {
    /// Counted from 1 over all connections.
    pub(crate) number: u64,
    /// `None` once the producer let go of it.
    pub(crate) conn: Option<ConnId>,
    pub(crate) stage: Stage,
    /// The broker at the other end, once that is known.
    pub(crate) broker: Option<i32>,
    /// The cluster's side, while that is open.
    pub(crate) remote: Option<ConnectionId>,
    pub(crate) up: Lane,
    pub(crate) down: Lane,
    /// The end arrives at the producer at this time, behind all bytes.
    pub(crate) ends: Option<(u64, Disconnect)>,
    /// The producer may have bytes.
    pub(crate) writable: bool,
    /// The socket takes nothing before this.
    pub(crate) full_until: u64,
    /// What the producer showed and the socket did not take: it must show it again.
    pub(crate) shown: Vec<u8>,
}

impl Link {
    pub(crate) fn new(number: u64, conn: ConnId) -> Self {
        Self {
            number,
            conn: Some(conn),
            stage: Stage::Resolved,
            broker: None,
            remote: None,
            up: Lane::default(),
            down: Lane::default(),
            ends: None,
            writable: false,
            full_until: 0,
            shown: Vec::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open) && self.conn.is_some() && self.ends.is_none()
    }

    /// Nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.up.segments.is_empty() && self.down.segments.is_empty()
    }

    /// Nobody knows it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.conn.is_none() && (self.remote.is_none() || self.up.segments.is_empty())
    }
}
