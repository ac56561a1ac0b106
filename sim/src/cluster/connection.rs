//! One client connection as the broker sees it.

use std::collections::VecDeque;

/// A connection to one broker. Ids are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// An answer that waits for its time.
#[derive(Debug)]
struct Outgoing {
    due_ms: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) broker: i32,
    /// Bytes of requests that are not complete yet, or not processed yet.
    pub(crate) input: Vec<u8>,
    outgoing: VecDeque<Outgoing>,
    /// No answer leaves before this: answers keep the order of requests.
    pub(crate) busy_until_ms: u64,
    /// When the broker closes, once the answers are out.
    closing_at_ms: Option<u64>,
}

impl Connection {
    pub(crate) fn new(broker: i32) -> Self {
        Self { broker, input: Vec::new(), outgoing: VecDeque::new(), busy_until_ms: 0, closing_at_ms: None }
    }

    /// Queues bytes; they leave `delay_ms` after now, but never before those queued earlier. `u64::MAX` is never.
    pub(crate) fn answer(&mut self, now_ms: u64, delay_ms: u64, bytes: Vec<u8>) {
        let due_ms = now_ms.saturating_add(delay_ms).max(self.busy_until_ms);
        self.busy_until_ms = due_ms;
        self.outgoing.push_back(Outgoing { due_ms, bytes });
    }

    /// Blocks every later answer.
    pub(crate) fn never_answer(&mut self) {
        self.busy_until_ms = u64::MAX;
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
        front.or(self.closing_at_ms).filter(|due| *due != u64::MAX)
    }
}
