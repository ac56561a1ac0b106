//! `cargo xtask mutants --check`: what can be seen without building anything.

use std::fs;
use std::path::{Path, PathBuf};

use super::patch::{self, Mutant};
use super::{simulation, sources};
use crate::Result;

/// The list that is held to the tree.
const LIST: &str = "docs/pitfalls.md";
/// Where a test is that is named without a folder.
const SIMULATION: &str = "tests/simulation/tests";
/// The peers' bugs and the pitfalls, all of which the list has to mention.
const BUGS: u32 = 12;
const PITFALLS: u32 = 62;

/// Every patch applies, every test exists that a patch or the list names, and the list leaves nothing out. Says how many tests it names.
pub(super) fn check(root: &Path, mutants: &[Mutant]) -> Result<usize> {
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    sources(root, &mut files)?;
    let text = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    let code: String = files.iter().map(text).collect();
    for mutant in mutants {
        if let Err(why) = patch::apply(&mutant.path, root, true) {
            wrong.push(format!("{} {why}", mutant.name));
        }
        for test in mutant.tests.iter().filter(|test| !has_function(&code, test.function())) {
            wrong.push(format!("{}: there is no test {}", mutant.name, test.filter));
        }
    }
    let list = fs::read_to_string(root.join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    let quoted: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let named: Vec<(&str, &str)> = quoted.iter().filter_map(|text| test_of(text)).collect();
    for (file, test) in &named {
        let file = if file.contains('/') { (*file).to_owned() } else { format!("{SIMULATION}/{file}") };
        if !has_function(&text(&root.join(&file)), test) {
            wrong.push(format!("{LIST} names {test}, which is not in {file}"));
        }
    }
    for name in quoted.iter().filter(|text| is_mutant(text)) {
        if !mutants.iter().any(|mutant| mutant.name == *name) {
            wrong.push(format!("{LIST} names the mutant {name}, which does not exist"));
        }
    }
    let simulated = simulation::list(root)?;
    for entry in simulated.iter().filter(|entry| !mutants.iter().any(|mutant| mutant.name == entry.name)) {
        wrong.push(format!("the simulation's list names {}, which does not exist", entry.name));
    }
    let is_listed = |mutant: &Mutant| {
        let by_test = quoted.contains(&mutant.name.as_str());
        by_test || mutant.tests.is_empty() && simulated.iter().any(|entry| entry.name == mutant.name)
    };
    for mutant in mutants.iter().filter(|mutant| !is_listed(mutant)) {
        wrong.push(format!("{LIST} leaves out the mutant {}", mutant.name));
    }
    let rows = (1..=BUGS).map(|n| format!("| B{n} |")).chain((1..=PITFALLS).map(|n| format!("| {n} |")));
    for row in rows.filter(|row| !list.lines().any(|line| line.starts_with(row.as_str()))) {
        wrong.push(format!("{LIST} has no row {row}"));
    }
    if wrong.is_empty() { Ok(named.len()) } else { Err(wrong.join("\n")) }
}

fn has_function(code: &str, name: &str) -> bool {
    code.contains(&format!("fn {name}("))
}

/// `file.rs::test`.
fn test_of(text: &str) -> Option<(&str, &str)> {
    let at = text.find(".rs::")?;
    let (file, test) = (text.get(..at + 3)?, text.get(at + 5..)?);
    Some((file, test.rsplit("::").next().unwrap_or(test)))
}

/// `b01-words`, `p01-words` or `s01-words`.
fn is_mutant(text: &str) -> bool {
    let Some((number, words)) = text.split_once('-') else { return false };
    let digits = number.strip_prefix(['b', 'p', 's']).unwrap_or_default();
    digits.len() == 2
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !words.is_empty()
        && words.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_mutants_are_told_from_other_words() {
        assert_eq!(test_of("batching.rs::a_b"), Some(("batching.rs", "a_b")));
        assert_eq!(test_of("core/src/x.rs::tests::a_b"), Some(("core/src/x.rs", "a_b")));
        assert_eq!(test_of("max.block.ms"), None);
        assert!(is_mutant("b01-x") && is_mutant("p62-a-b2"));
        assert!(!is_mutant("b1-x") && !is_mutant("linger-ms") && !is_mutant("p01-") && !is_mutant("p01-A"));
    }
}
