//! `cargo xtask sim`: many simulated worlds. `tests/simulation` has the work, and the options; `docs/simulation.md` tells of it.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::build::swarm_program;

/// Runs `klamm-swarm` with the user's arguments.
pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let program = swarm_program()?;
    let status = Command::new(&program).args(args).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
