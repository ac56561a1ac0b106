//! Bugs found in other producers (docs/pitfalls.md, B1 to B12), as far as threads and sockets are concerned. B8's and B10's other
//! halves are beside what they test (seed.rs, io/socket.rs).

mod common;

use common::{PATIENCE, builder, cluster, eventually, producer, stored};
use klamm::{DeliveryErrorKind, Fate, Partitioner, Record, SendError};
use klamm_sim::{Action, Api, Fault};

/// Which partitions a fresh producer chose for 40 keyless records, a batch each. Nothing but chance has a say: it is connected
/// before, and does not look at how long queues are.
fn choices(cluster: &klamm_sim::tcp::TcpCluster, name: &str) -> Vec<i32> {
    let producer = builder(&cluster.bootstrap_servers())
        .batch_size(0)
        .partitioner_adaptive_partitioning_enable(false)
        .build()
        .unwrap();
    drop(producer.send(&Record::to("t").value(name)).unwrap());
    producer.flush();
    let deliveries: Vec<_> = (0..40).map(|_| producer.send(&Record::to("t").value(name)).unwrap()).collect();
    let partition = |delivery: klamm::Delivery| delivery.wait_timeout(PATIENCE).expect("an outcome").unwrap().partition;
    let chosen = deliveries.into_iter().map(partition).collect();
    producer.close(PATIENCE).unwrap();
    chosen
}

/// Nonces from a counter and the clock repeat in another process. The transferable part: no two producers draw the same numbers,
/// be it for partitions, for jitter, or for nonces later.
#[test]
fn b08_two_producers_share_no_random_stream() {
    let cluster = cluster(1, 16);
    let chosen = ["first", "second", "third"].map(|name| choices(&cluster, name));
    assert_ne!(chosen[0], chosen[1]);
    assert_ne!(chosen[0], chosen[2]);
    assert_ne!(chosen[1], chosen[2]);
}

/// A producer whose worker was gone logged a warning and took the record: nobody ever heard of it again. Here the I/O thread is brought
/// to its end by a panic of the caller's partitioner: whoever waits is told, and every later call is.
#[test]
fn b11_a_record_for_a_worker_that_is_gone_is_an_error() {
    fn partitioner(request: &klamm::PartitionRequest<'_>) -> i32 {
        assert!(request.key != Some(b"bad"), "as it was told");
        0
    }
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).partitioner(Partitioner::Custom(partitioner)).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let accepted: Vec<_> = (0..100).map(|_| producer.send(&Record::to("t").key("good")).unwrap()).collect();
    let guilty = producer.clone();
    assert!(std::thread::spawn(move || guilty.send(&Record::to("t").key("bad")).map(drop)).join().is_err());
    for delivery in accepted {
        let error = delivery.wait_timeout(PATIENCE).expect("an outcome").unwrap_err();
        assert_eq!((error.kind, error.fate), (DeliveryErrorKind::Broken, Fate::Unknown));
    }
    let record = Record::to("t").key("good");
    assert_eq!(producer.send(&record).unwrap_err(), SendError::Broken);
    assert_eq!(producer.try_send(&record).unwrap_err(), SendError::Broken);
    assert_eq!(smol::block_on(producer.send_async(&record)).unwrap_err(), SendError::Broken);
    assert_eq!(producer.outstanding(), 0);
}

/// Each `send` awaited the acknowledgement, a round trip per record. Here nothing is ever acknowledged, and all the same every call
/// returns.
#[test]
fn b12_a_send_does_not_wait_for_the_answer() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(0).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let deliveries: Vec<_> = (0..1000).map(|_| producer.send(&Record::to("t").value("v")).unwrap()).collect();
    eventually("a batch is on its way", || !stored(&cluster, "t").is_empty());
    assert!(deliveries.iter().all(|delivery| delivery.try_get().is_none()));
    assert_eq!(producer.outstanding(), 1000);
    producer.close_now();
}

/// The same for those who wait for the answer of one record: others go on meanwhile.
#[test]
fn b12_who_waits_for_an_answer_holds_up_nobody() {
    let cluster = cluster(2, 2);
    let producer = producer(&cluster);
    producer.partition_count("t").unwrap();
    let fault = Fault::on(Api::Produce).partition(0).always().then(Action::NoAnswer);
    cluster.with(|cluster| _ = cluster.faults().push(fault));
    let slow = producer.send(&Record::to("t").partition(0).value("slow")).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| slow.wait_timeout(PATIENCE).expect("an outcome"));
        let quick = producer.send(&Record::to("t").partition(1).value("quick")).unwrap();
        quick.wait_timeout(PATIENCE).expect("an outcome").unwrap();
        assert!(!waiting.is_finished());
        producer.close_now();
        assert_eq!(waiting.join().unwrap().unwrap_err().fate, Fate::Unknown);
    });
}
