//! `cargo xtask npm size`: what a user of the npm package downloads.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::browser::ESBUILD;
use crate::build::output_of;
use crate::limits::{Limits, Measured};
use crate::needs::node_package;

/// What hosts import.
const ENTRIES: [&str; 3] = ["browser", "node", "workerd"];
/// Module and scripts of a page, by gzip, in bytes: a promise.
const PAGE_MOST: u64 = 60_000;
/// Prints a file's size as it is, by gzip, by brotli.
const SIZES: &str = "const { readFileSync } = require('node:fs'), zlib = require('node:zlib');\
    const bytes = readFileSync(process.argv[1]);\
    console.log(bytes.length, zlib.gzipSync(bytes, { level: 9 }).length, zlib.brotliCompressSync(bytes).length);";

pub(crate) fn main(package: &Path, [check, save]: [bool; 2]) -> Result<ExitCode> {
    let module = sizes(&package.join("klamm.wasm"))?;
    println!("{:<16} {:>8} {:>8} {:>8}", "bytes", "raw", "gzip", "brotli");
    let mut measured = Vec::from(rows("klamm.wasm", module));
    let mut page = 0;
    for entry in ENTRIES {
        let scripts = sizes(&bundle(package, entry)?)?;
        measured.extend(rows(&format!("{entry}.js"), scripts));
        if entry == "browser" {
            page = module[1] + scripts[1];
        }
    }
    println!("a page downloads {page} B by gzip; at most {PAGE_MOST} are promised");
    let mut limits = Limits::load()?;
    if save {
        limits.save("npm", &measured, |_| true)?;
    }
    let mut wrong = limits.violations("npm", &measured, |_| true);
    if page > PAGE_MOST {
        wrong.push(format!("a page downloads {page} B by gzip, and at most {PAGE_MOST} are promised"));
    }
    match wrong {
        wrong if check && !wrong.is_empty() => Err(wrong.join("\n")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints a row of the table; gives its numbers for the limits.
fn rows(name: &str, [raw, gzip, brotli]: [u64; 3]) -> [Measured; 2] {
    println!("{name:<16} {raw:>8} {gzip:>8} {brotli:>8}");
    [("raw", raw), ("gzip", gzip)].map(|(form, value)| Measured { name: format!("{name}/{form}"), value })
}

/// All scripts of an entry as one file, as a bundler gives it to users.
fn bundle(package: &Path, entry: &str) -> Result<PathBuf> {
    let (name, version) = ESBUILD;
    let esbuild = node_package(name, version)?.join("node_modules/.bin/esbuild");
    let bundle = crate::root().join("target/npm/size").join(format!("{entry}.js"));
    let mut command = Command::new(&esbuild);
    command.arg(package.join(format!("{entry}.js"))).args([
        "--bundle",
        "--minify",
        "--format=esm",
        "--log-level=error",
    ]);
    command.args(["--target=es2022", "--external:node:*", "--external:cloudflare:*", "--external:*.wasm"]);
    command.arg(format!("--outfile={}", bundle.display())).stdin(Stdio::null());
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", esbuild.display()))?;
    if status.success() { Ok(bundle) } else { Err(format!("esbuild: {status}")) }
}

fn sizes(file: &Path) -> Result<[u64; 3]> {
    let printed = output_of(Path::new("node"), &["-e", SIZES, &file.display().to_string()])?;
    let mut numbers = printed.split_whitespace().map_while(|number| number.parse().ok());
    let mut next = || numbers.next().ok_or_else(|| format!("{}: no size", file.display()));
    Ok([next()?, next()?, next()?])
}
