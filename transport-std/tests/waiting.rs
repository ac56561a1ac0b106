//! Callers that have to wait: for space, for metadata; and what they are told when that is in vain.

mod common;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{PATIENCE, builder, closed_port, cluster, counts, stored};
use klamm::{DeliveryErrorKind, Fate, Limits, Producer, Record, SendError};
use klamm_sim::{Action, Api, Fault};

const BLOCK: Duration = Duration::from_millis(300);

/// A producer with little memory and little patience.
fn small(bootstrap: &str) -> Producer {
    builder(bootstrap).buffer_memory(64 << 10).max_block_ms(BLOCK.as_millis() as u64).build().unwrap()
}

fn cause(error: SendError) -> String {
    match error {
        SendError::Timeout { waited, cause } => {
            assert!(waited >= BLOCK && waited < BLOCK * 5, "{waited:?}");
            cause.into()
        }
        other => panic!("{other:?}"),
    }
}

fn fill(producer: &Producer) {
    let value = [0; 1_000];
    loop {
        match producer.try_send(&Record::to("t").value(&value)) {
            Ok(_) => {}
            Err(SendError::Full) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_dead_broker_fills_the_buffer() {
    let cluster = cluster(1, 1);
    let producer = small(&cluster.bootstrap_servers());
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    cluster.kill(1);
    fill(&producer);
    let started = Instant::now();
    let text = cause(producer.send(&Record::to("t").value(&[0; 1_000])).unwrap_err());
    assert!(started.elapsed() >= BLOCK && started.elapsed() < BLOCK * 5);
    assert!(text.contains("buffer.memory") && text.contains("refused"), "{text}");
    let text =
        cause(futures_lite::future::block_on(producer.send_async(&Record::to("t").value(&[0; 1_000]))).unwrap_err());
    assert!(text.contains("buffer.memory"), "{text}");
    // It comes back, and everything goes on.
    cluster.restart(1).unwrap();
    producer.send(&Record::to("t").value(&[0; 1_000])).unwrap().wait().unwrap();
    producer.close(PATIENCE).unwrap();
}

#[test]
fn an_unknown_host_is_named() {
    let producer = small("no-such-host.invalid:9092");
    let started = Instant::now();
    let text = cause(producer.send(&Record::to("t").key("k").value("v")).unwrap_err());
    assert!(started.elapsed() < BLOCK * 5);
    assert!(text.contains("no metadata for topic 't' within 300 ms"), "{text}");
    assert!(text.contains("bootstrap server no-such-host.invalid:9092: name cannot be resolved"), "{text}");
    producer.close_now();
}

#[test]
fn a_refused_port_is_named() {
    let address = closed_port();
    let producer = small(&address.to_string());
    let text = cause(producer.partition_count("t").unwrap_err());
    assert!(text.contains(&format!("bootstrap server {address}: connection refused")), "{text}");
    let text = cause(futures_lite::future::block_on(producer.send_async(&Record::to("t").key("k"))).unwrap_err());
    assert!(text.contains("connection refused"), "{text}");
    // try_send never waits.
    let started = Instant::now();
    assert_eq!(producer.try_send(&Record::to("t").key("k")).unwrap_err(), SendError::PartitionsUnknown);
    assert!(started.elapsed() < Duration::from_millis(50));
    // A record without a key needs no partition count.
    assert!(producer.try_send(&Record::to("t").value("v")).is_ok());
    producer.close_now();
}

#[test]
fn an_unknown_topic_is_named_and_a_forbidden_one_fails_at_once() {
    let cluster = cluster(1, 1);
    let producer = small(&cluster.bootstrap_servers());
    let text = cause(producer.send(&Record::to("missing").key("k")).unwrap_err());
    assert!(text.contains("topic 'missing'") && text.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{text}");
    assert!(text.contains("does not exist") && text.contains("may not"), "{text}");
    let forbid = Fault::on(Api::Metadata).topic("secret").always().then(Action::Error(29));
    cluster.with(|cluster| _ = cluster.faults().push(forbid));
    let started = Instant::now();
    let error = producer.send(&Record::to("secret").key("k")).unwrap_err();
    assert!(started.elapsed() < BLOCK, "at once");
    assert!(matches!(&error, SendError::Topic { topic, .. } if &**topic == "secret"), "{error:?}");
    assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
    assert!(matches!(producer.send(&Record::to("")), Err(SendError::TopicName { max: 249 })));
    assert!(matches!(producer.send(&Record::to("t").partition(7)), Err(SendError::NoSuchPartition { partitions: 1 })));
    assert!(matches!(producer.send(&Record::to("t").timestamp(-2)), Err(SendError::InvalidTimestamp)));
    assert_eq!(producer.partition_count("t").unwrap(), 1);
}

#[test]
fn topics_come_into_being_while_senders_wait() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).build().unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let producer = &producer;
            scope.spawn(move || {
                let key = [n];
                let record = Record::to("late").key(&key);
                if n % 2 == 0 {
                    producer.send(&record).unwrap().wait().unwrap();
                } else {
                    futures_lite::future::block_on(async {
                        producer.send_async(&record).await.unwrap().await.unwrap()
                    });
                }
            });
        }
        std::thread::sleep(Duration::from_millis(100));
        cluster.with(|cluster| cluster.create_topic("late", 2));
    });
    assert_eq!(stored(&cluster, "late").len(), 4);
}

#[test]
fn a_full_buffer_slows_down_and_loses_nothing() {
    let cluster = cluster(2, 4);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(128 << 10).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let producer = &producer;
            scope.spawn(move || {
                let filler = "x".repeat(500);
                for n in 0..1_000 {
                    let value = format!("{thread}-{n}-{filler}");
                    let record = Record::to("t").value(&value);
                    if thread % 2 == 0 {
                        drop(producer.send(&record).unwrap());
                    } else {
                        drop(smol::block_on(producer.send_async(&record)).unwrap());
                    }
                }
            });
        }
    });
    producer.flush();
    assert!(producer.stats().buffer_full > 0, "the test is too gentle");
    assert_eq!(counts(&cluster, "t").len(), 6_000);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(700))));
    fill(&producer);
    let served = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (producer, served) = (&producer, &served);
            scope.spawn(move || {
                let value = [n; 12_000];
                let record = Record::to("t").value(&value);
                if n % 2 == 0 {
                    drop(producer.send(&record).unwrap());
                } else {
                    drop(smol::block_on(producer.send_async(&record)).unwrap());
                }
                served.lock().unwrap().push(n);
            });
            // Long enough to take a place in the queue.
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    producer.flush();
    let order: Vec<_> = stored(&cluster, "t")
        .into_iter()
        .filter(|r| r.value.as_ref().unwrap().len() == 12_000)
        .map(|r| r.value.unwrap()[0])
        .collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
}

/// A small record would find room where a large one waits; it waits behind it all the same (PITFALLS 62).
#[test]
fn a_newcomer_does_not_pass_those_who_wait() {
    use std::future::Future;
    use std::task::{Context, Waker};

    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let value = [0; 3_000];
    while producer.try_send(&Record::to("t").value(&value)).is_ok() {}
    let small = Record::to("t").value("small");
    drop(producer.try_send(&small).expect("there is room for little"));
    let large = [0; 12_000];
    let record = Record::to("t").value(&large);
    let mut waiting = Box::pin(producer.send_async(&record));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(producer.try_send(&small).unwrap_err(), SendError::Full);
    drop(waiting);
    drop(producer.try_send(&small).expect("nobody waits any more"));
    producer.close_now();
}

/// Who asks for metadata takes no memory, so it does not queue behind those who wait for some.
#[test]
fn questions_about_metadata_do_not_wait_for_memory() {
    use std::future::Future;
    use std::task::{Context, Waker};

    let cluster = cluster(1, 3);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    fill(&producer);
    let value = [0; 12_000];
    let record = Record::to("t").value(&value);
    let mut waiting = Box::pin(producer.send_async(&record));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(producer.partition_count("t").unwrap(), 3);
    assert_eq!(producer.partitions_for("t").unwrap().len(), 3);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    producer.close_now();
}

#[test]
fn nobody_is_overtaken_twice_while_the_buffer_is_full() {
    const SENDERS: usize = 8;
    const CALLS: usize = 40;
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    producer.partition_count("t").unwrap();
    // Slow enough that nearly every call has to wait.
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::Delay(15))));
    let clock = AtomicUsize::new(0);
    let sender = |number: usize| {
        let (producer, clock) = (&producer, &clock);
        move || {
            let value = [number as u8; 6_000];
            let record = Record::to("t").value(&value);
            let call = |_| {
                let begun = clock.fetch_add(1, Ordering::SeqCst);
                if number.is_multiple_of(2) {
                    drop(producer.send(&record).unwrap());
                } else {
                    drop(smol::block_on(producer.send_async(&record)).unwrap());
                }
                begun..clock.fetch_add(1, Ordering::SeqCst)
            };
            (0..CALLS).map(call).collect::<Vec<_>>()
        }
    };
    let calls: Vec<Vec<_>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|number| scope.spawn(sender(number))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    // Who waits is overtaken by a call that began before it stood in the queue, not by the same sender's next ones. A thread that loses
    // its processor just before it queues is, so a few are let pass.
    let overtaken = |(own, call): (usize, &Range<usize>)| {
        let inside = |other: &Range<usize>| call.start < other.start && other.end < call.end;
        let others = calls.iter().enumerate().filter(|(sender, _)| *sender != own);
        others.filter(|(_, calls)| calls.iter().filter(|other| inside(other)).count() > 1).count()
    };
    let all = calls.iter().enumerate().flat_map(|(own, calls)| calls.iter().map(move |call| (own, call)));
    let unfair = all.map(overtaken).filter(|&overtaken| overtaken > 0).count();
    assert!(unfair <= SENDERS * CALLS / 20, "{unfair} of {} calls were overtaken twice", SENDERS * CALLS);
    // Those who queue behind others do not even ask for space.
    assert!(producer.stats().buffer_full > 10, "the test is too gentle");
    producer.flush();
    assert_eq!(stored(&cluster, "t").len(), SENDERS * CALLS);
}

#[test]
fn a_waiting_future_can_be_dropped() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    producer.partition_count("t").unwrap();
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(300))));
    fill(&producer);
    let value = [1; 1_000];
    let record = Record::to("t").value(&value);
    let mut given_up = Box::pin(producer.send_async(&record));
    let mut patient = Box::pin(producer.send_async(&record));
    smol::block_on(async {
        assert!(futures_lite::future::poll_once(&mut given_up).await.is_none());
        assert!(futures_lite::future::poll_once(&mut patient).await.is_none());
        drop(given_up);
        patient.await.unwrap().await.unwrap();
    });
    assert_eq!(producer.try_send(&record).map(drop), Ok(()));
    producer.flush();
}

#[test]
fn max_block_of_zero_fails_at_once() {
    let producer = builder(&closed_port().to_string()).max_block_ms(0).build().unwrap();
    let started = Instant::now();
    assert!(matches!(producer.send(&Record::to("t").key("k")), Err(SendError::Timeout { .. })));
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[test]
fn a_topic_makes_room_for_another() {
    let cluster = cluster(1, 1);
    let limits = Limits { topics: 2, ..Limits::default() };
    let producer = builder(&cluster.bootstrap_servers()).limits(limits).build().unwrap();
    for n in 0..6 {
        let topic = format!("topic-{n}");
        cluster.with(|cluster| cluster.create_topic(&topic, 1));
        producer.send(&Record::to(&topic).value("v")).unwrap().wait().unwrap();
    }
    // Not while records are under way.
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::Delay(300))));
    drop(producer.send(&Record::to("topic-4").value("v")).unwrap());
    drop(producer.send(&Record::to("topic-5").value("v")).unwrap());
    assert_eq!(producer.try_send(&Record::to("topic-2")).unwrap_err(), SendError::TooManyTopics { max: 2 });
    producer.flush();
    producer.send(&Record::to("topic-2").value("v")).unwrap().wait().unwrap();
    producer.close(PATIENCE).unwrap();
}

#[test]
fn a_declared_count_needs_no_cluster() {
    let producer = builder(&closed_port().to_string()).build().unwrap();
    assert_eq!(producer.try_send(&Record::to("t").key("k")).unwrap_err(), SendError::PartitionsUnknown);
    producer.declare_partitions("t", 4).unwrap();
    assert_eq!(producer.partition_count("t").unwrap(), 4);
    drop(producer.try_send(&Record::to("t").key("k")).unwrap());
    assert_eq!(producer.outstanding(), 1);
    producer.close_now();
}

#[test]
fn a_panic_under_the_lock_breaks_the_producer_and_hangs_nobody() {
    fn partitioner(request: &klamm::PartitionRequest<'_>) -> i32 {
        assert!(request.key != Some(b"bad"), "as it was told");
        0
    }
    let cluster = cluster(1, 1);
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::NoAnswer)));
    let producer =
        builder(&cluster.bootstrap_servers()).partitioner(klamm::Partitioner::Custom(partitioner)).build().unwrap();
    producer.partition_count("t").unwrap();
    let delivery = producer.send(&Record::to("t").key("good")).unwrap();
    let guilty = producer.clone();
    assert!(std::thread::spawn(move || guilty.send(&Record::to("t").key("bad")).map(drop)).join().is_err());
    let error = delivery.wait_timeout(PATIENCE).expect("an outcome").unwrap_err();
    assert_eq!((error.kind, error.fate), (DeliveryErrorKind::Broken, Fate::Unknown));
    assert_eq!(producer.send(&Record::to("t").key("good")).unwrap_err(), SendError::Broken);
    producer.flush();
    assert!(producer.close(PATIENCE).is_err());
}

/// A waker runs in the I/O thread: a call that waited there would wait for itself (PITFALLS 22).
#[test]
fn calls_in_a_waker_do_not_wait() {
    use std::future::Future;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    struct Calls(Producer, Mutex<Option<Vec<String>>>);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            let value = [0; 10_000];
            let full = loop {
                if let Err(error) = self.0.send(&Record::to("t").value(&value)) {
                    break error;
                }
            };
            let unknown = self.0.send(&Record::to("never seen").key("k")).unwrap_err();
            let count = self.0.partition_count("nor this").unwrap_err();
            self.0.flush();
            let flushed = self.0.flush_timeout(PATIENCE);
            *self.1.lock().unwrap() =
                Some(vec![format!("{full:?}"), format!("{unknown:?}"), format!("{count:?}"), format!("{flushed}")]);
        }
    }
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).build().unwrap();
    let calls = Arc::new(Calls(producer.clone(), Mutex::default()));
    cluster.with(|cluster| {
        cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(300)));
        cluster.faults().push(Fault::on(Api::Produce).skip(1).always().then(Action::NoAnswer));
    });
    let mut delivery = Box::pin(producer.send(&Record::to("t").value("first")).unwrap());
    let waker = Waker::from(Arc::clone(&calls));
    assert!(delivery.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    common::eventually("the waker has returned", || calls.1.lock().unwrap().is_some());
    let said = calls.1.lock().unwrap().take().unwrap();
    assert_eq!(said, ["InCallback", "InCallback", "InCallback", "false"]);
    producer.close_now();
}
