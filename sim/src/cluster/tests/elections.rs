//! Elections, zombies, truncation, and how news of them spread.

use super::replicas::{fetching, one, slow};
use super::*;

#[test]
fn what_only_a_dead_leader_had_is_lost_with_acks_one() {
    let mut client = fetching(100);
    client.offer(1, 30_000, &one());
    assert_eq!(client.told(), (0, 0));
    client.cluster.kill(1);
    assert_eq!((client.leader(), client.isr()), ((2, 1), vec![2, 3]));
    assert_eq!(client.cluster.record_count("t"), 0);
    client.at(2).offer(-1, 30_000, &Sketch::of(2).encode()).go_to(100);
    assert_eq!(client.told(), (0, 0));
    client.cluster.restart(200, 1);
    client.go_to(300);
    assert_eq!(client.cluster.log_of(1, "t", 0), client.cluster.log_of(2, "t", 0));
    assert_eq!((client.isr(), client.leader()), (vec![1, 2, 3], (2, 1)));
    let news = client.cluster.take_news().join("\n");
    assert!(news.contains("t-0: broker 1 truncates 1 records after 0"), "{news}");
}

#[test]
fn a_deposed_leader_goes_on_until_it_learns() {
    let mut client = slow(Replication { session_ms: 100, propagation_ms: 5..=5, ..Replication::default() });
    client.go_to(10).offer(-1, 30_000, &one());
    assert_eq!(client.told(), (0, 0));
    client.cluster.cut(1, CONTROLLER);
    client.cluster.cut(CONTROLLER, 1);
    client.go_to(109);
    assert_eq!(client.leader(), (1, 0));
    client.go_to(110);
    assert_eq!(client.leader(), (2, 1));
    // The new leader has not heard of it yet.
    assert_eq!(client.at(2).produce(12, one()).error, error::NOT_LEADER_OR_FOLLOWER);
    client.go_to(115);
    assert_eq!(client.metadata(12, "t").topics[0].partitions[0].leader_id, 2);
    client.at(1);
    let stale = &client.metadata(12, "t").topics[0].partitions[0];
    assert_eq!((stale.leader_id, stale.leader_epoch), (1, 0));
    // It accepts, and nobody follows.
    client.offer(1, 30_000, &one());
    assert_eq!(client.told(), (0, 1));
    client.offer(-1, 50, &one()).go_to(165);
    assert_eq!(client.told(), (error::REQUEST_TIMED_OUT, 2));
    assert_eq!(client.cluster.record_count("t"), 1);
    client.offer(-1, 30_000, &one());
    client.at(2).offer(-1, 30_000, &Sketch::of(5).encode());
    client.go_to(170);
    // The controller took broker 1 out of the ISR when it elected broker 2, which need not wait for it.
    assert_eq!(client.told(), (0, 1));
    client.cluster.mend_all(200);
    client.go_to(210);
    let log = client.cluster.log_of(1, "t", 0);
    // The three records of its own are gone.
    assert_eq!((log.len(), client.isr()), (6, vec![1, 2, 3]));
    assert_eq!(log, client.cluster.log("t", 0));
}

#[test]
fn only_an_unclean_election_loses_what_was_committed() {
    for unclean in [false, true] {
        let mut client = Client::new();
        client.cluster.options_mut().replication.unclean = unclean;
        client.cluster.kill(2);
        client.cluster.kill(3);
        assert_eq!(client.outcome(&Sketch::of(4)), (0, 0));
        client.cluster.kill(1);
        client.cluster.restart(0, 2);
        if unclean {
            assert_eq!((client.leader(), client.isr(), client.cluster.record_count("t")), ((2, 2), vec![2], 0));
        } else {
            assert_eq!((client.leader(), client.isr(), client.cluster.record_count("t")), ((-1, 1), vec![1], 4));
        }
        client.cluster.restart(0, 1);
        assert_eq!(client.leader().0, if unclean { 2 } else { 1 });
        assert_eq!(client.cluster.log_of(1, "t", 0).len(), if unclean { 0 } else { 4 });
        assert_eq!(client.cluster.log_of(2, "t", 0).len(), if unclean { 0 } else { 4 });
    }
}

#[test]
fn a_death_takes_a_session_to_notice() {
    let mut client = slow(Replication { session_ms: 100, ..Replication::default() });
    client.cluster.kill(1);
    assert_eq!((client.leader(), client.cluster.next_event()), ((1, 0), Some(100)));
    client.go_to(100);
    assert_eq!((client.leader(), client.cluster.next_event()), ((2, 1), None));
    // One that comes back in time is another incarnation all the same.
    client.cluster.kill(2);
    client.cluster.restart(150, 2);
    assert_eq!((client.leader(), client.isr()), ((3, 2), vec![2, 3]));
}

#[test]
fn a_paused_broker_keeps_its_connections() {
    let mut client = slow(Replication { session_ms: 100, ..Replication::default() });
    client.cluster.pause(1);
    client.at(1).offer(-1, 30_000, &one());
    assert!(client.is_silent());
    client.go_to(100);
    assert_eq!((client.leader().0, client.isr()), (2, vec![2, 3]));
    assert!(client.is_silent());
    assert_eq!(client.cluster.next_due(), None);
    // It reads what lies in the socket, takes itself for the leader, and hears while it waits that it is none.
    client.cluster.resume(200, 1);
    client.go_to(200);
    assert_eq!(client.told().0, error::NOT_LEADER_OR_FOLLOWER);
    assert_eq!((client.isr(), client.cluster.record_count("t")), (vec![1, 2, 3], 0));
}

#[test]
fn a_controlled_shutdown_loses_nothing() {
    let mut client = slow(Replication { session_ms: 500, propagation_ms: 20..=20, ..Replication::default() });
    client.go_to(20).offer(-1, 30_000, &one());
    assert_eq!(client.told(), (0, 0));
    client.cluster.shutdown(100, 1);
    assert_eq!((client.leader(), client.isr()), ((2, 1), vec![2, 3]));
    client.now_ms = 119;
    assert!(client.cluster.is_alive(1));
    client.go_to(120);
    assert!(!client.cluster.is_alive(1));
    assert_eq!(client.at(2).outcome(&Sketch::of(1)), (0, 1));
    assert_eq!(client.metadata(12, "t").brokers.len(), 3);
    client.go_to(140);
    assert_eq!(client.metadata(12, "t").brokers.len(), 2);
}

#[test]
fn a_rolling_upgrade() {
    let options = ClusterOptions { versions: VersionSet::kafka_2_1(), ..ClusterOptions::default() };
    let mut client = Client::with(options);
    assert_eq!(client.produce(7, one()).error, 0);
    for broker in 1..=3 {
        client.cluster.upgrade(0, broker, VersionSet::kafka_4_4());
        assert!(client.cluster.is_alive(broker));
        assert_eq!(client.isr(), [1, 2, 3]);
    }
    let leader = client.leader().0;
    let ack = client.at(leader).produce(12, one());
    assert_eq!((ack.error, ack.offset), (0, 1));
}

#[test]
fn topics_come_and_go_with_delay() {
    let mut client = slow(Replication { propagation_ms: 10..=10, ..Replication::default() });
    assert_eq!(client.metadata(12, "t").topics[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.produce(12, one()).error, error::UNKNOWN_TOPIC_OR_PARTITION);
    client.go_to(10);
    assert_eq!(client.produce(12, one()).error, 0);
    client.cluster.add_partitions("t", 2);
    assert_eq!(client.metadata(12, "t").topics[0].partitions.len(), 3);
    client.go_to(20);
    assert_eq!(client.metadata(12, "t").topics[0].partitions.len(), 5);
    let old = client.cluster.topic_id("t").unwrap();
    client.cluster.recreate_topic("t");
    assert_eq!(client.metadata(12, "t").topics[0].topic_id, old);
    // The old topic takes records until the broker learns that it is gone.
    assert_eq!(client.produce(12, one()).offset, 1);
    assert_eq!(client.cluster.record_count("t"), 0);
    client.go_to(30);
    assert_eq!(client.produce(12, one()).offset, 0);
    assert_ne!(client.metadata(12, "t").topics[0].topic_id, old);
    client.cluster.cut(CONTROLLER, 1);
    client.cluster.delete_topic("t");
    client.go_to(40);
    assert_eq!(client.metadata(12, "t").topics[0].error_code, 0);
    client.cluster.mend(50, CONTROLLER, 1);
    client.go_to(60);
    assert_eq!(client.metadata(12, "t").topics[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.cluster.next_event(), None);
}

#[test]
fn a_leader_may_be_moved_to_whom_one_likes() {
    let options = ClusterOptions { replication_factor: Some(1), ..ClusterOptions::default() };
    let mut client = Client::with(options);
    assert_eq!(client.outcome(&Sketch::of(2)), (0, 0));
    client.cluster.kill(3);
    client.cluster.move_leader("t", 0, 3);
    assert_eq!((client.leader(), client.isr(), client.cluster.record_count("t")), ((3, 1), vec![1, 3], 2));
    client.cluster.restart(0, 3);
    assert_eq!(client.at(3).outcome(&Sketch::of(1)), (0, 2));
    assert_eq!(client.cluster.log_of(1, "t", 0).len(), 3);
}
