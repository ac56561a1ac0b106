//! The patches, and their headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// `Test: PACKAGE [CARGO ARGUMENTS] FILTER`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestName {
    pub(super) package: String,
    /// What `cargo test` is told besides, such as `--lib` or `--test waiting`.
    pub(super) args: Vec<String>,
    /// The test's whole name.
    pub(super) filter: String,
}

impl TestName {
    pub(super) fn cargo_args(&self) -> Vec<String> {
        let mut args = vec!["-p".to_owned(), self.package.clone()];
        args.extend(self.args.iter().cloned());
        args
    }

    /// The function's name.
    pub(super) fn function(&self) -> &str {
        self.filter.rsplit("::").next().unwrap_or(&self.filter)
    }
}

/// A patch that takes out one guard.
#[derive(Clone, Debug)]
pub(super) struct Mutant {
    /// The file's name without its extension.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// What the guard is for, in one line.
    pub(super) guards: String,
    pub(super) tests: Vec<TestName>,
    /// The files that it changes, from the workspace's folder.
    pub(super) files: Vec<String>,
}

impl Mutant {
    /// Its name, or the number that begins it.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
    }
}

/// All mutants, by name.
pub(super) fn load(folder: &Path) -> Result<Vec<Mutant>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut mutants = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            mutants.push(parse(name, path, &text)?);
        }
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

fn parse(name: String, path: PathBuf, text: &str) -> Result<Mutant> {
    let mut mutant = Mutant { name, path, guards: String::new(), tests: Vec::new(), files: Vec::new() };
    for line in text.lines() {
        if let Some(guards) = line.strip_prefix("Guards: ") {
            mutant.guards = guards.trim().to_owned();
        } else if let Some(words) = line.strip_prefix("Test: ") {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let [package, args @ .., filter] = &words[..] else {
                return Err(format!("{}: `{line}` is not `Test: PACKAGE [ARGUMENTS] NAME`", mutant.name));
            };
            mutant.tests.push(TestName { package: package.clone(), args: args.to_vec(), filter: filter.clone() });
        } else if let Some(file) = line.strip_prefix("+++ b/") {
            mutant.files.push(file.trim().to_owned());
        }
    }
    // Those of the simulation have no test of their own: chance has to find them.
    let is_simulated = mutant.name.starts_with('s');
    if mutant.guards.is_empty() || mutant.tests.is_empty() && !is_simulated || mutant.files.is_empty() {
        return Err(format!("{}: needs `Guards:`, `Test:` and a patch", mutant.name));
    }
    Ok(mutant)
}

/// Applies a patch in `tree`, or only sees whether that would work. It does nothing by halves.
pub(super) fn apply(patch: &Path, tree: &Path, only_check: bool) -> Result<()> {
    let mut command = Command::new("git");
    command.arg("apply");
    if only_check {
        command.arg("--check");
    }
    // Inside another repository git would take the paths for that one's, and pass over all of them.
    if let Some(parent) = tree.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    command.arg(patch).current_dir(tree);
    let output = command.output().map_err(|error| format!("cannot run git: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("does not apply: {}", text.trim().replace('\n', "; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let text = "Guards: something: with a colon\nTest: klamm --test waiting a::b\nTest: klamm-core c\n\n\
                    diff --git a/x/y.rs b/x/y.rs\n--- a/x/y.rs\n+++ b/x/y.rs\n@@ -1 +1 @@\n-a\n+b\n";
        let mutant = parse("b01-x".into(), PathBuf::new(), text).unwrap();
        assert_eq!(mutant.guards, "something: with a colon");
        assert_eq!(mutant.files, ["x/y.rs"]);
        assert_eq!(mutant.tests[0].cargo_args(), ["-p", "klamm", "--test", "waiting"]);
        assert_eq!((mutant.tests[0].filter.as_str(), mutant.tests[0].function()), ("a::b", "b"));
        assert_eq!(mutant.tests[1].cargo_args(), ["-p", "klamm-core"]);
        assert!(mutant.is_named("b01") && mutant.is_named("b01-x") && !mutant.is_named("b0"));
        assert!(parse("x".into(), PathBuf::new(), "Guards: a\nTest: one\n+++ b/x\n").is_err());
        assert!(parse("x".into(), PathBuf::new(), "Guards: a\nTest: p t\n").is_err());
    }
}
