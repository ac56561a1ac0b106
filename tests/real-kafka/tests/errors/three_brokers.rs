//! Replicas that are missing, leaders that move, elections that lose records.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use klamm::{DeliveryErrorKind, ErrorCode, Fate, Record, RecordMetadata};
use klamm_kafka_harness::Kafka;
use klamm_real_kafka::{CLOSE, assert_numbered, producer, stream_while};

use crate::{failure, outcome};

/// Three brokers for the tests of this file, all of them running, whatever the test before has done.
fn cluster() -> &'static Kafka {
    static CLUSTER: OnceLock<Kafka> = OnceLock::new();
    let kafka = CLUSTER.get_or_init(|| Kafka::builder().brokers(3).start().expect("Kafka starts"));
    let running = kafka.metadata().expect("a broker answers").brokers;
    for broker in (1..=3).filter(|broker| !running.contains(broker)) {
        kafka.restart(broker).unwrap();
    }
    kafka.wait_in_sync().unwrap();
    kafka
}

#[test]
fn too_few_replicas_are_named_after_delivery_timeout_ms() {
    let (kafka, topic) = (cluster(), "three-in-sync");
    kafka.create_topic(topic, 1, 3, &[("min.insync.replicas", "3")]).unwrap();
    let victim = kafka.leader_of(topic, 0).unwrap().unwrap() % 3 + 1;
    kafka.kill(victim).unwrap();
    kafka.wait_until_fenced(victim).unwrap();

    let properties = [("delivery.timeout.ms", "4000"), ("request.timeout.ms", "3000"), ("linger.ms", "0")];
    let all = producer(kafka, &properties);
    let mut begin = Instant::now();
    let mut error = failure(&all, &Record::to(topic).value("all"));
    for _ in 0..3 {
        if error.fate == Fate::NotWritten {
            break;
        }
        // On a busy computer the last attempt may be without an answer when the time is over.
        begin = Instant::now();
        error = failure(&all, &Record::to(topic).value("all"));
    }
    assert_eq!(
        error.to_string(),
        format!(
            "record for {topic}-0: not delivered within delivery.timeout.ms, last error NOT_ENOUGH_REPLICAS (19); \
             it is not in the log: it can be sent again"
        )
    );
    assert_eq!(error.kind, DeliveryErrorKind::TimedOut { last: ErrorCode::NOT_ENOUGH_REPLICAS });
    assert_eq!((error.fate, error.is_retriable()), (Fate::NotWritten, true));
    assert!((4..30).contains(&begin.elapsed().as_secs()), "after {:?}", begin.elapsed());
    assert!(all.stats().records_retried > 0);

    // Who does not wait for replicas does not miss them.
    let leader = producer(kafka, &[("acks", "1")]);
    let place = outcome(&leader, &Record::to(topic).value("leader")).expect("acks=1 passes");
    assert_eq!(place.offset, 0, "the other one was not appended");
    leader.close(CLOSE).unwrap();

    // The same producer goes on when the replica is back.
    kafka.restart(victim).unwrap();
    kafka.wait_in_sync().unwrap();
    assert_eq!(outcome(&all, &Record::to(topic).value("all")).expect("delivered").offset, 1);
    all.close(CLOSE).unwrap();
}

#[test]
fn a_leader_moves_while_records_flow() {
    let (kafka, topic) = (cluster(), "moving");
    kafka.create_topic(topic, 1, 1, &[("min.insync.replicas", "1")]).unwrap();
    let from = kafka.leader_of(topic, 0).unwrap().unwrap();
    let to = from % 3 + 1;
    let plan = kafka.dir().join("move.json");
    let text = format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":[{to}]}}]}}"#);
    std::fs::write(&plan, text).unwrap();
    let producer = producer(kafka, &[]);
    let outcomes = stream_while(&producer, topic, || {
        let plan = plan.display().to_string();
        kafka.tool_text("reassign-partitions", &["--execute", "--reassignment-json-file", &plan], b"").unwrap();
        let moved = |p: &klamm_kafka_harness::Partition| p.topic == topic && p.leader == to && p.replicas == [to];
        kafka.wait_for("the new leader", |metadata| metadata.partitions.iter().any(moved)).unwrap();
    });
    let places: Vec<RecordMetadata> = outcomes.into_iter().map(|outcome| outcome.expect("delivered")).collect();
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert_numbered(&kafka.read_back(topic).unwrap(), &places);
    assert!(stats.records_retried > 0, "the move was felt");
    assert_eq!(stats.records_failed, 0);
}

/// A replica that is behind becomes the leader. What was acknowledged by the old one is gone, as Kafka's own documentation warns; the
/// producer's next record does not fit behind what is left, and is delivered under a new epoch.
#[test]
fn after_an_unclean_election_the_producer_goes_on() {
    let (kafka, topic) = (cluster(), "unclean");
    let create = ["--create", "--topic", topic, "--replica-assignment", "2:3"];
    let configs = ["--config", "unclean.leader.election.enable=true", "--config", "min.insync.replicas=1"];
    kafka.tool_text("topics", &[&create[..], &configs[..]].concat(), b"").unwrap();
    kafka
        .wait_for("the topic", |metadata| metadata.partitions.iter().any(|p| p.topic == topic && p.isr.len() == 2))
        .unwrap();
    let producer = producer(kafka, &[("request.timeout.ms", "5000")]);
    assert_eq!(outcome(&producer, &Record::to(topic).value("on both")).unwrap().offset, 0);
    kafka.kill(3).unwrap();
    kafka.wait_until_fenced(3).unwrap();
    assert_eq!(outcome(&producer, &Record::to(topic).value("on one")).unwrap().offset, 1);
    kafka.kill(2).unwrap();
    kafka.wait_until_fenced(2).unwrap();
    kafka.restart(3).unwrap();
    kafka
        .wait_for("an unclean leader", |metadata| metadata.partitions.iter().any(|p| p.topic == topic && p.leader == 3))
        .unwrap();

    let place = outcome(&producer, &Record::to(topic).value("after")).expect("delivered");
    assert_eq!(place.offset, 1, "where the lost one was");
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert_eq!(stats.epoch_bumps, 1, "its sequence did not follow any more");
    let values: Vec<_> = kafka.read_back(topic).unwrap().into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, [b"on both".to_vec(), b"after".to_vec()]);
    let batches = kafka.dump_batches(3, &[topic]).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.base_sequence).collect::<Vec<_>>(), [0, 0]);
    assert!(batches[1].producer_epoch > batches[0].producer_epoch || batches[1].producer_id != batches[0].producer_id);
    // Leave the replica that lost its data nothing to argue about.
    kafka.restart(2).unwrap();
    kafka.wait_in_sync().unwrap();
    kafka.delete_topic(topic).unwrap();
}

#[test]
fn a_partition_without_a_leader_says_so() {
    let (kafka, topic) = (cluster(), "headless");
    kafka.create_topic(topic, 1, 1, &[("min.insync.replicas", "1")]).unwrap();
    let leader = kafka.leader_of(topic, 0).unwrap().unwrap();
    kafka.kill(leader).unwrap();
    kafka.wait_until_fenced(leader).unwrap();
    let properties = [("delivery.timeout.ms", "4000"), ("request.timeout.ms", "3000"), ("linger.ms", "0")];
    let producer = producer(kafka, &properties);
    let error = failure(&producer, &Record::to(topic).value("v"));
    assert_eq!(
        error.to_string(),
        format!(
            "record for {topic}-0: not delivered within delivery.timeout.ms, last error LEADER_NOT_AVAILABLE (5); \
             it is not in the log: it can be sent again"
        )
    );
    assert_eq!(error.fate, Fate::NotWritten);
    kafka.restart(leader).unwrap();
    assert_eq!(outcome(&producer, &Record::to(topic).value("v")).expect("delivered").offset, 0);
    producer.close(Duration::from_secs(30)).unwrap();
}
