//! The WebAssembly module of the npm package, as small as it can be made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::build::output_of;
use crate::lean::ABORT;
use crate::needs::{Toolchain, has_library_source, node_package, toolchain};

const TARGET: &str = "wasm32-unknown-unknown";
/// Has `wasm-opt`. Debian's version writes modules that do not start.
pub(crate) const BINARYEN: (&str, &str) = ("binaryen", "132.0.0");
/// The second round finds what the new structure of the first has laid bare.
const OPTIMISE: [&str; 7] =
    ["-Oz", "--flatten", "--rereloop", "-Oz", "-Oz", "--strip-producers", "--strip-target-features"];
/// What every host with WebAssembly has had for years, and Rust uses by default.
const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Builds the module; says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let built = compile()?;
    let small = built.with_file_name("klamm.wasm");
    let (name, version) = BINARYEN;
    // A script, which Node runs on every system.
    let wasm_opt = node_package(name, version)?.join("node_modules/binaryen/bin/wasm-opt");
    let mut node = Command::new("node");
    node.arg(&wasm_opt).args(OPTIMISE).args(FEATURES).arg(&built).arg("-o").arg(&small).stdin(Stdio::null());
    let status = node.status().map_err(|error| format!("cannot run node: {error}"))?;
    if status.success() { Ok(small) } else { Err(format!("wasm-opt: {status}")) }
}

fn compile() -> Result<PathBuf> {
    let toolchain = toolchain(TARGET)?;
    let target_dir = crate::root().join("target/npm/module");
    let mut cargo = Command::new(toolchain.cargo());
    cargo.args(["build", "--release", "--target", TARGET, "--target-dir"]).arg(&target_dir).args(toolchain.args());
    cargo.envs(toolchain.env(TARGET));
    // The usual stack of a megabyte only makes every address longer; the core needs a few kilobytes.
    let mut flags = vec!["-Clink-arg=-zstack-size=65536".to_owned()];
    if toolchain != Toolchain::Rustup || has_library_source() {
        if toolchain == Toolchain::Rustup {
            cargo.arg("-Zbuild-std=core,alloc").env("RUSTC_BOOTSTRAP", "1");
        }
        cargo.arg("-Zbuild-std-features=optimize_for_size");
        // A panic is a trap, without words: they would be 2 KB. The other flag is less code for nothing.
        flags.extend(ABORT.split(' ').map(str::to_owned));
        flags.push("-Zmir-opt-level=3".into());
    } else {
        eprintln!("without rust-src the module has what tells of panics, and is larger");
    }
    flags.extend(nowhere()?);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    cargo.current_dir(crate::root().join("wasm/klamm")).stdin(Stdio::null());
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    let module = target_dir.join(TARGET).join("release/klamm_wasm.wasm");
    if status.success() { Ok(module) } else { Err("wasm/klamm does not build".into()) }
}

/// Flags that keep this machine's folders out of the module: the places of panics are in it.
fn nowhere() -> Result<Vec<String>> {
    let home = std::env::var("HOME").unwrap_or_default();
    let cargo_home = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let sysroot = output_of(Path::new("rustc"), &["--print", "sysroot"])?;
    let places = [
        (crate::root().display().to_string(), "klamm"),
        (format!("{cargo_home}/registry/src"), "crates"),
        (sysroot.trim().to_owned(), "rust"),
    ];
    Ok(places.map(|(from, to)| format!("--remap-path-prefix={from}={to}")).into())
}
