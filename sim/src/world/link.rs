//! One simulated connection.

use super::talk::Talk;
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

/// Bytes that come in at one end and go out at the other; no piece has memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: Vec<u8>,
    start: usize,
}

impl Pipe {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn front(&self, len: usize) -> &[u8] {
        &self.bytes[self.start..][..len]
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What is gone makes room once it is the larger part, so that no byte moves often.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn drop_front(&mut self, len: usize) {
        self.start += len;
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    bytes: Pipe,
    /// When the segments arrive, and their lengths.
    segments: VecDeque<(u64, usize)>,
    /// Nothing arrives before this.
    pub(crate) not_before: u64,
    /// The line is busy with earlier bytes until then.
    busy_until: u64,
    /// Bytes that arrived.
    pub(crate) arrived: u64,
    /// After this many bytes the connection breaks.
    pub(crate) cut: Option<u64>,
}

impl Lane {
    /// When bytes that are sent now have left, if the line takes so many bytes per millisecond; 0 is all at once.
    pub(crate) fn leaves(&mut self, now_us: u64, bytes: usize, bandwidth: u64) -> u64 {
        if bandwidth == 0 {
            return now_us;
        }
        let takes = (bytes as u64).saturating_mul(1000).div_ceil(bandwidth);
        self.busy_until = self.busy_until.max(now_us).saturating_add(takes);
        self.busy_until
    }

    /// Puts bytes on their way. `joined`: they arrive in one piece with those that are on their way in front of them.
    pub(crate) fn send(&mut self, at: u64, bytes: &[u8], joined: bool) {
        self.not_before = self.not_before.max(at);
        self.bytes.push(bytes);
        match self.segments.back_mut().filter(|_| joined) {
            Some(last) => *last = (self.not_before, last.1 + bytes.len()),
            None => self.segments.push_back((self.not_before, bytes.len())),
        }
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.segments.front().map(|(at, _)| *at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many bytes of the first segment arrive now, and whether the connection breaks behind them.
    pub(crate) fn due(&self, now_us: u64) -> Option<(usize, bool)> {
        let (_, len) = *self.segments.front().filter(|(at, _)| *at <= now_us)?;
        let left = self.cut.map(|cut| cut.saturating_sub(self.arrived));
        Some(match left {
            Some(left) if left <= len as u64 => (left as usize, true),
            _ => (len, false),
        })
    }

    /// The first bytes on their way.
    pub(crate) fn front(&self, len: usize) -> &[u8] {
        self.bytes.front(len)
    }

    /// The first segment arrived, or what was left of it.
    pub(crate) fn arrive(&mut self, len: usize, cut: bool) {
        self.arrived += len as u64;
        if cut {
            self.cut = None;
            self.clear();
        } else if let Some((_, whole)) = self.segments.pop_front() {
            self.bytes.drop_front(whole);
        }
    }

    /// Loses what is on its way.
    pub(crate) fn clear(&mut self) {
        self.segments.clear();
        self.bytes.clear();
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
    /// When the producer wished for it.
    pub(crate) wished_us: u64,
    /// The broker at the other end, once that is known.
    pub(crate) broker: Option<i32>,
    /// The cluster's side, while that is open.
    pub(crate) remote: Option<ConnectionId>,
    /// The cluster's name for it, also when that side is closed.
    pub(crate) id: Option<ConnectionId>,
    /// The other end forgot the connection without a word: what is sent goes nowhere.
    pub(crate) forgotten: bool,
    pub(crate) up: Lane,
    pub(crate) down: Lane,
    /// The end arrives at the producer at this time, behind all bytes.
    pub(crate) ends: Option<(u64, Disconnect)>,
    /// The producer may have bytes.
    pub(crate) writable: bool,
    /// The socket takes nothing before this.
    pub(crate) full_until: u64,
    /// What the producer showed and the socket did not take: it must show it again.
    pub(crate) shown: Pipe,
    /// It did not.
    pub(crate) took_back: bool,
    /// The requests under way.
    pub(crate) talk: Talk,
    /// The broker wants to be left alone until then.
    pub(crate) throttled_until: u64,
    /// A request was formed before the broker said so.
    pub(crate) formed: bool,
}

impl Link {
    pub(crate) fn new(number: u64, conn: ConnId, now_us: u64) -> Self {
        Self {
            number,
            conn: Some(conn),
            stage: Stage::Resolved,
            wished_us: now_us,
            broker: None,
            remote: None,
            id: None,
            forgotten: false,
            up: Lane::default(),
            down: Lane::default(),
            ends: None,
            writable: false,
            full_until: 0,
            shown: Pipe::default(),
            took_back: false,
            talk: Talk::default(),
            throttled_until: 0,
            formed: false,
        }
    }

    /// The broker asked to be left alone for so long, in this many answers.
    pub(crate) fn throttle(&mut self, now_us: u64, us: u64, answers: u64) {
        self.talk.throttle(us);
        self.throttled_until = self.throttled_until.max(now_us + us / answers);
        self.formed = self.shown.len() > 0 || self.talk.is_mid_request();
    }

    /// The producer begins to send something. Whether the broker is left alone all the same (KIP-219): what was formed before
    /// it asked for that is sent to its end.
    pub(crate) fn may_ask(&mut self, now_us: u64) -> bool {
        let may = now_us >= self.throttled_until || self.formed || self.talk.is_mid_request();
        self.formed &= self.talk.is_mid_request();
        may
    }

    /// The producer shows `slices`, and the socket takes `n` bytes of them. Whether those are the same as when they were
    /// shown first.
    pub(crate) fn lend(&mut self, slices: &[&[u8]], n: usize) -> bool {
        let known = self.shown.len();
        let mut same = true;
        let mut at = 0;
        for slice in slices {
            let compared = slice.len().min(n.min(known).saturating_sub(at));
            same &= compared == 0 || self.shown.front(at + compared)[at..] == slice[..compared];
            at += slice.len();
        }
        self.shown.drop_front(n.min(known));
        let mut skip = n.max(known);
        for slice in slices {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            self.shown.push(&slice[skipped..]);
        }
        same
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open) && self.conn.is_some() && self.ends.is_none()
    }

    /// Nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }

    /// Nobody knows it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.conn.is_none() && (self.remote.is_none() || self.up.is_empty())
    }
}
