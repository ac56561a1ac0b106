//! The whole producer: commands and inputs in any order, legal or not, with a cluster that answers or somebody who makes things
//! up. What a driver must be able to rely on is checked by the [`Rig`].

use std::net::{IpAddr, Ipv6Addr};

use klamm_core::{Disconnect, Instant, TopicId};
use klamm_sim::{Action, Api, Fault};

use crate::input::Input;
use crate::rig::{ADDRESS, Rig, Stage};
use crate::{setup, shapes};

const NAMES: [&str; 6] =
    ["a", "b", "events.of.a.long.topic", "", "no such topic", "this one is longer than the memory allows"];
const REASONS: [Disconnect; 6] = [
    Disconnect::Closed,
    Disconnect::Refused,
    Disconnect::Dns,
    Disconnect::Tls,
    Disconnect::TimedOut,
    Disconnect::Other,
];
/// Commands and inputs of one run.
const STEPS: usize = 400;

/// See the module.
pub fn machine(data: &[u8]) {
    let mut input = Input::new(data);
    let (memory, cluster) = (input.u8(), input.u8());
    let config = setup::config(&mut input);
    let Some(mut rig) = Rig::new(config, &setup::limits(memory), setup::cluster(cluster)) else { return };
    rig.cluster.create_topic("a", 1 + u32::from(memory >> 5));
    let mut topics: Vec<TopicId> = NAMES[..1].iter().filter_map(|name| rig.stir().topic(name).ok()).collect();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let choice = input.u8();
        match choice & 31 {
            0..6 => command(&mut rig, &mut topics, choice & 31, &mut input),
            6..10 => time(&mut rig, choice, &mut input),
            10..18 => socket(&mut rig, choice & 31, &mut input),
            18..22 => bytes(&mut rig, choice & 31, &mut input),
            22..24 => job(&mut rig, choice, &mut input),
            24..27 => trouble(&mut rig, &mut input),
            27 => {
                let rounds = 1 + usize::from(choice >> 5);
                (0..rounds).for_each(|_| _ = rig.round());
            }
            28 => _ = rig.poll_events(),
            29 => _ = rig.poll_actions(),
            30 => _ = rig.poll_jobs(),
            _ => _ = rig.poll_all(),
        }
    }
    let within = input.u8();
    rig.finish((within & 1 == 0).then(|| 1 << (within >> 3)));
}

fn command(rig: &mut Rig, topics: &mut Vec<TopicId>, choice: u8, input: &mut Input<'_>) {
    match choice {
        0 | 1 => {
            let topic = topics.get(input.below(topics.len())).copied();
            let Some(topic) = topic else { return };
            let times = if choice == 0 { 1 } else { 1 + input.below(24) };
            shapes::record(input, |record| {
                for _ in 0..times {
                    let _ = rig.send(topic, record);
                }
            });
        }
        2 => topics.extend(rig.stir().topic(NAMES[input.below(NAMES.len())]).ok()),
        3 => {
            let Some(topic) = topics.get(input.below(topics.len())).copied() else { return };
            let count = input.u8();
            if count == 255 {
                // The id stays in the list: a forgotten one is a wrong argument.
                rig.stir().forget_topic(topic);
            } else {
                rig.stir().declare_partitions(topic, count.into());
            }
        }
        4 => {
            let now = rig.now();
            rig.stir().flush(now);
        }
        _ => {
            let (now, unix_ms) = (rig.now(), input.u8());
            match unix_ms {
                255 => rig.stir().set_wall_clock(now, input.u64() as i64),
                254 => rig.stir().close(now, std::time::Duration::from_millis(input.u16().into())),
                253 => rig.stir().fail_all(now),
                n => rig.stir().set_wall_clock(now, 1_700_000_000_000 + i64::from(n) * 1000),
            }
        }
    }
}

fn time(rig: &mut Rig, choice: u8, input: &mut Input<'_>) {
    match choice & 31 {
        6 => rig.pass(1 << ((choice >> 5) * 4)),
        7 => rig.pass(1 << (input.u8() % 56)),
        8 => {
            // A clock that steps back.
            let before = rig.now_us.saturating_sub(input.u16().into());
            rig.stir().handle_timeout(Instant::from_micros(before));
        }
        _ => (0..=choice >> 5).for_each(|_| _ = rig.pass_to_deadline()),
    }
}

/// The transport's side of a connection, by the rules.
fn socket(rig: &mut Rig, choice: u8, input: &mut Input<'_>) {
    let which = input.u8();
    let slot = usize::from(which & 7);
    let Some(socket) = rig.sockets.get(slot) else { return };
    match choice {
        10 => {
            let other = IpAddr::V6(Ipv6Addr::LOCALHOST);
            let addresses = [ADDRESS, other, ADDRESS, other, ADDRESS, other];
            rig.resolve(slot, &addresses[..usize::from(which >> 5) % 7]);
        }
        11 if socket.stage == Stage::Connecting => rig.connect(slot),
        12 => rig.lose(slot, REASONS[usize::from(which >> 3) % REASONS.len()]),
        13 => _ = rig.write(slot, input.u8().into()),
        14 => while rig.write(slot, usize::MAX) {},
        15 => _ = rig.fetch(slot),
        16 => _ = rig.read(slot, input.u8().into()),
        _ => {
            rig.fetch(slot);
            rig.read(slot, usize::MAX);
        }
    }
}

/// Bytes that no broker would send, and calls that no driver would make.
fn bytes(rig: &mut Rig, choice: u8, input: &mut Input<'_>) {
    let which = input.u8();
    let slot = usize::from(which & 7);
    let conn = rig.sockets.get(slot).and_then(|socket| socket.conn);
    match choice {
        18 => {
            // A frame of one's own, as answer to the last request.
            let (Some(conn), Some(socket)) = (conn, rig.sockets.get(slot)) else { return };
            let body = input.bytes();
            let size = 4 + body.len() as u32;
            let frame = [&size.to_be_bytes()[..], &socket.correlation_id, body].concat();
            let _ = rig.input(conn, &frame);
        }
        19 => {
            let Some(conn) = conn else { return };
            let _ = rig.input(conn, input.bytes());
        }
        20 => {
            // Damage on the way, or an answer that comes twice.
            let Some(socket) = rig.sockets.get_mut(slot) else { return };
            let at = usize::from(input.u8());
            match (which >> 3, socket.down.get_mut(at)) {
                (0, _) => socket.down.extend_from_within(..),
                (1, _) => socket.down.truncate(at),
                (_, Some(byte)) => *byte ^= input.u8(),
                _ => {}
            }
        }
        _ => wrong_calls(rig, which, input),
    }
}

/// Calls for connections that are over, out of turn, or with numbers that cannot be.
fn wrong_calls(rig: &mut Rig, which: u8, input: &mut Input<'_>) {
    let now = rig.now();
    let current = rig.sockets.get(usize::from(which & 7)).and_then(|socket| socket.conn);
    let stale = rig.stale.get(usize::from(which & 7)).copied();
    match which >> 3 {
        0 => current.into_iter().for_each(|conn| rig.stir().handle_connected(now, conn)),
        1 => current.into_iter().for_each(|conn| rig.stir().handle_resolved(now, conn, &[ADDRESS])),
        2 => {
            let Some(conn) = stale else { return };
            rig.stir().handle_transmitted(now, conn, input.u8().into());
            rig.stir().handle_disconnected(now, conn, Disconnect::Closed);
            rig.stir().handle_connected(now, conn);
            rig.stir().handle_resolved(now, conn, &[ADDRESS]);
            assert_eq!(rig.stir().handle_input(now, conn, input.bytes()), Ok(()));
            assert!(rig.stir().poll_transmit(now, conn).is_none());
        }
        _ => {
            let Some(conn) = current else { return };
            let mut slices: [&[u8]; 5] = [&[]; 5];
            let count = usize::from(which >> 3) % 6;
            let told = rig.stir().poll_transmit_vectored(now, conn, &mut slices[..count]);
            assert!(told <= count && slices[..told].iter().all(|slice| !slice.is_empty()));
        }
    }
}

fn job(rig: &mut Rig, choice: u8, input: &mut Input<'_>) {
    let at = usize::from(choice >> 6);
    if choice & 1 == 0 {
        return rig.end_job(at, |made| made.map(<[u8]>::to_vec));
    }
    let what = input.u8();
    if let Some(id) = rig.stale_jobs.get(at).copied()
        && what & 1 == 0
    {
        return rig.tell_job(id, (what & 2 == 0).then(|| input.bytes()));
    }
    rig.end_job(at, |made| match what >> 2 & 3 {
        0 => None,
        1 => Some(input.bytes().to_vec()),
        2 => made.map(|made| made[..made.len() / 2].to_vec()),
        _ => made.map(|made| [made, b"x"].concat()),
    });
}

/// Something goes wrong in the cluster.
fn trouble(rig: &mut Rig, input: &mut Input<'_>) {
    let (what, broker) = (input.u8(), i32::from(input.u8() & 3));
    let now_ms = rig.now_us / 1000;
    match what & 7 {
        0 => rig.cluster.kill(broker),
        1 => rig.cluster.restart(now_ms, broker),
        2 => rig.cluster.move_leader("a", u32::from(what >> 3), broker),
        3 => rig.cluster.add_partitions("a", 1 + u32::from(what >> 6)),
        4 => rig.cluster.recreate_topic("a"),
        5 => rig.cluster.set_versions(broker, setup::release(what >> 3)),
        _ => {
            let api = *input.pick(&[Api::Produce, Api::Produce, Api::Metadata, Api::InitProducerId, Api::ApiVersions]);
            let fault = Fault::on(api).times(1 + u32::from(what >> 6)).then(fault(input));
            rig.cluster.faults().push(fault);
        }
    }
}

fn fault(input: &mut Input<'_>) -> Action {
    let (which, n) = (input.u8() % 30, input.u8());
    let number = i32::from(n as i8);
    let text = |input: &mut Input<'_>| String::from_utf8_lossy(input.bytes()).into_owned();
    match which {
        0..6 => Action::Error(i16::from(n) - 1),
        6 => Action::AppendThenError(i16::from(n) - 1),
        7 => Action::Message(text(input)),
        8 => Action::RecordErrors(vec![(number, None), (0, Some(text(input)))]),
        9 => Action::BaseOffset(input.u64() as i64),
        10 => Action::CloseBefore,
        11 => Action::CloseAfter,
        12 => Action::CloseAfterBytes(n.into()),
        13 => Action::Delay(n.into()),
        14 => Action::NoAnswer,
        15 => Action::Ignore,
        16 => Action::Throttle(number << (n & 15)),
        17 => Action::DropPartition,
        18 => [Action::DropTopic, Action::DuplicatePartitions, Action::DuplicateTopic, Action::ReverseTopics]
            [usize::from(n & 3)]
        .clone(),
        19 => Action::ExtraPartition(number),
        20 => Action::CorrelationId(number),
        21 => Action::TrailingBytes(input.bytes().to_vec()),
        22 => {
            let endpoint = (n & 1 == 0).then(|| (text(input), 9092 + u16::from(n & 3)));
            Action::LeaderHint { leader_id: number >> 2, leader_epoch: i32::from(input.u8() as i8), endpoint }
        }
        23 => Action::ProducerEpoch(input.u16() as i16),
        24 => Action::Leader { leader_id: number, leader_epoch: i32::from(input.u8() as i8) },
        25 => [Action::NoBrokers, Action::OmitBroker(1), Action::Leaderless, Action::AnswerAcksZero]
            [usize::from(n & 3)]
        .clone(),
        26 => Action::BrokerPort { node_id: 1 + i32::from(n & 1), port: input.u32() as i32 },
        27 => Action::TopLevelError(i16::from(n)),
        28 => Action::UnsupportedVersion { max: (n & 1 == 0).then_some(i16::from(n >> 1)) },
        _ => Action::StaleEpoch(number),
    }
}
