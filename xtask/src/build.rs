//! Builds programs with cargo and finds where they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;
use crate::needs::toolchain;

/// What is measured is compiled whole: in pieces it inlines less and measures differently, whatever the caller's settings.
const WHOLE: (&str, &str) = ("CARGO_INCREMENTAL", "0");

/// Builds the simulated cluster that the npm package's tests steer, and measure the package against.
pub(crate) fn cluster_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "klamm-wasm-tests"]).current_dir(crate::root());
    executable(cargo, "klamm-cluster")
}

/// Builds the bridge between WebSockets and TCP, as its own tests do.
pub(crate) fn bridge_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "-p", "klamm-bridge"]).current_dir(crate::root());
    executable(cargo, "klamm-bridge")
}

/// Builds the bench program.
pub(crate) fn bench_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "klamm-bench"]).current_dir(crate::root()).envs([WHOLE]);
    executable(cargo, "klamm-bench")
}

/// Builds the program that puts klamm under load.
pub(crate) fn load_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "klamm-load"]).current_dir(crate::root());
    executable(cargo, "klamm-load")
}

/// Builds the program that puts klamm and real Kafka to the test.
pub(crate) fn chaos_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "suites", "-p", "klamm-chaos"]).current_dir(crate::root());
    executable(cargo, "klamm-chaos")
}

/// Builds the program that runs the firmware in QEMU.
pub(crate) fn firmware_program() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "suites", "-p", "klamm-firmware-tests"]).current_dir(crate::root());
    executable(cargo, "klamm-firmware")
}

/// Builds the program that runs simulated worlds, of the whole core or of the one that a small board has.
pub(crate) fn swarm_program(board: bool) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "suites", "-p", "klamm-simulation"]).current_dir(crate::root());
    if board {
        cargo.args(["--no-default-features", "--bins"]);
    }
    executable(cargo, "klamm-swarm")
}

/// Builds the program that runs other producers; librdkafka's C code takes a minute.
pub(crate) fn peers_program() -> Result<PathBuf> {
    own_workspace("tests/peers", "target/peers")
}

/// Builds the smallest program for servers.
pub(crate) fn minimal_program() -> Result<PathBuf> {
    own_workspace("examples/minimal-std", "target/minimal-std")
}

/// The crates that this program is made of, those that only its build needs included.
pub(crate) fn minimal_dependencies() -> Result<BTreeSet<String>> {
    let manifest = crate::root().join("examples/minimal-std/Cargo.toml").display().to_string();
    let args = ["tree", "--edges", "normal,build", "--prefix", "none", "--manifest-path", &manifest];
    let tree = output_of(Path::new("cargo"), &args)?;
    // The first line is the program; a crate that occurs again is marked `(*)`.
    Ok(tree.lines().skip(1).map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

/// Builds a package that is a workspace of its own; its output stays out of its folder.
fn own_workspace(dir: &str, target_dir: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target-dir"]).arg(crate::root().join(target_dir));
    cargo.current_dir(crate::root().join(dir)).envs([WHOLE]);
    executable(cargo, dir)
}

/// Builds the smallest firmware for a target.
pub(crate) fn minimal_firmware(target: &str) -> Result<PathBuf> {
    firmware("minimal-thumb", target)
}

/// Builds the smallest firmware that publishes over smoltcp.
pub(crate) fn publishing_firmware(target: &str) -> Result<PathBuf> {
    firmware("minimal-smoltcp", target)
}

fn firmware(name: &str, target: &str) -> Result<PathBuf> {
    let dir = crate::root().join("examples").join(name);
    if !dir.join("Cargo.toml").exists() {
        return Err(format!("examples/{name} is missing"));
    }
    let toolchain = toolchain(target)?;
    let mut cargo = Command::new(toolchain.cargo());
    // Run in its folder: its own workspace and linker settings apply. Its output stays out of that folder.
    cargo.args(["build", "--release", "--target", target]).args(toolchain.args());
    cargo.arg("--target-dir").arg(crate::root().join("target").join(name));
    cargo.envs(toolchain.env(target)).envs([WHOLE]).current_dir(dir);
    executable(cargo, &format!("examples/{name} for {target}"))
}

/// Builds an example of the crate `klamm`.
pub(crate) fn library_example(name: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "-p", "klamm", "--example", name]).current_dir(crate::root());
    executable(cargo, name)
}

/// Runs `cargo build` and reads from its messages which executable it made.
pub(crate) fn executable(mut cargo: Command, what: &str) -> Result<PathBuf> {
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("{what} does not build"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .ok_or_else(|| format!("{what} has no executable"))
}

/// Runs a program and gives what it prints.
pub(crate) fn output_of(program: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let shown = format!("{} {}", program.display(), args.join(" "));
    let output = output.map_err(|error| format!("cannot run {shown}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{shown}: {}", output.status))
    }
}
