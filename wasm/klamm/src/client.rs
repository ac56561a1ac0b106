//! A producer, and what its host cannot hold: ids that are no numbers.

use alloc::vec::Vec;
use core::time::Duration;

use klamm_core::{
    Action, BatchOutcome, ConnId, Disconnect, ErrorCode, Event, Fate, Instant, Problem, Producer, Record, SendError,
    Storage, Target, TopicId,
};

use crate::failure::Failure;
use crate::settings::Settings;
use crate::staging::{self, Staged};
use crate::words::{Words, tag};

/// Why a record was not accepted.
pub(crate) mod refusal {
    /// It was.
    pub(crate) const NONE: u32 = 0;
    /// No room; try again when there is.
    pub(crate) const ROOM: u32 = 1;
    /// The topic's partitions are not known; try again when they are.
    pub(crate) const TOPIC: u32 = 2;
    /// Never; a failure follows.
    pub(crate) const FOREVER: u32 = 3;
}

/// Slices of a connection that are lent at a time.
const SLICES: usize = 32;

#[derive(Debug)]
pub(crate) struct Client {
    producer: Producer<'static>,
    /// The host knows a topic by its place here.
    topics: Vec<TopicId>,
    /// The connection that a slot had last.
    conns: Vec<Option<ConnId>>,
}

impl Client {
    pub(crate) fn new(settings: Settings, seed: [u8; 32], now: Instant) -> Result<Self, Failure> {
        // Before memory is asked for: what is refused should cost nothing.
        settings.config.validate().map_err(Failure::setting)?;
        let conns = alloc::vec![None; settings.limits.connections];
        let producer = Producer::new(settings.config, Storage::heap(&settings.limits), seed, now);
        Ok(Self { producer: producer.map_err(Failure::setting)?, topics: Vec::new(), conns })
    }

    /// The topic's number, from now on.
    pub(crate) fn topic(&mut self, name: &str) -> Result<u32, Failure> {
        let topic = self.producer.topic(name).map_err(Failure::send)?;
        Ok(self.number(topic).unwrap_or_else(|| {
            self.topics.push(topic);
            self.topics.len() as u32 - 1
        }))
    }

    fn number(&self, topic: TopicId) -> Option<u32> {
        self.topics.iter().position(|&known| known == topic).map(|at| at as u32)
    }

    /// Sends staged records up to the first that is refused. Tells how many were accepted, whether a round is due, the
    /// refusal; then of each accepted record its batch, its place there, and its timestamp.
    pub(crate) fn send(&mut self, now: Instant, mut staged: &[u8], out: &mut Words) {
        let (mut accepted, mut wake, mut refused) = (0, 0, None);
        for _ in 0..3 {
            out.u32(0);
        }
        while !staged.is_empty() {
            match staging::take(&mut staged).map(|record| self.send_one(now, &record)) {
                Some(Ok(taken)) => {
                    accepted += 1;
                    wake |= u32::from(taken.wake);
                    out.u32(taken.id.batch);
                    out.u32(taken.id.index);
                    out.f64(taken.timestamp as f64);
                }
                Some(Err(error)) => {
                    refused = Some(Ok(error));
                    break;
                }
                None => {
                    refused = Some(Err(Failure::internal("the staged bytes are no records")));
                    break;
                }
            }
        }
        out.set_u32(0, accepted);
        out.set_u32(4, wake);
        let kind = match &refused {
            None => refusal::NONE,
            Some(Ok(SendError::Full | SendError::BrokerShare)) => refusal::ROOM,
            Some(Ok(SendError::PartitionsUnknown)) => refusal::TOPIC,
            Some(_) => refusal::FOREVER,
        };
        out.set_u32(8, kind);
        if let (refusal::FOREVER, Some(refused)) = (kind, refused) {
            refused.map_or_else(|failure| failure, Failure::send).write(out);
        }
    }

    fn send_one(&mut self, now: Instant, staged: &Staged<'_>) -> Result<klamm_core::Accepted, SendError> {
        let topic = *self.topics.get(staged.topic as usize).ok_or(SendError::UnknownTopic)?;
        let Staged { partition, timestamp, key, value, ref headers, .. } = *staged;
        self.producer.send(now, topic, &Record { key, value, headers, timestamp, partition })
    }

    pub(crate) fn flush(&mut self, now: Instant) {
        self.producer.flush(now);
    }

    pub(crate) fn close(&mut self, now: Instant, within_ms: f64) {
        // Casting saturates: an endless time is a long one.
        self.producer.close(now, Duration::from_millis(within_ms as u64));
    }

    pub(crate) fn wall_clock(&mut self, now: Instant, unix_ms: f64) {
        self.producer.set_wall_clock(now, unix_ms as i64);
    }

    pub(crate) fn connected(&mut self, now: Instant, slot: usize) {
        if let Some(conn) = self.conn(slot) {
            self.producer.handle_connected(now, conn);
        }
    }

    pub(crate) fn disconnected(&mut self, now: Instant, slot: usize, why: u32) {
        let why = match why {
            0 => Disconnect::Closed,
            1 => Disconnect::Refused,
            2 => Disconnect::Unreachable,
            3 => Disconnect::Dns,
            4 => Disconnect::Tls,
            5 => Disconnect::TimedOut,
            _ => Disconnect::Other,
        };
        if let Some(conn) = self.conn(slot) {
            self.producer.handle_disconnected(now, conn, why);
        }
    }

    pub(crate) fn input(&mut self, now: Instant, slot: usize, bytes: &[u8]) {
        if let Some(conn) = self.conn(slot) {
            // A peer that breaks the protocol is told of as a problem, and its connection closed by an action.
            let _ = self.producer.handle_input(now, conn, bytes);
        }
    }

    fn conn(&self, slot: usize) -> Option<ConnId> {
        self.conns.get(slot).copied().flatten()
    }

    /// Lists what to connect and disconnect, and which connections have bytes to send.
    pub(crate) fn poll(&mut self, out: &mut Words) {
        while let Some(action) = self.producer.poll_action() {
            match action {
                Action::Connect { conn, target, tls_name } => {
                    let port = match target {
                        Target::Name { port, .. } => port,
                        Target::Address(address) => address.port(),
                    };
                    out.u32(tag::CONNECT);
                    out.u32(conn.slot() as u32);
                    out.u32(port.into());
                    // An address that was given as one is its own name.
                    out.text(tls_name);
                    if let Some(place) = self.conns.get_mut(conn.slot()) {
                        *place = Some(conn);
                    }
                }
                Action::Disconnect { conn } => {
                    out.u32(tag::DISCONNECT);
                    out.u32(conn.slot() as u32);
                }
                // Never asked for: names are not resolved here.
                _ => {}
            }
        }
        while let Some(conn) = self.producer.poll_writable() {
            out.u32(tag::WRITABLE);
            out.u32(conn.slot() as u32);
        }
    }

    /// Lists address and length of the slot's next bytes, which stay where they are until the next call.
    pub(crate) fn transmit(&mut self, now: Instant, slot: usize, out: &mut Words) {
        let Some(conn) = self.conn(slot) else { return };
        let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
        let count = self.producer.poll_transmit_vectored(now, conn, &mut slices);
        for slice in slices.iter().take(count) {
            out.u32(slice.as_ptr() as usize as u32);
            out.u32(slice.len() as u32);
        }
    }

    pub(crate) fn transmitted(&mut self, now: Instant, slot: usize, len: usize) {
        if let Some(conn) = self.conn(slot) {
            self.producer.handle_transmitted(now, conn, len);
        }
    }

    /// Lists what happened.
    pub(crate) fn events(&mut self, out: &mut Words) {
        while let Some(event) = self.producer.poll_event() {
            match event {
                Event::Batch(outcome) => self.outcome(&outcome, out),
                Event::Topic(topic) => self.topic_changed(topic, out),
                Event::Writable => out.u32(tag::ROOM),
                Event::Flushed => out.u32(tag::FLUSHED),
                // Told with the topic.
                Event::Problem(Problem::Topic(..)) => {}
                Event::Problem(problem) => {
                    out.u32(tag::PROBLEM);
                    Failure::problem(&problem).write(out);
                }
                Event::Closed => out.u32(tag::CLOSED),
                _ => {}
            }
        }
    }

    fn topic_changed(&self, topic: TopicId, out: &mut Words) {
        if let Some(number) = self.number(topic) {
            out.u32(tag::TOPIC);
            out.u32(number);
            let failure = self.topic_failure(topic);
            out.u32(failure.is_some().into());
            if let Some(failure) = failure {
                failure.write(out);
            }
        }
    }

    /// What keeps the topic's metadata away.
    fn topic_failure(&self, topic: TopicId) -> Option<Failure> {
        let error = self.producer.topic_error(topic);
        (error != ErrorCode::NONE).then(|| Failure::topic(self.producer.topic_name(topic).unwrap_or("?"), error))
    }

    fn outcome(&self, outcome: &BatchOutcome, out: &mut Words) {
        out.u32(if outcome.result.is_ok() { tag::DELIVERED } else { tag::FAILED });
        out.u32(outcome.batch);
        out.u32(outcome.first_index);
        out.u32(outcome.count);
        out.u32(self.number(outcome.topic).unwrap_or(u32::MAX));
        out.i32(outcome.partition);
        match outcome.result {
            Ok(delivered) => {
                out.i64(delivered.base_offset);
                out.i64(delivered.log_append_time.unwrap_or(-1));
            }
            Err(failed) => {
                out.u32((failed.fate == Fate::Unknown).into());
                out.i32(failed.record.and_then(|record| i32::try_from(record).ok()).unwrap_or(-1));
                Failure::delivery(failed.error, self.producer.error_text()).write(out);
            }
        }
    }

    /// When [`timeout`](Self::timeout) is due, in milliseconds; −1 if never.
    pub(crate) fn deadline(&self) -> f64 {
        self.producer.poll_timeout().map_or(-1.0, |deadline| deadline.at.as_micros() as f64 / 1000.0)
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        self.producer.handle_timeout(now);
    }

    /// Bytes of records that are held.
    pub(crate) fn held(&self) -> f64 {
        (self.producer.buffer_total_bytes() - self.producer.buffer_available_bytes()) as f64
    }

    /// Counters as doubles, exact up to 2⁵³, in the order of `wasm/js/metrics.js`.
    pub(crate) fn metrics(&self, out: &mut Words) {
        let stats = self.producer.stats();
        let counters = [
            stats.records_accepted,
            stats.bytes_accepted,
            stats.records_delivered,
            stats.records_failed,
            stats.records_retried,
            stats.batches_sent,
            stats.batch_bytes_sent,
            stats.produce_requests,
            stats.requests,
            stats.bytes_out,
            stats.bytes_in,
            stats.batches_split.into(),
            stats.batches_expired.into(),
            stats.metadata_refreshes.into(),
            stats.connections_opened.into(),
            stats.connections_closed.into(),
            stats.request_timeouts.into(),
            stats.epoch_bumps.into(),
            stats.rebootstraps.into(),
            stats.buffer_full.into(),
            stats.throttle_ms,
            stats.request_latency_us,
            stats.request_latency_us_max,
            stats.request_latency_count,
            self.producer.buffer_total_bytes(),
            self.producer.buffer_available_bytes(),
        ];
        for counter in counters {
            out.f64(counter as f64);
        }
    }
}
