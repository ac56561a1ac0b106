//! `cargo xtask profile`: where the instructions of a record go, for `klamm` sending to a sink as in scenario A of `bench --peer`.
//!
//! Counted by callgrind in both threads, so that it can be done on a busy machine: two runs of different length, whose
//! difference leaves out start and end. Inlined code counts in the source file that it comes from. Callgrind sees no kernel: what a
//! record costs there is the `system_ns` of a run without it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::build::{load_program, output_of};
use crate::needs::{Need, ensure};
use crate::peers::Sink;

const DEFAULT_RECORDS: u64 = 500_000;

/// Instructions by something's name.
type Counts = BTreeMap<String, i64>;

/// Instructions of one run, each counted once where it lies and once where it comes from.
#[derive(Debug, Default)]
struct Profile {
    functions: Counts,
    files: Counts,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let (mut records, mut top, mut each) = (DEFAULT_RECORDS, 25, false);
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut number =
            || args.next().and_then(|text| text.parse().ok()).ok_or_else(|| format!("`{flag}` needs a number"));
        match flag.as_str() {
            "--records" => records = number()?,
            "--top" => top = number()? as usize,
            "--each" => each = true,
            _ => return Err(format!("unknown argument `{flag}`; there are --records, --top, --each")),
        }
    }
    ensure(Need::Valgrind)?;
    let program = load_program()?;
    let sink = Sink::start(&program)?;
    let few = (records / 5).max(1);
    let run = |count: u64, topic: &str| callgrind(&program, &arguments(&sink.bootstrap, topic, count, each));
    let (short, long) = (run(few, "short")?, run(few + records, "long")?);
    let per_record = |long: &Counts, short: &Counts| -> Vec<(String, f64)> {
        let names = long.iter().map(|(name, count)| {
            (name.clone(), (count - short.get(name).copied().unwrap_or(0)) as f64 / records as f64)
        });
        let mut names: Vec<(String, f64)> = names.collect();
        names.sort_by(|a, b| b.1.total_cmp(&a.1));
        names
    };
    let files = per_record(&long.files, &short.files);
    let mut groups: BTreeMap<String, f64> = BTreeMap::new();
    for (file, count) in &files {
        *groups.entry(group(file)).or_default() += count;
    }
    let mut groups: Vec<(String, f64)> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = files.iter().map(|(_, count)| count).sum();
    println!("instructions per record, {records} records: {total:.1}\n");
    table("by part", &groups, total, top);
    table("by source file", &files, total, top);
    table("by function, with what is inlined into it", &per_record(&long.functions, &short.functions), total, top);
    println!("time per record, kernel included, of a run without callgrind:");
    print!("{}", output_of(&program, &as_strs(&arguments(&sink.bootstrap, "timed", 10 * records, each)))?);
    Ok(ExitCode::SUCCESS)
}

fn arguments(bootstrap: &str, topic: &str, records: u64, each: bool) -> Vec<String> {
    let outcomes = if each { "each" } else { "stats" };
    let records = records.to_string();
    let args = ["run", "--bootstrap", bootstrap, "--topic", topic, "--batch-size", "262144", "--outcomes", outcomes];
    args.into_iter().chain(["--records", &records]).map(str::to_owned).collect()
}

fn as_strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn table(heading: &str, rows: &[(String, f64)], total: f64, top: usize) {
    println!("| {heading} | instructions | % |\n|---|---:|---:|");
    for (name, count) in rows.iter().take(top).filter(|(_, count)| *count >= 0.05) {
        println!("| {name} | {count:.1} | {:.1} |", 100.0 * count / total);
    }
    println!();
}

fn callgrind(program: &Path, args: &[String]) -> Result<Profile> {
    let dir = crate::root().join("target/xtask");
    fs::create_dir_all(&dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    let out = dir.join("callgrind.profile");
    let mut valgrind = Command::new("valgrind");
    // Threads by turns: else the one that waits for the other is starved.
    valgrind.args(["--tool=callgrind", "--quiet", "--fair-sched=yes", "--compress-strings=no", "--compress-pos=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(program).args(args);
    let output = valgrind.stdin(Stdio::null()).output().map_err(|error| format!("cannot run valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let text = fs::read_to_string(&out).map_err(|error| format!("cannot read {}: {error}", out.display()))?;
    let _ = fs::remove_file(out);
    Ok(parse(&text))
}

/// Reads callgrind's output without compressed names: `fn=` begins a function and `fi=`, `fe=` a stretch of another file in it;
/// a line of numbers is `line instructions`. The line after `calls=` is the callee's, which has lines of its own.
fn parse(text: &str) -> Profile {
    let mut profile = Profile::default();
    let (mut function, mut file, mut is_call) = (String::new(), String::new(), false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name.to_owned();
        } else if let Some(name) = ["fl=", "fi=", "fe="].iter().find_map(|key| line.strip_prefix(key)) {
            file = name.to_owned();
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let count = line.split(' ').nth(1).and_then(|count| count.parse::<i64>().ok());
            if let Some(count) = count.filter(|_| !std::mem::take(&mut is_call)) {
                *profile.functions.entry(function.clone()).or_default() += count;
                // Without a file, it is C: the function says more.
                let place = if file == "???" { format!("libc {function}") } else { shorten(&file) };
                *profile.files.entry(place).or_default() += count;
            }
        }
    }
    profile
}

/// Where a file is in its crate; the places of crates on this machine say nothing.
fn shorten(path: &str) -> String {
    let root = crate::root().display().to_string();
    let path = path.strip_prefix(&root).map_or(path, |path| path.trim_start_matches('/'));
    for folder in ["/library/", "/registry/src/"] {
        if let Some((_, rest)) = path.split_once(folder) {
            // A registry has one more folder.
            return if folder == "/library/" { rest } else { rest.split_once('/').map_or(rest, |(_, rest)| rest) }
                .to_owned();
        }
    }
    path.to_owned()
}

/// What a part of the code is for.
fn group(file: &str) -> String {
    let begins = |parts: &[&str]| parts.iter().any(|part| file.starts_with(part));
    if file.contains("mem") && begins(&["libc"]) || file.contains("memmove") || file.contains("memcpy") {
        "copying (memcpy)".into()
    } else if file.contains("crc32c") {
        "CRC-32C".into()
    } else if let Some(rest) = file.strip_prefix("core/src/").filter(|rest| is_ours("core/src", rest)) {
        format!("klamm-core: {}", rest.split('/').next().unwrap_or(rest))
    } else if let Some(rest) = file.strip_prefix("transport-std/src/") {
        format!("klamm: {rest}")
    } else if begins(&["tests/load"]) {
        "the measuring loop".into()
    } else if file.contains("sync") || file.contains("atomic") {
        "locks and atomics".into()
    } else if begins(&["libc"]) {
        "libc: others".into()
    } else {
        "Rust's library: others".into()
    }
}

/// Rust's own library has a folder of the same name.
fn is_ours(folder: &str, rest: &str) -> bool {
    crate::root().join(folder).join(rest).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_not_counted_twice() {
        let text = "events: Ir\n\nfl=a.rs\nfn=outer\n1 10\nfi=b.rs\n7 5\nfe=a.rs\ncfn=inner\ncalls=3 9\n2 900\n3 1\n\nfl=c.rs\nfn=inner\n9 900\n";
        let profile = parse(text);
        assert_eq!(profile.functions, [("outer".to_owned(), 16), ("inner".to_owned(), 900)].into());
        assert_eq!(profile.files, [("a.rs".to_owned(), 11), ("b.rs".to_owned(), 5), ("c.rs".to_owned(), 900)].into());
    }

    #[test]
    fn parts_are_told_apart() {
        assert_eq!(group("core/src/accumulator/append.rs"), "klamm-core: accumulator");
        assert_eq!(group("core/src/ptr/mod.rs"), "Rust's library: others");
        assert_eq!(group("std/src/sys/sync/mutex/futex.rs"), "locks and atomics");
        assert_eq!(group("transport-std/src/shared.rs"), "klamm: shared.rs");
        assert_eq!(group("libc __memcpy_avx_unaligned_erms"), "copying (memcpy)");
        assert_eq!(shorten("/rustc/0123/library/core/src/ptr/mod.rs"), "core/src/ptr/mod.rs");
        assert_eq!(shorten("/x/registry/src/index-1/crc32c-0.6.9/src/sw.rs"), "crc32c-0.6.9/src/sw.rs");
    }
}
