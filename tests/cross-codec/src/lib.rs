//! The core of klamm, judged by the codec of the crate `kafka-protocol`.
//!
//! Everything that a broker does here is done by that crate: it decodes what the core writes ([`wire`]) and encodes what the core
//! reads ([`broker`]). In between stands a driver without clock or sockets ([`driver`]), so that a test sees each request as it
//! is written and decides what is answered, in pieces of which size.
//!
//! Inputs are generated ([`generate`]). `PROPTEST_CASES` says how many per version; `PROPTEST_RNG_SEED` gives others than those
//! that are always tried.

pub mod broker;
pub mod driver;
pub mod generate;
pub mod wire;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

/// Versions of an API that the core speaks, both ends included.
pub type Versions = std::ops::RangeInclusive<i16>;

/// Produce.
pub const PRODUCE: Versions = 7..=13;
/// Metadata.
pub const METADATA: Versions = 7..=13;
/// InitProducerId.
pub const INIT_PRODUCER_ID: Versions = 1..=5;
/// ApiVersions.
pub const API_VERSIONS: Versions = 0..=4;

/// Tries `cases` generated inputs, or as many as `PROPTEST_CASES` says. The same ones each time, unless `PROPTEST_RNG_SEED` says
/// otherwise: a suite that fails now and then helps nobody.
///
/// # Panics
/// With the smallest input that fails.
pub fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let mut config = Config { failure_persistence: None, max_shrink_iters: 5000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(18);
    }
    match TestRunner::new(config).run(strategy, test) {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\nsmallest input: {input:#?}"),
        Err(TestError::Abort(why)) => panic!("no inputs: {why}"),
    }
}
