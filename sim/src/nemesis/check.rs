//! Runs code against many hostile worlds.

use super::Trouble;
use crate::world::{World, WorldOptions};

/// Time for what still hangs after the last record has its outcome: connections to be closed, memory to be freed.
const GRACE_MS: u64 = 60_000;
/// Simulated time in which the code has to come to its end, unless the options say otherwise: an hour, which takes seconds.
const LONGEST_MS: u64 = 3_600_000;

/// Runs code in one hostile world per seed ([`WorldOptions::hostile`]); then each world is calmed, and must do what klamm promises: every record
/// has its one outcome within `delivery.timeout.ms`, all memory is free again, and the logs agree with what was told.
///
/// ```
/// klamm_sim::check(0..20, |world| {
///     world.cluster_mut().create_topic("readings", 2);
///     let topic = world.topic("readings");
///     let mut dropped = 0;
///     for reading in 0..50 {
///         // Here stands the code that is tested: what does it do if there is no room, or the producer has lost its rights?
///         while let Err(error) = world.send_value(topic, format!("{reading}")) {
///             if !error.is_retriable() {
///                 dropped += 1;
///                 break;
///             }
///             world.run_for(100);
///         }
///         world.run_for(20);
///     }
///     // And here what its users are promised: no reading is gone without a word.
///     world.run_until_settled(world.delivery_timeout_ms() + 60_000);
///     assert_eq!(world.delivered() + world.failed() + dropped, 50);
/// });
/// ```
///
/// Code that has not come to its end after an hour of simulated time fails, too ([`WorldOptions::ends_after_ms`]).
///
/// A failure prints the seed, the troubles it had, and the last lines of what happened. The environment repeats it:
///
/// * `KLAMM_SEED=n` runs this seed only;
/// * `KLAMM_WITHOUT=kills,lost-acks` leaves out troubles, so that one can see which it takes;
/// * `KLAMM_LINES=n` shows more lines.
///
/// # Panics
/// If the code does, or a promise is broken.
pub fn check(seeds: impl IntoIterator<Item = u64>, run: impl FnMut(&mut World)) {
    check_with(seeds, |options| options, run);
}

/// The same, with options of one's own: a configuration, less memory, other troubles.
///
/// ```
/// use klamm_sim::nemesis::Trouble;
///
/// let board = |options: klamm_sim::world::WorldOptions| {
///     options.without(&[Trouble::ClockJumps]).limit(|limits| (limits.buffer_memory, limits.block_size) = (8 << 10, 256))
/// };
/// klamm_sim::nemesis::check_with(0..5, board, |world| {
///     world.cluster_mut().create_topic("t", 1);
///     let topic = world.topic("t");
///     let _ = world.send_value(topic, "21.5");
/// });
/// ```
///
/// # Panics
/// If the code does, or a promise is broken, or `KLAMM_SEED` or `KLAMM_WITHOUT` says nothing that can be understood.
pub fn check_with(
    seeds: impl IntoIterator<Item = u64>,
    options: impl Fn(WorldOptions) -> WorldOptions,
    mut run: impl FnMut(&mut World),
) {
    let without: Vec<Trouble> = variable("KLAMM_WITHOUT")
        .iter()
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().parse().unwrap_or_else(|error| panic!("KLAMM_WITHOUT: {error}")))
        .collect();
    let only = variable("KLAMM_SEED")
        .map(|seed| seed.parse().unwrap_or_else(|error| panic!("KLAMM_SEED is not a seed: {seed}: {error}")));
    let mut one = |seed: u64| {
        let mut world = World::new(options(WorldOptions::hostile(seed).ends_after_ms(LONGEST_MS)).without(&without));
        let _replay = Replay { seed, troubles: world.troubles() };
        run(&mut world);
        world.calm();
        let limit_ms = world.delivery_timeout_ms() + GRACE_MS;
        let settled = world.run_until_settled(limit_ms);
        assert!(settled, "{} records have no outcome {limit_ms} ms after the last trouble", world.unsettled());
        assert!(world.run_until_idle(GRACE_MS), "every record has its outcome, but not all memory is free");
        world.verify();
    };
    match only {
        Some(seed) => one(seed),
        None => seeds.into_iter().for_each(one),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says how to run a failure again.
struct Replay {
    seed: u64,
    troubles: Vec<Trouble>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let names: Vec<&str> = self.troubles.iter().map(|trouble| trouble.name()).collect();
            eprintln!("\nseed {} fails; its troubles: {}", self.seed, names.join(", "));
            eprintln!("again: KLAMM_SEED={} cargo test …; with fewer troubles: KLAMM_WITHOUT=name,name", self.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn code_that_waits_for_ever_fails() {
        let waits = |world: &mut World| loop {
            world.run_for(100);
        };
        let failed = catch_unwind(AssertUnwindSafe(|| check_with(0..1, |options| options.ends_after_ms(5000), waits)));
        let words = failed.expect_err("it ends").downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(words.contains("what does it wait for"), "{words}");
    }
}
