//! What klamm's core costs. Run by `cargo xtask bench` and `cargo xtask size`:
//!
//! * `klamm-bench list` names the scenarios;
//! * `klamm-bench run NAME N` runs one with N records or iterations; what counts happens inside [`measured`], so that a
//!   profiler can be told to count there only;
//! * `klamm-bench sizes` prints sizes of the core's tables, `name bytes` per line.

mod scenario;
mod sizes;
mod world;

use std::process::ExitCode;

/// Runs the part of a scenario that counts. Callgrind collects inside this function (see `cargo xtask bench`).
#[inline(never)]
pub(crate) fn measured<T>(part: impl FnOnce() -> T) -> T {
    part()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["list"] => scenario::SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name)),
        ["sizes"] => sizes::print(),
        ["run", name, count] => {
            let scenario = scenario::SCENARIOS.iter().find(|scenario| scenario.name == name);
            let (Some(scenario), Ok(count)) = (scenario, count.parse()) else {
                eprintln!("no scenario `{name}`, or `{count}` is not a number");
                return ExitCode::FAILURE;
            };
            (scenario.run)(count);
        }
        _ => {
            eprintln!("usage: klamm-bench list | run NAME N | sizes");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
