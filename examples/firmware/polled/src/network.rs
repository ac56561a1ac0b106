//! The network below the producer: smoltcp's interface and sockets, and an address by DHCP.

use klamm_firmware_app::{CONNECTIONS, Settings};
use klamm_smoltcp::to_smoltcp;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Cidr};

use crate::Board;
use crate::memory::NetworkMemory;

/// Name servers that smoltcp's DNS socket takes (its `DNS_MAX_SERVER_COUNT`).
const NAME_SERVERS: usize = 1;

/// The interface and what is on it.
pub(crate) struct Network {
    pub(crate) interface: &'static mut Interface,
    pub(crate) sockets: SocketSet<'static>,
    /// One for each connection slot of the producer.
    pub(crate) connections: [SocketHandle; CONNECTIONS],
    pub(crate) dns: SocketHandle,
    dhcp: SocketHandle,
}

impl Network {
    #[inline(never)] // what is made on the stack first is no part of the main loop's stack
    pub(crate) fn new<B: Board>(
        board: &mut B,
        memory: &'static mut NetworkMemory,
        settings: &Settings<'_>,
        seed: u64,
    ) -> Self {
        let mut config = Config::new(EthernetAddress(board.hardware_address()).into());
        // Local ports and sequence numbers must differ from those before a reset.
        config.random_seed = seed;
        let now = to_smoltcp(board.now());
        let interface = memory.interface.write(Interface::new(config, board.device(), now));
        let mut sockets = SocketSet::new(memory.sockets.write([SocketStorage::EMPTY; _]).as_mut_slice());
        let connections = memory.receive.each_mut().map(<[u8; _]>::as_mut_slice);
        let mut transmit = memory.transmit.each_mut().map(<[u8; _]>::as_mut_slice).into_iter();
        let connections = connections.map(|receive| {
            let transmit = transmit.next().unwrap_or_default();
            sockets.add(tcp::Socket::new(
                tcp::SocketBuffer::new(shorten(receive, settings.receive)),
                tcp::SocketBuffer::new(shorten(transmit, settings.transmit)),
            ))
        });
        let dns = sockets.add(dns::Socket::new(&[], memory.queries.write([const { None }; _]).as_mut_slice()));
        let dhcp = sockets.add(dhcpv4::Socket::new());
        Self { interface, sockets, connections, dns, dhcp }
    }

    /// Whether DHCP has news: the address that was given, or none if it was taken back.
    pub(crate) fn poll_lease(&mut self) -> Option<Option<Ipv4Cidr>> {
        let lease = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll()? {
            dhcpv4::Event::Configured(config) => {
                let mut servers = [IpAddress::v4(0, 0, 0, 0); NAME_SERVERS];
                let known = config.dns_servers.iter().zip(&mut servers).map(|(from, to)| *to = (*from).into()).count();
                Some((config.address, config.router, servers, known))
            }
            dhcpv4::Event::Deconfigured => None,
        };
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some((address, ..)) = lease {
                // There is room for one.
                let _ = addresses.push(IpCidr::Ipv4(address));
            }
        });
        let routes = self.interface.routes_mut();
        match lease.and_then(|(_, router, ..)| router) {
            Some(router) => drop(routes.add_default_ipv4_route(router)),
            None => drop(routes.remove_default_ipv4_route()),
        }
        if let Some((_, _, servers, known)) = &lease {
            let servers = servers.get(..*known).unwrap_or_default();
            self.sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(servers);
        }
        Some(lease.map(|(address, ..)| address))
    }
}

fn shorten(buffer: &mut [u8], len: usize) -> &mut [u8] {
    let len = len.min(buffer.len());
    buffer.split_at_mut_checked(len).map_or(&mut [], |(first, _)| first)
}
