//! Who leads which partition, and who chooses one.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use common::{PATIENCE, builder, closed_port, cluster, eventually, producer, stored};
use klamm::{Producer, Record, SendError};
use klamm_sim::{Action, Api, Fault};

#[test]
fn partitions_are_told_with_their_leaders() {
    let cluster = cluster(3, 6);
    let producer = producer(&cluster);
    let partitions = producer.partitions_for("t").unwrap();
    assert_eq!(partitions.len(), 6);
    for (index, info) in partitions.iter().enumerate() {
        let (id, epoch) = cluster.with(|cluster| cluster.leader("t", index as u32)).unwrap();
        assert_eq!((&*info.topic, info.partition, info.leader_epoch), ("t", index as i32, Some(epoch)));
        let leader = info.leader.as_ref().unwrap();
        let (host, port) = cluster.with(|cluster| cluster.address(id));
        assert_eq!((leader.id, leader.address.clone()), (id, Some((host, port))));
    }
    assert_eq!(producer.partition_count("t").unwrap(), 6);
}

#[test]
fn a_leader_that_moves_is_told_and_so_is_none() {
    let cluster = cluster(2, 2);
    let producer = builder(&cluster.bootstrap_servers()).metadata_max_age_ms(50).build().unwrap();
    let before = producer.partitions_for("t").unwrap()[0].clone();
    let other = if before.leader.as_ref().unwrap().id == 1 { 2 } else { 1 };
    cluster.with(|cluster| cluster.move_leader("t", 0, other));
    producer.send(&Record::to("t").value("v").partition(0)).unwrap().wait().unwrap();
    let after = producer.partitions_for("t").unwrap()[0].clone();
    assert_eq!(after.leader.unwrap().id, other);
    assert!(after.leader_epoch > before.leader_epoch);
    cluster.with(|cluster| cluster.move_leader("t", 1, -1));
    eventually("no leader", || producer.partitions_for("t").unwrap()[1].leader.is_none());
    assert!(producer.partitions_for("t").unwrap()[0].leader.is_some());
}

#[test]
fn partitions_of_an_unknown_topic_are_waited_for_in_vain() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).max_block_ms(200).build().unwrap();
    let error = producer.partitions_for("missing").unwrap_err();
    assert!(matches!(error, SendError::Timeout { .. }));
    assert!(error.to_string().contains("'missing'"), "{error}");
    let forbid = Fault::on(Api::Metadata).topic("secret").always().then(Action::Error(29));
    cluster.with(|cluster| _ = cluster.faults().push(forbid));
    assert!(matches!(producer.partitions_for("secret"), Err(SendError::Topic { .. })));
    producer.close(PATIENCE).unwrap();
    assert_eq!(producer.partitions_for("t").unwrap_err(), SendError::Closed);
    // A declared count says nothing about leaders.
    let offline = builder(&closed_port().to_string()).max_block_ms(50).build().unwrap();
    offline.declare_partitions("t", 4).unwrap();
    assert!(matches!(offline.partitions_for("t"), Err(SendError::Timeout { .. })));
}

#[test]
fn a_function_of_the_application_chooses() {
    let cluster = cluster(1, 4);
    cluster.with(|cluster| cluster.move_leader("t", 3, -1));
    let producer = builder(&cluster.bootstrap_servers())
        .partitioner_with(|record| {
            assert_eq!((record.topic, record.partitions, record.value), ("t", 4, Some(&b"v"[..])));
            assert_eq!(record.headers[0].key, "h");
            assert_eq!(record.available(), [0, 1, 2]);
            record.key.map_or(2, |key| i32::from(key[0] - b'0'))
        })
        .build()
        .unwrap();
    let record = || Record::to("t").value("v").header("h", "x");
    assert_eq!(producer.try_send(&record()).unwrap_err(), SendError::PartitionsUnknown);
    producer.partitions_for("t").unwrap();
    assert_eq!(producer.try_send(&record()).unwrap().wait().unwrap().partition, 2);
    assert_eq!(producer.send(&record().key("1")).unwrap().wait().unwrap().partition, 1);
    // The record's own comes first.
    assert_eq!(producer.send(&record().key("1").partition(0)).unwrap().wait().unwrap().partition, 0);
    let own = record().key("0");
    let delivery = futures_lite::future::block_on(producer.send_async(&own)).unwrap();
    assert_eq!(delivery.wait().unwrap().partition, 0);
    let (told, told_here) = std::sync::mpsc::channel();
    producer.send_with(&record().key("1"), move |outcome| told.send(outcome).unwrap()).unwrap();
    assert_eq!(told_here.recv_timeout(PATIENCE).unwrap().unwrap().partition, 1);
}

#[test]
fn it_waits_for_metadata_as_any_send_does() {
    let cluster = cluster(1, 4);
    for asynchronous in [false, true] {
        let producer = builder(&cluster.bootstrap_servers()).partitioner_with(|_| 3).build().unwrap();
        let record = Record::to("t").value("v");
        let delivery = match asynchronous {
            true => smol::block_on(producer.send_async(&record)).unwrap(),
            false => producer.send(&record).unwrap(),
        };
        assert_eq!(delivery.wait().unwrap().partition, 3);
    }
}

#[test]
fn a_declared_count_is_not_enough_for_it() {
    let producer = builder(&closed_port().to_string()).partitioner_with(|_| 3).build().unwrap();
    producer.declare_partitions("t", 4).unwrap();
    assert_eq!(producer.try_send(&Record::to("t").value("v")).unwrap_err(), SendError::PartitionsUnknown);
    drop(producer.try_send(&Record::to("t").value("v").partition(3)).unwrap());
    producer.close_now();
}

#[test]
fn its_failure_is_that_records_error() {
    let cluster = cluster(1, 2);
    let producer = builder(&cluster.bootstrap_servers())
        .partitioner_with(|record| match record.key {
            Some(b"panic") => panic!("on purpose"),
            Some(b"negative") => -1,
            Some(b"beyond") => 2,
            _ => 1,
        })
        .build()
        .unwrap();
    let error = |key| producer.send(&Record::to("t").key(key)).unwrap_err();
    assert_eq!(error("panic").to_string(), "the partitioner panicked for a record of topic 't': on purpose");
    let text = "the partitioner chose partition -1 of topic 't', which has 2, from 0";
    assert_eq!(error("negative"), SendError::Partitioner { cause: text.into() });
    assert!(matches!(producer.try_send(&Record::to("t").key("beyond")), Err(SendError::Partitioner { .. })));
    let record = Record::to("t").key("panic");
    assert!(matches!(smol::block_on(producer.send_async(&record)), Err(SendError::Partitioner { .. })));
    assert_eq!(producer.send(&Record::to("t").key("good")).unwrap().wait().unwrap().partition, 1);
    producer.close(PATIENCE).unwrap();
    assert_eq!(stored(&cluster, "t").len(), 1);
}

/// Not under the lock: it may be slow, and use the producer.
#[test]
fn it_may_use_the_producer() {
    let cluster = cluster(1, 4);
    let itself: Arc<OnceLock<Producer>> = Arc::default();
    let inside = Arc::clone(&itself);
    let producer = builder(&cluster.bootstrap_servers())
        .partitioner_with(move |record| {
            let producer = inside.get().unwrap();
            assert_eq!(producer.partition_count(record.topic), Ok(4));
            if record.key.is_some() {
                drop(producer.send(&Record::to(record.topic).value("from the partitioner")).unwrap());
                producer.flush();
            }
            (producer.stats().records_accepted % 4) as i32
        })
        .build()
        .unwrap();
    itself.set(producer.clone()).unwrap();
    producer.send(&Record::to("t").key("k")).unwrap().wait().unwrap();
    assert_eq!(stored(&cluster, "t").len(), 2);
    producer.close(PATIENCE).unwrap();
}

/// The topic grows while the partitioner thinks: it is asked again.
#[test]
fn a_choice_for_another_count_is_made_anew() {
    let cluster = Arc::new(cluster(1, 2));
    let (inside, asked) = (Arc::clone(&cluster), Arc::new(AtomicU32::new(0)));
    let itself: Arc<OnceLock<Producer>> = Arc::default();
    let (producer_inside, asked_inside) = (Arc::clone(&itself), Arc::clone(&asked));
    let producer = builder(&cluster.bootstrap_servers())
        .metadata_max_age_ms(30)
        .partitioner_with(move |record| {
            if asked_inside.fetch_add(1, Ordering::Relaxed) == 0 {
                inside.with(|cluster| cluster.add_partitions("t", 3));
                let producer = producer_inside.get().unwrap();
                eventually("the topic grew", || producer.partition_count("t") == Ok(5));
            }
            record.partitions as i32 - 1
        })
        .build()
        .unwrap();
    itself.set(producer.clone()).unwrap();
    assert_eq!(producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap().partition, 4);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    producer.close(PATIENCE).unwrap();
}

/// Partitions of ten for two keys of the vectors, and for records without key or with an empty one.
#[test]
fn librdkafkas_partitioners_by_property() {
    let cluster = cluster(1, 10);
    for (class, a, ab, empty, none) in [
        ("consistent", 7, 5, Some(0), Some(0)),
        ("consistent_random", 7, 5, None, None),
        ("murmur2", 4, 4, Some(1), Some(1)),
        ("murmur2_random", 4, 4, Some(1), None),
        ("fnv1a", 6, 6, Some(5), Some(5)),
        ("fnv1a_random", 6, 6, Some(5), None),
    ] {
        let producer =
            builder(&cluster.bootstrap_servers()).property("partitioner.class", class).unwrap().build().unwrap();
        let to = Record::to("t").value("v");
        let partition = |record: Record<'_>| producer.send(&record).unwrap().wait().unwrap().partition;
        assert_eq!((partition(to.clone().key("a")), partition(to.clone().key("ab"))), (a, ab), "{class}");
        for (record, expected) in [(to.clone().key(""), empty), (to.clone(), none)] {
            // One of a single draw can be right by chance; of a sticky turn many are the same anyway.
            let chosen = partition(record);
            assert!(expected.is_none_or(|expected| expected == chosen), "{class}: {chosen}");
        }
        producer.close(PATIENCE).unwrap();
    }
    let producer =
        builder(&cluster.bootstrap_servers()).property("partitioner.class", "random").unwrap().build().unwrap();
    let deliveries: Vec<_> = (0..500).map(|_| producer.send(&Record::to("t").key("a")).unwrap()).collect();
    let mut seen = [0; 10];
    deliveries.into_iter().for_each(|delivery| seen[delivery.wait().unwrap().partition as usize] += 1);
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}
