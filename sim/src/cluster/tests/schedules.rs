//! Random schedules of failures, and many partitions.

use super::*;
use std::collections::BTreeMap;

const BROKERS: i32 = 4;
const PARTITIONS: u32 = 2;

/// What was sent with acks=-1, and what was acknowledged.
struct Bed {
    cluster: Cluster,
    chance: Chance,
    seed: u64,
    now_ms: u64,
    connections: BTreeMap<i32, ConnectionId>,
    /// By correlation id: the partition. The id is the record's timestamp, too.
    sent: BTreeMap<i32, u32>,
    /// Partition, offset and timestamp.
    acknowledged: Vec<(u32, i64, i64)>,
}

impl Bed {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut upto = |most: u64| 0..=chance.within(&(0..=most));
        let replication = Replication {
            fetch_ms: upto(20),
            lag_time_max_ms: 100,
            session_ms: *upto(60).end(),
            propagation_ms: upto(30),
            unclean: false,
        };
        let mut cluster = Cluster::new(ClusterOptions {
            brokers: BROKERS as u32,
            seed,
            replication,
            replication_factor: Some(3),
            min_insync_replicas: 1 + (seed % 2) as u32,
            disk_ms: if seed.is_multiple_of(3) { 0..=5 } else { 0..=0 },
            pipelined: seed.is_multiple_of(5),
            ..ClusterOptions::default()
        });
        cluster.create_topic("t", PARTITIONS);
        let connections = BTreeMap::new();
        let (sent, acknowledged) = (BTreeMap::new(), Vec::new());
        Self { cluster, chance, seed, now_ms: 0, connections, sent, acknowledged }
    }

    fn pick(&mut self, most: u64) -> u64 {
        self.chance.within(&(0..=most))
    }

    fn produce(&mut self) {
        let partition = self.pick(u64::from(PARTITIONS) - 1) as u32;
        // Mostly the leader, sometimes somebody who may think that it leads.
        let broker = match self.pick(3) {
            0 => 1 + self.pick(BROKERS as u64 - 1) as i32,
            _ => self.cluster.leader("t", partition).unwrap().0,
        };
        let (now_ms, cluster) = (self.now_ms, &mut self.cluster);
        let open = self.connections.get(&broker).copied().filter(|id| cluster.broker_of(*id).is_some());
        let Some(connection) = open.or_else(|| cluster.connect(now_ms, broker)) else { return };
        self.connections.insert(broker, connection);
        let id = self.sent.len() as i32;
        self.sent.insert(id, partition);
        let batch = Sketch { timestamp: i64::from(id), ..Sketch::of(1) }.encode();
        let mut w = request(Api::Produce, 7, id, "test");
        w.nullable_string(None);
        w.i16(-1);
        w.i32(200);
        w.list(&[()], |w, ()| {
            w.string("t");
            w.list(&[()], |w, ()| {
                w.i32(partition as i32);
                w.nullable_bytes(Some(&batch));
            });
        });
        self.cluster.receive(now_ms, connection, &finish(w));
    }

    fn collect(&mut self) {
        for connection in self.connections.values() {
            let mut out = Vec::new();
            self.cluster.transmit(self.now_ms, *connection, &mut out);
            let mut rest = &out[..];
            while !rest.is_empty() {
                let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
                let (frame, behind) = rest[4..].split_at(size);
                rest = behind;
                let id = i32::from_be_bytes(frame[..4].try_into().unwrap());
                // Topics, name, partitions, index.
                let at = 4 + 4 + 3 + 4 + 4;
                let code = i16::from_be_bytes(frame[at..at + 2].try_into().unwrap());
                if code == error::NONE {
                    let offset = i64::from_be_bytes(frame[at + 2..at + 10].try_into().unwrap());
                    self.acknowledged.push((self.sent[&id], offset, i64::from(id)));
                }
            }
        }
    }

    fn misfortune(&mut self) {
        let broker = 1 + self.pick(BROKERS as u64 - 1) as i32;
        let ends = [self.pick(BROKERS as u64) as i32, self.pick(BROKERS as u64) as i32];
        let (partition, now_ms) = (self.pick(u64::from(PARTITIONS) - 1) as u32, self.now_ms);
        let what = self.pick(13);
        let cluster = &mut self.cluster;
        match what {
            0 | 1 => cluster.kill(broker),
            2..=4 => cluster.restart(now_ms, broker),
            5 => cluster.pause(broker),
            6 => cluster.resume(now_ms, broker),
            7 => cluster.cut(ends[0], ends[1]),
            8 => cluster.mend_all(now_ms),
            9 => cluster.move_leader("t", partition, broker),
            10 => cluster.shutdown(now_ms, broker),
            11 => cluster.stop_controller(),
            12 => cluster.start_controller(now_ms),
            _ => cluster.upgrade(now_ms, broker, VersionSet::kafka_4_4()),
        }
    }

    fn check(&mut self, when: &str) {
        for partition in 0..PARTITIONS {
            let log = self.cluster.log("t", partition);
            for (_, offset, timestamp) in self.acknowledged.iter().filter(|(own, ..)| *own == partition) {
                let found = log.get(*offset as usize).map(|record| record.timestamp);
                if found != Some(*timestamp) {
                    let news = self.cluster.take_news().join("\n");
                    panic!("seed {}, {when}: {partition}/{offset} is {found:?}, not {timestamp}\n{news}", self.seed);
                }
            }
        }
    }

    fn heal(&mut self) {
        self.cluster.start_controller(self.now_ms);
        self.cluster.mend_all(self.now_ms);
        for broker in 1..=BROKERS {
            self.cluster.resume(self.now_ms, broker);
            self.cluster.restart(self.now_ms, broker);
        }
        self.now_ms += 1000;
        self.cluster.advance(self.now_ms);
        for broker in 1..=BROKERS {
            // One that was shutting down is down by now.
            self.cluster.restart(self.now_ms, broker);
        }
        // Requests that wait behind others are read one after the other.
        for _ in 0..10 + self.sent.len() {
            self.now_ms += 300;
            self.cluster.advance(self.now_ms);
            self.collect();
        }
    }
}

#[test]
fn no_clean_election_loses_what_was_acknowledged() {
    let mut acknowledged = 0;
    let seeds = std::env::var("KLAMM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(400u64);
    for seed in 0..seeds {
        let mut bed = Bed::new(seed);
        for _ in 0..150 {
            match bed.pick(9) {
                0 | 1 => bed.misfortune(),
                2..=6 => bed.produce(),
                _ => {
                    bed.now_ms += bed.pick(60);
                    bed.cluster.advance(bed.now_ms);
                }
            }
            bed.collect();
        }
        bed.check("before it heals");
        bed.heal();
        bed.check("in the end");
        for partition in 0..PARTITIONS {
            assert_ne!(bed.cluster.leader("t", partition).unwrap().0, -1, "seed {seed}");
            let isr = bed.cluster.isr("t", partition).unwrap();
            assert!(isr.len() >= 3, "seed {seed}: {isr:?}");
            let log = bed.cluster.log("t", partition);
            for node in isr {
                let own = bed.cluster.log_of(node, "t", partition);
                if own != log {
                    let brief = |log: &[StoredRecord]| -> Vec<(i64, i32)> {
                        log.iter().map(|record| (record.timestamp, record.leader_epoch)).collect()
                    };
                    let news = bed.cluster.take_news().join("\n");
                    panic!(
                        "seed {seed}: {partition} on broker {node}: {:?} is not {:?}\n{news}",
                        brief(&own),
                        brief(&log)
                    );
                }
            }
            assert_eq!(bed.cluster.high_watermark("t", partition), Some(log.len() as i64), "seed {seed}");
        }
        assert_eq!(bed.cluster.next_event(), None, "seed {seed}");
        acknowledged += bed.acknowledged.len();
    }
    assert!(acknowledged as u64 > seeds * 10, "{acknowledged}");
}

#[test]
fn equal_seeds_give_equal_clusters() {
    let run = |seed| {
        let mut bed = Bed::new(seed);
        for _ in 0..100 {
            bed.misfortune();
            bed.produce();
            bed.now_ms += 7;
            bed.collect();
        }
        format!("{:?}", bed.cluster)
    };
    assert_eq!(run(3), run(3));
}

#[test]
fn a_hundred_brokers_restart_under_ten_thousand_partitions() {
    let replication =
        Replication { fetch_ms: 1..=10, session_ms: 50, propagation_ms: 1..=20, ..Replication::default() };
    let mut client = Client::with(ClusterOptions {
        brokers: 100,
        replication_factor: Some(3),
        replication,
        keep_history: false,
        ..ClusterOptions::default()
    });
    client.cluster.create_topic("big", 10_000);
    client.go_to(1000);
    let mut delivered = 0;
    for broker in 1..=100 {
        client.cluster.kill(broker);
        client.go_to(client.now_ms + 100);
        for partition in (broker as u32..10_000).step_by(1000) {
            let leader = client.cluster.leader("big", partition).unwrap().0;
            client.at(leader).produce_frame(7, -1, &[("big", partition as i32, Sketch::of(1).encode())]);
            client.go_to(client.now_ms + 15);
            delivered += client.acks(7).iter().filter(|ack| ack.error == 0).count();
        }
        client.cluster.restart(client.now_ms, broker);
        client.go_to(client.now_ms + 100);
        assert_eq!(client.cluster.isr("big", broker as u32), client.cluster.isr("big", broker as u32 + 100));
    }
    assert_eq!((delivered, client.cluster.record_count("big")), (1000, 1000));
    client.go_to(client.now_ms + 1000);
    assert_eq!(client.cluster.next_event(), None);
    for partition in 0..10_000 {
        assert_eq!(client.cluster.isr("big", partition).unwrap().len(), 3);
    }
}
