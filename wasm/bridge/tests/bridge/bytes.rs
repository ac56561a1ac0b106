//! What goes in comes out: all of it, in order, however slow either side is.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::common::{
    Client, PATIENCE, Random, Running, close, close_of, config, echo, receive, send, server, with_limits,
};

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_come_back_equal() {
    let bridge = Running::start(config()).await;
    let echo = echo().await;
    let mut random = Random(1);
    let mut carried = 0;
    for length in [1, 125, 126, 65_535, 65_536, 65_537, 1 << 20, 5_000_000] {
        let bytes = random.bytes(length);
        let (mut sink, mut stream) = bridge.open(echo).await.split();
        let sent = bytes.clone();
        let mut sizes = Random(length as u64);
        let sender = tokio::spawn(async move {
            let mut rest = sent.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(1 + sizes.below(200_000) as usize));
                sink.send(Message::binary(now.to_vec())).await.unwrap();
                rest = later;
            }
            sink
        });
        let mut received = Vec::new();
        while received.len() < length {
            let message = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            assert!(message.is_binary() && message.len() <= 65_536);
            received.extend_from_slice(&message.into_data());
        }
        assert!(received == bytes, "{length} bytes came back different");
        carried += length as u64;
        close(sender.await.unwrap().reunite(stream).unwrap()).await;
    }
    assert_eq!(bridge.metric("bytes_total{direction=\"to_target\"}"), carried);
    assert_eq!(bridge.metric("bytes_total{direction=\"to_client\"}"), carried);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_pings_and_empty_messages_make_no_difference_to_the_bytes() {
    let bridge = Running::start(config()).await;
    let mut client = bridge.open(echo().await).await;
    let frame = |kind, bytes: &'static [u8], last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    client.feed(frame(Data::Binary, b"one ", false)).await.unwrap();
    client.feed(Message::Ping(b"hello"[..].into())).await.unwrap();
    client.feed(frame(Data::Continue, b"", false)).await.unwrap();
    client.feed(frame(Data::Continue, b"two ", true)).await.unwrap();
    client.feed(Message::binary(Vec::new())).await.unwrap();
    client.feed(Message::Pong(Vec::new().into())).await.unwrap();
    client.send(Message::binary(b"three".to_vec())).await.unwrap();
    let mut data = Vec::new();
    let mut pongs = 0;
    while data.len() < 13 || pongs < 1 {
        match timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap() {
            Message::Binary(bytes) => data.extend_from_slice(&bytes),
            Message::Pong(bytes) => pongs += u32::from(&bytes[..] == b"hello"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(data, b"one two three");
    close(client).await;
    bridge.stop().await;
}

/// What may be under way to a stalled receiver: the kernel's buffers at both ends of two connections, each as large as this
/// system lets them grow, and 2 MiB for the bridge's own.
static MOST_UNDER_WAY: LazyLock<usize> =
    LazyLock::new(|| (2 << 20) + 2 * (largest_buffer("tcp_rmem") + largest_buffer("tcp_wmem")));
/// Pieces of 64 KiB that it is offered: 16 MiB more than that.
static OFFERED: LazyLock<usize> = LazyLock::new(|| (*MOST_UNDER_WAY + (16 << 20)) / 65_536);

/// In bytes; where the system does not say, more than any sets by itself.
fn largest_buffer(setting: &str) -> usize {
    let said = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{setting}")).unwrap_or_default();
    said.split_whitespace().last().and_then(|largest| largest.parse().ok()).unwrap_or(32 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_slows_the_client_down_and_loses_nothing() {
    let bridge = Running::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = bridge.open(listener.local_addr().unwrap()).await;
    let (mut target, _) = listener.accept().await.unwrap();
    let (mut sink, stream) = client.split();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&sent);
    let sender = tokio::spawn(async move {
        let mut random = Random(2);
        for _ in 0..*OFFERED {
            sink.send(Message::binary(random.bytes(65_536))).await.unwrap();
            counter.fetch_add(65_536, std::sync::atomic::Ordering::SeqCst);
        }
        sink
    });
    let under_way = settled(&sent).await;
    assert!(under_way < *MOST_UNDER_WAY, "{under_way} bytes were taken for a target that reads nothing");
    let mut random = Random(2);
    let mut piece = vec![0; 65_536];
    for at in 0..*OFFERED {
        timeout(PATIENCE, target.read_exact(&mut piece)).await.unwrap().unwrap();
        assert!(piece == random.bytes(65_536), "piece {at} is different");
    }
    close(sender.await.unwrap().reunite(stream).unwrap()).await;
    assert_eq!(target.read(&mut piece).await.unwrap(), 0);
    drop(target);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_slows_the_target_down_and_loses_nothing() {
    let bridge = Running::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = bridge.open(listener.local_addr().unwrap()).await;
    let (mut target, _) = listener.accept().await.unwrap();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&sent);
    let sender = tokio::spawn(async move {
        let mut random = Random(3);
        for _ in 0..*OFFERED {
            target.write_all(&random.bytes(65_536)).await.unwrap();
            counter.fetch_add(65_536, std::sync::atomic::Ordering::SeqCst);
        }
        // And closes at once: the last bytes must come all the same.
    });
    let under_way = settled(&sent).await;
    assert!(under_way < *MOST_UNDER_WAY, "{under_way} bytes were taken for a client that reads nothing");
    let mut random = Random(3);
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < *OFFERED {
        let message = timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
        bytes.extend_from_slice(&message.into_data());
        while bytes.len() >= 65_536 {
            let rest = bytes.split_off(65_536);
            assert!(bytes == random.bytes(65_536), "piece {at} is different");
            bytes = rest;
            at += 1;
        }
    }
    sender.await.unwrap();
    assert_eq!(close_of(&mut client).await.unwrap().0, 1000);
    bridge.stop().await;
}

/// The number when it has stopped growing.
async fn settled(number: &std::sync::atomic::AtomicUsize) -> usize {
    let mut last = usize::MAX;
    loop {
        sleep(Duration::from_millis(500)).await;
        let now = number.load(std::sync::atomic::Ordering::SeqCst);
        if now == last {
            return now;
        }
        last = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_sent_before_its_close_reaches_the_target() {
    let bridge = Running::start(config()).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let target = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            // Reads late and slowly, and says something at the end that nobody hears.
            sleep(Duration::from_millis(100)).await;
            let mut bytes = Vec::new();
            let read = stream.read_to_end(&mut bytes).await;
            drop(stream.write_all(b"good bye").await);
            tell.send((bytes, read.is_ok())).unwrap();
        }
    })
    .await;
    let bytes = Random(4).bytes(3_000_000);
    let mut client = bridge.open(target).await;
    for piece in bytes.chunks(100_000) {
        send(&mut client, piece).await;
    }
    close(client).await;
    let (received, ended_in_order) = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert!(received == bytes, "{} bytes of {}", received.len(), bytes.len());
    assert!(ended_in_order);
    // A client that is gone without a Close: what it sent is forwarded as well.
    let mut client = bridge.open(target).await;
    send(&mut client, &bytes[..1000]).await;
    drop(client);
    let (received, _) = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert_eq!(received, bytes[..1000]);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_ends_its_side_still_gets_what_was_on_the_way() {
    let bridge = Running::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client: Client = bridge.open(listener.local_addr().unwrap()).await;
    let (mut target, _) = listener.accept().await.unwrap();
    target.write_all(b"last words").await.unwrap();
    target.shutdown().await.unwrap();
    // The Close is on its way to the client, or there; the client has not answered it yet.
    sleep(Duration::from_millis(100)).await;
    send(&mut client, b"a late request").await;
    let mut bytes = vec![0; 14];
    timeout(PATIENCE, target.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, b"a late request");
    assert_eq!(receive(&mut client, 10).await, b"last words");
    assert_eq!(close_of(&mut client).await, Some((1000, "the target closed the connection".to_owned())));
    assert_eq!(timeout(PATIENCE, target.read(&mut bytes)).await.unwrap().unwrap(), 0);
    drop(target);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_per_second_are_held_both_ways() {
    let rate = 200_000;
    let bridge = Running::start(with_limits(|limits| limits.bytes_per_second = std::num::NonZeroU64::new(rate))).await;
    let mut client = bridge.open(echo().await).await;
    let start = std::time::Instant::now();
    let bytes = Random(5).bytes(600_000);
    for piece in bytes.chunks(20_000) {
        send(&mut client, piece).await;
    }
    assert!(receive(&mut client, bytes.len()).await == bytes);
    let took = start.elapsed().as_secs_f64();
    // A second's worth goes at once; the rest at the rate.
    assert!((1.5..6.0).contains(&took), "{took} s for {} bytes at {rate} per second", bytes.len());
    close(client).await;
    bridge.stop().await;
}
