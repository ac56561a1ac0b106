//! Symbols and sections of a firmware image.

use std::fs;
use std::path::Path;

use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, elf};

use crate::Result;

/// A symbol that has a place in the image.
#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    /// Demangled, without the hash.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Whether its bytes are in flash.
    pub(crate) in_flash: bool,
}

/// What an image holds.
pub(crate) struct Image {
    pub(crate) symbols: Vec<Symbol>,
    /// Bytes of all sections that are written to flash.
    pub(crate) flash: u64,
}

/// Reads a 32-bit ELF executable: code, constants, and the initial values of variables count as flash.
pub(crate) fn read(path: &Path) -> Result<Image> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| wrong(&error))?;
    let file: ElfFile32<'_> = ElfFile32::parse(&*bytes).map_err(|error| wrong(&error))?;
    let mut flash = 0;
    let mut flash_sections: Vec<SectionIndex> = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        let is_loaded = sh_flags & u64::from(elf::SHF_ALLOC) != 0;
        // `.bss` is loaded as zeros and has no bytes in the file.
        let (_, stored) = section.file_range().unwrap_or((0, 0));
        if is_loaded && stored > 0 {
            flash += section.size();
            flash_sections.push(section.index());
        }
    }
    let symbols: Vec<Symbol> = file
        .symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| {
            let section = symbol.section_index()?;
            Some(Symbol {
                name: format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?)),
                size: symbol.size(),
                in_flash: flash_sections.contains(&section),
            })
        })
        .collect();
    if symbols.iter().all(|symbol| symbol.size == 0) {
        return Err(format!("{} has no symbols: it must not be stripped", path.display()));
    }
    Ok(Image { symbols, flash })
}

/// The room of the house that a symbol belongs to: the module behind `klamm_core::`, `(root)` for what is in none, or
/// the name of another crate of ours.
pub(crate) fn room(name: &str) -> Option<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some((_, path)) = name.split_once("klamm_core::") else {
        let ours = &name[name.find("klamm_")?..];
        let (crate_name, rest) = ours.split_at(word(ours));
        return rest.starts_with("::").then_some(crate_name);
    };
    let (first, rest) = path.split_at(word(path));
    // Modules are in lower case and followed by something of theirs.
    let is_module = rest.starts_with("::") && first.starts_with(|c: char| c.is_lowercase());
    Some(if is_module { first } else { "(root)" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        assert_eq!(room("klamm_core::accumulator::Queue::append"), Some("accumulator"));
        assert_eq!(room("<klamm_core::sender::Sender as core::fmt::Debug>::fmt"), Some("sender"));
        assert_eq!(room("klamm_core::Producer::send"), Some("(root)"));
        assert_eq!(room("klamm_core::run"), Some("(root)"));
        assert_eq!(room("core::ptr::drop_in_place<klamm_core::record::Record>"), Some("record"));
        assert_eq!(room("<klamm_smoltcp::Driver>::poll"), Some("klamm_smoltcp"));
        assert_eq!(room("smoltcp::socket::tcp::Socket::poll"), None);
    }
}
