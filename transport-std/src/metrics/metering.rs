//! Takes the counters at the ends of windows, and into snapshots. Lives under the producer's lock.

use std::sync::Arc;
use std::time::Duration;

use klamm_core::{ConfigError, Instant, NodeStats, TopicId, TopicStats};

use crate::metrics::snapshot::Metrics;
use crate::metrics::totals::{Gauges, Meters, Totals};
use crate::metrics::windows::{Clock, Windows};
use crate::shared::Shared;
use crate::sorted::Sorted;
use crate::topics::Topics;

type Core = klamm_core::Producer<'static>;

/// `metrics.num.samples` and `metrics.sample.window.ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    pub(crate) num_samples: u32,
    pub(crate) window_ms: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { num_samples: 2, window_ms: 30_000 }
    }
}

impl Sampling {
    /// Windows are copies of counters, so there must be an end to their number.
    const MAX: u32 = 1000;

    /// Checks the ranges.
    pub(crate) fn validate(self) -> Result<(), ConfigError> {
        let range = |name, value, max| {
            let ok = (1..=max).contains(&value);
            if ok { Ok(()) } else { Err(ConfigError::OutOfRange { name, min: 1, max }) }
        };
        range("metrics.num.samples", self.num_samples, Self::MAX)?;
        range("metrics.sample.window.ms", self.window_ms, i32::MAX as u32)
    }
}

/// A producer's counters and windows.
pub(crate) struct Metering {
    pub(crate) meters: Meters,
    client_id: Arc<str>,
    start_ms: u64,
    clock: Clock,
    all: Windows<Totals>,
    nodes: Sorted<i32, Windows<NodeStats>>,
    topics: Sorted<TopicId, Windows<TopicStats>>,
    /// When the I/O thread went to sleep, while it sleeps.
    asleep_since: Option<Instant>,
}

impl Metering {
    pub(crate) fn new(sampling: Sampling, client_id: &str) -> Self {
        let window = Duration::from_millis(sampling.window_ms.into());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            meters: Meters::default(),
            client_id: client_id.into(),
            start_ms: u64::try_from(now.as_millis()).unwrap_or(0),
            clock: Clock::new(sampling.num_samples, window, Instant::ZERO),
            all: Windows::default(),
            nodes: Sorted::default(),
            topics: Sorted::default(),
            asleep_since: None,
        }
    }

    /// The I/O thread is awake: what it does from here on belongs to the window of `now`.
    pub(crate) fn begin_turn(&mut self, now: Instant, core: &mut Core, topics: &Topics) {
        self.end_windows(now, core, topics);
        self.meters.selects = self.meters.selects.wrapping_add(1);
        self.meters.io_wait_us = self.slept_by(now);
        self.asleep_since = None;
    }

    /// The I/O thread goes to sleep.
    pub(crate) fn sleep(&mut self, now: Instant) {
        self.asleep_since = Some(now);
    }

    /// The I/O thread sleeps for this long, whatever happens.
    pub(crate) fn nap(&mut self, duration: Duration) {
        self.meters.io_wait_us = self.meters.io_wait_us.wrapping_add(duration.as_micros() as u64);
    }

    fn slept_by(&self, now: Instant) -> u64 {
        let asleep = self.asleep_since.map_or(Duration::ZERO, |since| now.since(since));
        self.meters.io_wait_us.wrapping_add(asleep.as_micros() as u64)
    }

    /// Ends the windows whose time is over. Usually there are none, which costs a comparison.
    #[inline]
    fn end_windows(&mut self, now: Instant, core: &mut Core, topics: &Topics) {
        for _ in 0..self.clock.advance(now) {
            self.end_window(now, core, topics);
        }
    }

    #[cold]
    fn end_window(&mut self, now: Instant, core: &mut Core, topics: &Topics) {
        self.all.end(&self.clock, self.totals(now, core));
        let mut known = 0;
        for (node, counters) in core.nodes() {
            let windows = self.nodes.or_insert_with(node, Windows::default);
            if began_anew(windows, &counters) {
                *windows = Windows::default();
            }
            windows.end(&self.clock, counters);
            known += 1;
        }
        if self.nodes.len() > known {
            self.nodes.retain(|node| core.node_stats(node).is_some());
        }
        self.topics.retain(|topic| core.topic_stats(topic).is_some());
        for topic in &topics.entries {
            if let Some(counters) = core.topic_stats(topic.id) {
                self.topics.or_insert_with(topic.id, Windows::default).end(&self.clock, counters);
            }
        }
        // The next window has its own.
        core.restart_maxima();
    }

    fn totals(&self, now: Instant, core: &Core) -> Totals {
        Totals {
            stats: *core.stats(),
            core: *core.measurements(),
            meters: Meters { io_wait_us: self.slept_by(now), ..self.meters },
            up_us: now.as_micros(),
            gauges: Gauges::default(),
        }
    }

    fn gauges(now: Instant, core: &Core, waiting: usize) -> Gauges {
        Gauges {
            buffer_total: core.buffer_total_bytes(),
            buffer_available: core.buffer_available_bytes(),
            waiting_threads: waiting as u64,
            in_flight: core.requests_in_flight(),
            connections: core.connections_open(),
            metadata_age: core.metadata_age(now).map(|age| age.as_secs_f64()),
        }
    }
}

/// The broker's slot was needed by another one meanwhile, and its counters were lost.
fn began_anew(windows: &Windows<NodeStats>, counters: &NodeStats) -> bool {
    windows.last().request_bytes.count > counters.request_bytes.count
}

impl Shared {
    /// All metrics as of now. Copies counters; what they amount to is worked out later, without the lock.
    pub(crate) fn snapshot(&mut self, now: Instant) -> Metrics {
        let Self { metering, core, topics, waiters, .. } = self;
        metering.end_windows(now, core, topics);
        let clock = &metering.clock;
        let gauges = Metering::gauges(now, core, waiters.waiting_for_space());
        let totals = Totals { gauges, ..metering.totals(now, core) };
        let nodes = core.nodes().map(|(id, counters)| {
            let view = match metering.nodes.get(id).filter(|windows| !began_anew(windows, &counters)) {
                Some(windows) => windows.view(clock, now, counters),
                None => Windows::default().view(clock, now, counters),
            };
            (id, view)
        });
        let topics = topics.entries.iter().filter_map(|topic| {
            let counters = core.topic_stats(topic.id)?;
            let view = match metering.topics.get(topic.id) {
                Some(windows) => windows.view(clock, now, counters),
                None => Windows::default().view(clock, now, counters),
            };
            Some((Arc::clone(&topic.name), view))
        });
        Metrics::new(
            Arc::clone(&metering.client_id),
            metering.start_ms,
            metering.all.view(clock, now, totals),
            nodes.collect(),
            topics.collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_an_end_and_a_length() {
        let valid = |num_samples, window_ms| Sampling { num_samples, window_ms }.validate();
        assert_eq!((valid(1, 1), valid(1000, i32::MAX as u32)), (Ok(()), Ok(())));
        assert_eq!(Sampling::default().validate(), Ok(()));
        let refused = |name, max| Err(ConfigError::OutOfRange { name, min: 1, max });
        assert_eq!((valid(0, 1), valid(1001, 1)), (refused("metrics.num.samples", 1000), valid(1001, 2)));
        assert_eq!(valid(1, 0), refused("metrics.sample.window.ms", i32::MAX as u32));
    }

    /// Time asleep is what is not work, however the sleep is cut by windows and snapshots.
    #[test]
    fn sleep_counts_while_it_lasts_and_once() {
        let mut metering = Metering::new(Sampling::default(), "me");
        let at = Instant::from_millis;
        metering.sleep(at(10));
        assert_eq!((metering.slept_by(at(10)), metering.slept_by(at(25))), (0, 15_000));
        let limits = klamm_core::Limits { buffer_memory: 64 << 10, ..klamm_core::Limits::default() };
        let storage = klamm_core::Storage::heap(&limits);
        let mut core =
            klamm_core::Producer::new(klamm_core::Config::new("a:1"), storage, [1; 32], Instant::ZERO).unwrap();
        let topics = Topics::default();
        metering.begin_turn(at(30), &mut core, &topics);
        assert_eq!((metering.slept_by(at(99)), metering.meters.selects), (20_000, 1));
        metering.nap(Duration::from_micros(50));
        metering.sleep(at(100));
        metering.begin_turn(at(90_000), &mut core, &topics);
        assert_eq!(metering.slept_by(at(90_000)), 20_050 + 89_900_000);
        let totals = metering.totals(at(90_000), &core);
        assert_eq!(totals.io_us(), 90_000_000 - 89_920_050);
    }
}
