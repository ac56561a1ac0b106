//! The firmware of `examples/firmware` in QEMU, against simulated and real Kafka. `cargo xtask firmware` builds the image and calls this.

mod check;
mod cluster;
mod measure;
mod names;
mod parts;
mod qemu;
mod scenarios;
mod variants;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::check::check;
use crate::cluster::{Cluster, Real, Simulated};
use crate::qemu::Qemu;
use crate::scenarios::{BYTES, Outcome, Scenario};
use crate::variants::Variant;

/// What every command returns; the text is shown to the user as it is.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
klamm-firmware COMMAND --image FILE [--variant polled|embassy]

  run [--bootstrap-server HOST:PORT[,…]] [--topic T] [--records N] [--partitions N] [--idle MS] [--decoder PROGRAM]
      boots the image and publishes readings; without a server to a simulated cluster, whose log is compared then
  test [--simulated | --real] [SCENARIO…]
      the scenarios, against a simulated cluster and real Kafka, or one of them
  measure [--static]
      flash, RAM, stack, and instructions per reading, as `kind/name value` lines; --static: what can be told without a run
";
/// Boards that run at a time where each has a cluster of its own: 13 s of computing are in 98 s of all of them, the rest is waiting
/// for the board's real time to pass. The longest is not among the last.
const AT_A_TIME: usize = 3;
/// Longest time of a run.
const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let result = command(std::env::args().skip(1));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// What the user said.
#[derive(Debug, Default)]
pub(crate) struct Options {
    image: Option<PathBuf>,
    /// Which firmware the image is.
    variant: Variant,
    bootstrap: Option<String>,
    topic: Option<String>,
    records: Option<u32>,
    partitions: Option<u32>,
    idle_ms: Option<u32>,
    /// What makes text of the image's output.
    decoder: Option<PathBuf>,
    /// Only one kind of cluster.
    simulated: bool,
    real: bool,
    /// Without a run.
    still: bool,
    names: Vec<String>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("`{text}` is not a number"));
            match arg.as_str() {
                "--image" => options.image = Some(value()?.into()),
                "--variant" => {
                    let name = value()?;
                    options.variant = Variant::named(&name).ok_or_else(|| format!("there is no variant `{name}`"))?;
                }
                "--bootstrap-server" => options.bootstrap = Some(value()?),
                "--topic" => options.topic = Some(value()?),
                "--records" => options.records = Some(number(value()?)?),
                "--partitions" => options.partitions = Some(number(value()?)?),
                "--idle" => options.idle_ms = Some(number(value()?)?),
                "--decoder" => options.decoder = Some(value()?.into()),
                "--simulated" => options.simulated = true,
                "--static" => options.still = true,
                "--real" => options.real = true,
                name if !name.starts_with('-') => options.names.push(arg),
                _ => return Err(format!("unknown argument `{arg}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }

    fn image(&self) -> Result<&Path> {
        self.image.as_deref().ok_or_else(|| format!("--image is missing\n\n{HELP}"))
    }
}

fn command(args: impl Iterator<Item = String>) -> Result<ExitCode> {
    let args: Vec<String> = args.collect();
    if args.iter().any(|arg| arg == "--help") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut args = args.into_iter();
    let command = args.next().unwrap_or_default();
    let options = Options::parse(args)?;
    match command.as_str() {
        "run" => run(&options),
        "test" => test(&options),
        "measure" => measure::main(options.image()?, !options.still),
        _ => {
            print!("{HELP}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Publishes readings to the user's Kafka, or to a simulated cluster.
fn run(options: &Options) -> Result<ExitCode> {
    if let Some(stray) = options.names.first() {
        return Err(format!("`run` has no argument `{stray}`; scenarios are for `test`"));
    }
    if options.partitions == Some(0) {
        return Err("`--partitions` is 1 at least".into());
    }
    let image = options.image()?;
    let topic = options.topic.as_deref().unwrap_or("readings");
    let records = options.records.unwrap_or(10_000);
    let mut words = vec![format!("topic={topic}"), format!("records={records}"), format!("bytes={BYTES}")];
    let mut partitions = options.partitions;
    let cluster = match &options.bootstrap {
        Some(server) => {
            words.push(format!("bootstrap={server}"));
            None
        }
        None => {
            let cluster = Simulated::start(3)?;
            let count = *partitions.get_or_insert(4);
            cluster.create_topic(topic, count)?;
            println!("Started a simulated cluster: 3 brokers, topic \"{topic}\" with {count} partitions.");
            words.push(format!("bootstrap={}", cluster.bootstrap()?));
            Some(cluster)
        }
    };
    words.extend(partitions.map(|count| format!("partitions={count}")));
    words.extend(options.idle_ms.map(|ms| format!("idle={ms}")));
    if let Some(word) = words.iter().find(|word| word.contains(char::is_whitespace)) {
        return Err(format!("`{word}`: spaces separate the board's settings, so there can be none in them"));
    }
    println!("Booting a Cortex-M3 with 64 KiB of RAM; it publishes {records} readings …");
    let begin = Instant::now();
    let board = Qemu::start_decoded(image, &words, &[], LIMIT, options.decoder.as_deref())?;
    let report = board.finish(|line| println!("  {line}"))?;
    report.ended()?;
    if options.decoder.is_some() && !report.lines.iter().any(|line| line.contains(&format!("delivered: {records},"))) {
        return Err("the board's statistics are not among its decoded lines".into());
    }
    println!("All {records} readings are stored, after {:.1} s.", begin.elapsed().as_secs_f64());
    if let Some(cluster) = cluster {
        let verdict = check(&cluster.read(topic)?, records, BYTES, options.variant.senders()).require()?;
        println!("Read back: {verdict}.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs scenarios and ends with a table.
fn test(options: &Options) -> Result<ExitCode> {
    let image = options.image()?;
    let all = options.variant.scenarios();
    for name in &options.names {
        if !all.iter().any(|scenario| scenario.name == name) {
            let known: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
            return Err(format!("there is no scenario `{name}`; there are {}", known.join(", ")));
        }
    }
    let chosen: Vec<&Scenario> = all
        .iter()
        .filter(|scenario| options.names.is_empty() || options.names.iter().any(|name| name == scenario.name))
        .collect();
    let mut failed = 0;
    if !options.real {
        println!("Simulated cluster over loopback:");
        failed += run_all(&chosen, AT_A_TIME, |scenario| simulated(scenario, image));
    }
    let as_on_kafka = |scenario: &Scenario| scenario.real.map(|records| Scenario { records, ..*scenario });
    let chosen: Vec<Scenario> = chosen.into_iter().filter_map(as_on_kafka).collect();
    if !options.simulated && !chosen.is_empty() {
        let kafka = Real::start(3)?;
        println!("Apache Kafka {}, three brokers, read back by its own consumer:", kafka.version());
        let on_kafka = |scenario: &Scenario| scenarios::run(scenario, image, &kafka);
        // One after the other where brokers die: they are everybody's.
        let (deadly, harmless): (Vec<_>, Vec<_>) = chosen.iter().partition(|scenario| scenario.trouble.kills_brokers());
        failed += run_all(&harmless, AT_A_TIME, on_kafka) + run_all(&deadly, 1, on_kafka);
    }
    println!("{failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs scenarios, so many at a time, tells how each went, and how many failed.
fn run_all(scenarios: &[&Scenario], at_a_time: usize, run: impl Fn(&Scenario) -> Result<Outcome> + Sync) -> u32 {
    let (left, failed) = (Mutex::new(scenarios.iter()), AtomicU32::new(0));
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some(scenario) = next() {
            let begin = Instant::now();
            let outcome = run(scenario);
            failed.fetch_add(u32::from(outcome.is_err()), Ordering::Relaxed);
            // In one piece, whoever else prints.
            print!("{}", told(scenario, begin.elapsed(), outcome));
        }
    };
    thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(work))));
    // One that ended by a panic was not counted, and the scope panics with it.
    failed.into_inner()
}

fn told(scenario: &Scenario, took: Duration, outcome: Result<Outcome>) -> String {
    let (name, seconds) = (scenario.name, took.as_secs_f64());
    match outcome {
        Ok(Outcome { verdict, report }) => {
            let lines: String = report.lines.iter().map(|line| format!("         {line}\n")).collect();
            format!("ok     {name:<15} {seconds:>5.1} s  {verdict}\n{lines}")
        }
        Err(why) => format!("FAILED {name:<15} {seconds:>5.1} s  ({})\n    {why}\n", scenario.about),
    }
}

fn simulated(scenario: &Scenario, image: &Path) -> Result<Outcome> {
    scenarios::run(scenario, image, &Simulated::start(scenario.brokers)?)
}
