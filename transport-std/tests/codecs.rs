//! Every codec through real sockets, read back by a broker that decodes as strictly as Kafka's.
#![cfg(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]

mod common;

use common::{PATIENCE, builder, cluster, stored};
use klamm::{Compression, Delivery, DeliveryErrorKind, Header, Producer, Record};
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{Codec, TopicOptions};

const CODECS: [(Compression, Codec); 4] = [
    (Compression::Gzip, Codec::Gzip),
    (Compression::Snappy, Codec::Snappy),
    (Compression::Lz4, Codec::Lz4),
    (Compression::Zstd, Codec::Zstd),
];

fn text(n: usize) -> Vec<u8> {
    format!("{{\"device\":\"boiler-{}\",\"reading\":{n},\"unit\":\"kPa\"}}", n % 7).into_bytes()
}

/// Bytes that do not shrink, others for each seed.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// All delivered, and in the log as they were sent, in the order of sending.
fn check(cluster: &TcpCluster, deliveries: Vec<Delivery>, values: &[Vec<u8>]) {
    for (n, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.wait().unwrap().offset, n as i64);
    }
    let stored = stored(cluster, "t");
    assert_eq!(stored.len(), values.len());
    assert!(stored.iter().zip(values).all(|(record, value)| record.value.as_ref() == Some(value)));
}

#[test]
fn every_codec_arrives_byte_for_byte() {
    // Records by themselves, usual batches, and batches of more than two LZ4 blocks (PITFALLS 49).
    for (batch_size, linger_ms, records) in [(0, 0, 50), (16_384, 5, 3_000), (1 << 17, 50, 6_000)] {
        for (compression, codec) in CODECS {
            let cluster = cluster(1, 1);
            let producer = builder(&cluster.bootstrap_servers())
                .compression(compression)
                .batch_size(batch_size)
                .linger_ms(linger_ms)
                .build()
                .unwrap();
            let values: Vec<Vec<u8>> = (0..records).map(text).collect();
            let deliveries = values.iter().map(|value| producer.send(&Record::to("t").value(value)).unwrap()).collect();
            check(&cluster, deliveries, &values);
            let stored = stored(&cluster, "t");
            // A record by itself hardly shrinks, and the first one may travel by itself; then it is as it was.
            let packed = stored.iter().filter(|record| record.codec == codec).count();
            assert!(stored.iter().all(|record| [codec, Codec::None].contains(&record.codec)));
            assert!(batch_size == 0 || packed > records * 9 / 10, "{compression:?}: {packed} of {records}");
            let (sent, accepted) = (producer.stats().batch_bytes_sent, producer.stats().bytes_accepted);
            assert!(batch_size == 0 || sent < accepted / 2, "{compression:?}: {sent} of {accepted}");
            producer.close(PATIENCE).unwrap();
        }
    }
}

#[test]
fn a_large_batch_has_more_than_one_block() {
    for (compression, codec) in CODECS {
        let cluster = cluster(1, 1);
        let producer = builder(&cluster.bootstrap_servers())
            .compression(compression)
            .batch_size(1 << 20)
            .linger_ms(60_000)
            .delivery_timeout_ms(120_000)
            .build()
            .unwrap();
        // Half of it shrinks: 286 kB raw, 143 kB compressed at least.
        let values: Vec<Vec<u8>> =
            (0..1_000).map(|n| if n % 2 == 0 { noise(n, 286) } else { vec![b'z'; 286] }).collect();
        let deliveries: Vec<_> =
            values.iter().map(|value| producer.send(&Record::to("t").value(value)).unwrap()).collect();
        producer.flush(); // compressed by the I/O thread
        check(&cluster, deliveries, &values);
        assert!(stored(&cluster, "t").iter().all(|record| record.codec == codec));
        assert_eq!(producer.stats().batches_sent, 1);
        assert!(producer.stats().batch_bytes_sent > 143_000);
        producer.close(PATIENCE).unwrap();
    }
}

#[test]
fn what_does_not_shrink_travels_as_it_is() {
    for (compression, _) in CODECS {
        let cluster = cluster(1, 1);
        let producer = builder(&cluster.bootstrap_servers()).compression(compression).build().unwrap();
        let values: Vec<Vec<u8>> = (0..200).map(|n| noise(n, 1_000)).collect();
        let deliveries = values.iter().map(|value| producer.send(&Record::to("t").value(value)).unwrap()).collect();
        check(&cluster, deliveries, &values);
        assert!(stored(&cluster, "t").iter().all(|record| record.codec == Codec::None));
        producer.close(PATIENCE).unwrap();
    }
}

#[test]
fn keys_headers_nulls_and_times_survive() {
    for (compression, codec) in CODECS {
        let cluster = cluster(1, 1);
        let producer = builder(&cluster.bootstrap_servers()).compression(compression).linger_ms(50).build().unwrap();
        let headers = [Header { key: "trace", value: Some(b"abc") }, Header { key: "trace", value: None }];
        let mut deliveries = Vec::new();
        for n in 0..200i64 {
            let key = format!("key {n}");
            let record = Record::to("t").key(&key).headers(&headers).timestamp(1_700_000_000_000 + n);
            let record = if n % 3 == 0 { record } else { record.value("a value like any other") };
            deliveries.push(producer.send(&record).unwrap());
        }
        for delivery in deliveries {
            delivery.wait().unwrap();
        }
        let stored = stored(&cluster, "t");
        assert_eq!(stored.len(), 200);
        for (n, record) in stored.iter().enumerate() {
            assert_eq!(record.key.as_deref(), Some(format!("key {n}").as_bytes()));
            assert_eq!(record.value.is_none(), n % 3 == 0);
            assert_eq!(record.timestamp, 1_700_000_000_000 + n as i64);
            assert_eq!(record.headers, [("trace".into(), Some(b"abc".to_vec())), ("trace".into(), None)]);
            assert_eq!(record.codec, codec);
        }
        producer.close(PATIENCE).unwrap();
    }
}

#[test]
fn levels_come_from_properties() {
    let sent = |level: (&str, &str), codec: &str| {
        let cluster = cluster(1, 1);
        let servers = cluster.bootstrap_servers();
        let properties = [
            ("bootstrap.servers", servers.as_str()),
            ("compression.type", codec),
            ("batch.size", "400000"),
            ("linger.ms", "60000"),
            level,
        ];
        let producer = Producer::from_properties(properties).unwrap();
        let values: Vec<Vec<u8>> = (0..5_000).map(text).collect();
        let record = |value| Record::to("t").value(value).timestamp(1_700_000_000_000);
        let deliveries: Vec<_> = values.iter().map(|value| producer.send(&record(value)).unwrap()).collect();
        producer.flush();
        check(&cluster, deliveries, &values);
        let bytes = producer.stats().batch_bytes_sent;
        producer.close(PATIENCE).unwrap();
        bytes
    };
    let gzip = |level| sent(("compression.gzip.level", level), "gzip");
    assert!(gzip("9") < gzip("1"));
    let zstd = |level| sent(("compression.zstd.level", level), "zstd");
    assert!(zstd("12") < zstd("-100"));
    assert_eq!(sent(("compression.lz4.level", "1"), "lz4"), sent(("compression.lz4.level", "17"), "lz4"));
}

/// Threads fill each other's batches, in little memory, so that they wait for space too.
#[test]
fn many_threads_in_little_memory() {
    const THREADS: usize = 4;
    const EACH: usize = 3_000;
    for (compression, _) in CODECS {
        let cluster = cluster(2, 3);
        let producer = builder(&cluster.bootstrap_servers())
            .compression(compression)
            .buffer_memory(256 << 10)
            .batch_size(4_096)
            .linger_ms(1)
            .build()
            .unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let producer = producer.clone();
                scope.spawn(move || {
                    for n in 0..EACH {
                        let value = format!("{thread} {n:05} and so on and so forth and so on");
                        let partition = (n % 3) as i32;
                        let record = Record::to("t").value(&value).partition(partition);
                        // Every way to send.
                        match n % 3 {
                            0 => drop(producer.send(&record).unwrap()),
                            1 => drop(futures_lite::future::block_on(producer.send_async(&record)).unwrap()),
                            _ => {
                                if producer.try_send(&record).is_err() {
                                    drop(producer.send(&record).unwrap());
                                }
                            }
                        }
                    }
                });
            }
        });
        producer.close(PATIENCE).unwrap();
        let stored = stored(&cluster, "t");
        assert_eq!(stored.len(), THREADS * EACH);
        // Each thread's records are in order within each partition.
        let mut last = std::collections::HashMap::new();
        for record in stored {
            let value = String::from_utf8(record.value.unwrap()).unwrap();
            let mut words = value.split(' ');
            let thread: usize = words.next().unwrap().parse().unwrap();
            let n: usize = words.next().unwrap().parse().unwrap();
            if let Some(before) = last.insert((thread, n % 3), n) {
                assert!(before < n, "{compression:?}: {n} behind {before}");
            }
        }
    }
}

/// Compressed batches that the topic refuses are turned back into records and split until they fit.
#[test]
fn batches_that_are_too_large_compressed_are_split() {
    for (compression, _) in CODECS {
        let cluster = cluster(1, 1);
        cluster.with(|cluster| {
            let options = TopicOptions { max_message_bytes: Some(3_000), ..TopicOptions::default() };
            cluster.create_topic_with("small", options);
        });
        let producer = builder(&cluster.bootstrap_servers()).compression(compression).linger_ms(20).build().unwrap();
        let values: Vec<Vec<u8>> = (0..400)
            .map(|n| {
                let mut value = vec![b'v'; 100];
                value.extend(noise(n, if n == 200 { 4_000 } else { 60 }));
                value
            })
            .collect();
        let deliveries: Vec<_> =
            values.iter().map(|value| producer.send(&Record::to("small").value(value)).unwrap()).collect();
        for (n, delivery) in deliveries.into_iter().enumerate() {
            match delivery.wait() {
                Ok(_) => assert_ne!(n, 200),
                Err(error) => assert_eq!((n, error.kind), (200, DeliveryErrorKind::RecordTooLarge)),
            }
        }
        assert!(producer.stats().batches_split > 0);
        let stored: Vec<_> = stored(&cluster, "small").into_iter().map(|record| record.value.unwrap()).collect();
        let expected: Vec<_> = values.into_iter().enumerate().filter(|(n, _)| *n != 200).map(|(_, v)| v).collect();
        assert!(stored == expected, "{compression:?}");
        producer.close(PATIENCE).unwrap();
    }
}

/// The last handle is dropped with a batch that still lingers: it is compressed and delivered in the background.
#[test]
fn a_dropped_producer_compresses_what_is_left() {
    let cluster = cluster(1, 1);
    let producer =
        builder(&cluster.bootstrap_servers()).compression(Compression::Zstd).linger_ms(60_000).build().unwrap();
    let deliveries: Vec<_> = (0..300).map(|n| producer.send(&Record::to("t").value(&text(n))).unwrap()).collect();
    drop(producer);
    for delivery in deliveries {
        delivery.wait().unwrap();
    }
    assert!(stored(&cluster, "t").iter().all(|record| record.codec == Codec::Zstd));
}
