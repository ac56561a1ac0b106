//! Troubles that are scripted answers.

use super::{Deed, Trouble};
use crate::fault::{Action, Fault};
use crate::protocol::Api;
use crate::world::{Random, World};

/// Codes after which a batch may be sent again.
const RETRIABLE: [i16; 18] = [2, 3, 5, 6, 7, 9, 13, 14, 19, 20, 51, 56, 72, 74, 75, 89, 100, 103];
/// Codes that end a batch, or that say something of its sequence; some that producers do not know.
const FATAL: [i16; 15] = [10, 17, 18, 29, 32, 42, 44, 45, 47, 59, 76, 87, -1, 130, 999];
/// The error of a replica or a disk may come after the append.
const AFTER_APPEND: [i16; 6] = [3, 6, 7, 9, 20, 56];

/// Puts a fault into the script; `None` for other troubles.
pub(super) fn begin(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    let fault = fault(trouble, random, world)?;
    let (skip, times) = (*random.pick(&[0, 0, 0, 1, 3]), *random.pick(&[1, 1, 1, 2, 5]));
    let fault = if trouble == Trouble::ApiVersionsCloses { fault } else { fault.skip(skip).times(times) };
    let what = format!("{fault:?}");
    let what = what.split_once("actions: ").map_or(&what[..], |(_, actions)| actions);
    let deed = Deed::once(what.trim_end_matches([' ', '}']).to_owned());
    world.cluster_mut().faults().push(fault);
    Some(deed)
}

fn fault(trouble: Trouble, random: &mut Random, world: &World) -> Option<Fault> {
    let produce = Fault::on(Api::Produce);
    let below = |random: &mut Random, bound: u64| random.below(bound) as usize;
    Some(match trouble {
        Trouble::LostAcks => some_api(random).then(match random.below(4) {
            0 => Action::CloseAfter,
            1 => Action::CloseAfterBytes(below(random, 60)),
            2 => Action::NoAnswer,
            _ => return Some(produce.then(Action::CloseAfter)),
        }),
        Trouble::LostRequests => some_api(random).then(random.pick(&[Action::CloseBefore, Action::Ignore]).clone()),
        Trouble::AppendedErrors => {
            let code = *random.pick(&AFTER_APPEND);
            let fault = produce.then(Action::AppendThenError(code));
            // Errors of the leader itself come with an offset that means nothing.
            if matches!(code, 7 | 20) { fault } else { fault.then(Action::BaseOffset(random.below(100) as i64)) }
        }
        Trouble::RetriableErrors => some_api(random).then(Action::Error(*random.pick(&RETRIABLE))),
        Trouble::FatalErrors => produce.then(Action::Error(*random.pick(&FATAL))),
        Trouble::ProducerFatal => some_api(random).then(Action::Error(*random.pick(&[31, 35, 53]))),
        Trouble::RecordRejects => {
            let index = random.below(4) as i32;
            let text = random.chance(500).then(|| "not this one".to_owned());
            produce.then(Action::Error(*random.pick(&[87, 32]))).then(Action::RecordErrors(vec![(index, text)]))
        }
        Trouble::MetadataErrors => Fault::on(Api::Metadata).then(match random.below(5) {
            0 => Action::Leaderless,
            1 => Action::NoBrokers,
            2 => Action::OmitBroker(some_broker(random, world)),
            3 => Action::TopLevelError(*random.pick(&[129, -1])),
            _ => Action::Error(*random.pick(&[3, 5, 9, 17, 29, 100, 103, -1])),
        }),
        Trouble::StaleMetadata => stale_metadata(random, world),
        Trouble::InitProducerIdErrors => {
            Fault::on(Api::InitProducerId).then(Action::Error(*random.pick(&[7, 13, 14, 15, 16, 41, 51])))
        }
        Trouble::EpochExhaustion => Fault::on(Api::InitProducerId).then(Action::ProducerEpoch(*random.pick(&[
            i16::MAX,
            i16::MAX - 1,
            i16::MAX - 3,
        ]))),
        Trouble::ApiVersionsErrors => Fault::on(Api::ApiVersions).then(match random.below(3) {
            0 => Action::UnsupportedVersion { max: None },
            1 => Action::UnsupportedVersion { max: Some(random.below(5) as i16) },
            _ => Action::Error(*random.pick(&[-1, 7, 42, 58])),
        }),
        Trouble::ApiVersionsCloses => {
            let broker = some_broker(random, world);
            let fault = Fault::on(Api::ApiVersions).broker(broker).versions(1 + random.below(4) as i16, i16::MAX);
            return Some(fault.always().then(Action::CloseBefore));
        }
        Trouble::WrongCorrelationIds => some_api(random).then(Action::CorrelationId(match random.below(3) {
            0 => random.draw() as i32,
            1 => random.below(60) as i32,
            _ => -1,
        })),
        Trouble::AnsweredAcksZero => produce.then(Action::AnswerAcksZero),
        Trouble::MalformedAnswers => return Some(malformed(random)),
        Trouble::SlowAnswers => some_api(random).then(Action::Delay(random.below(6000))),
        Trouble::Throttling => some_api(random).then(Action::Throttle(random.below(3000) as i32)),
        _ => return None,
    })
}

/// Metadata, or a hint in an answer to records, of who led once.
fn stale_metadata(random: &mut Random, world: &World) -> Fault {
    let (metadata, produce) = (Fault::on(Api::Metadata), Fault::on(Api::Produce));
    match random.below(4) {
        0 => metadata.then(Action::StaleEpoch(1 + random.below(3) as i32)),
        1 => metadata.then(Action::Leader { leader_id: some_broker(random, world), leader_epoch: 0 }),
        2 => produce.then(Action::Error(6)).then(Action::OmitLeaderHint),
        _ => produce.then(Action::Error(*random.pick(&[6, 74]))).then(Action::LeaderHint {
            leader_id: some_broker(random, world),
            // A broker may be behind; one that invents the future would be believed for good.
            leader_epoch: 0,
            endpoint: None,
        }),
    }
}

fn malformed(random: &mut Random) -> Fault {
    let garbage = (0..random.below(80)).map(|_| random.draw() as u8).collect();
    let actions = [
        Action::Garbage(garbage),
        Action::DropPartition,
        Action::DropTopic,
        Action::DuplicatePartitions,
        Action::DuplicateTopic,
        Action::ReversePartitions,
        Action::ReverseTopics,
        Action::ExtraPartition(77),
        Action::TrailingBytes(vec![0xff; 9]),
    ];
    some_api(random).then(random.pick(&actions).clone())
}

/// Mostly what matters most.
fn some_api(random: &mut Random) -> Fault {
    match random.below(10) {
        0 => Fault::on(Api::Metadata),
        1 => Fault::on(Api::InitProducerId),
        2 => Fault::on(Api::ApiVersions),
        3 => Fault::on_any(),
        _ => Fault::on(Api::Produce),
    }
}

fn some_broker(random: &mut Random, world: &World) -> i32 {
    let brokers: Vec<i32> = world.cluster().brokers().collect();
    if brokers.is_empty() { 1 } else { *random.pick(&brokers) }
}
