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

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::{Config, Limits, Measure, Storage};
    use std::vec::Vec;

    fn producer(brokers: usize) -> Producer<'static> {
        let limits = Limits { buffer_memory: 64 << 10, brokers, ..Limits::default() };
        Producer::new(Config::new("a:1"), Storage::heap(&limits), [1; 32], Instant::ZERO).unwrap()
    }

    /// Metadata names a broker, and a request of so many bytes goes there.
    fn meet(producer: &mut Producer<'_>, id: i32, bytes: u64) -> u16 {
        let slot = producer.state.begin_broker(id);
        producer.state.brokers.at_mut(slot.into()).counts.request_bytes.add(bytes);
        slot
    }

    #[test]
    fn a_broker_that_comes_back_finds_its_counters() {
        let mut producer = producer(2);
        let first = meet(&mut producer, 1, 10);
        producer.state.remove_broker(first);
        assert_eq!(producer.node_stats(1).unwrap().request_bytes.sum, 10, "it is gone, its counters are not");
        // A slot of nobody's is taken first.
        let second = meet(&mut producer, 2, 20);
        assert_ne!(first, second);
        assert_eq!(meet(&mut producer, 1, 1), first);
        assert_eq!(producer.node_stats(1).unwrap().request_bytes, Measure { sum: 11, count: 2, max: 10 });
        // Without one the counters of who is gone go too.
        producer.state.remove_broker(second);
        assert_eq!(meet(&mut producer, 3, 30), second);
        assert_eq!(producer.node_stats(2), None);
        let mut nodes: Vec<_> = producer.nodes().map(|(id, counts)| (id, counts.request_bytes.sum)).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, [(1, 11), (3, 30)]);
    }

    #[test]
    fn maxima_start_over_and_sums_go_on() {
        let mut producer = producer(1);
        meet(&mut producer, 1, 10);
        producer.state.measured.all.queue_time_us.add(7);
        producer.state.measured.all.record_bytes_max = 5;
        producer.restart_maxima();
        let all = *producer.measurements();
        assert_eq!((all.queue_time_us, all.record_bytes_max), (Measure { sum: 7, count: 1, max: 0 }, 0));
        assert_eq!(producer.node_stats(1).unwrap().request_bytes, Measure { sum: 10, count: 1, max: 0 });
        producer.state.measured.all.queue_time_us.add(3);
        assert_eq!(producer.measurements().queue_time_us, Measure { sum: 10, count: 2, max: 3 });
    }

    #[test]
    fn nothing_is_known_of_what_nobody_met() {
        let mut producer = producer(1);
        let topic = producer.topic("t").unwrap();
        assert_eq!(producer.topic_stats(topic), Some(TopicStats::default()));
        assert!(producer.forget_topic(topic));
        assert_eq!((producer.topic_stats(topic), producer.node_stats(1)), (None, None));
        assert_eq!((producer.metadata_age(Instant::ZERO), producer.requests_in_flight()), (None, 0));
        assert_eq!((producer.connections_open(), producer.nodes().count()), (0, 0));
    }
}
