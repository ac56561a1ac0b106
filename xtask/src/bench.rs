//! `cargo xtask bench`: instructions per record, counted by valgrind's callgrind.
//!
//! Counted, not timed: the result is the same on a busy machine, so that a gate on it means something. Each scenario runs
//! with two numbers of records; the difference leaves out start-up and tear-down.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::build::{bench_program, output_of};
use crate::limits::{Limits, Measured};
use crate::needs::{Need, ensure};

const FEW: u64 = 2_000;
const MANY: u64 = 22_000;
const KIND: &str = "instructions";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let [check, save] = crate::flags(args, ["--check", "--save"])?;
    ensure(Need::Valgrind)?;
    let mut limits = Limits::load()?;
    let program = bench_program()?;
    let scenarios = output_of(&program, &["list"])?;
    let scenarios: Vec<&str> = scenarios.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if scenarios.is_empty() {
        return Err("`klamm-bench list` names no scenario".into());
    }
    println!("| scenario | instructions per record | limit |");
    println!("|---|---:|---:|");
    let mut measured = Vec::new();
    for name in scenarios {
        let few = count_instructions(&program, name, FEW)?;
        let many = count_instructions(&program, name, MANY)?;
        let value = per_record(few, many);
        let limit = limits.get(KIND, name).map(|limit| limit.to_string());
        println!("| {name} | {value} | {} |", limit.as_deref().unwrap_or("none"));
        measured.push(Measured { name: name.into(), value });
    }
    if save {
        limits.save(KIND, &measured, |_| true)?;
    }
    let wrong = if check { limits.violations(KIND, &measured, |_| true) } else { Vec::new() };
    Ok(verdict(&wrong))
}

/// Prints what is wrong.
pub(crate) fn verdict(wrong: &[String]) -> ExitCode {
    for line in wrong {
        println!("LIMIT: {line}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Rounded to the nearest: the limits are whole numbers.
fn per_record(few: u64, many: u64) -> u64 {
    (many.saturating_sub(few) + (MANY - FEW) / 2) / (MANY - FEW)
}

fn count_instructions(program: &Path, scenario: &str, records: u64) -> Result<u64> {
    let dir = crate::root().join("target/xtask");
    fs::create_dir_all(&dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    let out = dir.join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        // Only what happens inside the program's function of this name.
        .arg("--toggle-collect=*klamm_bench*measured*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["run", scenario, &records.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("`klamm-bench run {scenario} {records}` failed under valgrind: {}\n{text}", output.status));
    }
    let text = fs::read_to_string(&out).map_err(|error| format!("cannot read {}: {error}", out.display()))?;
    let total = parse_total(&text).ok_or_else(|| format!("{} holds no total", out.display()))?;
    let _ = fs::remove_file(out);
    Ok(total)
}

/// The count of all instructions in callgrind's output: the first number of `summary:`, or else of `totals:`.
fn parse_total(text: &str) -> Option<u64> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    value("summary:").or_else(|| value("totals:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found() {
        assert_eq!(parse_total("events: Ir\nsummary: 123\n\nfn=(1)\n0 5\n\ntotals: 125\n"), Some(123));
        assert_eq!(parse_total("events: Ir\ntotals: 125 7\n"), Some(125));
        assert_eq!(parse_total("events: Ir\n"), None);
    }

    #[test]
    fn start_up_is_left_out() {
        assert_eq!(per_record(1_000_000 + FEW * 363, 1_000_000 + MANY * 363), 363);
    }
}
