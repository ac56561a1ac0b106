//! `cargo xtask firmware`: the image of `examples/firmware`, built, run in QEMU, tested and measured. `tests/firmware` has the runs.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Result;
use crate::bench::verdict;
use crate::build::{executable, firmware_program, output_of};
use crate::elf::{self, Image};
use crate::limits::{Limits, Measured};
use crate::needs::{Need, Toolchain, ensure, has_library_source, toolchain};

/// The board that QEMU emulates has a Cortex-M3. It runs Cortex-M0 images as well.
const TARGET: &str = "thumbv7m-none-eabi";
const PACKAGE: &str = "klamm-lm3s6965";
/// The wiring of a board that nobody emulates: for all other targets.
const OTHER_PACKAGE: &str = "klamm-radio";
/// What makes a panic one instruction that is none, instead of code that would tell of it.
const ABORT: &str = "-Zunstable-options -Cpanic=immediate-abort";

/// What the limits of the firmware are called in `limits.txt`.
const KIND: &str = "firmware";
/// What has a limit. Instructions have none: how many readings share a packet depends on how fast this machine is.
const LIMITED: [&str; 3] = ["/flash/", "/ram/", "/stack/used"];

/// How an image is built.
struct Build {
    target: String,
    defmt: bool,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        return Err("say `firmware build`, `run`, `test` or `size`".into());
    };
    let (build, rest) = Build::parse(rest)?;
    match command.as_str() {
        "build" if rest.is_empty() => {
            println!("{}", build.image()?.display());
            Ok(ExitCode::SUCCESS)
        }
        "build" => Err(format!("unknown argument `{}`; there are --target and --defmt", rest.join(" "))),
        _ if !build.is_emulated() && command != "size" => {
            Err(format!("QEMU has no board for {}: it can be built and measured", build.target))
        }
        _ if build.defmt => Err(format!("`firmware {command}` reads lines of text: `--defmt` is for `firmware build`")),
        "run" => call(&build.image()?, "run", &rest),
        "test" => {
            let image = build.image()?;
            require_lean(&image)?;
            call(&image, "test", &rest)
        }
        "size" => build.size(&rest),
        other => Err(format!("there is no `firmware {other}`; there are build, run, test and size")),
    }
}

impl Build {
    /// Takes what is about the image out of the arguments.
    fn parse(args: &[String]) -> Result<(Self, Vec<String>)> {
        let (mut build, mut rest) = (Self { target: TARGET.into(), defmt: false }, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--target" => build.target.clone_from(args.next().ok_or("`--target` needs a value")?),
                "--defmt" => build.defmt = true,
                _ => rest.push(arg.clone()),
            }
        }
        Ok((build, rest))
    }

    /// Whether QEMU's board runs it: a Cortex-M3 runs images for a Cortex-M0 as well.
    fn is_emulated(&self) -> bool {
        self.target.starts_with("thumbv6m") || self.target.starts_with("thumbv7m")
    }

    /// Prints what the image costs; holds it to its limits if it is told to.
    fn size(&self, args: &[String]) -> Result<ExitCode> {
        let [check, save] = crate::flags(args, ["--check", "--save"])?;
        let image = self.image()?;
        require_lean(&image)?;
        let image = image.display().to_string();
        let mut args = vec!["measure", "--image", &image];
        if self.is_emulated() {
            ensure(Need::Qemu)?;
        } else {
            args.push("--static");
        }
        let text = output_of(&firmware_program()?, &args)?;
        let measured: Vec<Measured> = text.lines().filter_map(|line| self.measured(line)).collect();
        let mut limits = Limits::load()?;
        println!("| {} | value | limit |\n|---|---:|---:|", self.target);
        for Measured { name, value } in &measured {
            let limit = limits.get(KIND, name).map(|limit| limit.to_string());
            println!("| {name} | {value} | {} |", limit.as_deref().unwrap_or("none"));
        }
        let limited: Vec<Measured> =
            measured.into_iter().filter(|m| LIMITED.iter().any(|l| m.name.contains(l))).collect();
        let covers = |name: &str| name.starts_with(&self.target);
        if save {
            limits.save(KIND, &limited, covers)?;
        }
        let wrong = if check { limits.violations(KIND, &limited, covers) } else { Vec::new() };
        Ok(verdict(&wrong))
    }

    /// A line of what the program measured: `kind/name value`.
    fn measured(&self, line: &str) -> Option<Measured> {
        let (name, value) = line.split_once(' ')?;
        Some(Measured { name: format!("{}/{name}", self.target), value: value.parse().ok()? })
    }

    /// Builds the image.
    fn image(&self) -> Result<PathBuf> {
        let target = self.target.as_str();
        let toolchain = toolchain(target)?;
        let mut cargo = Command::new(toolchain.cargo());
        // Run in its folder: its own workspace and profile apply. Its output stays out of that folder.
        cargo.current_dir(crate::root().join("examples/firmware"));
        let package = if self.is_emulated() { PACKAGE } else { OTHER_PACKAGE };
        cargo.args(["build", "--release", "-p", package, "--target", target]).args(toolchain.args());
        cargo.arg("--target-dir").arg(crate::root().join("target/firmware"));
        cargo.envs(toolchain.env(target)).env("CARGO_INCREMENTAL", "0");
        if toolchain != Toolchain::Rustup || has_library_source() {
            if toolchain == Toolchain::Rustup {
                cargo.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
            }
            cargo.env("RUSTFLAGS", ABORT);
        } else {
            eprintln!("without rust-src, panics of smoltcp's are linked with what tells of them");
        }
        if self.defmt {
            cargo.args(["--features", "defmt"]);
            // defmt leaves out what is less than an error unless it is told otherwise, and statistics are none.
            if std::env::var_os("DEFMT_LOG").is_none() {
                cargo.env("DEFMT_LOG", "info");
            }
        }
        executable(cargo, &format!("examples/firmware for {target}"))
    }
}

/// Calls the program that runs images.
fn call(image: &Path, command: &str, args: &[String]) -> Result<ExitCode> {
    ensure(Need::Qemu)?;
    let program = firmware_program()?;
    let status = Command::new(&program).args([command, "--image"]).arg(image).args(args).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The image holds nothing of an allocator, and nothing of what tells of panics.
fn require_lean(image: &Path) -> Result<()> {
    let Image { symbols, .. } = elf::read(image)?;
    let found = crate::link::forbidden(&symbols);
    if !found.is_empty() && !has_library_source() {
        println!("not checked: the panic machinery, which only goes with `rustup component add rust-src`");
        return Ok(());
    }
    println!("{} symbols, {} of an allocator or of the panic machinery", symbols.len(), found.len());
    if found.is_empty() { Ok(()) } else { Err(format!("the image links {}", found.join(", "))) }
}
