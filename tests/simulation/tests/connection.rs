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

/// Fewer connection slots than brokers: they take turns, with answers and without.
#[test]
fn brokers_share_few_connections() {
    for acks in [Acks::All, Acks::None] {
        for slots in [1, 2] {
            let options = brokers(4).limit(move |limits| limits.connections = slots).configure(move |config| {
                config.acks = acks;
                config.enable_idempotence = acks == Acks::All;
                config.linger_ms = 0;
                config.delivery_timeout_ms = 40_000;
            });
            let (mut world, topic) = warm(options, 4);
            for index in 0..400 {
                world.send_to(topic, index % 4, format!("{index}")).unwrap();
                if index % 3 == 0 {
                    world.run_for(1);
                }
            }
            assert!(world.run_until_idle(10_000), "{acks:?} {slots}");
            assert_eq!(world.delivered(), 404, "{acks:?} {slots}");
            assert!(world.connections_open() <= slots);
            world.verify();
        }
    }
}
