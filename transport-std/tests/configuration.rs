//! What cannot be configured, and what a producer without a cluster says.

use klamm::{ConfigError, Limits, Producer};

#[test]
fn a_java_configuration_is_taken_as_it_is() {
    let producer = Producer::from_properties([
        ("bootstrap.servers", "localhost:1"),
        ("key.serializer", "org.apache.kafka.common.serialization.StringSerializer"),
        ("value.serializer", "org.apache.kafka.common.serialization.StringSerializer"),
        ("acks", "all"),
        ("retries", "2147483647"),
        ("linger.ms", "5"),
        ("batch.size", "16384"),
        ("buffer.memory", "33554432"),
        ("compression.type", "none"),
        ("max.in.flight.requests.per.connection", "5"),
        ("enable.idempotence", "true"),
        ("security.protocol", "PLAINTEXT"),
        ("send.buffer.bytes", "131072"),
        ("receive.buffer.bytes", "32768"),
    ]);
    producer.unwrap().close_now();
}

#[test]
fn errors_name_the_property() {
    let error = |properties: &[(&str, &str)]| Producer::from_properties(properties.iter().copied()).unwrap_err();
    assert!(error(&[]).to_string().contains("bootstrap.servers"));
    assert!(error(&[("bootstrap.servers", "host")]).to_string().contains("bootstrap.servers"));
    assert!(error(&[("bootstrap.servers", "a:1"), ("linger.ms", "-1")]).to_string().contains("linger.ms"));
    assert!(matches!(
        error(&[("bootstrap.servers", "a:1"), ("max.in.flight.requests.per.connection", "6")]),
        ConfigError::Settings(_)
    ));
    let conflict = error(&[("bootstrap.servers", "a:1"), ("enable.idempotence", "true"), ("acks", "1")]);
    assert!(conflict.to_string().contains("enable.idempotence"), "{conflict}");
    let unknown = error(&[("bootstrap.servers", "a:1"), ("max.block.msec", "1")]);
    assert!(unknown.to_string().contains("max.block.ms"), "{unknown}");
    let too_small = Producer::builder()
        .bootstrap_servers("a:1")
        .limits(Limits { block_size: 4, buffer_memory: 1 << 20, ..Limits::default() })
        .build();
    // Sizes below what the core needs are raised or refused, never accepted to fail later.
    if let Ok(producer) = too_small {
        producer.close_now();
    }
}

#[test]
fn handles_are_threads_friends() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Producer>();
    check::<klamm::Delivery>();
    fn unpin<T: Unpin + Send>() {}
    unpin::<klamm::Delivery>();
    unpin::<klamm::SendFuture<'_>>();
    assert!(std::mem::size_of::<klamm::Delivery>() <= 24);
}
