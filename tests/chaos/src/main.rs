//! `klamm-chaos`: klamm against real Kafka while everything around it breaks. `cargo xtask chaos` starts it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::time::Duration;

use klamm_chaos::Result;
use klamm_chaos::nemesis::Pace;
use klamm_chaos::run::{self, Plan};
use klamm_load::args::Args;

const HELP: &str = "\
klamm-chaos [--minutes N | --seconds N] [--seed N] [--producers N] [--rate N] [--kill-every SECONDS] [--version V]
            [--keep true] [--idempotence false]

Three brokers of real Apache Kafka behind proxies; brokers are killed, paused, stopped and lose their leaderships while
connections are cut, stalled, swallowed and refused. Every record has an outcome, and Kafka's own consumer confirms it. Without
idempotence it must not: that shows that this finds what is wrong.
";

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let plan = Args::parse(std::env::args().skip(1)).and_then(plan);
    match plan.and_then(|plan| run::run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut args: Args) -> Result<Plan> {
    let seconds = match args.optional::<u64>("seconds")? {
        Some(seconds) => seconds,
        None => 60 * args.or("minutes", 15)?,
    };
    let any = RandomState::new().build_hasher().finish() % 1_000_000_000;
    let plan = Plan {
        pace: Pace {
            length: Duration::from_secs(seconds),
            kill_every: Duration::from_secs(args.or("kill-every", 30)?),
        },
        seed: args.or("seed", any)?,
        producers: args.or("producers", 4)?,
        rate: args.or("rate", 2_000)?,
        version: args.or("version", Plan::newest().to_owned())?,
        idempotence: args.or("idempotence", true)?,
        keep: args.or("keep", false)?,
    };
    args.finish()?;
    if seconds == 0 || plan.producers == 0 || plan.rate == 0 || plan.pace.kill_every.is_zero() {
        return Err("nothing is to happen: time, producers, rate and --kill-every must be above 0".into());
    }
    Ok(plan)
}
