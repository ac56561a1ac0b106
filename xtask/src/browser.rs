//! `cargo xtask browser`: the page of `examples/browser` put together, and the tests in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::build::{bridge_program, output_of};
use crate::needs::{Need, ensure, node_package};
use crate::npm;

/// Steers Chromium; without browsers of its own.
pub(crate) const PLAYWRIGHT: (&str, &str) = ("playwright-core", "1.65.1");
/// The bundler whose output is tested.
pub(crate) const ESBUILD: (&str, &str) = ("esbuild", "0.28.2");

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    match args {
        [command] if command == "site" => {
            println!("{}", site()?.display());
            Ok(ExitCode::SUCCESS)
        }
        [command, names @ ..] if command == "test" => test(names),
        _ => Err("cargo xtask browser site | test [NAME]".into()),
    }
}

/// Puts the page and the package that it uses into one folder, for any server.
pub(crate) fn site() -> Result<PathBuf> {
    let package = npm::build()?;
    let site = crate::root().join("target/browser/site");
    if site.exists() {
        fs::remove_dir_all(&site).map_err(|error| format!("{}: {error}", site.display()))?;
    }
    npm::copy_files(&crate::root().join("examples/browser"), &site)?;
    npm::copy_files(&package, &site.join("klamm"))?;
    npm::copy_files(&package.join("transports"), &site.join("klamm/transports"))?;
    Ok(site)
}

/// Runs `tests/browser`: all, or those whose names match.
fn test(names: &[String]) -> Result<ExitCode> {
    let needs = [
        Need::Node,
        Need::Chromium,
        Need::Kafka,
        Need::NodePackage(PLAYWRIGHT.0, PLAYWRIGHT.1),
        Need::NodePackage(ESBUILD.0, ESBUILD.1),
    ];
    needs.into_iter().try_for_each(ensure)?;
    let site = site()?;
    let artefacts = crate::root().join("target/browser");
    let mut node = Command::new("node");
    // None takes half of that; what hangs is to be told of while the suite has time.
    node.args(["--test", "--test-reporter", "spec", "--test-timeout", "120000"]);
    node.args(names.iter().map(|name| format!("--test-name-pattern={name}")));
    node.arg(crate::root().join("tests/browser/browser.test.mjs"));
    node.env("KLAMM_SITE", &site).env("KLAMM_ARTEFACTS", &artefacts).env("KLAMM_BRIDGE", bridge_program()?);
    node.env("KLAMM_XTASK", std::env::current_exe().map_err(|error| error.to_string())?);
    node.env("KLAMM_CHROMIUM", output_of(Path::new("sh"), &["-c", "command -v chromium"])?.trim());
    node.env("KLAMM_PLAYWRIGHT", node_package(PLAYWRIGHT.0, PLAYWRIGHT.1)?);
    node.env("KLAMM_ESBUILD", node_package(ESBUILD.0, ESBUILD.1)?);
    let status = node.current_dir(crate::root()).stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("cannot run node: {error}"))?;
    println!("screenshots are in {}", artefacts.display());
    if status.success() { Ok(ExitCode::SUCCESS) } else { Err(format!("node --test: {status}")) }
}
