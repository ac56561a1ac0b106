//! What suites need from the machine, and how it gets there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::Result;

/// Something that must be there before a step can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// A JDK and Maven: real Kafka.
    Kafka,
    Node,
    /// Its command, which makes certificates for tests of TLS.
    OpenSsl,
    /// The browser in which pages are tested.
    Chromium,
    /// A package from npm's registry, at exactly this version; [`node_package`] says where it is.
    NodePackage(&'static str, &'static str),
    /// Its package manager, which Debian has apart.
    Npm,
    Valgrind,
    /// The emulator of boards with a Cortex-M.
    Qemu,
    /// What makes text of defmt's frames: a program of cargo's, in the tree.
    DefmtPrint,
    /// Compilers for C and C++ and make: libraries that judge us are built from their own sources.
    CCompiler,
    /// A part of the Rust toolchain that is run as `cargo NAME`: `fmt`, `clippy`.
    Component(&'static str),
    /// The core library for a target.
    Target(&'static str),
}

/// Where the library for a target comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup has it: nothing to add.
    Rustup,
    /// Debian's compiler with the library built from Debian's source, for where rustup can install no targets.
    Debian {
        /// A linker that knows the target.
        linker: &'static str,
    },
}

/// Debian's compiler for web browsers: newer than the release's own, and it comes with the library's source.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
/// Where these packages put the compiler; a rustup in front of it on the PATH must be passed by.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Makes sure that it is there; installs it if possible. The error says what is missing. Asked once per run.
pub(crate) fn ensure(need: Need) -> Result<()> {
    static KNOWN: LazyLock<Mutex<HashMap<Need, Result<()>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(need).or_insert_with(|| look(need)).clone()
}

fn look(need: Need) -> Result<()> {
    match need {
        Need::Kafka => {
            program("java", &["-version"], &["default-jdk-headless"])?;
            program("mvn", &["-version"], &["maven"])
        }
        Need::Node => program("node", &["--version"], &["nodejs"]),
        Need::OpenSsl => program("openssl", &["version"], &["openssl"]),
        Need::Chromium => program("chromium", &["--version"], &["chromium"]),
        Need::NodePackage(name, version) => node_package(name, version).map(|_| ()),
        Need::Npm => program("npm", &["--version"], &["npm"]),
        Need::Qemu => program("qemu-system-arm", &["--version"], &["qemu-system-arm"]),
        Need::DefmtPrint => crate::defmt::decoder().map(|_| ()),
        Need::Valgrind => program("valgrind", &["--version"], &["valgrind"]),
        Need::CCompiler => {
            let packages = ["build-essential"];
            ["cc", "c++", "make"].iter().try_for_each(|tool| program(tool, &["--version"], &packages))
        }
        Need::Component(name) => component(name),
        Need::Target(target) => toolchain(target).map(|_| ()),
    }
}

fn program(name: &str, probe: &[&str], packages: &[&str]) -> Result<()> {
    if succeeds(name, probe) {
        return Ok(());
    }
    apt_install(packages)
        .and_then(|()| if succeeds(name, probe) { Ok(()) } else { Err("it still does not run".into()) })
        .map_err(|why| format!("`{name}` is missing ({why})"))
}

/// The folder whose `node_modules` has this package, fetched by npm if it is not there yet. Each package has a folder of its
/// own, so that none changes what another one gets.
pub(crate) fn node_package(name: &str, version: &str) -> Result<PathBuf> {
    let dir = crate::root().join("target/node").join(format!("{}-{version}", name.replace('/', "-")));
    let manifest = dir.join("node_modules").join(name).join("package.json");
    if manifest.exists() {
        return Ok(dir);
    }
    program("npm", &["--version"], &["npm"])?;
    let prefix = dir.display().to_string();
    let package = format!("{name}@{version}");
    let install =
        ["install", "--prefix", &prefix, "--save-exact", "--no-audit", "--no-fund", "--loglevel=error", &package];
    eprintln!("installing {package}");
    let output = Command::new("npm").args(install).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run npm: {error}"))?;
    if manifest.exists() {
        return Ok(dir);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find(|line| line.contains("code") || line.contains("ERR")).unwrap_or("no reason given");
    Err(format!("the npm package {package} cannot be installed ({said})"))
}

fn component(name: &str) -> Result<()> {
    if succeeds("cargo", &[name, "--version"]) {
        return Ok(());
    }
    let package = if name == "fmt" { "rustfmt" } else { name };
    if succeeds("rustup", &["component", "add", package]) {
        return Ok(());
    }
    Err(format!("`cargo {name}` is missing and `rustup component add {package}` failed"))
}

/// The toolchain that can build for this target, installed if possible.
pub(crate) fn toolchain(target: &str) -> Result<Toolchain> {
    if has_target(target) {
        return Ok(Toolchain::Rustup);
    }
    if succeeds("rustup", &["target", "add", target]) && has_target(target) {
        return Ok(Toolchain::Rustup);
    }
    // No registry of toolchains in reach: build the library ourselves.
    let linker = if target.starts_with("wasm32") { "wasm-ld-22" } else { "ld.lld-22" };
    let ready =
        || [DEBIAN_RUSTC, DEBIAN_CARGO].iter().all(|path| Path::new(path).exists()) && succeeds(linker, &["--version"]);
    if !ready() {
        apt_install(&DEBIAN_PACKAGES).map_err(|why| {
            format!("`rustup target add {target}` failed, and so did its replacement by Debian's rustc-web: {why}")
        })?;
    }
    if ready() {
        Ok(Toolchain::Debian { linker })
    } else {
        Err(format!("target {target} is missing: {linker} or {DEBIAN_RUSTC} is not there"))
    }
}

/// True if the compiler in use has the target's library: true as well for toolchains that rustup does not manage.
fn has_target(target: &str) -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let Ok(output) = output else { return false };
    let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success()
        && std::fs::read_dir(dir).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore")))
        })
}

/// Whether the source of Rust's library is there, so that it can be built without the code that tells of panics; has rustup
/// fetch it if possible.
pub(crate) fn has_library_source() -> bool {
    let look = || {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output();
        output.is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").exists()
        })
    };
    look() || (succeeds("rustup", &["component", "add", "rust-src"]) && look())
}

impl Toolchain {
    /// The cargo to call.
    pub(crate) fn cargo(&self) -> &'static str {
        match self {
            Self::Rustup => "cargo",
            Self::Debian { .. } => DEBIAN_CARGO,
        }
    }

    /// Arguments to add to a `cargo build --target`.
    pub(crate) fn args(&self) -> &'static [&'static str] {
        match self {
            Self::Rustup => &[],
            Self::Debian { .. } => &["-Zbuild-std=core,alloc"],
        }
    }

    /// Variables to set for it.
    pub(crate) fn env(&self, target: &str) -> Vec<(String, String)> {
        match self {
            Self::Rustup => Vec::new(),
            Self::Debian { linker } => {
                let variable = target.replace('-', "_").to_uppercase();
                vec![
                    ("RUSTC".into(), DEBIAN_RUSTC.into()),
                    // The compiler is a stable one; building the library from source is an unstable option.
                    ("RUSTC_BOOTSTRAP".into(), "1".into()),
                    (format!("CARGO_TARGET_{variable}_LINKER"), (*linker).into()),
                ]
            }
        }
    }
}

/// Installs Debian packages where that is possible without asking anyone.
fn apt_install(packages: &[&str]) -> Result<()> {
    if !succeeds("apt-get", &["--version"]) {
        return Err(format!("no apt-get; needs {}", packages.join(" ")));
    }
    let root = Command::new("id").arg("-u").output();
    let root = root.is_ok_and(|output| output.stdout.starts_with(b"0"));
    let prefix: &[&str] = match root {
        true => &["apt-get"],
        false if succeeds("sudo", &["-n", "true"]) => &["sudo", "-n", "apt-get"],
        false => return Err(format!("as root: apt-get install {}", packages.join(" "))),
    };
    let apt = |args: &[&str]| succeeds(prefix[0], &[&prefix[1..], args].concat());
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    eprintln!("installing {}", packages.join(" "));
    if apt(&install) || (apt(&["update"]) && apt(&install)) {
        Ok(())
    } else {
        Err(format!("`apt-get install {}` failed", packages.join(" ")))
    }
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
