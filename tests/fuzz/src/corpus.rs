//! Corpora, one file per target: some thousand inputs of a few bytes each would be a burden as files of their own.
//!
//! An input is its length as two bytes, big-endian, and itself. The smallest come first, equal ones once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Where a target's corpus is kept.
#[must_use]
pub fn path(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(format!("{target}.pack"))
}

/// The inputs of a target.
///
/// # Errors
/// If the file cannot be read, or ends within an input.
pub fn read(target: &str) -> Result<Vec<Vec<u8>>> {
    let bytes = fs::read(path(target))?;
    let mut rest = &bytes[..];
    let mut inputs = Vec::new();
    while let [high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((input, after)) = after.split_at_checked(len) else { break };
        inputs.push(input.to_vec());
        rest = after;
    }
    if rest.is_empty() { Ok(inputs) } else { Err(Error::new(ErrorKind::InvalidData, "it ends within an input")) }
}

/// Keeps all files of a folder as the corpus of a target.
///
/// # Errors
/// If a file cannot be read or written, or is longer than 65 535 bytes.
pub fn keep(target: &str, folder: &Path) -> Result<()> {
    let inputs = fs::read_dir(folder)?.map(|file| fs::read(file?.path())).collect::<Result<Vec<_>>>()?;
    let inputs: BTreeSet<(usize, Vec<u8>)> = inputs.into_iter().map(|input| (input.len(), input)).collect();
    let mut bytes = Vec::new();
    for (len, input) in inputs {
        let len = u16::try_from(len).map_err(|_| Error::new(ErrorKind::InvalidInput, "an input is too long"))?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&input);
    }
    fs::write(path(target), bytes)
}
