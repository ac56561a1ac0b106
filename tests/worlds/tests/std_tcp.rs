//! The first world: one thread, standard non-blocking sockets, no driver crate.

use klamm_core::{Action, ConnId, Disconnect, Instant, Producer, Target};
use klamm_sim::ClusterOptions;
use klamm_sim::tcp::TcpCluster;
use klamm_worlds::{Application, BROKERS, PARTITIONS, TOPIC, check_log, producer};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// One connection, in the place of its slot.
struct Socket {
    conn: ConnId,
    stream: TcpStream,
    /// The core has bytes, or had some that the socket did not take.
    has_output: bool,
}

#[derive(Default)]
struct Driver {
    sockets: [Option<Socket>; 4],
}

impl Driver {
    /// One round in the order of the producer's contract. Says whether anything happened.
    fn round(&mut self, producer: &mut Producer<'_>, now: Instant) -> bool {
        let mut busy = false;
        while let Some(action) = producer.poll_action() {
            busy = true;
            match action {
                Action::Connect { conn, target: Target::Address(address), .. } => match TcpStream::connect(address) {
                    Ok(stream) => {
                        stream.set_nonblocking(true).expect("a socket option");
                        stream.set_nodelay(true).expect("a socket option");
                        self.sockets[conn.slot()] = Some(Socket { conn, stream, has_output: false });
                        producer.handle_connected(now, conn);
                    }
                    Err(_) => producer.handle_disconnected(now, conn, Disconnect::Refused),
                },
                Action::Disconnect { conn } => self.sockets[conn.slot()] = None,
                other => panic!("addresses are literal here: {other:?}"),
            }
        }
        while let Some(conn) = producer.poll_writable() {
            if let Some(socket) = &mut self.sockets[conn.slot()] {
                socket.has_output = true;
            }
        }
        for place in &mut self.sockets {
            let Some(socket) = place else { continue };
            let open = socket.write(producer, now).and_then(|wrote| Ok(wrote | socket.read(producer, now)?));
            match open {
                Ok(moved) => busy |= moved,
                Err(why) => {
                    producer.handle_disconnected(now, socket.conn, why);
                    *place = None;
                    busy = true;
                }
            }
        }
        if producer.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
            producer.handle_timeout(now);
            busy = true;
        }
        busy
    }
}

impl Socket {
    fn write(&mut self, producer: &mut Producer<'_>, now: Instant) -> Result<bool, Disconnect> {
        let mut wrote = false;
        while self.has_output {
            let Some(transmit) = producer.poll_transmit(now, self.conn) else {
                self.has_output = false;
                break;
            };
            match self.stream.write(transmit.bytes) {
                Ok(taken) => producer.handle_transmitted(now, self.conn, taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Disconnect::Closed),
            }
            wrote = true;
        }
        Ok(wrote)
    }

    fn read(&mut self, producer: &mut Producer<'_>, now: Instant) -> Result<bool, Disconnect> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Disconnect::Closed),
            Ok(len) => {
                producer.handle_input(now, self.conn, &buffer[..len]).expect("the cluster keeps to the protocol");
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(Disconnect::Closed),
        }
    }
}

#[test]
fn publishes_over_std_sockets() {
    let cluster = TcpCluster::start(ClusterOptions { brokers: BROKERS, ..ClusterOptions::default() }).unwrap();
    cluster.with(|cluster| cluster.create_topic(TOPIC, PARTITIONS));
    let clock = std::time::Instant::now();
    let now = || Instant::from_micros(clock.elapsed().as_micros() as u64);
    let mut producer = producer(cluster.bootstrap_servers(), now());
    let mut application = Application::new(&mut producer);
    let mut driver = Driver::default();
    while !application.is_done() {
        assert!(clock.elapsed() < Duration::from_secs(60), "stuck: {:?}", producer.stats());
        application.step(&mut producer, now());
        if !driver.round(&mut producer, now()) {
            thread::sleep(Duration::from_micros(200));
        }
    }
    cluster.with(|cluster| check_log(cluster));
}
