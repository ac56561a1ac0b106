//! Connections: negotiation, throttles, timeouts, backoff.

use klamm_simulation::*;

/// Metadata waits for the end of the throttle, and is asked for then.
#[test]
fn a_throttle_in_the_version_answer_delays_what_follows() {
    let (mut world, topic) = world_with(one_broker(), 1);
    world.cluster_mut().faults().push(Fault::on(Api::ApiVersions).then(Do::Throttle(500)));
    world.send_value(topic, "late").unwrap();
    assert!(world.run_until_idle(2000));
    let metadata = world.cluster().requests().iter().find(|request| request.api_key == Api::Metadata.key()).unwrap();
    assert!((500..520).contains(&metadata.now_ms), "{metadata:?}");
    assert_eq!(world.delivered(), 1);
}
