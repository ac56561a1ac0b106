//! `cargo xtask mutants --simulation [--seeds N] [--jobs N] [NAME or NUMBER...]`: does chance alone find what is wrong?
//!
//! A simulator that catches nothing proves nothing. Each fault that `tests/mutants/simulation.txt` lists is put into a copy of the tree, and
//! the swarm of random worlds is run until it fails. No test that knows the fault is asked.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::patch::{self, Mutant};
use super::{BUILD_LIMIT, Bench, observe};
use crate::Result;
use crate::runner::Ended;

/// Which mutants, and the promise that each breaks.
const LIST: &str = "tests/mutants/simulation.txt";
/// As many worlds as a fault may take to be found, if the command line does not say.
const SEEDS: u64 = 1500;
/// A swarm that is silent for this long has stopped. It tells its progress every ten seconds.
const SILENCE: Duration = Duration::from_secs(120);
/// One that tells the same progress so many times hangs in a world, which is a way to fail.
const STANDSTILL: u32 = 6;
/// What a swarm says before the arguments that repeat a failure.
const FAILED: &str = "FAILED --seed ";

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    promise: String,
}

/// What became of a mutant in the swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// In which world, counted from 1, and what was said of it.
    In(u64, String),
    Never,
    /// Nothing was shown.
    Error(String),
}

pub(super) fn main(args: &[&String], mutants: &[Mutant]) -> Result<ExitCode> {
    let Options { seeds, jobs, names } = options(args)?;
    let entries = list(&crate::root())?;
    let is_named = |entry: &Entry, name: &str| mutants.iter().any(|own| own.name == entry.name && own.is_named(name));
    if let Some(name) = names.iter().find(|name| !entries.iter().any(|entry| is_named(entry, name))) {
        return Err(format!("`{name}` is not in {LIST}"));
    }
    let bench = Bench::new()?;
    println!("{seeds} worlds without a mutant ...");
    match bench.swarm(seeds, jobs)? {
        Found::Never => {}
        found => return Err(format!("the swarm fails without a mutant: {found:?}")),
    }
    let mut rows = Vec::new();
    for entry in entries.iter().filter(|entry| names.is_empty() || names.iter().any(|name| is_named(entry, name))) {
        let mutant = mutants.iter().find(|mutant| mutant.name == entry.name);
        let mutant = mutant.ok_or_else(|| format!("{LIST} names {}, which does not exist", entry.name))?;
        let found = bench.hunt(mutant, seeds, jobs)?;
        println!("{}", row(entry, &found));
        rows.push((entry, found));
    }
    println!("\n| mutant | what it breaks | worlds | what was reported |\n|---|---|---:|---|");
    for (entry, found) in &rows {
        println!("{}", row(entry, found));
    }
    let caught = rows.iter().filter(|(_, found)| matches!(found, Found::In(..))).count();
    println!("\n{caught} of {} caught within {seeds} worlds", rows.len());
    Ok(if caught == rows.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    /// How many worlds.
    seeds: u64,
    /// Threads of the swarm; as many as there are cores, if it does not say.
    jobs: Option<u64>,
    names: Vec<&'a str>,
}

fn options<'a>(args: &[&'a String]) -> Result<Options<'a>> {
    let mut options = Options { seeds: SEEDS, jobs: None, names: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let number = args.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
            number.ok_or_else(|| format!("{arg} needs a number above 0"))
        };
        match arg.as_str() {
            "--simulation" => {}
            "--seeds" => options.seeds = number()?,
            "--jobs" => options.jobs = Some(number()?),
            name => options.names.push(name),
        }
    }
    Ok(options)
}

/// The list's lines: a name, and behind it what breaks. `#` begins a remark.
pub(super) fn list(root: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(root.join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(entry).collect()
}

fn entry(line: &str) -> Result<Entry> {
    let (name, promise) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let promise = promise.trim().to_owned();
    if promise.is_empty() {
        return Err(format!("{LIST}: `{line}` does not say what breaks"));
    }
    Ok(Entry { name: name.to_owned(), promise })
}

fn row(entry: &Entry, found: &Found) -> String {
    let (worlds, said) = match found {
        Found::In(world, said) => (world.to_string(), said.clone()),
        Found::Never => ("–".to_owned(), "SURVIVED".to_owned()),
        Found::Error(why) => ("–".to_owned(), format!("ERROR: {why}")),
    };
    format!("| `{}` | {} | {worlds} | {} |", entry.name, entry.promise, said.replace('|', "/"))
}

/// The seed of a failure, from the arguments that repeat it.
fn failed_seed(line: &str) -> Option<u64> {
    line.strip_prefix(FAILED)?.split_whitespace().next()?.parse().ok()
}

/// What was wrong, as much as fits a table.
fn shorten(message: &str) -> String {
    message.chars().take(140).collect::<String>().trim().to_owned()
}

impl Bench {
    /// Puts a fault into the copy, lets the swarm look for it, and takes it out again.
    fn hunt(&self, mutant: &Mutant, seeds: u64, jobs: Option<u64>) -> Result<Found> {
        if let Err(why) = patch::apply(&mutant.path, &self.tree, false) {
            return Ok(Found::Error(why));
        }
        let found = self.swarm(seeds, jobs);
        for file in &mutant.files {
            fs::copy(self.root.join(file), self.tree.join(file)).map_err(|error| format!("{file}: {error}"))?;
        }
        found
    }

    /// Builds the swarm and runs it over the worlds from 0 on, until one fails.
    fn swarm(&self, seeds: u64, jobs: Option<u64>) -> Result<Found> {
        let mut said = String::new();
        let mut build = self.release("build");
        build.args(["--bin", "klamm-swarm"]);
        if !matches!(observe(build, BUILD_LIMIT, &mut said)?.0, Ended::Succeeded) {
            let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error")).collect();
            return Ok(Found::Error(format!("does not build: {}", errors.join("; "))));
        }
        let mut command = Command::new(self.target.join("release/klamm-swarm"));
        command.args(["--fail-fast", "--seeds", &seeds.to_string()]);
        command.args(jobs.iter().flat_map(|jobs| ["--jobs".to_owned(), jobs.to_string()]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot run the swarm: {error}"))?;
        listen(&mut Running(child), seeds)
    }

    fn release(&self, command: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args([command, "--release", "-p", "klamm-simulation"]).current_dir(&self.tree);
        cargo.env("CARGO_TARGET_DIR", &self.target).env("CARGO_TERM_COLOR", "never");
        // Only what a fault touches is compiled again.
        cargo.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true");
        cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2");
        cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        cargo
    }
}

/// Waits for what a swarm has to say.
fn listen(child: &mut Running, seeds: u64) -> Result<Found> {
    let lines = child.lines();
    let mut failed = None;
    let mut stood = (String::new(), 0);
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                if let Some(seed) = failed {
                    return Ok(Found::In(seed + 1, shorten(&line)));
                }
                failed = failed_seed(&line);
                if let Some(done) = worlds_done(&line) {
                    stood = if stood.0 == done { (stood.0, stood.1 + 1) } else { (done.to_owned(), 0) };
                }
            }
            Err(RecvTimeoutError::Timeout) => return Ok(Found::In(seeds, "it hangs".to_owned())),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if stood.1 >= STANDSTILL {
            return Ok(Found::In(stood.0.parse().unwrap_or(seeds), "it hangs".to_owned()));
        }
    }
    let status = child.0.wait().map_err(|error| error.to_string())?;
    Ok(match failed {
        Some(seed) => Found::In(seed + 1, String::new()),
        None if status.success() => Found::Never,
        None => Found::In(seeds, format!("crashed: {status}")),
    })
}

/// How many worlds a line of progress tells of.
fn worlds_done(line: &str) -> Option<&str> {
    line.split_once(" s: ")?.1.split_once(" worlds, ").map(|(done, _)| done)
}

/// A swarm that does not outlive us.
struct Running(Child);

impl Running {
    /// What it says, on either stream.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        let (sender, lines) = mpsc::channel();
        let errors = sender.clone();
        if let Some(out) = self.0.stdout.take() {
            thread::spawn(move || pass_on(out, &sender));
        }
        if let Some(err) = self.0.stderr.take() {
            thread::spawn(move || pass_on(err, &errors));
        }
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pass_on(stream: impl std::io::Read, to: &mpsc::Sender<String>) {
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_breaks() {
        let entry = entry("p01-x   order: \"retries\" overtake").unwrap();
        assert_eq!((entry.name.as_str(), entry.promise.as_str()), ("p01-x", "order: \"retries\" overtake"));
        assert!(super::entry("p01-x").is_err());
    }

    #[test]
    fn failures_name_their_seed() {
        assert_eq!(failed_seed("FAILED --seed 17 --without a,b"), Some(17));
        assert_eq!(failed_seed("FAILED --seed 3"), Some(3));
        assert_eq!(failed_seed("first seed 0, 2 threads"), None);
    }

    #[test]
    fn progress_is_read() {
        assert_eq!(worlds_done("   10 s: 431 worlds, 0 failed"), Some("431"));
        assert_eq!(worlds_done("first seed 0, 2 threads"), None);
    }

    #[test]
    fn options_are_read() {
        let args = ["--simulation", "--seeds", "50", "p01"].map(str::to_owned);
        let expected = Options { seeds: 50, jobs: None, names: vec!["p01"] };
        assert_eq!(options(&args.iter().collect::<Vec<_>>()).unwrap(), expected);
        let args = ["--seeds".to_owned(), "x".to_owned()];
        assert!(options(&args.iter().collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn rows_are_markdown() {
        let entry = Entry { name: "p01-x".into(), promise: "order".into() };
        assert_eq!(row(&entry, &Found::In(3, "a | b".into())), "| `p01-x` | order | 3 | a / b |");
        assert_eq!(row(&entry, &Found::Never), "| `p01-x` | order | – | SURVIVED |");
    }
}
