//! `cargo xtask size`: RAM of the tables, and flash of the smallest firmware by room of the core.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::Result;
use crate::bench::verdict;
use crate::build::{bench_program, minimal_firmware, output_of};
use crate::elf::{self, Image, room};
use crate::limits::{Limits, Measured};

/// The target that is always measured.
const MAIN_TARGET: &str = "thumbv7m-none-eabi";
/// Measured as well where the firmware builds for them.
const OTHER_TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "riscv32imc-unknown-none-elf"];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let [check, save] = crate::flags(args, ["--check", "--save"])?;
    let mut limits = Limits::load()?;
    let ram = measure_ram()?;
    print_table("what | bytes of RAM", &ram, "ram", &limits);

    let mut flash = Vec::new();
    let mut targets = vec![MAIN_TARGET];
    flash.extend(measure_flash(MAIN_TARGET)?);
    for target in OTHER_TARGETS {
        match measure_flash(target) {
            Ok(more) => {
                flash.extend(more);
                targets.push(target);
            }
            Err(why) => println!("not measured: {why}"),
        }
    }
    print_table("target/room | bytes of flash", &flash, "flash", &limits);

    let covers = |name: &str| targets.iter().any(|target| name.starts_with(target));
    if save {
        limits.save("ram", &ram, |_| true)?;
        limits.save("flash", &flash, covers)?;
    }
    let mut wrong = Vec::new();
    if check {
        wrong.extend(limits.violations("ram", &ram, |_| true));
        wrong.extend(limits.violations("flash", &flash, covers));
    }
    Ok(verdict(&wrong))
}

fn measure_ram() -> Result<Vec<Measured>> {
    let text = output_of(&bench_program()?, &["sizes"])?;
    let parse = |line: &str| {
        let [name, value] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Measured { name: name.to_owned(), value: value.parse().ok()? })
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| parse(line).ok_or_else(|| format!("`klamm-bench sizes` printed `{line}`, not `name bytes`")))
        .collect()
}

fn measure_flash(target: &str) -> Result<Vec<Measured>> {
    let image = elf::read(&minimal_firmware(target)?)?;
    let measured = |name: &str, value| Measured { name: format!("{target}/{name}"), value };
    let rooms = by_room(&image);
    let mut all: Vec<Measured> = rooms.iter().map(|(room, bytes)| measured(room, *bytes)).collect();
    all.push(measured("ours", rooms.values().sum()));
    all.push(measured("total", image.flash));
    Ok(all)
}

/// Inlined code counts where it went; constants without a name only in the total.
fn by_room(image: &Image) -> BTreeMap<&str, u64> {
    let mut rooms = BTreeMap::new();
    for symbol in image.symbols.iter().filter(|symbol| symbol.in_flash && symbol.size > 0) {
        if let Some(room) = room(&symbol.name) {
            *rooms.entry(room).or_default() += symbol.size;
        }
    }
    rooms
}

fn print_table(heading: &str, measured: &[Measured], kind: &str, limits: &Limits) {
    println!("| {heading} | limit |\n|---|---:|---:|");
    for Measured { name, value } in measured {
        let limit = limits.get(kind, name).map(|limit| limit.to_string());
        println!("| {name} | {value} | {} |", limit.as_deref().unwrap_or("none"));
    }
    println!();
}
