//! Real sockets on loopback, by edge-nal-std: the stack of edge-net's, and of ESP-IDF. Senders are threads.

use async_io::Timer;
use edge_nal_std::Stack;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use futures_lite::future::{block_on, zip};
use klamm_core::{Config, Event, Instant, Limits, Producer, Record, Storage};
use klamm_embedded_io::{Clock, Driver, EdgeTcp, Shared};
use klamm_sim::ClusterOptions;
use klamm_sim::tcp::TcpCluster;
use std::time::Duration;

const THREADS: u32 = 3;
const RECORDS: u32 = 300;

struct StdClock(std::time::Instant);

impl Clock for StdClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }

    async fn sleep_until(&self, at: Instant) {
        Timer::at(self.0 + Duration::from_micros(at.as_micros())).await;
    }
}

fn share(cluster: &TcpCluster) -> Shared<'static, CriticalSectionRawMutex, StdClock> {
    let clock = StdClock(std::time::Instant::now());
    let storage = Storage::heap(&Limits {
        buffer_memory: 16 << 10,
        block_size: 256,
        batches: 16,
        partitions: 4,
        topics: 1,
        brokers: 3,
        connections: 3,
        topic_bytes: 64,
        host_bytes: 64,
        scratch_bytes: 160,
    });
    // A name, so that the resolver has something to do.
    let servers = cluster.bootstrap_servers().replace("127.0.0.1", "localhost");
    let mut config = Config::new(servers);
    config.batch_size = 1024;
    Shared::new(Producer::new(config, storage, [7; 32], clock.now()).expect("it works"), clock)
}

#[test]
fn threads_publish_over_real_sockets_while_a_broker_dies() {
    let cluster = TcpCluster::start(ClusterOptions { brokers: 3, ..ClusterOptions::default() }).expect("sockets");
    cluster.with(|cluster| cluster.create_topic("readings", 4));
    let shared = share(&cluster);
    let topic = shared.topic("readings").expect("there is room");
    let mut delivered = 0;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                for number in 0..RECORDS {
                    let (key, value) = (format!("{thread}"), format!("{thread}:{number}"));
                    let record = Record::keyed(key.as_bytes(), value.as_bytes());
                    block_on(shared.send(topic, &record)).expect("it waits for room");
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let cluster = &cluster;
        let shared = &shared;
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            cluster.kill(2);
            std::thread::sleep(Duration::from_millis(150));
            cluster.restart(2).expect("its port is free again");
        });
        scope.spawn(move || {
            while cluster.with(|cluster| cluster.record_count("readings")) < u64::from(THREADS * RECORDS) {
                std::thread::sleep(Duration::from_millis(20));
            }
            block_on(shared.flush());
            block_on(shared.close(Duration::from_secs(10)));
        });
        let mut driver = Driver::<_, _, _, 3, 1024>::new(shared, EdgeTcp::new(Stack::new(), Stack::new()));
        block_on(zip(driver.run(), async {
            while let Some(event) = shared.next_event().await {
                if let Event::Batch(outcome) = event {
                    outcome.result.expect("delivered");
                    delivered += outcome.count;
                }
            }
        }));
    });
    assert_eq!(delivered, THREADS * RECORDS);
    for thread in 0..THREADS {
        let logs: Vec<_> = cluster.with(|cluster| (0..4).flat_map(|index| cluster.log("readings", index)).collect());
        let own = logs.into_iter().filter(|record| record.key == Some(format!("{thread}").into_bytes()));
        let values: Vec<_> = own.map(|record| String::from_utf8(record.value.unwrap_or_default())).collect();
        assert_eq!(values, (0..RECORDS).map(|number| Ok(format!("{thread}:{number}"))).collect::<Vec<_>>());
    }
}
