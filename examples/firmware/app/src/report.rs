//! What the application tells whoever looks on: two lines, by defmt or as plain text.

use klamm_core::Stats;
use smoltcp::wire::Ipv4Cidr;

use crate::Board;
use crate::application::Tally;

/// The network is there.
#[cfg(feature = "defmt")]
pub(crate) fn link_up<B: Board>(_: &mut B, address: Ipv4Cidr, after_ms: u64, taken: u32) {
    let octets = address.address().octets();
    defmt::info!("address {=[u8; 4]} after {=u64} ms; readings taken before: {=u32}", octets, after_ms, taken);
}

/// The network is there.
#[cfg(not(feature = "defmt"))]
pub(crate) fn link_up<B: Board>(board: &mut B, address: Ipv4Cidr, after_ms: u64, taken: u32) {
    let mut line = crate::text::Text::<96>::new();
    line.text("link: address=");
    for (index, octet) in address.address().octets().into_iter().enumerate() {
        if index > 0 {
            line.byte(b'.');
        }
        line.number(octet.into());
    }
    line.field("after_ms", after_ms).field("readings_before", taken);
    board.say(line.as_str());
}

/// All is over.
#[cfg(feature = "defmt")]
pub(crate) fn statistics<B: Board>(_: &mut B, tally: &Tally, stats: &Stats) {
    defmt::info!("{} {}", tally, stats);
}

/// All is over.
#[cfg(not(feature = "defmt"))]
pub(crate) fn statistics<B: Board>(board: &mut B, tally: &Tally, stats: &Stats) {
    let mut line = crate::text::Text::<256>::new();
    line.text("application:").field("readings", tally.taken).field("delivered", tally.delivered);
    line.field("failed", tally.failed).field("partitions", tally.partitions.count_ones()).field("ms", tally.ms);
    line.field("silence_us", tally.silence_us);
    line.field("busy_us", tally.busy_us).field("sleeps", tally.sleeps).field("idle_sleeps", tally.idle_sleeps);
    board.say(line.as_str());
    let mut line = crate::text::Text::<512>::new();
    line.text("producer:").field("batches", stats.batches_sent).field("requests", stats.requests);
    line.field("produce_requests", stats.produce_requests).field("retried", stats.records_retried);
    line.field("bytes_out", stats.bytes_out).field("bytes_in", stats.bytes_in).field("full", stats.buffer_full);
    line.field("metadata", stats.metadata_refreshes).field("opened", stats.connections_opened);
    line.field("closed", stats.connections_closed).field("timeouts", stats.request_timeouts);
    line.field("epoch_bumps", stats.epoch_bumps).field("latency_us_max", stats.request_latency_us_max);
    board.say(line.as_str());
}
