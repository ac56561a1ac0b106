//! Something between the socket and Kafka's protocol: a session that borrows its socket, shakes hands, holds bytes back until it is
//! flushed, and loses its place when a read is dropped, as TLS libraries do.

use embassy_futures::select::select;
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use klamm_core::{Disconnect, Problem};
use klamm_embedded_io::{Connector, Driver, Duplex, Traffic, refusal_of};
use klamm_embedded_io_tests::{
    CHUNK, CONNECTIONS, Executor, Scenario, SimDns, SimStream, SimTcp, Weather, World, for_polls,
};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

/// Bytes that a session holds back at most.
const RECORD: usize = 100;

/// Opens sessions; counts them, and what they have done.
struct Sessions {
    world: World,
    tcp: SimTcp,
    dns: SimDns,
    /// Memory for each slot, as a TLS session needs it for its records.
    records: [RefCell<[u8; RECORD]>; CONNECTIONS],
    open: Cell<usize>,
    refuse: Cell<bool>,
}

struct Session<'s> {
    socket: &'s Duplex<SimStream>,
    record: &'s mut [u8; RECORD],
}

struct Reader<'s> {
    socket: &'s Duplex<SimStream>,
    /// A read has begun, and not ended.
    within: bool,
}

struct Writer<'s> {
    socket: &'s Duplex<SimStream>,
    record: &'s mut [u8; RECORD],
    held: usize,
}

impl<'s> Session<'s> {
    /// The handshake: some bytes to and fro. The simulated broker would not understand them, so time stands for them.
    async fn open(
        world: &World,
        socket: &'s Duplex<SimStream>,
        record: &'s mut [u8; RECORD],
        name: &str,
    ) -> Option<Self> {
        world.sleep_ms(20).await;
        (name == "broker.sim").then_some(Self { socket, record })
    }

    fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        (Reader { socket: self.socket, within: false }, Writer { socket: self.socket, record: self.record, held: 0 })
    }
}

impl ErrorType for Reader<'_> {
    type Error = ErrorKind;
}

impl Read for Reader<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!std::mem::replace(&mut self.within, true), "the last read was dropped");
        let mut socket = self.socket;
        let read = socket.read(buffer).await;
        self.within = false;
        read
    }
}

impl ErrorType for Writer<'_> {
    type Error = ErrorKind;
}

impl Write for Writer<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.held == RECORD {
            self.flush().await?;
        }
        let count = bytes.len().min(RECORD - self.held);
        self.record[self.held..self.held + count].copy_from_slice(&bytes[..count]);
        self.held += count;
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        let (mut sent, mut socket) = (0, self.socket);
        while sent < self.held {
            sent += socket.write(&self.record[sent..self.held]).await?;
        }
        self.held = 0;
        Ok(())
    }
}

impl Connector for Sessions {
    async fn resolve(&self, host: &str) -> Result<IpAddr, Disconnect> {
        self.dns.get_host_by_name(host, AddrType::Either).await.map_err(|_| Disconnect::Dns)
    }

    #[expect(clippy::await_holding_refcell_ref, reason = "a slot has one connection at a time")]
    async fn carry(&self, remote: SocketAddr, traffic: impl Traffic) -> Disconnect {
        let socket = match self.tcp.connect(remote).await {
            Ok(socket) => Duplex::new(socket),
            Err(error) => return refusal_of(error.kind()),
        };
        if self.refuse.get() {
            return Disconnect::Tls;
        }
        // The slot's memory is free whenever the slot connects.
        let mut record = self.records[traffic.slot()].borrow_mut();
        let Some(mut session) = Session::open(&self.world, &socket, &mut record, traffic.host()).await else {
            return Disconnect::Tls;
        };
        self.open.set(self.open.get() + 1);
        let (reader, writer) = session.split();
        traffic.flushing().both_ways(reader, writer).await
    }
}

fn sessions(world: &World) -> Sessions {
    let records = [const { RefCell::new([0; RECORD]) }; CONNECTIONS];
    Sessions {
        world: world.clone(),
        tcp: world.tcp(),
        dns: world.dns(),
        records,
        open: Cell::new(0),
        refuse: Cell::new(false),
    }
}

fn publishes_through(seed: u64, weather: Weather, trouble: impl AsyncFn(&World, &Sessions)) -> Scenario {
    let scenario = Scenario::new(World::new(seed, 3, weather), |config| config.request_timeout_ms = 5_000);
    let sessions = sessions(&scenario.world);
    {
        let mut executor = Executor::new(&scenario.world);
        executor.spawn(async {
            let mut driver = Driver::<_, _, _, CONNECTIONS, CHUNK>::new(&scenario.shared, &sessions);
            driver.run().await;
        });
        scenario.spawn_application(&mut executor, 3, 100, 9);
        executor.spawn(trouble(&scenario.world, &sessions));
        assert!(executor.run_ms(600_000), "{scenario:?}");
    }
    scenario.verify_all_delivered(300);
    assert!(sessions.open.get() >= 2);
    scenario
}

#[test]
fn sessions_carry_records() {
    for seed in 0..10 {
        publishes_through(seed, Weather::default(), async |_, _| {});
        let small = Weather { read: 1..=5, write: 1..=9, window: 40, ..Weather::default() };
        publishes_through(seed, small, async |_, _| {});
    }
}

#[test]
fn sessions_break_and_are_opened_again() {
    for seed in 0..10 {
        publishes_through(seed, Weather::default(), async |world, _| {
            for round in 0..6 {
                select(world.sleep_ms(200), world.sleep_ms(300)).await;
                match round % 2 {
                    0 => world.swallow_everything(),
                    _ => world.with(|state| {
                        state.cluster.kill(round % 3 + 1);
                        state.cluster.restart(state.now_ms(), round % 3 + 1);
                    }),
                }
            }
        });
    }
}

#[test]
fn handshakes_that_fail_are_told() {
    let scenario = publishes_through(1, Weather::default(), async |world, sessions| {
        sessions.refuse.set(true);
        world.sleep_ms(3_000).await;
        sessions.refuse.set(false);
    });
    scenario.ledger.with(|accounts| assert_eq!(accounts.problems[0], Problem::Unreachable(Disconnect::Tls)));
}

#[test]
fn sessions_end_with_a_dropped_run() {
    for polls in (0..150).step_by(3) {
        let scenario = Scenario::new(World::new(8, 3, Weather::default()), |config| config.request_timeout_ms = 5_000);
        let sessions = sessions(&scenario.world);
        {
            let mut executor = Executor::new(&scenario.world);
            executor.spawn(async {
                let mut driver = Driver::<_, _, _, CONNECTIONS, CHUNK>::new(&scenario.shared, &sessions);
                for _ in 0..3 {
                    if for_polls(pin!(driver.run()), polls).await {
                        return;
                    }
                    scenario.world.with(|state| assert_eq!(state.sockets, 0, "dropped with the run"));
                }
                driver.run().await;
            });
            scenario.spawn_application(&mut executor, 3, 60, 5);
            assert!(executor.run_ms(600_000), "{polls}: {scenario:?}");
        }
        scenario.verify_all_delivered(180);
    }
}
