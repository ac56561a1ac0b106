//! `cargo xtask npm pack`: the tarball that would be published, and whether it holds what it should.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{build, list};
use crate::Result;

/// A tarball as `npm pack` made it.
pub(crate) struct Tarball {
    pub(crate) path: PathBuf,
    /// What `npm pack --json` tells of it.
    told: Value,
}

/// Builds the package and packs it.
pub(crate) fn pack() -> Result<Tarball> {
    let package = build()?;
    let into = crate::root().join("target/npm");
    let tarball = run_npm(&package, &into)?;
    tarball.check_files(&package)?;
    tarball.check_again(&package, &into)?;
    Ok(tarball)
}

fn run_npm(package: &Path, into: &Path) -> Result<Tarball> {
    fs::create_dir_all(into).map_err(|error| format!("{}: {error}", into.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["pack", "--json", "--pack-destination"]).arg(into).current_dir(package);
    let output = npm.stdin(Stdio::null()).output().map_err(|error| format!("cannot run npm: {error}"))?;
    if !output.status.success() {
        return Err(format!("npm pack: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("npm pack --json: {error}"))?;
    // A list of packages, or from npm 12 on packages by name.
    let told = told.get(0).or_else(|| told.get("klamm")).cloned().ok_or("npm pack tells of no package")?;
    let name = told["filename"].as_str().ok_or("npm pack tells no file name")?;
    Ok(Tarball { path: into.join(name), told })
}

impl Tarball {
    /// Path, size and content, for a person.
    pub(crate) fn print(&self) {
        let number = |name: &str| self.told[name].as_u64().unwrap_or_default();
        println!("{}", self.path.display());
        println!("{} B packed, {} B unpacked", number("size"), number("unpackedSize"));
        for file in self.told["files"].as_array().into_iter().flatten() {
            println!("{:>9}  {}", file["size"].as_u64().unwrap_or_default(), file["path"].as_str().unwrap_or("?"));
        }
    }

    /// Everything that the build put there is in it, and nothing else: `files` in package.json may miss a new script.
    fn check_files(&self, package: &Path) -> Result<()> {
        let mut packed: Vec<String> = Vec::new();
        for file in self.told["files"].as_array().into_iter().flatten() {
            packed.push(file["path"].as_str().unwrap_or_default().to_owned());
        }
        packed.sort();
        let built = files_under(package, package)?;
        if packed == built {
            return Ok(());
        }
        Err(format!("the tarball should have\n{}\nbut has\n{}", built.join("\n"), packed.join("\n")))
    }

    /// Packing the same content again gives the same bytes, whenever that is done.
    fn check_again(&self, package: &Path, into: &Path) -> Result<()> {
        let copy = into.join("again");
        for name in files_under(package, package)? {
            let (from, to) = (package.join(&name), copy.join("package").join(&name));
            let folder = to.parent().unwrap_or(&copy);
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            // Read and written, not copied: neither times nor permissions go along.
            let bytes = super::read(&from)?;
            fs::write(&to, bytes).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        let again = run_npm(&copy.join("package"), &copy)?;
        let same = super::read(&self.path)? == super::read(&again.path)?;
        fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        if same { Ok(()) } else { Err("packing the same files twice gives different tarballs".into()) }
    }
}

/// All files below a folder, in order, as npm names them.
fn files_under(dir: &Path, root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in list(dir)? {
        if path.is_dir() {
            names.extend(files_under(&path, root)?);
        } else {
            let name = path.strip_prefix(root).map_err(|error| error.to_string())?;
            names.push(name.display().to_string());
        }
    }
    names.sort();
    Ok(names)
}
