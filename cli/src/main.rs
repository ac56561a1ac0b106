//! `klamm`: an Apache Kafka producer on the command line, with the flags of Kafka's own tools.

mod args;
mod config;
mod interrupt;
mod lines;
mod perf;
mod produce;
mod progress;
mod properties;
mod reader;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

/// Some records were not delivered.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let (name, outcome) = match Cli::parse().command {
        Command::Produce(args) => ("produce", produce::run(&args)),
        Command::Perf(args) => ("perf", perf::run(&args)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(usage) => {
            // Not eprintln: a closed standard error must not panic.
            drop(writeln!(io::stderr(), "klamm: {usage}\nSee klamm {name} --help."));
            ExitCode::from(USAGE)
        }
    }
}
