//! Sequence numbers at their end, through a whole world: 2³¹−1 is followed by 0, whatever goes wrong there (PRODUCER a.5, k.10;
//! PITFALLS 8). `core/src/sender/tests.rs` looks at the same from inside.

use klamm_simulation::*;

/// How many sequences are left before the wrap.
const LEFT: i32 = 20;

fn options() -> WorldOptions {
    one_broker().configure(|config| {
        config.linger_ms = 2;
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 20_000;
    })
}

/// A producer that has sent almost 2³¹ records, to a broker that has forgotten it.
fn near_the_end(options: WorldOptions) -> (World, TopicId) {
    let (mut world, topic) = warm(options, 1);
    world.forget_producers("t", 0);
    assert!(world.producer_mut().continue_sequence_at(topic, 0, i32::MAX - LEFT + 1));
    (world, topic)
}

/// Batches of three records, five in flight; the wrap falls into the seventh.
fn send(world: &mut World, topic: TopicId, batches: u32) {
    for batch in 0..batches {
        for record in 0..3 {
            world.send_value(topic, format!("{batch} {record}")).unwrap();
        }
        world.run_for(2);
    }
}

/// Sequences in the log follow each other across the wrap, within each epoch.
fn assert_consecutive(world: &World) {
    let log = world.cluster().log("t", 0);
    for pair in log[1..].windows(2).filter(|pair| pair[0].producer_epoch == pair[1].producer_epoch) {
        let next = if pair[0].sequence == i32::MAX { 0 } else { pair[0].sequence + 1 };
        assert_eq!(pair[1].sequence, next);
    }
    assert!(log.iter().all(|record| record.sequence >= 0));
}

#[test]
fn sequences_wrap_on_the_wire() {
    let (mut world, topic) = near_the_end(options());
    send(&mut world, topic, 20);
    assert!(world.run_until_idle(1000));
    world.verify();
    assert_eq!((world.delivered(), world.stats().epoch_bumps), (61, 0));
    assert_consecutive(&world);
    let sequences: Vec<i32> = world.cluster().log("t", 0)[1..].iter().map(|record| record.sequence).collect();
    assert_eq!((sequences[0], sequences[19], sequences[20]), (i32::MAX - 19, i32::MAX, 0));
}

/// Any one of the batches around the wrap is refused, lost on the way, or appended without an answer: those behind it wait for it, nothing
/// is there twice, and no epoch is spent.
#[test]
fn retries_cross_the_wrap() {
    let actions = [
        Do::Error(error::NOT_LEADER_OR_FOLLOWER),
        Do::AppendThenError(error::REQUEST_TIMED_OUT),
        Do::AppendThenError(error::NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        Do::CloseBefore,
        Do::CloseAfter,
        Do::NoAnswer,
    ];
    for action in actions {
        for skip in 3..11 {
            let (mut world, topic) = near_the_end(options());
            world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).times(2).then(action.clone()));
            world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::Delay(3)));
            send(&mut world, topic, 20);
            assert!(world.run_until_idle(5000), "{action:?} {skip}");
            world.verify();
            assert_eq!((world.delivered(), world.stats().epoch_bumps), (61, 0), "{action:?} {skip}");
            assert_consecutive(&world);
            assert_frozen(&world);
        }
    }
}

/// The batch across the wrap is split, with others in flight behind it: its halves share its sequences, and the wrap with them.
#[test]
fn a_split_crosses_the_wrap() {
    for skip in 4..10 {
        let (mut world, topic) = near_the_end(options());
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).then(Do::Error(error::MESSAGE_TOO_LARGE)));
        world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).then(Do::Delay(5)));
        send(&mut world, topic, 20);
        assert!(world.run_until_idle(5000), "{skip}");
        world.verify();
        assert_eq!((world.delivered(), world.stats().epoch_bumps, world.stats().batches_split), (61, 0, 1), "{skip}");
        assert_consecutive(&world);
    }
}

/// A batch at the wrap fails for good, or is given up in flight: one new epoch, from 0, and nobody else is lost.
#[test]
fn a_hole_at_the_wrap_begins_a_new_epoch() {
    for (action, lost) in [(Do::Error(error::INVALID_RECORD), 3), (Do::Error(45), 0)] {
        for skip in 4..9 {
            let (mut world, topic) = near_the_end(options());
            world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(skip).then(action.clone()));
            send(&mut world, topic, 20);
            assert!(world.run_until_idle(5000), "{action:?} {skip}");
            world.verify();
            assert_eq!((world.failed(), world.delivered()), (lost, 61 - lost), "{action:?} {skip}");
            assert_eq!(world.stats().epoch_bumps, 1, "{action:?} {skip}");
            assert_consecutive(&world);
            let log = world.cluster().log("t", 0);
            let first = log.iter().find(|record| record.producer_epoch == 1).unwrap();
            assert_eq!(first.sequence, 0);
        }
    }
    for silence in [Do::NoAnswer, Do::Ignore] {
        let options = options().configure(|config| config.delivery_timeout_ms = 1002);
        let (mut world, topic) = near_the_end(options);
        send(&mut world, topic, 6);
        assert!(world.run_until_idle(100));
        world.cluster_mut().faults().push(Fault::on(Api::Produce).then(silence));
        send(&mut world, topic, 1);
        world.run_for(1200);
        assert_eq!(world.failed(), 3);
        send(&mut world, topic, 6);
        assert!(world.run_until_idle(2000));
        assert_eq!((world.failed(), world.stats().epoch_bumps), (3, 1));
        assert_consecutive(&world);
    }
}
