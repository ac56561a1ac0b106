//! The smallest firmware that publishes over smoltcp, with DHCP and DNS. It is measured, not run: `cargo xtask size` reads from it
//! what core, driver and stack cost in flash. Unlike in `examples/minimal-thumb`, only what an application uses is called.
//!
//! smoltcp itself can panic, so that the panic machinery is linked here.
#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};
use core::mem::MaybeUninit;

use klamm_core::{Config, Event, Header, Instant, Producer, Record, TickExtender, static_storage};
use klamm_smoltcp::{Connection, Driver, Options, to_smoltcp};
use smoltcp::iface::{Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::wire::{EthernetAddress, IpCidr};

/// 4 KiB for records; one topic with four partitions on two brokers.
type Memory = static_storage!(
    block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 2, connections: 2
);

// Statics, so that the linker counts all of the RAM.
static mut MEMORY: Memory = Memory::new();
static mut PRODUCER: MaybeUninit<Producer<'static>> = MaybeUninit::uninit();
static mut BUFFERS: [[u8; 1536]; 4] = [[0; 1536]; 4];

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// A network card that is none: frames come from and go to where the optimiser cannot look.
struct Card {
    received: [u8; 1514],
    sent: [u8; 1514],
}

struct Frame<'a>(&'a mut [u8; 1514]);

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0.get(..black_box(60)).unwrap_or(&[]))
    }
}

impl TxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let frame = self.0.get_mut(..len).unwrap_or(&mut []);
        let result = f(frame);
        let _ = black_box(frame);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Frame<'a>;
    type TxToken<'a> = Frame<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Frame<'_>, Frame<'_>)> {
        let _ = black_box(&mut self.received);
        black_box(true).then_some((Frame(&mut self.received), Frame(&mut self.sent)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Frame<'_>> {
        black_box(true).then_some(Frame(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// The board's entry; a real one sets up stack, `.data` and `.bss` first.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".start")]
pub extern "C" fn _start() -> ! {
    let (memory, place, buffers) = (&raw mut MEMORY, &raw mut PRODUCER, &raw mut BUFFERS);
    // SAFETY: this runs once, before anything else, so that nobody else holds the memory.
    let (memory, place, buffers) = unsafe { (&mut *memory, &mut *place, &mut *buffers) };
    let _ = black_box(run(memory, place, buffers));
    loop {
        spin_loop();
    }
}

/// What the README of `klamm-smoltcp` shows.
fn run(
    memory: &'static mut Memory,
    place: &mut MaybeUninit<Producer<'static>>,
    buffers: &mut [[u8; 1536]; 4],
) -> Option<()> {
    let mut card = Card { received: [0; 1514], sent: [0; 1514] };
    let mut clock = TickExtender::new();
    let mut config = smoltcp::iface::Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
    config.random_seed = black_box(7);
    let mut iface = Interface::new(config, &mut card, to_smoltcp(tick(&mut clock)));
    let mut places = [SocketStorage::EMPTY; 4];
    let mut queries = [None];
    let mut sockets = SocketSet::new(&mut places[..]);
    let [rx1, tx1, rx2, tx2] = buffers.each_mut().map(|buffer| tcp::SocketBuffer::new(&mut buffer[..]));
    let mut connections =
        [(rx1, tx1), (rx2, tx2)].map(|(rx, tx)| Connection::new(sockets.add(tcp::Socket::new(rx, tx))));
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let dns = sockets.add(dns::Socket::new(&[], &mut queries[..]));

    let config = Config::new("kafka.example:9092");
    let now = tick(&mut clock);
    let producer = place.write(Producer::new(config, memory.storage()?, black_box([7; 32]), now).ok()?);
    let topic = producer.topic("readings").ok()?;
    let mut options = Options::new();
    options.dns = Some(dns);
    let mut driver = Driver::new(&mut connections, options);
    loop {
        let now = tick(&mut clock);
        let headers = [Header { key: "unit", value: Some(black_box(b"C")) }];
        let record = Record { headers: &headers, ..Record::keyed(black_box(b"kitchen"), black_box(b"21.5")) };
        let _ = black_box(producer.send(now, topic, &record));
        if black_box(false) {
            driver.link_changed(black_box(true));
        }
        let wake = driver.turn(now, &mut card, &mut iface, &mut sockets, producer);
        lease(&mut iface, &mut sockets, dhcp, dns);
        while let Some(event) = producer.poll_event() {
            if let Event::Batch(outcome) = event {
                let _ = black_box(outcome.result);
            }
        }
        let _ = black_box(wake);
    }
}

/// The time, from a free-running counter.
fn tick(clock: &mut TickExtender) -> Instant {
    clock.millis(black_box(0))
}

/// Takes over what DHCP brought.
fn lease(iface: &mut Interface, sockets: &mut SocketSet<'_>, dhcp: SocketHandle, dns: SocketHandle) {
    let Some(event) = sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() else { return };
    let dhcpv4::Event::Configured(config) = event else { return iface.update_ip_addrs(|addresses| addresses.clear()) };
    let server = config.dns_servers.first().map(|server| (*server).into());
    iface.update_ip_addrs(|addresses| {
        addresses.clear();
        addresses.extend([IpCidr::Ipv4(config.address)]);
    });
    let _ = config.router.map(|router| iface.routes_mut().add_default_ipv4_route(router));
    sockets.get_mut::<dns::Socket<'_>>(dns).update_servers(server.as_slice());
}
