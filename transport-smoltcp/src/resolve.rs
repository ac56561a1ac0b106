//! Names, by smoltcp's DNS socket.

use core::net::{IpAddr, Ipv4Addr};

use klamm_core::Disconnect;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dns::{GetQueryResultError, Socket, StartQueryError};
use smoltcp::wire::{DnsQueryType, IpCidr};

use crate::connection::{Connection, Query, Stage, is_on_link};
use crate::driver::Hands;

/// As many as the core keeps.
const ADDRESSES: usize = 4;

impl Connection {
    /// Asks for the name if nobody was asked yet, and passes the answer on. smoltcp repeats questions and changes servers;
    /// the core's set-up timeout ends it all.
    pub(crate) fn resolve(&mut self, hands: &mut Hands<'_, '_, '_>, dns: Option<SocketHandle>) -> bool {
        let Stage::Resolving { query, second } = self.stage else { return false };
        let Some(Query(query)) = query else { return self.ask(hands, dns, second) };
        let Some(socket) = dns_socket(hands.sockets, dns) else { return self.no_dns(hands) };
        match socket.get_query_result(query) {
            Err(GetQueryResultError::Pending) => false,
            Ok(addresses) if !addresses.is_empty() => {
                let mut found = [IpAddr::V4(Ipv4Addr::UNSPECIFIED); ADDRESSES];
                let mut count = 0usize;
                for (to, from) in found.iter_mut().zip(&addresses) {
                    *to = (*from).into();
                    count = count.wrapping_add(1);
                }
                self.stage = Stage::Idle; // until the core says which address it takes
                if let Some(conn) = self.conn {
                    debug!("slot {}: {} addresses", conn.slot(), count);
                    hands.producer.handle_resolved(hands.now, conn, found.get(..count).unwrap_or(&[]));
                }
                true
            }
            Ok(_) | Err(GetQueryResultError::Failed) => {
                if !second && families(hands.iface.ip_addrs()) == (true, true) {
                    self.stage = Stage::Resolving { query: None, second: true };
                } else {
                    self.stage = Stage::Idle; // the query is gone
                    self.lost(hands, Disconnect::Dns);
                }
                true
            }
        }
    }

    /// Asks for addresses of the family that the interface has; IPv4 first if it has both.
    fn ask(&mut self, hands: &mut Hands<'_, '_, '_>, dns: Option<SocketHandle>, second: bool) -> bool {
        let (has_v4, has_v6) = families(hands.iface.ip_addrs());
        if !has_v4 && !has_v6 {
            return false; // nobody could answer to us
        }
        let kind = if has_v4 && !second { DnsQueryType::A } else { DnsQueryType::Aaaa };
        let Some(socket) = dns_socket(hands.sockets, dns) else { return self.no_dns(hands) };
        let Some(conn) = self.conn else { return false };
        let Some((host, _)) = hands.producer.connection_host(conn) else { return false };
        match socket.start_query(hands.iface.context(), host, kind) {
            Ok(query) => {
                self.stage = Stage::Resolving { query: Some(Query(query)), second };
                true
            }
            Err(StartQueryError::NoFreeSlot) => false, // others ask; the next look finds a slot
            Err(StartQueryError::InvalidName | StartQueryError::NameTooLong) => {
                self.lost(hands, Disconnect::Dns);
                true
            }
        }
    }

    fn no_dns(&mut self, hands: &mut Hands<'_, '_, '_>) -> bool {
        warning!("no DNS socket has the handle that was given");
        self.lost(hands, Disconnect::Dns);
        true
    }

    /// The core does not wait for the answer any longer.
    pub(crate) fn cancel_query(&mut self, hands: &mut Hands<'_, '_, '_>, dns: Option<SocketHandle>) {
        let Stage::Resolving { query: Some(Query(query)), .. } = self.stage else { return };
        if let Some(socket) = dns_socket(hands.sockets, dns) {
            socket.cancel_query(query);
        }
        self.stage = Stage::Idle;
    }
}

/// Whether there are IPv4 and IPv6 addresses among ours that lead further than our own link.
fn families(ours: &[IpCidr]) -> (bool, bool) {
    let mut leading = ours.iter().map(|own| IpAddr::from(own.address())).filter(|own| !is_on_link(*own));
    let has_v4 = leading.clone().any(|own| own.is_ipv4());
    (has_v4, leading.any(|own| own.is_ipv6()))
}

fn dns_socket<'t, 's>(sockets: &'t mut SocketSet<'s>, wanted: Option<SocketHandle>) -> Option<&'t mut Socket<'s>> {
    sockets.iter_mut().find_map(|(handle, socket)| match socket {
        smoltcp::socket::Socket::Dns(socket) if Some(handle) == wanted => Some(socket),
        _ => None,
    })
}
