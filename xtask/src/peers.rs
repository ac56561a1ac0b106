//! `cargo xtask bench --peer rdkafka`: klamm and librdkafka side by side, in processes of their own, by turns.
//!
//! Both run the same loop with the same settings (`tests/load`, `tests/peers`). Timed, unlike the other benches: run it on a quiet
//! machine, and look at the ratios rather than at the figures.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use klamm_kafka_harness::Kafka;
use serde_json::{Value, json};

use crate::Result;
use crate::build::{load_program, output_of, peers_program};
use crate::needs::{Need, ensure};

const PARTITIONS: i32 = 6;

struct Options {
    real: bool,
    check: bool,
    runs: usize,
    records: u64,
    seconds: u64,
    json: Option<PathBuf>,
}

/// One way of using one client.
struct Form {
    name: &'static str,
    /// Of klamm, not of the peer.
    ours: bool,
    args: &'static [&'static str],
    /// Whether it takes part in latency scenarios.
    timed: bool,
}

const FORMS: [Form; 4] = [
    Form { name: "klamm", ours: true, args: &["run"], timed: true },
    Form { name: "klamm, each outcome read", ours: true, args: &["run", "--outcomes", "each"], timed: false },
    Form { name: "rdkafka BaseProducer", ours: false, args: &["base"], timed: false },
    Form { name: "rdkafka ThreadedProducer", ours: false, args: &["threaded"], timed: true },
];

struct Scenario {
    name: &'static str,
    batch_size: u32,
    linger_ms: u32,
    /// 1 000 records/s, each timed, instead of as many as go through.
    timed: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "A: 256 KiB batches", batch_size: 256 << 10, linger_ms: 5, timed: false },
    Scenario { name: "B: 16 KiB batches", batch_size: 16 << 10, linger_ms: 5, timed: false },
    Scenario { name: "C: 1 000 records/s", batch_size: 16 << 10, linger_ms: 0, timed: true },
];

/// What klamm is to reach: a figure divided by the peer's best.
struct Goal {
    figure: &'static str,
    ratio: f64,
    more_is_better: bool,
}

const GOALS: [Goal; 4] = [
    Goal { figure: "cpu_ns", ratio: 0.25, more_is_better: false },
    Goal { figure: "records_per_second", ratio: 2.0, more_is_better: true },
    Goal { figure: "rss_mib", ratio: 0.5, more_is_better: false },
    Goal { figure: "p99_us", ratio: 1.0, more_is_better: false },
];

/// Of one form in one scenario: the values of all runs by figure.
type Figures = BTreeMap<String, Vec<f64>>;

/// All forms of one scenario at one broker.
struct Measured {
    scenario: String,
    timed: bool,
    forms: Vec<(&'static Form, Figures)>,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let options = parse(args)?;
    let load = load_program()?;
    let peers = peers_program()?;
    println!(
        "100 B values without key, acks=all, idempotent, {PARTITIONS} partitions, 5 in flight; {} runs each",
        options.runs
    );
    println!("median (least … most); CPU and memory are the client process's own, after a warm-up\n");
    let mut measured = Vec::new();
    let sink = Sink::start(&load)?;
    for scenario in &SCENARIOS {
        let run = |form: &Form, topic: &str| execute(form, scenario, &sink.bootstrap, topic, &options, [&load, &peers]);
        measured.push(rounds("sink", scenario, &options, run)?);
    }
    drop(sink);
    if options.real {
        ensure(Need::Kafka)?;
        let kafka =
            Kafka::builder().config("file.delete.delay.ms", "100").start().map_err(|error| error.to_string())?;
        for scenario in &SCENARIOS {
            let run = |form: &Form, topic: &str| {
                kafka.create_topic(topic, PARTITIONS, 1, &[]).map_err(|error| error.to_string())?;
                let figures = execute(form, scenario, &kafka.bootstrap_servers(), topic, &options, [&load, &peers])?;
                kafka.delete_topic(topic).map_err(|error| error.to_string())?;
                Ok(figures)
            };
            measured.push(rounds("real Kafka", scenario, &options, run)?);
        }
    }
    println!("rd_kafka_produce_batch, librdkafka's call for many records at once, is not offered by the crate.\n");
    let judged = judge(&measured);
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", to_json(&measured, &judged)))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let missed = judged.iter().any(|judgement| !judgement.met);
    Ok(if options.check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options { real: false, check: false, runs: 5, records: 3_000_000, seconds: 10, json: None };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{flag}` needs a value"));
        let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{flag}` cannot be `{text}`"));
        match flag.as_str() {
            "--real" => options.real = true,
            "--check" => options.check = true,
            "--peer" if value()? == "rdkafka" => {}
            "--peer" => return Err("the one peer is `rdkafka`".into()),
            "--runs" => options.runs = number(value()?)?.max(1) as usize,
            "--records" => options.records = number(value()?)?.max(1),
            "--seconds" => options.seconds = number(value()?)?.max(1),
            "--json" => options.json = Some(value()?.into()),
            _ => {
                let known = "--peer rdkafka, --real, --runs, --records, --seconds, --json, --check";
                return Err(format!("unknown argument `{flag}`; there are {known}"));
            }
        }
    }
    Ok(options)
}

/// A sink, in a process that ends when its standard input does.
pub(crate) struct Sink {
    child: Child,
    pub(crate) bootstrap: String,
}

impl Sink {
    pub(crate) fn start(load: &Path) -> Result<Self> {
        let mut command = Command::new(load);
        command.args(["sink", "--partitions", &PARTITIONS.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", load.display()))?;
        let mut bootstrap = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut bootstrap).map_err(|error| error.to_string())?;
        }
        let sink = Self { child, bootstrap: bootstrap.trim().to_owned() };
        if sink.bootstrap.is_empty() { Err("the sink does not start".into()) } else { Ok(sink) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs all forms by turns, so that a slow minute of the machine hits them alike; prints their rows.
fn rounds(
    broker: &str,
    scenario: &'static Scenario,
    options: &Options,
    mut run: impl FnMut(&Form, &str) -> Result<Figures>,
) -> Result<Measured> {
    let forms = FORMS.iter().filter(|form| form.timed || !scenario.timed);
    let mut forms: Vec<(&Form, Figures)> = forms.map(|form| (form, Figures::new())).collect();
    for round in 0..options.runs {
        for (at, (form, figures)) in forms.iter_mut().enumerate() {
            let topic = format!("bench-{}-{round}-{at}", &scenario.name[..1]);
            for (figure, values) in run(form, &topic)? {
                figures.entry(figure).or_default().extend(values);
            }
        }
    }
    let measured = Measured { scenario: format!("{}, {broker}", scenario.name), timed: scenario.timed, forms };
    print_rows(&measured);
    Ok(measured)
}

fn execute(
    form: &Form,
    scenario: &Scenario,
    bootstrap: &str,
    topic: &str,
    options: &Options,
    [load, peers]: [&PathBuf; 2],
) -> Result<Figures> {
    let warm_up = (options.records / 4).max(1).to_string();
    let (batch_size, linger_ms) = (scenario.batch_size.to_string(), scenario.linger_ms.to_string());
    let (records, seconds) = (options.records.to_string(), options.seconds.to_string());
    let mut args = form.args.to_vec();
    args.extend(["--bootstrap", bootstrap, "--topic", topic, "--batch-size", &batch_size, "--linger", &linger_ms]);
    if scenario.timed {
        args.extend(["--rate", "1000", "--seconds", &seconds]);
    } else {
        args.extend(["--records", &records, "--warm-up", &warm_up]);
    }
    let text = output_of(if form.ours { load } else { peers }, &args)?;
    let figures = parse_figures(&text).ok_or_else(|| format!("{}: not `name value` lines: {text}", form.name))?;
    if figures.get("failed") != Some(&vec![0.0]) {
        return Err(format!("{}: records failed: {text}", form.name));
    }
    Ok(figures)
}

fn parse_figures(text: &str) -> Option<Figures> {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), vec![value.parse().ok()?]))
        })
        .collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (_, _) if values.is_empty() => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => (values[middle - 1] + values[middle]) / 2.0,
    }
}

const THROUGHPUT: [(&str, &str, f64); 5] = [
    ("records_per_second", "M records/s", 1e6),
    ("cpu_ns", "CPU ns per record", 1.0),
    ("user_ns", "user", 1.0),
    ("system_ns", "system", 1.0),
    ("rss_mib", "peak RSS MiB", 1.0),
];
const LATENCY: [(&str, &str, f64); 5] = [
    ("p50_us", "p50 µs", 1.0),
    ("p99_us", "p99 µs", 1.0),
    ("max_us", "max µs", 1.0),
    ("cpu_ns", "CPU µs per record", 1e3),
    ("rss_mib", "peak RSS MiB", 1.0),
];

fn print_rows(measured: &Measured) {
    let columns = if measured.timed { &LATENCY } else { &THROUGHPUT };
    let headings: Vec<&str> = columns.iter().map(|(_, heading, _)| *heading).collect();
    println!("| {} | {} |", measured.scenario, headings.join(" | "));
    println!("|---|{}", "---:|".repeat(columns.len()));
    for (form, figures) in &measured.forms {
        let cell = |(figure, _, unit): &(&str, &str, f64)| {
            let values: Vec<f64> = figures.get(*figure).into_iter().flatten().map(|value| value / unit).collect();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{} ({} … {})", short(median(&values)), short(least), short(most))
        };
        println!("| {} | {} |", form.name, columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    println!();
}

/// Three digits are more than the measurement is worth.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

struct Judgement {
    scenario: String,
    form: &'static str,
    figure: &'static str,
    ratio: f64,
    goal: f64,
    met: bool,
}

/// Divides klamm's medians by the best of the peer's, figure by figure, and prints them beside the goals.
fn judge(measured: &[Measured]) -> Vec<Judgement> {
    println!("| klamm ÷ the peer's best form | figure | ratio | goal | |\n|---|---|---:|---:|---|");
    let mut judged = Vec::new();
    for Measured { scenario, timed, forms } in measured {
        // At 1 000 records/s only the time of an acknowledgement is a goal.
        for goal in GOALS.iter().filter(|goal| (goal.figure == "p99_us") == *timed) {
            let medians = |ours: bool| {
                let forms = forms.iter().filter(move |(form, _)| form.ours == ours);
                forms.filter_map(|(form, figures)| Some((form.name, median(figures.get(goal.figure)?))))
            };
            let theirs = medians(false).map(|(_, value)| value);
            let Some(best) = theirs.reduce(if goal.more_is_better { f64::max } else { f64::min }) else { continue };
            for (form, value) in medians(true) {
                let ratio = value / best;
                let met = if goal.more_is_better { ratio >= goal.ratio } else { ratio <= goal.ratio };
                let sign = if goal.more_is_better { '≥' } else { '≤' };
                let verdict = if met { "met" } else { "NOT met" };
                let (figure, aim) = (goal.figure, goal.ratio);
                println!("| {scenario}: {form} | {figure} | {ratio:.2} | {sign} {aim} | {verdict} |");
                judged.push(Judgement { scenario: scenario.clone(), form, figure, ratio, goal: aim, met });
            }
        }
    }
    println!();
    judged
}

fn to_json(measured: &[Measured], judged: &[Judgement]) -> Value {
    let forms = |forms: &[(&Form, Figures)]| -> Value {
        forms
            .iter()
            .map(|(form, figures)| (form.name.to_owned(), json!(figures)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let judgement = |judged: &Judgement| {
        let Judgement { scenario, form, figure, ratio, goal, met } = judged;
        json!({ "scenario": scenario, "form": form, "figure": figure, "ratio": ratio, "goal": goal, "met": met })
    };
    json!({
        "runs": measured.iter().map(|one| json!({ "scenario": one.scenario, "forms": forms(&one.forms) })).collect::<Vec<_>>(),
        "ratios": judged.iter().map(judgement).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(figure: &str, values: &[f64]) -> Figures {
        [(figure.to_owned(), values.to_vec())].into()
    }

    #[test]
    fn medians_do_not_mind_one_bad_run() {
        assert!((median(&[3.0, 90.0, 1.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median(&[1.0, 3.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn klamm_is_held_against_the_best_form_of_the_peer() {
        let forms = vec![
            (&FORMS[0], figures("cpu_ns", &[100.0, 110.0, 90.0])),
            (&FORMS[2], figures("cpu_ns", &[500.0])),
            (&FORMS[3], figures("cpu_ns", &[350.0])),
        ];
        let judged = judge(&[Measured { scenario: "x".into(), timed: false, forms }]);
        assert_eq!(judged.len(), 1);
        assert!((judged[0].ratio - 100.0 / 350.0).abs() < 1e-9 && !judged[0].met);
    }

    #[test]
    fn figures_are_read_and_nonsense_is_not() {
        assert_eq!(parse_figures("cpu_ns 1.5\nfailed 0.0\n").unwrap().len(), 2);
        assert!(parse_figures("cpu_ns much\n").is_none());
    }
}
