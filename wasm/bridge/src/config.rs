//! Everything that can be set.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::network::Network;
use crate::origin::OriginPattern;
use crate::target::TargetPattern;
use crate::token::TokenSource;

/// What a bridge does and for whom. The default refuses every target and every origin.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where WebSockets are accepted. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where `/health` and `/metrics` are answered besides, without TLS: for an address that clients cannot reach.
    pub admin_listen: Option<SocketAddr>,
    /// Whether `/metrics` is answered on [`listen`](Self::listen) too, where any client can read it.
    pub metrics: bool,
    /// What comes before `/tcp/HOST/PORT` and `/health` in paths: empty, or `/` and a name. Without a slash at its end.
    pub path_prefix: String,
    /// Targets that clients may ask for.
    pub allow: Vec<TargetPattern>,
    /// Networks, besides public ones, that the names of allowed targets may resolve to.
    pub resolves_to: Vec<Network>,
    /// Origins whose pages may connect.
    pub origins: Vec<OriginPattern>,
    /// Whether clients that send no `Origin` (all but browsers) may connect.
    pub allow_no_origin: bool,
    /// Tokens, one of which clients must show.
    pub tokens: TokenSource,
    /// Whether the token may stand in the query (`?token=…`), where proxies log it.
    pub token_in_query: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Certificate and key; without, the bridge speaks plain `ws://`.
    pub tls: Option<TlsFiles>,
    /// Bounds of time, memory and number.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8092)),
            admin_listen: None,
            metrics: false,
            path_prefix: String::new(),
            allow: Vec::new(),
            resolves_to: Vec::new(),
            origins: Vec::new(),
            allow_no_origin: false,
            tokens: TokenSource::default(),
            token_in_query: false,
            trusted_proxies: Vec::new(),
            tls: None,
            limits: Limits::default(),
        }
    }
}

/// PEM files; read at the start and at every reload.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those between it and its root, in this order.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Bounds of time, memory and number.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Tunnels at once. At least 1.
    pub max_connections: usize,
    /// Tunnels at once of one client address (of one /64 for IPv6), and as many of its requests that are not answered yet. At least 1.
    pub max_connections_per_ip: usize,
    /// Connections at once whose request is not answered yet; more are dropped unanswered. At least 1.
    pub max_handshakes: usize,
    /// Longest frame from a client, in bytes.
    pub max_frame: usize,
    /// Longest message from a client, all its frames together, in bytes. It is held in memory until the target has taken it.
    pub max_message: usize,
    /// Bytes per second of each tunnel and each way; a second's worth may come at once.
    pub bytes_per_second: Option<NonZeroU64>,
    /// A tunnel that carried no data for so long is closed.
    pub idle: Duration,
    /// From accept until the answer to the request: TLS and HTTP.
    pub handshake: Duration,
    /// Name look-up and TCP connection to the target.
    pub connect: Duration,
    /// How long the end of a tunnel may take: the client's Close, the target's last bytes.
    pub close: Duration,
    /// Pings are sent so often.
    pub ping_interval: Duration,
    /// A client from which nothing came for this and [`ping_interval`](Self::ping_interval) together is given up.
    pub ping_timeout: Duration,
    /// How long tunnels may take to close at shutdown.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1000,
            max_connections_per_ip: 100,
            max_handshakes: 256,
            max_frame: 1 << 20,
            max_message: 1 << 20,
            bytes_per_second: None,
            idle: Duration::from_secs(600),
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            close: Duration::from_secs(5),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            shutdown: Duration::from_secs(10),
        }
    }
}
