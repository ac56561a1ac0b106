//! What a suite consists of.

use std::path::PathBuf;

use crate::needs::Need;

/// How the outcome of a command is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// One test: passed if it exits with 0.
    Exit,
    /// As many as its `test result:` lines say.
    TestResults,
}

/// One command of a suite.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Shown when it fails.
    pub(crate) label: String,
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) dir: PathBuf,
    pub(crate) count: Count,
    /// What must be there; this step is skipped if it is not and cannot be installed.
    pub(crate) needs: Vec<Need>,
    /// A `cargo` command for this target: gets what the target's toolchain asks for.
    pub(crate) target: Option<&'static str>,
}

impl Step {
    fn new(program: &str, args: &str, count: Count) -> Self {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        Self {
            label: format!("{program} {}", args.join(" ")),
            program: program.into(),
            args,
            env: Vec::new(),
            dir: crate::root(),
            count,
            needs: Vec::new(),
            target: None,
        }
    }

    /// `cargo ARGS`, one test.
    pub(crate) fn cargo(args: &str) -> Self {
        Self::new("cargo", args, Count::Exit)
    }

    /// `cargo test ARGS`, going on after a failing test binary.
    pub(crate) fn cargo_test(args: &str) -> Self {
        // `--no-fail-fast` belongs to cargo and must stand before the arguments of the tests.
        Self::new("cargo", &format!("test --no-fail-fast {args}"), Count::TestResults)
    }

    /// Another command of this program, one test.
    pub(crate) fn xtask(args: &str) -> Self {
        let mut step = Self::new("xtask", args, Count::Exit);
        // Not through cargo: it might build this program anew in the middle of its run.
        if let Ok(own) = std::env::current_exe() {
            step.program = own.display().to_string();
        }
        step
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    pub(crate) fn needs(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    /// Builds for this target, which must be installable.
    pub(crate) fn target(mut self, target: &'static str) -> Self {
        self.args.extend(["--target".into(), target.into()]);
        self.label = format!("{} for {target}", self.label);
        self.target = Some(target);
        self.needs.push(Need::Target(target));
        self
    }
}
