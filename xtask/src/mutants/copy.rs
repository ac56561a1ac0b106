//! A copy of the tree that keeps the times of what did not change, so that builds in it are incremental.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// What is built, and git's own.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// What is in a folder, but for what is left out.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let text = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(text)? {
        let entry = entry.map_err(text)?;
        if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Makes `to` equal to `from`.
pub(super) fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let mut names = BTreeSet::new();
    for path in entries(from)? {
        let name = path.file_name().unwrap_or_default();
        let copy = to.join(name);
        names.insert(name.to_owned());
        if path.is_dir() {
            mirror(&path, &copy)?;
        } else if fs::read(&copy).ok() != Some(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?)
        {
            fs::copy(&path, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        }
    }
    for old in entries(to)? {
        if !names.contains(old.file_name().unwrap_or_default()) {
            let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.map_err(|error| format!("{}: {error}", old.display()))?;
        }
    }
    Ok(())
}
