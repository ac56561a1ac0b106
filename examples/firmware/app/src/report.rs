//! What the application tells whoever looks on: a few lines, by defmt or as plain text through `say`.

#[cfg(not(feature = "defmt"))]
use klamm_core::{Disconnect, ErrorCode};
use klamm_core::{Problem, Stats};

use crate::Tally;

/// The network is there, with this IPv4 address; `taken` readings were accepted before.
#[cfg(feature = "defmt")]
pub fn link_up(_: impl FnOnce(&str), address: [u8; 4], after_ms: u64, taken: u32) {
    defmt::info!("address {=[u8; 4]} after {=u64} ms; readings taken before: {=u32}", address, after_ms, taken);
}

/// The network is there, with this IPv4 address; `taken` readings were accepted before.
#[cfg(not(feature = "defmt"))]
#[inline(never)] // its lines are no part of the main loop's stack
pub fn link_up(say: impl FnOnce(&str), address: [u8; 4], after_ms: u64, taken: u32) {
    let mut line = crate::Text::<96>::new();
    line.text("link: address=");
    for (index, octet) in address.into_iter().enumerate() {
        if index > 0 {
            line.byte(b'.');
        }
        line.number(octet.into());
    }
    line.field("after_ms", after_ms).field("readings_before", taken);
    say(line.as_str());
}

/// All is over.
#[cfg(feature = "defmt")]
pub fn statistics(_: impl FnMut(&str), tally: &Tally, stats: &Stats) {
    defmt::info!("{} {}", tally, stats);
}

/// All is over.
#[cfg(not(feature = "defmt"))]
#[inline(never)] // its lines are no part of the main loop's stack
pub fn statistics(mut say: impl FnMut(&str), tally: &Tally, stats: &Stats) {
    let mut line = crate::Text::<256>::new();
    line.text("application:").field("readings", tally.taken).field("delivered", tally.delivered);
    line.field("failed", tally.failed).field("partitions", tally.partitions.count_ones()).field("ms", tally.ms);
    line.field("silence_us", tally.silence_us);
    line.field("busy_us", tally.busy_us).field("sleeps", tally.sleeps).field("idle_sleeps", tally.idle_sleeps);
    say(line.as_str());
    let mut line = crate::Text::<512>::new();
    line.text("producer:").field("batches", stats.batches_sent).field("requests", stats.requests);
    line.field("produce_requests", stats.produce_requests).field("retried", stats.records_retried);
    line.field("bytes_out", stats.bytes_out).field("bytes_in", stats.bytes_in).field("full", stats.buffer_full);
    line.field("metadata", stats.metadata_refreshes).field("opened", stats.connections_opened);
    line.field("closed", stats.connections_closed).field("timeouts", stats.request_timeouts);
    line.field("epoch_bumps", stats.epoch_bumps).field("latency_us_max", stats.request_latency_us_max);
    say(line.as_str());
}

/// A problem is for people: nothing here could mend it.
#[cfg(feature = "defmt")]
pub fn problem(_: impl FnOnce(&str), problem: &Problem) {
    defmt::warn!("{}", problem);
}

/// A problem is for people: nothing here could mend it.
#[cfg(not(feature = "defmt"))]
#[inline(never)] // its line is no part of the main loop's stack
pub fn problem(say: impl FnOnce(&str), problem: &Problem) {
    let mut line = crate::Text::<96>::new();
    line.text("problem: ");
    let code = match problem {
        Problem::Unreachable(why) => {
            line.text("no bootstrap server can be reached: ").text(reason(*why));
            ErrorCode::NONE
        }
        Problem::Topic(_, code) => {
            line.text("the topic cannot be written to,");
            *code
        }
        Problem::Fatal(code) => {
            line.text("the producer cannot go on,");
            *code
        }
        Problem::Peer(_) => {
            line.text("a server speaks no Kafka that we do");
            ErrorCode::NONE
        }
        Problem::DeclaredPartitions(_) => {
            line.text("the topic has fewer partitions than we were told");
            ErrorCode::NONE
        }
        Problem::TooManyBrokers => {
            line.text("more brokers than there is room for");
            ErrorCode::NONE
        }
        // A broker's name that is too long, or none; a gap that was mended.
        _ => {
            line.text("a broker's address, or a gap in its log");
            ErrorCode::NONE
        }
    };
    if !code.is_none() {
        // Kafka's own number: names would take 3 KB of flash.
        line.text(" error ");
        line.number(code.code().unsigned_abs().into());
    }
    say(line.as_str());
}

/// Why a server cannot be reached.
#[cfg(not(feature = "defmt"))]
fn reason(why: Disconnect) -> &'static str {
    match why {
        Disconnect::Refused => "nothing listens there",
        Disconnect::Unreachable => "no way there",
        Disconnect::Dns => "nobody knows its name",
        Disconnect::TimedOut => "no answer",
        _ => "the connection broke",
    }
}
