//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use klamm_bridge::{
    Config, Limits, Network, OriginPattern, TargetPattern, TlsFiles, TokenSource, parse_duration, parse_size,
};
use tracing::level_filters::LevelFilter;

/// Where a token is taken from besides a file; never from the command line, where every user of the machine can read it.
pub(crate) const TOKEN_VARIABLE: &str = "KLAMM_BRIDGE_TOKEN";

/// Carries bytes between WebSockets and TCP connections, so that browsers and edge workers reach Apache Kafka.
///
/// A client opens ws://BRIDGE/tcp/HOST/PORT (wss:// with --tls-cert) and gets a connection to HOST:PORT; binary messages carry its bytes.
/// Everything is refused unless it is allowed here: a target by --allow, a page by --origin, a client that is no browser by
/// --allow-no-origin. GET /health tells whether the bridge serves.
///
/// SIGTERM and SIGINT close all tunnels and end the bridge; SIGHUP reads token file and certificate again.
#[derive(Debug, Parser)]
#[command(name = "klamm-bridge", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
}

const AFTER_HELP: &str = "\
Examples:
  A page of this machine, a broker of this machine:
    klamm-bridge --allow localhost:9092 --origin http://localhost:8000
  A cluster in a private network, behind a proxy that ends TLS:
    klamm-bridge --listen 0.0.0.0:8092 --allow '*.kafka.internal:9092' --resolves-to 10.0.0.0/8 \\
        --origin https://app.example.com --token-file /run/secrets/tokens --trusted-proxy 10.0.0.5
  Node and workers too, with TLS of its own:
    KLAMM_BRIDGE_TOKEN=… klamm-bridge --listen '[::]:443' --tls-cert cert.pem --tls-key key.pem \\
        --allow 'b*.example.com:9092-9094' --allow-no-origin

Clients show a token as 'Authorization: Bearer TOKEN', or, as browsers cannot, by the subprotocols of
  new WebSocket(url, ['klamm.tcp.v1', 'klamm.bearer.' + token])

Each option can also be set by the environment variable that stands beside it (lists: separated by commas). The token itself comes only
from --token-file or from KLAMM_BRIDGE_TOKEN.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
struct Listen {
    /// Where WebSockets are accepted.
    #[arg(long, env = "KLAMM_BRIDGE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8092")]
    listen: SocketAddr,
    /// Certificate chain (PEM): the bridge then speaks wss:// instead of ws://.
    #[arg(long, env = "KLAMM_BRIDGE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, env = "KLAMM_BRIDGE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What comes before /tcp/HOST/PORT and /health in paths, such as /kafka.
    #[arg(long, env = "KLAMM_BRIDGE_PATH_PREFIX", value_name = "PATH", default_value = "", value_parser = parse_prefix)]
    path_prefix: String,
    /// Answers /health and /metrics here besides, over plain HTTP: an address that clients cannot reach.
    #[arg(long, env = "KLAMM_BRIDGE_ADMIN_LISTEN", value_name = "ADDRESS:PORT")]
    admin_listen: Option<SocketAddr>,
    /// Answers /metrics where WebSockets are accepted too; whoever reaches the bridge can read them then.
    #[arg(long, env = "KLAMM_BRIDGE_METRICS")]
    metrics: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who may go where")]
struct Access {
    /// Targets that are allowed: bootstrap servers and every broker that they advertise.
    ///
    /// HOST is a name, *.example.com (anything below it), broker-*.example.com (within the label), an address, a network
    /// such as 10.0.0.0/8 or [2001:db8::/32] (for targets given as addresses), or * (any name). PORT is one, a range such as
    /// 9092-9099, or *. Can be repeated.
    #[arg(long, env = "KLAMM_BRIDGE_ALLOW", value_name = "HOST:PORT", value_delimiter = ',')]
    allow: Vec<TargetPattern>,
    /// Networks besides public ones that names of targets may resolve to.
    ///
    /// Unless listed here (or as addresses by --allow), loopback, private, link-local and other special addresses are not
    /// connected to, whatever a name's DNS says. localhost leads to loopback without this. Can be repeated.
    #[arg(long, env = "KLAMM_BRIDGE_RESOLVES_TO", value_name = "NETWORK", value_delimiter = ',')]
    resolves_to: Vec<Network>,
    /// Origins whose pages may connect.
    ///
    /// https://app.example.com, http://localhost:8000, https://*.example.com, null (pages from files), or * (any page). Can be repeated.
    #[arg(long, env = "KLAMM_BRIDGE_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    origin: Vec<OriginPattern>,
    /// Admits clients that send no Origin: Node, workers, everything but browsers.
    #[arg(long, env = "KLAMM_BRIDGE_ALLOW_NO_ORIGIN")]
    allow_no_origin: bool,
    /// File with tokens, one per line, one of which clients must show (16 characters or more of A-Z a-z 0-9 - . _ ~).
    #[arg(long, env = "KLAMM_BRIDGE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Takes the token from the query (?token=…) too, where proxies log it.
    #[arg(long, env = "KLAMM_BRIDGE_TOKEN_IN_QUERY")]
    token_in_query: bool,
    /// Proxies whose X-Forwarded-For tells the client's address. Can be repeated.
    #[arg(long, env = "KLAMM_BRIDGE_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Tunnels at once.
    #[arg(long, env = "KLAMM_BRIDGE_MAX_CONNECTIONS", value_name = "N", default_value = "1000", value_parser = parse_count)]
    max_connections: usize,
    /// Tunnels at once of one client address (IPv6: of one /64).
    #[arg(long, env = "KLAMM_BRIDGE_MAX_CONNECTIONS_PER_IP", value_name = "N", default_value = "100", value_parser = parse_count)]
    max_connections_per_ip: usize,
    /// Connections at once whose request is not answered yet; more are dropped.
    #[arg(long, env = "KLAMM_BRIDGE_MAX_HANDSHAKES", value_name = "N", default_value = "256", value_parser = parse_count)]
    max_handshakes: usize,
    /// Longest frame from a client.
    #[arg(long, env = "KLAMM_BRIDGE_MAX_FRAME", value_name = "SIZE", default_value = "1MiB", value_parser = parse_memory)]
    max_frame: usize,
    /// Longest message from a client, all its frames together.
    #[arg(long, env = "KLAMM_BRIDGE_MAX_MESSAGE", value_name = "SIZE", default_value = "1MiB", value_parser = parse_memory)]
    max_message: usize,
    /// Bytes per second of each tunnel and each way; 0: as fast as it goes.
    #[arg(long, env = "KLAMM_BRIDGE_BYTES_PER_SECOND", value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    bytes_per_second: u64,
    /// Closes a tunnel that carried no data for so long.
    #[arg(long, env = "KLAMM_BRIDGE_IDLE", value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    idle: Duration,
    /// From accept until the request is there: TLS and HTTP.
    #[arg(long, env = "KLAMM_BRIDGE_HANDSHAKE", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    handshake: Duration,
    /// Name look-up and connection to the target.
    #[arg(long, env = "KLAMM_BRIDGE_CONNECT", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    connect: Duration,
    /// How long the end of a tunnel may take.
    #[arg(long, env = "KLAMM_BRIDGE_CLOSE", value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    close: Duration,
    /// Pings clients so often.
    #[arg(long, env = "KLAMM_BRIDGE_PING_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    ping_interval: Duration,
    /// Gives up a client that is silent for so long after a ping.
    #[arg(long, env = "KLAMM_BRIDGE_PING_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = parse_time)]
    ping_timeout: Duration,
    /// How long tunnels may take to close at shutdown.
    #[arg(long, env = "KLAMM_BRIDGE_SHUTDOWN", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    shutdown: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// Least important lines to log (on standard error): off, error, warn, info, debug or trace. None has payload or tokens.
    #[arg(long, env = "KLAMM_BRIDGE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LevelFilter,
    /// Form of the lines.
    #[arg(long, env = "KLAMM_BRIDGE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Cli {
    /// `token`: from the environment.
    pub(crate) fn config(&self, token: Option<String>) -> Config {
        let Self { listen, access, limits, .. } = self;
        let tls = listen.tls_cert.clone().zip(listen.tls_key.clone());
        Config {
            listen: listen.listen,
            admin_listen: listen.admin_listen,
            metrics: listen.metrics,
            path_prefix: listen.path_prefix.clone(),
            allow: access.allow.clone(),
            resolves_to: access.resolves_to.clone(),
            origins: access.origin.clone(),
            allow_no_origin: access.allow_no_origin,
            tokens: TokenSource { file: access.token_file.clone(), value: token },
            token_in_query: access.token_in_query,
            trusted_proxies: access.trusted_proxy.clone(),
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            limits: limits.limits(),
        }
    }
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections,
            max_connections_per_ip: self.max_connections_per_ip,
            max_handshakes: self.max_handshakes,
            max_frame: self.max_frame,
            max_message: self.max_message,
            bytes_per_second: NonZeroU64::new(self.bytes_per_second),
            idle: self.idle,
            handshake: self.handshake,
            connect: self.connect,
            close: self.close,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            shutdown: self.shutdown,
        }
    }
}

fn parse_prefix(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() || text.starts_with('/') { Ok(text.to_owned()) } else { Err("it begins with /".to_owned()) }
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "a number from 1".to_owned())
}

fn parse_memory(text: &str) -> Result<usize, String> {
    let size = parse_size(text)?;
    if !(1..=1 << 30).contains(&size) {
        return Err("1 byte to 1GiB".to_owned());
    }
    usize::try_from(size).map_err(|_| "too large for this machine".to_owned())
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() { Err("more than 0".to_owned()) } else { Ok(time) }
}
