//! `klamm`: an Apache Kafka producer on the command line, with the flags of Kafka's own tools.

mod args;
mod config;
mod failure;
mod help;
mod interrupt;
mod lines;
mod manual;
mod metadata;
mod output;
mod perf;
mod produce;
mod progress;
mod reader;
mod report;
mod tally;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

/// Some records were not delivered, or what was to be printed is lost.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let (name, outcome) = match Cli::parse().command {
        Command::Produce(args) => ("produce", produce::run(&args)),
        Command::Perf(args) => ("perf", perf::run(&args)),
        Command::Metadata(args) => ("metadata", metadata::run(&args)),
        Command::Completions(args) => {
            manual::completions(&args);
            ("completions", Ok(true))
        }
        Command::Man(args) => {
            manual::page(&args);
            ("man", Ok(true))
        }
    };
    match outcome {
        Ok(true) if !output::is_lost() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(usage) => {
            // Not eprintln: a closed standard error must not panic.
            drop(writeln!(io::stderr(), "klamm: {usage}\nSee klamm {name} --help."));
            ExitCode::from(USAGE)
        }
    }
}
