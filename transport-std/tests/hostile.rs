//! Peers that misbehave.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{PATIENCE, Proxy, builder, cluster, counts};
use klamm::{Problem, Record, SendError};

/// Answers everything with `answer`, over and over.
fn babbler(answer: &'static [u8], close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while client.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if client.write_all(answer).is_err() || close {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_peer_that_does_not_speak_kafka_is_named() {
    for (answer, close) in [
        (&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], false),
        (&[0xff; 3000][..], false),
        (&[0; 3000][..], false),
        (&b""[..], true),
        (&b"\x00\x00\x00\x05"[..], true),
    ] {
        let address = babbler(answer, close);
        let problems = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&problems);
        let producer = builder(&address)
            .max_block_ms(400)
            .on_problem(move |problem, text| seen.lock().unwrap().push((*problem, text.to_owned())))
            .build()
            .unwrap();
        let error = producer.send(&Record::to("t").key("k")).unwrap_err();
        let SendError::Timeout { cause, .. } = &error else { panic!("{error:?}") };
        assert!(cause.contains(&address), "{cause}");
        let problems = std::mem::take(&mut *problems.lock().unwrap());
        let about = |(problem, _): &(Problem, String)| matches!(problem, Problem::Peer(_) | Problem::Unreachable(_));
        assert!(problems.iter().any(about), "{answer:?}: {problems:?}");
        producer.close_now();
    }
}

#[test]
fn connections_that_break_at_any_byte_lose_and_repeat_nothing() {
    let cluster = cluster(1, 1);
    let broker = cluster.address(1).unwrap();
    let proxy = Proxy::start(broker, (1..250).map(|n| n * 3).collect());
    cluster.with(|cluster| cluster.set_address(1, "127.0.0.1", proxy.address.port()));
    let producer = builder(&proxy.address.to_string())
        .retry_backoff_ms(1)
        .retry_backoff_max_ms(2)
        .reconnect_backoff_ms(1)
        .linger_ms(0)
        .request_timeout_ms(2_000)
        .delivery_timeout_ms(20_000)
        .on_problem(|_, text| println!("{text}"))
        .build()
        .unwrap();
    let mut sent = 0;
    while proxy.connections.load(Ordering::Relaxed) < 250 {
        let value = format!("{sent:08}");
        match producer.send(&Record::to("t").value(&value)).unwrap().wait() {
            Ok(_) => sent += 1,
            Err(error) => {
                panic!(
                    "{error} after {} connections: {:?}",
                    proxy.connections.load(Ordering::Relaxed),
                    producer.stats()
                )
            }
        }
    }
    producer.close(PATIENCE).unwrap();
    let counts = counts(&cluster, "t");
    assert_eq!(counts.len(), sent);
    assert!(counts.values().all(|&count| count == 1));
}

#[test]
fn a_delivery_timeout_names_the_broken_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let producer = builder(&address).request_timeout_ms(300).delivery_timeout_ms(600).linger_ms(0).build().unwrap();
    let delivery = producer.try_send(&Record::to("t").value("v")).unwrap();
    let error = delivery.wait_timeout(PATIENCE).expect("an outcome in bounded time").unwrap_err();
    let words = format!(
        "record for t: not delivered within delivery.timeout.ms (bootstrap server {address}: connection refused); \
         it is not in the log: it can be sent again"
    );
    assert_eq!(error.to_string(), words);
    producer.close(PATIENCE).unwrap();
}

#[test]
fn a_broker_that_does_not_read_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let producer = builder(&address)
        .socket_connection_setup_timeout_ms(200)
        .request_timeout_ms(300)
        .delivery_timeout_ms(600)
        .linger_ms(0)
        .build()
        .unwrap();
    let delivery = producer.try_send(&Record::to("t").value("v")).unwrap();
    let error = delivery.wait_timeout(PATIENCE).expect("an outcome in bounded time").unwrap_err();
    assert!(error.to_string().contains("delivery.timeout.ms"), "{error}");
    assert!(producer.flush_timeout(Duration::from_secs(1)));
    producer.close(PATIENCE).unwrap();
}
