//! The third world: the core as WebAssembly, driven by JavaScript over Node's sockets.

use klamm_sim::ClusterOptions;
use klamm_sim::tcp::TcpCluster;
use klamm_worlds::{BROKERS, PARTITIONS, RECORDS, TOPIC, WALL_CLOCK_MS, check_log};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the module in the target folder's corner for tests.
fn build() -> PathBuf {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("worlds-wasm");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm"))
        // Those of the test's own build.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo runs, since it runs this test");
    assert!(status.success(), "tests/worlds/wasm does not build; it needs `rustup target add {TARGET}`");
    target_dir.join(TARGET).join("release/klamm_worlds_wasm.wasm")
}

#[test]
fn publishes_from_webassembly_in_node() {
    let module = build();
    let cluster = TcpCluster::start(ClusterOptions { brokers: BROKERS, ..ClusterOptions::default() }).unwrap();
    cluster.with(|cluster| cluster.create_topic(TOPIC, PARTITIONS));
    let output = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm/worlds.mjs"))
        .arg(module)
        .args([&cluster.bootstrap_servers(), TOPIC, &RECORDS.to_string(), &WALL_CLOCK_MS.to_string()])
        .output()
        .expect("`node` is installed, version 20 or later");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    cluster.with(|cluster| check_log(cluster));
}
