//! What is done to the board and its cluster, and what must come of it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::check::{Verdict, check};
use crate::cluster::Cluster;
use crate::qemu::{Qemu, Report};

/// Bytes of each reading's value.
pub(crate) const BYTES: u32 = 100;
/// Longest time for one of them.
const LIMIT: Duration = Duration::from_secs(150);
/// How long the cable is cut.
const CUT: Duration = Duration::from_secs(2);
/// How long a killed broker is away.
const AWAY: Duration = Duration::from_secs(2);

/// What goes wrong once a quarter of the readings is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// A broker that leads partitions dies and comes back.
    Kill,
    /// The cable is cut and mended.
    Cut,
    /// The one, then, at half the readings, the other.
    KillAndCut,
}

/// One test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) brokers: u32,
    pub(crate) partitions: u32,
    pub(crate) records: u32,
    /// Further settings of the firmware.
    pub(crate) words: &'static [&'static str],
    pub(crate) trouble: Trouble,
    /// What shows that the trouble was met: a number that the firmware tells, and its least value.
    pub(crate) evidence: Option<(&'static str, &'static str, u64)>,
    /// A number that the firmware tells, and its largest value.
    pub(crate) bound: Option<(&'static str, &'static str, u64)>,
    /// Run against real Kafka as well.
    pub(crate) real: bool,
}

/// Slower readings, so that there are some left whenever something goes wrong: 10 000 take 6 s.
const LASTING: &[&str] = &["pace=600"];

/// The plainest of them; the others say what differs.
const STEADY: Scenario = Scenario {
    name: "steady",
    about: "10 000 readings, one broker",
    brokers: 1,
    partitions: 4,
    records: 10_000,
    words: &[],
    trouble: Trouble::None,
    evidence: Some(("link", "readings_before", 1)),
    bound: None,
    real: false,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    STEADY,
    Scenario {
        name: "three-brokers",
        about: "three brokers on two sockets: connections make room for each other",
        brokers: 3,
        evidence: Some(("producer", "opened", 4)),
        real: true,
        ..STEADY
    },
    Scenario {
        name: "broker-killed",
        about: "a broker dies mid-stream and comes back after 2 s",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::Kill,
        // The others ask for it when they start, and when they know the topic.
        evidence: Some(("producer", "metadata", 3)),
        real: true,
        ..STEADY
    },
    Scenario {
        name: "link-down",
        about: "the cable is cut for 2 s",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::Cut,
        evidence: Some(("application", "silence_us", 1_500_000)),
        real: true,
        ..STEADY
    },
    Scenario {
        name: "killed-and-cut",
        about: "a broker dies, later the cable is cut",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::KillAndCut,
        evidence: Some(("application", "silence_us", 1_500_000)),
        real: true,
        ..STEADY
    },
    Scenario {
        name: "packet-loss",
        about: "3 % of all frames are lost, each way",
        records: 2_000,
        words: &["loss=3"],
        evidence: Some(("producer", "latency_us_max", 200_000)),
        ..STEADY
    },
    Scenario {
        name: "tiny-buffers",
        about: "socket buffers of 536 B",
        words: &["receive=536", "transmit=536"],
        ..STEADY
    },
    Scenario {
        name: "large-metadata",
        about: "a topic of 500 partitions, learnt through a window of 256 B",
        brokers: 3,
        partitions: 500,
        words: &["receive=256"],
        evidence: Some(("producer", "bytes_in", 20_000)),
        real: true,
        ..STEADY
    },
    Scenario {
        name: "idle",
        about: "connected for 10 s with nothing to do: awake for the clock's own rounds only",
        records: 100,
        words: &["idle=10000"],
        // SysTick comes round every 1.34 s; a few more for the last packets, and for what the core and smoltcp have due.
        bound: Some(("application", "idle_sleeps", 12)),
        ..STEADY
    },
];

/// How a scenario went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) report: Report,
}

/// Runs one of them against a cluster that has its brokers.
pub(crate) fn run(scenario: &Scenario, image: &Path, cluster: &dyn Cluster) -> Result<Outcome> {
    let topic = format!("readings-{}", scenario.name);
    cluster.create_topic(&topic, scenario.partitions)?;
    let mut words = vec![
        format!("bootstrap={}", cluster.bootstrap()?),
        format!("topic={topic}"),
        format!("partitions={}", scenario.partitions),
        format!("records={}", scenario.records),
        format!("bytes={BYTES}"),
    ];
    words.extend(scenario.words.iter().map(|word| (*word).to_owned()));
    let mut board = Qemu::start(image, &words, &[], LIMIT)?;
    hurt(scenario, &topic, cluster, &mut board)?;
    let report = board.finish(|_| {})?;
    let stored = cluster.read(&topic)?;
    let verdict = check(&stored, scenario.records, BYTES);
    report.require_success().map_err(|error| format!("{error}\n    (the topic holds {verdict})"))?;
    let verdict = verdict.require()?;
    let number = |(line, name, limit): (&'static str, &'static str, u64)| (name, report.number(line, name), limit);
    if let Some((name, value, least)) = scenario.evidence.map(number)
        && value < least
    {
        return Err(format!("the trouble was not met: {name} is {value}, not {least} at least"));
    }
    if let Some((name, value, most)) = scenario.bound.map(number)
        && value > most
    {
        return Err(format!("{name} is {value}, not {most} at most"));
    }
    Ok(Outcome { verdict, report })
}

/// Does what the scenario has in mind for cluster and cable.
fn hurt(scenario: &Scenario, topic: &str, cluster: &dyn Cluster, board: &mut Qemu) -> Result<()> {
    let quarter = u64::from(scenario.records / 4);
    if scenario.trouble == Trouble::None {
        return Ok(());
    }
    wait_for(quarter, topic, cluster, board)?;
    if matches!(scenario.trouble, Trouble::Kill | Trouble::KillAndCut) {
        // Not the first: it is the only one that the board was told, and learning the others is another test's matter.
        cluster.kill(2)?;
        thread::sleep(AWAY);
        cluster.restart(2)?;
    }
    if scenario.trouble == Trouble::KillAndCut {
        wait_for(2 * quarter, topic, cluster, board)?;
    }
    if matches!(scenario.trouble, Trouble::Cut | Trouble::KillAndCut) {
        board.set_link(false)?;
        thread::sleep(CUT);
        board.set_link(true)?;
    }
    Ok(())
}

/// Waits until the topic holds so many records.
fn wait_for(records: u64, topic: &str, cluster: &dyn Cluster, board: &mut Qemu) -> Result<()> {
    let begin = Instant::now();
    while cluster.count(topic)? < records {
        if !board.is_running() {
            return Err(format!("the board was done, or late, before {records} readings were stored"));
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("{records} readings were never stored"));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
