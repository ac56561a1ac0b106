//! What one run follows from.

use klamm_sim::nemesis::{Nemesis, Trouble};
use std::fmt;
use std::str::FromStr;

/// A seed, and what is cut away from what it gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// Everything follows from it.
    pub seed: u64,
    /// Troubles that are left out.
    pub without: Vec<Trouble>,
    /// At most this many steps of work.
    pub steps: Option<u32>,
    /// At most this many brokers.
    pub brokers: Option<u32>,
    /// At most this many topics.
    pub topics: Option<u32>,
    /// At most this many partitions per topic.
    pub partitions: Option<u32>,
    /// At most this many records per step.
    pub records: Option<u32>,
}

impl Case {
    /// What [`set`](Self::set) knows.
    pub const NAMES: [&str; 6] = ["without", "steps", "brokers", "topics", "partitions", "records"];

    /// All that a seed gives.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// What works against it. The cluster loses records in one case of four.
    #[must_use]
    pub fn nemesis(&self) -> Nemesis {
        let nemesis = Nemesis::from_seed(self.seed).without(&self.without);
        if self.seed.is_multiple_of(4) { nemesis } else { nemesis.without_lossy() }
    }

    /// The bounds that are set, by name.
    fn bounds(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("steps", self.steps),
            ("brokers", self.brokers),
            ("topics", self.topics),
            ("partitions", self.partitions),
            ("records", self.records),
        ];
        all.into_iter().filter_map(|(name, bound)| Some((name, bound?)))
    }

    /// Sets a bound, or what is left out, by name.
    ///
    /// # Errors
    /// No such name, or no such value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == "without" {
            for trouble in value.split(',').filter(|name| !name.is_empty()) {
                self.without.push(trouble.parse().map_err(|error| format!("{error}"))?);
            }
            return Ok(());
        }
        let bound = match name {
            "steps" => &mut self.steps,
            "brokers" => &mut self.brokers,
            "topics" => &mut self.topics,
            "partitions" => &mut self.partitions,
            "records" => &mut self.records,
            _ => return Err(format!("a case has no `{name}`")),
        };
        *bound = Some(value.parse().map_err(|error| format!("{name} {value}: {error}"))?);
        Ok(())
    }

    /// The arguments of `cargo xtask sim` that run it.
    #[must_use]
    pub fn arguments(&self) -> String {
        let mut text = format!("--seed {}", self.seed);
        if !self.without.is_empty() {
            text += &format!(" --without {}", self.names());
        }
        for (name, bound) in self.bounds() {
            text += &format!(" --{name} {bound}");
        }
        text
    }

    fn names(&self) -> String {
        self.without.iter().map(|trouble| trouble.name()).collect::<Vec<_>>().join(",")
    }
}

/// As in `regressions.txt`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        if !self.without.is_empty() {
            write!(f, " without={}", self.names())?;
        }
        self.bounds().try_for_each(|(name, bound)| write!(f, " {name}={bound}"))
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let seed = words.next().unwrap_or_default();
        let mut case = Self::new(seed.parse().map_err(|error| format!("{text}: {error}"))?);
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{text}: {word} has no `=`"))?;
            case.set(name, value)?;
        }
        Ok(case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_is_written() {
        let text = "17 without=kills,lost-acks steps=3 partitions=1";
        let case: Case = text.parse().unwrap();
        assert_eq!(case.to_string(), text);
        assert_eq!(case.arguments(), "--seed 17 --without kills,lost-acks --steps 3 --partitions 1");
        for bad in ["", "x", "1 kills", "1 without=rain", "1 steps=many", "1 clouds=3"] {
            assert!(bad.parse::<Case>().is_err(), "{bad}");
        }
    }
}
