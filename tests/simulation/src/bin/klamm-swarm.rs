//! Runs the swarm: see `docs/simulation.md`, or `--help`.

use klamm_simulation::swarm::{Case, Report, Run, Totals, attempt, shrink};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
klamm-swarm [--seeds N] [--seed FIRST] [--fresh] [--minutes M] [--jobs N] [--hashes] [--fail-fast]
klamm-swarm --seed S [--trace] [--shrink] [--without a,b] [--steps N] [--brokers N] [--topics N] [--partitions N] [--records N]

  --seeds N     how many worlds (1 with --seed, unbounded with --minutes, else 10 000)
  --seed S      the first one (0)
  --fresh       the first one is taken from the clock, and printed
  --minutes M   stop after this long
  --jobs N      threads (one per core)
  --trace       one world, with all that happened
  --shrink      make a failing world smaller (the first failure is made smaller anyway)
  --hashes      print the hash of each world's trace
  --fail-fast   stop at the first failure, and do not make it smaller
  --without …   leave out troubles; with the rest, parts of the world
";

/// Failures that are told in full; more are only counted.
const TOLD: usize = 20;
/// Lines of a failure's message that are shown in a list.
const MESSAGE_LINES: usize = 3;
/// And how long a line of them may be.
const LINE_CHARS: usize = 400;
const PROGRESS: Duration = Duration::from_secs(10);
/// A world that takes so long is named.
const LONG: Duration = Duration::from_secs(30);
/// Making a failure smaller may take this long.
const SHRINK: Duration = Duration::from_secs(120);

struct Options {
    case: Case,
    seeds: Option<u64>,
    minutes: Option<u64>,
    jobs: usize,
    trace: bool,
    shrink: bool,
    hashes: bool,
    fail_fast: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // Panics are caught, and told in order.
    std::panic::set_hook(Box::new(|_| {}));
    let passed = if options.trace {
        replay(&options.case)
    } else if options.shrink {
        make_smaller(&options.case)
    } else {
        swarm(&options)
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        case: Case::default(),
        seeds: None,
        minutes: None,
        jobs,
        trace: false,
        shrink: false,
        hashes: false,
        fail_fast: false,
    };
    let (mut fresh, mut named) = (false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{arg} {text}: {error}"));
        match arg.as_str() {
            "--trace" => options.trace = true,
            "--shrink" => options.shrink = true,
            "--hashes" => options.hashes = true,
            "--fail-fast" => options.fail_fast = true,
            "--fresh" => fresh = true,
            "--seeds" => options.seeds = Some(number(value()?)?),
            "--minutes" => options.minutes = Some(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--seed" => {
                options.case.seed = number(value()?)?;
                named = true;
            }
            other => {
                let name = other.strip_prefix("--").filter(|name| Case::NAMES.contains(name));
                let name = name.ok_or_else(|| format!("unknown argument `{other}`"))?;
                options.case.set(name, value()?)?;
            }
        }
    }
    if fresh {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        options.case.seed = since.as_secs() * 1_000_000;
    }
    if (options.trace || options.shrink) && (options.seeds.is_some() || options.minutes.is_some()) {
        return Err("--trace and --shrink are about one world: no --seeds, no --minutes".to_owned());
    }
    if options.trace && options.shrink {
        return Err("either --trace or --shrink".to_owned());
    }
    if options.seeds.is_none() && options.minutes.is_none() {
        options.seeds = Some(if named && !fresh { 1 } else { 10_000 });
    }
    if options.case.seed.checked_add(options.seeds.unwrap_or(0)).is_none() {
        return Err(format!("there are no {} seeds from {} on", options.seeds.unwrap_or(0), options.case.seed));
    }
    Ok(options)
}

/// One world, with everything that happened in it.
fn replay(case: &Case) -> bool {
    let mut run = Run::new(case);
    let result = catch_unwind(AssertUnwindSafe(|| run.go()));
    for line in run.world.trace() {
        println!("{line}");
    }
    println!("\ntroubles: {}", names(case));
    match result {
        Ok(()) => {
            println!("{:?}", run.report());
            true
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map_or("", String::as_str);
            println!("\nFAILED: {}", head(text, MESSAGE_LINES));
            println!("again: cargo xtask sim {} --trace", case.arguments());
            false
        }
    }
}

fn names(case: &Case) -> String {
    case.nemesis().troubles().iter().map(|trouble| trouble.name()).collect::<Vec<_>>().join(", ")
}

/// What a failure is about: its first words, without the numbers that differ from world to world.
fn kind_of(message: &str) -> String {
    let words = message.lines().next().unwrap_or("").chars().filter(|c| !c.is_ascii_digit());
    words.take(40).collect()
}

fn make_smaller(case: &Case) -> bool {
    let Err(message) = attempt(case) else {
        println!("{} does not fail", case.arguments());
        return true;
    };
    println!("{} fails: {}\nits troubles: {}", case.arguments(), head(&message, MESSAGE_LINES), names(case));
    let end = Instant::now() + SHRINK;
    let kind = kind_of(&message);
    let small =
        shrink(case, |case| Instant::now() < end && attempt(case).is_err_and(|message| kind_of(&message) == kind));
    let message = attempt(&small).err().unwrap_or_default();
    println!("smaller: cargo xtask sim {} --trace", small.arguments());
    println!("its troubles: {}\n{}", names(&small), head(&message, MESSAGE_LINES));
    println!("for tests/simulation/regressions.txt:\n{small}  # ");
    false
}

fn head(text: &str, lines: usize) -> String {
    let short = |line: &str| line.chars().take(LINE_CHARS).collect::<String>();
    text.lines().take(lines).map(short).collect::<Vec<_>>().join("\n")
}

/// What all threads share.
struct Shared {
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    running: Mutex<BTreeMap<u64, Instant>>,
    failures: Mutex<BTreeMap<u64, String>>,
    hashes: Mutex<BTreeMap<u64, u64>>,
}

fn swarm(options: &Options) -> bool {
    let first = options.case.seed;
    let last = options.seeds.map_or(u64::MAX, |seeds| first.saturating_add(seeds));
    let shared = Shared {
        next: AtomicU64::new(first),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        running: Mutex::default(),
        failures: Mutex::default(),
        hashes: Mutex::default(),
    };
    println!("first seed {first}, {} threads", options.jobs);
    let start = Instant::now();
    let (totals, slowest) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(|| work(options, &shared, last))).collect();
        watch(options, &shared, last.saturating_sub(first), start);
        let mut totals = Totals::default();
        let mut slowest = (Duration::ZERO, 0);
        for worker in workers {
            let (own, slow) = worker.join().unwrap_or_default();
            totals.merge(&own);
            slowest = slowest.max(slow);
        }
        (totals, slowest)
    });
    let elapsed = start.elapsed();
    for (seed, hash) in shared.hashes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{seed} {hash:016x}");
    }
    let failures = shared.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = shared.done.load(Ordering::Relaxed);
    println!("\n{:<28} {done:>14}", "seeds");
    println!("{:<28} {:>14}", "  failed", failures.len());
    let cores = options.jobs as u64;
    let per_core = done * 1000 / (elapsed.as_millis() as u64).max(1) / cores;
    println!("{:<28} {:>14}", "seconds", elapsed.as_secs());
    println!("{:<28} {per_core:>14}", "seeds per second and core");
    println!("{:<28} {:>14}", "slowest seed", format!("{} ({} ms)", slowest.1, slowest.0.as_millis()));
    println!("{totals}");
    tell(options, &failures)
}

/// Takes seeds until there are no more.
fn work(options: &Options, shared: &Shared, last: u64) -> (Totals, (Duration, u64)) {
    let mut totals = Totals::default();
    let mut slowest = (Duration::ZERO, 0);
    while !shared.stop.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= last {
            break;
        }
        let case = Case { seed, ..options.case.clone() };
        let start = Instant::now();
        shared.running.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, start);
        match attempt(&case) {
            Ok(report) => note(options, shared, &mut totals, &report),
            Err(message) => {
                eprintln!("seed {seed} fails: {}", head(&message, 1));
                let mut failures = shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.insert(seed, head(&message, MESSAGE_LINES));
                // Seeds that were begun are run to their end, so that the first failure told is the first there is.
                shared.stop.fetch_or(options.fail_fast, Ordering::Relaxed);
            }
        }
        shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&seed);
        slowest = slowest.max((start.elapsed(), seed));
        shared.done.fetch_add(1, Ordering::Relaxed);
    }
    (totals, slowest)
}

fn note(options: &Options, shared: &Shared, totals: &mut Totals, report: &Report) {
    totals.add(report);
    if options.hashes {
        shared.hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(report.seed, report.hash);
    }
}

/// Says how far it is, and when it is enough.
fn watch(options: &Options, shared: &Shared, count: u64, start: Instant) {
    let end = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let mut told = start;
    while shared.done.load(Ordering::Relaxed) < count && !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        if end.is_some_and(|end| start.elapsed() >= end) {
            shared.stop.store(true, Ordering::Relaxed);
            return;
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let failed = shared.failures.lock().unwrap_or_else(PoisonError::into_inner).len();
            let done = shared.done.load(Ordering::Relaxed);
            eprintln!("{:>5} s: {done} worlds, {failed} failed", start.elapsed().as_secs());
            let running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
            for (seed, since) in running.iter().filter(|(_, since)| since.elapsed() >= LONG) {
                eprintln!("         seed {seed} runs for {} s", since.elapsed().as_secs());
            }
        }
    }
}

/// The failures, and the first one made small. Whether there were none.
fn tell(options: &Options, failures: &BTreeMap<u64, String>) -> bool {
    for (seed, message) in failures.iter().take(TOLD) {
        let case = Case { seed: *seed, ..options.case.clone() };
        println!("\nFAILED {}\n{message}", case.arguments());
    }
    if failures.len() > TOLD {
        println!("\n… and {} more", failures.len() - TOLD);
    }
    if let Some(seed) = failures.keys().next().filter(|_| !options.fail_fast) {
        println!();
        make_smaller(&Case { seed: *seed, ..options.case.clone() });
    }
    failures.is_empty()
}
