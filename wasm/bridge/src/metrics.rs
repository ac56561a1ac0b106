//! Counters, and the text that Prometheus reads.
//!
//! Rendered by hand: some thirty numbers without quantiles need no exporter with its registry, sketches and HTTP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::end::End;
use crate::refusal::Refusal;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that are there at present.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn change(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

/// What went through: of one tunnel, or of all.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) to_target: Counter,
    pub(crate) to_client: Counter,
    pub(crate) messages_from_client: Counter,
    pub(crate) messages_to_client: Counter,
}

/// What goes through one tunnel, counted for it and for all.
#[derive(Debug)]
pub(crate) struct Traffic {
    own: Flow,
    all: Arc<Metrics>,
}

impl Traffic {
    pub(crate) fn new(all: Arc<Metrics>) -> Self {
        Self { own: Flow::default(), all }
    }

    /// Bytes that the target took.
    pub(crate) fn to_target(&self, bytes: usize) {
        self.own.to_target.add(bytes as u64);
        self.all.flow.to_target.add(bytes as u64);
    }

    pub(crate) fn message_from_client(&self) {
        self.own.messages_from_client.add(1);
        self.all.flow.messages_from_client.add(1);
    }

    /// A message that left for the client.
    pub(crate) fn to_client(&self, bytes: usize) {
        self.own.to_client.add(bytes as u64);
        self.own.messages_to_client.add(1);
        self.all.flow.to_client.add(bytes as u64);
        self.all.flow.messages_to_client.add(1);
    }

    pub(crate) fn own(&self) -> &Flow {
        &self.own
    }
}

/// How many, and how long together.
#[derive(Debug, Default)]
pub(crate) struct Times {
    count: Counter,
    micros: Counter,
}

impl Times {
    pub(crate) fn add(&self, time: Duration) {
        self.count.add(1);
        self.micros.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// All counters of a bridge. Every accepted connection ends up in exactly one of: dropped, handshakes failed, answered, refused,
/// upgraded, or it is still a pending handshake; every upgraded one is open or closed for one reason.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: Counter,
    pub(crate) accept_errors: Counter,
    pub(crate) dropped: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) answered: Counter,
    pub(crate) upgraded: Counter,
    pub(crate) pending: Gauge,
    pub(crate) open: Gauge,
    pub(crate) panics: Counter,
    pub(crate) reloads: Counter,
    pub(crate) reloads_failed: Counter,
    pub(crate) flow: Flow,
    pub(crate) connects: Times,
    pub(crate) tunnels: Times,
    refused: [Counter; Refusal::ALL.len()],
    closed: [Counter; End::ALL.len()],
}

impl Metrics {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refused[refusal as usize].add(1);
    }

    pub(crate) fn close(&self, end: End) {
        self.closed[end as usize].add(1);
    }

    /// In Prometheus' text format 0.0.4.
    pub(crate) fn render(&self, shutting_down: bool) -> String {
        let mut page = Page(String::with_capacity(6000));
        page.counter("accepted_total", "Connections accepted.", self.accepted.get());
        page.counter("accept_errors_total", "Connections that could not be accepted.", self.accept_errors.get());
        page.counter("dropped_total", "Connections dropped at once: too many unanswered.", self.dropped.get());
        page.counter(
            "handshakes_failed_total",
            "Connections that ended before a request.",
            self.handshakes_failed.get(),
        );
        page.counter("answered_total", "Requests for health and metrics.", self.answered.get());
        page.counter("upgraded_total", "Requests that became tunnels.", self.upgraded.get());
        page.family("refused_total", "counter", "Requests refused, by reason.");
        for refusal in Refusal::ALL {
            let labels = format!("{{reason=\"{}\",status=\"{}\"}}", refusal.label(), refusal.status());
            page.sample("refused_total", &labels, self.refused[refusal as usize].get());
        }
        page.family("closed_total", "counter", "Tunnels ended, by reason; code is the one sent to the client.");
        for end in End::ALL {
            let code = end.close_frame().map_or(String::new(), |frame| u16::from(frame.code).to_string());
            let labels = format!("{{reason=\"{}\",code=\"{code}\"}}", end.label());
            page.sample("closed_total", &labels, self.closed[end as usize].get());
        }
        page.gauge("pending", "Connections whose request is not answered yet.", self.pending.get());
        page.gauge("open", "Tunnels open.", self.open.get());
        page.gauge("shutting_down", "1 while shutting down.", i64::from(shutting_down));
        page.both("bytes_total", "Payload carried.", self.flow.to_target.get(), self.flow.to_client.get());
        let (up, down) = (self.flow.messages_from_client.get(), self.flow.messages_to_client.get());
        page.both("messages_total", "WebSocket messages carried.", up, down);
        page.times("connect_seconds", "Time to resolve and reach targets.", &self.connects);
        page.times("tunnel_seconds", "Time that ended tunnels were open.", &self.tunnels);
        page.counter("panics_total", "Tasks that panicked: each is a bug.", self.panics.get());
        page.counter("reloads_total", "Reloads of tokens and certificate.", self.reloads.get());
        page.counter("reloads_failed_total", "Reloads that failed; the old ones stay.", self.reloads_failed.get());
        page.family("build_info", "gauge", "The version that runs.");
        page.sample("build_info", concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
        page.0
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!("# HELP klamm_bridge_{name} {help}\n# TYPE klamm_bridge_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("klamm_bridge_{name}{labels} {value}\n"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn both(&mut self, name: &str, help: &str, to_target: u64, to_client: u64) {
        self.family(name, "counter", help);
        self.sample(name, "{direction=\"to_target\"}", to_target);
        self.sample(name, "{direction=\"to_client\"}", to_client);
    }

    fn times(&mut self, name: &str, help: &str, times: &Times) {
        self.family(name, "summary", help);
        #[allow(clippy::cast_precision_loss, reason = "microseconds of centuries fit into a double")]
        self.sample(&format!("{name}_sum"), "", times.micros.get() as f64 / 1e6);
        self.sample(&format!("{name}_count"), "", times.count.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at);
        }
        for (at, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, at);
        }
        let metrics = Metrics::default();
        metrics.refuse(Refusal::Slow);
        metrics.close(End::TooBig);
        metrics.connects.add(Duration::from_millis(1500));
        let text = metrics.render(true);
        for line in [
            "klamm_bridge_refused_total{reason=\"slow\",status=\"408\"} 1",
            "klamm_bridge_closed_total{reason=\"too_big\",code=\"1009\"} 1",
            "klamm_bridge_connect_seconds_sum 1.5",
            "klamm_bridge_shutting_down 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
