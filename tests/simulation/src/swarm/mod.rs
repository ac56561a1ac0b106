//! The swarm: everything at random from one number, over and over.
//!
//! A [`Case`] is a seed, and what a shrinker cut away from it. [`Run`] draws configuration, memory, cluster, topics, work and
//! troubles from the seed, lets the work be done while the [nemesis](klamm_sim::nemesis) works against it, makes peace, and then demands
//! what klamm promises. `klamm-swarm` runs millions of them; `docs/simulation.md` tells how.

mod case;
mod plan;
mod report;
mod run;
mod shrink;
mod work;

pub use case::Case;
pub use report::{Report, Totals};
pub use run::{Run, attempt, run};
pub use shrink::shrink;

/// The seeds of failures that were, with what each showed.
pub const REGRESSIONS: &str = include_str!("../../regressions.txt");

/// The cases of [`REGRESSIONS`].
///
/// # Errors
/// A line that cannot be read.
pub fn regressions() -> Result<Vec<Case>, String> {
    let lines = REGRESSIONS.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::parse).collect()
}
