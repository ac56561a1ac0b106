//! Closing, closing at once, and dropping.

mod common;

use std::time::{Duration, Instant};

use common::{PATIENCE, builder, closed_port, cluster, eventually, producer, stored};
use klamm::{DeliveryErrorKind, Fate, Record, SendError};
use klamm_sim::{Action, Api, Fault};

#[test]
fn close_delivers_what_is_outstanding() {
    let cluster = cluster(2, 3);
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(10_000).build().unwrap();
    let deliveries: Vec<_> = (0..100).map(|n| producer.send(&Record::to("t").value(&[n])).unwrap()).collect();
    let started = Instant::now();
    producer.close(PATIENCE).unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "close does not linger");
    for delivery in deliveries {
        delivery.try_get().expect("an outcome").unwrap();
    }
    assert_eq!(stored(&cluster, "t").len(), 100);
    assert_eq!(producer.send(&Record::to("t")).unwrap_err(), SendError::Closed);
    assert_eq!(producer.try_send(&Record::to("t")).unwrap_err(), SendError::Closed);
    assert_eq!(producer.partition_count("t").unwrap_err(), SendError::Closed);
    producer.flush();
    producer.close(PATIENCE).unwrap();
    producer.close_now();
}

#[test]
fn close_gives_up_in_time_and_counts() {
    let producer = builder(&closed_port().to_string()).build().unwrap();
    let deliveries: Vec<_> = (0..7).map(|_| producer.try_send(&Record::to("t").value("v")).unwrap()).collect();
    let started = Instant::now();
    let error = producer.close(Duration::from_millis(200)).unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(190) && started.elapsed() < Duration::from_secs(2));
    assert_eq!(error.undelivered, 7);
    for delivery in deliveries {
        let error = delivery.try_get().expect("an outcome").unwrap_err();
        assert_eq!((error.kind, error.fate), (DeliveryErrorKind::Closed, Fate::NotWritten));
        assert!(error.is_retriable());
    }
}

#[test]
fn close_now_fails_what_is_outstanding() {
    let cluster = cluster(1, 1);
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let producer = producer(&cluster);
    let sent = producer.send(&Record::to("t").value("v")).unwrap();
    eventually("the broker has it", || stored(&cluster, "t").len() == 1);
    let started = Instant::now();
    producer.close_now();
    assert!(started.elapsed() < Duration::from_secs(1));
    let error = sent.try_get().expect("an outcome").unwrap_err();
    assert_eq!((error.kind, error.fate), (DeliveryErrorKind::Closed, Fate::Unknown));
    assert_eq!(producer.outstanding(), 0);
}

#[test]
fn close_releases_everyone_who_waits() {
    let producer = builder(&closed_port().to_string()).buffer_memory(64 << 10).build().unwrap();
    let value = [0; 1_000];
    while producer.try_send(&Record::to("t").value(&value)).is_ok() {}
    std::thread::scope(|scope| {
        let waits = [
            scope.spawn(|| producer.send(&Record::to("t").value(&value)).unwrap_err()),
            scope.spawn(|| smol::block_on(producer.send_async(&Record::to("t").value(&value))).unwrap_err()),
            scope.spawn(|| producer.send(&Record::to("u").key("k")).unwrap_err()),
            scope.spawn(|| producer.partition_count("u").unwrap_err()),
        ];
        let flush = scope.spawn(|| producer.flush());
        std::thread::sleep(Duration::from_millis(100));
        let started = Instant::now();
        assert!(producer.close(Duration::from_millis(100)).is_err());
        for wait in waits {
            assert_eq!(wait.join().unwrap(), SendError::Closed);
        }
        flush.join().unwrap();
        assert!(started.elapsed() < Duration::from_secs(2));
    });
}

/// Who waits is told when `close` begins, not when it ends (PITFALLS 20).
#[test]
fn waiting_callers_are_released_while_close_still_drains() {
    let producer = builder(&closed_port().to_string()).buffer_memory(64 << 10).build().unwrap();
    let value = [0; 1_000];
    while producer.try_send(&Record::to("t").value(&value)).is_ok() {}
    std::thread::scope(|scope| {
        let waits = [
            scope.spawn(|| producer.send(&Record::to("t").value(&value)).unwrap_err()),
            scope.spawn(|| producer.partition_count("u").unwrap_err()),
        ];
        // Long enough to begin to wait.
        std::thread::sleep(Duration::from_millis(100));
        let started = Instant::now();
        let closing = scope.spawn(|| producer.close(PATIENCE));
        for wait in waits {
            assert_eq!(wait.join().unwrap(), SendError::Closed);
        }
        assert!(started.elapsed() < PATIENCE / 2, "it was the end that released them");
        producer.close_now();
        assert!(closing.join().unwrap().is_err());
    });
}

/// A callback that does not return holds up the I/O thread, but not `close` (PITFALLS 20).
#[test]
fn close_does_not_wait_for_ever_for_a_callback() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let (entered, has_entered) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hang = move |_| {
        entered.send(()).unwrap();
        let _ = released.recv();
    };
    producer.send_with(&Record::to("t").value("v"), hang).unwrap();
    has_entered.recv_timeout(PATIENCE).unwrap();
    let open = producer.try_send(&Record::to("t").value("behind it")).unwrap();
    let started = Instant::now();
    let error = producer.close(Duration::from_millis(100)).unwrap_err();
    assert!(started.elapsed() < PATIENCE);
    assert!(error.stuck && error.undelivered >= 1, "{error:?}");
    assert!(error.to_string().contains("has not returned"), "{error}");
    assert!(open.try_get().is_none());
    // It goes on running; once it returns, everything has its outcome.
    drop(release);
    assert!(open.wait_timeout(PATIENCE).expect("an outcome").is_err());
    assert!(!producer.close(PATIENCE).unwrap_err().stuck);
}

#[test]
fn dropping_the_last_handle_drains_in_the_background() {
    let cluster = cluster(1, 2);
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Delay(200))));
    let producer = builder(&cluster.bootstrap_servers()).linger_ms(5_000).build().unwrap();
    let clone = producer.clone();
    let deliveries: Vec<_> = (0..50).map(|n| producer.send(&Record::to("t").value(&[n])).unwrap()).collect();
    drop(producer);
    assert!(deliveries[0].wait_timeout(Duration::from_millis(50)).is_none());
    let started = Instant::now();
    drop(clone);
    assert!(started.elapsed() < Duration::from_millis(100), "drop does not wait");
    for delivery in deliveries {
        delivery.wait_timeout(PATIENCE).expect("an outcome").unwrap();
    }
    assert_eq!(stored(&cluster, "t").len(), 50);
    eventually("its connections are gone", || cluster.with(|cluster| cluster.connection_count()) == 0);
}

#[test]
fn a_waker_may_use_and_close_the_producer() {
    use std::future::Future;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};

    struct Uses(klamm::Producer, Mutex<Vec<String>>);
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {
            let sent = self.0.try_send(&Record::to("t").value("from the waker"));
            self.1.lock().unwrap().push(format!("{}", sent.is_ok()));
            let _ = self.0.close(Duration::from_secs(10));
        }
    }
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let uses = Arc::new(Uses(producer.clone(), Mutex::default()));
    let mut delivery = Box::pin(producer.send(&Record::to("t").value("first")).unwrap());
    let waker = Waker::from(Arc::clone(&uses));
    assert!(delivery.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    eventually("both are stored", || stored(&cluster, "t").len() == 2);
    eventually("closed", || producer.try_send(&Record::to("t")).is_err_and(|error| error == SendError::Closed));
    assert_eq!(*uses.1.lock().unwrap(), ["true"]);
}
