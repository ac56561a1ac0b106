//! Instructions per reading, on the emulated core.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::Result;
use crate::cluster::{Cluster, Simulated};
use crate::qemu::Qemu;
use crate::scenarios::BYTES;

/// One instruction is one nanosecond of the board's time, and the board's clock tells how long it did not sleep.
const COUNT: [&str; 2] = ["-icount", "shift=0,sleep=on"];
const LIMIT: Duration = Duration::from_secs(120);
/// Readings of the two runs whose difference counts: what is done once, for DHCP and connections, drops out.
const FEW: u32 = 2_000;
const MANY: u32 = 22_000;

/// Prints what one more reading costs.
pub(crate) fn main(image: &Path) -> Result<ExitCode> {
    let (few, many) = (busy_us(image, FEW)?, busy_us(image, MANY)?);
    let instructions = many.saturating_sub(few) * 1000 / u64::from(MANY - FEW);
    println!("{FEW} readings: {few} us awake; {MANY} readings: {many} us awake; 1 000 instructions each");
    println!(
        "instructions per reading of {BYTES} B, sensor, core, smoltcp and Ethernet driver together: {instructions}"
    );
    Ok(ExitCode::SUCCESS)
}

fn busy_us(image: &Path, records: u32) -> Result<u64> {
    let cluster = Simulated::start(1)?;
    cluster.create_topic("readings", 4)?;
    let words = [
        format!("bootstrap={}", cluster.bootstrap()?),
        "topic=readings".into(),
        "partitions=4".into(),
        format!("records={records}"),
        format!("bytes={BYTES}"),
    ];
    let report = Qemu::start(image, &words, &COUNT, LIMIT)?.finish(|_| {})?;
    report.require_success()?;
    Ok(report.number("application", "busy_us"))
}
