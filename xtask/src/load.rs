//! `cargo xtask stress` and `cargo xtask soak`: klamm under load. `tests/load` has the work, and the options.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::build::load_program;

/// Runs a command of `klamm-load` with the user's arguments.
pub(crate) fn main(command: &str, args: &[String]) -> Result<ExitCode> {
    let program = load_program()?;
    let status = Command::new(&program).arg(command).args(args).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
