//! Answers that are no answers.

use std::collections::BTreeSet;

use kafka_protocol::messages::ApiKey;
use klamm_core::{Acks, PeerError, Record, TopicId};
use klamm_cross_codec::broker::{Cluster, Offer, Reply, World};
use klamm_cross_codec::generate::{Setup, Tags, pieces, tags};
use klamm_cross_codec::wire::Request;
use klamm_cross_codec::{PRODUCE, check};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

/// Records that are sent.
const RECORDS: usize = 12;

#[derive(Clone, Debug)]
struct Case {
    setup: Setup,
    tags: Tags,
    reads: Vec<usize>,
}

fn case() -> BoxedStrategy<Case> {
    let setup = any::<bool>().prop_map(|idempotence| Setup {
        acks: Acks::All,
        idempotence,
        retries: i32::MAX as u32,
        ..Setup::plain()
    });
    (setup, tags(), pieces()).prop_map(|(setup, tags, reads)| Case { setup, tags, reads }).boxed()
}

impl Case {
    fn world(&self, version: i16) -> (World, Vec<TopicId>) {
        let mut cluster = Cluster::new(2, &Offer::around(version));
        cluster.tags.clone_from(&self.tags);
        cluster.create("first", 3);
        cluster.create("second", 2);
        let mut world = World::new(self.setup.producer(), cluster, &[], &self.reads);
        let topics =
            ["first", "second"].map(|name| world.driver.producer.topic(name).expect("a topic")).into_iter().collect();
        (world, topics)
    }

    /// Plays it with some answers spoilt. How many records were accepted, and whether each got its outcome.
    fn play(&self, version: i16, mut spoil: impl FnMut(&Request, Vec<u8>) -> Vec<u8>) -> (World, usize, bool) {
        let (mut world, topics) = self.world(version);
        let mut answer = |cluster: &mut Cluster, request: &Request| match cluster.answer(request) {
            Some(bytes) => Reply::Bytes(spoil(request, bytes)),
            None => Reply::Silence,
        };
        let known = |world: &World| topics.iter().all(|topic| world.driver.producer.partition_count(*topic).is_some());
        if !world.run_with(300_000, &mut answer, known) {
            return (world, 0, false);
        }
        let mut sent = 0;
        for index in 0..RECORDS {
            let topic = topics[index % 2];
            let partitions = world.driver.producer.partition_count(topic).expect("known");
            let partition = i32::try_from(index as u32 % partitions).expect("an index");
            let now = world.driver.now();
            let record = Record::value(b"v").to_partition(partition);
            // A spoilt answer may have told the producer that it cannot go on.
            sent += usize::from(world.driver.producer.send(now, topic, &record).is_ok());
        }
        let settled = world.run_with(400_000, &mut answer, |world| world.settled() >= sent);
        (world, sent, settled)
    }
}

fn api() -> BoxedStrategy<ApiKey> {
    prop_oneof![Just(ApiKey::Produce), Just(ApiKey::Metadata), Just(ApiKey::ApiVersions), Just(ApiKey::InitProducerId)]
        .boxed()
}

/// A frame that ends before its last field is malformed, wherever it ends; what it answered is tried again.
#[test]
fn truncated_answers_are_refused() {
    for version in PRODUCE {
        check(60, &(case(), api(), any::<usize>()), |(case, api, cut)| {
            let mut spoilt = false;
            let (world, sent, settled) = case.play(version, |request, mut frame| {
                // An answer to an ApiVersions version that is not spoken may be as short as its error.
                let refused = request.api == ApiKey::ApiVersions && frame[8..10] != [0, 0];
                if request.api == api && !spoilt && !refused {
                    spoilt = true;
                    frame.truncate(8 + cut % (frame.len() - 8));
                    let size = u32::try_from(frame.len() - 4).expect("a small frame");
                    frame[..4].copy_from_slice(&size.to_be_bytes());
                }
                frame
            });
            let asked = spoilt || (api == ApiKey::InitProducerId && !case.setup.idempotence);
            prop_assert!(settled && asked);
            let expected = if spoilt { vec![PeerError::Malformed] } else { vec![] };
            prop_assert_eq!(&world.driver.peer_errors, &expected);
            prop_assert_eq!(sent, RECORDS);
            check_outcomes(&world)
        });
    }
}

fn check_outcomes(world: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.settled(), RECORDS);
    prop_assert!(world.driver.told.iter().all(|told| told.outcome.result.is_ok()));
    Ok(())
}

/// Bytes that fell over on the way: whatever is made of them, nothing panics, and each record has one outcome.
#[test]
fn flipped_bits_end_in_one_outcome_for_each_record() {
    let flips = vec((0..12usize, any::<usize>(), 1..=u8::MAX), 1..6);
    for version in PRODUCE {
        check(60, &(case(), flips.clone()), |(case, flips)| {
            let mut answers = 0;
            let (world, sent, settled) = case.play(version, |_, mut frame| {
                for (_, at, mask) in flips.iter().filter(|(answer, ..)| *answer == answers) {
                    let at = at % frame.len();
                    frame[at] ^= mask;
                }
                answers += 1;
                frame
            });
            // Without metadata there are no records.
            prop_assert!(settled || sent == 0, "{} of {} have an outcome", world.settled(), sent);
            let mut seen = BTreeSet::new();
            for told in &world.driver.told {
                let outcome = told.outcome;
                for index in outcome.first_index..outcome.first_index + outcome.count {
                    prop_assert!(seen.insert((outcome.batch, index)), "told twice: {:?}", outcome);
                }
            }
            prop_assert_eq!(seen.len(), sent);
            Ok(())
        });
    }
}

/// An answer with somebody else's number, and one that nobody asked for.
#[test]
fn answers_out_of_turn_are_refused() {
    for version in PRODUCE {
        check(30, &(case(), api(), any::<bool>(), 1..i32::MAX), |(case, api, twice, other)| {
            let mut spoilt = false;
            let (world, sent, settled) = case.play(version, |request, mut frame| {
                if request.api == api && !spoilt {
                    spoilt = true;
                    let id = request.header.correlation_id.wrapping_add(other).to_be_bytes();
                    let mut wrong = frame.clone();
                    wrong[4..8].copy_from_slice(&id);
                    if twice {
                        frame.extend_from_slice(&wrong);
                    } else {
                        frame = wrong;
                    }
                }
                frame
            });
            prop_assert!(settled);
            let expected = if spoilt { vec![PeerError::Unexpected] } else { vec![] };
            prop_assert_eq!(&world.driver.peer_errors, &expected);
            prop_assert_eq!(sent, RECORDS);
            check_outcomes(&world)
        });
    }
}
