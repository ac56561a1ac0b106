//! Metrics under Kafka's names.
//!
//! The core counts ([`klamm_core::Stats`], [`klamm_core::Measurements`]), [`metering`] copies its counters at the ends
//! of windows ([`windows`]), and [`catalog`] says how each of Kafka's metrics follows from them.

mod catalog;
#[cfg(feature = "metrics")]
mod export;
mod metering;
mod snapshot;
mod totals;
mod windows;

#[cfg(feature = "metrics")]
pub use export::MetricsExporter;
pub(crate) use metering::{Metering, Sampling};
pub use snapshot::{Metric, Metrics, Tags};
