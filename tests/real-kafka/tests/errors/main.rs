//! Errors provoked at real Kafka, each with the words that a user reads; and what must pass although it looks like one.
//!
//! Not here, because no broker can be made to say it at will: NOT_ENOUGH_REPLICAS_AFTER_APPEND and an unsupported version. The
//! suite `simulation` has both.

mod acls;
mod old_broker;
mod one_broker;
mod three_brokers;
mod topics;

use std::sync::OnceLock;

use klamm::{DeliveryError, Producer, Record, RecordMetadata};
use klamm_kafka_harness::Kafka;

/// One broker for all tests that kill none. It creates no topics by itself, forgets idle producers after three seconds and
/// closes idle connections after four; whoever is not named in a topic's ACLs may do everything.
fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| {
        Kafka::builder()
            .config("auto.create.topics.enable", "false")
            .config("producer.id.expiration.ms", "3000")
            .config("producer.id.expiration.check.interval.ms", "500")
            .config("connections.max.idle.ms", "4000")
            .config("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .config("allow.everyone.if.no.acl.found", "true")
            .start()
            .expect("Kafka starts")
    })
}

/// Sends one record and waits for what becomes of it.
fn outcome(producer: &Producer, record: &Record<'_>) -> Result<RecordMetadata, DeliveryError> {
    producer.send(record).expect("accepted").wait()
}

/// The error of a record that must fail.
fn failure(producer: &Producer, record: &Record<'_>) -> DeliveryError {
    outcome(producer, record).expect_err("it must fail")
}
