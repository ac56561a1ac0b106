//! A bridge to be tested, targets to reach through it, and clients.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use klamm_bridge::{Bridge, Config, Handle, Limits, Resolve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) const ORIGIN: &str = "http://localhost:8000";
pub(crate) const TOKEN: &str = "a-token-of-some-length";
/// Longer than anything takes, on a slow machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Client = WebSocketStream<TcpStream>;

/// Any port of this machine for pages of one origin.
pub(crate) fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        metrics: true,
        allow: vec!["127.0.0.1:*".parse().unwrap()],
        origins: vec![ORIGIN.parse().unwrap()],
        limits: Limits { close: Duration::from_secs(2), ..Limits::default() },
        ..Config::default()
    }
}

pub(crate) fn with_limits(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = config();
    change(&mut config.limits);
    config
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) handle: Handle,
    task: JoinHandle<usize>,
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        Self::of(Bridge::bind(config).await.unwrap())
    }

    pub(crate) async fn start_with(config: Config, resolver: impl Resolve) -> Self {
        Self::of(Bridge::bind_with(config, resolver).await.unwrap())
    }

    fn of(bridge: Bridge) -> Self {
        let (address, admin, handle) = (bridge.local_addr().unwrap(), bridge.admin_addr(), bridge.handle());
        Self { address, admin, handle, task: tokio::spawn(bridge.run()) }
    }

    /// The sum of all samples whose name begins so.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.handle.metrics();
        let samples = text.lines().filter_map(|line| line.strip_prefix("klamm_bridge_")?.strip_prefix(name));
        samples.map(|rest| rest.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Until this metric has this value.
    pub(crate) async fn until(&self, name: &str, value: u64) {
        let wait = async {
            while self.metric(name) != value {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{name} is not {value} but {}\n{}", self.metric(name), self.handle.metrics());
    }

    /// Waits for the end of all connections, checks that the figures add up and that no task is left, and ends the bridge.
    pub(crate) async fn stop(self) {
        self.until("open", 0).await;
        self.until("pending", 0).await;
        let ends = ["dropped_total", "handshakes_failed_total", "answered_total", "refused_total", "upgraded_total"];
        let all = ends.iter().map(|name| self.metric(name)).sum::<u64>();
        assert_eq!(self.metric("accepted_total"), all, "{}", self.handle.metrics());
        assert_eq!(self.metric("upgraded_total"), self.metric("closed_total"));
        assert_eq!(self.metric("closed_total"), self.metric("tunnel_seconds_count"));
        assert_eq!(self.metric("panics_total"), 0);
        self.handle.shut_down();
        assert_eq!(timeout(PATIENCE, self.task).await.unwrap().unwrap(), 0, "tasks had to be cut off");
    }

    /// Waits for a shutdown that somebody else ordered; gives how many tunnels were cut off.
    pub(crate) async fn stopped(self) -> usize {
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }

    pub(crate) fn request(&self, target: impl std::fmt::Display) -> Request {
        let target = target.to_string();
        let (host, port) = target.rsplit_once(':').unwrap();
        let mut request = format!("ws://{}/tcp/{host}/{port}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("Origin", ORIGIN.parse().unwrap());
        request
    }

    /// A tunnel, or why there is none.
    pub(crate) async fn ask(&self, request: Request) -> Result<Client, Error> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        client_async(request, stream).await.map(|(client, _)| client)
    }

    pub(crate) async fn open(&self, target: impl std::fmt::Display) -> Client {
        self.ask(self.request(target)).await.unwrap()
    }

    /// The status of a refusal, and what its body says.
    pub(crate) async fn refused(&self, request: Request) -> (u16, String) {
        match self.ask(request).await {
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                (response.status().as_u16(), String::from_utf8_lossy(body).into_owned())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The whole answer to these bytes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        raw(self.address, bytes).await
    }
}

pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

/// Code and reason of the Close that comes next, data before it thrown away.
pub(crate) async fn close_of(client: &mut Client) -> Option<(u16, String)> {
    loop {
        match timeout(PATIENCE, client.next()).await.expect("no close in time") {
            Some(Ok(Message::Close(frame))) => {
                // The answer leaves with the next look.
                drop(timeout(PATIENCE, client.next()).await);
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// Closes, and waits for the answer.
pub(crate) async fn close(mut client: Client) {
    client.close(None).await.unwrap();
    let drained = timeout(PATIENCE, async { while let Some(Ok(_)) = client.next().await {} }).await;
    drained.expect("no answer to the close");
}

/// The next `length` bytes of the client's messages.
pub(crate) async fn receive(client: &mut Client, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match timeout(PATIENCE, client.next()).await.expect("no data in time") {
            Some(Ok(Message::Binary(piece))) => bytes.extend_from_slice(&piece),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?} after {} bytes", bytes.len()),
        }
    }
    bytes
}

pub(crate) async fn send(client: &mut Client, bytes: &[u8]) {
    client.send(Message::binary(bytes.to_vec())).await.unwrap();
}

/// A server that sends back what it gets.
pub(crate) async fn echo() -> SocketAddr {
    server(|mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        drop(tokio::io::copy(&mut reader, &mut writer).await);
    })
    .await
}

/// A server that does this with each connection.
pub(crate) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream.set_nodelay(true));
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Numbers from a seed (splitmix64): a failure can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
