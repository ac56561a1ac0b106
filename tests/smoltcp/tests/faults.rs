//! A bad wire, under many seeds.

use klamm_smoltcp_tests::{Faults, Setup, World};

/// Runs the first so many seeds, or as many as the environment's `KLAMM_SEEDS` says, and names the one that fails. A wire that
/// does no harm would prove nothing.
fn under_seeds(seeds: u64, setup: impl Fn(u64) -> Setup) {
    let seeds = std::env::var("KLAMM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(seeds);
    for seed in 0..seeds {
        let run = || {
            let mut world = World::new(&setup(seed));
            world.deliver_all(3_600_000);
            world.wire.struck()
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(struck) => assert!(struck >= 10, "seed {seed}: only {struck} frames were lost, corrupted or sent twice"),
            Err(why) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(why);
            }
        }
    }
}

/// Many frames: a batch holds three readings.
fn many(seed: u64) -> Setup {
    Setup { records: 600, interval_us: 3_000, value_bytes: 250, ..Setup::new(seed) }
}

#[test]
fn loss() {
    under_seeds(40, |seed| {
        let faults = Faults { loss: 30 + 5 * (seed as u32 % 30), ..Faults::none() };
        Setup { faults, ..many(seed) }
    });
}

#[test]
fn corruption() {
    under_seeds(30, |seed| {
        let faults = Faults { corruption: 100, ..Faults::none() };
        Setup { faults, ..many(seed) }
    });
}

#[test]
fn reordering_and_duplicates() {
    under_seeds(30, |seed| {
        let faults = Faults { duplication: 100, delay_us: 100..=50_000, ..Faults::none() };
        Setup { faults, ..many(seed) }
    });
}

#[test]
fn everything_at_once() {
    under_seeds(60, |seed| {
        let faults = Faults { loss: 80, corruption: 40, duplication: 40, delay_us: 100..=100_000 };
        let sizes = [256, 536, 1_000, 4_096];
        Setup {
            faults,
            sockets: 1 + seed as usize % 3,
            receive_bytes: sizes[seed as usize % 4],
            transmit_bytes: sizes[seed as usize / 4 % 4],
            // 256 B on their way at a time, a tenth of them lost: that takes its time.
            configure: |config| config.delivery_timeout_ms = 1_800_000,
            dns: seed % 2 == 0,
            host: if seed % 2 == 0 { "kafka.example".into() } else { "10.0.0.1".into() },
            ..many(seed)
        }
    });
}
