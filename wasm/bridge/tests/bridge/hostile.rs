//! Clients that follow no rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::common::{PATIENCE, Random, Running, close, echo, server, with_limits};

const FRAMES: u64 = 100_000;

/// A frame as a client sends it: most valid, some not at all.
fn frame(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        // Garbage of any length.
        0 => {
            let length = 1 + random.below(300) as usize;
            random.bytes(length)
        }
        // Any two first bytes, with what may follow them.
        1..=2 => {
            let mut bytes = random.bytes(2);
            let length = random.below(140) as usize;
            bytes.extend(random.bytes(length));
            bytes
        }
        // A length that is announced and never comes, or is too long.
        3 => [&[0x82, 0xff][..], &random.next().to_be_bytes(), &random.bytes(4)].concat(),
        kind => {
            let (first, length) = match kind {
                // Pings, pongs, a Close now and then, pieces of messages that do not fit together, text.
                4..=15 => (0x89, random.below(126)),
                16..=20 => (0x8a, random.below(126)),
                21 => (0x88, random.below(126)),
                22..=24 => ([0x02, 0x80, 0x00, 0x01][random.below(4) as usize], random.below(300)),
                25 => (0x81, random.below(300)),
                26..=30 => (0x82, random.below(70_000)),
                _ => (0x82, random.below(300)),
            };
            let mut bytes = vec![first];
            match length {
                0..=125 => bytes.push(0x80 | length as u8),
                126..=65_535 => bytes.extend([&[0xfe][..], &(length as u16).to_be_bytes()].concat()),
                _ => bytes.extend([&[0xff][..], &length.to_be_bytes()].concat()),
            }
            // Masked with zeros or something else: the payload is random either way.
            let mask = if random.below(2) == 0 { vec![0; 4] } else { random.bytes(4) };
            bytes.extend(mask);
            bytes.extend(random.bytes(length as usize));
            bytes
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_frames_of_all_kinds_do_no_harm() {
    let bridge = Arc::new(
        Running::start(with_limits(|limits| {
            limits.close = Duration::from_millis(300);
            limits.max_frame = 65_536;
        }))
        .await,
    );
    let target = echo().await;
    let before = Handle::current().metrics().num_alive_tasks();
    let sent = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let (bridge, sent) = (Arc::clone(&bridge), Arc::clone(&sent));
        tasks.spawn(async move {
            let mut random = Random(worker);
            while sent.load(Ordering::Relaxed) < FRAMES {
                let stream = bridge.open(target).await.into_inner();
                let (mut reader, mut writer) = stream.into_split();
                let reading = tokio::spawn(async move {
                    let mut scrap = vec![0; 65_536];
                    while matches!(reader.read(&mut scrap).await, Ok(1..)) {}
                });
                let most = 1 + random.below(400);
                for _ in 0..most {
                    sent.fetch_add(1, Ordering::Relaxed);
                    if reading.is_finished() || writer.write_all(&frame(&mut random)).await.is_err() {
                        break;
                    }
                }
                // Sometimes in the middle of everything, sometimes after the bridge's own end.
                if random.below(2) == 0 {
                    drop(writer.shutdown().await);
                    timeout(PATIENCE, reading).await.expect("the bridge does not end it").unwrap();
                } else {
                    reading.abort();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    bridge.until("open", 0).await;
    bridge.until("pending", 0).await;
    assert!(bridge.metric("closed_total{reason=\"protocol\"") > 100, "{}", bridge.handle.metrics());
    // Connections of the echo server end a little later.
    let leaked = timeout(PATIENCE, async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(leaked.await.is_ok(), "{} tasks, {before} before", Handle::current().metrics().num_alive_tasks());
    close(bridge.open(target).await).await;
    Arc::into_inner(bridge).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_random_bytes_do_no_harm() {
    let bridge = Running::start(with_limits(|limits| limits.handshake = Duration::from_millis(200))).await;
    let mut random = Random(7);
    let valid = b"GET /tcp/127.0.0.1/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost:8000\r\n\r\n";
    for _ in 0..2_000 {
        let mut bytes = valid.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.next() as u8,
                1 => drop(bytes.drain(at..)),
                _ => drop(bytes.splice(at..at, b"\r\n\r\n".iter().copied())),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let mut stream = TcpStream::connect(bridge.address).await.unwrap();
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        // Each ends, soon; with or without an answer.
        drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no end"));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_with_the_request_are_carried() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let target = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut bytes = Vec::new();
            drop(stream.read_to_end(&mut bytes).await);
            tell.send(bytes).unwrap();
        }
    })
    .await;
    let bridge = Running::start(with_limits(|_| {})).await;
    let mut stream = TcpStream::connect(bridge.address).await.unwrap();
    let head = format!(
        "GET /tcp/127.0.0.1/{} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost:8000\r\n\r\n",
        target.port()
    );
    let early = [head.as_bytes(), b"\x82\x85\0\0\0\0early", b"\x88\x80\0\0\0\0"].concat();
    stream.write_all(&early).await.unwrap();
    assert_eq!(timeout(PATIENCE, told.recv()).await.unwrap().unwrap(), b"early");
    drop(stream);
    bridge.stop().await;
}
