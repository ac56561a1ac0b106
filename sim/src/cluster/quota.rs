//! `producer_byte_rate`: how long a client that sends too much is throttled (KIP-219).

use std::collections::BTreeMap;

/// What a client may send at once after a time of silence, as the time that it would take at its rate.
const BURST_US: u64 = 1_000_000;

/// Until when each client has used up its share, per broker and client id, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    spent_us: BTreeMap<i32, BTreeMap<String, u64>>,
}

impl Quotas {
    /// Books the bytes of a request. How many milliseconds the client has to wait now.
    pub(super) fn book(&mut self, now_ms: u64, broker: i32, client_id: &str, bytes: usize, bytes_per_s: u64) -> u64 {
        let now_us = now_ms.saturating_mul(1000);
        let clients = self.spent_us.entry(broker).or_default();
        let spent = match clients.get_mut(client_id) {
            Some(spent) => spent,
            None => clients.entry(client_id.to_owned()).or_default(),
        };
        let costs_us = (bytes as u64).saturating_mul(1_000_000) / bytes_per_s.max(1);
        // The account starts with a burst in hand, so what is spent counts from that long ago.
        *spent = (*spent).max(now_us).saturating_add(costs_us);
        spent.saturating_sub(now_us.saturating_add(BURST_US)).div_ceil(1000)
    }
}
