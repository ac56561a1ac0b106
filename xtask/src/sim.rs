//! `cargo xtask sim`: many simulated worlds. `tests/simulation` has the work, and the options; `docs/simulation.md` tells of it.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::build::swarm_program;

/// Runs `klamm-swarm` with the user's arguments. `--board`: the core without the features that a small board goes without.
pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let (board, args): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| *arg == "--board");
    let program = swarm_program(!board.is_empty())?;
    let status = Command::new(&program).args(args).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
