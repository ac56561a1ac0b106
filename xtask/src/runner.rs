//! `cargo xtask test`: runs suites and counts.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use klamm_kafka_harness::Guard;

use crate::Result;
use crate::needs;
use crate::report::{Outcome, Row, TestOutput, render};
use crate::step::{Count, Step};
use crate::suites::{SUITES, Suite};

/// How many lines of a failed suite's log are shown.
const TAIL: usize = 60;

struct Options {
    is_ci: bool,
    verbose: bool,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--list") {
        for suite in SUITES {
            println!("{:<14} {}", suite.name, suite.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        is_ci: std::env::var("CI").is_ok_and(|value| value == "true" || value == "1"),
        verbose: args.iter().any(|arg| arg == "-v" || arg == "--verbose"),
    };
    let names: Vec<&String> = args.iter().filter(|arg| !["-v", "--verbose"].contains(&arg.as_str())).collect();
    for name in &names {
        if !SUITES.iter().any(|suite| suite.name == name.as_str()) {
            let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
            return Err(format!("there is no suite `{name}`; there are {}", known.join(", ")));
        }
    }
    let chosen = SUITES.iter().filter(|suite| names.is_empty() || names.iter().any(|name| *name == suite.name));
    let mut rows = Vec::new();
    for suite in chosen {
        rows.push(run_suite(suite, &options)?);
    }
    print!("{}", render(&rows));
    let is_good = rows.iter().all(|row| row.outcome.failed == 0);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn log_path(suite: &Suite) -> PathBuf {
    crate::root().join("target/xtask").join(format!("{}.log", suite.name))
}

fn run_suite(suite: &Suite, options: &Options) -> Result<Row> {
    let begin = Instant::now();
    let path = log_path(suite);
    let cannot = |error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(cannot)?;
    let mut log = File::create(&path).map_err(cannot)?;
    println!("{} ...", suite.name);
    let mut outcome = Outcome::default();
    for step in (suite.steps)() {
        outcome.add(run_step(&step, suite, begin + suite.limit, options, &mut log)?);
    }
    let time = begin.elapsed();
    if outcome.failed > 0 && !options.verbose {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            println!("{} | {line}", suite.name);
        }
        println!("{} | (all of it: {})", suite.name, path.display());
    }
    println!(
        "{}: {} passed, {} failed, {} skipped in {:.1} s",
        suite.name,
        outcome.passed,
        outcome.failed,
        outcome.skipped,
        time.as_secs_f64()
    );
    Ok(Row { suite: suite.name, outcome, time })
}

fn run_step(step: &Step, suite: &Suite, deadline: Instant, options: &Options, log: &mut File) -> Result<Outcome> {
    let _ = writeln!(log, "$ {}", step.label);
    for need in &step.needs {
        if let Err(why) = needs::ensure(*need) {
            let _ = writeln!(log, "skipped: {why}");
            return Ok(Outcome::skip(&step.label, why, options.is_ci));
        }
    }
    let mut output = TestOutput::default();
    let begin = Instant::now();
    let ended = execute(command(step, options)?, deadline, |line| {
        let _ = writeln!(log, "{line}");
        if options.verbose {
            println!("{} | {line}", suite.name);
        }
        if step.count == Count::TestResults {
            output.line(line);
        }
    })?;
    let _ = writeln!(log, "({} took {:.1} s)", step.label, begin.elapsed().as_secs_f64());
    let mut outcome = output.outcome;
    match ended {
        Ended::TimedOut => outcome.add(Outcome::failure(
            &step.label,
            format!("not finished within the suite's {} min", suite.limit.as_secs() / 60),
        )),
        // A failing test has been counted; otherwise something before the tests went wrong, a build for instance.
        Ended::Failed(status) if outcome.failed == 0 => outcome.add(Outcome::failure(&step.label, status)),
        Ended::Failed(_) => {}
        Ended::Succeeded if step.count == Count::Exit => outcome.passed += 1,
        Ended::Succeeded if outcome == Outcome::default() => {
            outcome.add(Outcome::failure(&step.label, format!("`{}` ran no test", step.label)));
        }
        Ended::Succeeded => {}
    }
    Ok(outcome)
}

fn command(step: &Step, options: &Options) -> Result<Command> {
    let mut args = step.args.clone();
    let mut program = step.program.clone();
    let mut env = step.env.clone();
    if let Some(target) = step.target {
        let toolchain = needs::toolchain(target)?;
        program = toolchain.cargo().into();
        args.extend(toolchain.args().iter().map(|arg| (*arg).to_owned()));
        env.extend(toolchain.env(target));
    }
    let mut command = Command::new(program);
    command.args(args).envs(env).current_dir(&step.dir);
    command.env("CARGO_TERM_COLOR", "never");
    if options.is_ci {
        // Nothing is built a second time, so there is no use in what that would need.
        command.env("CARGO_INCREMENTAL", "0");
    }
    Ok(command)
}

/// How a command ended.
pub(crate) enum Ended {
    Succeeded,
    /// What `ExitStatus` says.
    Failed(String),
    TimedOut,
}

/// Runs a command, handing over each line that it or its children write, until it ends or the time is up.
pub(crate) fn execute(mut command: Command, deadline: Instant, mut each: impl FnMut(&str)) -> Result<Ended> {
    let text = |error: std::io::Error| format!("cannot run {:?}: {error}", command.get_program().to_owned());
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = std::io::pipe().map_err(text)?;
    let errors = writer.try_clone().map_err(text)?;
    let program = command.get_program().to_string_lossy().into_owned();
    // A group of its own can be killed with all its children; the guard does that even if we die first.
    command.stdin(Stdio::null()).stdout(writer).stderr(errors).process_group(0);
    let mut guard = Guard::new(None).map_err(|error| error.to_string())?;
    let mut child = command.spawn().map_err(|error| format!("cannot run `{program}`: {error}"))?;
    guard.watch(child.id()).map_err(|error| error.to_string())?;
    // Our copies of the pipe's writing end live in the command.
    drop(command);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            // Ended, and quiet: whatever still holds the pipe is a daemon that it left behind.
            Err(RecvTimeoutError::Timeout) if matches!(child.try_wait(), Ok(Some(_))) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() > deadline {
            drop(guard);
            let _ = child.wait();
            return Ok(Ended::TimedOut);
        }
    }
    // The output may end before the process does; the limit holds for both.
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if Instant::now() > deadline {
            drop(guard);
            let _ = child.wait();
            return Ok(Ended::TimedOut);
        }
        thread::sleep(Duration::from_millis(20));
    };
    // Dropping the guard ends what the command left behind in its group.
    drop(guard);
    Ok(if status.success() { Ended::Succeeded } else { Ended::Failed(status.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_arrive_in_order() {
        let mut lines = Vec::new();
        let ended =
            execute(shell("echo a; echo b >&2; echo c; exit 3"), Instant::now() + Duration::from_secs(20), |line| {
                lines.push(line.to_owned());
            });
        assert!(matches!(ended, Ok(Ended::Failed(status)) if status.contains('3')));
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_hanging_command_is_killed_with_its_children() {
        let begin = Instant::now();
        let ended = execute(shell("sleep 60 & sleep 60"), begin + Duration::from_millis(300), |_| {});
        assert!(matches!(ended, Ok(Ended::TimedOut)));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_us() {
        let begin = Instant::now();
        let ended = execute(shell("sleep 60 & exit 0"), begin + Duration::from_secs(30), |_| {});
        assert!(matches!(ended, Ok(Ended::Succeeded)));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
