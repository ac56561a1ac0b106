//! The swarm as a WebAssembly module.

use klamm_simulation::swarm::{Case, run};

/// Runs a seed; the hash of its trace. A failure ends the module.
#[unsafe(no_mangle)]
pub extern "C" fn trace_hash(seed: u64) -> u64 {
    run(&Case::new(seed)).hash
}
