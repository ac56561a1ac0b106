//! A producer and its broker: the simulated cluster until the first answer, then that answer again and again.

use klamm_core::{Action, Config, ConnId, Crc32c, Event, Instant, Limits, Producer, Record, Storage, Target, TopicId};
use klamm_sim::{Cluster, ClusterOptions, ConnectionId};
use std::collections::BTreeMap;

const TOPIC: &str = "readings";

/// How a world is made.
pub(crate) struct Setup {
    pub(crate) crc32c: Crc32c,
    pub(crate) block_size: usize,
    pub(crate) partitions: u32,
    pub(crate) buffer_memory: usize,
}

/// One producer, connected to one broker that leads all partitions.
pub(crate) struct World {
    pub(crate) producer: Producer<'static>,
    pub(crate) topic: TopicId,
    pub(crate) now: Instant,
    pub(crate) delivered: u64,
    /// The broker's first answer to a Produce request; its correlation id is patched for each later one.
    answer: Vec<u8>,
    /// The correlation id of the request that is being written.
    correlation_id: [u8; 4],
}

impl World {
    /// Connects and delivers one record to partition 0, so that everything is known and warm.
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut cluster = Cluster::new(ClusterOptions { brokers: 1, ..ClusterOptions::default() });
        cluster.create_topic(TOPIC, setup.partitions);
        let mut config = Config::new(cluster.bootstrap_servers());
        config.crc32c = setup.crc32c;
        config.resolve_names = false;
        config.linger_ms = 1_000;
        let limits = Limits {
            buffer_memory: setup.buffer_memory,
            block_size: setup.block_size,
            batches: 16_384,
            partitions: setup.partitions as usize + 1,
            ..Limits::default()
        };
        let now = Instant::from_millis(1);
        let storage = Storage::heap(&limits);
        let mut producer = Producer::new(config, storage, [7; 32], now).expect("the settings are legal");
        producer.set_wall_clock(now, 1_700_000_000_000);
        let topic = producer.topic(TOPIC).expect("there is room for a topic");
        let mut world = Self { producer, topic, now, delivered: 0, answer: Vec::new(), correlation_id: [0; 4] };
        world.warm_up(&mut cluster);
        world
    }

    /// Drives the producer over the simulated cluster until one record is delivered, and keeps the answer to it.
    fn warm_up(&mut self, cluster: &mut Cluster) {
        let mut sockets: BTreeMap<ConnId, ConnectionId> = BTreeMap::new();
        let mut answer = Vec::new();
        let mut sent = false;
        for step in 0..1_000 {
            let now_ms = 1 + step;
            self.now = Instant::from_millis(now_ms);
            self.producer.handle_timeout(self.now);
            if !sent && self.producer.partition_count(self.topic).is_some() {
                let record = Record::value(b"warm").to_partition(0);
                self.producer.send(self.now, self.topic, &record).expect("the partitions are known");
                self.producer.flush(self.now);
                sent = true;
            }
            while let Some(action) = self.producer.poll_action() {
                match action {
                    Action::Connect { conn, target: Target::Name { host, port }, .. } => {
                        sockets.insert(conn, cluster.connect_to(now_ms, host, port).expect("the broker lives"));
                        self.producer.handle_connected(self.now, conn);
                    }
                    Action::Disconnect { conn } => drop(sockets.remove(&conn)),
                    other => panic!("unexpected: {other:?}"),
                }
            }
            while let Some(conn) = self.producer.poll_writable() {
                while let Some(transmit) = self.producer.poll_transmit(self.now, conn) {
                    cluster.receive(now_ms, sockets[&conn], transmit.bytes);
                    let taken = transmit.bytes.len();
                    self.producer.handle_transmitted(self.now, conn, taken);
                }
            }
            for (conn, socket) in &sockets {
                answer.clear();
                assert!(cluster.transmit(now_ms, *socket, &mut answer), "the broker does not close");
                self.producer.handle_input(self.now, *conn, &answer).expect("the broker is a good one");
                if cluster.record_count(TOPIC) > 0 && self.answer.is_empty() && !answer.is_empty() {
                    self.answer.clone_from(&answer);
                }
            }
            while let Some(event) = self.producer.poll_event() {
                if let Event::Batch(outcome) = event {
                    outcome.result.expect("delivered");
                    return;
                }
            }
        }
        panic!("the first record was not delivered");
    }

    /// Sends up to `count` records; stops when the producer has something to do, and says how many it took.
    pub(crate) fn send(&mut self, record: &Record<'_>, count: u64) -> u64 {
        let mut sent = 0;
        while sent < count {
            sent += 1;
            let accepted = self.producer.send(self.now, self.topic, record).expect("there is room");
            if accepted.wake {
                break;
            }
        }
        sent
    }

    /// Moves a request to the broker, if one is ready; says by which connection.
    pub(crate) fn transmit(&mut self) -> Option<ConnId> {
        while self.producer.poll_action().is_some() {}
        let mut written = None;
        let conn = self.producer.poll_writable()?;
        loop {
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let count = self.producer.poll_transmit_vectored(self.now, conn, &mut slices);
            if count == 0 {
                return written;
            }
            if written.is_none() {
                // A request begins with its length, API, version and correlation id.
                self.correlation_id.copy_from_slice(&slices[0][8..12]);
                written = Some(conn);
            }
            let taken = slices[..count].iter().map(|slice| slice.len()).sum();
            self.producer.handle_transmitted(self.now, conn, taken);
        }
    }

    /// The broker answers the request that was written.
    pub(crate) fn respond(&mut self, conn: ConnId) {
        self.answer[4..8].copy_from_slice(&self.correlation_id);
        self.producer.handle_input(self.now, conn, &self.answer).expect("the answer fits the request");
        while let Some(event) = self.producer.poll_event() {
            if let Event::Batch(outcome) = event {
                outcome.result.expect("delivered");
                self.delivered += u64::from(outcome.count);
            }
        }
    }
}
