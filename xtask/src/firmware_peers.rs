//! `cargo xtask firmware peers`: the same readings by klamm and by two MQTT clients for boards, built the same way and measured
//! side by side. `tests/board-peers` has the images.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::Result;
use crate::build::{executable, firmware_program, output_of};
use crate::firmware::TARGET;
use crate::lean;
use crate::needs::toolchain;

/// Where the images are.
const FOLDER: &str = "tests/board-peers";
/// The images, by what each is called in its own table of parts.
const CLIENTS: [&str; 3] = ["klamm", "rust-mqtt", "minimq"];
/// What the table cannot say.
const TEXT: &str = "
Built, not run: the same board that nobody emulates, smoltcp 0.13 with DHCP and DNS, opt-level s, fat LTO, Rust's library built along
with panic=immediate-abort. Each publishes the same 10 000 readings of 100 B with a key and a header (MQTT 5: topic and user property), has
4 KiB for readings that are not stored yet, connects anew and sends again what was not acknowledged. The client's flash is what the
debugger's table of lines puts into its sources (klamm: core and driver), its RAM are its statics; klamm has no futures, those of the
others are on the stack, which is not measured here.

What they do not do: batches (each reading is a packet of its own, with its topic, and an acknowledgement), idempotence (QoS 1 doubles a
reading whenever an acknowledgement is lost), partitions and their leaders (one broker, one connection), time limits and an outcome for each
record, compression. minimq has eight messages in flight at most and drops them when the broker has forgotten its session; rust-mqtt
leaves keeping and sending again to the application, which has 4 KiB of readings for it here.
What they do and klamm does not: receive (subscriptions, wills, retained messages), QoS 2 and 0 by message, sessions that outlive a
connection at the broker; MQTT 5's authentication.";

/// An image's numbers: `flash/smoltcp` and the like.
type Numbers = BTreeMap<String, u64>;

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let target = match args {
        [] => TARGET,
        [flag, target] if flag == "--target" => target,
        _ => return Err(format!("unknown argument `{}`; there is --target", args.join(" "))),
    };
    let program = firmware_program()?;
    let mut columns = Vec::new();
    for client in CLIENTS {
        let image = build(client, target)?.display().to_string();
        columns.push(numbers(&output_of(&program, &["measure", "--static", "--image", &image])?));
    }
    println!("{}", table(target, &columns)?);
    println!("{TEXT}");
    Ok(ExitCode::SUCCESS)
}

fn build(client: &str, target: &str) -> Result<PathBuf> {
    let toolchain = toolchain(target)?;
    let mut cargo = Command::new(toolchain.cargo());
    cargo.current_dir(crate::root().join(FOLDER));
    cargo.args(["build", "--release", "--locked", "-p", &format!("peer-{client}")]).args(toolchain.args());
    cargo.arg("--target-dir").arg(crate::root().join("target/board-peers"));
    cargo.envs(toolchain.env(target)).env("CARGO_INCREMENTAL", "0");
    lean::build_for(&mut cargo, target, &toolchain)?;
    executable(cargo, &format!("{FOLDER}/{client} for {target}"))
}

/// Lines of `kind/name value`.
fn numbers(text: &str) -> Numbers {
    let number = |line: &str| line.split_once(' ').and_then(|(name, value)| Some((name.into(), value.parse().ok()?)));
    text.lines().filter_map(number).collect()
}

fn table(target: &str, columns: &[Numbers]) -> Result<String> {
    let lock = crate::root().join(FOLDER).join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
    let mut table = format!("| {target} |");
    for client in CLIENTS {
        table +=
            &format!(" {client}{} |", version(&lock, client).map(|version| format!(" {version}")).unwrap_or_default());
    }
    table += "\n|---|---:|---:|---:|";
    for (name, value) in ROWS {
        table += &format!("\n| {name} (B) |");
        for (client, numbers) in CLIENTS.iter().zip(columns) {
            match value(client, numbers) {
                0 => return Err(format!("{client}: nothing was measured of: {name}")),
                bytes => table += &format!(" {bytes} |"),
            }
        }
    }
    Ok(table)
}

/// A row's name, and its value for a client's numbers.
type Row = (&'static str, fn(&str, &Numbers) -> u64);

const ROWS: [Row; 7] = [
    ("flash: the client", |client, numbers| match client {
        "klamm" => get(numbers, "flash/klamm-core") + get(numbers, "flash/klamm-smoltcp"),
        other => get(numbers, &format!("flash/{other}")),
    }),
    ("flash: application and board", |_, numbers| get(numbers, "flash/application") + get(numbers, "flash/board")),
    ("flash: smoltcp", |_, numbers| get(numbers, "flash/smoltcp")),
    ("flash: Rust's library, constants, initial values of RAM", |_, numbers| {
        ["rust-library", "constants", "initial-values"].iter().map(|part| get(numbers, &format!("flash/{part}"))).sum()
    }),
    ("flash: all", |_, numbers| get(numbers, "flash/all")),
    ("static RAM: the client with 4 KiB for readings", |_, numbers| {
        CLIENT_RAM.iter().map(|name| get(numbers, &format!("ram/{name}"))).sum()
    }),
    ("static RAM: all", |_, numbers| get(numbers, "ram/all")),
];

/// The client's variables, in all of the images.
const CLIENT_RAM: [&str; 6] =
    ["client", "client_tables", "client_connections", "incoming_buffer", "outgoing_buffer", "store"];

fn get(numbers: &Numbers, name: &str) -> u64 {
    numbers.get(name).copied().unwrap_or(0)
}

/// The version of a package in a lock file; none for what has no release.
fn version(lock: &str, package: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_no_row() {
        let numbers = numbers("flash/all 10\nnonsense\nflash/smoltcp 4\n");
        assert_eq!(get(&numbers, "flash/smoltcp"), 4);
        assert!(table("t", &[numbers.clone(), numbers.clone(), numbers]).is_err());
    }

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n";
        assert_eq!((version(lock, "a").as_deref(), version(lock, "b")), (Some("1.2.3"), None));
    }
}
