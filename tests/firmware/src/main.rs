//! The firmware of `examples/firmware` in QEMU, against simulated and real Kafka. `cargo xtask firmware` builds the image and calls this.

mod check;
mod cluster;
mod measure;
mod parts;
mod qemu;
mod scenarios;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::check::check;
use crate::cluster::{Cluster, Real, Simulated};
use crate::qemu::Qemu;
use crate::scenarios::{BYTES, Outcome, SCENARIOS, Scenario};

/// What every command returns; the text is shown to the user as it is.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
klamm-firmware COMMAND --image FILE

  run [--bootstrap-server HOST:PORT[,…]] [--topic T] [--records N] [--partitions N] [--idle MS]
      boots the image and publishes readings; without a server to a simulated cluster, whose log is compared then
  test [--simulated | --real] [SCENARIO…]
      the scenarios, against a simulated cluster and real Kafka, or one of them
  measure [--static]
      flash, RAM, stack, and instructions per reading, as `kind/name value` lines; --static: what can be told without a run
";
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
    bootstrap: Option<String>,
    topic: Option<String>,
    records: Option<u32>,
    partitions: Option<u32>,
    idle_ms: Option<u32>,
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
                "--bootstrap-server" => options.bootstrap = Some(value()?),
                "--topic" => options.topic = Some(value()?),
                "--records" => options.records = Some(number(value()?)?),
                "--partitions" => options.partitions = Some(number(value()?)?),
                "--idle" => options.idle_ms = Some(number(value()?)?),
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

fn command(mut args: impl Iterator<Item = String>) -> Result<ExitCode> {
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
    println!("Booting a Cortex-M3 with 64 KiB of RAM; it publishes {records} readings …");
    let begin = Instant::now();
    let report = Qemu::start(options.image()?, &words, &[], LIMIT)?.finish(|line| println!("  {line}"))?;
    report.require_success()?;
    println!("All {records} readings are stored, after {:.1} s.", begin.elapsed().as_secs_f64());
    if let Some(cluster) = cluster {
        let verdict = check(&cluster.read(topic)?, records, BYTES).require()?;
        println!("Read back: {verdict}.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs scenarios and ends with a table.
fn test(options: &Options) -> Result<ExitCode> {
    let image = options.image()?;
    for name in &options.names {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            return Err(format!("there is no scenario `{name}`; there are {}", known.join(", ")));
        }
    }
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| options.names.is_empty() || options.names.iter().any(|name| name == scenario.name))
        .collect();
    let mut failed = 0;
    if !options.real {
        println!("Simulated cluster over loopback:");
        failed += run_all(&chosen, |scenario| simulated(scenario, image));
    }
    let chosen: Vec<&Scenario> = chosen.into_iter().filter(|scenario| scenario.real).collect();
    if !options.simulated && !chosen.is_empty() {
        let kafka = Real::start(3)?;
        println!("Apache Kafka {}, three brokers, read back by its own consumer:", kafka.version());
        failed += run_all(&chosen, |scenario| scenarios::run(scenario, image, &kafka));
    }
    println!("{failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs scenarios, tells how each went, and how many failed.
fn run_all(scenarios: &[&Scenario], run: impl Fn(&Scenario) -> Result<Outcome>) -> u32 {
    let mut failed = 0;
    for scenario in scenarios {
        let begin = Instant::now();
        let outcome = run(scenario);
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(Outcome { verdict, report }) => {
                println!("ok     {:<15} {seconds:>5.1} s  {verdict}", scenario.name);
                for line in &report.lines {
                    println!("         {line}");
                }
            }
            Err(why) => {
                failed += 1;
                println!("FAILED {:<15} {seconds:>5.1} s  ({})\n    {why}", scenario.name, scenario.about);
            }
        }
    }
    failed
}

fn simulated(scenario: &Scenario, image: &Path) -> Result<Outcome> {
    scenarios::run(scenario, image, &Simulated::start(scenario.brokers)?)
}
