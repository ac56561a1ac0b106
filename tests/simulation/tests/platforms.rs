//! The same seed gives the same trace on every platform: 64 bits, 32 bits, WebAssembly.
//!
//! Each builds the swarm for another target; the suite `threeworlds` runs them.

use klamm_simulation::swarm::{Case, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const FIRST: u64 = 0;
const COUNT: u64 = 60;
const WASM: &str = "wasm32-unknown-unknown";
const I686: &str = "i686-unknown-linux-musl";

/// What `klamm-swarm --hashes` prints of these seeds.
fn here() -> Vec<String> {
    (FIRST..FIRST + COUNT).map(|seed| format!("{seed} {:016x}", run(&Case::new(seed)).hash)).collect()
}

/// Builds a package for a target, in the target folder's corner for tests.
fn build(dir: &str, target: &str, arguments: &[&str]) -> PathBuf {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("platforms");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", target, "--target-dir"])
        .arg(&target_dir)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir))
        // Those of the test's own build.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        // Their speed does not matter, and this builds faster.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .status()
        .expect("cargo runs, since it runs this test");
    assert!(status.success(), "the swarm does not build; it needs `rustup target add {target}`");
    target_dir.join(target).join("release")
}

/// The lines of its output that are a seed and a hash.
fn there(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    let is_hash =
        |line: &&str| line.split_once(' ').is_some_and(|(seed, hash)| seed.parse::<u64>().is_ok() && hash.len() == 16);
    text(&output.stdout).lines().filter(is_hash).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs Node and a target; the suite `threeworlds` runs it"]
fn webassembly_gives_the_same_traces() {
    let module = build("wasm", WASM, &[]).join("klamm_swarm_wasm.wasm");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm/swarm.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(module).args([FIRST.to_string(), COUNT.to_string()]);
    assert_eq!(there(&mut node), here());
}

#[test]
#[ignore = "needs Chromium and a target; the suite `threeworlds` runs it"]
fn chromium_gives_the_same_traces() {
    const SOME: usize = 20;
    let module = build("wasm", WASM, &[]).join("klamm_swarm_wasm.wasm");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/wasm/chromium.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg("traces").arg(module).args([FIRST.to_string(), SOME.to_string()]);
    assert_eq!(there(&mut node), here()[..SOME]);
}

#[test]
#[ignore = "needs a target; the suite `threeworlds` runs it"]
fn thirty_two_bits_give_the_same_traces() {
    let program = build(".", I686, &["--bin", "klamm-swarm"]).join("klamm-swarm");
    let mut swarm = Command::new(program);
    swarm.args(["--hashes", "--seed", &FIRST.to_string(), "--seeds", &COUNT.to_string()]);
    assert_eq!(there(&mut swarm), here());
}
