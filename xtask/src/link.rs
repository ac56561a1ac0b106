//! `cargo xtask link`: the smallest firmware links no allocator and no panic machinery.
//!
//! The optimiser removes a panic only where it can prove that it is never reached, so its absence from the symbol table
//! proves that no input makes the core panic, as it does for the allocator.

use std::process::ExitCode;

use crate::Result;
use crate::build::minimal_firmware;
use crate::elf::{self, Symbol, room};

const TARGET: &str = "thumbv7m-none-eabi";

/// Parts of symbol names that must not occur.
const FORBIDDEN: [&str; 21] = [
    // The global allocator, as the compiler and as `alloc` name it.
    "__rust_alloc",
    "__rust_dealloc",
    "__rust_realloc",
    "__rust_no_alloc_shim",
    "__rg_alloc",
    "__rg_dealloc",
    "__rg_realloc",
    "__rdl_",
    "alloc::alloc::",
    "alloc::raw_vec",
    // What panics call.
    "core::panicking",
    "rust_begin_unwind",
    "panic_fmt",
    "panic_bounds_check",
    "panic_const",
    "unwrap_failed",
    "expect_failed",
    "slice_error_fail",
    "_index_len_fail",
    "slice_index_fail",
    "len_mismatch_fail",
];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    crate::flags(args, [])?;
    let path = minimal_firmware(TARGET)?;
    let image = elf::read(&path)?;
    let ours = image.symbols.iter().filter(|symbol| room(&symbol.name).is_some()).count();
    // An image without our code would pass for the wrong reason.
    if ours == 0 {
        return Err(format!("{} holds nothing of klamm_core: the check would prove nothing", path.display()));
    }
    let found = forbidden(&image.symbols);
    for name in &found {
        println!("FORBIDDEN: {name}");
    }
    println!("{TARGET}: {} symbols, {ours} of klamm_core, {} forbidden", image.symbols.len(), found.len());
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Those of an allocator or of the panic machinery.
pub(crate) fn forbidden(symbols: &[Symbol]) -> Vec<&str> {
    let names = symbols.iter().map(|symbol| symbol.name.as_str());
    names.filter(|name| FORBIDDEN.iter().any(|part| name.contains(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_allocations_are_seen() {
        let symbol = |name: &str| Symbol { name: name.into(), size: 4, in_flash: true };
        let symbols = [
            symbol("core::panicking::panic_fmt"),
            symbol("__rustc::__rust_alloc"),
            symbol("core::slice::index::slice_end_index_len_fail"),
            symbol("klamm_core::accumulator::append"),
        ];
        assert_eq!(forbidden(&symbols).len(), 3);
    }
}
