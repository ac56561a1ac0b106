//! The firmwares, and which scenarios each of them meets.

use crate::check::Senders;
use crate::scenarios::{SCENARIOS, STEADY, Scenario};

/// How the firmware is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Variant {
    /// One loop over smoltcp.
    #[default]
    Polled,
    /// embassy's tasks and network stack.
    Embassy,
}

/// What both go through; the core and smoltcp below them are the same.
const BOTH: [&str; 8] =
    ["steady", "three-brokers", "broker-killed", "names", "link-down", "killed-and-cut", "packet-loss", "idle"];
/// The one that the second firmware meets with real Kafka as well.
const REAL: &str = "killed-and-cut";

/// What only a firmware of tasks can do.
const DROPPED: Scenario = Scenario {
    name: "driver-dropped",
    about: "the driver's future is dropped every 150 ms, whatever it is about, and begun anew",
    brokers: 3,
    words: &["pace=300", "drop=150"],
    // 10 000 readings take 3 s, and a connection is dropped with the driver each time.
    evidence: Some(("producer", "closed", 20)),
    ..STEADY
};

impl Variant {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "polled" => Some(Self::Polled),
            "embassy" => Some(Self::Embassy),
            _ => None,
        }
    }

    pub(crate) const fn senders(self) -> Senders {
        match self {
            Self::Polled => Senders::One,
            Self::Embassy => Senders::ByKind,
        }
    }

    pub(crate) fn scenarios(self) -> Vec<Scenario> {
        if self == Self::Polled {
            return SCENARIOS.to_vec();
        }
        let both = SCENARIOS.iter().filter(|scenario| BOTH.contains(&scenario.name));
        both.chain([&DROPPED])
            .map(|scenario| Scenario {
                senders: self.senders(),
                real: scenario.real.filter(|_| scenario.name == REAL),
                ..*scenario
            })
            .collect()
    }
}
