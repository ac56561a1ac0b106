//! The program itself: its logs, its signals, its memory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::common::{Client, ORIGIN, PATIENCE, TOKEN, close, close_of, echo, receive, send, server};

struct Program {
    child: Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klamm-bridge"));
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json", "--origin", ORIGIN]).args(arguments);
        command.stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().unwrap();
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                kept.lock().unwrap().push(line.unwrap());
            }
        });
        let mut program = Self { child, address: ([127, 0, 0, 1], 0).into(), lines, reader: Some(reader) };
        let listening = program.line("listening");
        program.address = listening["address"].as_str().unwrap().parse().unwrap();
        program
    }

    /// The first log line with this message, when it is there.
    fn line(&self, message: &str) -> Value {
        let start = Instant::now();
        loop {
            let found = self.logs().into_iter().find(|line| line["message"] == message);
            if let Some(line) = found {
                return line;
            }
            assert!(start.elapsed() < PATIENCE, "no {message:?} in {:#?}", self.lines.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every line so far; each is JSON.
    fn logs(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Its exit code, when it has ended, and all that it wrote.
    fn ended(&mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end: {:#?}", self.lines.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.reader.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), self.lines.lock().unwrap().join("\n"))
    }

    fn request(&self, target: SocketAddr) -> Request {
        let path = format!("ws://{}/tcp/{}/{}", self.address, target.ip(), target.port());
        let mut request = path.into_client_request().unwrap();
        request.headers_mut().insert("Origin", ORIGIN.parse().unwrap());
        request
    }

    async fn ask(&self, request: Request) -> Result<Client, Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        client_async(request, stream).await.map(|(client, _)| client)
    }

    async fn open(&self, target: SocketAddr) -> Client {
        self.ask(self.request(target)).await.unwrap()
    }

    /// Memory that it has, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn with_token(mut request: Request, token: &str) -> Request {
    request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_tell_everything_but_payload_and_tokens() {
    const PAYLOAD: &[u8] = b"payload-that-nobody-else-reads";
    let mut command = Program::command(&["--allow", "127.0.0.1:*", "--log-level", "trace", "--token-in-query"]);
    let mut program = Program::start({
        command.env("KLAMM_BRIDGE_TOKEN", TOKEN);
        command
    });
    let echo = echo().await;
    let mut client = program.ask(with_token(program.request(echo), TOKEN)).await.unwrap();
    send(&mut client, PAYLOAD).await;
    assert_eq!(receive(&mut client, PAYLOAD.len()).await, PAYLOAD);
    close(client).await;
    let mut by_subprotocol = program.request(echo);
    let protocols = format!("klamm.tcp.v1, klamm.bearer.{TOKEN}");
    by_subprotocol.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    let mut client = program.ask(by_subprotocol).await.unwrap();
    client.send(Message::text(String::from_utf8(PAYLOAD.to_vec()).unwrap())).await.unwrap();
    assert_eq!(close_of(&mut client).await.unwrap().0, 1003);
    let mut by_query = program.request(echo);
    *by_query.uri_mut() = format!("{}?token={TOKEN}", by_query.uri()).parse().unwrap();
    close(program.ask(by_query).await.unwrap()).await;
    let guess = "a-wrong-guess-of-a-token";
    assert!(program.ask(with_token(program.request(echo), guess)).await.is_err());
    let mut foreign = with_token(program.request(echo), TOKEN);
    foreign.headers_mut().insert("Origin", "http://evil.example\"x".parse().unwrap());
    assert!(program.ask(foreign).await.is_err());
    drop(
        TcpStream::connect(program.address)
            .await
            .unwrap()
            .write_all(format!("GET /{TOKEN} HTTP/1.1\r\n\r\n").as_bytes())
            .await,
    );

    program.line("tunnel closed");
    program.signal("TERM");
    let (code, text) = program.ended();
    assert_eq!(code, Some(0), "{text}");
    for secret in [TOKEN, guess, std::str::from_utf8(PAYLOAD).unwrap()] {
        assert!(!text.contains(secret), "{secret} is in the logs:\n{text}");
    }
    let opened = program.line("tunnel opened");
    assert_eq!((&opened["to"], &opened["id"]), (&Value::from(echo.to_string()), &Value::from(1)), "{opened}");
    let closed = program.line("tunnel closed");
    let length = PAYLOAD.len();
    assert_eq!((&closed["to_target"], &closed["to_client"]), (&Value::from(length), &Value::from(length)), "{closed}");
    let refusals: Vec<Value> = program.logs().into_iter().filter(|line| line["message"] == "refused").collect();
    let of = |reason: &str| refusals.iter().find(|line| line["reason"] == reason).unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&of("token")["status"], &of("origin")["status"]), (&Value::from(401), &Value::from(403)));
    assert!(of("origin")["origin"].as_str().unwrap().contains("evil.example"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_stop_it_in_order_and_reload_its_tokens() {
    let file = std::env::temp_dir().join(format!("klamm-bridge-tokens-{}", std::process::id()));
    std::fs::write(&file, "the-old-token-0123\n").unwrap();
    let path = file.to_str().unwrap();
    let mut program = Program::start(Program::command(&["--allow", "127.0.0.1:*", "--token-file", path]));
    let echo = echo().await;
    let request = |token| with_token(program.request(echo), token);
    let mut client = program.ask(request("the-old-token-0123")).await.unwrap();
    std::fs::write(&file, "the-new-token-4567\n").unwrap();
    program.signal("HUP");
    program.line("reloaded tokens and certificate");
    assert!(program.ask(request("the-old-token-0123")).await.is_err());
    close(program.ask(request("the-new-token-4567")).await.unwrap()).await;
    // A file without tokens does not open the bridge to everyone.
    std::fs::write(&file, "").unwrap();
    program.signal("HUP");
    program.line("not reloaded; the old tokens and certificate stay");
    assert!(program.ask(program.request(echo)).await.is_err());
    close(program.ask(request("the-new-token-4567")).await.unwrap()).await;
    send(&mut client, b"still open").await;
    receive(&mut client, 10).await;

    program.signal("INT");
    assert_eq!(close_of(&mut client).await.unwrap().0, 1001);
    assert_eq!(program.ended().0, Some(0));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn wrong_usage_is_told() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_klamm-bridge")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, expected) in [
        (&["--allow", "nonsense"][..], "HOST:PORT"),
        (&["--origin", "localhost:8000"], "SCHEME://HOST"),
        (&["--max-frame", "0"], "1 byte"),
        (&["--max-connections", "0"], "from 1"),
        (&["--idle", "0s"], "more than 0"),
        (&["--tls-cert", "x.pem"], "--tls-key"),
        (&["--path-prefix", "kafka"], "begins with /"),
        // A token on the command line could be read by every user of the machine.
        (&["--token", TOKEN], "unexpected argument"),
    ] {
        let (code, text) = run(arguments);
        assert!(code == Some(2) && text.contains(expected), "{arguments:?}: {code:?} {text}");
    }
    let (code, text) = run(&["--listen", "127.0.0.1:0", "--token-file", "/no/such/file"]);
    assert!(code == Some(1) && text.contains("/no/such/file"), "{code:?} {text}");
}

/// Tunnels of the test of memory.
const TUNNELS: u64 = 40;
/// One of them may take so much, in KiB, with messages of 256 KiB: twice the message (as it comes in, and growing), a read buffer and a chunk
/// with its frame.
const PER_TUNNEL: u64 = 1024;

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_when_nobody_reads() {
    let mut command = Program::command(&["--allow", "127.0.0.1:*", "--max-message", "256KiB", "--max-frame", "256KiB"]);
    command.env("MALLOC_ARENA_MAX", "2");
    let mut program = Program::start(command);
    let before = program.resident();
    // Targets that send without end and read nothing.
    let flood = server(|mut stream| async move { while stream.write_all(&[7; 65_536]).await.is_ok() {} }).await;
    let mut floods = Vec::new();
    for at in 0..TUNNELS {
        let (mut sink, stream) = program.open(flood).await.split();
        floods.push(tokio::spawn(async move {
            // Half of them send data without end, half send pings; none reads.
            let message = || match at % 2 {
                0 => Message::binary(vec![7; 256 * 1024]),
                _ => Message::Ping(vec![7; 125].into()),
            };
            while sink.feed(message()).await.is_ok() {}
            drop(stream);
        }));
    }
    let mut most = 0;
    for _ in 0..30 {
        sleep(Duration::from_millis(100)).await;
        most = most.max(program.resident());
    }
    let each = most.saturating_sub(before) / TUNNELS;
    println!("{each} KiB a tunnel, {before} KiB before, {most} KiB at most");
    assert!(each < PER_TUNNEL, "{each} KiB a tunnel: {before} KiB before, {most} KiB now");
    floods.iter().for_each(|task| task.abort());
    program.signal("TERM");
    program.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_logs_are_one_line_each_whatever_clients_say() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klamm-bridge"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let listening = lines.find(|line| line.contains("listening")).unwrap();
    let address: SocketAddr = listening.split("address=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /tcp/a/1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: x\x1b[31m\u{9b}red\u{2028}\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let line = lines.find(|line| line.contains("refused")).unwrap();
    assert!(!line.contains(['\x1b', '\u{9b}', '\u{2028}']), "{line:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
