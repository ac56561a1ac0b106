//! What cannot be configured, and what a producer without a cluster says.

use klamm::{ConfigError, Limits, Producer, Record, SendError};

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
    let bad = error(&[("bootstrap.servers", "a:1,host")]).to_string();
    assert_eq!(bad, "bootstrap.servers: expected host:port, not \"host\"");
    assert!(error(&[("bootstrap.servers", "a:1"), ("linger.ms", "-1")]).to_string().contains("linger.ms"));
    assert!(matches!(
        error(&[("bootstrap.servers", "a:1"), ("max.in.flight.requests.per.connection", "6")]),
        ConfigError::Invalid { .. }
    ));
    let conflict = error(&[("bootstrap.servers", "a:1"), ("enable.idempotence", "true"), ("acks", "1")]);
    assert!(conflict.to_string().contains("enable.idempotence"), "{conflict}");
    let too_small = Producer::builder()
        .bootstrap_servers("a:1")
        .limits(Limits { block_size: 4, buffer_memory: 1 << 20, ..Limits::default() })
        .build();
    // Sizes below what the core needs are raised or refused, never accepted to fail later.
    if let Ok(producer) = too_small {
        producer.close_now();
    }
}

/// Tables that no machine holds were a panic of `build`.
#[test]
fn limits_beyond_all_memory_are_named() {
    type Change = fn(&mut Limits);
    let changes: [(&str, Change); 9] = [
        ("buffer.memory", |limits| limits.buffer_memory = usize::MAX),
        ("Limits::batches", |limits| limits.batches = usize::MAX),
        ("Limits::partitions", |limits| limits.partitions = usize::MAX),
        ("Limits::topics", |limits| limits.topics = usize::MAX),
        ("Limits::brokers", |limits| limits.brokers = usize::MAX),
        ("Limits::connections", |limits| limits.connections = usize::MAX),
        ("Limits::topic_bytes", |limits| limits.topic_bytes = usize::MAX),
        ("Limits::host_bytes", |limits| limits.host_bytes = usize::MAX),
        ("Limits::scratch_bytes", |limits| limits.scratch_bytes = usize::MAX),
    ];
    for (name, change) in changes {
        let mut limits = Limits { buffer_memory: 1 << 20, ..Limits::default() };
        change(&mut limits);
        let error = Producer::builder().bootstrap_servers("a:1").limits(limits).build().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: expected as much memory as there is")), "{error}");
    }
}

#[test]
fn warnings_are_told_and_the_producer_starts() {
    let (told, hears) = std::sync::mpsc::channel();
    let builder = Producer::builder()
        .properties([("bootstrap.servers", "localhost:1"), ("max.block.msec", "1"), ("buffer.memory", "0")])
        .unwrap()
        .on_warning(move |warning| told.send(warning.to_string()).unwrap());
    let asked: Vec<String> = builder.warnings().iter().map(ToString::to_string).collect();
    builder.build().unwrap().close_now();
    let heard: Vec<String> = hears.iter().collect();
    assert_eq!(asked, heard);
    assert_eq!(heard[0], "unknown property max.block.msec: did you mean max.block.ms?");
    assert!(heard[1].starts_with("buffer.memory=0 cannot hold"), "{heard:?}");
}

#[test]
fn a_record_too_large_tells_its_size() {
    let properties = [("bootstrap.servers", "localhost:1"), ("max.request.size", "1000")];
    let producer = Producer::from_properties(properties).unwrap();
    let Err(SendError::TooLarge { size, max }) = producer.try_send(&Record::to("t").value(&[0; 5000])) else {
        panic!("accepted")
    };
    assert!(max == 1000 && (5000..5100).contains(&size), "{size} {max}");
    let text = SendError::TooLarge { size, max }.to_string();
    assert!(text.starts_with(&format!("the record takes {size} bytes, and 1000 are allowed: raise max.request.size")));
    producer.close_now();
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
