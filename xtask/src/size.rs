//! `cargo xtask size`: RAM of the tables, flash of the smallest firmwares, and the smallest program for servers.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use crate::Result;
use crate::bench::verdict;
use crate::build::{
    bench_program, minimal_dependencies, minimal_firmware, minimal_program, output_of, publishing_firmware,
};
use crate::elf::{self, Image, room};
use crate::limits::{Limits, Measured};

/// The target that is always measured.
const MAIN_TARGET: &str = "thumbv7m-none-eabi";
/// How the example's own symbols begin.
const EXAMPLE: &str = "minimal_thumb::";
/// Measured as well where the firmware builds for them.
const OTHER_TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "riscv32imc-unknown-none-elf"];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let [check, save] = crate::flags(args, ["--check", "--save"])?;
    let mut limits = Limits::load()?;
    let mut ram = measure_slots()?;
    let mut flash = Vec::new();
    let mut targets = Vec::new();
    for target in [MAIN_TARGET, OTHER_TARGETS[0], OTHER_TARGETS[1]] {
        let image = minimal_firmware(target).and_then(|path| elf::read(&path));
        match image {
            Ok(image) => {
                ram.extend(statics(target, &image));
                flash.extend(measure_flash(target, &image));
                targets.push(target);
            }
            Err(why) if target == MAIN_TARGET => return Err(why),
            Err(why) => println!("not measured: {why}"),
        }
    }
    flash.extend(measure_publisher()?);
    let program = measure_program()?;
    print_table("what | bytes of RAM", &ram, "ram", &limits);
    print_table("target/room | bytes of flash", &flash, "flash", &limits);
    print_table("examples/minimal-std | bytes, crates", &program, "program", &limits);

    // Slots are measured always, the rest for the targets that can be built.
    let covers = |name: &str| !name.contains('/') || targets.iter().any(|target| name.starts_with(target));
    if save {
        limits.save("ram", &ram, covers)?;
        limits.save("flash", &flash, covers)?;
    }
    let mut wrong = Vec::new();
    if check {
        wrong.extend(limits.violations("ram", &ram, covers));
        wrong.extend(limits.violations("flash", &flash, covers));
        // Not saved: these are promises, not measurements.
        wrong.extend(limits.violations("program", &program, |_| true));
    }
    match crate::npm::build() {
        Ok(package) => wrong.extend(crate::npm::size::main(&package, [check, save]).err()),
        Err(why) => println!("not measured: the npm package: {why}"),
    }
    Ok(verdict(&wrong))
}

fn measure_slots() -> Result<Vec<Measured>> {
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

/// The stripped size of the smallest program for servers, what of it a program without klamm has not, and how many crates it is
/// made of besides itself.
fn measure_program() -> Result<Vec<Measured>> {
    let path = minimal_program()?;
    let size = |name: &str| {
        let path = path.with_file_name(name);
        let file = fs::metadata(&path).map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
        Result::Ok(file.len())
    };
    let (whole, nothing) = (size("minimal-std")?, size("nothing")?);
    let measured = |name: &str, value| Measured { name: name.to_owned(), value };
    Ok(vec![
        measured("stripped_bytes", whole),
        measured("stripped_bytes_beyond_nothing", whole.saturating_sub(nothing)),
        measured("dependencies", minimal_dependencies()?.len() as u64),
    ])
}

/// Flash of the smallest firmware that publishes over smoltcp: all of it, and smoltcp's own functions. Core and driver are inlined
/// into each other and into the example, so that the rest is theirs together.
fn measure_publisher() -> Result<Vec<Measured>> {
    let image = elf::read(&publishing_firmware(MAIN_TARGET)?)?;
    let in_flash = image.symbols.iter().filter(|symbol| symbol.in_flash);
    let stack = in_flash.filter(|symbol| symbol.name.contains("smoltcp::") && room(&symbol.name).is_none());
    let stack = stack.filter(|symbol| !symbol.name.contains("minimal_smoltcp::")).map(|symbol| symbol.size).sum();
    let measured = |name: &str, value| Measured { name: format!("{MAIN_TARGET}/publisher/{name}"), value };
    Ok(vec![measured("smoltcp", stack), measured("total", image.flash)])
}

/// The firmware's variables: the producer and its storage.
fn statics(target: &str, image: &Image) -> Vec<Measured> {
    let variables = image.symbols.iter().filter_map(|symbol| Some((variable(&symbol.name)?, symbol.size)));
    variables.map(|(name, value)| Measured { name: format!("{target}/{}", name.to_lowercase()), value }).collect()
}

/// The name of one of the example's variables.
fn variable(symbol: &str) -> Option<&str> {
    symbol.strip_prefix(EXAMPLE).filter(|name| name.chars().all(|c| c.is_ascii_uppercase()))
}

fn measure_flash(target: &str, image: &Image) -> Vec<Measured> {
    let measured = |name: &str, value| Measured { name: format!("{target}/{name}"), value };
    let rooms = by_room(image);
    let mut all: Vec<Measured> = rooms.iter().map(|(room, bytes)| measured(room, *bytes)).collect();
    all.push(measured("ours", rooms.values().sum()));
    all.push(measured("total", image.flash));
    all
}

/// Inlined code counts where it went, even into the example, which has next to none of its own; constants without a name
/// and initial values of variables count in the total only.
fn by_room(image: &Image) -> BTreeMap<&str, u64> {
    let mut rooms = BTreeMap::new();
    for symbol in image.symbols.iter().filter(|symbol| symbol.in_flash && symbol.size > 0) {
        if variable(&symbol.name).is_some() {
            continue;
        }
        let is_example = symbol.name == "_start" || symbol.name.starts_with(EXAMPLE);
        if let Some(room) = is_example.then_some("(example)").or_else(|| room(&symbol.name)) {
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
