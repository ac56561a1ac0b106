//! What an image is made of: which part each instruction comes from, and its variables.
//!
//! Symbols would not do: the linker's optimiser puts core, driver and smoltcp into each other's functions. The debugger's table
//! of lines knows for each address the line that it comes from, and into which lines that was inlined.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use addr2line::Context;
use addr2line::gimli::{self, Dwarf, EndianSlice, LittleEndian, SectionId};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::Result;

/// The smallest instruction, in bytes.
const STEP: usize = 2;
/// Variables smaller than this are not worth a line.
const VARIABLE: u64 = 64;
/// What is nobody else's: start-up, division, copying.
const RUST: &str = "rust-library";
const CORE: &str = "klamm-core";
/// What the compiler took out of several functions, which is of no line: it does that where the level is "z", so it counts for the core.
const OUTLINED: &str = "OUTLINED_FUNCTION_";

/// An image and its table of lines.
pub(crate) struct Parts<'i> {
    file: ElfFile32<'i>,
    lines: Context<EndianSlice<'i, LittleEndian>>,
}

impl<'i> Parts<'i> {
    pub(crate) fn read(image: &'i [u8]) -> Result<Self> {
        let file: ElfFile32<'_> = ElfFile32::parse(image).map_err(text)?;
        let load = |id: SectionId| {
            let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
            Ok::<_, gimli::Error>(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
        };
        let lines = Context::from_dwarf(Dwarf::load(load).map_err(text)?).map_err(text)?;
        Ok(Self { file, lines })
    }

    /// Bytes of flash by part, and of all.
    pub(crate) fn flash(&self) -> Result<BTreeMap<&'static str, u64>> {
        let mut parts = BTreeMap::new();
        let outlined = self.outlined();
        let section = self.file.section_by_name(".text").ok_or("it has no code")?;
        for address in (section.address()..section.address() + section.size()).step_by(STEP) {
            let part = if outlined.iter().any(|range| range.contains(&address)) { CORE } else { self.part(address)? };
            *parts.entry(part).or_default() += STEP as u64;
        }
        parts.insert("constants", self.section(".rodata"));
        parts.insert("vectors", self.section(".vector_table"));
        parts.insert("initial-values", self.section(".data"));
        parts.insert("all", parts.values().sum());
        Ok(parts)
    }

    /// Where [`OUTLINED`] functions are.
    fn outlined(&self) -> Vec<Range<u64>> {
        let own = self.file.symbols().filter(|symbol| symbol.name().is_ok_and(|name| name.starts_with(OUTLINED)));
        // The lowest bit says that it is Thumb code.
        own.map(|symbol| symbol.address() & !1..(symbol.address() & !1) + symbol.size()).collect()
    }

    /// Bytes of static RAM by variable, and of all.
    pub(crate) fn ram(&self) -> BTreeMap<String, u64> {
        let symbols = self.file.symbols().filter(|symbol| symbol.size() >= VARIABLE && self.is_variable(symbol));
        let name = |name: &str| {
            let name = format!("{:#}", rustc_demangle::demangle(name));
            name.rsplit("::").next().unwrap_or_default().to_lowercase()
        };
        let mut variables = BTreeMap::<String, u64>::new();
        // Some have a name in common, as embassy's pools have: one for each kind of task.
        for symbol in symbols {
            *variables.entry(name(symbol.name().unwrap_or_default())).or_default() += symbol.size();
        }
        variables.insert("all".into(), self.section(".data") + self.section(".bss"));
        variables
    }

    /// The part that the instruction at this address is of.
    pub(crate) fn part(&self, address: u64) -> Result<&'static str> {
        let mut frames = self.lines.find_frames(address).skip_all_loads().map_err(text)?;
        // From the innermost outwards: the library's code counts for whoever uses it.
        while let Some(frame) = frames.next().map_err(text)? {
            if let Some(part) = frame.location.and_then(|location| location.file).and_then(part_of) {
                return Ok(part);
            }
        }
        Ok(RUST)
    }

    fn section(&self, name: &str) -> u64 {
        self.file.section_by_name(name).map_or(0, |section| section.size())
    }

    fn is_variable<'d>(&self, symbol: &impl ObjectSymbol<'d>) -> bool {
        let section = symbol.section_index().and_then(|index| self.file.section_by_index(index).ok());
        matches!(section.map(|s| s.kind()), Some(SectionKind::Data | SectionKind::UninitializedData))
    }
}

fn text(error: impl Display) -> String {
    format!("cannot read the image: {error}")
}

/// The part of the image that a source file belongs to; `None` for Rust's own library, and for heapless, which is in the place
/// of its collections: it counts for whoever uses it.
fn part_of(file: &str) -> Option<&'static str> {
    const OURS: [(&str, &str); 7] = [
        ("core", CORE),
        ("transport-smoltcp", "klamm-smoltcp"),
        ("transport-embedded-io", "klamm-embedded-io"),
        ("examples/firmware/app", "application"),
        ("examples/firmware/polled", "application"),
        ("examples/firmware/embassy/src/application.rs", "application"),
        ("examples/firmware", "board"),
    ];
    const OTHERS: [(&str, &str); 9] = [
        ("/embassy-", "embassy"),
        // Its executor's queue of tasks, and the critical sections of all.
        ("/cordyceps-", "embassy"),
        ("/critical-section-", "embassy"),
        ("/smoltcp-", "smoltcp"),
        ("/managed-", "smoltcp"),
        ("/byteorder-", "smoltcp"),
        ("/cortex-m", "board"),
        ("/defmt", "board"),
        ("/semihosting-", "board"),
    ];
    // Images of tests/board-peers: their board and loop, and the clients with what comes for them alone.
    const PEERS: [(&str, &str); 8] = [
        ("/tests/board-peers/shell/", "board"),
        ("/tests/board-peers/", "application"),
        ("/rust-mqtt-", "rust-mqtt"),
        ("/minimq-", "minimq"),
        ("/embassy-time-", "minimq"),
        ("/serde", "minimq"),
        ("/num_enum", "minimq"),
        ("/embedded-io-", "board"),
    ];
    let ours = OURS.iter().find(|(folder, _)| Path::new(file).starts_with(root().join(folder)));
    let others = || OTHERS.iter().chain(&PEERS).find(|(name, _)| file.contains(name));
    ours.or_else(others).map(|(_, part)| *part)
}

/// The repository.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_parts() {
        let ours = |file: &str| root().join(file).display().to_string();
        assert_eq!(part_of(&ours("core/src/sender/drain.rs")), Some("klamm-core"));
        assert_eq!(part_of(&ours("examples/firmware/app/src/sensor.rs")), Some("application"));
        assert_eq!(part_of(&ours("examples/firmware/lm3s6965/src/main.rs")), Some("board"));
        assert_eq!(part_of(&ours("examples/firmware/embassy/src/application.rs")), Some("application"));
        assert_eq!(part_of(&ours("examples/firmware/embassy/src/time.rs")), Some("board"));
        assert_eq!(part_of(&ours("transport-embedded-io/src/shared.rs")), Some("klamm-embedded-io"));
        assert_eq!(part_of("/registry/src/index/smoltcp-0.13.1/src/lib.rs"), Some("smoltcp"));
        assert_eq!(part_of("/registry/src/index/embassy-net-0.9.1/src/lib.rs"), Some("embassy"));
        assert_eq!(part_of("/registry/src/index/rust-mqtt-0.6.0/src/lib.rs"), Some("rust-mqtt"));
        assert_eq!(part_of(&ours("tests/board-peers/shell/src/stream.rs")), Some("board"));
        assert_eq!(part_of("/registry/src/index/heapless-0.9.3/src/vec/mod.rs"), None);
        assert_eq!(part_of("/rustc/0123/library/core/src/slice/mod.rs"), None);
    }
}
