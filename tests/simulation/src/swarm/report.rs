//! Figures.

use klamm_sim::nemesis::Trouble;
use std::collections::BTreeMap;
use std::fmt;

/// What there is to tell of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Milliseconds of the simulated clock.
    pub virtual_ms: u64,
    /// Records that were accepted.
    pub records: u64,
    /// Those that were delivered.
    pub delivered: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those of the failed of which nobody knows whether they were written.
    pub unknown: u64,
    /// Those of the failed that a broker called a gap (45), where no broker lost or invented anything.
    pub gaps: u64,
    /// Requests that brokers read.
    pub requests: u64,
    /// Connections that were opened, or tried to be.
    pub connections: u64,
    /// How often a partition got a leader, or lost it.
    pub elections: u64,
    /// How often each trouble struck.
    pub troubles: BTreeMap<Trouble, u64>,
    /// The cluster lost or invented something.
    pub lossy: bool,
    /// Up to 100 brokers and 10 000 partitions.
    pub large: bool,
    /// Of all lines of the trace.
    pub hash: u64,
}

/// Sums over many runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many runs.
    pub seeds: u64,
    /// Sums of [`Report`]; the hash is the same whatever the order of the runs.
    pub sum: Report,
    /// How many were [lossy](Report::lossy).
    pub lossy: u64,
    /// How many were [large](Report::large).
    pub large: u64,
    /// In how many runs each trouble struck.
    pub runs_with: BTreeMap<Trouble, u64>,
}

impl Totals {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        let sum = &mut self.sum;
        self.seeds += 1;
        self.lossy += u64::from(report.lossy);
        self.large += u64::from(report.large);
        sum.virtual_ms += report.virtual_ms;
        sum.records += report.records;
        sum.delivered += report.delivered;
        sum.failed += report.failed;
        sum.unknown += report.unknown;
        sum.gaps += report.gaps;
        sum.requests += report.requests;
        sum.connections += report.connections;
        sum.elections += report.elections;
        for (trouble, count) in &report.troubles {
            *sum.troubles.entry(*trouble).or_default() += count;
            *self.runs_with.entry(*trouble).or_default() += 1;
        }
        let spread =
            (report.hash ^ report.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        sum.hash = sum.hash.wrapping_add(spread ^ (spread >> 31));
    }

    /// Adds the runs of another thread.
    pub fn merge(&mut self, other: &Self) {
        let (mut troubles, mut runs_with) = (other.sum.troubles.clone(), other.runs_with.clone());
        for (trouble, count) in &self.sum.troubles {
            *troubles.entry(*trouble).or_default() += count;
        }
        for (trouble, count) in &self.runs_with {
            *runs_with.entry(*trouble).or_default() += count;
        }
        let (a, b) = (&self.sum, &other.sum);
        let sum = Report {
            seed: 0,
            virtual_ms: a.virtual_ms + b.virtual_ms,
            records: a.records + b.records,
            delivered: a.delivered + b.delivered,
            failed: a.failed + b.failed,
            unknown: a.unknown + b.unknown,
            gaps: a.gaps + b.gaps,
            requests: a.requests + b.requests,
            connections: a.connections + b.connections,
            elections: a.elections + b.elections,
            troubles,
            lossy: false,
            large: false,
            hash: a.hash.wrapping_add(b.hash),
        };
        *self = Self {
            seeds: self.seeds + other.seeds,
            sum,
            lossy: self.lossy + other.lossy,
            large: self.large + other.large,
            runs_with,
        };
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = &self.sum;
        let hours = sum.virtual_ms / 3_600_000;
        let rows = [
            ("simulated hours", hours),
            ("records accepted", sum.records),
            ("  delivered", sum.delivered),
            ("  failed", sum.failed),
            ("    fate unknown", sum.unknown),
            ("    gaps, nothing lost", sum.gaps),
            ("requests", sum.requests),
            ("connections", sum.connections),
            ("elections", sum.elections),
            ("worlds that lost data", self.lossy),
            ("worlds of 10 to 100 brokers", self.large),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<28} {value:>14}")?;
        }
        writeln!(f, "\n{:<28} {:>14} {:>10}", "trouble", "times", "in worlds")?;
        for trouble in Trouble::ALL {
            let times = sum.troubles.get(trouble).copied().unwrap_or_default();
            let runs = self.runs_with.get(trouble).copied().unwrap_or_default();
            writeln!(f, "{trouble:<28} {times:>14} {runs:>10}")?;
        }
        let times: u64 = sum.troubles.values().sum();
        writeln!(f, "{:<28} {times:>14}", "all")?;
        write!(f, "\nhash of all traces: {:016x}", sum.hash)
    }
}
