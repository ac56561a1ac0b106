//! Callbacks: once per record, in order, and whatever they do.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{PATIENCE, builder, closed_port, cluster, eventually, producer, stored};
use klamm::{
    DeliveryError, DeliveryErrorKind, Fate, Partitioner, Problem, Producer, Record, RecordMetadata, SendError,
};
use klamm_sim::{Action, Api, Fault, TopicOptions};

type Outcome = Result<RecordMetadata, DeliveryError>;

/// What callbacks were told, in the order of the calls.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(u32, Outcome)>>>);

impl Told {
    fn note(&self, number: u32) -> impl FnOnce(Outcome) + Send + 'static {
        let told = self.clone();
        move |outcome| told.0.lock().unwrap().push((number, outcome))
    }

    fn all(&self) -> Vec<(u32, Outcome)> {
        self.0.lock().unwrap().clone()
    }

    fn numbers(&self) -> Vec<u32> {
        self.all().into_iter().map(|(number, _)| number).collect()
    }
}

fn send(producer: &Producer, topic: &str, number: u32, partition: i32, told: &Told) {
    let value = format!("{number:06}");
    producer.send_with(&Record::to(topic).value(&value).partition(partition), told.note(number)).unwrap();
}

/// Each of `0..count`, record `n` in partition `n % partitions`, was told once and in order.
fn assert_once_and_in_order(told: &Told, count: u32, partitions: u32) {
    let numbers = told.numbers();
    assert_eq!(numbers.len(), count as usize);
    for partition in 0..partitions {
        let here: Vec<_> = numbers.iter().copied().filter(|number| number % partitions == partition).collect();
        let expected: Vec<_> = (0..count).filter(|number| number % partitions == partition).collect();
        assert!(here == expected, "partition {partition}: {here:?}");
    }
}

#[test]
fn once_and_in_order_through_retries_and_disconnects() {
    const COUNT: u32 = 6_000;
    let cluster = cluster(3, 4);
    cluster.with(|cluster| {
        for (skip, action) in [
            (0, Action::Error(6)),
            (3, Action::CloseBefore),
            (5, Action::AppendThenError(7)),
            (7, Action::CloseAfter),
            (9, Action::Delay(30)),
            (12, Action::Error(19)),
            (14, Action::CloseAfterBytes(9)),
        ] {
            cluster.faults().push(Fault::on(Api::Produce).skip(skip).times(2).then(action));
        }
    });
    let producer = builder(&cluster.bootstrap_servers()).batch_size(600).linger_ms(1).build().unwrap();
    let told = Told::default();
    for number in 0..COUNT {
        send(&producer, "t", number, (number % 4) as i32, &told);
    }
    producer.flush();
    assert_once_and_in_order(&told, COUNT, 4);
    let mut offsets = [0; 4];
    for (number, outcome) in told.all() {
        let metadata = outcome.unwrap();
        assert_eq!((&*metadata.topic, metadata.partition), ("t", (number % 4) as i32));
        assert_eq!(metadata.offset, offsets[number as usize % 4]);
        offsets[number as usize % 4] += 1;
    }
    producer.close(PATIENCE).unwrap();
    assert_eq!(told.numbers().len(), COUNT as usize);
}

/// Records that are too large fail while those before them are split and sent again.
#[test]
fn once_and_in_order_through_splits() {
    let cluster = cluster(1, 1);
    cluster.with(|cluster| {
        cluster.create_topic_with("small", TopicOptions { max_message_bytes: Some(1_000), ..TopicOptions::default() });
    });
    let producer = builder(&cluster.bootstrap_servers()).batch_size(1_600).linger_ms(10_000).build().unwrap();
    // Only a partition that has taken a batch gets several at a time.
    drop(producer.send(&Record::to("small").value("first").partition(0)).unwrap());
    producer.flush();
    // Five batches are on their way before one is answered.
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(200))));
    let told = Told::default();
    // Batches of thirteen small records are split; those of a single large one fail at once.
    let is_large = |number: u32| number % 17 == 16;
    for number in 0..400 {
        let value = vec![b'x'; if is_large(number) { 1_500 } else { 100 }];
        producer.send_with(&Record::to("small").value(&value).partition(0), told.note(number)).unwrap();
    }
    producer.flush();
    assert_once_and_in_order(&told, 400, 1);
    for (number, outcome) in told.all() {
        match outcome {
            Ok(_) => assert!(!is_large(number)),
            Err(error) => assert_eq!((is_large(number), error.kind), (true, DeliveryErrorKind::RecordTooLarge)),
        }
    }
}

/// The second record fails for good while the first is still to be sent again.
#[test]
fn an_outcome_waits_for_those_before_it() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).batch_size(0).build().unwrap();
    // Only a partition that has taken a batch gets several at a time.
    producer.send(&Record::to("t").value("first").partition(0)).unwrap().wait().unwrap();
    cluster.with(|cluster| {
        cluster.faults().push(Fault::on(Api::Produce).then(Action::Error(6)).then(Action::Delay(100)));
        cluster.faults().push(Fault::on(Api::Produce).skip(1).then(Action::Error(87)));
    });
    let told = Told::default();
    for number in 0..3 {
        send(&producer, "t", number, 0, &told);
    }
    producer.flush();
    assert_once_and_in_order(&told, 3, 1);
    let failed: Vec<_> = told.all().iter().map(|(_, outcome)| outcome.is_err()).collect();
    assert_eq!(failed, [false, true, false]);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn records_from_before_the_first_connection_are_told_in_order() {
    let cluster = cluster(1, 3);
    cluster.kill(1);
    let producer = builder(&cluster.bootstrap_servers()).batch_size(100).build().unwrap();
    let told = Told::default();
    for number in 0..50 {
        producer.try_send_with(&Record::to("t").value("before"), told.note(number)).unwrap();
    }
    cluster.restart(1).unwrap();
    producer.flush();
    assert_eq!(told.numbers(), (0..50).collect::<Vec<_>>());
    let partition = told.all()[0].1.as_ref().unwrap().partition;
    for number in 50..100 {
        producer.send_with(&Record::to("t").value("after").partition(partition), told.note(number)).unwrap();
    }
    producer.flush();
    assert_eq!(told.numbers(), (0..100).collect::<Vec<_>>());
}

#[test]
fn close_calls_them_before_it_returns() {
    let cluster = cluster(1, 2);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(10_000).build().unwrap();
    let told = Told::default();
    for number in 0..200 {
        send(&producer, "t", number, (number % 2) as i32, &told);
    }
    producer.close(PATIENCE).unwrap();
    assert_once_and_in_order(&told, 200, 2);
    assert!(told.all().iter().all(|(_, outcome)| outcome.is_ok()));
}

#[test]
fn close_now_and_a_close_in_vain_tell_failures() {
    for at_once in [true, false] {
        let cluster = cluster(1, 2);
        cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::Ignore)));
        let producer = builder(&cluster.bootstrap_servers()).batch_size(300).build().unwrap();
        let told = Told::default();
        for number in 0..200 {
            send(&producer, "t", number, (number % 2) as i32, &told);
        }
        if at_once {
            producer.close_now();
        } else {
            assert_eq!(producer.close(Duration::from_millis(50)).unwrap_err().undelivered, 200);
        }
        assert_once_and_in_order(&told, 200, 2);
        let closed = |outcome: &Outcome| outcome.as_ref().is_err_and(|error| error.kind == DeliveryErrorKind::Closed);
        assert!(told.all().iter().all(|(_, outcome)| closed(outcome)));
    }
}

#[test]
fn a_broken_producer_tells_failures() {
    fn partitioner(_: &klamm::PartitionRequest<'_>) -> i32 {
        panic!("under the lock")
    }
    let cluster = cluster(1, 2);
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let producer = builder(&cluster.bootstrap_servers()).partitioner(Partitioner::Custom(partitioner)).build().unwrap();
    let told = Told::default();
    for number in 0..100 {
        send(&producer, "t", number, (number % 2) as i32, &told);
    }
    let guilty = producer.clone();
    assert!(std::thread::spawn(move || guilty.send(&Record::to("t")).map(drop)).join().is_err());
    producer.flush();
    assert_once_and_in_order(&told, 100, 2);
    for (_, outcome) in told.all() {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind, error.fate), (DeliveryErrorKind::Broken, Fate::Unknown));
    }
    assert!(producer.close(PATIENCE).is_err());
}

/// Every record but the first is sent by the callback of the one before.
#[test]
fn callbacks_may_send() {
    const COUNT: u32 = 10_000;
    fn next(producer: &Producer, number: u32, done: std::sync::mpsc::Sender<u32>) {
        let (again, value) = (producer.clone(), number.to_string());
        let callback = move |outcome: Outcome| {
            assert_eq!(outcome.unwrap().offset, i64::from(number));
            if number + 1 == COUNT {
                done.send(number + 1).unwrap();
            } else {
                next(&again, number + 1, done);
            }
        };
        let record = Record::to("t").value(&value);
        if number.is_multiple_of(2) {
            producer.send_with(&record, callback).unwrap();
        } else {
            producer.try_send_with(&record, callback).unwrap();
        }
    }
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(0).build().unwrap();
    let (done, told) = channel();
    next(&producer, 0, done);
    assert_eq!(told.recv_timeout(PATIENCE * 4), Ok(COUNT));
    producer.close(PATIENCE).unwrap();
    assert_eq!(stored(&cluster, "t").len(), COUNT as usize);
}

/// PITFALLS 22.
#[test]
fn nothing_blocks_in_a_callback() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(64 << 10).linger_ms(1_000).build().unwrap();
    let other = builder(&closed_port().to_string()).build().unwrap();
    let (done, told) = channel();
    let (inside, outside) = (producer.clone(), other.clone());
    let callback = move |outcome: Outcome| {
        outcome.unwrap();
        let started = Instant::now();
        let p = &inside;
        assert_eq!(p.send(&Record::to("missing").key("k")).unwrap_err(), SendError::InCallback);
        assert_eq!(p.send_with(&Record::to("missing").key("k"), |_| {}).unwrap_err(), SendError::InCallback);
        assert_eq!(p.partition_count("missing").unwrap_err(), SendError::InCallback);
        assert_eq!(p.partitions_for("missing").unwrap_err(), SendError::InCallback);
        assert_eq!((p.partition_count("t"), p.partitions_for("t").unwrap().len()), (Ok(1), 1));
        let delivery = p.send(&Record::to("t").value("v")).unwrap();
        assert!(delivery.wait_timeout(PATIENCE).is_none());
        let error = delivery.wait().unwrap_err();
        assert_eq!((error.kind, error.fate), (DeliveryErrorKind::InCallback, Fate::Unknown));
        assert!(error.to_string().contains("callback"), "{error}");
        // Another producer's answer may depend on this thread as well.
        let elsewhere = outside.try_send(&Record::to("t").value("v")).unwrap();
        assert_eq!(elsewhere.wait().unwrap_err().kind, DeliveryErrorKind::InCallback);
        while p.try_send(&Record::to("t").value(&[0; 1_000])).is_ok() {}
        assert_eq!(p.try_send(&Record::to("t").value(&[0; 1_000])).unwrap_err(), SendError::Full);
        assert_eq!(p.send(&Record::to("t").value(&[0; 1_000])).unwrap_err(), SendError::InCallback);
        p.flush();
        assert!(!p.flush_timeout(PATIENCE));
        let sent = p.outstanding();
        p.close(PATIENCE).unwrap();
        p.close(PATIENCE).unwrap();
        assert_eq!(p.try_send(&Record::to("t")).unwrap_err(), SendError::Closed);
        done.send((sent, started.elapsed())).unwrap();
    };
    producer.send_with(&Record::to("t").value("first"), callback).unwrap();
    let (sent, took) = told.recv_timeout(PATIENCE).expect("the callback neither hung nor panicked");
    assert!(took < Duration::from_secs(10), "{took:?}");
    producer.close(PATIENCE).unwrap();
    assert_eq!(stored(&cluster, "t").len() as u64, sent + 1);
    other.close_now();
}

#[test]
fn close_now_in_a_callback_ends_the_producer() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(0).build().unwrap();
    let (done, told) = channel();
    let inside = producer.clone();
    let callback = move |outcome: Outcome| {
        outcome.unwrap();
        let done_too = done.clone();
        inside.send_with(&Record::to("t").value("v"), move |outcome| done_too.send(outcome).unwrap()).unwrap();
        inside.close_now();
    };
    producer.send_with(&Record::to("t").value("first"), callback).unwrap();
    let outcome = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome.unwrap_err().kind, DeliveryErrorKind::Closed);
    producer.flush();
    let _ = producer.close(PATIENCE);
    eventually("no connection", || cluster.with(|cluster| cluster.connection_count()) == 0);
}

#[test]
fn the_last_handle_may_go_in_a_callback() {
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).build().unwrap();
    let (done, told) = channel();
    let (last, record) = (producer.clone(), Record::to("t").value("v"));
    producer
        .send_with(&record, move |outcome| {
            drop(last.try_send(&Record::to("t").value("from the callback")).unwrap());
            drop(last);
            done.send(outcome.is_ok()).unwrap();
        })
        .unwrap();
    drop(producer);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    eventually("all is stored", || stored(&cluster, "t").len() == 2);
    eventually("no connection", || cluster.with(|cluster| cluster.connection_count()) == 0);
}

#[test]
fn a_panicking_callback_breaks_nothing() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("on purpose, in a destructor");
        }
    }
    let cluster = cluster(1, 1);
    let problems = Arc::new(Mutex::new(Vec::new()));
    let told_problems = Arc::clone(&problems);
    let producer = builder(&cluster.bootstrap_servers())
        .on_problem(move |problem, text| {
            if *problem == Problem::Application {
                told_problems.lock().unwrap().push(text.to_owned());
            }
        })
        .build()
        .unwrap();
    let told = Told::default();
    for number in 0..30 {
        let (note, record) = (told.note(number), Record::to("t").value("v"));
        let sent = match number % 3 {
            0 => producer.send_with(&record, move |outcome| {
                note(outcome);
                panic!("on purpose: {number}");
            }),
            1 => {
                let panics = PanicsWhenDropped;
                producer.send_with(&record, move |outcome| {
                    note(outcome);
                    drop(panics);
                })
            }
            _ => producer.send_with(&record, note),
        };
        sent.unwrap();
    }
    producer.flush();
    assert_once_and_in_order(&told, 30, 1);
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    producer.close(PATIENCE).unwrap();
    let problems = problems.lock().unwrap();
    assert!(problems.contains(&"a callback panicked: on purpose: 0".to_owned()), "{problems:?}");
    assert!(problems.contains(&"a callback panicked: on purpose, in a destructor".to_owned()), "{problems:?}");
}

#[test]
fn a_refused_record_has_no_callback() {
    let producer = builder(&closed_port().to_string()).max_block_ms(100).build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let callback = || {
        let calls = Arc::clone(&calls);
        move |_: Outcome| _ = calls.fetch_add(1, Ordering::Relaxed)
    };
    let keyed = Record::to("t").key("k");
    assert_eq!(producer.try_send_with(&keyed, callback()).unwrap_err(), SendError::PartitionsUnknown);
    assert!(matches!(producer.send_with(&keyed, callback()), Err(SendError::Timeout { .. })));
    let large = vec![0; 2 << 20];
    let error = producer.try_send_with(&Record::to("t").value(&large), callback()).unwrap_err();
    assert!(matches!(error, SendError::TooLarge { .. }));
    assert_eq!(Arc::strong_count(&calls), 1, "they are dropped");
    producer.try_send_with(&Record::to("t").value("v"), callback()).unwrap();
    producer.close_now();
    assert_eq!((calls.load(Ordering::Relaxed), Arc::strong_count(&calls)), (1, 1));
    assert_eq!(producer.send_with(&Record::to("t"), callback()).unwrap_err(), SendError::Closed);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// A waiter sees what the callbacks of its batch did.
#[test]
fn callbacks_come_before_waiters() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    for _ in 0..50 {
        let told = Told::default();
        producer.send_with(&Record::to("t").value("v").partition(0), told.note(0)).unwrap();
        producer.send(&Record::to("t").value("v").partition(0)).unwrap().wait().unwrap();
        assert_eq!(told.numbers(), [0]);
    }
}

#[test]
fn many_threads_each_once_and_in_order() {
    let cluster = cluster(2, 3);
    let producer = builder(&cluster.bootstrap_servers()).buffer_memory(1 << 20).build().unwrap();
    let told: Vec<_> = (0..4).map(|_| Told::default()).collect();
    std::thread::scope(|scope| {
        for told in &told {
            let producer = producer.clone();
            scope.spawn(move || (0..6_000).for_each(|number| send(&producer, "t", number, (number % 3) as i32, told)));
        }
    });
    producer.flush();
    for told in &told {
        assert_once_and_in_order(told, 6_000, 3);
    }
}
