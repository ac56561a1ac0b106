//! Starting, watching and stopping.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use klamm_bridge::{Bridge, Config, StartError, TlsFiles, TokenSource};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::common::{PATIENCE, Running, close, close_of, config, echo, raw, receive, send, with_limits};

fn with_admin() -> Config {
    Config { admin_listen: Some(([127, 0, 0, 1], 0).into()), metrics: false, ..config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_stand_at_the_admin_address() {
    let bridge = Running::start(with_admin()).await;
    let admin = bridge.admin.unwrap();
    let echo = echo().await;
    let mut client = bridge.open(echo).await;
    send(&mut client, b"hello").await;
    receive(&mut client, 5).await;
    assert_eq!(bridge.refused(bridge.request("unlisted.example:1")).await.0, 403);
    let metrics = raw(admin, b"GET /metrics HTTP/1.1\r\n\r\n").await;
    for line in [
        "Content-Type: text/plain; version=0.0.4; charset=utf-8\r",
        "klamm_bridge_open 1",
        "klamm_bridge_upgraded_total 1",
        "klamm_bridge_refused_total{reason=\"target\",status=\"403\"} 1",
        "klamm_bridge_bytes_total{direction=\"to_target\"} 5",
        "klamm_bridge_bytes_total{direction=\"to_client\"} 5",
    ] {
        assert!(metrics.lines().any(|own| own == line.trim_end_matches('\r')), "{line}\n{metrics}");
    }
    assert!(raw(admin, b"GET /health HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\nok\n"));
    assert!(raw(admin, b"GET /tcp/127.0.0.1/1 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    assert!(raw(admin, b"nonsense\r\n\r\n").await.is_empty());
    // Not for everyone.
    assert!(bridge.raw(b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    close(client).await;
    bridge.stop().await;
}

/// Every line is a comment or a sample of the family that the comments before it announce.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_can_be_read_by_prometheus() {
    let bridge = Running::start(config()).await;
    let text = bridge.handle.metrics();
    let mut family = "";
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            assert!(matches!(words.next(), Some("HELP" | "TYPE")), "{line}");
            family = words.next().unwrap();
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        assert!(name.strip_prefix(family).is_some_and(|rest| ["", "_sum", "_count"].contains(&rest)), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_tunnels_get_1001_and_nobody_new_is_let_in() {
    let bridge = Running::start(with_admin()).await;
    let (address, admin, handle) = (bridge.address, bridge.admin.unwrap(), bridge.handle.clone());
    let echo = echo().await;
    let mut client = bridge.open(echo).await;
    let half_open = TcpStream::connect(address).await.unwrap();
    send(&mut client, b"last").await;
    receive(&mut client, 4).await;
    bridge.until("pending", 1).await;
    handle.shut_down();
    // The client has its time to answer; meanwhile the bridge says that it does not serve.
    let sick = timeout(PATIENCE, async {
        while !raw(admin, b"GET /health HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 503 ") {}
    });
    sick.await.unwrap();
    let refused = timeout(PATIENCE, async { while TcpStream::connect(address).await.is_ok() {} });
    refused.await.unwrap();
    assert_eq!(close_of(&mut client).await, Some((1001, "the bridge is shutting down".to_owned())));
    assert_eq!(bridge.stopped().await, 0);
    assert!(handle.metrics().contains("closed_total{reason=\"shutting_down\",code=\"1001\"} 1"));
    drop(half_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_has_a_deadline() {
    let limits = |limits: &mut klamm_bridge::Limits| {
        (limits.shutdown, limits.close) = (Duration::from_millis(300), Duration::from_secs(600));
    };
    let bridge = Running::start(with_limits(limits)).await;
    let deaf = bridge.open(echo().await).await;
    bridge.until("open", 1).await;
    let start = Instant::now();
    bridge.handle.shut_down();
    let handle = bridge.handle.clone();
    assert_eq!(bridge.stopped().await, 1);
    assert!((250..5_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(handle.metrics().contains("klamm_bridge_open 0\n"));
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_on_the_way_arrives_before_the_close_of_a_shutdown() {
    let bridge = Running::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = bridge.open(listener.local_addr().unwrap()).await;
    let (mut target, _) = listener.accept().await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // More than the client's side takes at once: some waits in the bridge.
    let writing = tokio::spawn(async move {
        // The bridge reads on, so that the target is not cut off by a reset but hears the end.
        let written = target.write_all(&vec![7; 64 << 20]).await.is_ok();
        let mut bytes = Vec::new();
        let read = target.read_to_end(&mut bytes).await.is_ok();
        (written, read, bytes)
    });
    let flows = timeout(PATIENCE, async {
        while bridge.metric("bytes_total{direction=\"to_client\"}") < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    flows.await.unwrap();
    send(&mut client, b"sent before the end").await;
    bridge.handle.shut_down();
    let mut received = 0;
    let close = loop {
        match timeout(PATIENCE, client.next()).await.unwrap() {
            Some(Ok(message)) if message.is_binary() => {
                assert!(message.into_data().iter().all(|&byte| byte == 7));
                received += 1;
            }
            Some(Ok(message)) if message.is_close() => break message,
            other => panic!("{other:?}"),
        }
    };
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!((u16::from(frame.code), received > 0), (1001, true), "{received}");
    drop(timeout(PATIENCE, client.next()).await);
    assert_eq!(bridge.stopped().await, 0);
    assert_eq!(writing.await.unwrap(), (true, true, b"sent before the end".to_vec()));
}

#[tokio::test]
async fn what_cannot_be_used_is_told_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let listen = taken.local_addr().unwrap();
    let error = Bridge::bind(Config { listen, ..config() }).await.err().unwrap();
    assert!(matches!(error, StartError::Listen(..)) && error.to_string().contains(&listen.to_string()), "{error}");
    let tokens = TokenSource { file: Some("/no/such/file".into()), value: None };
    let error = Bridge::bind(Config { tokens, ..config() }).await.err().unwrap();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let tls = TlsFiles { certificate: "/no/such/cert".into(), key: "/no/such/key".into() };
    let error = Bridge::bind(Config { tls: Some(tls), ..config() }).await.err().unwrap();
    assert!(error.to_string().contains("/no/such/cert"), "{error}");
}
