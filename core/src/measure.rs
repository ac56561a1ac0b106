//! What Kafka's metrics need beyond [`Stats`](crate::Stats), with the feature `metrics`. The rooms call these functions
//! once per batch, request or response; without the feature they are empty, and the slots hold nothing for them.

/// Without the feature: nothing is counted, at no cost.
#[cfg(not(feature = "metrics"))]
#[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the same calls as with the feature")]
mod off {
    use crate::state::State;
    use crate::state::connection::InFlight;

    impl State<'_> {
        #[inline(always)]
        pub(crate) fn measure_raw(&mut self, _batch: u32) {}
        #[inline(always)]
        pub(crate) fn measure_departure(&mut self, _batch: u32) {}
        #[inline(always)]
        pub(crate) fn measure_outcome(&mut self, _batch: u32, _delivered: bool) {}
        #[inline(always)]
        pub(crate) fn measure_request(&mut self, _slot: u16, _size: usize) {}
        #[inline(always)]
        pub(crate) fn measure_out(&mut self, _slot: u16, _bytes: u32) {}
        #[inline(always)]
        pub(crate) fn measure_in(&mut self, _slot: u16, _bytes: usize) {}
        #[inline(always)]
        pub(crate) fn measure_response(&mut self, _slot: u16, _request: &InFlight) {}
        #[inline(always)]
        pub(crate) fn measure_leader(&mut self, _before: i32, _now: i32) {}
        #[inline(always)]
        pub(crate) fn measure_end(&mut self, _slot: u16) {}
    }
}

#[cfg(feature = "metrics")]
mod on {
    use crate::protocol::ApiKey;
    use crate::state::State;
    use crate::state::connection::{ConnectionState, InFlight, Peer};
    use crate::state::partition::NONE;
    use crate::stats::NodeStats;

    impl State<'_> {
        /// A batch takes no more records, and is not compressed yet.
        pub(crate) fn measure_raw(&mut self, batch: u32) {
            let batch = self.batches.at_mut(batch);
            batch.raw_bytes = batch.record_bytes;
        }

        /// A batch was put into a request; its attempts count that already.
        pub(crate) fn measure_departure(&mut self, batch: u32) {
            let batch = self.batches.at(batch);
            let (records, wire) = (u64::from(batch.count), u64::from(batch.wire_bytes()));
            let saved = u64::from(batch.raw_bytes.saturating_sub(batch.record_bytes));
            let raw = wire.saturating_add(saved);
            let ppm = if saved == 0 { 1_000_000 } else { wire.saturating_mul(1_000_000) / raw.max(1) };
            let record_bytes = u64::from(batch.raw_bytes);
            let topic = self.topics.at_mut(self.partitions.at(batch.partition).topic.into());
            let counts = &mut topic.counts;
            counts.records_sent = counts.records_sent.wrapping_add(records);
            counts.batches_sent = counts.batches_sent.wrapping_add(1);
            counts.bytes_sent = counts.bytes_sent.wrapping_add(wire);
            counts.compression_ppm = counts.compression_ppm.wrapping_add(ppm);
            let all = &mut self.measured.all;
            if batch.attempts > 1 {
                counts.records_retried = counts.records_retried.wrapping_add(records);
            } else {
                all.queue_time_us.add(self.now.since(batch.created_at).as_micros() as u64);
            }
            all.records_sent = all.records_sent.wrapping_add(records);
            all.batch_bytes.add(wire);
            all.raw_batch_bytes = all.raw_batch_bytes.wrapping_add(raw);
            all.record_bytes = all.record_bytes.wrapping_add(record_bytes);
            all.record_bytes_max = all.record_bytes_max.max(record_bytes.div_ceil(records.max(1)));
            all.compression_ppm.add(ppm);
        }

        /// The outcome of a batch is decided.
        pub(crate) fn measure_outcome(&mut self, batch: u32, delivered: bool) {
            let batch = self.batches.at(batch);
            let counts = &mut self.topics.at_mut(self.partitions.at(batch.partition).topic.into()).counts;
            let counter = if delivered { &mut counts.records_delivered } else { &mut counts.records_failed };
            *counter = counter.wrapping_add(batch.count.into());
        }

        /// Whom a connection's traffic is counted for; `None` if its peer is forgotten.
        fn node(&mut self, slot: u16) -> Option<&mut NodeStats> {
            match self.connections.at(slot.into()).peer {
                Peer::Bootstrap(_) => Some(&mut self.measured.bootstrap),
                Peer::Broker(NONE) => None,
                Peer::Broker(broker) => {
                    let broker = self.brokers.at_mut(broker.into());
                    broker.in_use.then_some(&mut broker.counts)
                }
            }
        }

        /// A request of `size` bytes was formed.
        pub(crate) fn measure_request(&mut self, slot: u16, size: usize) {
            self.measured.all.request_bytes.add(size as u64);
            if let Some(node) = self.node(slot) {
                node.request_bytes.add(size as u64);
            }
        }

        /// The transport took bytes.
        pub(crate) fn measure_out(&mut self, slot: u16, bytes: u32) {
            if let Some(node) = self.node(slot) {
                node.bytes_out = node.bytes_out.wrapping_add(bytes.into());
            }
        }

        /// The transport brought bytes.
        pub(crate) fn measure_in(&mut self, slot: u16, bytes: usize) {
            if let Some(node) = self.node(slot) {
                node.bytes_in = node.bytes_in.wrapping_add(bytes as u64);
            }
        }

        /// A request was answered.
        pub(crate) fn measure_response(&mut self, slot: u16, request: &InFlight) {
            let latency = self.now.since(request.formed_at).as_micros() as u64;
            let throttle_ms = u64::from(self.connections.at(slot.into()).produce.throttle_ms);
            let all = &mut self.measured.all;
            all.responses = all.responses.wrapping_add(1);
            let kind = match request.api {
                ApiKey::Produce => &mut all.produce_latency_us,
                ApiKey::Metadata => &mut all.metadata_latency_us,
                ApiKey::ApiVersions => &mut all.api_versions_latency_us,
                ApiKey::InitProducerId => &mut all.init_producer_id_latency_us,
            };
            kind.add(latency);
            let produce = request.api == ApiKey::Produce;
            if produce {
                all.throttle_ms.add(throttle_ms);
            }
            if let Some(node) = self.node(slot) {
                node.responses = node.responses.wrapping_add(1);
                if produce {
                    node.latency_us.add(latency);
                    node.throttle_ms = node.throttle_ms.wrapping_add(throttle_ms);
                }
            }
        }

        /// A partition's leader was learned.
        pub(crate) fn measure_leader(&mut self, before: i32, now: i32) {
            if before >= 0 && now >= 0 && before != now {
                let changes = &mut self.measured.all.leader_changes;
                *changes = changes.wrapping_add(1);
            }
        }

        /// A connection is about to end.
        pub(crate) fn measure_end(&mut self, slot: u16) {
            if self.connections.at(slot.into()).state == ConnectionState::Ready {
                let ended = &mut self.measured.all.connections_ended;
                *ended = ended.wrapping_add(1);
            }
        }
    }
}
