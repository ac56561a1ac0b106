//! What an image is made of: its code by crate, through the debugger's table of lines.
//!
//! Symbols would not do: the linker's optimiser puts core, driver and smoltcp into each other's functions. The table knows for
//! each address the line that it comes from, and into which lines that was inlined.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use addr2line::Context;
use addr2line::gimli::{self, Dwarf, EndianSlice, LittleEndian, SectionId};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::Result;

/// The smallest instruction.
const STEP: usize = 2;

/// Prints flash and RAM of an image, part by part.
pub(crate) fn print(image: &Path) -> Result<()> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", image.display());
    let bytes = fs::read(image).map_err(|error| wrong(&error))?;
    let file: ElfFile32<'_> = ElfFile32::parse(&*bytes).map_err(|error| wrong(&error))?;
    let code = code(&file).map_err(|error| wrong(&error))?;
    let section = |name: &str| file.section_by_name(name).map_or(0, |section| section.size());
    let (constants, vectors) = (section(".rodata"), section(".vector_table"));
    let (data, zeroed) = (section(".data"), section(".bss"));
    println!("| flash | bytes |\n|---|---:|");
    for (part, bytes) in &code {
        println!("| {part} | {bytes} |");
    }
    println!(
        "| constants | {constants} |\n| interrupt vectors | {vectors} |\n| initial values of variables | {data} |"
    );
    println!("| **all** | {} |\n", code.values().sum::<u64>() + constants + vectors + data);
    println!("| static RAM | bytes |\n|---|---:|");
    let mut variables: Vec<(String, u64)> = file
        .symbols()
        .filter(|symbol| {
            let kind = symbol.section_index().and_then(|index| Some(file.section_by_index(index).ok()?.kind()));
            symbol.size() >= 64 && matches!(kind, Some(SectionKind::Data | SectionKind::UninitializedData))
        })
        .map(|symbol| (last_word(symbol.name().unwrap_or_default()), symbol.size()))
        .collect();
    variables.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    for (name, size) in variables {
        println!("| {name} | {size} |");
    }
    println!("| **all** | {} |\n", data + zeroed);
    Ok(())
}

/// Bytes of code by the crate that they come from.
fn code(file: &ElfFile32<'_>) -> std::result::Result<BTreeMap<&'static str, u64>, Box<dyn std::error::Error>> {
    let mut parts = BTreeMap::new();
    let section = file.section_by_name(".text").ok_or("it has no code")?;
    let load = |id: SectionId| {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok::<_, gimli::Error>(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    };
    let context = Context::from_dwarf(Dwarf::load(load)?)?;
    for address in (section.address()..section.address() + section.size()).step_by(STEP) {
        let mut part = None;
        let mut frames = context.find_frames(address).skip_all_loads()?;
        // From the innermost outwards: the library's code counts for whoever uses it.
        while let (None, Some(frame)) = (part, frames.next()?) {
            part = frame.location.and_then(|location| location.file).and_then(part_of);
        }
        *parts.entry(part.unwrap_or(RUST)).or_default() += STEP as u64;
    }
    Ok(parts)
}

const RUST: &str = "Rust's library and compiler";

/// The part of the image that a source file belongs to; `None` for Rust's own library.
fn part_of(file: &str) -> Option<&'static str> {
    let own = |folder: &str| Path::new(file).starts_with(crate::root().join(folder));
    let crates = [
        ("core", "klamm-core"),
        ("transport-smoltcp", "klamm-smoltcp"),
        ("examples/firmware/app", "the application"),
        ("examples/firmware", "the board"),
    ];
    if let Some((_, part)) = crates.iter().find(|(folder, _)| own(folder)) {
        return Some(part);
    }
    let is_smoltcp = ["/smoltcp-", "/managed-", "/heapless-", "/byteorder-"].iter().any(|name| file.contains(name));
    if is_smoltcp {
        return Some("smoltcp");
    }
    ["/cortex-m", "/defmt", "/semihosting-"].iter().any(|name| file.contains(name)).then_some("the board")
}

fn last_word(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    name.rsplit("::").next().unwrap_or_default().to_owned()
}
