//! What the image costs: flash, RAM, stack, and instructions per reading on the emulated core.
//!
//! Prints `kind/name value` lines, which `cargo xtask firmware size` holds to their limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::cluster::{Cluster, Simulated};
use crate::parts::Parts;
use crate::qemu::{Qemu, Report, own_path};
use crate::scenarios::BYTES;

/// One instruction is one nanosecond of the board's time, and the board's clock tells how long it did not sleep.
const COUNT: [&str; 2] = ["-icount", "shift=0,sleep=on"];
/// And every one of them is told, with its address.
const TRACE: [&str; 3] = ["-singlestep", "-d", "exec,nochain"];
const LIMIT: Duration = Duration::from_secs(300);
/// Readings of the two runs whose difference counts: what is done once, for DHCP and connections, drops out.
const COUNTED: (u32, u32) = (2_000, 22_000);
/// The same where every instruction is looked at.
const TRACED: (u32, u32) = (200, 1_000);

/// Prints all of it; what only a run can tell, if it can be `run`.
pub(crate) fn main(image: &Path, run: bool) -> Result<ExitCode> {
    let bytes = fs::read(image).map_err(|error| format!("cannot read {}: {error}", image.display()))?;
    let parts = Parts::read(&bytes)?;
    for (part, bytes) in parts.flash()?.into_iter().filter(|(_, bytes)| *bytes > 0) {
        println!("flash/{part} {bytes}");
    }
    for (variable, bytes) in parts.ram() {
        println!("ram/{variable} {bytes}");
    }
    if !run {
        return Ok(ExitCode::SUCCESS);
    }
    let (few, many) = (publish(image, COUNTED.0, &COUNT)?, publish(image, COUNTED.1, &COUNT)?);
    println!("stack/used {}", many.number("stack", "used"));
    println!("stack/left {}", many.number("stack", "left"));
    let awake_us = many.number("application", "busy_us").saturating_sub(few.number("application", "busy_us"));
    println!("instructions/all {}", awake_us * 1000 / u64::from(COUNTED.1 - COUNTED.0));
    for (part, instructions) in instructions(image, &parts)? {
        println!("instructions/{part} {instructions}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Publishes so many readings to a simulated broker.
fn publish(image: &Path, records: u32, extra: &[&str]) -> Result<Report> {
    let cluster = Simulated::start(1)?;
    cluster.create_topic("readings", 4)?;
    let words = [
        format!("bootstrap={}", cluster.bootstrap()?),
        "topic=readings".into(),
        "partitions=4".into(),
        format!("records={records}"),
        format!("bytes={BYTES}"),
    ];
    let report = Qemu::start(image, &words, extra, LIMIT)?.finish(|_| {})?;
    report.require_success()?;
    Ok(report)
}

/// Instructions per reading, by the part that they come from.
fn instructions(image: &Path, parts: &Parts<'_>) -> Result<BTreeMap<&'static str, u64>> {
    let (few, many) = (trace(image, TRACED.0)?, trace(image, TRACED.1)?);
    let mut sums = BTreeMap::<&'static str, i64>::new();
    for (counts, sign) in [(many, 1), (few, -1)] {
        for (address, count) in counts {
            *sums.entry(parts.part(address)?).or_default() += sign * count;
        }
    }
    let readings = i64::from(TRACED.1 - TRACED.0);
    Ok(sums.into_iter().map(|(part, count)| (part, u64::try_from(count / readings).unwrap_or(0))).collect())
}

/// How often each instruction ran, by address.
fn trace(image: &Path, records: u32) -> Result<BTreeMap<u64, i64>> {
    let pipe = Pipe::new()?;
    let path = pipe.0.display().to_string();
    let reader = {
        let path = path.clone();
        thread::spawn(move || -> std::io::Result<BTreeMap<u64, i64>> {
            let mut counts = BTreeMap::new();
            for line in BufReader::with_capacity(1 << 20, File::open(path)?).lines() {
                if let Some(address) = address(&line?) {
                    *counts.entry(address).or_default() += 1;
                }
            }
            Ok(counts)
        })
    };
    let extra = [&COUNT[..], &TRACE[..], &["-D", &path]].concat();
    publish(image, records, &extra)?;
    let counts = reader.join().map_err(|_| "the reader of the trace panicked")?;
    counts.map_err(|error| format!("cannot read the trace: {error}"))
}

/// The address in a line such as `Trace 0: 0x7f61 [00800400/00006aa0/00000110/ff000201] name`.
fn address(line: &str) -> Option<u64> {
    let (_, fields) = line.strip_prefix("Trace ")?.split_once('[')?;
    u64::from_str_radix(fields.split('/').nth(1)?, 16).ok()
}

/// A named pipe, removed in the end.
struct Pipe(PathBuf);

impl Pipe {
    fn new() -> Result<Self> {
        let path = own_path("trace");
        let made = Command::new("mkfifo").arg(&path).status();
        match made {
            Ok(status) if status.success() => Ok(Self(path)),
            _ => Err(format!("cannot make a pipe at {}", path.display())),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_traces() {
        assert_eq!(address("Trace 0: 0x7f6110000240 [00800400/00006aa0/00000110/ff000201] __pre_init"), Some(0x6aa0));
        assert_eq!(address("Stopped execution of TB chain"), None);
    }
}
