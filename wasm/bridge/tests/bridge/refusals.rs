//! What is refused, with which status or close code, and with a reason that helps.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::SinkExt;
use klamm_bridge::{Config, Resolve, Resolved, TokenSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::common::{
    ORIGIN, PATIENCE, Running, TOKEN, close, close_of, config, echo, receive, send, server, with_limits,
};

fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn without_origin(mut request: Request) -> Request {
    request.headers_mut().remove("Origin");
    request
}

fn with_query(mut request: Request, query: &str) -> Request {
    *request.uri_mut() = format!("{}?{query}", request.uri()).parse().unwrap();
    request
}

fn with_token() -> Config {
    Config { tokens: TokenSource { file: None, value: Some(TOKEN.to_owned()) }, ..config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_by_default() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let bridge = Running::start(Config { listen, ..Config::default() }).await;
    let echo = echo().await;
    assert_eq!(bridge.refused(bridge.request(echo)).await.0, 403);
    assert_eq!(bridge.refused(without_origin(bridge.request(echo))).await.0, 403);
    assert!(bridge.raw(b"GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin_gets_403() {
    let bridge = Running::start(config()).await;
    let echo = echo().await;
    for origin in ["http://evil.example", "http://localhost:8001", "https://localhost:8000", "null", ""] {
        let (status, body) = bridge.refused(with_header(bridge.request(echo), "Origin", origin)).await;
        assert_eq!((status, body.contains("--origin")), (403, true), "{origin} {body}");
    }
    let (status, body) = bridge.refused(without_origin(bridge.request(echo))).await;
    assert_eq!((status, body.contains("--allow-no-origin")), (403, true), "{body}");
    assert_eq!(bridge.metric("refused_total{reason=\"origin\",status=\"403\"}"), 5);
    close(bridge.open(echo).await).await;
    bridge.stop().await;

    let bridge = Running::start(Config { allow_no_origin: true, ..config() }).await;
    close(bridge.ask(without_origin(bridge.request(echo))).await.unwrap()).await;
    let evil = with_header(bridge.request(echo), "Origin", "http://evil.example");
    assert_eq!(bridge.refused(evil).await.0, 403);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_target_gets_403_and_a_broken_one_400() {
    let echo = echo().await;
    let allow = vec![format!("127.0.0.1:{}", echo.port()).parse().unwrap(), "*.example.com:9092".parse().unwrap()];
    let bridge = Running::start(Config { allow, ..config() }).await;
    for target in [
        "127.0.0.1:1",
        "localhost:9092",
        "127.0.0.2:9092",
        "example.com:9092",
        "[::1]:9092",
        "[::ffff:127.0.0.1]:1",
        "a.example.com.evil.net:9092",
    ] {
        let (status, body) = bridge.refused(bridge.request(target)).await;
        assert_eq!((status, body.contains("--allow")), (403, true), "{target} {body}");
    }
    for target in
        ["127.1:9092", "0x7f000001:9092", "2130706433:9092", "a%20b:9092", "a.example.com:0", "a.example.com:x"]
    {
        assert_eq!(bridge.refused(bridge.request(target)).await.0, 400, "{target}");
    }
    // Coded or not, a target is the same one.
    close(bridge.open(format!("%31%327.0.0.1:{}", echo.port())).await).await;
    close(bridge.open(format!("[::ffff:127.0.0.1]:{}", echo.port())).await).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_token_gets_401() {
    let bridge = Running::start(with_token()).await;
    let echo = echo().await;
    let request = || bridge.request(echo);
    let wrong = TOKEN.replace("some", "same");
    for refused in [
        request(),
        with_header(request(), "Authorization", &format!("Bearer {wrong}")),
        with_header(request(), "Authorization", &format!("Basic {TOKEN}")),
        with_header(request(), "Authorization", "Bearer"),
        with_header(request(), "Sec-WebSocket-Protocol", &format!("klamm.tcp.v1, klamm.bearer.{wrong}")),
        with_header(request(), "Sec-WebSocket-Protocol", "klamm.tcp.v1"),
        // Off unless it is asked for.
        with_query(request(), &format!("token={TOKEN}")),
    ] {
        let (status, body) = bridge.refused(refused).await;
        assert_eq!((status, body.contains("token")), (401, true), "{body}");
    }
    // Without a token nobody learns what is listed.
    assert_eq!(bridge.refused(bridge.request("unlisted.example:1")).await.0, 401);
    assert_eq!(bridge.refused(bridge.request("broken..example:1")).await.0, 401);
    for admitted in [
        with_header(request(), "Authorization", &format!("Bearer {TOKEN}")),
        with_header(request(), "Authorization", &format!("bearer {TOKEN}")),
        with_header(request(), "Sec-WebSocket-Protocol", &format!("klamm.bearer.{TOKEN}, klamm.tcp.v1")),
    ] {
        close(bridge.ask(admitted).await.unwrap()).await;
    }
    bridge.stop().await;

    let bridge = Running::start(Config { token_in_query: true, ..with_token() }).await;
    close(bridge.ask(with_query(bridge.request(echo), &format!("a=b&token={TOKEN}"))).await.unwrap()).await;
    assert_eq!(bridge.refused(with_query(bridge.request(echo), &format!("token={wrong}"))).await.0, 401);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subprotocol_chosen_is_the_one_offered_and_never_the_token() {
    let bridge = Running::start(with_token()).await;
    let echo = echo().await;
    let token = format!("klamm.bearer.{TOKEN}");
    let ask = |protocols: &str| {
        let path = format!("/tcp/127.0.0.1/{}", echo.port());
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        );
        // A masked Close without a code, so that the connection ends.
        [text.as_bytes(), &[0x88, 0x80, 1, 2, 3, 4]].concat()
    };
    let answer = |bytes| async {
        let mut answer = raw_lossy(&bridge, bytes).await;
        answer.truncate(answer.find("\r\n\r\n").unwrap() + 2);
        answer
    };
    let chosen = answer(ask(&format!("{token}, klamm.tcp.v1"))).await;
    assert!(chosen.starts_with("HTTP/1.1 101 "), "{chosen}");
    assert!(chosen.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{chosen}");
    assert!(chosen.contains("Sec-WebSocket-Protocol: klamm.tcp.v1\r\n") && !chosen.contains(TOKEN), "{chosen}");
    let only_token = answer(ask(&token)).await;
    assert!(only_token.starts_with("HTTP/1.1 400 "), "{only_token}");
    bridge.stop().await;
}

async fn raw_lossy(bridge: &Running, bytes: Vec<u8>) -> String {
    let mut stream = tokio::net::TcpStream::connect(bridge.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_upgrade_are_told_what_is_here() {
    let bridge = Running::start(config()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://localhost:8000\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let path = "/tcp/127.0.0.1/9092";
    for (status, request) in [
        (426, format!("GET {path} HTTP/1.1\r\n\r\n")),
        (426, format!("GET {path} HTTP/1.0\r\n{upgrade}{key}{version}\r\n")),
        (426, format!("GET {path} HTTP/1.1\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n")),
        (400, format!("GET {path} HTTP/1.1\r\n{upgrade}{version}\r\n")),
        (400, format!("GET {path} HTTP/1.1\r\n{upgrade}{version}Sec-WebSocket-Key: short\r\n\r\n")),
        (400, format!("GET {path} HTTP/1.1\r\n{upgrade}{version}{key}{key}\r\n")),
        (400, format!("GET {path} HTTP/1.1\r\n{upgrade}{version}{key}Origin: http://b\r\n\r\n")),
        (400, format!("GET /tcp/127.0.0.1 HTTP/1.1\r\n{upgrade}{version}{key}\r\n")),
        (400, format!("GET {path}/more HTTP/1.1\r\n{upgrade}{version}{key}\r\n")),
        (400, "this is no HTTP\r\n\r\n".to_owned()),
        (404, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (404, "GET /tcp HTTP/1.1\r\n\r\n".to_owned()),
        (405, "POST /health HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned()),
        (405, format!("HEAD {path} HTTP/1.1\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000))),
        (200, "GET /health HTTP/1.1\r\n\r\n".to_owned()),
        (200, "HEAD /health HTTP/1.1\r\n\r\n".to_owned()),
        (200, "GET /metrics?x=y HTTP/1.1\r\n\r\n".to_owned()),
    ] {
        let answer = bridge.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} {request}\n{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.is_empty(), request.starts_with("HEAD /health"), "{answer}");
        assert!(head.contains("\r\nConnection: ") && head.contains("close"), "{head}");
        assert_eq!(head.contains("Upgrade: websocket\r\nSec-WebSocket-Version: 13"), status == 426, "{head}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_does_not_take_the_answer_away() {
    let bridge = Running::start(config()).await;
    let mut stream = tokio::net::TcpStream::connect(bridge.address).await.unwrap();
    stream.write_all(b"POST /tcp/127.0.0.1/1 HTTP/1.1\r\nContent-Length: 3000\r\n\r\n").await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(&[7; 1000]).await.expect("a reset may overtake the answer");
    }
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_have_the_prefix_that_is_set() {
    let bridge = Running::start(Config { path_prefix: "/kafka".to_owned(), ..config() }).await;
    let echo = echo().await;
    let mut request = bridge.request(echo);
    assert_eq!(bridge.refused(request.clone()).await.0, 404);
    *request.uri_mut() = format!("ws://{}/kafka/tcp/127.0.0.1/{}", bridge.address, echo.port()).parse().unwrap();
    close(bridge.ask(request).await.unwrap()).await;
    assert!(bridge.raw(b"GET /kafka/health HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\nok\n"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_frames_and_messages_get_1009() {
    let bridge = Running::start(with_limits(|limits| (limits.max_frame, limits.max_message) = (1000, 1500))).await;
    let echo = echo().await;
    let mut client = bridge.open(echo).await;
    send(&mut client, &[7; 1000]).await;
    assert_eq!(receive(&mut client, 1000).await, [7; 1000]);
    send(&mut client, &[7; 1001]).await;
    let (code, reason) = close_of(&mut client).await.expect("a close");
    assert_eq!((code, reason.contains("longer than allowed")), (1009, true), "{reason}");

    // So large that the client is still sending when it is refused: no reset may overtake the Close.
    let mut stream = bridge.open(echo).await.into_inner();
    let header = [&[0x82, 0xff][..], &(8_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&header).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.write_all(&vec![7; 8 << 20]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer[2..4], 1009_u16.to_be_bytes(), "{answer:?}");

    // Each frame fits; all together do not.
    let mut client = bridge.open(echo).await;
    for (at, kind) in [Data::Binary, Data::Continue].into_iter().enumerate() {
        let frame = Frame::message(vec![7; 900], OpCode::Data(kind), at == 1);
        client.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(close_of(&mut client).await.expect("a close").0, 1009);
    bridge.until("closed_total{reason=\"too_big\"", 3).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_gets_1003_and_what_is_no_frame_1002() {
    let bridge = Running::start(config()).await;
    let echo = echo().await;
    let mut client = bridge.open(echo).await;
    send(&mut client, b"before").await;
    client.send(Message::text("text")).await.unwrap();
    assert_eq!(close_of(&mut client).await.expect("a close").0, 1003);
    for (code, bytes) in [
        // Text that is not UTF-8.
        (1003, vec![0x81, 0x81, 0, 0, 0, 0, 0xff]),
        // Not masked.
        (1002, vec![0x82, 0x01, 7]),
        // Reserved bits, reserved opcodes, a continuation of nothing, a long ping.
        (1002, vec![0xf2, 0x81, 0, 0, 0, 0, 7]),
        (1002, vec![0x83, 0x81, 0, 0, 0, 0, 7]),
        (1002, vec![0x80, 0x81, 0, 0, 0, 0, 7]),
        (1002, [vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0], vec![7; 126]].concat()),
    ] {
        let mut client = bridge.open(echo).await;
        client.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(close_of(&mut client).await.expect("a close").0, code, "{bytes:?}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_reached_gets_1011() {
    let bridge =
        Running::start(Config { allow: vec!["*:*".parse().unwrap(), "127.0.0.1:*".parse().unwrap()], ..config() })
            .await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let (code, reason) = close_of(&mut bridge.open(closed).await).await.unwrap();
    assert_eq!((code, reason.as_str()), (1011, "the target cannot be reached"));
    let (code, reason) = close_of(&mut bridge.open("no-such-host.invalid:9092").await).await.unwrap();
    assert_eq!((code, reason.as_str()), (1011, "the name of the target cannot be resolved"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_resets_gets_1011() {
    let bridge = Running::start(config()).await;
    let resets = server(|stream| async move {
        // The bridge's bytes stay unread, so the end is a reset.
        drop(stream.peek(&mut [0]).await);
    })
    .await;
    let mut client = bridge.open(resets).await;
    send(&mut client, b"bytes").await;
    let (code, reason) = close_of(&mut client).await.unwrap();
    assert_eq!((code, reason.as_str()), (1011, "the connection to the target failed"));
    bridge.stop().await;
}

/// Names and the addresses that they have.
struct Table(Vec<(&'static str, Vec<&'static str>)>);

impl Resolve for Table {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move {
            if name == "slow.example.com" {
                std::future::pending::<()>().await;
            }
            let found = self.0.iter().find(|(own, _)| *own == name).ok_or(io::ErrorKind::NotFound)?;
            Ok(found.1.iter().map(|address| SocketAddr::new(address.parse().unwrap(), port)).collect())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_inside_get_1008_and_are_never_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let table = || {
        Table(vec![
            ("rebound.example.com", vec!["127.0.0.1"]),
            ("mapped.example.com", vec!["::ffff:127.0.0.1"]),
            ("metadata.example.com", vec!["169.254.169.254", "10.0.0.1"]),
            ("localhost", vec!["93.184.216.34"]),
            ("empty.example.com", vec![]),
            ("both.example.com", vec!["10.0.0.1", "127.0.0.1"]),
        ])
    };
    let names = || vec!["*.example.com:*".parse().unwrap(), "localhost:*".parse().unwrap()];
    let mut outside = Config { allow: names(), ..config() };
    outside.limits.connect = Duration::from_millis(300);
    let bridge = Running::start_with(outside.clone(), table()).await;
    for name in ["rebound.example.com", "mapped.example.com", "metadata.example.com", "localhost"] {
        let (code, reason) = close_of(&mut bridge.open(format!("{name}:{port}")).await).await.unwrap();
        assert_eq!((code, reason.as_str()), (1008, "the target resolves to no address that is allowed"), "{name}");
    }
    for name in ["empty.example.com", "unknown.example.com", "slow.example.com"] {
        assert_eq!(close_of(&mut bridge.open(format!("{name}:{port}")).await).await.unwrap().0, 1011, "{name}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "connected all the same");
    bridge.stop().await;

    // Allowed: by network, and by what the client could ask for anyway.
    let by_network = Config { resolves_to: vec!["127.0.0.0/8".parse().unwrap()], ..outside.clone() };
    let by_target = Config { allow: [names(), vec!["127.0.0.1:*".parse().unwrap()]].concat(), ..outside };
    for allowed in [by_network, by_target] {
        let bridge = Running::start_with(allowed, table()).await;
        for name in ["rebound.example.com", "mapped.example.com", "both.example.com"] {
            let client = bridge.open(format!("{name}:{port}")).await;
            let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            drop(accepted);
            drop(client);
        }
        bridge.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_client_is_answered_with_its_own_code() {
    let bridge = Running::start(config()).await;
    let mut client = bridge.open(echo().await).await;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    client.close(Some(CloseFrame { code: CloseCode::Library(4321), reason: "done".into() })).await.unwrap();
    assert_eq!(close_of(&mut client).await, Some((4321, "done".to_owned())));
    assert!(matches!(client.send(Message::binary(vec![1])).await, Err(Error::AlreadyClosed | Error::Protocol(_))));
    bridge.until("closed_total{reason=\"client_closed\"", 1).await;
    bridge.stop().await;
}
