//! A whole run: cluster, proxies, producers, troubles, and the judgement.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use klamm_kafka_harness::{Kafka, TESTED_VERSIONS};

use crate::chance::Chance;
use crate::journal::Journal;
use crate::monitor::{self, Seen, total};
use crate::nemesis::{Deeds, Handle, Nemesis, OVERTIME, Pace};
use crate::proxy::Proxy;
use crate::sender::Sender;
use crate::verify::{Judge, NULL, Verdict};
use crate::weather::{self, Weather};
use crate::{BROKERS, PARTITIONS, Result, TOPIC, evidence};

/// The listener that clients use, through the proxies.
const LISTENER: &str = "CLIENTS";
/// How long records go on being sent after the last trouble: everything must work again.
const CALM: Duration = Duration::from_secs(5);
/// How long replicas may take to catch up, and Kafka's consumer to read everything.
const END_LIMIT: Duration = Duration::from_secs(600);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long there is trouble, and how often a broker is killed.
    pub pace: Pace,
    /// Where all chance comes from.
    pub seed: u64,
    /// How many producers.
    pub producers: usize,
    /// Records per second, of all producers together.
    pub rate: u64,
    /// Which Kafka.
    pub version: String,
    /// The producers' `enable.idempotence`; without it this must find doubled records.
    pub idempotence: bool,
    /// Keep the journal, the brokers' logs and their data, even if all is well.
    pub keep: bool,
}

impl Plan {
    /// The newest Kafka that klamm is tested against.
    #[must_use]
    pub fn newest() -> &'static str {
        TESTED_VERSIONS[TESTED_VERSIONS.len() - 1]
    }
}

/// Sets a flag when it goes out of scope, so that no thread is waited for in vain.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs it, and prints what came of it. What failed leaves its traces in `target/chaos`.
///
/// # Errors
/// A record is lost, doubled, reordered or not where it was told to be, memory grew, or the run could not be done.
pub fn run(plan: &Plan) -> Result<()> {
    let dir = evidence::folder(plan.seed)?;
    let (seed, kept) = (plan.seed, dir.display().to_string());
    println!("seed {seed}: {plan:?}");
    let outcome = in_folder(plan, &dir);
    if outcome.is_ok() && !plan.keep {
        fs::remove_dir_all(&dir)?;
    } else {
        println!("seed {seed}; logs are kept in {kept}");
    }
    outcome
}

fn in_folder(plan: &Plan, dir: &Path) -> Result<()> {
    let journal = Journal::create(&dir.join("journal.log"))?;
    journal.listen();
    let proxies = BROKERS.iter().map(|_| Proxy::start()).collect::<Result<Vec<_>>>()?;
    let kafka = start(plan, &proxies, dir)?;
    let ledgers = (plan.rate as f64 / plan.producers as f64) * (plan.pace.length + 2 * OVERTIME).as_secs_f64();
    let bootstrap: Vec<String> = proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
    let bootstrap = bootstrap.join(",");
    let senders = (0..plan.producers)
        .map(|id| Sender::new(id, &bootstrap, plan.idempotence, ledgers as usize))
        .collect::<Result<Vec<_>>>()?;
    let outcome = trouble(plan, &kafka, &proxies, &senders, &journal).and_then(|lived| {
        let verdict = judge(&kafka, &senders, &lived.used)?;
        report(plan, &senders, &lived, &verdict);
        if !verdict.wrong.is_empty() {
            fs::write(dir.join("contradictions.txt"), verdict.examples.join("\n"))?;
            evidence::save(kafka.dir(), dir, &verdict.partitions)?;
            return Err(verdict.examples.iter().take(10).cloned().collect::<Vec<_>>().join("\n").into());
        }
        sane(plan, &lived, &verdict)
    });
    if plan.keep {
        evidence::save(kafka.dir(), dir, &Vec::from_iter(0..PARTITIONS))?;
    } else if outcome.is_err() {
        // Whatever went wrong: the brokers' words are wanted.
        evidence::save(kafka.dir(), dir, &[])?;
    }
    outcome
}

fn start(plan: &Plan, proxies: &[Proxy], dir: &Path) -> Result<Kafka> {
    let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
    let kafka = Kafka::builder()
        .version(&plan.version)
        .brokers(BROKERS.len() as i32)
        .combined()
        .listener(LISTENER, "PLAINTEXT")
        .advertised(LISTENER, &ports)
        // Longer than the harness's own: a busy machine must not look like a dead broker all the time.
        .config("broker.session.timeout.ms", "3000")
        .config("broker.heartbeat.interval.ms", "500")
        .dir(dir.join("kafka"))
        .start()?;
    for (proxy, broker) in proxies.iter().zip(BROKERS) {
        proxy.set_target(kafka.port(broker, LISTENER).ok_or("a broker without the listener")?);
    }
    kafka.create_topic(TOPIC, PARTITIONS as i32, 3, &[("min.insync.replicas", "2")])?;
    Ok(kafka)
}

/// What was lived through.
struct Lived {
    seen: Seen,
    weather: Weather,
    deeds: Deeds,
    /// How many numbers each producer used.
    used: Vec<u64>,
}

fn trouble(plan: &Plan, kafka: &Kafka, proxies: &[Proxy], senders: &[Sender], journal: &Journal) -> Result<Lived> {
    let deeds = Deeds::default();
    let (calm, halt, done) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let weather = Mutex::new(Weather::default());
    let handle = Handle(kafka);
    let rate = plan.rate as f64 / plan.producers.max(1) as f64;
    let (seen, used) = thread::scope(|scope| {
        // One that cannot go on ends the run.
        let send = |sender: &Sender| sender.run(rate, &halt, journal).inspect_err(|_| drop(Ends(&halt)));
        let running: Vec<_> = senders.iter().map(|sender| scope.spawn(move || send(sender))).collect();
        let director = scope.spawn(|| {
            let _done = Ends(&done);
            let _halt = Ends(&halt);
            let acted = thread::scope(|scope| {
                scope.spawn(|| {
                    let found = weather::run(proxies, Chance::new(plan.seed, 1), &calm, journal);
                    *weather.lock().unwrap_or_else(PoisonError::into_inner) = found;
                });
                let _calm = Ends(&calm);
                Nemesis::new(&handle, Chance::new(plan.seed, 2), &deeds, journal, &halt).run(&plan.pace)
            });
            acted?;
            kafka.wait_in_sync_within(END_LIMIT)?;
            journal.note("nemesis", "all replicas are in sync");
            thread::sleep(CALM);
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        });
        let warm_up = (plan.pace.length / 10).min(Duration::from_secs(30));
        let seen = monitor::watch(senders, &deeds, proxies, warm_up, &done);
        let directed = director.join().map_err(|_| "the nemesis panicked")?;
        let mut used = Vec::new();
        let mut failure = directed.err();
        for sender in running {
            match sender.join().map_err(|_| "a sender panicked")? {
                Ok(number) => used.push(number),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok((seen, used)), Err)
    })?;
    let weather = *weather.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Lived { seen, weather, deeds, used })
}

/// Lets Kafka's own consumer read everything and holds it against the ledgers.
fn judge(kafka: &Kafka, senders: &[Sender], used: &[u64]) -> Result<Verdict> {
    let mut judge = Judge::default();
    for (sender, used) in senders.iter().zip(used) {
        judge.party(sender.profile, sender.ledger.clone(), *used);
    }
    let ends = kafka.tool_text("get-offsets", &["--topic", TOPIC], b"")?;
    let in_log: u64 = ends.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
    println!("reading {in_log} records back by Kafka's console consumer");
    let null = format!("null.literal={NULL}");
    let expected = in_log.to_string();
    let mut args = vec!["--topic", TOPIC, "--from-beginning", "--timeout-ms", "60000", "--max-messages", &expected];
    for property in ["print.partition=true", "print.offset=true", "print.headers=true", "print.key=true", &null] {
        args.extend(["--formatter-property", property]);
    }
    let told = kafka.tool_lines("console-consumer", &args, END_LIMIT, |line| judge.line(line))?;
    if judge.read != in_log {
        return Err(format!("Kafka's consumer read {} of {in_log} records; it said:\n{told}", judge.read).into());
    }
    Ok(judge.verdict())
}

/// A run in which nothing happened shows nothing.
fn sane(plan: &Plan, lived: &Lived, verdict: &Verdict) -> Result<()> {
    let kills = lived.deeds.kills.load(Ordering::Relaxed);
    if kills < plan.pace.kills() || lived.weather.cuts == 0 {
        return Err(format!("only {kills} kills and {} cuts: the run shows nothing", lived.weather.cuts).into());
    }
    if verdict.delivered == 0 {
        return Err("no record was acknowledged".into());
    }
    lived.seen.memory.flat().map(drop)
}

fn report(plan: &Plan, senders: &[Sender], lived: &Lived, verdict: &Verdict) {
    let (deeds, weather, total) = (&lived.deeds, &lived.weather, total(senders));
    let count = |deed: &std::sync::atomic::AtomicU64| deed.load(Ordering::Relaxed);
    println!(
        "brokers of Kafka {}: {} kills, {} pauses, {} pauses of two, {} orderly stops, {} moves of leaders, {} ended by themselves",
        plan.version,
        count(&deeds.kills),
        count(&deeds.pauses),
        count(&deeds.double_pauses),
        count(&deeds.stops),
        count(&deeds.moves),
        count(&deeds.deaths)
    );
    println!(
        "network: {} connections cut, {} stalls, {} one-way stalls, {} black holes, {} refusals",
        weather.cuts, weather.stalls, weather.one_way, weather.holes, weather.refusals
    );
    println!(
        "producers: {} records sent again, {} batches expired, {} connections opened, {} request time-outs, {} epoch bumps, {} rebootstraps",
        total.records_retried,
        total.batches_expired,
        total.connections_opened,
        total.request_timeouts,
        total.epoch_bumps,
        total.rebootstraps
    );
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for sender in senders {
        for (cause, count) in sender.ledger.failures() {
            *failures.entry(format!("{}: {cause}", sender.profile.name)).or_default() += count;
        }
    }
    for (cause, count) in failures {
        println!("failed, {cause}: {count}");
    }
    let gaps = senders.iter().zip(&lived.seen.gaps);
    let gaps: Vec<String> = gaps.map(|(s, gap)| format!("{} {:.1} s", s.profile.name, gap.as_secs_f64())).collect();
    println!("longest without an acknowledgement: all {:.1} s; {}", lived.seen.gap.as_secs_f64(), gaps.join(", "));
    match lived.seen.memory.flat() {
        Ok(text) => println!("memory: {text}"),
        Err(error) => println!("{error}"),
    }
    println!("{verdict}");
}
