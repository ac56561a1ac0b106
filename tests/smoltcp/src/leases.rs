//! A DHCP server for one board.

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpEndpoint};
use std::net::Ipv4Addr;

use crate::{BOARD, HOST};

const CLIENT_PORT: u16 = 68;

/// What a DHCP server gives, and what it gave.
#[derive(Debug)]
pub struct Leases {
    /// The only address that it gives; whoever wants to keep another is refused.
    pub address: [u8; 4],
    /// It does not refuse whoever wants to keep another, but gives the one above all the same.
    pub moves: bool,
    /// Seconds that a lease lasts.
    pub seconds: u32,
    /// It answers nobody.
    pub silent: bool,
    /// Leases given, first ones and renewals.
    pub given: u32,
    /// Wishes refused.
    pub refused: u32,
}

impl Leases {
    pub(crate) fn new() -> Self {
        Self { address: BOARD, moves: false, seconds: 3600, silent: false, given: 0, refused: 0 }
    }

    /// The answer to a client's message, and where it goes.
    pub(crate) fn answer(&mut self, message: &[u8]) -> Option<(Vec<u8>, IpEndpoint)> {
        let message = DhcpPacket::new_checked(message).ok()?;
        let asked = DhcpRepr::parse(&message).ok().filter(|_| !self.silent)?;
        let (host, address) = (Ipv4Addr::from(HOST), Ipv4Addr::from(self.address));
        let renews = !asked.client_ip.is_unspecified();
        let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
        let message_type = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if wanted == address || self.moves => DhcpMessageType::Ack,
            DhcpMessageType::Request => DhcpMessageType::Nak,
            _ => return None,
        };
        self.given += u32::from(message_type == DhcpMessageType::Ack);
        self.refused += u32::from(message_type == DhcpMessageType::Nak);
        let told = (message_type != DhcpMessageType::Nak).then_some(address);
        let answer = DhcpRepr {
            message_type,
            your_ip: told.unwrap_or(Ipv4Addr::UNSPECIFIED),
            router: told.map(|_| host),
            subnet_mask: told.map(|_| Ipv4Addr::new(255, 255, 255, 0)),
            server_identifier: Some(host),
            dns_servers: told.map(|_| [host].into_iter().collect()),
            lease_duration: told.map(|_| self.seconds),
            ..asked
        };
        // Whoever has no address yet hears what is for all.
        let to = if renews && told.is_some() { asked.client_ip } else { Ipv4Addr::BROADCAST };
        Some((bytes(&answer), IpEndpoint::new(to.into(), CLIENT_PORT)))
    }
}

fn bytes(answer: &DhcpRepr<'_>) -> Vec<u8> {
    let plain = DhcpRepr {
        requested_ip: None,
        client_identifier: None::<EthernetAddress>,
        parameter_request_list: None,
        max_size: None,
        additional_options: &[],
        ..answer.clone()
    };
    let mut bytes = vec![0; plain.buffer_len()];
    plain.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).expect("there is room");
    bytes
}
