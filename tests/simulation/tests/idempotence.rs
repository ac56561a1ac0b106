//! Nothing twice, nothing out of order, nothing lost in silence.

use klamm_simulation::*;

/// One record per batch, up to five in flight, a short request timeout.
fn singles() -> WorldOptions {
    one_broker().configure(|config| {
        config.batch_size = 0;
        config.linger_ms = 0;
        config.request_timeout_ms = 1000;
        config.delivery_timeout_ms = 20_000;
    })
}

fn send(world: &mut World, topic: TopicId, range: std::ops::Range<u32>) {
    for index in range {
        world.send_value(topic, index.to_string()).unwrap();
    }
}

/// A broker remembers five batches. While one of which nobody knows whether it was appended is sent again, no new
/// ones may push it out of that memory: else a second lost answer ends in OUT_OF_ORDER_SEQUENCE_NUMBER.
#[test]
fn new_batches_wait_for_a_retry_whose_fate_is_open() {
    let (mut world, topic) = warm(singles(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::Produce).then(Do::AppendThenError(error::REQUEST_TIMED_OUT)));
    world.cluster_mut().faults().push(Fault::on(Api::Produce).skip(5).then(Do::NoAnswer));
    send(&mut world, topic, 0..12);
    assert!(world.run_until_idle(5000));
    assert_eq!(world.delivered(), 13, "{:?}", world.outcomes().collect::<Vec<_>>());
    world.verify();
}
