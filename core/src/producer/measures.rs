//! Plain looks at what the feature `metrics` counts.

use core::time::Duration;

use crate::event::TopicId;
use crate::state::partition::NONE;
use crate::state::slots::Slots;
use crate::{Instant, Measurements, NodeStats, Producer, TopicStats};

impl Producer<'_> {
    /// What Kafka's metrics need beyond [`stats`](Self::stats), since the producer was made.
    #[must_use]
    pub fn measurements(&self) -> &Measurements {
        &self.state.measured.all
    }

    /// A topic's counters, from [`topic`](Self::topic) to [`forget_topic`](Self::forget_topic).
    #[must_use]
    pub fn topic_stats(&self, topic: TopicId) -> Option<TopicStats> {
        self.state.topic_slot(topic).map(|slot| self.state.topics.at(slot.into()).counts)
    }

    /// A broker's counters by its node id; −1 means all bootstrap servers whose ids are not known yet. A broker that
    /// left the cluster keeps its counters until another one needs its slot.
    #[must_use]
    pub fn node_stats(&self, node_id: i32) -> Option<NodeStats> {
        self.nodes().find(|(id, _)| *id == node_id).map(|(_, counts)| counts)
    }

    /// The counters of every broker that was spoken to, and of bootstrap servers (−1), in no order.
    pub fn nodes(&self) -> impl Iterator<Item = (i32, NodeStats)> {
        let bootstrap = self.state.measured.bootstrap;
        let connection = self.state.cluster.bootstrap.connection;
        let known = Slots::iter(&self.state.brokers).map(|(_, broker)| (broker.id, broker.counts, broker.connection));
        core::iter::once((-1, bootstrap, connection))
            .chain(known)
            .filter(|(_, counts, _)| !counts.is_new())
            .map(|(id, counts, connection)| (id, NodeStats { in_flight: self.in_flight_at(connection), ..counts }))
    }

    fn in_flight_at(&self, connection: u16) -> u32 {
        if connection == NONE { 0 } else { self.state.connections.at(connection.into()).in_flight_count.into() }
    }

    /// The maxima of all [`Measure`](crate::Measure)s start over: whoever keeps windows calls it when one ends.
    pub fn restart_maxima(&mut self) {
        let measured = &mut self.state.measured;
        let all = &mut measured.all;
        all.record_bytes_max = 0;
        for measure in [
            &mut all.queue_time_us,
            &mut all.batch_bytes,
            &mut all.compression_ppm,
            &mut all.request_bytes,
            &mut all.produce_latency_us,
            &mut all.metadata_latency_us,
            &mut all.api_versions_latency_us,
            &mut all.init_producer_id_latency_us,
            &mut all.throttle_ms,
        ] {
            measure.max = 0;
        }
        let restart = |counts: &mut NodeStats| {
            counts.request_bytes.max = 0;
            counts.latency_us.max = 0;
        };
        restart(&mut measured.bootstrap);
        for broker in 0..self.state.brokers.len() {
            restart(&mut self.state.brokers.at_mut(broker).counts);
        }
    }

    /// Requests without an answer, now.
    #[must_use]
    pub fn requests_in_flight(&self) -> u32 {
        self.state.connections.iter().map(|(_, connection)| u32::from(connection.in_flight_count)).sum()
    }

    /// Connections over which bytes can flow, now.
    #[must_use]
    pub fn connections_open(&self) -> u32 {
        self.state.connections.iter().filter(|(_, connection)| connection.is_open()).map(|_| 1).sum()
    }

    /// How long ago metadata was last learned; `None` before the first time.
    #[must_use]
    pub fn metadata_age(&self, now: Instant) -> Option<Duration> {
        let learned = self.state.stats.metadata_refreshes > 0;
        learned.then(|| now.since(self.state.cluster.refresh.last_success))
    }
}
