//! `cargo xtask chaos`: klamm against real Kafka while brokers are killed and connections break. `tests/chaos` has the work, and the options.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::build::chaos_program;
use crate::needs::{Need, ensure};

/// Runs `klamm-chaos` with the user's arguments.
pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    ensure(Need::Kafka)?;
    let program = chaos_program()?;
    let status = Command::new(&program).args(args).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
