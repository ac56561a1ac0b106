//! The program that makes text of an image's frames of defmt.

use std::path::Path;
use std::process::Command;

use crate::Result;

const PROGRAM: &str = "defmt-print";
/// It reads the frames of the defmt that is in the firmware's lock file.
const VERSION: &str = "1.2.0";

/// The arguments that name it to the program that runs images. Installed in the tree if the user has none.
pub(crate) fn decoder() -> Result<Vec<String>> {
    let own = crate::root().join("target/tools");
    let here = own.join("bin").join(PROGRAM);
    for program in [Path::new(PROGRAM), &here] {
        if runs(program) {
            return Ok(vec!["--decoder".into(), program.display().to_string()]);
        }
    }
    eprintln!("installing {PROGRAM}, which takes a minute or two, once");
    let install = Command::new("cargo")
        .args(["install", PROGRAM, "--version", VERSION, "--locked", "--debug", "--root"])
        .arg(&own)
        .status();
    match install {
        Ok(status) if status.success() && runs(&here) => Ok(vec!["--decoder".into(), here.display().to_string()]),
        _ => Err(format!("`{PROGRAM}` is missing, and `cargo install {PROGRAM} --version {VERSION} --locked` failed")),
    }
}

fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
