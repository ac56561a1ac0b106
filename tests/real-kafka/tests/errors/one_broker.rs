//! Records that a broker refuses or treats in its own way.

use klamm::{Delivery, ErrorCode, Fate, Record};
use klamm_real_kafka::{CLOSE, delivered, producer, wait_until};

use crate::{broker, failure, outcome};

#[test]
fn a_record_above_the_topics_limit_is_too_large() {
    let kafka = broker();
    kafka.create_topic("big", 1, 1, &[("max.message.bytes", "1000")]).unwrap();
    let producer = producer(kafka, &[]);
    let error = failure(&producer, &Record::to("big").value(&[b'y'; 2000]));
    assert_eq!(
        error.to_string(),
        "record for big-0: larger than the topic's max.message.bytes; it is not in the log: \
         send smaller records, or raise the topic's max.message.bytes"
    );
    assert_eq!((error.fate, error.is_retriable()), (Fate::NotWritten, false));
    assert_eq!(outcome(&producer, &Record::to("big").value("small")).unwrap().offset, 0, "the next one passes");
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_batch_above_the_topics_limit_is_split() {
    let kafka = broker();
    kafka.create_topic("split", 1, 1, &[("max.message.bytes", "1000")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "100")]);
    let value = [b'x'; 100];
    let sent: Vec<Delivery> = (0..200).map(|_| producer.send(&Record::to("split").value(&value)).unwrap()).collect();
    for (offset, delivery) in sent.into_iter().enumerate() {
        assert_eq!(delivered(delivery).offset, offset as i64, "in order");
    }
    assert!(producer.stats().batches_split > 0);
    producer.close(CLOSE).unwrap();
    assert_eq!(kafka.count("split").unwrap()[&0], 200);
    // Each half got sequences of its own, without a gap.
    let batches = kafka.dump_batches(1, &["split"]).unwrap();
    let mut next = 0;
    for batch in batches.iter().filter(|batch| batch.producer_epoch == batches[batches.len() - 1].producer_epoch) {
        assert_eq!(batch.base_sequence, next, "{batch:?}");
        next = batch.last_sequence + 1;
    }
}

#[test]
fn a_timestamp_that_the_topic_refuses() {
    let kafka = broker();
    kafka.create_topic("recent", 1, 1, &[("message.timestamp.before.max.ms", "3600000")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "200")]);
    let good = producer.send(&Record::to("recent").value("now")).unwrap();
    let bad = producer.send(&Record::to("recent").value("1970").timestamp(1000)).unwrap();
    let bad = bad.wait().unwrap_err();
    let text = bad.to_string();
    assert!(text.starts_with("record for recent-0: the broker answered INVALID_TIMESTAMP (32) ("), "{text}");
    assert!(text.contains("imestamp 1000"), "the broker's words: {text}");
    assert!(text.ends_with("); it is not in the log: sending it again will not help"), "{text}");
    assert_eq!((bad.fate, bad.is_retriable(), bad.collateral), (Fate::NotWritten, false, false));
    // The other one shared its batch.
    let good = good.wait().unwrap_err();
    assert!(good.collateral && good.is_retriable(), "{good}");
    assert!(
        good.to_string().ends_with("but named other records of the batch; it is not in the log: it can be sent again"),
        "{good}"
    );
    assert_eq!(outcome(&producer, &Record::to("recent").value("now")).unwrap().offset, 0);
    producer.close(CLOSE).unwrap();
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let kafka = broker();
    kafka.create_topic("compacted", 2, 1, &[("cleanup.policy", "compact")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "200")]);
    let to = |partition| Record::to("compacted").partition(partition).value("v");
    let keyed = producer.send(&to(0).key("k")).unwrap();
    let keyless = producer.send(&to(0)).unwrap();
    let empty = producer.send(&to(1).key("")).unwrap();
    let keyless = keyless.wait().unwrap_err();
    assert_eq!(
        keyless.to_string(),
        "record for compacted-0: the broker answered INVALID_RECORD (87) (Compacted topic cannot accept message without \
         key in topic partition compacted-0); it is not in the log: sending it again will not help"
    );
    assert_eq!((keyless.fate, keyless.is_retriable(), keyless.collateral), (Fate::NotWritten, false, false));
    let keyed = keyed.wait().unwrap_err();
    assert!(keyed.collateral && keyed.is_retriable(), "it only shared the batch: {keyed}");
    assert_eq!(delivered(empty).offset, 0, "an empty key is a key, and another batch");
    assert_eq!(outcome(&producer, &to(0).key("k")).unwrap().offset, 0, "sent again, it passes");
    producer.close(CLOSE).unwrap();
}

#[test]
fn one_broker_cannot_lack_replicas() {
    // Kafka compares with the topic's replication factor where that is smaller; no error can be had this way.
    let kafka = broker();
    kafka.create_topic("lonely", 1, 1, &[("min.insync.replicas", "2")]).unwrap();
    let producer = producer(kafka, &[]);
    assert_eq!(outcome(&producer, &Record::to("lonely").value("v")).unwrap().offset, 0);
    producer.close(CLOSE).unwrap();
}

#[test]
fn the_broker_may_compress_anew() {
    let kafka = broker();
    kafka.create_topic("recompressed", 1, 1, &[("compression.type", "zstd")]).unwrap();
    let producer = producer(kafka, &[("linger.ms", "100")]);
    let values: Vec<String> = (0..100).map(|n| format!("the same words and the number {n}")).collect();
    let sent: Vec<Delivery> =
        values.iter().map(|value| producer.send(&Record::to("recompressed").value(value)).unwrap()).collect();
    let told: Vec<i64> = sent.into_iter().map(|delivery| delivered(delivery).offset).collect();
    producer.close(CLOSE).unwrap();
    assert_eq!(told, (0..100).collect::<Vec<_>>());
    let batches = kafka.dump_batches(1, &["recompressed"]).unwrap();
    assert!(!batches.is_empty() && batches.iter().all(|batch| batch.codec == "zstd" && batch.is_valid), "{batches:?}");
    let read = kafka.read_back("recompressed").unwrap();
    assert!(read.iter().zip(&values).all(|(read, value)| read.value.as_deref() == Some(value.as_bytes())));
    assert_eq!(read.len(), 100);
}

#[test]
fn a_throttled_client_waits_and_loses_nothing() {
    let kafka = broker();
    kafka.create_topic("throttled", 1, 1, &[]).unwrap();
    let quota = ["--entity-type", "clients", "--entity-name", "q1", "--add-config", "producer_byte_rate=10000"];
    kafka.tool_text("configs", &[&["--alter"], &quota[..]].concat(), b"").unwrap();
    // A request that were sent while the broker is not listening would meet its timeout: the broker pauses for about nine
    // seconds after 200 KB at 10 KB/s, since it looks at the last ten seconds.
    let producer = producer(
        kafka,
        &[
            ("client.id", "q1"),
            ("request.timeout.ms", "6000"),
            ("max.in.flight.requests.per.connection", "1"),
            ("batch.size", "250000"),
            ("linger.ms", "200"),
        ],
    );
    let value = [b'x'; 10_000];
    let first: Vec<Delivery> =
        (0..20).map(|_| producer.send(&Record::to("throttled").value(&value)).unwrap()).collect();
    for delivery in first {
        let _ = delivered(delivery);
    }
    assert_eq!(outcome(&producer, &Record::to("throttled").value("later")).unwrap().offset, 20);
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert!(stats.throttle_ms > 6000, "throttled for {} ms", stats.throttle_ms);
    assert_eq!((stats.request_timeouts, stats.records_retried), (0, 0));
    assert_eq!(kafka.count("throttled").unwrap()[&0], 21);
}

#[test]
fn a_producer_that_the_broker_forgot_goes_on() {
    let kafka = broker();
    kafka.create_topic("forgotten", 1, 1, &[]).unwrap();
    let producer = producer(kafka, &[]);
    assert_eq!(outcome(&producer, &Record::to("forgotten").value("0")).unwrap().offset, 0);
    let known = || {
        let args = ["describe-producers", "--topic", "forgotten", "--partition", "0"];
        let text = kafka.tool_text("transactions", &args, b"").unwrap();
        text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count()
    };
    wait_until("the broker to forget the producer", || known() == 0);
    assert_eq!(outcome(&producer, &Record::to("forgotten").value("1")).unwrap().offset, 1);
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert_eq!((stats.records_failed, stats.epoch_bumps), (0, 0));
    let batches = kafka.dump_batches(1, &["forgotten"]).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.base_sequence).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn connections_that_the_broker_closes_for_idleness_are_opened_again() {
    let kafka = broker();
    kafka.create_topic("idle", 1, 1, &[]).unwrap();
    let producer = producer(kafka, &[]);
    assert_eq!(outcome(&producer, &Record::to("idle").value("0")).unwrap().offset, 0);
    wait_until("every connection to be closed", || {
        let stats = producer.stats();
        stats.connections_closed == stats.connections_opened
    });
    assert_eq!(outcome(&producer, &Record::to("idle").value("1")).unwrap().offset, 1);
    let stats = producer.stats();
    producer.close(CLOSE).unwrap();
    assert_eq!((stats.records_failed, stats.records_retried), (0, 0), "nobody noticed");
}

#[test]
fn the_brokers_time_is_told() {
    let kafka = broker();
    kafka.create_topic("append-time", 1, 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let producer = producer(kafka, &[]);
    let told = outcome(&producer, &Record::to("append-time").value("v").timestamp(1_000)).unwrap().timestamp;
    producer.close(CLOSE).unwrap();
    let read = kafka.read_back("append-time").unwrap();
    assert_eq!((read[0].timestamp, read[0].timestamp_type.as_str()), (told, "LogAppendTime"));
    assert!(told > 1_700_000_000_000, "not the record's own");
}

#[test]
fn an_illegal_topic_name() {
    let producer = producer(broker(), &[("max.block.ms", "60000")]);
    let error = producer.send(&Record::to("not a topic!").value("v")).unwrap_err();
    assert_eq!(error.to_string(), "topic \"not a topic!\": INVALID_TOPIC_EXCEPTION (17)");
    assert!(!error.is_retriable(), "told at once, not after max.block.ms");
    assert!(matches!(error, klamm::SendError::Topic { error: ErrorCode::INVALID_TOPIC_EXCEPTION, .. }));
    producer.close(CLOSE).unwrap();
}
