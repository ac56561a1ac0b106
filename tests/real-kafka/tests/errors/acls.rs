//! What a client reads that may not do what it does. klamm comes without a name here (`User:ANONYMOUS`); naming someone else in a topic's ACLs
//! shuts it out.

use klamm::{DeliveryErrorKind, ErrorCode, Fate, Record, SendError};
use klamm_kafka_harness::Kafka;
use klamm_real_kafka::{CLOSE, producer, wait_until};

use crate::{broker, failure};

fn allow(kafka: &Kafka, who: &str, operation: &str, topic: &str) {
    let args = ["--add", "--allow-principal", who, "--operation", operation, "--topic", topic];
    kafka.tool_text("acls", &args, b"").unwrap();
}

#[test]
fn a_topic_that_we_may_not_see() {
    let kafka = broker();
    kafka.create_topic("secret", 1, 1, &[]).unwrap();
    allow(kafka, "User:carol", "Write", "secret");
    let producer = producer(kafka, &[("max.block.ms", "60000")]);
    let error = producer.send(&Record::to("secret").value("v")).unwrap_err();
    assert_eq!(error.to_string(), "topic \"secret\": TOPIC_AUTHORIZATION_FAILED (29)");
    assert!(matches!(error, SendError::Topic { error: ErrorCode::TOPIC_AUTHORIZATION_FAILED, .. }));
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_topic_that_we_may_see_but_not_write() {
    let kafka = broker();
    kafka.create_topics(&["readable", "writable"], 1, 1, &[]).unwrap();
    allow(kafka, "User:ANONYMOUS", "Describe", "readable");
    for properties in [&[("acks", "all")], &[("acks", "1")]] {
        let producer = producer(kafka, properties);
        let error = failure(&producer, &Record::to("readable").value("v"));
        assert_eq!(
            error.to_string(),
            "record for readable-0: the broker answered TOPIC_AUTHORIZATION_FAILED (29); it is not in the log: \
             allow this client to write to the topic"
        );
        assert_eq!(error.kind, DeliveryErrorKind::Broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        assert_eq!((error.fate, error.is_retriable()), (Fate::NotWritten, false));
        // Other topics are not touched by it.
        assert!(producer.send(&Record::to("writable").value("v")).unwrap().wait().is_ok());
        producer.close(CLOSE).unwrap();
    }
    // A right that comes later is seen without a new producer.
    let producer = producer(kafka, &[]);
    let _ = failure(&producer, &Record::to("readable").value("v"));
    allow(kafka, "User:ANONYMOUS", "Write", "readable");
    wait_until("the right to write", || producer.send(&Record::to("readable").value("v")).unwrap().wait().is_ok());
    producer.close(CLOSE).unwrap();
}

/// Who may write to no topic and not idempotently either gets no producer id. That is told, and not the end of the producer.
#[test]
fn a_cluster_in_which_we_may_not_write_idempotently() {
    let kafka = Kafka::builder()
        .config("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .config("allow.everyone.if.no.acl.found", "true")
        .start()
        .unwrap();
    kafka.create_topic("t", 1, 1, &[]).unwrap();
    allow(&kafka, "User:ANONYMOUS", "Describe", "*");
    // The broker itself comes as the same user and needs the one right, we the other; there are no more on the cluster then.
    let operations = ["--operation", "ClusterAction", "--operation", "Alter", "--cluster"];
    let args = [&["--add", "--force", "--allow-principal", "User:ANONYMOUS"], &operations[..]].concat();
    kafka.tool_text("acls", &args, b"").unwrap();

    let idempotent = producer(&kafka, &[]);
    for _ in 0..2 {
        let error = failure(&idempotent, &Record::to("t").value("v"));
        assert_eq!(
            error.to_string(),
            "record for t-0: the broker answered CLUSTER_AUTHORIZATION_FAILED (31); it is not in the log: \
             allow this client to write idempotently"
        );
        assert_eq!((error.fate, error.is_retriable()), (Fate::NotWritten, false));
    }
    let plain = producer(&kafka, &[("enable.idempotence", "false")]);
    let error = failure(&plain, &Record::to("t").value("v"));
    assert_eq!(error.kind, DeliveryErrorKind::Broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    plain.close(CLOSE).unwrap();
    allow(&kafka, "User:ANONYMOUS", "Write", "t");
    wait_until("the right to write", || idempotent.send(&Record::to("t").value("v")).unwrap().wait().is_ok());
    idempotent.close(CLOSE).unwrap();
}
