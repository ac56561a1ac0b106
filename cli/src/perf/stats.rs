//! The figures and the lines of Kafka's `ProducerPerformance`: same sampling, same percentiles, same formats.

use std::fmt::Write;

/// Most latencies kept for percentiles; of more records every k-th is.
const SAMPLES: u64 = 500_000;

/// Counts, bytes and latencies of the whole run, and of the window since the last line.
pub(crate) struct Stats {
    start_ms: u64,
    sampling: u64,
    latencies: Vec<u32>,
    iteration: u64,
    total: Sums,
    window: Sums,
    window_start_ms: u64,
    reporting_interval_ms: u64,
    steady_state: bool,
    /// Set when the second statistics begin: only one of them prints windows.
    pub(crate) silent: bool,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    count: u64,
    bytes: u64,
    latency_ms: u64,
    max_latency_ms: u32,
}

impl Sums {
    #[inline]
    fn add(&mut self, latency_ms: u32, bytes: u32) {
        self.count += 1;
        self.bytes += u64::from(bytes);
        self.latency_ms += u64::from(latency_ms);
        self.max_latency_ms = self.max_latency_ms.max(latency_ms);
    }

    /// Records and megabytes per second.
    fn rates(&self, elapsed_ms: u64) -> (f64, f64) {
        // Kafka's tool prints Infinity for a run shorter than its clock's millisecond.
        let seconds = elapsed_ms.max(1) as f64 / 1000.0;
        (self.count as f64 / seconds, self.bytes as f64 / seconds / (1024.0 * 1024.0))
    }

    fn average(&self) -> f64 {
        self.latency_ms as f64 / self.count as f64
    }
}

impl Stats {
    /// Statistics of `num_records` records that begin at `now_ms`.
    pub(crate) fn new(num_records: u64, reporting_interval_ms: u64, steady_state: bool, now_ms: u64) -> Self {
        Self {
            start_ms: now_ms,
            sampling: (num_records / SAMPLES).max(1),
            latencies: Vec::new(),
            iteration: 0,
            total: Sums::default(),
            window: Sums::default(),
            window_start_ms: now_ms,
            reporting_interval_ms,
            steady_state,
            silent: false,
        }
    }

    /// Adds a delivered record; text to print if a window is over.
    #[inline]
    pub(crate) fn record(&mut self, latency_ms: u32, bytes: u32, now_ms: u64) -> Option<String> {
        self.total.add(latency_ms, bytes);
        self.window.add(latency_ms, bytes);
        if self.iteration.is_multiple_of(self.sampling) {
            self.latencies.push(latency_ms);
        }
        self.iteration += 1;
        if now_ms.saturating_sub(self.window_start_ms) >= self.reporting_interval_ms {
            return self.end_window(now_ms);
        }
        None
    }

    #[cold]
    fn end_window(&mut self, now_ms: u64) -> Option<String> {
        let mut text = String::new();
        if self.steady_state && self.total.count == self.window.count {
            text.push_str("In steady state.\n");
        }
        if !self.silent {
            let Sums { count, max_latency_ms, .. } = self.window;
            let (records, megabytes) = self.window.rates(now_ms - self.window_start_ms);
            let average = self.window.average();
            let max = f64::from(max_latency_ms);
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "{count} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {average:.1} ms avg latency, {max:.1} ms max latency."
            );
        }
        self.window = Sums::default();
        self.window_start_ms = now_ms;
        Some(text).filter(|text| !text.is_empty())
    }

    /// The summary line.
    pub(crate) fn summary(&mut self, now_ms: u64) -> String {
        let Sums { count, max_latency_ms, .. } = self.total;
        let (records, megabytes) = self.total.rates(now_ms.saturating_sub(self.start_ms));
        let average = self.total.average();
        let max = f64::from(max_latency_ms);
        let [p50, p95, p99, p999] = self.percentiles([0.5, 0.95, 0.99, 0.999]);
        let steady = if self.steady_state { " steady state" } else { "" };
        format!(
            "{count}{steady} records sent, {records:.6} records/sec ({megabytes:.2} MB/sec), {average:.2} ms avg latency, {max:.2} ms max latency, {p50} ms 50th, {p95} ms 95th, {p99} ms 99th, {p999} ms 99.9th.\n"
        )
    }

    fn percentiles(&mut self, of: [f64; 4]) -> [u32; 4] {
        self.latencies.sort_unstable();
        let samples = self.latencies.len();
        of.map(|p| self.latencies.get((p * samples as f64) as usize).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_as_kafka_prints_it() {
        let mut stats = Stats::new(1000, 5000, false, 100);
        for i in 0..1000 {
            assert_eq!(stats.record(i, 100, 101), None);
        }
        assert_eq!(
            stats.summary(350),
            "1000 records sent, 4000.000000 records/sec (0.38 MB/sec), 499.50 ms avg latency, 999.00 ms max latency, \
             500 ms 50th, 950 ms 95th, 990 ms 99th, 999 ms 99.9th.\n"
        );
    }

    #[test]
    fn nothing_sent() {
        assert_eq!(
            Stats::new(1000, 5000, true, 0).summary(1),
            "0 steady state records sent, 0.000000 records/sec (0.00 MB/sec), NaN ms avg latency, 0.00 ms max latency, \
             0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.\n"
        );
    }

    #[test]
    fn windows() {
        let mut stats = Stats::new(10, 1000, true, 0);
        assert_eq!(stats.record(1, 1 << 20, 999), None);
        assert_eq!(
            stats.record(2, 1 << 20, 1000).unwrap(),
            "In steady state.\n2 records sent, 2.0 records/sec (2.00 MB/sec), 1.5 ms avg latency, 2.0 ms max latency.\n"
        );
        assert_eq!(stats.record(4, 0, 1999), None);
        stats.silent = true;
        assert_eq!(stats.record(4, 0, 2000), None);
    }

    #[test]
    fn of_many_records_every_kth_is_sampled() {
        let mut stats = Stats::new(1_500_000, u64::MAX, false, 0);
        for i in 0..1_500_000 {
            stats.record(i, 1, 0);
        }
        assert_eq!(stats.latencies.len(), 500_000);
        assert_eq!(stats.latencies[..3], [0, 3, 6]);
    }
}
