//! What a subscriber of `tracing`, or a logger, hears of a producer's life; run with `--features tracing,log`.
#![cfg(any(feature = "tracing", feature = "log"))]

mod common;

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use common::{PATIENCE, builder, closed_port, cluster, eventually};
use klamm::{Acks, Producer, Record};
use klamm_sim::{Action, Api, Fault, TopicOptions};

/// Everything heard so far, by all producers of all tests, as `LEVEL text field=value …`.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A producer that the subscriber uses and fails about.
#[cfg(feature = "tracing")]
static FOURTH: Mutex<Option<Producer>> = Mutex::new(None);

fn heard() -> MutexGuard<'static, Vec<String>> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "tracing")]
mod subscriber {
    use std::fmt::{Debug, Write};

    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    /// Hears events; klamm opens no spans.
    pub(super) struct Ear;

    struct Words(String);

    impl Visit for Words {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let _ = match field.name() {
                "message" => write!(self.0, " {value:?}"),
                name => write!(self.0, " {name}={value:?}"),
            };
        }
    }

    impl Subscriber for Ear {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "klamm"
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut words = Words(format!("tracing {}", event.metadata().level()));
            event.record(&mut words);
            let fourth = words.0.contains("client_id=fourth");
            super::heard().push(words.0);
            let producer = super::FOURTH.lock().unwrap().clone().filter(|_| fourth);
            if let Some(producer) = producer {
                let delivery = producer.try_send(&klamm::Record::to("t").value("of the subscriber"));
                super::heard().push(format!("fourth has sent {}", u32::from(delivery.is_ok())));
                panic!("a subscriber's mistake");
            }
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
}

#[cfg(feature = "log")]
struct Logger;

#[cfg(feature = "log")]
impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "klamm"
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            heard().push(format!("log {} {}", record.level(), record.args()));
        }
    }
    fn flush(&self) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(feature = "tracing")]
        tracing::subscriber::set_global_default(subscriber::Ear).expect("the only subscriber");
        #[cfg(feature = "log")]
        {
            log::set_logger(&Logger).expect("the only logger");
            log::set_max_level(log::LevelFilter::Trace);
        }
    });
}

/// What was heard with all of these words, however it was heard.
fn with(words: &[&str]) -> Vec<String> {
    heard().iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
}

/// Through every facade that is compiled in; the I/O thread may be about to tell it.
#[track_caller]
fn assert_heard(words: &[&str]) {
    for (compiled, facade) in [(cfg!(feature = "tracing"), "tracing "), (cfg!(feature = "log"), "log ")] {
        if compiled {
            let heard = || with(words).iter().any(|line| line.starts_with(facade));
            eventually(&format!("{facade}{words:?}"), heard);
        }
    }
}

fn deliver(producer: &Producer, record: &Record<'_>) {
    producer.send(record).unwrap().wait().unwrap();
}

#[test]
fn a_broker_lost_and_found_and_a_batch_that_failed() {
    listen();
    let cluster = cluster(1, 1);
    let (client, address) = ("client_id=scenario", cluster.bootstrap_servers());
    let producer = builder(&cluster.bootstrap_servers()).client_id("scenario").linger_ms(0).build().unwrap();
    assert_heard(&["INFO producer started", client, "acks=All", &cluster.bootstrap_servers()]);
    let record = Record::to("t").key("secret-key").value("secret-value").header("secret-header", "secret-content");
    deliver(&producer, &record);
    assert_heard(&["DEBUG connection opened", client, "target=b"]);
    assert_heard(&["DEBUG metadata refreshed", client]);
    assert_heard(&["DEBUG topic known", client, "topic=t", "partitions=1"]);

    cluster.kill(1);
    let waits = producer.send(&record).unwrap();
    // By the name under which it was connected.
    assert_heard(&["WARN connection lost", client, &format!("target=bootstrap server {address}"), "why=it "]);
    assert_heard(&["WARN connection could not be established", client, "why=connection refused"]);
    let opened = with(&["connection opened", client]).len();
    cluster.restart(1).unwrap();
    waits.wait().unwrap();
    eventually("it is found again", || with(&["connection opened", client]).len() > opened);
    assert_heard(&["WARN no known broker can be reached: back to bootstrap.servers", client]);

    let retry = Fault::on(Api::Produce).then(Action::Error(6)).then(Action::Throttle(5));
    cluster.with(|cluster| _ = cluster.faults().push(retry));
    deliver(&producer, &record);
    assert_heard(&["DEBUG records sent again", client, "records=1"]);
    assert_heard(&["DEBUG throttled by a broker", client, "ms=5"]);

    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).then(Action::Error(29))));
    producer.send(&record).unwrap().wait().unwrap_err();
    assert_heard(&["WARN records not delivered", client, "topic=t", "partition=0", "records=1", "fate=NotWritten"]);
    assert_heard(&["TOPIC_AUTHORIZATION_FAILED", client, "records not delivered"]);
    producer.close(PATIENCE).unwrap();
    assert_heard(&["INFO producer closed", client, "undelivered=0"]);
    assert_heard(&["DEBUG connection closed", client]);
    assert!(with(&["secret"]).is_empty(), "{:#?}", with(&["secret"]));
    assert!(with(&["ERROR", client]).is_empty());
}

#[test]
fn a_split_a_bad_topic_and_records_left_behind() {
    listen();
    let cluster = cluster(1, 1);
    let options = TopicOptions { max_message_bytes: Some(1_000), ..TopicOptions::default() };
    cluster.with(|cluster| cluster.create_topic_with("small", options));
    let client = "client_id=second";
    let producer = builder(&cluster.bootstrap_servers()).client_id("second").linger_ms(10_000).build().unwrap();
    let value = [b'x'; 300];
    let deliveries: Vec<_> = (0..4).map(|_| producer.send(&Record::to("small").value(&value)).unwrap()).collect();
    producer.flush();
    assert!(deliveries.into_iter().all(|delivery| delivery.wait().is_ok()));
    assert_heard(&["DEBUG batches split", client, "batches=1"]);
    let forbid = Fault::on(Api::Metadata).topic("forbidden").always().then(Action::Error(29));
    cluster.with(|cluster| _ = cluster.faults().push(forbid));
    producer.send(&Record::to("forbidden")).unwrap_err();
    assert_heard(&["WARN no metadata for a topic", client, "topic=forbidden", "TOPIC_AUTHORIZATION_FAILED"]);
    assert_heard(&["WARN problem", client, "forbidden"]);
    drop(producer.send(&Record::to("t").value("left behind")).unwrap());
    cluster.kill(1);
    producer.close(std::time::Duration::ZERO).unwrap_err();
    assert_heard(&["WARN producer closed", client, "undelivered=1"]);
    assert!(with(&["xxx"]).is_empty() && with(&["left behind"]).is_empty());
}

#[test]
fn a_leader_that_moves_is_told() {
    listen();
    let cluster = cluster(2, 1);
    let producer = builder(&cluster.bootstrap_servers()).client_id("moved").linger_ms(0).build().unwrap();
    deliver(&producer, &Record::to("t").value("v"));
    let leader = cluster.with(|cluster| cluster.leader("t", 0)).expect("a leader").0;
    cluster.with(|cluster| cluster.move_leader("t", 0, 3 - leader));
    deliver(&producer, &Record::to("t").value("v"));
    assert_heard(&["INFO leaders moved", "client_id=moved", "partitions=1"]);
    assert_eq!(producer.measurements().leader_changes, 1);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn mistakes_of_others_are_told() {
    listen();
    let address = closed_port().to_string();
    let client = "client_id=third";
    let third = builder(&address).client_id("third").acks(Acks::Leader);
    let producer = third.on_problem(|_, _| panic!("the caller's own")).build().unwrap();
    assert_heard(&["WARN configuration", "enable.idempotence is off"]);
    drop(producer.try_send(&Record::to("t").value("v")).unwrap());
    assert_heard(&["WARN the caller's code failed", "on_problem panicked"]);
    assert_heard(&["WARN problem", client, "no bootstrap server can be reached"]);
    producer.close_now();
    assert_heard(&["producer closed", client]);
}

/// A subscriber may use the producer that it hears of, and may fail: nothing is told under the producer's lock.
#[test]
#[cfg(feature = "tracing")]
fn a_subscriber_may_use_the_producer() {
    listen();
    let cluster = cluster(1, 1);
    let producer = builder(&cluster.bootstrap_servers()).client_id("fourth").build().unwrap();
    *FOURTH.lock().unwrap() = Some(producer.clone());
    deliver(&producer, &Record::to("t").value("v"));
    eventually("the subscriber asked and panicked", || !with(&["fourth has sent 1"]).is_empty());
    deliver(&producer, &Record::to("t").value("v"));
    drop(FOURTH.lock().unwrap().take());
    producer.close(PATIENCE).unwrap();
    assert_heard(&["producer closed", "client_id=fourth", "undelivered=0"]);
}
