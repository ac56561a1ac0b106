//! Every error code that Kafka has, −1 … 136, as the answer to everything that a producer asks (PRODUCER j.4, k.5, g.2, l.4, e.2).
//!
//! The expectations are the document's, not the core's. A code without a line in j.4 is one that no broker answers to this request;
//! what is expected of it then is what Java makes of its class (`retriable`), and that nothing is known of the records' fate.

use klamm_simulation::*;

/// All codes of Kafka's own table, with their `retriable` flag (`tests/vectors/data/errors.json`).
fn all() -> Vec<(i16, bool)> {
    let text = include_str!("../../vectors/data/errors.json");
    let of = |line: &'static str, key: &str| {
        line.trim().strip_prefix(&format!("\"{key}\" : ")).map(|v| v.trim_end_matches(','))
    };
    let codes = text.lines().filter_map(|line| of(line, "code")).map(|code| code.parse().unwrap());
    let flags = text.lines().filter_map(|line| of(line, "retriable")).map(|flag| flag == "true");
    let all: Vec<(i16, bool)> = codes.zip(flags).collect();
    assert_eq!(all.iter().map(|(code, _)| *code).collect::<Vec<_>>(), (-1..=136).collect::<Vec<_>>());
    all
}

/// What becomes of a batch whose first attempt is answered with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// It is there, at the offset told.
    Delivered,
    /// It is there, somewhere: offset −1.
    DeliveredSomewhere,
    /// It is sent again after the backoff. `metadata`: leaders are asked for first. The fate is that of a batch that is answered so
    /// until its retries are used up.
    Retried { metadata: bool, fate: Fate },
    /// It is sent once more; a second answer of the kind fails it, and it was not written.
    RetriedOnce,
    /// It is cut in two, or fails as too large if it is a single record.
    Split,
    /// Sequences disagree: k.5 decides. Without idempotence there are none, and it fails, not written.
    Sequence,
    /// It fails with the broker's code.
    Fails(Fate),
    /// The same, and an idempotent producer with it: every later batch would fare alike.
    Fatal(Fate),
}

use Becomes::{Delivered, DeliveredSomewhere, Fails, Fatal, Retried, RetriedOnce, Sequence, Split};
use Fate::{NotWritten, Unknown};

/// The table of j.4 for Produce, each code once.
const PRODUCE: &[(Becomes, &[i16])] = &[
    (Delivered, &[0]),
    (DeliveredSomewhere, &[46]),
    (RetriedOnce, &[2]),
    (Split, &[10]),
    (Sequence, &[45, 59]),
    // Retriable, and the view of the cluster is old. Without an offset in the answer they come before the append.
    (Retried { metadata: true, fate: NotWritten }, &[3, 5, 6, 9, 56, 72, 74, 100, 103]),
    // Client-made in Java; whoever says it does not know either.
    (Retried { metadata: true, fate: Unknown }, &[13]),
    // Retriable refusals. 15 and 16 are coordinators' words that reach Produce by TV2's verification, before the append.
    (Retried { metadata: false, fate: NotWritten }, &[14, 15, 16, 19, 51, 75, 89]),
    // Appended at the leader; nobody knows how far it got.
    (Retried { metadata: false, fate: Unknown }, &[7, 20]),
    // Retriable by their class, though no broker answers Produce with them: elections, fetch and share sessions, controllers.
    (Retried { metadata: true, fate: Unknown }, &[80, 83, 84]),
    (Retried { metadata: false, fate: Unknown }, &[41, 70, 71, 78, 88, 106, 122, 123, 133]),
    // Refused for good: topic, size, acks, authorization, timestamps, request, format, codec, records; 47: an old epoch;
    // 48 and 120: transactions.
    (Fails(NotWritten), &[17, 18, 21, 29, 32, 42, 43, 47, 48, 76, 87, 120]),
    // Not by every broker: Azure throttles with 44 (PITFALLS 61), and −1 says nothing at all.
    (Fails(Unknown), &[-1, 8, 44, 60]),
    // Concern every batch: no right to idempotence, no common version, an unknown id, no right to the id, fenced.
    (Fatal(NotWritten), &[31, 35, 49, 53, 90]),
    // InitProducerId's, and a producer's end there.
    (Fatal(Unknown), &[50]),
    // Answers to other requests: consumers and their groups, offsets, coordinators, SASL, administration, quorum, log
    // directories, delegation tokens, features, telemetry, share groups, streams. Not retriable by their class.
    (Fails(Unknown), &[1, 4, 11, 12, 22, 23, 24, 25, 26, 27, 28, 30, 33, 34, 36, 37, 38, 39, 40, 52, 54, 55, 57, 58]),
    (
        Fails(Unknown),
        &[61, 62, 63, 64, 65, 66, 67, 68, 69, 73, 77, 79, 81, 82, 85, 86, 91, 92, 93, 94, 95, 96, 97, 98, 99],
    ),
    (
        Fails(Unknown),
        &[101, 102, 104, 105, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 121, 124, 125],
    ),
    (Fails(Unknown), &[126, 127, 128, 129, 130, 131, 132, 134, 135, 136]),
];

fn produce_table() -> impl Iterator<Item = (i16, Becomes)> {
    PRODUCE.iter().flat_map(|(becomes, codes)| codes.iter().map(|code| (*code, *becomes)))
}

fn becomes(code: i16) -> Becomes {
    produce_table().find(|(own, _)| *own == code).unwrap().1
}

/// The table leaves no code out, has none twice, and agrees with Java on what is retriable at all.
#[test]
fn the_table_has_every_code() {
    let mut listed: Vec<i16> = produce_table().map(|(code, _)| code).collect();
    listed.sort_unstable();
    assert_eq!(listed, all().iter().map(|(code, _)| *code).collect::<Vec<_>>());
    for (code, retriable) in all() {
        assert_eq!(matches!(becomes(code), Retried { .. } | RetriedOnce), retriable, "{code}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Idempotent,
    Plain(Acks),
}

const ANSWERED: [Kind; 3] = [Kind::Idempotent, Kind::Plain(Acks::All), Kind::Plain(Acks::Leader)];

fn options(kind: Kind) -> WorldOptions {
    one_broker().configure(move |config| {
        config.linger_ms = 0;
        config.request_timeout_ms = 2000;
        config.delivery_timeout_ms = 30_000;
        if let Kind::Plain(acks) = kind {
            (config.enable_idempotence, config.acks) = (false, acks);
        }
    })
}

/// One record whose attempts are answered by a script; the warm one before it was number 0.
fn answered(options: WorldOptions, faults: impl IntoIterator<Item = Fault>) -> (World, TopicId) {
    let (mut world, topic) = warm(options, 1);
    for fault in faults {
        world.cluster_mut().faults().push(fault);
    }
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(60_000));
    world.verify();
    (world, topic)
}

fn error_of(code: i16) -> DeliveryError {
    DeliveryError::Broker(ErrorCode::from(code))
}

fn failed(world: &World, error: DeliveryError, fate: Fate) -> bool {
    let outcome = world.outcome(1).unwrap();
    (outcome.error(), outcome.fate()) == (Some(error), Some(fate))
}

/// Metadata that was asked for between the answer and a later attempt.
fn refreshed(world: &World) -> bool {
    count(world, Api::Metadata) > 0
}

/// What a code does to a batch that it answers once, and to the producer.
#[test]
fn produce_answers_do_what_the_table_says() {
    for kind in ANSWERED {
        for (code, expected) in produce_table() {
            let case = format!("{code} {kind:?}");
            let action = if code == 0 {
                Do::Delay(1)
            } else if code == 46 {
                Do::AppendThenError(46)
            } else {
                Do::Error(code)
            };
            let (mut world, topic) = answered(options(kind), [Fault::on(Api::Produce).then(action)]);
            let idempotent = matches!(kind, Kind::Idempotent);
            let attempts = batches(&world, 0).len();
            let bumps = world.stats().epoch_bumps;
            let outcome = world.outcome(1).unwrap();
            let mut fatal = false;
            match expected {
                Delivered => assert_eq!((outcome.offset(), attempts, bumps), (Some(1), 1, 0), "{case}"),
                DeliveredSomewhere => {
                    assert!(outcome.is_delivered(), "{case}");
                    assert_eq!((outcome.offset(), attempts, bumps), (None, 1, 0), "{case}");
                }
                Retried { metadata, .. } => {
                    assert_eq!((outcome.offset(), attempts, bumps), (Some(1), 2, 0), "{case}");
                    assert_eq!(refreshed(&world), metadata, "{case}");
                    let times: Vec<u64> = batches(&world, 0).iter().map(|(at, _)| *at).collect();
                    assert!((80..=123).contains(&(times[1] - times[0])), "{case}: {times:?}");
                }
                RetriedOnce => assert_eq!((outcome.offset(), attempts, bumps), (Some(1), 2, 0), "{case}"),
                Split => {
                    assert!(failed(&world, DeliveryError::RecordTooLarge, NotWritten), "{case}: {outcome:?}");
                    assert_eq!((attempts, bumps), (1, u32::from(idempotent)), "{case}");
                }
                // 45: next in line, so the broker forgot us: a new epoch. 59 without a log start offset only asks for patience.
                Sequence if idempotent => {
                    assert_eq!((outcome.offset(), attempts), (Some(1), 2), "{case}");
                    assert_eq!(bumps, u32::from(code == 45), "{case}");
                }
                Sequence => assert!(failed(&world, error_of(code), NotWritten) && attempts == 1, "{case}: {outcome:?}"),
                Fails(fate) | Fatal(fate) => {
                    assert!(failed(&world, error_of(code), fate), "{case}: {outcome:?}");
                    assert_eq!(attempts, 1, "{case}");
                    assert!(!refreshed(&world), "{case}");
                    fatal = idempotent && matches!(expected, Fatal(_));
                    assert!(fatal || bumps == u32::from(idempotent), "{case}: {bumps}");
                }
            }
            goes_on(&mut world, topic, fatal.then_some(code), &case);
        }
    }
}

/// A later record gets through at once, or is refused by a producer that has ended.
fn goes_on(world: &mut World, topic: TopicId, fatal: Option<i16>, case: &str) {
    let later = world.send_value(topic, "later");
    if let Some(code) = fatal {
        let code = ErrorCode::from(code);
        assert_eq!(later, Err(SendError::Fatal(code)), "{case}");
        assert!(world.saw(Event::Problem(Problem::Fatal(code))), "{case}");
        return;
    }
    assert!(world.run_until_idle(1000), "{case}");
    world.verify();
    assert!(world.outcome(later.unwrap()).unwrap().is_delivered(), "{case}");
    assert!(!world.events().iter().any(|(_, event)| matches!(event, Event::Problem(Problem::Fatal(_)))), "{case}");
}

/// Retriable codes until the retries are used up: the last one is told, and what is known of the fate. If one of the attempts may
/// have been written, so may the batch.
#[test]
fn used_up_retries_tell_the_code_and_the_fate() {
    for kind in ANSWERED {
        for (code, expected) in produce_table() {
            let fate = match expected {
                Retried { fate, .. } => fate,
                RetriedOnce => NotWritten,
                _ => continue,
            };
            let options = || options(kind).configure(|config| config.retries = 1);
            let always = Fault::on(Api::Produce).times(2).then(Do::Error(code));
            let (mut world, topic) = answered(options(), [always]);
            assert!(failed(&world, error_of(code), fate), "{code} {kind:?}: {:?}", world.outcome(1));
            assert_eq!(batches(&world, 0).len(), 2);
            goes_on(&mut world, topic, None, &format!("{code} {kind:?}"));
            // A doubt stays, whatever later attempts are told.
            let open = Fault::on(Api::Produce).then(Do::AppendThenError(error::REQUEST_TIMED_OUT));
            let (world, _) = answered(options(), [open, Fault::on(Api::Produce).skip(1).then(Do::Error(code))]);
            assert!(failed(&world, error_of(code), Unknown), "{code} {kind:?}: {:?}", world.outcome(1));
        }
    }
}

/// An idempotent producer sends again what may have been appended, and the broker drops the duplicate, whatever it said the first time.
#[test]
fn what_was_appended_and_is_sent_again_is_there_once() {
    for (code, expected) in produce_table() {
        let Retried { fate: Unknown, .. } = expected else { continue };
        let appended = Fault::on(Api::Produce).then(Do::AppendThenError(code));
        let (world, _) = answered(options(Kind::Idempotent), [appended]);
        assert_eq!((world.outcome(1).unwrap().offset(), values(&world, 0).len()), (Some(1), 2), "{code}");
        assert_eq!(world.stats().epoch_bumps, 0, "{code}");
    }
}

/// Several records: halves in the order of the records, with their sequences; nothing is retried as a whole.
#[test]
fn message_too_large_is_split() {
    for kind in ANSWERED {
        let (mut world, topic) = warm(options(kind).configure(|config| config.linger_ms = 5), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Error(error::MESSAGE_TOO_LARGE)));
        for index in 0..4 {
            world.send_value(topic, format!("{index}")).unwrap();
        }
        assert!(world.run_until_idle(1000));
        world.verify();
        let sizes: Vec<i32> = batches(&world, 0).iter().map(|(_, batch)| batch.records).collect();
        assert_eq!((world.delivered(), &sizes[..]), (5, &[4, 2, 2][..]), "{kind:?}");
        assert_eq!(values(&world, 0)[1..], ["0", "1", "2", "3"]);
        assert_eq!((world.stats().batches_split, world.stats().epoch_bumps), (1, 0));
    }
}

/// UNKNOWN_PRODUCER_ID (k.5): without a log start offset the broker asks for patience; with one our state is lost, whether retention took
/// what we wrote (start behind it) or not.
#[test]
fn unknown_producer_id_is_patience_or_a_new_epoch() {
    for (log_start, bumps) in [(-1, 0), (0, 1), (1, 1), (100, 1)] {
        let fault =
            Fault::on(Api::Produce).then(Do::Error(error::UNKNOWN_PRODUCER_ID)).then(Do::LogStartOffset(log_start));
        let (world, _) = answered(options(Kind::Idempotent), [fault]);
        assert_eq!((world.outcome(1).unwrap().offset(), world.stats().epoch_bumps), (Some(1), bumps), "{log_start}");
        let last = batches(&world, 0).pop().unwrap().1;
        assert_eq!((last.producer_epoch, last.base_sequence), if bumps == 0 { (0, 1) } else { (1, 0) }, "{log_start}");
    }
}

/// With acks=0 there is no answer: whatever the broker thinks, the record counts as delivered when it is written, at offset −1. A
/// broker that cannot append closes the connection, and leaders are asked for (f.5).
#[test]
fn without_acks_no_code_is_ever_heard() {
    for (code, _) in all() {
        let fault = Fault::on(Api::Produce).then(if code == 0 { Do::Delay(1) } else { Do::Error(code) });
        let (mut world, topic) = answered(options(Kind::Plain(Acks::None)), [fault]);
        assert!(world.outcome(1).unwrap().is_delivered(), "{code}");
        assert_eq!(world.outcome(1).unwrap().offset(), None, "{code}");
        world.run_for(200);
        assert_eq!((world.connections_made(), refreshed(&world)), (if code == 0 { 1 } else { 2 }, code != 0), "{code}");
        goes_on(&mut world, topic, None, &format!("{code}"));
        assert_eq!(values(&world, 0).len(), if code == 0 { 3 } else { 2 });
    }
}

// ---- Metadata (g.2) ----

fn metadata_requests(world: &World) -> Vec<u64> {
    let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::Metadata.key());
    requests.map(|request| request.now_ms).collect()
}

/// The first answer has an error for the topic. Only an illegal name and a missing right fail what waits for its partition; everything else
/// is asked again, with a backoff, and costs nothing.
#[test]
fn topic_errors_in_metadata_fail_only_what_can_never_be() {
    for (code, _) in all().into_iter().filter(|(code, _)| *code != 0) {
        let mut world = World::new(options(Kind::Idempotent));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).topic("t").then(Do::Error(code)));
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_settled(3000), "{code}");
        let fails = matches!(code, 17 | 29);
        let outcome = world.outcome(record).unwrap();
        assert_eq!(outcome.is_delivered(), !fails, "{code}: {outcome:?}");
        if fails {
            assert_eq!((outcome.error(), outcome.fate()), (Some(error_of(code)), Some(NotWritten)));
            let problem = Event::Problem(Problem::Topic(topic, ErrorCode::from(code)));
            assert!(world.saw(problem), "{code}");
        }
        world.run_for(500);
        let asked = metadata_requests(&world);
        assert!((80..=123).contains(&(asked[1] - asked[0])), "{code}: {asked:?}");
        // And the topic is there for all that comes later.
        let later = world.send_value(topic, "later").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        assert!(world.outcome(later).unwrap().is_delivered(), "{code}");
        world.verify();
    }
}

/// A later answer has an error for the topic: what is in batches is not touched by it.
#[test]
fn topic_errors_in_metadata_fail_nothing_that_has_a_partition() {
    for (code, _) in all().into_iter().filter(|(code, _)| *code != 0) {
        let options = options(Kind::Idempotent).configure(|config| {
            config.linger_ms = 300;
            config.metadata_max_age_ms = 1000;
        });
        let (mut world, topic) = warm(options, 1);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).topic("t").then(Do::Error(code)));
        assert!(world.run_until(|world| world.cluster_mut().faults().struck() > 0, 2000));
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        assert!(world.outcome(record).unwrap().is_delivered(), "{code}");
    }
}

/// A partition with an error still carries its leader: that is used, and the answer is asked for again as long as something waits.
#[test]
fn partition_errors_in_metadata_keep_the_leader() {
    for (code, _) in all().into_iter().filter(|(code, _)| *code != 0) {
        let mut world = World::new(options(Kind::Idempotent).configure(|config| config.linger_ms = 50));
        world.cluster_mut().create_topic("t", 1);
        let topic = world.topic("t");
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).topic("t").partition(0).then(Do::Error(code)));
        // It waits for its partition when the answer comes, and lingers there.
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        assert!(world.outcome(record).unwrap().is_delivered(), "{code}");
        assert!(world.now_ms() < 80, "{code}: the leader was known from the first answer: {}", world.now_ms());
        world.run_for(500);
        let asked = metadata_requests(&world);
        assert!(asked.len() >= 2 && asked[1] - asked[0] >= 5, "{code}: {asked:?}");
        assert!(asked.len() <= 3, "{code}: {asked:?}");
    }
}

/// The code of the whole answer (v13): REBOOTSTRAP_REQUIRED is the only one that means anything. Others leave the answer as it is.
#[test]
fn top_level_errors_in_metadata() {
    for (code, _) in all() {
        let (mut world, topic) =
            warm(options(Kind::Idempotent).configure(|config| config.metadata_max_age_ms = 1000), 1);
        world.cluster_mut().faults().push(Fault::on(Api::Metadata).then(Do::TopLevelError(code)));
        world.run_for(1500);
        assert_eq!(world.stats().rebootstraps, u32::from(code == 129), "{code}");
        assert_eq!(world.connections_made(), 1 + u64::from(code == 129), "{code}");
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        assert!(world.outcome(record).unwrap().is_delivered(), "{code}");
        world.verify();
    }
}

// ---- InitProducerId (k.2, l.4) ----

/// Retriable codes are asked again after a backoff. CLUSTER_AUTHORIZATION_FAILED fails what is queued and leaves the producer alive. All
/// others end it: without an id nothing can ever be sent.
#[test]
fn producer_id_answers_do_what_the_document_says() {
    for (code, retriable) in all() {
        let (mut world, topic) = world_with(options(Kind::Idempotent), 1);
        let fault = Fault::on(Api::InitProducerId).then(if code == 0 { Do::Delay(1) } else { Do::Error(code) });
        world.cluster_mut().faults().push(fault);
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(1000), "{code}");
        world.verify();
        let outcome = world.outcome(record).unwrap();
        let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::InitProducerId.key());
        let asked: Vec<u64> = requests.map(|request| request.now_ms).collect();
        if code == 0 || retriable {
            assert!(outcome.is_delivered(), "{code}: {outcome:?}");
            assert_eq!(asked.len(), if code == 0 { 1 } else { 2 }, "{code}");
            assert!(code == 0 || (80..=123).contains(&(asked[1] - asked[0])), "{code}: {asked:?}");
            goes_on(&mut world, topic, None, &code.to_string());
            continue;
        }
        assert_eq!((outcome.error(), outcome.fate()), (Some(error_of(code)), Some(NotWritten)), "{code}");
        let later = world.send_value(topic, "later");
        if code == error::CLUSTER_AUTHORIZATION_FAILED {
            assert!(world.run_until_idle(1000));
            assert!(world.outcome(later.unwrap()).unwrap().is_delivered());
        } else {
            assert_eq!(later, Err(SendError::Fatal(ErrorCode::from(code))), "{code}");
            world.run_for(5000);
            assert_eq!(count(&world, Api::InitProducerId), 1, "{code}");
        }
    }
}

/// Without idempotence nobody asks.
#[test]
fn a_plain_producer_asks_for_no_producer_id() {
    let (mut world, topic) = world_with(options(Kind::Plain(Acks::All)), 1);
    world.cluster_mut().faults().push(Fault::on(Api::InitProducerId).always().then(Do::Error(-1)));
    world.send_value(topic, "v").unwrap();
    assert!(world.run_until_idle(1000));
    assert_eq!((world.delivered(), count(&world, Api::InitProducerId)), (1, 0));
}

// ---- ApiVersions (e.2) ----

/// UNSUPPORTED_VERSION is asked again on the same connection, REBOOTSTRAP_REQUIRED leads back to the bootstrap servers, and all others close
/// the connection: the next one comes after the reconnect backoff.
#[test]
fn api_versions_answers_do_what_the_document_says() {
    for (code, _) in all() {
        let (mut world, topic) = world_with(options(Kind::Idempotent), 1);
        let action = match code {
            0 => Do::Delay(1),
            35 => Do::UnsupportedVersion { max: Some(3) },
            _ => Do::Error(code),
        };
        world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).then(action));
        let record = world.send_value(topic, "v").unwrap();
        assert!(world.run_until_idle(2000), "{code}");
        world.verify();
        assert!(world.outcome(record).unwrap().is_delivered(), "{code}");
        let requests = world.cluster().requests().iter().filter(|request| request.api_key == Api::ApiVersions.key());
        let asked: Vec<_> = requests.map(|request| (request.now_ms, request.connection, request.api_version)).collect();
        match code {
            0 => assert_eq!(asked.len(), 1),
            35 => {
                assert_eq!((asked[1].1, asked[1].2), (asked[0].1, 3));
                assert!(asked[1].0 - asked[0].0 <= 2, "{asked:?}");
            }
            _ => {
                assert_ne!(asked[1].1, asked[0].1, "{code}");
                assert_eq!(world.stats().rebootstraps, u32::from(code == 129), "{code}");
                // From a broken connection to the next one, and its opening.
                let gap = asked[1].0 - asked[0].0;
                assert!(code == 129 || (40..=66).contains(&gap), "{code}: {asked:?}");
                let problem = Event::Problem(Problem::Peer(PeerError::UnsupportedVersion));
                assert_eq!(world.saw(problem), code != 129, "{code}");
            }
        }
    }
}
