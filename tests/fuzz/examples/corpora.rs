//! Between a fuzzer, which wants folders of files, and what is kept.
//!
//! `corpora unpack DIRECTORY` fills a folder per target with the corpora that are kept and with the shared test vectors;
//! `corpora keep TARGET FOLDER` makes the files of a folder the corpus of a target.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use klamm_fuzz_targets::{TARGETS, corpus};
use serde_json::Value;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["unpack", to] => unpack(Path::new(to)),
        ["keep", target, from] => corpus::keep(target, Path::new(from)),
        _ => Err(Error::new(ErrorKind::InvalidInput, "corpora unpack DIRECTORY | corpora keep TARGET FOLDER")),
    }
}

fn unpack(to: &Path) -> Result<()> {
    for (target, _) in TARGETS {
        let dir = to.join(target);
        fs::create_dir_all(&dir)?;
        for (at, input) in corpus::read(target).unwrap_or_default().iter().enumerate() {
            fs::write(dir.join(format!("kept-{at}")), input)?;
        }
    }
    for (target, name, bytes) in vectors() {
        fs::write(to.join(target).join(name), bytes)?;
    }
    Ok(())
}

fn data(name: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/data").join(name))
}

fn hex(name: &str) -> Vec<u8> {
    let text = data(&format!("{name}.hex")).unwrap_or_default();
    let text = text.trim();
    (0..text.len() / 2).filter_map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

/// Target, file name, input.
fn vectors() -> Vec<(&'static str, String, Vec<u8>)> {
    let index: Value = data("INDEX.json").ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut seeds = Vec::new();
    for entry in index.as_array().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default();
        let sidecar: Value =
            data(&format!("{name}.json")).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let version = sidecar["api_version"].as_i64().unwrap_or(0);
        let bytes = hex(name);
        let kind = entry["kind"].as_str().unwrap_or_default();
        if let ("response", Some(key)) = (kind, sidecar["api_key"].as_i64())
            && let Some((target, least)) = response_target(key)
            && bytes.len() > 4
            && version >= least
        {
            // As `responses` reads it: version, pattern of pieces, and a frame without its size.
            let choice = ((version - least) as u8) << 4;
            seeds.push((target, name.to_owned(), [&[choice, 1], &bytes[4..]].concat()));
        }
        if kind == "request" {
            seeds.push(("requests", name.to_owned(), [&[0, 1], &bytes[..]].concat()));
        }
        if name.starts_with("batch_") {
            seeds.push(("batches", name.to_owned(), [&[0], &bytes[..]].concat()));
            seeds.push(("answers_to_reader", name.to_owned(), [&[128, 0], &bytes[..]].concat()));
        }
    }
    seeds
}

fn response_target(key: i64) -> Option<(&'static str, i64)> {
    Some(match key {
        0 => ("response_produce", 7),
        3 => ("response_metadata", 7),
        18 => ("response_api_versions", 0),
        22 => ("response_init_producer_id", 1),
        _ => return None,
    })
}
