//! How an image is built where every byte counts: Rust's library from source too, panics as traps, and no frame pointers.

use std::fs;
use std::process::Command;

use crate::Result;
use crate::needs::{Toolchain, has_library_source};

/// What makes a panic one instruction that is none, instead of code that would tell of it.
pub(crate) const ABORT: &str = "-Zunstable-options -Cpanic=immediate-abort";
/// rustc's own optimisations of higher levels copy code, for speed; LLVM's are left as they are. A half of a percent.
const COPY_LESS: &str = "-Zmir-opt-level=1";

/// Tells `cargo build` of the target, and how to build for it.
pub(crate) fn build_for(cargo: &mut Command, target: &str, toolchain: &Toolchain) -> Result<()> {
    if *toolchain != Toolchain::Rustup {
        cargo.args(["--target", target]).env("RUSTFLAGS", ABORT);
        return Ok(());
    }
    if !has_library_source() {
        return Err("needs the source of Rust's library: `rustup component add rust-src`".into());
    }
    cargo.args(["--target", &without_frame_pointers(target)?, "-Zbuild-std=core"]).env("RUSTC_BOOTSTRAP", "1");
    if knows_json_flag() {
        cargo.arg("-Zjson-target-spec");
    }
    cargo.env("RUSTFLAGS", format!("{ABORT} {COPY_LESS}"));
    Ok(())
}

/// Rust's Arm targets keep a frame pointer in every function, which nothing reads on a board without a debugger: a register less,
/// and two more instructions at each function's begin. A copy of the target's description without them, if it has them.
fn without_frame_pointers(target: &str) -> Result<String> {
    let args = ["-Zunstable-options", "--print", "target-spec-json", "--target", target];
    let output = Command::new("rustc").args(args).env("RUSTC_BOOTSTRAP", "1").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let spec = String::from_utf8_lossy(&output.stdout);
    let lean = spec.replace("\"frame-pointer\": \"always\"", "\"frame-pointer\": \"may-omit\"");
    if lean == spec {
        return Ok(target.to_owned());
    }
    let folder = crate::root().join("target/spec");
    let path = folder.join(format!("{target}.json"));
    if fs::read_to_string(&path).is_ok_and(|there| there == lean) {
        return Ok(path.display().to_string());
    }
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    fs::write(&path, lean).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path.display().to_string())
}

/// Newer versions of cargo want to be told that a description is meant; older ones do not know the flag.
fn knows_json_flag() -> bool {
    let output = Command::new("cargo").args(["-Z", "help"]).env("RUSTC_BOOTSTRAP", "1").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("json-target-spec"))
}
