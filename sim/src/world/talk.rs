//! What a connection says, frame by frame: requests as the producer writes them, answers as it reads them.
//!
//! Only sizes, API keys and correlation ids are read, so nothing that a mad peer sends can disturb it.

use std::collections::VecDeque;

/// Bytes at the front of a request that are looked at: size, API key, version, correlation id.
const REQUEST_HEAD: usize = 12;
/// The same of an answer: size, correlation id.
const ANSWER_HEAD: usize = 8;

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) api_key: i16,
    pub(crate) correlation_id: i32,
    /// When its first byte was taken.
    pub(crate) asked_us: u64,
    /// What was known of leaders then; see [`Watch`](super::watch::Watch).
    pub(crate) news: u64,
    /// The broker asked for so much patience meanwhile.
    pub(crate) throttled_us: u64,
}

/// Cuts a stream into frames and keeps the front of each.
#[derive(Debug, Default)]
struct Frames<const HEAD: usize> {
    head: Vec<u8>,
    /// Bytes of the frame behind the head that are still to come.
    left: u64,
}

impl<const HEAD: usize> Frames<HEAD> {
    /// Takes bytes up to the next point of interest. What is left of them, and whether a head became complete, and
    /// whether the frame ended.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], bool, bool) {
        let mut complete = false;
        let mut rest = bytes;
        if self.head.len() < HEAD {
            let n = rest.len().min(HEAD - self.head.len());
            self.head.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            complete = self.head.len() == HEAD;
            if !complete {
                return (rest, false, false);
            }
            let size = i32::from_be_bytes([self.head[0], self.head[1], self.head[2], self.head[3]]);
            self.left = u64::try_from(size).unwrap_or(u64::MAX).saturating_sub(HEAD as u64 - 4);
        }
        let n = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= n as u64;
        (&rest[n..], complete, self.left == 0)
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_be_bytes([self.head[at], self.head[at + 1]])
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_be_bytes([self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3]])
    }
}

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    requests: Frames<REQUEST_HEAD>,
    answers: Frames<ANSWER_HEAD>,
    waiting: VecDeque<Asked>,
    /// When the first byte was taken of the request that is being written.
    began_us: u64,
    answered: u64,
    /// An answer came to something that was not asked.
    confused: bool,
}

impl Talk {
    /// Bytes of requests. `expects`: whether a request of this API will be answered.
    pub(crate) fn ask(&mut self, (now_us, news): (u64, u64), mut bytes: &[u8], expects: impl Fn(i16) -> bool) {
        while !bytes.is_empty() {
            if self.requests.head.is_empty() {
                self.began_us = now_us;
            }
            let (rest, complete, ended) = self.requests.take(bytes);
            if complete && expects(self.requests.i16(4)) {
                self.waiting.push_back(Asked {
                    api_key: self.requests.i16(4),
                    correlation_id: self.requests.i32(8),
                    asked_us: self.began_us,
                    news,
                    throttled_us: 0,
                });
            }
            if ended {
                self.requests.head.clear();
            }
            bytes = rest;
        }
    }

    /// Bytes of answers. Calls `told` with each request whose answer began: a connection may break within it, but what came
    /// before counts.
    pub(crate) fn answer(&mut self, mut bytes: &[u8], mut told: impl FnMut(Asked)) {
        while !bytes.is_empty() {
            let (rest, begun, ended) = self.answers.take(bytes);
            if begun || ended {
                let id = self.answers.i32(4);
                // Another id is a peer gone mad, or a server that answers acks=0.
                let asked = self.oldest().filter(|asked| asked.correlation_id == id);
                self.confused |= begun && asked.is_none();
                if let Some(asked) = asked.filter(|_| begun) {
                    told(asked);
                }
                if asked.is_some() && ended {
                    self.waiting.pop_front();
                    self.answered += 1;
                }
            }
            if ended {
                self.answers.head.clear();
            }
            bytes = rest;
        }
    }

    /// The broker asked for patience, in the answers that came just now.
    pub(crate) fn throttle(&mut self, us: u64) {
        self.waiting.iter_mut().for_each(|asked| asked.throttled_us += us);
    }

    /// Whether an answer came to something that was not asked.
    pub(crate) fn is_confused(&self) -> bool {
        self.confused
    }

    /// Requests that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether records wait for an answer.
    pub(crate) fn has_records_under_way(&self) -> bool {
        self.waiting.iter().any(|asked| asked.api_key == crate::Api::Produce.key())
    }

    /// The one that waits longest.
    pub(crate) fn oldest(&self) -> Option<Asked> {
        self.waiting.front().copied()
    }

    /// How many were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether a request was written in part.
    pub(crate) fn is_mid_request(&self) -> bool {
        !self.requests.head.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api_key: i16, id: i32, body: usize) -> Vec<u8> {
        let mut bytes = (8 + body as i32).to_be_bytes().to_vec();
        bytes.extend(api_key.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(id.to_be_bytes());
        bytes.resize(bytes.len() + body, 9);
        bytes
    }

    fn answer(id: i32, body: usize) -> Vec<u8> {
        let mut bytes = (4 + body as i32).to_be_bytes().to_vec();
        bytes.extend(id.to_be_bytes());
        bytes.resize(bytes.len() + body, 9);
        bytes
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let up: Vec<u8> = [request(18, 1, 0), request(0, 2, 50), request(3, 3, 7)].concat();
        let down: Vec<u8> = [answer(1, 0), answer(2, 90), answer(3, 1)].concat();
        for piece in [1, 3, 5, 12, 13, 1000] {
            let mut talk = Talk::default();
            for bytes in up.chunks(piece) {
                talk.ask((7, 0), bytes, |_| true);
            }
            assert_eq!((talk.waiting(), talk.oldest().unwrap().api_key, talk.is_mid_request()), (3, 18, false));
            let mut told = Vec::new();
            for bytes in down.chunks(piece) {
                talk.answer(bytes, |asked| told.push(asked.correlation_id));
            }
            assert_eq!((told, talk.waiting(), talk.answered()), (vec![1, 2, 3], 0, 3));
            // Half an answer tells, but the request still waits.
            talk.ask((7, 0), &request(0, 4, 0), |_| true);
            let mut told = 0;
            talk.answer(&answer(4, 10)[..9], |_| told += 1);
            assert_eq!((told, talk.waiting()), (1, 1));
        }
    }

    #[test]
    fn what_nobody_asked_for_answers_nothing() {
        let mut talk = Talk::default();
        talk.ask((0, 0), &request(0, 1, 4), |api_key| api_key != 0);
        assert_eq!(talk.waiting(), 0);
        talk.ask((0, 0), &request(3, 2, 4), |api_key| api_key != 0);
        talk.answer(&answer(1, 3), |_| panic!("acks=0 is not answered"));
        assert!(talk.is_confused());
        talk.answer(&[0xff; 40], |_| panic!("garbage answers nothing"));
        assert_eq!(talk.waiting(), 1);
        talk.throttle(5);
        assert_eq!(talk.oldest().unwrap().throttled_us, 5);
    }
}
