//! Interceptors: what they change arrives, what they are told is true, and their failures break nothing.

mod common;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{PATIENCE, builder, closed_port, cluster, stored};
use klamm::{
    DeliveryErrorKind, FailedRecord, Failure, Header, Interceptor, OutgoingRecord, Problem, Record, RecordMetadata,
    SendError,
};
use klamm_sim::{Action, Api, Fault};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Changes records as a closure says.
struct Changes<F>(F);

impl<F: Fn(&mut OutgoingRecord<'_>) -> Outcome + Send + Sync> Interceptor for Changes<F> {
    fn on_send(&self, record: &mut OutgoingRecord<'_>) -> Outcome {
        (self.0)(record)
    }
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Listens(Arc<Mutex<Vec<String>>>);

impl Listens {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Interceptor for Listens {
    fn on_send(&self, record: &mut OutgoingRecord<'_>) -> Outcome {
        self.note(format!("send {} {:?}", record.topic(), record.partition()));
        Ok(())
    }

    fn on_acknowledgement(&self, metadata: &RecordMetadata) {
        self.note(format!("ack {}-{} {}", metadata.topic, metadata.partition, metadata.offset));
    }

    fn on_error(&self, failed: &FailedRecord<'_>) {
        let how = match failed.failure {
            Failure::Refused(error) => format!("refused: {error:?}"),
            Failure::NotDelivered(error) => format!("not delivered: {:?}", error.kind),
        };
        assert!(!failed.failure.to_string().is_empty());
        self.note(format!("error {} {:?} {how}", failed.topic, failed.partition));
    }

    fn close(&self) {
        self.note("close".to_owned());
    }
}

#[test]
fn what_they_change_arrives_in_their_order() {
    let cluster = cluster(1, 3);
    cluster.with(|cluster| cluster.create_topic("elsewhere", 2));
    let producer = builder(&cluster.bootstrap_servers())
        .interceptor(Changes(|record: &mut OutgoingRecord<'_>| {
            assert_eq!((record.topic(), record.key(), record.value()), ("t", Some(&b"k"[..]), Some(&b"v"[..])));
            assert_eq!((record.partition(), record.timestamp()), (Some(2), Some(5)));
            assert_eq!(record.headers().len(), 2);
            record.add_header("trace", "one");
            record.set_topic("elsewhere");
            record.set_key(Some("own".to_owned().into_bytes()));
            record.set_value(None::<Vec<u8>>);
            record.set_partition(Some(1));
            record.set_timestamp(Some(7_000));
            Ok(())
        }))
        .interceptor(Arc::new(Changes(|record: &mut OutgoingRecord<'_>| {
            assert_eq!((record.topic(), record.key(), record.value()), ("elsewhere", Some(&b"own"[..]), None));
            let names: Vec<_> = record.headers().iter().map(|header| header.key.to_owned()).collect();
            assert_eq!(names, ["a", "b", "trace"]);
            record.remove_headers("a");
            record.add_null_header("null");
            record.set_value(Some(b"another"));
            Ok(())
        })))
        .build()
        .unwrap();
    let headers = [Header { key: "a", value: Some(b"1") }, Header { key: "b", value: None }];
    let record = Record::to("t").key("k").value("v").partition(2).timestamp(5).headers(&headers);
    for _ in 0..2 {
        assert_eq!(&*producer.send(&record).unwrap().wait().unwrap().topic, "elsewhere");
    }
    drop(producer.try_send(&record).unwrap());
    futures_lite::future::block_on(async { producer.send_async(&record).await.unwrap().await.unwrap() });
    producer.send_with(&record, |outcome| assert_eq!(outcome.unwrap().partition, 1)).unwrap();
    producer.close(PATIENCE).unwrap();
    let stored = cluster.with(|cluster| cluster.log("elsewhere", 1));
    assert_eq!(stored.len(), 5);
    for record in stored {
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"own"[..]), Some(&b"another"[..])));
        assert_eq!(record.timestamp, 7_000);
        let one = Some(b"one".to_vec());
        assert_eq!(record.headers, [("b".to_owned(), None), ("trace".to_owned(), one), ("null".to_owned(), None)]);
    }
}

#[test]
fn a_failing_one_breaks_no_send() {
    let cluster = cluster(1, 1);
    let problems = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&problems);
    let healthy = Arc::new(AtomicBool::new(false));
    let cured = Arc::clone(&healthy);
    let producer = builder(&cluster.bootstrap_servers())
        .on_problem(move |problem, text| {
            if *problem == Problem::Application {
                told.lock().unwrap().push(text.to_owned());
            }
        })
        .interceptor(Changes(|record: &mut OutgoingRecord<'_>| {
            record.add_header("first", "1");
            Ok(())
        }))
        .interceptor(Changes(move |record: &mut OutgoingRecord<'_>| {
            record.set_value(Some(b"half done"));
            record.remove_headers("first");
            if cured.load(Ordering::Relaxed) { Ok(()) } else { Err("no such luck".into()) }
        }))
        .interceptor(Changes(|record: &mut OutgoingRecord<'_>| {
            record.set_topic("half done");
            panic!("on purpose");
        }))
        .interceptor(Changes(|record: &mut OutgoingRecord<'_>| {
            record.add_header("last", "4");
            Ok(())
        }))
        .build()
        .unwrap();
    for _ in 0..10 {
        producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    }
    for record in stored(&cluster, "t") {
        assert_eq!(record.value.as_deref(), Some(&b"v"[..]));
        let names: Vec<_> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["first", "last"]);
    }
    // Once per failure that lasts.
    healthy.store(true, Ordering::Relaxed);
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    healthy.store(false, Ordering::Relaxed);
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    producer.close(PATIENCE).unwrap();
    let problems = problems.lock().unwrap();
    let of = |start: &str| problems.iter().filter(|text| text.starts_with(start)).count();
    assert_eq!((problems.len(), of("interceptor 2, on_send: no such luck")), (3, 2), "{problems:?}");
    assert_eq!(of("interceptor 3, on_send: panicked: on purpose"), 1, "{problems:?}");
}

#[test]
fn they_hear_of_every_outcome_and_of_the_end() {
    let cluster = cluster(1, 2);
    let listens = Listens::default();
    let producer = builder(&cluster.bootstrap_servers()).interceptor(listens.clone()).build().unwrap();
    producer.send(&Record::to("t").value("v").partition(1)).unwrap().wait().unwrap();
    assert_eq!(listens.heard(), ["send t Some(1)", "ack t-1 0"]);
    // Before the record's own callback.
    let (order, record) = (listens.clone(), Record::to("t").value("v").partition(0));
    producer.send_with(&record, move |_| order.note("callback".to_owned())).unwrap();
    producer.flush();
    assert_eq!(listens.heard(), ["send t Some(0)", "ack t-0 0", "callback"]);
    // Accepted, and not delivered.
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Error(87))));
    let error = producer.send(&Record::to("t").value("v").partition(0)).unwrap().wait().unwrap_err();
    assert!(matches!(error.kind, DeliveryErrorKind::Broker(_)));
    let heard = listens.heard();
    assert!(heard.len() == 2 && heard[1].starts_with("error t Some(0) not delivered: Broker"), "{heard:?}");
    // Refused.
    let large = vec![0; 2 << 20];
    let too_large = Record::to("t").value(&large).partition(1);
    assert!(producer.send(&too_large).is_err() && producer.try_send(&too_large).is_err());
    assert!(futures_lite::future::block_on(producer.send_async(&too_large)).is_err());
    assert!(producer.send_with(&too_large, |_| {}).is_err());
    let heard = listens.heard();
    assert_eq!(heard.len(), 8);
    for pair in heard.chunks(2) {
        assert!(pair[1].starts_with("error t Some(1) refused: TooLarge"), "{pair:?}");
    }
    producer.close(PATIENCE).unwrap();
    assert_eq!(listens.heard(), ["close"]);
    assert_eq!(producer.try_send(&Record::to("u")).unwrap_err(), SendError::Closed);
    assert_eq!(listens.heard(), ["send u None", "error u None refused: Closed"]);
    producer.close(PATIENCE).unwrap();
    producer.close_now();
    assert!(listens.heard().is_empty());
}

#[test]
fn panics_in_what_they_hear_break_nothing() {
    struct Panics;
    impl Interceptor for Panics {
        fn on_acknowledgement(&self, _: &RecordMetadata) {
            panic!("on purpose");
        }
        fn on_error(&self, _: &FailedRecord<'_>) {
            panic!("on purpose");
        }
        fn close(&self) {
            panic!("on purpose");
        }
    }
    let cluster = cluster(1, 1);
    let listens = Listens::default();
    let problems = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&problems);
    let producer = builder(&cluster.bootstrap_servers())
        .on_problem(move |_, text| told.lock().unwrap().push(text.to_owned()))
        .interceptor(Panics)
        .interceptor(listens.clone())
        .build()
        .unwrap();
    producer.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    assert!(producer.send(&Record::to("t").value("v").timestamp(-1)).is_err());
    producer.close(PATIENCE).unwrap();
    assert_eq!(listens.heard().len(), 5);
    let problems = problems.lock().unwrap();
    for method in ["on_acknowledgement", "on_error", "close"] {
        assert!(problems.contains(&format!("interceptor 1, {method}: panicked: on purpose")), "{problems:?}");
    }
}

#[test]
fn records_that_never_leave_are_heard_of() {
    let listens = Listens::default();
    let producer = builder(&closed_port().to_string()).max_block_ms(50).interceptor(listens.clone()).build().unwrap();
    drop(producer.try_send(&Record::to("t").value("v")).unwrap());
    assert!(matches!(producer.send(&Record::to("t").key("k")), Err(SendError::Timeout { .. })));
    producer.close_now();
    let heard = listens.heard();
    assert_eq!(heard[..2], ["send t None", "send t None"]);
    assert!(heard[2].starts_with("error t None refused: Timeout"), "{heard:?}");
    assert_eq!(heard[3..], ["error t None not delivered: Closed", "close"]);
}

/// A future may go from thread to thread.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let producer = builder(&closed_port().to_string()).interceptor(Listens::default()).build().unwrap();
    is_send(&producer.send_async(&Record::to("t")));
}
