//! The table of limits: `kind name limit` per line, kept in `xtask/limits.txt`.

use std::fs;
use std::path::PathBuf;

use crate::Result;

/// A saved limit is the measured value and this many percent, so that a new compiler does not fail the build at once.
const SLACK_PERCENT: u64 = 5;

/// The lines of the file; comments are kept where they are.
pub(crate) struct Limits {
    lines: Vec<Line>,
}

enum Line {
    Limit { kind: String, name: String, limit: u64 },
    Text(String),
}

/// A measured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) value: u64,
}

fn path() -> PathBuf {
    crate::root().join("xtask/limits.txt")
}

impl Limits {
    pub(crate) fn load() -> Result<Self> {
        let text = fs::read_to_string(path()).map_err(|error| format!("cannot read {}: {error}", path().display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let line = |(number, line): (usize, &str)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => Ok(Line::Text(String::new())),
                [first, ..] if first.starts_with('#') => Ok(Line::Text(line.into())),
                [kind, name, limit] if limit.parse::<u64>().is_ok() => {
                    Ok(Line::Limit { kind: kind.into(), name: name.into(), limit: limit.parse().unwrap_or(0) })
                }
                _ => Err(format!("limits.txt, line {}: expected `kind name limit`: {line}", number + 1)),
            }
        };
        let lines = text.lines().enumerate().map(line).collect::<Result<_>>()?;
        Ok(Self { lines })
    }

    fn render(&self) -> String {
        let line = |line: &Line| match line {
            Line::Text(text) => format!("{text}\n"),
            Line::Limit { kind, name, limit } => format!("{kind:<13} {name:<44} {limit:>8}\n"),
        };
        self.lines.iter().map(line).collect()
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<u64> {
        self.lines.iter().find_map(|line| match line {
            Line::Limit { kind: k, name: n, limit } if k == kind && n == name => Some(*limit),
            _ => None,
        })
    }

    /// What is wrong: values above their limits, values without one, and limits whose value was not measured (a
    /// renamed scenario would else lose its gate in silence). `covers` says which names were measured at all.
    pub(crate) fn violations(&self, kind: &str, measured: &[Measured], covers: impl Fn(&str) -> bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for Measured { name, value } in measured {
            match self.get(kind, name) {
                None => wrong.push(format!("{kind} {name}: {value}, but it has no limit (`--save` sets one)")),
                Some(limit) if *value > limit => wrong.push(format!("{kind} {name}: {value} is above {limit}")),
                Some(_) => {}
            }
        }
        for line in &self.lines {
            let Line::Limit { kind: k, name, .. } = line else {
                continue;
            };
            if k == kind && covers(name) && !measured.iter().any(|m| m.name == *name) {
                wrong.push(format!("{kind} {name} has a limit, but was not measured"));
            }
        }
        wrong
    }

    /// Raises the limits that what was measured is above, lowers those that it is well below, leaves the others, and drops those of
    /// what is gone: saving because one value needs it must not give room to all the rest.
    pub(crate) fn save(&mut self, kind: &str, measured: &[Measured], covers: impl Fn(&str) -> bool) -> Result<()> {
        self.set(kind, measured, covers);
        fs::write(path(), self.render()).map_err(|error| format!("cannot write {}: {error}", path().display()))
    }

    fn set(&mut self, kind: &str, measured: &[Measured], covers: impl Fn(&str) -> bool) {
        self.lines.retain(|line| match line {
            Line::Limit { kind: k, name, .. } => k != kind || !covers(name) || measured.iter().any(|m| m.name == *name),
            Line::Text(_) => true,
        });
        for Measured { name, value } in measured {
            let new = value + (value * SLACK_PERCENT).div_ceil(100);
            let old = self.lines.iter_mut().find_map(|line| match line {
                Line::Limit { kind: k, name: n, limit } if k == kind && n == name => Some(limit),
                _ => None,
            });
            match old {
                Some(limit) if *value > *limit => *limit = new,
                Some(limit) => *limit = new.min(*limit),
                None => self.lines.push(Line::Limit { kind: kind.into(), name: name.clone(), limit: new }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, value: u64) -> Measured {
        Measured { name: name.into(), value }
    }

    #[test]
    fn limits_are_checked_both_ways() {
        let limits = Limits::parse("# why\nram a 10\nram b 10\nram c 10\nflash d 1\n").unwrap();
        let wrong = limits.violations("ram", &[measured("a", 10), measured("b", 11), measured("x", 1)], |_| true);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("b: 11 is above 10"));
        assert!(wrong[1].contains("x: 1, but it has no limit"));
        assert!(wrong[2].contains("ram c has a limit, but was not measured"));
    }

    #[test]
    fn saving_keeps_comments_and_other_kinds() {
        let mut limits = Limits::parse("# why\nram a 10\nram gone 10\nflash d 1\n").unwrap();
        limits.set("ram", &[measured("a", 100), measured("new", 3)], |_| true);
        let text = limits.render();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [["#", "why"].to_vec(), vec!["ram", "a", "105"], vec!["flash", "d", "1"], vec!["ram", "new", "4"]]
        );
    }

    #[test]
    fn saving_raises_no_limit_that_is_kept() {
        let mut limits = Limits::parse("ram kept 100\nram at 100\nram below 200\nram above 100\n").unwrap();
        let values = [measured("kept", 97), measured("at", 100), measured("below", 100), measured("above", 101)];
        limits.set("ram", &values, |_| true);
        let limits = values.map(|Measured { name, .. }| limits.get("ram", &name));
        assert_eq!(limits, [Some(100), Some(100), Some(105), Some(107)]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Limits::parse("ram a many").is_err());
        assert!(Limits::parse("ram a").is_err());
    }
}
