//! What to do next, and plain looks.

use crate::state::connection::{ConnectionState, Life, Peer};
use crate::state::list::NIL;
use crate::state::partition::NONE;
use core::net::SocketAddr;

use crate::address::parse_ip;
use crate::connection::lifecycle::current_address;
use crate::error::ErrorCode;
use crate::event::{Action, ConnId, Deadline, Event, Leader, Target, TopicId, Transmit};
use crate::{Instant, Producer, Stats};

impl Producer<'_> {
    /// The next thing the transport must do. Each is told once.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        let slot = self.state.net.actions.pop_front(&mut self.state.connections)? as u16;
        let conn = self.state.conn_id(slot);
        let connection = self.state.connections.at_mut(slot.into());
        connection.acts = false;
        let (peer, address) = (connection.peer, current_address(connection));
        match connection.state {
            ConnectionState::Closing => {
                connection.reset();
                self.state.serve_waiting();
                self.state.pursue_metadata();
                self.state.pursue_producer_id();
                Some(Action::Disconnect { conn })
            }
            ConnectionState::Resolving => {
                let (host, _) = self.state.peer_host(peer)?;
                Some(Action::Resolve { conn, host })
            }
            _ => {
                let by_address = self.state.config.resolve_names;
                let (host, port) = self.state.peer_host(peer)?;
                let target = match address.filter(|address| by_address || parse_ip(host) == Some(*address)) {
                    Some(address) => Target::Address(SocketAddr::new(address, port)),
                    None => Target::Name { host, port },
                };
                Some(Action::Connect { conn, target, tls_name: host })
            }
        }
    }

    /// Work for a codec outside the core: a batch to be compressed, or one to be turned back. Each job is
    /// given out once, and its batch waits, at most `delivery.timeout.ms`, until
    /// [`handle_compressed`](Self::handle_compressed) brings the result, from whichever thread and in any
    /// order. Jobs come up as batches fill ([`Accepted::compress`](crate::Accepted::compress)), and in
    /// [`poll_transmit`](Self::poll_transmit) when batches are about to leave that had to be compressed first.
    #[cfg(feature = "codecs")]
    #[must_use]
    pub fn poll_compress(&mut self) -> Option<crate::CodecJob<'_>> {
        self.state.next_job()
    }

    /// Whether [`poll_compress`](Self::poll_compress) has a job.
    #[cfg(feature = "codecs")]
    #[must_use]
    pub fn compress_due(&self) -> bool {
        !self.state.accumulator.jobs.is_empty()
    }

    /// A connection that has bytes to send. Edge-triggered: a connection is told once, and again only
    /// after [`poll_transmit`](Self::poll_transmit) returned `None` for it and there is something new. A
    /// transport that could not write everything polls for bytes again by itself once it can.
    #[must_use]
    pub fn poll_writable(&mut self) -> Option<ConnId> {
        let slot = self.state.net.writables.pop_front(&mut self.state.connections)? as u16;
        self.state.connections.at_mut(slot.into()).writable = false;
        Some(self.state.conn_id(slot))
    }

    /// The next bytes for this connection, forming a request if none is on its way. `None`: nothing to
    /// send now.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, conn: ConnId) -> Option<Transmit<'_>> {
        self.state.advance_clock(now);
        let slot = self.state.connection(conn)?;
        if !self.state.ensure_request(slot) {
            return None;
        }
        self.state.peek(slot)
    }

    /// Like [`poll_transmit`](Self::poll_transmit), but as many slices of one request as `out` holds;
    /// returns how many. The slices follow each other on the wire.
    #[must_use]
    pub fn poll_transmit_vectored<'s>(&'s mut self, now: Instant, conn: ConnId, out: &mut [&'s [u8]]) -> usize {
        self.state.advance_clock(now);
        match self.state.connection(conn) {
            Some(slot) if self.state.ensure_request(slot) => self.state.peek_vectored(slot, out),
            _ => 0,
        }
    }

    /// What happened to records and to the producer, in the order in which it was decided. Events that
    /// are not polled hold the slots of their batches: that is back-pressure, not loss.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        let state = &mut self.state;
        if state.net.life == Life::Ended {
            return None; // whatever was commanded since
        }
        if let Some(outcome) = state.next_outcome() {
            return Some(Event::Batch(outcome));
        }
        if let Some(topic) = state.take_changed_topic() {
            return Some(Event::Topic(topic));
        }
        if let Some(problem) = state.problems.take() {
            return Some(Event::Problem(problem));
        }
        if core::mem::take(&mut state.accumulator.writable_due) {
            return Some(Event::Writable);
        }
        if state.take_flushed() {
            return Some(Event::Flushed);
        }
        if state.net.life == Life::Ending && state.net.actions.is_empty() {
            state.net.life = Life::Ended;
            return Some(Event::Closed);
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) has work next; `None` if only commands or inputs
    /// can bring any. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.state.next_deadline()
    }

    /// The broker's words on the failed batch that [`poll_event`](Self::poll_event) told last, up to 255
    /// bytes and valid until its next call; empty if it said nothing, and always without the feature `error-text`.
    #[must_use]
    pub fn error_text(&self) -> &str {
        #[cfg(feature = "error-text")]
        return self.state.error_text();
        #[cfg(not(feature = "error-text"))]
        ""
    }

    /// Counters since the producer was made.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.state.stats
    }

    /// How many partitions a topic has, as metadata said or the caller declared.
    #[must_use]
    pub fn partition_count(&self, topic: TopicId) -> Option<u32> {
        let slot = self.state.topic_slot(topic)?;
        u32::try_from(self.state.topics.at(slot.into()).partitions).ok()
    }

    /// As [`partition_count`](Self::partition_count), but only what metadata said.
    #[must_use]
    pub fn learned_partition_count(&self, topic: TopicId) -> Option<u32> {
        let slot = self.state.topic_slot(topic)?;
        if self.state.topics.at(slot.into()).declared { None } else { self.partition_count(topic) }
    }

    /// What metadata last said of a partition's leader; `None` if the partition has no slot: it does not
    /// exist, or more partitions are in use than the storage has slots.
    #[must_use]
    pub fn partition_leader(&self, topic: TopicId, index: i32) -> Option<Leader<'_>> {
        let state = &self.state;
        let slot = state.find_partition(state.topic_slot(topic)?, index);
        if slot == NIL || index < 0 {
            return None;
        }
        let partition = state.partitions.at(slot);
        let broker = partition.leader;
        Some(Leader {
            id: (partition.leader_id >= 0).then_some(partition.leader_id),
            host: (broker != NONE && !state.broker_host(broker).is_empty())
                .then(|| (state.broker_host(broker), state.brokers.at(broker.into()).port)),
            epoch: (partition.leader_epoch >= 0).then_some(partition.leader_epoch),
        })
    }

    /// The partition that a batch without outcome is for; `None` while none is chosen, and if `slot` holds
    /// another batch by now. `batch` and `slot` are those of [`Accepted`](crate::Accepted).
    #[must_use]
    pub fn batch_partition(&self, batch: u32, slot: u32) -> Option<i32> {
        let held = self.state.batches.nearest(slot);
        let partition = self.state.partitions.nearest(held.partition);
        (held.id == batch && partition.in_use && partition.index >= 0).then_some(partition.index)
    }

    /// The topic's last metadata error; [`ErrorCode::NONE`] if it is well or was not looked up yet.
    #[must_use]
    pub fn topic_error(&self, topic: TopicId) -> ErrorCode {
        self.state.topic_slot(topic).map_or(ErrorCode::NONE, |slot| self.state.topic_error(slot))
    }

    /// The topic's name.
    #[must_use]
    pub fn topic_name(&self, topic: TopicId) -> Option<&str> {
        self.state.topic_slot(topic).map(|slot| self.state.topic_name(slot))
    }

    /// The node id of the broker at the other end; `None` for a bootstrap server whose id is not known.
    #[must_use]
    pub fn connection_broker(&self, conn: ConnId) -> Option<i32> {
        let slot = self.state.connection(conn)?;
        let broker = self.state.broker_of(slot);
        (broker != NONE).then(|| self.state.brokers.at(broker.into()).id)
    }

    /// Host and port of the other end, as configured or advertised.
    #[must_use]
    pub fn connection_host(&self, conn: ConnId) -> Option<(&str, u16)> {
        let slot = self.state.connection(conn)?;
        let peer: Peer = self.state.connections.at(slot.into()).peer;
        self.state.peer_host(peer)
    }

    /// Batches whose outcome was not polled yet.
    #[must_use]
    pub fn outstanding_batches(&self) -> u32 {
        self.state.accumulator.outstanding
    }

    /// Bytes for records, all in all.
    #[must_use]
    pub fn buffer_total_bytes(&self) -> u64 {
        u64::from(self.state.arena.blocks()).saturating_mul(self.state.arena.block_size().into())
    }

    /// Bytes for records that are free.
    #[must_use]
    pub fn buffer_available_bytes(&self) -> u64 {
        u64::from(self.state.arena.free()).saturating_mul(self.state.arena.block_size().into())
    }

    /// Batch slots, all in all.
    #[must_use]
    pub fn batches_total(&self) -> u32 {
        self.state.batches.len()
    }

    /// Batch slots that are free.
    #[must_use]
    pub fn batches_available(&self) -> u32 {
        self.state.accumulator.free_batch_count
    }

    /// Whether [`Event::Closed`] was told.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.net.life == Life::Ended
    }
}
