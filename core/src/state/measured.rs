//! What the producer counts as a whole, with the feature `metrics`.

use crate::stats::{Measurements, NodeStats};

#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) all: Measurements,
    /// The traffic with bootstrap servers whose node ids are not known yet.
    pub(crate) bootstrap: NodeStats,
}
