//! `cargo xtask npm`: the npm package, from the module in `wasm/klamm` and the scripts in `wasm/js`.

mod examples;
mod module;
mod pack;
pub(crate) mod packed;
pub(crate) mod size;

pub(crate) use module::BINARYEN;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::build::{bridge_program, cluster_program, output_of};

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    match args.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("build", [])) => {
            println!("{}", build()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Some(("pack", [])) => {
            pack::pack()?.print();
            Ok(ExitCode::SUCCESS)
        }
        Some(("packed", flags)) => {
            let [simulated, real] = crate::flags(flags, ["--simulated", "--real"])?;
            packed::main(simulated, real)
        }
        Some(("test", [])) => test(&build()?),
        Some(("size", flags)) => size::main(&build()?, crate::flags(flags, ["--check", "--save"])?),
        _ => {
            Err("cargo xtask npm build | pack | packed [--simulated | --real] | test | size [--check] [--save]".into())
        }
    }
}

/// Puts the package together.
pub(crate) fn build() -> Result<PathBuf> {
    let module = module::build()?;
    let package = crate::root().join("target/npm/klamm");
    // What an earlier version had must not stay.
    if package.exists() {
        fs::remove_dir_all(&package).map_err(|error| format!("{}: {error}", package.display()))?;
    }
    let scripts = crate::root().join("wasm/js");
    copy_files(&scripts, &package)?;
    copy_files(&scripts.join("transports"), &package.join("transports"))?;
    copy(&module, &package.join("klamm.wasm"))?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&crate::root().join(license), &package.join(license))?;
    }
    Ok(package)
}

/// Runs the tests that are written for Node.
fn test(package: &Path) -> Result<ExitCode> {
    let (cluster, bridge) = (cluster_program()?, bridge_program()?);
    let tests = crate::root().join("wasm/js/test");
    let mut files: Vec<PathBuf> = list(&tests)?;
    files.retain(|file| file.to_string_lossy().ends_with(".test.js"));
    let mut node = Command::new("node");
    // Node 20 has it behind a flag.
    if output_of(Path::new("node"), &["-p", "typeof WebSocket"])?.trim() == "undefined" {
        node.arg("--experimental-websocket");
    }
    // One after the other: speed is measured as well.
    node.args(["--test", "--test-concurrency", "1", "--test-reporter", "spec"]).args(files);
    node.env("KLAMM_PACKAGE", package).env("KLAMM_CLUSTER", cluster).env("KLAMM_BRIDGE", bridge);
    node.current_dir(crate::root());
    let status = node.stdin(Stdio::null()).status().map_err(|error| format!("cannot run node: {error}"))?;
    if status.success() { Ok(ExitCode::SUCCESS) } else { Err(format!("node --test: {status}")) }
}

/// Copies a folder's files, those of folders in it not.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for file in list(from)?.iter().filter(|file| file.is_file()) {
        copy(file, &to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Without permissions: cargo makes the module executable, and the tarball would say so.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::write(to, read(from)?).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// What is in a folder, in order.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let error = |error| format!("{}: {error}", dir.display());
    let entries: Result<Vec<PathBuf>> =
        fs::read_dir(dir).map_err(error)?.map(|entry| entry.map(|entry| entry.path()).map_err(error)).collect();
    let mut entries = entries?;
    entries.sort();
    Ok(entries)
}
