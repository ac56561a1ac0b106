//! The one table of all test suites.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::browser::{ESBUILD, PLAYWRIGHT};
use crate::needs::Need;
use crate::npm::BINARYEN;
use crate::npm::packed::{NODE_TYPES, NODES, TYPESCRIPT};
use crate::step::Step;

/// A test suite.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// One line for `--list`.
    pub(crate) about: &'static str,
    /// Longest time for all steps together.
    pub(crate) limit: Duration,
    /// Made when the suite runs: some steps depend on what is in the tree.
    pub(crate) steps: fn() -> Vec<Step>,
}

/// Targets that the core must build for without the standard library.
const BARE_TARGETS: [&str; 4] =
    ["thumbv6m-none-eabi", "thumbv7m-none-eabi", "riscv32imc-unknown-none-elf", "wasm32-unknown-unknown"];

/// Those of them that are boards.
const BOARDS: [&str; 3] = ["thumbv6m-none-eabi", "thumbv7m-none-eabi", "riscv32imc-unknown-none-elf"];

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// In the order in which they run: cheap ones first.
pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "fmt",
        about: "formatting",
        limit: minutes(2),
        steps: || vec![Step::cargo("fmt --all --check").needs(&[Need::Component("fmt")])],
    },
    Suite {
        name: "clippy",
        about: "lints",
        limit: minutes(20),
        steps: || {
            let clippy = |what| Step::cargo(what).needs(&[Need::Component("clippy"), Need::CCompiler]);
            vec![
                clippy("clippy --workspace --all-targets -- -D warnings"),
                clippy("clippy -p klamm --all-targets --features zstd,metrics,tracing,log,serde,uuid -- -D warnings"),
            ]
        },
    },
    Suite {
        name: "docs",
        about: "documentation without broken links, and up to date where it is made from code",
        limit: minutes(20),
        steps: || {
            let rustdoc = Step::cargo("doc --workspace --no-deps").env("RUSTDOCFLAGS", "-Dwarnings");
            vec![rustdoc.needs(&[Need::CCompiler]), Step::xtask("docs --check")]
        },
    },
    Suite {
        name: "pitfalls",
        about: "every pitfall's test exists, every mutant's patch applies",
        limit: minutes(2),
        steps: || vec![Step::xtask("mutants --check")],
    },
    Suite {
        name: "unit",
        about: "unit and documentation tests of the crates, the core with and without its features",
        limit: minutes(25),
        steps: unit_steps,
    },
    Suite {
        name: "vectors",
        about: "bytes equal to those of independent implementations",
        limit: minutes(15),
        steps: || {
            vec![
                Step::cargo_test(
                    "-p klamm-core --features alloc,fast,lz4,librdkafka-partitioners --lib -- protocol:: record:: partitioner::",
                ),
                Step::cargo_test("-p klamm-sim vectors"),
            ]
        },
    },
    Suite {
        name: "cross-codec",
        about: "generated requests and answers, both ways, against the codec of the crate kafka-protocol",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-cross-codec").needs(&[Need::CCompiler])],
    },
    Suite {
        name: "librdkafka",
        about: "into librdkafka's mock cluster with faults, read back by its consumer; its partitioners",
        limit: minutes(20),
        steps: || vec![Step::cargo_test("-p klamm-librdkafka-tests").needs(&[Need::CCompiler])],
    },
    Suite {
        name: "simulation",
        about: "simulated networks and clusters with faults; every seed that failed once, and two minutes of fresh ones",
        limit: minutes(40),
        steps: || {
            vec![
                Step::cargo_test("-p klamm-simulation --profile suites -- --skip platforms"),
                Step::xtask("sim --fresh --minutes 2"),
            ]
        },
    },
    Suite {
        name: "smoltcp",
        about: "the driver for smoltcp over a wire with faults, in simulated time",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-smoltcp-tests")],
    },
    Suite {
        name: "fuzz",
        about: "the fuzzers' corpora and findings, replayed without a fuzzer",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-fuzz-targets").needs(&[Need::CCompiler])],
    },
    Suite {
        name: "threeworlds",
        about: "the same core over std, smoltcp and WebAssembly in Node; the same simulated traces on 32 bits, in Node and Chromium, and the vectors there",
        limit: minutes(30),
        steps: || {
            let needs = [Need::Target("wasm32-unknown-unknown"), Need::Node];
            let same = |which| {
                Step::cargo_test(&format!(
                    "-p klamm-simulation --profile suites --test simulation -- --ignored {which}"
                ))
            };
            vec![
                Step::cargo_test("-p klamm-worlds").needs(&needs),
                same("webassembly_gives_the_same_traces").needs(&needs),
                same("chromium_gives_the_same_traces").needs(&needs).needs(&[Need::Chromium]),
                Step::cargo_test("-p klamm-vectors -- --ignored in_node").needs(&needs),
                Step::cargo_test("-p klamm-vectors -- --ignored in_chromium").needs(&needs).needs(&[Need::Chromium]),
                same("thirty_two_bits_give_the_same_traces").needs(&[Need::Target("i686-unknown-linux-musl")]),
            ]
        },
    },
    Suite {
        name: "embedded-io",
        about: "the async driver for boards over simulated sockets in simulated time, and over real ones",
        limit: minutes(15),
        steps: || {
            vec![
                Step::cargo_test("-p klamm-embedded-io --features edge-nal,embassy-net,log"),
                Step::cargo_test("-p klamm-embedded-io-tests"),
            ]
        },
    },
    Suite {
        name: "bridge",
        about: "the WebSocket bridge: refusals, limits, 10^5 frames of all kinds, slow readers, TLS, signals, Node as its client",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-bridge").needs(&[Need::CCompiler, Need::Node])],
    },
    Suite {
        name: "wasm",
        about: "the npm package in Node: records of all shapes into a simulated cluster, brokers killed, full buffers; its speed and size",
        limit: minutes(10),
        steps: || {
            let needs = [Need::OpenSsl, Need::CCompiler];
            // A workspace of its own, which the suites `fmt`, `clippy` and `unit` do not see.
            let own = "--manifest-path wasm/klamm/Cargo.toml";
            let apart = "--target-dir target/npm/module";
            vec![
                Step::cargo(&format!("fmt --check {own}")).needs(&[Need::Component("fmt")]),
                Step::cargo(&format!("clippy {own} {apart} --all-targets -- -D warnings"))
                    .needs(&[Need::Component("clippy")]),
                Step::cargo_test(&format!("{own} {apart}")),
                npm_package("npm test").needs(&needs),
                npm_package("npm size --check").needs(&[Need::NodePackage(ESBUILD.0, ESBUILD.1)]),
            ]
        },
    },
    Suite {
        name: "browser",
        about: "Chromium: the demo page through the bridge into real Kafka while a broker is killed; the main thread's time, workers, a bundle, policies, refusals",
        limit: minutes(10),
        steps: || {
            let packages = [PLAYWRIGHT, ESBUILD].map(|(name, version)| Need::NodePackage(name, version));
            vec![npm_package("browser test").needs(&[Need::Chromium, Need::Kafka]).needs(&packages)]
        },
    },
    Suite {
        name: "npm",
        about: "the npm package as a tarball, installed: three versions of Node, tsc, esbuild; into real Kafka, read back by its consumer",
        limit: minutes(10),
        steps: || {
            let package = |(name, version)| Need::NodePackage(name, version);
            let step = |args| npm_package(args).needs(&[Need::Npm]).needs(&NODES.map(package));
            let tools = [TYPESCRIPT, NODE_TYPES, ESBUILD].map(package);
            vec![step("npm packed --simulated").needs(&tools), step("npm packed --real").needs(&[Need::Kafka])]
        },
    },
    Suite {
        name: "targets",
        about: "the core builds for boards and WebAssembly, the drivers for boards",
        limit: minutes(20),
        steps: || {
            let step = |target| Step::cargo("build -p klamm-core --no-default-features").target(target);
            let mut steps = Vec::from(BARE_TARGETS.map(step));
            steps.push(Step::cargo("build -p klamm-core").target("thumbv6m-none-eabi"));
            // Its tests cannot be linked on a computer, so nothing else compiles it.
            let defmt = Step::cargo("build -p klamm-core --no-default-features --features defmt");
            steps.push(defmt.target("thumbv7m-none-eabi"));
            let smoltcp =
                |features: &str, target| Step::cargo(&format!("build -p klamm-smoltcp {features}")).target(target);
            steps.extend(BOARDS.map(|target| smoltcp("", target)));
            steps.push(smoltcp("--features defmt,log,proto-ipv6,medium-ip", "thumbv7m-none-eabi"));
            steps.push(smoltcp("--no-default-features --features medium-ip,proto-ipv6", "thumbv7m-none-eabi"));
            let embedded_io =
                |features, target| Step::cargo(&format!("build -p klamm-embedded-io {features}")).target(target);
            steps.extend(BOARDS.map(|target| embedded_io("--features edge-nal,embassy-net", target)));
            steps.push(embedded_io("--features defmt,log", "thumbv7m-none-eabi"));
            steps
        },
    },
    Suite {
        name: "link",
        about: "no allocator and no panic machinery in the smallest firmware, and of the latter no more in that of stock Rust",
        limit: minutes(15),
        steps: || {
            ["link", "firmware stock"].map(|args| Step::xtask(args).needs(&[Need::Target("thumbv7m-none-eabi")])).into()
        },
    },
    Suite {
        name: "firmware",
        about: "a Cortex-M3 in QEMU publishes to a simulated cluster, by one loop or embassy's tasks; brokers killed, the cable cut; its size",
        limit: minutes(20),
        steps: || {
            let needs = [Need::Qemu, Need::Target("thumbv7m-none-eabi")];
            vec![
                Step::cargo_test("-p klamm-firmware-app -p klamm-firmware-tests"),
                Step::xtask("firmware test --simulated").needs(&needs),
                Step::xtask("firmware size --check").needs(&needs),
                Step::xtask("firmware test --variant embassy --simulated").needs(&needs),
                Step::xtask("firmware size --variant embassy --check").needs(&needs),
                Step::xtask("firmware run --target thumbv6m-none-eabi")
                    .needs(&[Need::Qemu, Need::Target("thumbv6m-none-eabi")]),
                Step::xtask("firmware size --check --target riscv32imc-unknown-none-elf")
                    .needs(&[Need::Target("riscv32imc-unknown-none-elf")]),
                Step::xtask("firmware run --defmt --records 300").needs(&needs).needs(&[Need::DefmtPrint]),
                Step::xtask("firmware peers").needs(&[Need::Target("thumbv7m-none-eabi")]),
            ]
        },
    },
    Suite {
        name: "firmware-kafka",
        about: "the same board and real Apache Kafka, read back by its own consumer",
        limit: minutes(20),
        steps: || {
            let needs = [Need::Qemu, Need::Kafka, Need::Target("thumbv7m-none-eabi")];
            let test = |args: &str| Step::xtask(&format!("firmware test --real{args}")).needs(&needs);
            vec![test(""), test(" --variant embassy")]
        },
    },
    Suite {
        name: "workerd",
        about: "examples/worker in workerd: HTTP requests become records in real Kafka by TCP, TLS and the bridge, read back by its consumer",
        limit: minutes(10),
        steps: || {
            let (name, version) = crate::workerd::WORKERD;
            let needs = [Need::OpenSsl, Need::Kafka, Need::CCompiler, Need::NodePackage(name, version)];
            vec![npm_package("workerd test").needs(&needs)]
        },
    },
    Suite {
        name: "harness",
        about: "the harness that starts real Kafka",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-kafka-harness").needs(&[Need::Kafka])],
    },
    Suite {
        name: "load",
        about: "many threads, a starved I/O thread, many producers, breaking connections, signals",
        limit: minutes(20),
        steps: || vec![Step::cargo_test("-p klamm-load --profile suites")],
    },
    Suite {
        name: "cli",
        about: "the `klamm` command",
        limit: minutes(20),
        steps: || vec![Step::cargo_test("-p klamm-cli --profile suites")],
    },
    Suite {
        name: "kafka",
        about: "real Apache Kafka, with brokers killed mid-stream",
        // The first of them builds for all.
        limit: minutes(15),
        steps: || vec![real_kafka("--lib --test single --test cluster")],
    },
    Suite {
        name: "kafka-versions",
        about: "codecs, acks, keys, headers, timestamps and idempotence on seven versions of Kafka",
        limit: minutes(10),
        steps: || vec![real_kafka("--test matrix")],
    },
    Suite {
        name: "kafka-errors",
        about: "errors provoked at real Kafka, and the words that a user reads",
        limit: minutes(10),
        steps: || vec![real_kafka("--test errors")],
    },
    Suite {
        name: "chaos",
        about: "real Apache Kafka, its brokers killed and paused, behind a network that cuts, stalls and swallows",
        limit: minutes(15),
        steps: || vec![Step::cargo_test("-p klamm-chaos --profile suites").needs(&[Need::Kafka])],
    },
    Suite {
        name: "bench-gate",
        about: "instructions per record within their limits",
        limit: minutes(25),
        steps: || vec![Step::xtask("bench --check").needs(&[Need::Valgrind])],
    },
    Suite {
        name: "size-gate",
        about: "RAM, flash, programs and the npm package within their limits",
        limit: minutes(20),
        steps: || vec![Step::xtask("size --check").needs(&[Need::Target("thumbv7m-none-eabi")])],
    },
    Suite {
        name: "quickstart",
        about: "the README's main job: records over TCP to a simulated cluster, read back",
        limit: minutes(15),
        steps: || vec![Step::cargo("run --release --example quickstart")],
    },
];

/// Tests against brokers: one after the other, as each takes the machine for itself.
fn real_kafka(which: &str) -> Step {
    Step::cargo_test(&format!("-p klamm-real-kafka --profile suites {which} -- --test-threads=1")).needs(&[Need::Kafka])
}

/// A step that builds the npm package.
fn npm_package(args: &str) -> Step {
    let (name, version) = BINARYEN;
    Step::xtask(args).needs(&[Need::Node, Need::Target("wasm32-unknown-unknown"), Need::NodePackage(name, version)])
}

fn unit_steps() -> Vec<Step> {
    let mut steps = vec![
        Step::cargo_test("-p klamm-core --no-default-features"),
        // Of a board's core too, most tests want a heap.
        Step::cargo_test("-p klamm-core --no-default-features --features alloc"),
    ];
    let features = core_features();
    if !features.is_empty() {
        let all = features.join(",");
        steps.push(Step::cargo_test(&format!("-p klamm-core --features {all}")));
    }
    steps.push(Step::cargo_test("-p klamm -p klamm-sim -p klamm-smoltcp -p xtask"));
    steps.push(Step::cargo_test("-p klamm --features zstd,metrics,tracing,log,serde,uuid"));
    steps
}

/// All features of the core that can be tested on a computer: `defmt` needs a board's logger to link.
fn core_features() -> Vec<String> {
    let metadata = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(crate::root())
        .output();
    let json: Value = metadata.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default();
    let packages = json["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let core = packages.iter().find(|package| package["name"] == "klamm-core");
    let features = core.and_then(|package| package["features"].as_object());
    features
        .into_iter()
        .flat_map(|features| features.keys())
        .filter(|name| !["default", "defmt"].contains(&name.as_str()))
        .cloned()
        .collect()
}
