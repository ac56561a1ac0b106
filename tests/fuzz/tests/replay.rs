//! Replays what fuzzers left behind, without a fuzzer: the corpora, and every input that once showed a mistake.

use std::fs;
use std::path::PathBuf;

use klamm_fuzz_targets::{TARGETS, corpus};

/// Files in `fuzz/regressions`.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("a readable file"))).collect()
}

/// Runs a target over its corpus.
fn replay(name: &str) {
    let inputs = corpus::read(name).expect("a corpus");
    assert!(!inputs.is_empty(), "no corpus");
    for (at, bytes) in inputs.iter().enumerate() {
        replay_one(name, &format!("input {at} of the corpus of {name}"), bytes);
    }
    replay_one(name, "nothing", &[]);
}

/// Runs a target over one input; if it panics, this says which it was.
fn replay_one(name: &str, what: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    if let Err(panic) = std::panic::catch_unwind(|| target(bytes)) {
        eprintln!("{what} fails: {bytes:02x?}");
        std::panic::resume_unwind(panic);
    }
}

/// One input that once showed a mistake.
fn regression(name: &str, file: &str) {
    let mut inputs = inputs(name);
    inputs.retain(|(path, _)| path.ends_with(file));
    assert_eq!(inputs.len(), 1, "{file} is missing");
    inputs.iter().for_each(|(_, bytes)| replay_one(name, file, bytes));
}

macro_rules! corpora {
    ($($target:ident),* $(,)?) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$(stringify!($target)),*]);
        }
    };
}

corpora!(
    answers_to_reader,
    batches,
    hosts,
    lines,
    machine,
    properties,
    records,
    requests,
    response_api_versions,
    response_init_producer_id,
    response_metadata,
    response_produce,
    world,
);

/// `close` on a producer that had ended set its timer anew.
#[test]
fn a_closed_producer_has_no_deadline() {
    regression("machine", "a-deadline-after-the-end");
}

/// `flush` on a producer that had ended told `Flushed` after `Closed`, the last event.
#[test]
fn no_event_follows_closed() {
    regression("machine", "an-event-after-closed");
}

/// The reader added to offsets that a broker tells, and overflowed.
#[test]
fn offsets_end_somewhere() {
    regression("answers_to_reader", "an-offset-overflows");
    regression("answers_to_reader", "a-batch-beyond-all-offsets");
}

/// Parts of a batch that were too large as well found no batch slot to be split into, and waited for `delivery.timeout.ms`.
#[test]
fn splits_find_their_slots() {
    regression("records", "splits-starve-for-slots");
}

/// A part of a compressed batch that filled the memory needed the reserve that its other part had.
#[test]
fn parts_do_not_need_the_reserve_again() {
    regression("records", "a-part-needs-the-reserve");
    regression("records", "a-third-cut-needs-the-reserve");
    regression("records", "a-cut-early-in-a-block");
}

/// An outcome was told of whatever had the partition's slot by then, here of no topic at all.
#[test]
fn outcomes_keep_their_partition() {
    regression("machine", "an-outcome-of-a-slot-that-went");
}

/// A broker named a record to blame that the batch did not have, and so did the outcome.
#[test]
fn who_is_to_blame_is_there() {
    regression("machine", "a-record-to-blame-that-is-not-there");
}

/// Alarms without a cause: the rig's clock went back at its end, a connection that the producer gave up had been shown the start
/// of a request, metadata said "too large" of a topic, and with acks=1 a leader died with what it had acknowledged.
#[test]
fn judges_do_not_cry_wolf() {
    regression("machine", "a-clock-that-went-back");
    regression("machine", "bytes-of-a-connection-given-up");
    regression("world", "a-request-of-a-connection-given-up");
    regression("world", "a-topic-said-to-be-too-large");
    regression("world", "a-topic-said-to-be-too-large-again");
    regression("world", "a-leader-dies-with-what-it-alone-has");
}

/// Whatever else was found.
#[test]
fn every_regression_stays_mended() {
    for (name, _) in TARGETS {
        inputs(name).iter().for_each(|(path, bytes)| replay_one(name, &path.display().to_string(), bytes));
    }
}
