//! `cargo xtask firmware`: the image of `examples/firmware`, built, run in QEMU, tested and measured. `tests/firmware` has the runs.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Result;
use crate::bench::verdict;
use crate::build::{executable, firmware_program, output_of};
use crate::elf::{self, Image};
use crate::lean;
use crate::limits::{Limits, Measured};
use crate::needs::{Need, Toolchain, ensure, has_library_source, toolchain};

/// The board that QEMU emulates has a Cortex-M3. It runs Cortex-M0 images as well.
pub(crate) const TARGET: &str = "thumbv7m-none-eabi";
const PACKAGE: &str = "klamm-lm3s6965";
/// The same board, as tasks of embassy's.
const EMBASSY_PACKAGE: &str = "klamm-lm3s6965-embassy";
/// The wiring of a board that nobody emulates: for all other targets.
const OTHER_PACKAGE: &str = "klamm-radio";

/// Functions that tell of panics in an image that stock Rust builds: the board's handler and eight of a few bytes each, which smoltcp
/// calls. No further kind of panic is to come in unseen.
const STOCK_PANICS: usize = 9;

/// What the limits of the firmware are called in `limits.txt`.
const KIND: &str = "firmware";
/// What has a limit. Instructions have none: how many readings share a packet depends on how fast this machine is.
const LIMITED: [&str; 3] = ["/flash/", "/ram/", "/stack/used"];

/// Which firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// One loop over smoltcp.
    Polled,
    /// embassy's executor and network stack.
    Embassy,
}

impl Variant {
    fn named(name: &str) -> Result<Self> {
        match name {
            "polled" => Ok(Self::Polled),
            "embassy" => Ok(Self::Embassy),
            _ => Err(format!("there is no variant `{name}`; there are polled and embassy")),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Polled => "polled",
            Self::Embassy => "embassy",
        }
    }
}

/// How an image is built.
struct Build {
    variant: Variant,
    target: String,
    defmt: bool,
    /// As `cargo build` does it, with the library that the toolchain comes with.
    stock: bool,
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        return Err("say `firmware build`, `run`, `test`, `size`, `stock` or `peers`".into());
    };
    if command == "peers" {
        return crate::firmware_peers::main(rest);
    }
    let (build, rest) = Build::parse(rest)?;
    match command.as_str() {
        "build" if rest.is_empty() => {
            println!("{}", build.image()?.display());
            Ok(ExitCode::SUCCESS)
        }
        "build" => Err(format!("unknown argument `{}`; there are --variant, --target and --defmt", rest.join(" "))),
        _ if !build.is_emulated() && command != "size" => {
            Err(format!("QEMU has no board for {}: it can be built and measured", build.target))
        }
        "run" if build.defmt => build.call("run", &build.image()?, &[crate::defmt::decoder()?, rest].concat()),
        _ if build.defmt => {
            Err(format!("`firmware {command}` reads lines of text: `--defmt` is for `build` and `run`"))
        }
        "run" => build.call("run", &build.image()?, &rest),
        "test" => {
            let image = build.image()?;
            require_lean(&image)?;
            build.call("test", &image, &rest)
        }
        "size" => build.size(&rest),
        "stock" if rest.is_empty() => build.stock(),
        other => Err(format!("there is no `firmware {other}`; there are build, run, test, size, stock and peers")),
    }
}

impl Build {
    /// Takes what is about the image out of the arguments.
    fn parse(args: &[String]) -> Result<(Self, Vec<String>)> {
        let build = Self { variant: Variant::Polled, target: TARGET.into(), defmt: false, stock: false };
        let (mut build, mut rest) = (build, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--target" => build.target.clone_from(args.next().ok_or("`--target` needs a value")?),
                "--variant" => build.variant = Variant::named(args.next().ok_or("`--variant` needs a value")?)?,
                "--defmt" => build.defmt = true,
                _ => rest.push(arg.clone()),
            }
        }
        // A Cortex-M0 knows 32 interrupts, and that of the emulated board's Ethernet is the 43rd.
        if build.variant == Variant::Embassy && build.target != TARGET {
            return Err(format!("the firmware of tasks is for {TARGET}, not for {}", build.target));
        }
        Ok((build, rest))
    }

    /// How the names of what is measured begin.
    fn prefix(&self) -> String {
        match self.variant {
            Variant::Polled => format!("{}/", self.target),
            variant => format!("{}/{}/", variant.name(), self.target),
        }
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
        let mut measured: Vec<Measured> = text.lines().filter_map(|line| self.measured(line)).collect();
        measured.push(self.ours(&measured));
        let mut limits = Limits::load()?;
        println!("| {} | value | limit |\n|---|---:|---:|", self.target);
        for Measured { name, value } in &measured {
            let limit = limits.get(KIND, name).map(|limit| limit.to_string());
            println!("| {name} | {value} | {} |", limit.as_deref().unwrap_or("none"));
        }
        let limited: Vec<Measured> =
            measured.into_iter().filter(|m| LIMITED.iter().any(|l| m.name.contains(l))).collect();
        let covers = |name: &str| name.starts_with(&self.prefix());
        if save {
            limits.save(KIND, &limited, covers)?;
        }
        let wrong = if check { limits.violations(KIND, &limited, covers) } else { Vec::new() };
        Ok(verdict(&wrong))
    }

    /// Core and driver together.
    fn ours(&self, measured: &[Measured]) -> Measured {
        let prefix = format!("{}flash/klamm-", self.prefix());
        let ours = measured.iter().filter(|measured| measured.name.starts_with(&prefix));
        Measured { name: format!("{}flash/klamm", self.prefix()), value: ours.map(|measured| measured.value).sum() }
    }

    /// A line of what the program measured: `kind/name value`.
    fn measured(&self, line: &str) -> Option<Measured> {
        let (name, value) = line.split_once(' ')?;
        Some(Measured { name: format!("{}{name}", self.prefix()), value: value.parse().ok()? })
    }

    /// Builds the image.
    fn image(&self) -> Result<PathBuf> {
        let target = self.target.as_str();
        let toolchain = toolchain(target)?;
        let mut cargo = Command::new(toolchain.cargo());
        // Run in its folder: its own workspace and profile apply. Its output stays out of that folder.
        cargo.current_dir(crate::root().join("examples/firmware"));
        let package = match self.variant {
            Variant::Embassy => EMBASSY_PACKAGE,
            Variant::Polled if self.is_emulated() => PACKAGE,
            Variant::Polled => OTHER_PACKAGE,
        };
        cargo.args(["build", "--release", "-p", package]).args(toolchain.args());
        let folder = if self.stock { "target/firmware/stock" } else { "target/firmware" };
        cargo.arg("--target-dir").arg(crate::root().join(folder));
        cargo.envs(toolchain.env(target)).env("CARGO_INCREMENTAL", "0");
        if self.stock {
            cargo.args(["--target", target]); // what `cargo build` does
        } else if toolchain != Toolchain::Rustup || has_library_source() {
            lean::build_for(&mut cargo, target, &toolchain)?;
        } else {
            cargo.args(["--target", target]);
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

    /// Counts what an image that stock Rust builds holds of what tells of panics.
    fn stock(self) -> Result<ExitCode> {
        let Image { symbols, .. } = elf::read(&Self { stock: true, ..self }.image()?)?;
        let found = crate::link::forbidden(&symbols);
        println!("{} functions that tell of panics, of {STOCK_PANICS} that may be: {}", found.len(), found.join(", "));
        Ok(if found.len() > STOCK_PANICS { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Calls the program that runs images.
    fn call(&self, command: &str, image: &Path, args: &[String]) -> Result<ExitCode> {
        ensure(Need::Qemu)?;
        let program = firmware_program()?;
        let mut call = Command::new(&program);
        call.args([command, "--variant", self.variant.name(), "--image"]).arg(image).args(args);
        let status = call.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
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
