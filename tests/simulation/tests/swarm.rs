//! Everything at random; then it heals, and all must be well. The worlds are those of `cargo xtask sim`.
//!
//! `KLAMM_SEEDS=n` and `KLAMM_SEED=first` change which.

use klamm_simulation::swarm::{Case, Report, regressions, run};

/// Seeds per test.
const SEEDS: u64 = 300;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The first seeds for which something holds.
fn seeds(fits: impl Fn(&Case) -> bool) -> Vec<Report> {
    let first = from_env("KLAMM_SEED", 0);
    let cases = (first..).map(Case::new).filter(fits).take(from_env("KLAMM_SEEDS", SEEDS) as usize);
    cases.map(|case| run(&case)).collect()
}

fn is_lossy(case: &Case) -> bool {
    case.nemesis().troubles().iter().any(|trouble| trouble.is_lossy())
}

#[test]
fn every_seed_ends_well() {
    let reports = seeds(|case| !is_lossy(case));
    let sum = |field: fn(&Report) -> u64| reports.iter().map(field).sum::<u64>();
    let (records, delivered) = (sum(|report| report.records), sum(|report| report.delivered));
    assert!(records > 0 && delivered > records / 4, "{delivered} of {records}: these worlds show nothing");
}

/// The cluster itself loses records and forgets producers, topics are made again: the logs prove nothing any more, but every record still has
/// its one outcome in time, and the producer survives.
#[test]
fn every_seed_survives_a_cluster_that_loses_data() {
    let reports = seeds(is_lossy);
    assert!(reports.iter().any(|report| report.lossy));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for case in (0..30).map(Case::new) {
        assert_eq!(run(&case), run(&case), "{case}");
    }
}

/// Every failure that was found, and shrunk, once.
#[test]
fn no_failure_comes_back() {
    for case in regressions().unwrap() {
        println!("{case}");
        let _ = run(&case);
    }
}

/// What is left out changes nothing that is not: the swarm's seeds can be shrunk.
#[test]
fn troubles_do_not_depend_on_each_other() {
    for seed in 0..200 {
        let all = Case::new(seed).nemesis().troubles();
        for left_out in &all {
            let rest = Case { without: vec![*left_out], ..Case::new(seed) }.nemesis().troubles();
            let expected: Vec<_> = all.iter().copied().filter(|trouble| trouble != left_out).collect();
            assert_eq!(rest, expected);
        }
    }
}
