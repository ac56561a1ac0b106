//! `cargo xtask fuzz`: libFuzzer on the targets of `tests/fuzz`, by cargo-fuzz, with the nightly compiler.
//!
//! Without AddressSanitizer: every crate of ours forbids unsafe code, so that a wrong access is a panic already, and executions
//! count more. Debug assertions and overflow checks are on (`fuzz/Cargo.toml`).

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use crate::Result;

const USAGE: &str = "cargo xtask fuzz [TARGET...] [--runs N | --minutes M] [--jobs N] [--save] | --replay";
/// Longer inputs are slower and find no more: every target reads its choices from the front.
const MAX_LEN: u32 = 400;
/// A whole world does a thousand times the work of a decoder at each choice: fewer of them, more often.
const MAX_LEN_OF_A_WORLD: u32 = 96;

struct Options {
    targets: Vec<String>,
    /// libFuzzer's own limit, as it takes it.
    limit: String,
    jobs: usize,
    save: bool,
}

/// What came of one target.
struct Row {
    target: String,
    executions: u64,
    edges: u64,
    seconds: f64,
    finding: Option<String>,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    if args == ["--replay"] {
        let status =
            Command::new("cargo").args(["test", "-p", "klamm-fuzz-targets"]).current_dir(crate::root()).status();
        let good = status.map_err(|error| format!("cannot run cargo: {error}"))?.success();
        return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let options = parse(args, &known_targets()?)?;
    let tool = cargo_fuzz()?;
    corpora(&["unpack".as_ref(), folder("kept").as_os_str()])?;
    for target in &options.targets {
        build(&tool, target)?;
    }
    let queue = Mutex::new(options.targets.iter());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let row = fuzz(target, &options);
                    rows.lock().into_iter().for_each(|mut rows| rows.push(fuzz_row(target, &row)));
                }
            });
        }
    });
    let rows = rows.into_inner().map_err(|_| "a fuzzer's thread died".to_owned())?;
    print!("{}", render(&rows));
    let clean = rows.iter().all(|row| row.finding.is_none());
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(args: &[String], known: &[String]) -> Result<Options> {
    let mut options = Options { targets: Vec::new(), limit: "-max_total_time=60".into(), jobs: 1, save: false };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut number = || -> Result<u64> {
            let value = rest.next().and_then(|value| value.parse().ok()).filter(|value| *value > 0);
            value.ok_or_else(|| format!("{arg} needs a number above 0\n{USAGE}"))
        };
        match arg.as_str() {
            "--runs" => options.limit = format!("-runs={}", number()?),
            "--minutes" => options.limit = format!("-max_total_time={}", number()? * 60),
            "--jobs" => options.jobs = usize::try_from(number()?).unwrap_or(1),
            "--save" => options.save = true,
            target if known.iter().any(|name| name == target) => options.targets.push(arg.clone()),
            other => return Err(format!("unknown `{other}`; targets are {}\n{USAGE}", known.join(", "))),
        }
    }
    if options.targets.is_empty() {
        options.targets = known.to_vec();
    }
    Ok(options)
}

/// The targets: one file each.
fn known_targets() -> Result<Vec<String>> {
    let dir = crate::root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let mut names: Vec<String> =
        files.flatten().filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Takes the kept corpora apart, or makes them: see the example.
fn corpora(args: &[&OsStr]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "-p", "klamm-fuzz-targets", "--example", "corpora", "--"]).args(args);
    run(&mut command)
}

fn folder(name: &str) -> PathBuf {
    crate::root().join("target/fuzz").join(name)
}

/// cargo-fuzz, installed into the project's own target folder if nobody has it.
fn cargo_fuzz() -> Result<PathBuf> {
    let own = crate::root().join("target/tools");
    let program = own.join("bin/cargo-fuzz");
    for candidate in [PathBuf::from("cargo-fuzz"), program.clone()] {
        let probe = Command::new(&candidate).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            return Ok(candidate);
        }
    }
    run(Command::new("cargo").args(["install", "cargo-fuzz", "--locked", "--root"]).arg(own))?;
    Ok(program)
}

fn build(tool: &Path, target: &str) -> Result<()> {
    // Called as cargo calls it, so that it need not be on the PATH.
    let mut command = Command::new(tool);
    // Looking at each comparison takes two thirds of the time; edges alone found what the corpora hold.
    command.args(["fuzz", "build", "--sanitizer", "none", "--no-trace-compares", "--fuzz-dir", "fuzz", target]);
    command.arg("--target-dir");
    run(command.arg(folder("")).env("RUSTUP_TOOLCHAIN", "nightly"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.current_dir(crate::root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}

/// Where cargo-fuzz puts a target's program: below the name of the machine it is for.
fn program(target: &str) -> Result<PathBuf> {
    let dirs = fs::read_dir(folder("")).map_err(|error| error.to_string())?;
    let mut programs = dirs.flatten().map(|dir| dir.path().join("release").join(target));
    programs.find(|program| program.is_file()).ok_or_else(|| format!("{target} was not built"))
}

/// Fuzzes one target. New inputs go to the target folder; `--save` takes the smallest set that reaches as much into `fuzz/corpus`.
fn fuzz(target: &str, options: &Options) -> Result<Row> {
    let (own, kept) = (folder("corpus").join(target), folder("kept").join(target));
    let artifacts = folder("artifacts").join(target);
    for dir in [&own, &kept, &artifacts] {
        fs::create_dir_all(dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    }
    let begin = Instant::now();
    let mut command = Command::new(program(target)?);
    command.args([&own, &kept]).args([&options.limit, "-print_final_stats=1", "-timeout=60"]);
    // Thousands of edges for each input: libFuzzer's own bookkeeping of how rare they are would take half of the time.
    command.args(["-entropic=0", "-reduce_inputs=0"]);
    let max_len = if target == "world" { MAX_LEN_OF_A_WORLD } else { MAX_LEN };
    command.arg(format!("-max_len={max_len}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {target}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let seconds = begin.elapsed().as_secs_f64();
    let row = read(target, &text, seconds, output.status.success());
    if options.save && row.finding.is_none() {
        save(target, &own, &kept)?;
    }
    Ok(row)
}

fn save(target: &str, own: &Path, kept: &Path) -> Result<()> {
    let merged = folder("merged").join(target);
    let _ = fs::remove_dir_all(&merged);
    fs::create_dir_all(&merged).map_err(|error| error.to_string())?;
    run(Command::new(program(target)?).arg("-merge=1").args([&merged, kept, own]).stderr(Stdio::null()))?;
    corpora(&["keep".as_ref(), target.as_ref(), merged.as_os_str()])
}

fn fuzz_row(target: &str, row: &Result<Row>) -> Row {
    match row {
        Ok(row) => Row { target: row.target.clone(), finding: row.finding.clone(), ..*row },
        Err(error) => {
            Row { target: target.into(), executions: 0, edges: 0, seconds: 0.0, finding: Some(error.clone()) }
        }
    }
}

/// Reads libFuzzer's own words.
fn read(target: &str, text: &str, seconds: f64, good: bool) -> Row {
    let after =
        |line: &str, key: &str| -> Option<u64> { line.split_once(key)?.1.split_whitespace().next()?.parse().ok() };
    let last = |key: &str| text.lines().filter_map(|line| after(line, key)).next_back().unwrap_or(0);
    let artifact = text.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1.trim().to_owned()));
    let panic = text.lines().skip_while(|line| !line.contains("panicked at")).take(2).collect::<Vec<_>>().join(" ");
    let finding = (!good).then(|| format!("{panic} {}", artifact.unwrap_or_default()));
    let executions = last("stat::number_of_executed_units:");
    Row { target: target.into(), executions, edges: last("cov:"), seconds, finding }
}

fn render(rows: &[Row]) -> String {
    let mut text = String::from("| target | executions | edges | executions/s | finding |\n|---|---:|---:|---:|---|\n");
    for row in rows {
        let rate = row.executions as f64 / row.seconds.max(0.001);
        let finding = row.finding.as_deref().unwrap_or("none");
        text += &format!("| {} | {} | {} | {rate:.0} | {finding} |\n", row.target, row.executions, row.edges);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_names_and_numbers() {
        let known = ["a".to_owned(), "b".to_owned()];
        let parse = |line: &str| parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), &known);
        assert!(parse("").is_ok_and(|options| options.targets == known && options.jobs == 1));
        let options = parse("b --runs 5 --jobs 2");
        assert!(
            options.is_ok_and(|options| options.targets == ["b"] && options.limit == "-runs=5" && options.jobs == 2)
        );
        assert!(parse("--minutes 2").is_ok_and(|options| options.limit == "-max_total_time=120"));
        for bad in ["c", "--runs", "--runs x", "--jobs 0"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fuzzers_words_become_a_row() {
        let text = "#8 NEW cov: 12 ft: 3\n#9 DONE cov: 15 ft: 3\nstat::number_of_executed_units: 900\n";
        let row = read("t", text, 2.0, true);
        assert_eq!((row.executions, row.edges, row.finding), (900, 15, None));
        let text = "thread panicked at a.rs:1:\nwhy\nTest unit written to x/crash-1\n";
        assert_eq!(read("t", text, 2.0, false).finding.as_deref(), Some("thread panicked at a.rs:1: why x/crash-1"));
    }
}
