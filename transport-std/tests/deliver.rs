//! Records arrive: from threads, from futures, from many threads at a time.

mod common;

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use common::{PATIENCE, builder, cluster, counts, producer, stored};
use klamm::{Acks, DeliveryErrorKind, ErrorCode, Fate, Header, Producer, Record, SendError};
use klamm_sim::{Action, Api, Fault, TopicOptions};

#[test]
fn a_record_arrives_with_all_its_parts() {
    let cluster = cluster(1, 3);
    let producer = producer(&cluster);
    let record =
        Record::to("t").key("k").value("v").header("a", "1").null_header("b").partition(2).timestamp(1_600_000_000_123);
    let delivery = producer.send(&record).unwrap();
    assert_eq!(&**delivery.topic(), "t");
    let metadata = delivery.wait().unwrap();
    assert_eq!((&*metadata.topic, metadata.partition, metadata.offset), ("t", 2, 0));
    assert_eq!(metadata.timestamp, 1_600_000_000_123);
    let stored = cluster.with(|cluster| cluster.log("t", 2));
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].key.as_deref(), stored[0].value.as_deref()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(stored[0].headers, [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)]);
    assert_eq!(stored[0].timestamp, 1_600_000_000_123);
    let headers = [Header { key: "h", value: Some(b"x") }];
    let metadata = producer.send(&Record::to("t").headers(&headers).partition(2)).unwrap().wait().unwrap();
    assert_eq!(metadata.offset, 1);
    // No timestamp given: the wall clock, more or less.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((now - metadata.timestamp).abs() < 5_000, "{} is not {now}", metadata.timestamp);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn offsets_and_order_are_those_of_the_log() {
    let cluster = cluster(3, 4);
    let producer = producer(&cluster);
    let values: Vec<String> = (0..5_000).map(|n| format!("{n:05}")).collect();
    let deliveries: Vec<_> = values
        .iter()
        .zip((0..4).cycle())
        .map(|(value, partition)| producer.send(&Record::to("t").value(value).partition(partition)).unwrap())
        .collect();
    producer.flush();
    for (value, delivery) in values.iter().zip(deliveries) {
        let metadata = delivery.try_get().expect("flushed").unwrap();
        let log = cluster.with(|cluster| cluster.log("t", metadata.partition as u32));
        assert_eq!(log[metadata.offset as usize].value.as_deref(), Some(value.as_bytes()));
    }
    for partition in 0..4 {
        let log = cluster.with(|cluster| cluster.log("t", partition));
        assert!(log.is_sorted_by_key(|record| record.value.clone()));
    }
    assert_eq!(producer.outstanding(), 0);
    assert_eq!(producer.stats().records_delivered, 5_000);
}

#[test]
fn deliveries_are_polled_tried_and_waited_for() {
    let cluster = cluster(1, 1);
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(300))));
    let producer = producer(&cluster);
    let delivery = producer.send(&Record::to("t").value("v")).unwrap();
    assert!(delivery.try_get().is_none());
    assert!(delivery.wait_timeout(Duration::from_millis(20)).is_none());
    assert!(!producer.flush_timeout(Duration::from_millis(20)));
    assert!(format!("{delivery:?}").contains("outcome: None"));
    // Many threads and tasks wait for one batch.
    let others: Vec<_> = (0..8).map(|_| producer.send(&Record::to("t").value("w")).unwrap()).collect();
    std::thread::scope(|scope| {
        for delivery in others {
            scope.spawn(move || futures_lite::future::block_on(delivery).unwrap());
        }
        assert_eq!(delivery.wait_timeout(PATIENCE).unwrap().unwrap().offset, 0);
    });
    assert_eq!(delivery.try_get().unwrap().unwrap().offset, 0);
    assert_eq!(delivery.wait().unwrap().offset, 0);
}

async fn send_some(producer: &Producer, name: &str) {
    let mut deliveries = Vec::new();
    for n in 0..500 {
        let value = format!("{name}-{n}");
        deliveries.push(producer.send_async(&Record::to("t").key(&value).value(&value)).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let record = Record::to("t").value("last");
    let last = producer.send_async(&record).await.unwrap();
    producer.flush_async().await;
    last.try_get().expect("flushed").unwrap();
}

fn in_executor(name: &str, run: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + '_>>)) {
    let cluster = cluster(2, 3);
    let producer = producer(&cluster);
    run(Box::pin(send_some(&producer, name)));
    let counts = counts(&cluster, "t");
    assert_eq!(counts.len(), 501);
    assert!(counts.values().all(|&count| count == 1));
}

#[test]
fn futures_in_futures_lite() {
    in_executor("lite", |future| futures_lite::future::block_on(future));
}

#[test]
fn futures_in_tokio() {
    in_executor("tokio", |future| {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future);
    });
}

#[test]
fn futures_in_smol() {
    in_executor("smol", |future| smol::block_on(future));
}

#[test]
fn tasks_of_one_thread_share_a_batch() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for n in 0..1_000 {
            let producer = producer.clone();
            tasks.push(tokio::spawn(async move {
                let value = n.to_string();
                producer.send_async(&Record::to("t").value(&value)).await.unwrap().await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(counts(&cluster, "t").len(), 1_000);
}

#[test]
fn eight_threads_each_exactly_once() {
    const EACH: u32 = 10_000;
    let cluster = cluster(3, 6);
    let producer = producer(&cluster);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let producer = producer.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    let value = format!("{thread}:{n:06}");
                    drop(producer.send(&Record::to("t").key(&value).value(&value)).unwrap());
                }
            });
        }
    });
    producer.flush();
    let stored = stored(&cluster, "t");
    assert_eq!(stored.len(), 8 * EACH as usize);
    let mut last: HashMap<(u32, u8), Vec<u8>> = HashMap::new();
    for partition in 0..6 {
        for record in cluster.with(|cluster| cluster.log("t", partition)) {
            let value = record.value.unwrap();
            let before = last.insert((partition, value[0]), value.clone());
            assert!(before.is_none_or(|before| before < value), "order of one thread in one partition");
        }
    }
    producer.close(PATIENCE).unwrap();
}

#[test]
fn brokers_may_die_and_come_back() {
    let cluster = cluster(3, 6);
    let producer = builder(&cluster.bootstrap_servers()).retry_backoff_ms(10).build().unwrap();
    std::thread::scope(|scope| {
        let sender = producer.clone();
        scope.spawn(move || {
            for n in 0..20_000 {
                let value = format!("{n:06}");
                drop(sender.send(&Record::to("t").key(&value).value(&value)).unwrap());
                if n % 1_000 == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
        for broker in [1, 2, 3, 1] {
            std::thread::sleep(Duration::from_millis(60));
            cluster.kill(broker);
            std::thread::sleep(Duration::from_millis(60));
            cluster.restart(broker).unwrap();
        }
    });
    producer.flush();
    let stats = producer.stats();
    assert_eq!((stats.records_delivered, stats.records_failed), (20_000, 0));
    let counts = counts(&cluster, "t");
    assert_eq!(counts.len(), 20_000);
    assert!(counts.values().all(|&count| count == 1));
}

#[test]
fn every_acks_is_answered() {
    let cluster = cluster(1, 1);
    for (acks, offset) in [(Acks::None, -1), (Acks::Leader, 1), (Acks::All, 2)] {
        let producer = builder(&cluster.bootstrap_servers()).acks(acks).build().unwrap();
        let metadata = producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
        assert_eq!(metadata.offset, offset, "{acks:?}");
        producer.close(PATIENCE).unwrap();
        common::eventually("stored", || stored(&cluster, "t").len() as i64 == offset.max(0) + 1);
    }
}

#[test]
fn many_bytes_without_acks_are_written_before_close_returns_or_soon_after() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).acks(Acks::None).build().unwrap();
    let value = vec![7; 1_000];
    for _ in 0..5_000 {
        drop(producer.send(&Record::to("t").value(&value)).unwrap());
    }
    producer.close(PATIENCE).unwrap();
    common::eventually("all stored", || stored(&cluster, "t").len() == 5_000);
}

#[cfg(feature = "lz4")]
#[test]
fn compressed_records_arrive() {
    let cluster = cluster(2, 2);
    let producer = builder(&cluster.bootstrap_servers()).compression(klamm::Compression::Lz4).build().unwrap();
    let value = "all work and no play makes jack a dull boy ".repeat(20);
    for _ in 0..2_000 {
        drop(producer.send(&Record::to("t").value(&value)).unwrap());
    }
    producer.flush();
    let stored = stored(&cluster, "t");
    assert_eq!(stored.len(), 2_000);
    assert!(stored.iter().all(|record| record.value.as_deref() == Some(value.as_bytes())));
    assert!(stored.iter().all(|record| record.codec == klamm_sim::Codec::Lz4));
}

#[test]
fn large_records_and_batches_that_are_split() {
    let cluster = cluster(1, 1);
    cluster.with(|cluster| {
        cluster.create_topic_with("small", TopicOptions { max_message_bytes: Some(2_000), ..TopicOptions::default() });
    });
    let producer = producer(&cluster);
    let large = vec![b'x'; 900_000];
    assert_eq!(producer.send(&Record::to("t").value(&large)).unwrap().wait().unwrap().offset, 0);
    let max = match producer.try_send(&Record::to("t").value(&vec![0; 2_000_000])) {
        Err(SendError::TooLarge { max, .. }) => max,
        other => panic!("{other:?}"),
    };
    assert_eq!(max, 1_048_576);
    // A batch of 16 KiB exceeds the topic's limit and is split until its parts fit.
    let deliveries: Vec<_> = (0..150).map(|n| producer.send(&Record::to("small").value(&[n; 100])).unwrap()).collect();
    for (n, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.wait().unwrap().offset, n as i64);
    }
    assert!(producer.stats().batches_split > 0);
    let error = producer.send(&Record::to("small").value(&[0; 5_000])).unwrap().wait().unwrap_err();
    assert_eq!((error.kind, error.fate), (DeliveryErrorKind::RecordTooLarge, Fate::NotWritten));
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    producer.flush();
}

#[test]
fn a_refusal_carries_the_brokers_words() {
    let cluster = cluster(1, 1);
    let refuse = Fault::on(Api::Produce)
        .then(Action::Error(klamm_sim::error::INVALID_RECORD))
        .then(Action::Message("no cents".to_owned()))
        .then(Action::RecordErrors(vec![(1, None)]));
    cluster.with(|cluster| _ = cluster.faults().push(refuse));
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(100).build().unwrap();
    producer.partition_count("t").unwrap();
    let deliveries: Vec<_> = (0..3).map(|n| producer.send(&Record::to("t").value(&[n])).unwrap()).collect();
    let errors: Vec<_> = deliveries.into_iter().map(|delivery| delivery.wait().unwrap_err()).collect();
    assert!(matches!(errors[0].kind, DeliveryErrorKind::Broker(ErrorCode::INVALID_RECORD)), "{:?}", errors[0]);
    assert_eq!(errors[0].message.as_deref(), Some("no cents"));
    assert_eq!((errors[0].fate, errors[0].partition), (Fate::NotWritten, 0));
    assert_eq!([errors[0].collateral, errors[1].collateral, errors[2].collateral], [true, false, true]);
    assert!(errors[0].is_retriable() && !errors[1].is_retriable());
    assert!(errors[1].to_string().contains("no cents"), "{}", errors[1]);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn linger_is_kept_also_after_a_long_silence() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(60).build().unwrap();
    producer.partition_count("t").unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(150));
        let started = std::time::Instant::now();
        producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(400), "{took:?}");
    }
}
