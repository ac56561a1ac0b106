//! The second world: smoltcp, as on a board. One interface over a loopback device has both sides: the producer's sockets,
//! one per connection slot, and listening ones whose bytes go to a simulated cluster. Time is simulated too.

use klamm_core::{Action, ConnId, Disconnect, Instant, Producer, Target};
use klamm_sim::{Cluster, ClusterOptions, ConnectionId};
use klamm_worlds::{Application, BROKERS, PARTITIONS, TOPIC, check_log, producer};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::net::IpAddr;

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

/// One connection slot and its socket.
struct Place {
    handle: SocketHandle,
    conn: Option<ConnId>,
    /// The core was told that bytes can flow.
    connected: bool,
    has_output: bool,
}

/// The producer's side: what a driver on a board would be.
struct Driver {
    places: Vec<Place>,
    next_port: u16,
}

impl Driver {
    fn new(sockets: &mut SocketSet<'_>, count: usize) -> Self {
        let place = |_| Place { handle: add_socket(sockets), conn: None, connected: false, has_output: false };
        Self { places: (0..count).map(place).collect(), next_port: 49_152 }
    }

    fn poll(
        &mut self,
        producer: &mut Producer<'_>,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        now: Instant,
    ) {
        if producer.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
            producer.handle_timeout(now);
        }
        for place in &mut self.places {
            place.read(producer, sockets, now);
        }
        while let Some(action) = producer.poll_action() {
            match action {
                Action::Connect { conn, target: Target::Address(to), .. } => {
                    let place = &mut self.places[conn.slot()];
                    let IpAddr::V4(host) = to.ip() else { panic!("{to}") };
                    let socket = sockets.get_mut::<Socket<'_>>(place.handle);
                    self.next_port += 1;
                    let target = (IpAddress::Ipv4(host), to.port());
                    socket.connect(interface.context(), target, self.next_port).expect("the socket is closed");
                    *place = Place { conn: Some(conn), connected: false, has_output: false, ..*place };
                }
                Action::Disconnect { conn } => {
                    let place = &mut self.places[conn.slot()];
                    sockets.get_mut::<Socket<'_>>(place.handle).abort();
                    place.conn = None;
                }
                other => panic!("addresses are literal here: {other:?}"),
            }
        }
        while let Some(conn) = producer.poll_writable() {
            self.places[conn.slot()].has_output = true;
        }
        for place in &mut self.places {
            place.write(producer, sockets, now);
        }
    }
}

impl Place {
    /// Received bytes go into the core where they lie.
    fn read(&mut self, producer: &mut Producer<'_>, sockets: &mut SocketSet<'_>, now: Instant) {
        let Some(conn) = self.conn else { return };
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        if !self.connected && socket.may_send() {
            self.connected = true;
            producer.handle_connected(now, conn);
        }
        while socket.can_recv() {
            let take = |bytes: &mut [u8]| (bytes.len(), producer.handle_input(now, conn, bytes));
            socket.recv(take).expect("it can receive").expect("the cluster keeps to the protocol");
        }
        let lost = if self.connected { !socket.may_recv() } else { socket.state() == State::Closed };
        if lost {
            let why = if self.connected { Disconnect::Closed } else { Disconnect::Refused };
            producer.handle_disconnected(now, conn, why);
            socket.abort();
            self.conn = None;
        }
    }

    /// The core's slices go into the socket's buffer, and nowhere between.
    fn write(&mut self, producer: &mut Producer<'_>, sockets: &mut SocketSet<'_>, now: Instant) {
        let Some(conn) = self.conn else { return };
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        while self.has_output && socket.can_send() {
            let Some(transmit) = producer.poll_transmit(now, conn) else {
                self.has_output = false;
                return;
            };
            let taken = socket.send_slice(transmit.bytes).expect("it can send");
            producer.handle_transmitted(now, conn, taken);
        }
    }
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
    let mut driver = Driver::new(&mut sockets, 4);
    let mut producer = producer(cluster.bootstrap_servers(), Instant::ZERO);
    let mut application = Application::new(&mut producer);

    for now_ms in 0..60_000 {
        let now = Instant::from_millis(now_ms);
        for port in &mut ports {
            port.poll(&mut cluster, &mut sockets, now_ms);
        }
        application.step(&mut producer, now);
        driver.poll(&mut producer, &mut interface, &mut sockets, now);
        interface.poll(smoltcp::time::Instant::from_millis(now_ms as i64), &mut device, &mut sockets);
        if application.is_done() {
            return check_log(&cluster);
        }
    }
    panic!("stuck: {:?}", producer.stats());
}
