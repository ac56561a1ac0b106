//! The core's unit tests as WebAssembly, in Node: the vectors' encoders and decoders among them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";
const FEATURES: &str = "alloc,lz4,librdkafka-partitioners";

/// Builds the core's tests.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--no-run", "-p", "klamm-core", "--lib", "--features", FEATURES, "--target", TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]);
    cargo.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm"));
    // They take a tenth of the time, and are small enough for a page.
    for profile in ["DEV", "TEST"] {
        cargo.env(format!("CARGO_PROFILE_{profile}_OPT_LEVEL"), "1").env(format!("CARGO_PROFILE_{profile}_DEBUG"), "0");
    }
    // Those of the test's own build.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_TARGET").current_dir(root).stderr(Stdio::inherit());
    let output = cargo.output().expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "the core's tests do not build; they need `rustup target add {TARGET}`");
    let messages = String::from_utf8(output.stdout).unwrap();
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo names what it has built")
}

/// The vectors of these kinds.
fn known(kinds: &[&str]) -> BTreeSet<String> {
    let index: Value = serde_json::from_str(&klamm_vectors::read("INDEX.json")).unwrap();
    let entries = index.as_array().unwrap().iter();
    let entries = entries.filter(|entry| entry["kind"].as_str().is_some_and(|kind| kinds.contains(&kind)));
    entries.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// The vectors that the tests have read there.
fn read_by(script: &str, arguments: &[&str], module: &Path) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(folder.join("wasm").join(script)).args(arguments).arg(module).arg(folder.join("data"));
    let output = node.output().expect("`node` is installed, version 20 or later");
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{wrong}", output.status);
    told.lines().map(str::to_owned).collect()
}

fn check(read: &BTreeSet<String>) {
    // Most batches are written; those of other codecs are read by others.
    let batches = known(&["record_batch_v2"]);
    let met = batches.iter().filter(|name| read.contains(&format!("{name}.hex"))).count();
    println!("{} files of vectors, {met} of {} batches among them", read.len(), batches.len());
    assert!(met >= 15 && read.len() >= 200, "too few vectors were read: {read:?}");
}

#[test]
#[ignore = "needs Node and a target; the suite `threeworlds` runs it"]
fn the_cores_tests_hold_in_node() {
    check(&read_by("tests.mjs", &[], &build()));
}

#[test]
#[ignore = "needs Chromium and a target; the suite `threeworlds` runs it"]
fn the_cores_tests_hold_in_chromium() {
    check(&read_by("chromium.mjs", &["vectors"], &build()));
}
