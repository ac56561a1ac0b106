//! smoltcp's interface and sockets, with an address by DHCP.

use core::hint::black_box;
use core::mem::MaybeUninit;

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::dns::{self, DnsQuery};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::radio::Radio;
use crate::time::now_us;
use crate::{RECEIVE, TRANSMIT};

/// What smoltcp works in, with room for `TCP` connections; `ALL` is two more, for DHCP and DNS. It takes no flash.
pub struct Memory<const TCP: usize, const ALL: usize> {
    interface: MaybeUninit<Interface>,
    sockets: MaybeUninit<[SocketStorage<'static>; ALL]>,
    receive: [[u8; RECEIVE]; TCP],
    transmit: [[u8; TRANSMIT]; TCP],
    queries: MaybeUninit<[Option<DnsQuery>; TCP]>,
}

impl<const TCP: usize, const ALL: usize> Memory<TCP, ALL> {
    /// Memory for one [`Network`].
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self {
            interface: MaybeUninit::uninit(),
            sockets: MaybeUninit::uninit(),
            receive: [[0; RECEIVE]; TCP],
            transmit: [[0; TRANSMIT]; TCP],
            queries: MaybeUninit::uninit(),
        }
    }
}

/// The interface and what is on it.
pub struct Network<const TCP: usize> {
    /// The device.
    pub radio: &'static mut Radio,
    /// smoltcp's interface.
    pub interface: &'static mut Interface,
    /// All sockets.
    pub sockets: SocketSet<'static>,
    /// Those of TCP.
    pub tcp: [SocketHandle; TCP],
    /// That of DNS.
    pub dns: SocketHandle,
    dhcp: SocketHandle,
}

impl<const TCP: usize> Network<TCP> {
    /// Interface and sockets in this memory; `seed` differs from one start to the next.
    pub fn new<const ALL: usize>(radio: &'static mut Radio, memory: &'static mut Memory<TCP, ALL>, seed: u64) -> Self {
        // From the chip's fuses.
        let mut config = Config::new(EthernetAddress(black_box([0x02, 0, 0, 0, 0, 1])).into());
        config.random_seed = seed;
        let interface = memory.interface.write(Interface::new(config, radio, now()));
        let mut sockets = SocketSet::new(memory.sockets.write([SocketStorage::EMPTY; _]).as_mut_slice());
        let mut transmit = memory.transmit.each_mut().map(<[u8; _]>::as_mut_slice).into_iter();
        let tcp = memory.receive.each_mut().map(|receive| {
            let transmit = transmit.next().unwrap_or_default();
            let (receive, transmit) =
                (tcp::SocketBuffer::new(receive.as_mut_slice()), tcp::SocketBuffer::new(transmit));
            sockets.add(tcp::Socket::new(receive, transmit))
        });
        let dns = sockets.add(dns::Socket::new(&[], memory.queries.write([const { None }; _]).as_mut_slice()));
        let dhcp = sockets.add(dhcpv4::Socket::new());
        Self { radio, interface, sockets, tcp, dns, dhcp }
    }

    /// Does what smoltcp has to do, and what DHCP says. Whether anything came of it, and when to call again at the latest, in
    /// microseconds.
    pub fn turn(&mut self) -> (bool, Option<u64>) {
        let now = now();
        let changed = self.interface.poll(now, self.radio, &mut self.sockets) == PollResult::SocketStateChanged;
        let changed = changed | self.poll_lease();
        let next = self.interface.poll_at(now, &self.sockets);
        (changed, next.map(|at| at.total_micros() as u64))
    }

    /// Whether DHCP gave or took an address.
    pub fn poll_lease(&mut self) -> bool {
        let event = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll();
        let lease = match event {
            None => return false,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => {
                let server = config.dns_servers.first().map(|server| IpAddress::from(*server));
                Some((config.address, config.router, server))
            }
        };
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some((address, ..)) = lease {
                // There is room for one.
                let _ = addresses.push(IpCidr::Ipv4(address));
            }
        });
        let routes = self.interface.routes_mut();
        match lease.and_then(|(_, router, _)| router) {
            Some(router) => drop(routes.add_default_ipv4_route(router)),
            None => drop(routes.remove_default_ipv4_route()),
        }
        if let Some((_, _, Some(server))) = lease {
            self.sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(&[server]);
        }
        true
    }
}

fn now() -> Instant {
    Instant::from_micros(now_us() as i64)
}
