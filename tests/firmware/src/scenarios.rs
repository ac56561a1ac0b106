//! What is done to the board and its cluster, and what must come of it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::check::{Senders, Verdict, check};
use crate::cluster::Cluster;
use crate::names::{BOOTSTRAP_NAME, BROKERS_NAME, NameServer};
use crate::qemu::{HOST, Qemu, Report};

/// Bytes of each reading's value.
pub(crate) const BYTES: u32 = 100;
/// Longest time for one of them.
const LIMIT: Duration = Duration::from_secs(150);
/// How long the cable is cut.
const CUT: Duration = Duration::from_secs(2);
/// How long a killed broker is away.
const AWAY: Duration = Duration::from_secs(2);
/// How long the board runs before there is anybody to talk to.
const ALONE: Duration = Duration::from_secs(3);
/// The only broker that the board is told.
const FIRST: i32 = 1;
/// One of those that it learns from the first.
const OTHER: i32 = 2;

/// What goes wrong, most of it once a quarter of the readings is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// A broker that leads partitions dies and comes back.
    Kill,
    /// The cable is cut and mended.
    Cut,
    /// The one, then, at half the readings, the other.
    KillAndCut,
    /// The broker that the board was told dies, and does not come back while the board runs.
    LoseFirst,
    /// The broker that the board was told is dead when the board starts, and comes later.
    AwaitFirst,
}

impl Trouble {
    pub(crate) const fn kills_brokers(self) -> bool {
        !matches!(self, Self::None | Self::Cut)
    }
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
    /// Brokers have names instead of addresses, and the first address of the one that the board is told leads nowhere.
    pub(crate) named: bool,
    pub(crate) trouble: Trouble,
    /// What shows that the trouble was met: a number that the firmware tells, and its least value.
    pub(crate) evidence: Option<(&'static str, &'static str, u64)>,
    /// A number that the firmware tells, and its largest value.
    pub(crate) bound: Option<(&'static str, &'static str, u64)>,
    /// How many readings there are with real Kafka, if it is run there as well: three brokers on one computer store them much slower.
    pub(crate) real: Option<u32>,
    pub(crate) senders: Senders,
}

/// Slower readings, so that there are some left whenever something goes wrong: 10 000 take 6 s.
pub(crate) const LASTING: &[&str] = &["pace=600"];

/// The plainest of them; the others say what differs.
pub(crate) const STEADY: Scenario = Scenario {
    name: "steady",
    about: "10 000 readings, one broker",
    brokers: 1,
    partitions: 4,
    records: 10_000,
    words: &[],
    named: false,
    trouble: Trouble::None,
    evidence: Some(("link", "readings_before", 1)),
    bound: None,
    real: None,
    senders: Senders::One,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    STEADY,
    Scenario {
        name: "packet-loss",
        about: "3 % of all frames are lost, each way",
        records: 2_000,
        words: &["loss=3"],
        evidence: Some(("producer", "latency_us_max", 200_000)),
        ..STEADY
    },
    Scenario {
        name: "three-brokers",
        about: "three brokers on two sockets: connections make room for each other",
        brokers: 3,
        evidence: Some(("producer", "opened", 4)),
        real: Some(10_000),
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
        real: Some(4_000),
        ..STEADY
    },
    Scenario {
        name: "bootstrap-lost",
        about: "the only broker that the board was told dies mid-stream, for good",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::LoseFirst,
        evidence: Some(("producer", "metadata", 3)),
        real: Some(4_000),
        ..STEADY
    },
    Scenario {
        name: "bootstrap-late",
        about: "the only broker that the board was told starts 3 s after the board",
        brokers: 3,
        trouble: Trouble::AwaitFirst,
        evidence: Some(("application", "ms", 2_900)),
        ..STEADY
    },
    Scenario {
        name: "names",
        about: "brokers by name; the first address of the bootstrap server's leads nowhere",
        brokers: 3,
        records: 4_000,
        named: true,
        // Nobody answers at the first address: the core's set-up timeout, 10 s less a fifth that is left to chance, passes.
        evidence: Some(("application", "ms", 8_000)),
        ..STEADY
    },
    Scenario {
        name: "link-down",
        about: "the cable is cut for 2 s",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::Cut,
        evidence: Some(("application", "silence_us", 1_500_000)),
        real: Some(4_000),
        ..STEADY
    },
    Scenario {
        name: "killed-and-cut",
        about: "a broker dies, later the cable is cut",
        brokers: 3,
        words: LASTING,
        trouble: Trouble::KillAndCut,
        evidence: Some(("application", "silence_us", 1_500_000)),
        real: Some(10_000),
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
        real: Some(4_000),
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
    let mut bootstrap = cluster.bootstrap()?;
    let names = if scenario.named { Some(NameServer::start()?) } else { None };
    if names.is_some() {
        bootstrap = bootstrap.replace(HOST, BOOTSTRAP_NAME);
        cluster.advertise(BROKERS_NAME)?;
    }
    if scenario.trouble == Trouble::AwaitFirst {
        cluster.kill(FIRST)?;
    }
    let ended = publish(scenario, image, &topic, &bootstrap, cluster, names.as_ref());
    // What is stored must be there without it.
    let stored = cluster.read(&topic);
    if scenario.trouble == Trouble::LoseFirst {
        cluster.restart(FIRST)?; // the next scenario's board is told of it as well
    }
    let (report, verdict) = (ended?, check(&stored?, scenario.records, BYTES, scenario.senders));
    report.require_success().map_err(|error| format!("{error}\n    (the topic holds {verdict})"))?;
    let verdict = verdict.require()?;
    if let Some(names) = names {
        names.require_asked()?;
    }
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

/// Boots the board, does to it what the scenario has in mind, and waits for its end.
fn publish(
    scenario: &Scenario,
    image: &Path,
    topic: &str,
    bootstrap: &str,
    cluster: &dyn Cluster,
    names: Option<&NameServer>,
) -> Result<Report> {
    let mut words = vec![
        format!("bootstrap={bootstrap}"),
        format!("topic={topic}"),
        format!("partitions={}", scenario.partitions),
        format!("records={}", scenario.records),
        format!("bytes={BYTES}"),
    ];
    words.extend(scenario.words.iter().map(|word| (*word).to_owned()));
    let wiring = names.map(NameServer::wiring).unwrap_or_default();
    let wiring: Vec<&str> = wiring.iter().map(String::as_str).collect();
    let mut board = Qemu::start(image, &words, &wiring, LIMIT)?;
    hurt(scenario, topic, cluster, &mut board)?;
    board.finish(|_| {})
}

/// Does what the scenario has in mind for cluster and cable.
fn hurt(scenario: &Scenario, topic: &str, cluster: &dyn Cluster, board: &mut Qemu) -> Result<()> {
    let quarter = u64::from(scenario.records / 4);
    match scenario.trouble {
        Trouble::None => return Ok(()),
        Trouble::AwaitFirst => thread::sleep(ALONE),
        _ => wait_for(quarter, topic, cluster, board)?,
    }
    match scenario.trouble {
        Trouble::None => {}
        Trouble::Kill => away(cluster)?,
        Trouble::Cut => cut(board)?,
        Trouble::KillAndCut => {
            away(cluster)?;
            wait_for(2 * quarter, topic, cluster, board)?;
            cut(board)?;
        }
        Trouble::LoseFirst => cluster.kill(FIRST)?,
        Trouble::AwaitFirst => cluster.restart(FIRST)?,
    }
    Ok(())
}

/// A broker is away for a while.
fn away(cluster: &dyn Cluster) -> Result<()> {
    cluster.kill(OTHER)?;
    thread::sleep(AWAY);
    cluster.restart(OTHER)
}

/// The cable is cut for a while.
fn cut(board: &Qemu) -> Result<()> {
    board.set_link(false)?;
    thread::sleep(CUT);
    board.set_link(true)
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
