//! The second world: smoltcp, as on a board. One interface over a loopback device has both sides: the producer's sockets,
//! one per connection slot, which `klamm-smoltcp` drives, and listening ones whose bytes go to a simulated cluster. Time is
//! simulated too.

use klamm_core::Instant;
use klamm_sim::{Cluster, ClusterOptions, ConnectionId};
use klamm_smoltcp::{Connection, Driver, Options};
use klamm_worlds::{Application, BROKERS, PARTITIONS, TOPIC, check_log, producer};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// Small on purpose: a request takes several turns.
const SOCKET_BUFFER: usize = 1500;
const FIRST_PORT: u16 = 9092;

fn add_socket(sockets: &mut SocketSet<'_>) -> SocketHandle {
    let buffer = || SocketBuffer::new(vec![0; SOCKET_BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    sockets.add(socket)
}

/// One listening socket of a broker.
struct Port {
    handle: SocketHandle,
    broker: i32,
    connection: Option<ConnectionId>,
    /// Answers that the socket did not take yet.
    out: Vec<u8>,
}

impl Port {
    fn poll(&mut self, cluster: &mut Cluster, sockets: &mut SocketSet<'_>, now_ms: u64) {
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        if !socket.is_open() {
            self.out.clear();
            self.connection.take().into_iter().for_each(|connection| cluster.disconnect(connection));
            socket.listen(FIRST_PORT + self.broker as u16 - 1).expect("the socket is closed");
        }
        if self.connection.is_none() && socket.may_send() {
            self.connection = cluster.connect(now_ms, self.broker);
        }
        let Some(connection) = self.connection else { return };
        while socket.can_recv() {
            let take = |bytes: &mut [u8]| (bytes.len(), cluster.receive(now_ms, connection, bytes));
            socket.recv(take).expect("it can receive");
        }
        let open = cluster.transmit(now_ms, connection, &mut self.out);
        if socket.can_send() {
            let taken = socket.send_slice(&self.out).expect("it can send");
            self.out.drain(..taken);
        }
        if !open || !socket.may_recv() {
            socket.close();
        }
    }
}

#[test]
fn publishes_over_smoltcp() {
    let options = ClusterOptions {
        brokers: BROKERS,
        host: "127.0.0.1".into(),
        base_port: FIRST_PORT,
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::new(options);
    cluster.create_topic(TOPIC, PARTITIONS);

    let mut device = Loopback::new(Medium::Ip);
    let start = smoltcp::time::Instant::ZERO;
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, start);
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8)).expect("there is room");
    });
    let mut sockets = SocketSet::new(Vec::new());
    let mut ports: Vec<Port> = (0..3 * BROKERS)
        .map(|index| {
            let broker = (index % BROKERS + 1) as i32;
            Port { handle: add_socket(&mut sockets), broker, connection: None, out: Vec::new() }
        })
        .collect();
    let mut connections: Vec<Connection> = (0..4).map(|_| Connection::new(add_socket(&mut sockets))).collect();
    let mut driver = Driver::new(&mut connections, Options::new());
    let mut producer = producer(cluster.bootstrap_servers(), Instant::ZERO);
    let mut application = Application::new(&mut producer);

    for now_ms in 0..60_000 {
        let now = Instant::from_millis(now_ms);
        for port in &mut ports {
            port.poll(&mut cluster, &mut sockets, now_ms);
        }
        application.step(&mut producer, now);
        let _ = driver.turn(now, &mut device, &mut interface, &mut sockets, &mut producer);
        if application.is_done() {
            return check_log(&cluster);
        }
    }
    panic!("stuck: {:?}", producer.stats());
}
