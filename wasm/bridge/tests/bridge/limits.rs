//! Numbers and times that are not exceeded.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use klamm_bridge::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::common::{PATIENCE, Running, close, close_of, config, echo, receive, send, with_limits};

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_tunnels_and_then_429() {
    let bridge = Running::start(with_limits(|limits| limits.max_connections_per_ip = 2)).await;
    let echo = echo().await;
    let first = bridge.open(echo).await;
    let second = bridge.open(echo).await;
    let (status, body) = bridge.refused(bridge.request(echo)).await;
    assert_eq!((status, body.contains("this address")), (429, true), "{body}");
    bridge.until("pending", 0).await;
    // What a client says of itself changes nothing.
    let mut forged = bridge.request(echo);
    forged.headers_mut().insert("X-Forwarded-For", "192.0.2.1".parse().unwrap());
    assert_eq!(bridge.refused(forged).await.0, 429);
    close(first).await;
    bridge.until("open", 1).await;
    close(bridge.open(echo).await).await;
    close(second).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_clients_are_told_apart() {
    let mut config = with_limits(|limits| limits.max_connections_per_ip = 1);
    config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let bridge = Running::start(config).await;
    let echo = echo().await;
    let request = |header: &'static str| {
        let mut request = bridge.request(echo);
        request.headers_mut().insert("X-Forwarded-For", header.parse().unwrap());
        request
    };
    let first = bridge.ask(request("192.0.2.1")).await.unwrap();
    let second = bridge.ask(request("192.0.2.2")).await.unwrap();
    // What stands before the proxy's own word is the client's.
    assert_eq!(bridge.refused(request("10.9.9.9, 192.0.2.1")).await.0, 429);
    close(first).await;
    close(second).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_has_so_many_tunnels_and_then_503() {
    let bridge = Running::start(with_limits(|limits| limits.max_connections = 1)).await;
    let echo = echo().await;
    let only = bridge.open(echo).await;
    let (status, body) = bridge.refused(bridge.request(echo)).await;
    assert_eq!((status, body.contains("the bridge has as many")), (503, true), "{body}");
    // Health is answered all the same.
    assert!(bridge.raw(b"GET /health HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    close(only).await;
    bridge.until("open", 0).await;
    close(bridge.open(echo).await).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_never_finished_gets_408() {
    let bridge = Running::start(with_limits(|limits| limits.handshake = Duration::from_millis(400))).await;
    let start = Instant::now();
    let silent = bridge.raw(b"");
    let unfinished = bridge.raw(b"GET /tcp/127.0.0.1/1 HTTP/1.1\r\nHost: x\r\n");
    let slow = async {
        let mut stream = TcpStream::connect(bridge.address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut answer = String::new();
        let dripping = async {
            loop {
                drop(writer.write_all(b"G").await);
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            read = reader.read_to_string(&mut answer) => drop(read),
            () = dripping => {}
        }
        answer
    };
    let (silent, unfinished, slow) = tokio::join!(silent, unfinished, slow);
    for answer in [silent, unfinished, slow] {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    let took = start.elapsed();
    assert!((Duration::from_millis(390)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!(bridge.metric("refused_total{reason=\"slow\""), 3);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_nothing_do_not_pile_up() {
    let bridge = Running::start(with_limits(|limits| {
        (limits.max_handshakes, limits.handshake) = (3, Duration::from_secs(2));
    }))
    .await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(TcpStream::connect(bridge.address).await.unwrap());
    }
    bridge.until("pending", 3).await;
    assert_eq!(bridge.raw(b"").await, "", "one more is dropped at once");
    bridge.until("dropped_total", 1).await;
    drop(waiting);
    bridge.until("pending", 0).await;
    close(bridge.open(echo().await).await).await;
    bridge.stop().await;

    // The same for one address, which would else take all places.
    let bridge = Running::start(with_limits(|limits| limits.max_connections_per_ip = 2)).await;
    let waiting = [bridge.address; 2].map(TcpStream::connect);
    let [first, second] = waiting;
    let _waiting = (first.await.unwrap(), second.await.unwrap());
    bridge.until("pending", 2).await;
    assert_eq!(bridge.raw(b"").await, "");
    drop(_waiting);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_without_data_is_closed_with_1001() {
    let bridge = Running::start(with_limits(|limits| {
        (limits.idle, limits.ping_interval) = (Duration::from_millis(600), Duration::from_millis(50));
    }))
    .await;
    let start = Instant::now();
    let mut client = bridge.open(echo().await).await;
    for _ in 0..6 {
        sleep(Duration::from_millis(200)).await;
        send(&mut client, b"still here").await;
        receive(&mut client, 10).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(1_200), "data keeps it open");
    let quiet = Instant::now();
    // Pings and pongs go on meanwhile; they are no data.
    assert_eq!(close_of(&mut client).await, Some((1001, "no data for too long".to_owned())));
    assert!((400..5_000).contains(&quiet.elapsed().as_millis()), "{:?}", quiet.elapsed());
    bridge.until("closed_total{reason=\"idle\"", 1).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_answer_pings_is_given_up_and_one_that_cannot_be_heard_is_not() {
    let mut config = with_limits(|limits| {
        (limits.ping_interval, limits.ping_timeout) = (Duration::from_millis(200), Duration::from_millis(400));
    });
    config.limits.close = Duration::from_millis(200);
    let bridge = Running::start(config).await;
    let echo = echo().await;
    // Its connection is there, but nobody looks at it.
    let dead = bridge.open(echo).await;
    bridge.until("closed_total{reason=\"silent\"", 1).await;
    drop(dead);

    // One that answers stays; one whose bytes wait for the target stays too, though its pongs wait behind them.
    let (_sink, mut stream) = bridge.open(echo).await.split();
    let answering = tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut sink, mut stream) = bridge.open(listener.local_addr().unwrap()).await.split();
    let (mut target, _) = listener.accept().await.unwrap();
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    let sending = tokio::spawn(async move {
        for _ in 0..400 {
            sink.send(Message::binary(vec![7; 65_536])).await.unwrap();
        }
        sink
    });
    sleep(Duration::from_millis(2_000)).await;
    assert!(!sending.is_finished(), "the target's slowness is not felt: more is needed");
    assert_eq!((bridge.metric("open"), answering.is_finished()), (2, false));
    let mut bytes = vec![0; 400 * 65_536];
    timeout(PATIENCE, target.read_exact(&mut bytes)).await.unwrap().unwrap();
    sending.await.unwrap().close().await.unwrap();
    answering.abort();
    drop(_sink);
    reading.await.unwrap();
    drop(target);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_answers_the_close_is_left_in_time() {
    let bridge = Running::start(with_limits(|limits| limits.close = Duration::from_millis(300))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = bridge.open(listener.local_addr().unwrap()).await;
    drop(listener.accept().await.unwrap());
    let start = Instant::now();
    bridge.until("open", 0).await;
    assert!((200..5_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    drop(client);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_tunnels_at_once() {
    let tunnels: u64 = 200;
    let config = Config { limits: with_limits(|limits| limits.max_connections_per_ip = 200).limits, ..config() };
    let bridge = std::sync::Arc::new(Running::start(config).await);
    let echo = echo().await;
    let all_open = std::sync::Arc::new(tokio::sync::Barrier::new(tunnels as usize + 1));
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..tunnels {
        let (bridge, all_open) = (std::sync::Arc::clone(&bridge), std::sync::Arc::clone(&all_open));
        tasks.spawn(async move {
            let mut client = bridge.open(echo).await;
            all_open.wait().await;
            let bytes = crate::common::Random(seed).bytes(100_000);
            for piece in bytes.chunks(7_001) {
                send(&mut client, piece).await;
            }
            assert!(receive(&mut client, bytes.len()).await == bytes, "tunnel {seed}");
            all_open.wait().await;
            close(client).await;
        });
    }
    all_open.wait().await;
    assert_eq!(bridge.metric("open"), tunnels);
    all_open.wait().await;
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for direction in ["to_target", "to_client"] {
        assert_eq!(bridge.metric(&format!("bytes_total{{direction=\"{direction}\"}}")), tunnels * 100_000);
    }
    assert_eq!(bridge.metric("messages_total{direction=\"to_target\"}"), tunnels * 15);
    assert_eq!(bridge.metric("connect_seconds_count"), tunnels);
    std::sync::Arc::into_inner(bridge).unwrap().stop().await;
}
