//! `cargo xtask`: everything this project automates.

mod bench;
mod browser;
mod build;
mod chaos;
mod defmt;
mod demo;
mod docs;
mod elf;
mod firmware;
mod firmware_peers;
mod fuzz;
mod kafka;
mod lean;
mod limits;
mod link;
mod load;
mod mutants;
mod needs;
mod npm;
mod peers;
mod profile;
mod report;
mod runner;
mod sim;
mod site;
mod size;
mod step;
mod suites;
mod versions;
mod workerd;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What every command returns; the text is shown to the user as it is.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
cargo xtask COMMAND

  test [--list] [-v] [SUITE...]        run the test suites (all, or the named ones) and print a table
  kafka start [--version V] [--brokers N]
                                       start real Apache Kafka and leave it running
  kafka run -- TOOL [ARGS...]          run one of Kafka's tools against it, e.g. topics --list
  kafka status | stop                  say where it is | kill it and remove its data
  bench [--check] [--save]             instructions per record, from callgrind
  bench --peer rdkafka [--real] [--runs N] [--records N] [--seconds N] [--json FILE] [--check]
                                       klamm beside librdkafka: records/s, CPU, memory, latency; --real: Kafka too
  profile [--each] [--records N] [--top N]
                                       where the instructions of a record go, by function
  stress [--threads N] [--records N] [--producers N] [--rounds N]
                                       many threads, too little CPU, many producers; every outcome is checked
  soak [--minutes N] [--rate N] [--cut-every SECONDS]
                                       a long run while connections break; memory must stay flat
  sim [--seeds N] [--seed S] [--fresh] [--minutes M] [--jobs N] [--trace] [--shrink] [--without A,B] [--board]
                                       simulated worlds in which much goes wrong, each from one seed; --help says more
  chaos [--minutes N] [--seed N] [--producers N] [--rate N] [--kill-every SECONDS] [--version V]
                                       real Kafka while brokers are killed, paused and cut off; Kafka's own consumer
                                       must confirm every outcome
  fuzz [TARGET...] [--runs N | --minutes M] [--jobs N] [--save]
                                       libFuzzer on the decoders and the whole machine, a minute each if nothing is said;
                                       --save keeps what was found in fuzz/corpus; --replay: the corpora, without a fuzzer
  size [--check] [--save]              RAM of the tables, flash of the smallest firmware, size of the smallest program and
                                       of what a user of the npm package downloads
  mutants [--list | --check] [NAME...] take guards out of the code, one at a time: their tests must fail (slow);
                                       --check only sees whether the patches apply and the tests exist
  mutants --simulation [--seeds N] [NAME...]
                                       the same faults in random worlds: chance must find them (slow)
  link                                 check that this firmware links no allocator and no panic machinery
  firmware build [--variant embassy] [--target T] [--defmt]
                                       the sensor's image for a Cortex-M3 with 64 KiB of RAM (examples/firmware); `run`,
                                       `test`, `size` take --variant, too: polled, if nothing is said, or embassy
  firmware run [--bootstrap-server 10.0.2.2:P] [--topic T] [--records N] [--partitions N] [--idle MS] [--defmt]
                                       boot it in QEMU and publish readings, to a simulated cluster if no server is given,
                                       whose log must hold each of them once and in order; --defmt: its messages by defmt
  firmware test [--simulated | --real] [SCENARIO...]
                                       brokers killed, the cable cut, buffers of 536 B and the like; against a simulated
                                       cluster and real Kafka
  firmware size [--check] [--save] [--target T]
                                       flash by crate, RAM, stack, instructions per reading
  firmware stock                       what that image holds of the panic machinery if plain `cargo build` makes it
  firmware peers [--target T]          the same job by klamm and by two MQTT clients: flash and static RAM side by side
  npm build                            the npm package klamm, in target/npm/klamm
  npm pack                             the same as a tarball, target/npm/klamm-VERSION.tgz, as it would be published
  npm packed [--simulated | --real]    that tarball installed in an empty folder: three versions of Node, tsc, esbuild; into
                                       a simulated cluster and real Kafka
  npm size [--check] [--save]          what a user of it downloads
  npm test                             its tests in Node, against a simulated cluster
  workerd build                        the Worker of examples/worker as npm installs it, and how to serve it
  workerd test                         it and the package in workerd, against real Kafka
  demo [--brokers N]                   the page of examples/browser with real Kafka and a bridge; type `kill 2` and watch
  browser site                         that page and the package in one folder, target/browser/site, for any server
  browser test [NAME]                  its tests in Chromium
  docs [--check]                       write the documents that are made from code

--check fails where a value is above its limit in xtask/limits.txt, or a document is stale; --save sets the limits anew.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &args[..]),
    };
    let result = match command {
        "test" => runner::main(rest),
        "kafka" => kafka::main(rest),
        "bench" if rest.iter().any(|arg| arg == "--peer") => peers::main(rest),
        "bench" => bench::main(rest),
        "profile" => profile::main(rest),
        "stress" | "soak" => load::main(command, rest),
        "sim" => sim::main(rest),
        "chaos" => chaos::main(rest),
        "fuzz" => fuzz::main(rest),
        "size" => size::main(rest),
        "mutants" => mutants::main(rest),
        "link" => link::main(rest),
        "firmware" => firmware::main(rest),
        "npm" => npm::main(rest),
        "workerd" => workerd::main(rest),
        "browser" => browser::main(rest),
        "demo" => demo::main(rest),
        "docs" => docs::main(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("there is no command `{other}`\n\n{HELP}")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// The workspace's folder.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Checks that all arguments are among these flags and says which are present.
fn flags<const N: usize>(args: &[String], known: [&str; N]) -> Result<[bool; N]> {
    if let Some(arg) = args.iter().find(|arg| !known.contains(&arg.as_str())) {
        return Err(format!("unknown argument `{arg}`; there are {}", known.join(", ")));
    }
    Ok(known.map(|flag| args.iter().any(|arg| arg == flag)))
}
