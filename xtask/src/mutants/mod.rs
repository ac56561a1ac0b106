//! `cargo xtask mutants`: takes guards out of the code, one at a time, and sees whether their tests notice.
//!
//! A mutant is a patch in `tests/mutants` that takes out one guard, with a header that names the tests that stand for it. It is applied
//! to a copy of the tree, so that the tree itself is never touched. A mutant is caught if the tests build and each of them fails;
//! `docs/pitfalls.md` says what each guard is for.

mod check;
mod copy;
mod patch;
mod simulation;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::TestOutput;
use crate::runner::{Ended, execute};
use patch::{Mutant, TestName};

/// A mutant's test that runs longer hangs, which is a way to fail.
const TEST_LIMIT: Duration = Duration::from_secs(120);
/// The first build takes everything along.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// What a mutant's test came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Caught(&'static str),
    Survived,
    /// The patch or the test is wrong: nothing was shown.
    Error(String),
}

struct Row {
    mutant: String,
    test: String,
    verdict: Verdict,
    time: Duration,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let mutants = patch::load(&folder())?;
    if args.iter().any(|arg| arg == "--check") {
        let count = check::check(&crate::root(), &mutants)?;
        println!("{} mutants apply, {count} tests named in docs/pitfalls.md exist", mutants.len());
        return Ok(ExitCode::SUCCESS);
    }
    if args.iter().any(|arg| arg == "--simulation") {
        return simulation::main(&args.iter().collect::<Vec<_>>(), &mutants);
    }
    let is_list = args.iter().any(|arg| arg == "--list");
    let names: Vec<&String> = args.iter().filter(|arg| *arg != "--list").collect();
    if let Some(name) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.is_named(name))) {
        return Err(format!("there is no mutant `{name}`; --list shows them"));
    }
    let chosen: Vec<Mutant> = mutants
        .into_iter()
        .filter(|mutant| is_list || !mutant.tests.is_empty())
        .filter(|mutant| names.is_empty() || names.iter().any(|name| mutant.is_named(name)))
        .collect();
    if is_list {
        for mutant in &chosen {
            println!("{:<36} {}", mutant.name, mutant.guards);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench::new()?;
    bench.tests_pass_without_mutants(&chosen)?;
    let mut rows = Vec::new();
    for mutant in &chosen {
        for row in bench.run(mutant)? {
            println!("{}", line(&row));
            rows.push(row);
        }
    }
    Ok(summary(&rows))
}

fn folder() -> PathBuf {
    crate::root().join("tests/mutants")
}

fn line(row: &Row) -> String {
    let Row { mutant, test, verdict, time } = row;
    let seconds = time.as_secs_f64();
    let word = match verdict {
        Verdict::Caught(how) => format!("{how} in {seconds:.1} s"),
        Verdict::Survived => "SURVIVED".to_owned(),
        Verdict::Error(why) => format!("ERROR: {why}"),
    };
    format!("| `{mutant}` | `{test}` | {word} |")
}

fn summary(rows: &[Row]) -> ExitCode {
    println!("\n| mutant | test | caught |\n|---|---|---|");
    for row in rows {
        println!("{}", line(row));
    }
    let bad = rows.iter().filter(|row| !matches!(row.verdict, Verdict::Caught(_))).count();
    println!("\n{} tests of mutants, {bad} that did not catch theirs", rows.len());
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The copy of the tree, and where it is built.
struct Bench {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let root = crate::root();
        let dir = root.join("target/mutants");
        let bench = Self { tree: dir.join("tree"), target: dir.join("target"), root };
        copy::mirror(&bench.root, &bench.tree)?;
        Ok(bench)
    }

    /// Without this a test that fails anyway would seem to catch everything.
    fn tests_pass_without_mutants(&self, mutants: &[Mutant]) -> Result<()> {
        let mut all: Vec<&TestName> = mutants.iter().flat_map(|mutant| &mutant.tests).collect();
        all.sort_unstable();
        all.dedup();
        println!("{} tests without mutants ...", all.len());
        for group in all.chunk_by(|a, b| a.cargo_args() == b.cargo_args()) {
            let filters: Vec<&str> = group.iter().map(|test| test.filter.as_str()).collect();
            let mut command = self.cargo(&group[0].cargo_args());
            command.args(["--", "--exact"]).args(&filters);
            let mut said = String::new();
            let (ended, output) = observe(command, BUILD_LIMIT, &mut said)?;
            let found = usize::try_from(output.outcome.passed).unwrap_or(0);
            if !matches!(ended, Ended::Succeeded) || found != filters.len() {
                return Err(format!(
                    "without a mutant, {found} of {} tests pass in {}: {}\n{said}",
                    filters.len(),
                    group[0].package,
                    filters.join(" ")
                ));
            }
        }
        Ok(())
    }

    fn run(&self, mutant: &Mutant) -> Result<Vec<Row>> {
        let row = |test: &TestName, verdict, time| Row {
            mutant: mutant.name.clone(),
            test: test.filter.clone(),
            verdict,
            time,
        };
        let applied = patch::apply(&mutant.path, &self.tree, false);
        let rows = mutant.tests.iter().map(|test| match &applied {
            Err(why) => Ok(row(test, Verdict::Error(why.clone()), Duration::ZERO)),
            Ok(()) => {
                let begin = Instant::now();
                let verdict = self.judge(test)?;
                Ok(row(test, verdict, begin.elapsed()))
            }
        });
        let rows = rows.collect::<Result<Vec<Row>>>();
        for file in &mutant.files {
            fs::copy(self.root.join(file), self.tree.join(file)).map_err(|error| format!("{file}: {error}"))?;
        }
        rows
    }

    fn judge(&self, test: &TestName) -> Result<Verdict> {
        let mut said = String::new();
        let mut build = self.cargo(&test.cargo_args());
        build.arg("--no-run");
        if !matches!(observe(build, BUILD_LIMIT, &mut said)?.0, Ended::Succeeded) {
            let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error")).collect();
            return Ok(Verdict::Error(format!("does not build: {}", errors.join("; "))));
        }
        let mut run = self.cargo(&test.cargo_args());
        run.args(["--", "--exact", &test.filter]);
        let (ended, output) = observe(run, TEST_LIMIT, &mut said)?;
        Ok(match ended {
            Ended::TimedOut => Verdict::Caught("hung, stopped"),
            Ended::Failed(_) if output.outcome.failed > 0 => Verdict::Caught("caught"),
            Ended::Failed(_) => Verdict::Caught("crashed"),
            Ended::Succeeded if output.outcome.passed > 0 => Verdict::Survived,
            Ended::Succeeded => Verdict::Error(format!("no test is named {}", test.filter)),
        })
    }

    fn cargo(&self, args: &[String]) -> Command {
        let mut command = Command::new("cargo");
        command.arg("test").args(args).current_dir(&self.tree);
        command.env("CARGO_TARGET_DIR", &self.target).env("CARGO_INCREMENTAL", "1").env("CARGO_TERM_COLOR", "never");
        // Nobody debugs a mutant, and linking is half of the time.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUST_BACKTRACE", "0");
        command
    }
}

/// Runs a command of cargo's; collects what it says.
fn observe(command: Command, limit: Duration, said: &mut String) -> Result<(Ended, TestOutput)> {
    let mut output = TestOutput::default();
    let ended = execute(command, Instant::now() + limit, |line| {
        output.line(line);
        said.push_str(line);
        said.push('\n');
    })?;
    Ok((ended, output))
}

/// All `.rs` files below a folder, without what is built.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for path in copy::entries(dir)? {
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
