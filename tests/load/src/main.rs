//! `klamm-load`: runs what this crate holds. The `cargo xtask` commands `bench --peer`, `stress` and `soak` start it.

use std::process::ExitCode;
use std::time::Duration;

use klamm_load::args::Args;
use klamm_load::child::{self, Server};
use klamm_load::sink::Sink;
use klamm_load::soak::{self, Brokers, Plan};
use klamm_load::stress::{self, Leaks, Report};
use klamm_load::workload::Workload;
use klamm_load::{Result, klamm_client, signals};

const HELP: &str = "\
klamm-load COMMAND [--OPTION VALUE …]

  sink [--partitions N]           a broker that only acknowledges; prints its address, ends with standard input
  run --bootstrap B --topic T --records N [--warm-up N] [--size N] [--batch-size N] [--linger MS] [--outcomes stats|each]
  run --bootstrap B --topic T --rate N [--seconds N] …
                                  one measured run of klamm: `name value` per line
  stress [--threads N] [--records N] [--producers N] [--rounds N]
                                  many threads, too little CPU, many producers, against a sink
  soak [--minutes N | --seconds N] [--rate N] [--cut-every SECONDS]
                                  a long run while connections break
  signals [--records N]           signals and child processes
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let result = match Args::parse(args) {
        Ok(args) => run(&command, args),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, mut args: Args) -> Result<()> {
    match command {
        "sink" => {
            let sink = Sink::start(args.or("partitions", 6)?)?;
            args.finish()?;
            child::serve(&sink.bootstrap_servers(), |_| sink.acknowledged().to_string())
        }
        "soak-brokers" => {
            args.finish()?;
            let mut brokers = Brokers::start()?;
            child::serve(&brokers.bootstrap_servers(), |line| brokers.command(line))
        }
        "run" => {
            let workload = Workload::from_args(&mut args)?;
            let outcomes: String = args.or("outcomes", "stats".to_owned())?;
            args.finish()?;
            klamm_client::run(&workload, outcomes == "each")
        }
        "stress" => run_stress(args),
        "soak" => run_soak(args),
        "signals" => {
            let records = args.or("records", 200_000)?;
            args.finish()?;
            run_signals(records)
        }
        _ => {
            print!("{HELP}");
            Ok(())
        }
    }
}

fn run_stress(mut args: Args) -> Result<()> {
    let (threads, each) = (args.or("threads", 8)?, args.or("records", 1_000_000)?);
    let (producers, rounds) = (args.or("producers", 100)?, args.or("rounds", 1_000)?);
    args.finish()?;
    let sink = Server::start("sink", &["--partitions", "6"])?;
    let bootstrap = sink.bootstrap.as_str();
    let one = shown("one thread", stress::threads(bootstrap, "one", 1, each * threads)?);
    let many = shown(&format!("{threads} threads"), stress::threads(bootstrap, "many", threads, each)?);
    println!("{threads} threads send {:.2} times as fast as one", many / one);
    shown("starved I/O thread", stress::starved(bootstrap, "starved", each)?);
    let per_producer = (each / producers.max(1)).max(1);
    shown(&format!("{producers} producers"), stress::producers(bootstrap, "p", producers, per_producer)?);
    let Leaks { threads, descriptors, memory_kib } = stress::cycles(bootstrap, "cycles", rounds)?;
    println!(
        "{rounds} producers one after the other leave {threads} threads, {descriptors} descriptors, {memory_kib} KiB"
    );
    if threads > 0 || descriptors > 0 || memory_kib > 8 << 10 {
        return Err("producers leave something behind".into());
    }
    Ok(())
}

fn shown(what: &str, report: Report) -> f64 {
    let (records, seconds, rate) = (report.records, report.elapsed.as_secs_f64(), report.rate());
    let cpu = report.cpu.as_nanos() as f64 / records.max(1) as f64;
    println!(
        "{what:<20} {records:>9} records, each with one outcome, in {seconds:>6.2} s: {rate:>9.0} records/s, {cpu:>5.0} ns CPU each"
    );
    rate
}

fn run_soak(mut args: Args) -> Result<()> {
    let seconds = match args.optional::<u64>("seconds")? {
        Some(seconds) => seconds,
        None => 60 * args.or("minutes", 30)?,
    };
    let plan = Plan {
        length: Duration::from_secs(seconds),
        rate: args.or("rate", 20_000)?,
        cut_every: Duration::from_secs_f64(args.or("cut-every", 5.0)?),
    };
    args.finish()?;
    soak::run(&plan)
}

fn run_signals(records: u64) -> Result<()> {
    let sink = Server::start("sink", &[])?;
    let hits = signals::storm(&sink.bootstrap, records)?;
    println!("{records} records delivered under {hits} signals to the I/O thread");
    let broken = signals::broken_pipes(40)?;
    println!("{broken} broken connections, no SIGPIPE");
    signals::children(&sink.bootstrap)?;
    println!("no descriptor is inherited by a child");
    Ok(())
}
