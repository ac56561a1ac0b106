//! What is kept of a run that failed.

use std::fs;
use std::path::{Path, PathBuf};

use klamm_kafka_harness::cache_dir;

use crate::{Result, TOPIC};

/// The folder of a run: `target/chaos/SEED-PROCESS`.
///
/// # Errors
/// It cannot be made.
pub fn folder(seed: u64) -> Result<PathBuf> {
    let cache = cache_dir();
    let dir = cache.with_file_name("chaos").join(format!("{seed}-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    Ok(dir)
}

/// Copies the brokers' logs and configurations, and the data of these partitions.
///
/// # Errors
/// Something cannot be copied.
pub fn save(cluster: &Path, to: &Path, partitions: &[u32]) -> Result<()> {
    for entry in fs::read_dir(cluster)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_file() {
            fs::copy(&path, to.join(name))?;
            continue;
        }
        for partition in partitions {
            let inner = format!("{TOPIC}-{partition}");
            if path.join(&inner).is_dir() {
                copy(&path.join(&inner), &to.join(name).join(&inner))?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        // Kafka deletes and renames files under our hands.
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            let _ = fs::copy(&path, to.join(name));
        }
    }
    Ok(())
}
