//! `cargo xtask docs`: writes the documents that are made from code, or checks that they are up to date.

use std::fs;
use std::process::ExitCode;

use crate::Result;
use crate::build::{library_example, output_of};

/// Made by the example `configuration` of the crate `klamm`.
const CONFIGURATION: &str = "docs/configuration.md";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let [check] = crate::flags(args, ["--check"])?;
    let fresh = output_of(&library_example("configuration")?, &[])?;
    let path = crate::root().join(CONFIGURATION);
    let same = fs::read_to_string(&path).is_ok_and(|text| text == fresh);
    if check {
        if !same {
            return Err(format!("{CONFIGURATION} is stale: run `cargo xtask docs`"));
        }
    } else if !same {
        fs::write(&path, fresh).map_err(|error| format!("cannot write {CONFIGURATION}: {error}"))?;
    }
    println!("{CONFIGURATION} is up to date");
    Ok(ExitCode::SUCCESS)
}
