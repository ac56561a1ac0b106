//! Where streams come from.

use core::net::{IpAddr, SocketAddr};

use embedded_io_async::{Error, ErrorKind};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use klamm_core::Disconnect;

use crate::Traffic;

/// Opens byte streams to brokers. [`Tcp`] does so over any stack with the traits of embedded-nal-async. Whoever has something to put between
/// the socket and Kafka's protocol, TLS above all, implements this trait: see [`carry`](Self::carry).
///
/// Futures of both methods are dropped when the core gives a connection up (`socket.connection.setup.timeout.ms` covers all that comes
/// before traffic flows), and with the driver's [`run`](crate::Driver::run).
pub trait Connector {
    /// An address of `host`, which is never a literal address. One is enough: after a failure the core asks again, so a resolver that
    /// knows several should take turns.
    ///
    /// # Errors
    /// Why there is none; [`Disconnect::Dns`] as a rule.
    fn resolve(&self, host: &str) -> impl Future<Output = Result<IpAddr, Disconnect>>;

    /// A connection's whole life: opens a stream to `remote`, lets the traffic flow over it, and returns why it ended or did not begin
    /// ([`refusal_of`] and [`disconnect_of`] know; for a failed handshake, [`Disconnect::Tls`]). The stream is closed by then.
    ///
    /// Since all of a connection lives in this one future, a TLS session may well borrow the socket under it:
    ///
    /// ```
    /// # use core::net::{IpAddr, SocketAddr};
    /// # use embedded_io_async::{Error, Read, Write};
    /// # use embedded_nal_async::TcpConnect;
    /// # use klamm_core::Disconnect;
    /// # use klamm_embedded_io::{Connector, Traffic, refusal_of};
    /// # struct Session<S>(S);
    /// # impl<S: Read + Write> Session<S> {
    /// #     async fn open(socket: S, server_name: &str) -> Result<Self, ()> { Ok(Self(socket)) }
    /// #     fn split(&mut self) -> (impl Read + '_, impl Write + '_) { (&b""[..], &mut [][..]) }
    /// # }
    /// struct Tls<T> { tcp: T }
    ///
    /// impl<T: TcpConnect> Connector for Tls<T> {
    /// #   async fn resolve(&self, _: &str) -> Result<IpAddr, Disconnect> { Err(Disconnect::Dns) }
    ///     async fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> Disconnect {
    ///         let mut socket = match self.tcp.connect(remote).await {
    ///             Ok(socket) => socket,
    ///             Err(error) => return refusal_of(error.kind()),
    ///         };
    ///         let Ok(mut session) = Session::open(&mut socket, traffic.host()).await else {
    ///             return Disconnect::Tls;
    ///         };
    ///         let (reader, writer) = session.split();
    ///         traffic.flushing().both_ways(reader, writer).await
    ///     }
    /// }
    /// ```
    fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> impl Future<Output = Disconnect>;
}

impl<C: Connector> Connector for &C {
    fn resolve(&self, host: &str) -> impl Future<Output = Result<IpAddr, Disconnect>> {
        (**self).resolve(host)
    }

    fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> impl Future<Output = Disconnect> {
        (**self).carry(remote, traffic)
    }
}

/// Plain TCP over a stack with the traits of embedded-nal-async, such as embassy-net's `TcpClient` and `DnsSocket`.
#[derive(Clone, Debug)]
pub struct Tcp<T, D> {
    tcp: T,
    dns: D,
    family: AddrType,
    flushes: bool,
}

impl<T: TcpConnect, D: Dns> Tcp<T, D> {
    /// Sockets of `tcp`, names looked up by `dns` in whichever family it prefers.
    pub const fn new(tcp: T, dns: D) -> Self {
        Self { tcp, dns, family: AddrType::Either, flushes: false }
    }

    /// Looks up addresses of this family only.
    #[must_use]
    pub const fn family(mut self, family: AddrType) -> Self {
        self.family = family;
        self
    }

    /// For sockets that send nothing until they are flushed; see [`Traffic::flushing`].
    #[must_use]
    pub const fn flushing(mut self) -> Self {
        self.flushes = true;
        self
    }
}

impl<T: TcpConnect> Tcp<T, NoDns> {
    /// Sockets of `tcp`, without names: brokers must be listed, and must advertise themselves, by literal addresses.
    pub const fn without_dns(tcp: T) -> Self {
        Self::new(tcp, NoDns)
    }
}

impl<T: TcpConnect, D: Dns> Connector for Tcp<T, D> {
    async fn resolve(&self, host: &str) -> Result<IpAddr, Disconnect> {
        self.dns.get_host_by_name(host, self.family.clone()).await.map_err(|_| Disconnect::Dns)
    }

    async fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> Disconnect {
        match self.tcp.connect(remote).await {
            Ok(stream) => {
                let traffic = if self.flushes { traffic.flushing() } else { traffic };
                traffic.by_turns(stream).await
            }
            Err(error) => refusal_of(error.kind()),
        }
    }
}

/// Why a stream ended, from its error.
#[must_use]
pub const fn disconnect_of(kind: ErrorKind) -> Disconnect {
    match kind {
        ErrorKind::ConnectionRefused => Disconnect::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Disconnect::Closed,
        ErrorKind::NotConnected | ErrorKind::AddrNotAvailable => Disconnect::Unreachable,
        ErrorKind::TimedOut => Disconnect::TimedOut,
        _ => Disconnect::Other,
    }
}

/// Why a stream did not begin, from the error of opening it. A reset is a refusal then; embassy-net's `TcpClient` has that kind for
/// everything, no route and no answer included.
#[must_use]
pub const fn refusal_of(kind: ErrorKind) -> Disconnect {
    match kind {
        ErrorKind::ConnectionReset => Disconnect::Refused,
        kind => disconnect_of(kind),
    }
}

/// No resolver: every name is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDns;

impl Dns for NoDns {
    type Error = Self;

    async fn get_host_by_name(&self, _: &str, _: AddrType) -> Result<IpAddr, Self::Error> {
        Err(Self)
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, Self::Error> {
        Err(Self)
    }
}
