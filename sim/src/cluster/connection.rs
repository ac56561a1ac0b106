//! One client connection as the broker sees it.

use std::collections::VecDeque;

/// A connection to one broker. Ids are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// An answer that waits for its time.
#[derive(Debug)]
struct Outgoing {
    /// `u64::MAX` is never, as far as is known.
    due_ms: u64,
    bytes: Vec<u8>,
    /// The request that this place is kept for, until its answer is there.
    kept_for: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) broker: i32,
    /// Bytes of requests that are not complete yet, or not processed yet.
    pub(crate) input: Vec<u8>,
    /// Answers in the order of requests: none overtakes another.
    outgoing: VecDeque<Outgoing>,
    /// No answer leaves before this.
    busy_until_ms: u64,
    /// How many places are kept.
    kept: usize,
    /// The broker reads nothing before this (KIP-219).
    pub(crate) muted_until_ms: u64,
    /// When the broker closes, once the answers are out.
    closing_at_ms: Option<u64>,
}

impl Connection {
    pub(crate) fn new(broker: i32) -> Self {
        Self {
            broker,
            input: Vec::new(),
            outgoing: VecDeque::new(),
            busy_until_ms: 0,
            kept: 0,
            muted_until_ms: 0,
            closing_at_ms: None,
        }
    }

    /// Queues bytes; they leave `delay_ms` after now, but never before those queued earlier. `u64::MAX` is never.
    pub(crate) fn answer(&mut self, now_ms: u64, delay_ms: u64, bytes: Vec<u8>) {
        let due_ms = now_ms.saturating_add(delay_ms).max(self.busy_until_ms);
        self.busy_until_ms = due_ms;
        self.outgoing.push_back(Outgoing { due_ms, bytes, kept_for: None });
    }

    /// Keeps the place of an answer that comes later.
    pub(crate) fn keep_place(&mut self, number: u64) {
        self.kept += 1;
        self.outgoing.push_back(Outgoing { due_ms: u64::MAX, bytes: Vec::new(), kept_for: Some(number) });
    }

    /// The answer for a kept place. With `last`, it is the connection's last.
    pub(crate) fn fill_place(&mut self, number: u64, due_ms: u64, bytes: Vec<u8>, last: bool) {
        let Some(at) = self.outgoing.iter().position(|outgoing| outgoing.kept_for == Some(number)) else { return };
        self.outgoing[at] = Outgoing { due_ms, bytes, kept_for: None };
        self.kept -= 1;
        if last {
            self.outgoing.truncate(at + 1);
            self.kept = self.outgoing.iter().filter(|outgoing| outgoing.kept_for.is_some()).count();
            self.busy_until_ms = due_ms;
            self.close(due_ms);
        } else if due_ms > self.busy_until_ms {
            self.busy_until_ms = due_ms;
        }
    }

    /// Blocks every later answer.
    pub(crate) fn never_answer(&mut self) {
        self.busy_until_ms = u64::MAX;
        self.outgoing.push_back(Outgoing { due_ms: u64::MAX, bytes: Vec::new(), kept_for: None });
    }

    /// Whether an answer to what was read so far is still to come.
    pub(crate) fn is_busy(&self, now_ms: u64) -> bool {
        self.kept > 0 || self.busy_until_ms > now_ms
    }

    /// Closes once everything queued is out.
    pub(crate) fn close(&mut self, now_ms: u64) {
        self.input = Vec::new();
        self.closing_at_ms = Some(now_ms.max(self.busy_until_ms));
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing_at_ms.is_some()
    }

    /// Moves what is due into `out`; false once the broker closed.
    pub(crate) fn transmit(&mut self, now_ms: u64, out: &mut Vec<u8>) -> bool {
        while let Some(front) = self.outgoing.front()
            && front.due_ms <= now_ms
            && front.due_ms != u64::MAX
        {
            out.extend_from_slice(&front.bytes);
            self.outgoing.pop_front();
        }
        // Nothing is queued behind a close, so an empty queue and the time together are the end.
        !(self.outgoing.is_empty() && self.closing_at_ms.is_some_and(|at| at <= now_ms))
    }

    /// When something happens here by itself.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let front = self.outgoing.front().map(|outgoing| outgoing.due_ms);
        let speaks = front.or(self.closing_at_ms).filter(|due| *due != u64::MAX);
        let reads = (!self.input.is_empty() && self.muted_until_ms > 0).then_some(self.muted_until_ms);
        speaks.into_iter().chain(reads).min()
    }
}
