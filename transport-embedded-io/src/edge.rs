//! Stacks with the traits of edge-nal.

use core::net::{IpAddr, SocketAddr};

use edge_nal::{AddrType, Dns, TcpConnect, TcpSplit};
use embedded_io_async::Error;
use klamm_core::Disconnect;

use crate::{Connector, Traffic, refusal_of};

/// Plain TCP over a stack with the traits of edge-nal 0.7, such as edge-nal-embassy's and edge-nal-std's.
#[derive(Clone, Copy, Debug)]
pub struct EdgeTcp<T, D> {
    tcp: T,
    dns: D,
}

impl<T: TcpConnect, D: Dns> EdgeTcp<T, D> {
    /// Sockets of `tcp`, names looked up by `dns` in whichever family it prefers.
    pub const fn new(tcp: T, dns: D) -> Self {
        Self { tcp, dns }
    }
}

impl<T: TcpConnect, D: Dns> Connector for EdgeTcp<T, D> {
    async fn resolve(&self, host: &str) -> Result<IpAddr, Disconnect> {
        self.dns.get_host_by_name(host, AddrType::Either).await.map_err(|_| Disconnect::Dns)
    }

    async fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> Disconnect {
        match self.tcp.connect(remote).await {
            Ok(mut socket) => {
                let (reader, writer) = socket.split();
                traffic.both_ways(reader, writer).await
            }
            Err(error) => refusal_of(error.kind()),
        }
    }
}
