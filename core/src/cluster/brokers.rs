//! The broker table: who there is, where, and which partitions they lead.

use crate::error::Problem;
use crate::state::State;
use crate::state::broker::{Backoff, Broker};
use crate::state::connection::{ConnectionState, Peer};
use crate::state::list::NIL;
use crate::state::partition::NONE;

impl State<'_> {
    /// The slot of a broker, or [`NONE`].
    pub(crate) fn find_broker(&self, id: i32) -> u16 {
        self.brokers.iter().find(|(_, broker)| broker.in_use && broker.id == id).map_or(NONE, |(slot, _)| slot as u16)
    }

    /// A response names a broker: its slot, taken now if there is a spare one. Without one its host is
    /// passed over; whoever needs it as a leader finds none.
    pub(crate) fn begin_broker(&mut self, id: i32) -> u16 {
        let found = self.find_broker(id);
        if found != NONE {
            self.brokers.at_mut(found.into()).seen = true;
            return found;
        }
        let Some(slot) = self.spare_broker_slot(id) else {
            self.cluster.reading.passed_over = true;
            return NONE;
        };
        *self.brokers.at_mut(slot) = Broker { in_use: true, seen: true, ..self.brokers.at(slot).vacated(id) };
        self.cluster.brokers = self.cluster.brokers.wrapping_add(1);
        slot as u16
    }

    #[cfg(not(feature = "metrics"))]
    fn spare_broker_slot(&self, _id: i32) -> Option<u32> {
        self.brokers.iter().find(|(_, broker)| !broker.in_use).map(|(slot, _)| slot)
    }

    /// A slot that still has this broker's counters, or one that has nobody's.
    #[cfg(feature = "metrics")]
    fn spare_broker_slot(&self, id: i32) -> Option<u32> {
        let spare = self.brokers.iter().filter(|(_, broker)| !broker.in_use);
        spare.min_by_key(|(_, broker)| (broker.id != id, broker.id >= 0)).map(|(slot, _)| slot)
    }

    /// Its host follows, `len` bytes of it.
    pub(crate) fn begin_host(&mut self, slot: u16, len: u32) {
        let reading = &mut self.cluster.reading;
        reading.host_at = 0;
        reading.host_changed = false;
        if slot == NONE {
            return;
        }
        if len as usize > self.hosts.stride() || len > u8::MAX.into() || len == 0 {
            self.problems.report(if len == 0 { Problem::BrokerAddress } else { Problem::HostTooLong });
            self.brokers.at_mut(slot.into()).host_len = 0;
            return;
        }
        let broker = self.brokers.at_mut(slot.into());
        reading.host_changed = u32::from(broker.host_len) != len;
        broker.host_len = len as u8;
    }

    pub(crate) fn take_host(&mut self, slot: u16, chunk: &[u8]) {
        if slot == NONE {
            return;
        }
        let reading = &mut self.cluster.reading;
        let room = self.hosts.get_mut(slot.into()).get_mut(reading.host_at..).unwrap_or(&mut []);
        for (to, from) in room.iter_mut().zip(chunk) {
            reading.host_changed |= *to != *from;
            *to = *from;
        }
        reading.host_at = reading.host_at.saturating_add(chunk.len());
    }

    /// All of the broker was read. One that moved is connected anew, without backoff (KAFKA-7890). One whose
    /// port cannot be counts as without a host, so that it is not connected.
    pub(crate) fn end_broker(&mut self, slot: u16, port: i64) {
        if slot == NONE {
            return;
        }
        let changed = self.cluster.reading.host_changed;
        let port = u16::try_from(port).unwrap_or(0);
        let broker = self.brokers.at_mut(slot.into());
        if port == 0 {
            broker.host_len = 0;
            self.problems.report(Problem::BrokerAddress);
        }
        let moved = changed || broker.port != port;
        broker.port = port;
        if !moved {
            return;
        }
        broker.backoff = Backoff::new();
        let (id, connection) = (broker.id, broker.connection);
        if connection != NONE {
            self.retire(connection);
        }
        self.adopt_bootstrap(slot);
        self.adopt_partitions(slot, id);
        self.kick_broker(slot);
    }

    /// Partitions that wait for a leader that had no slot.
    fn adopt_partitions(&mut self, slot: u16, id: i32) {
        for partition in 0..self.partitions.len() {
            let waits = self.partitions.at(partition);
            if waits.in_use && waits.leader == NONE && waits.leader_id == id {
                self.set_leader(partition, slot, id);
            }
        }
    }

    /// A bootstrap connection to the address that metadata names for this broker becomes the broker's.
    fn adopt_bootstrap(&mut self, slot: u16) {
        let connection = self.cluster.bootstrap.connection;
        if connection == NONE || self.brokers.at(slot.into()).connection != NONE {
            return;
        }
        let Peer::Bootstrap(index) = self.connections.at(connection.into()).peer else { return };
        let Some((host, port)) = self.bootstrap_server(index) else { return };
        if host.as_bytes() != self.host_bytes(slot) || port != self.brokers.at(slot.into()).port {
            return;
        }
        self.connections.at_mut(connection.into()).peer = Peer::Broker(slot);
        self.cluster.bootstrap.connection = NONE;
        let adopted = self.connections.at(connection.into());
        let (ready, api_versions) = (adopted.state == ConnectionState::Ready, adopted.api_versions);
        let broker = self.brokers.at_mut(slot.into());
        broker.connection = connection;
        if ready {
            broker.backoff = Backoff { api_versions, ..Backoff::new() };
        }
    }

    fn host_bytes(&self, slot: u16) -> &[u8] {
        let len = usize::from(self.brokers.at(slot.into()).host_len);
        self.hosts.get(slot.into()).get(..len).unwrap_or(&[])
    }

    pub(crate) fn broker_host(&self, slot: u16) -> &str {
        core::str::from_utf8(self.host_bytes(slot)).unwrap_or("")
    }

    /// Lets a broker go that leads nothing of ours.
    pub(crate) fn remove_broker(&mut self, slot: u16) {
        let connection = self.brokers.at(slot.into()).connection;
        if connection != NONE {
            self.disconnect(connection);
        }
        self.stop_waiting(slot);
        self.clear_broker_timer(slot);
        let broker = self.brokers.at_mut(slot.into());
        *broker = broker.vacated(broker.id);
        self.cluster.brokers = self.cluster.brokers.wrapping_sub(1);
    }

    /// A leader from metadata. `epochs` says whether they can be relied on (Metadata v9, KAFKA-9840).
    /// Returns whether it was news.
    pub(crate) fn learn_leader(&mut self, slot: u32, leader_id: i32, epoch: i32, epochs: bool) -> bool {
        let partition = self.partitions.at(slot);
        let (old_id, old_epoch) = (partition.leader_id, partition.leader_epoch);
        if epochs && epoch >= 0 && epoch < old_epoch && !self.may_be_made_anew(slot, leader_id) {
            return false; // an answer from a broker that lags behind
        }
        let new_epoch = if epochs { epoch } else { -1 };
        self.partitions.at_mut(slot).leader_epoch = new_epoch;
        let leader = if leader_id < 0 { NONE } else { self.find_broker(leader_id) };
        self.cluster.reading.dropped_leader |= leader_id >= 0 && leader == NONE && self.cluster.reading.passed_over;
        self.measure_leader(old_id, leader_id);
        self.set_leader(slot, leader, leader_id);
        if new_epoch > old_epoch || leader_id != old_id {
            self.end_backoffs_of(slot);
        }
        new_epoch > old_epoch || leader_id != old_id
    }

    /// Without an id in the answer, a lower epoch may as well be that of a topic that was made again. A refused batch would settle
    /// it (see `answered`), but where nothing can be sent nothing is refused: then whoever is named is tried. Should
    /// the answer lag behind after all, that one refuses, and nothing is lost.
    fn may_be_made_anew(&self, slot: u32, leader_id: i32) -> bool {
        let partition = self.partitions.at(slot);
        if leader_id < 0 || self.topics.at(partition.topic.into()).id_told {
            return false;
        }
        let leader = (partition.leader != NONE).then(|| self.brokers.at(partition.leader.into()));
        leader.is_none_or(|leader| leader.backoff.failures > 0)
    }

    /// KIP-951: a refusal named the new leader.
    pub(crate) fn hint_leader(&mut self, topic: u16, index: i32, leader_id: i32, epoch: i32) {
        let slot = self.find_partition(topic, index);
        if slot == NIL || epoch <= self.partitions.at(slot).leader_epoch {
            return;
        }
        self.partitions.at_mut(slot).leader_epoch = epoch;
        self.measure_leader(self.partitions.at(slot).leader_id, leader_id);
        let leader = self.find_broker(leader_id);
        self.set_leader(slot, leader, leader_id);
        self.end_backoffs_of(slot);
    }
}
