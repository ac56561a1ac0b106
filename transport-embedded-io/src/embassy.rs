//! embassy-net's own sockets.

use core::cell::{Cell, RefCell, RefMut};
use core::net::{IpAddr, SocketAddr};

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{IpAddress, Stack};
use klamm_core::Disconnect;

use crate::{Connector, Traffic};

/// Plain TCP over embassy-net 0.9, with one socket for each connection slot: `N` is the driver's.
///
/// What it does better than a [`Tcp`](crate::Tcp) over embassy-net's `TcpClient`: it waits for an address instead of failing without one,
/// reads while it writes, takes a name's addresses by turns, and tells the broker when a connection is over (by a reset, since nothing
/// of it is wanted any longer). Those who drop a `TcpClient`'s connection leave it to the broker to find out. IPv6 with the
/// feature `proto-ipv6`; a name's IPv4 addresses go first.
///
/// smoltcp, on which embassy-net is, keeps one address per name unless its feature `dns-max-result-count-4` is on (or a greater one).
/// embassy-net does not hand that feature on: depend on smoltcp, in the version that embassy-net has, and turn it on there.
pub struct EmbassyTcp<'d, const N: usize> {
    stack: Stack<'d>,
    sockets: [RefCell<TcpSocket<'d>>; N],
    /// Which of a name's addresses is next.
    turn: Cell<usize>,
}

impl<'d, const N: usize> EmbassyTcp<'d, N> {
    /// Sockets with these buffers, a receive and a transmit buffer each. The stack's `StackResources` need room for `N` sockets, one
    /// for DNS, and one for DHCP.
    pub fn new(stack: Stack<'d>, buffers: [(&'d mut [u8], &'d mut [u8]); N]) -> Self {
        let sockets = buffers.map(|(receive, transmit)| RefCell::new(TcpSocket::new(stack, receive, transmit)));
        Self { stack, sockets, turn: Cell::new(0) }
    }
}

impl<const N: usize> Connector for EmbassyTcp<'_, N> {
    async fn resolve(&self, host: &str) -> Result<IpAddr, Disconnect> {
        self.stack.wait_config_up().await;
        let addresses = self.stack.dns_query(host, DnsQueryType::A).await;
        #[cfg(feature = "proto-ipv6")]
        let addresses = match addresses {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => self.stack.dns_query(host, DnsQueryType::Aaaa).await,
        };
        let addresses = addresses.map_err(|_| Disconnect::Dns)?;
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        match turn.checked_rem(addresses.len()).and_then(|turn| addresses.get(turn)) {
            Some(IpAddress::Ipv4(address)) => Ok(IpAddr::V4(*address)),
            #[cfg(feature = "proto-ipv6")]
            Some(IpAddress::Ipv6(address)) => Ok(IpAddr::V6(*address)),
            _ => Err(Disconnect::Dns),
        }
    }

    async fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> Disconnect {
        let address = match remote.ip() {
            IpAddr::V4(address) => IpAddress::Ipv4(address),
            #[cfg(feature = "proto-ipv6")]
            IpAddr::V6(address) => IpAddress::Ipv6(address),
            #[cfg(not(feature = "proto-ipv6"))]
            IpAddr::V6(_) => return Disconnect::Unreachable,
        };
        self.stack.wait_config_up().await;
        let socket = self.sockets.get(traffic.slot()).and_then(|socket| socket.try_borrow_mut().ok());
        let Some(socket) = socket else { return Disconnect::Other };
        let mut held = Held(socket);
        held.say_goodbye().await;
        if let Err(error) = held.0.connect((address, remote.port())).await {
            return match error {
                ConnectError::ConnectionReset => Disconnect::Refused,
                ConnectError::TimedOut => Disconnect::TimedOut,
                ConnectError::NoRoute => Disconnect::Unreachable,
                ConnectError::InvalidState => Disconnect::Other,
            };
        }
        let (reader, writer) = held.0.split();
        traffic.both_ways(reader, writer).await
    }
}

/// A socket for as long as a connection has it.
struct Held<'s, 'd>(RefMut<'s, TcpSocket<'d>>);

impl Held<'_, '_> {
    /// Lets the stack send the reset of the connection before, if it can: a socket that connects forgets it.
    async fn say_goodbye(&mut self) {
        let two_rounds = async {
            // In one of them the stack's runner has its turn for certain.
            yield_now().await;
            yield_now().await;
        };
        select(self.0.flush(), two_rounds).await;
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<const N: usize> core::fmt::Debug for EmbassyTcp<'_, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EmbassyTcp").field("sockets", &N).finish_non_exhaustive()
    }
}
