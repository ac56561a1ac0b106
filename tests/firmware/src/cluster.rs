//! The two kinds of cluster that the board publishes to.

use klamm_kafka_harness::Kafka;
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{ClusterOptions, reader};

use crate::Result;
use crate::check::Stored;
use crate::qemu::HOST;

/// The listener that tells brokers' addresses as the board must use them.
const GUEST_LISTENER: &str = "GUEST";

/// A cluster that can be read back and hurt.
pub(crate) trait Cluster {
    /// The first broker alone, as the board reaches it: the others it must learn by itself.
    fn bootstrap(&self) -> Result<String>;
    /// Brokers tell this name, or address, instead of their own from now on.
    fn advertise(&self, host: &str) -> Result<()>;
    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()>;
    /// Records that the topic holds by now.
    fn count(&self, topic: &str) -> Result<u64>;
    fn kill(&self, broker: i32) -> Result<()>;
    fn restart(&self, broker: i32) -> Result<()>;
    /// Everything in the topic, by partition and offset.
    fn read(&self, topic: &str) -> Result<Vec<Stored>>;
}

/// klamm's own simulated cluster behind real sockets.
pub(crate) struct Simulated(TcpCluster);

impl Simulated {
    pub(crate) fn start(brokers: u32) -> Result<Self> {
        let options = ClusterOptions { brokers, keep_history: false, ..ClusterOptions::default() };
        let cluster = TcpCluster::start(options).map_err(|error| format!("cannot start the cluster: {error}"))?;
        let cluster = Self(cluster);
        cluster.advertise(HOST)?;
        Ok(cluster)
    }
}

impl Cluster for Simulated {
    fn bootstrap(&self) -> Result<String> {
        let (host, port) = self.0.with(|cluster| cluster.address(1));
        Ok(format!("{host}:{port}"))
    }

    fn advertise(&self, host: &str) -> Result<()> {
        self.0.with(|cluster| {
            let brokers: Vec<i32> = cluster.brokers().collect();
            for broker in brokers {
                let (_, port) = cluster.address(broker);
                cluster.set_address(broker, host, port);
            }
        });
        Ok(())
    }

    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        self.0.with(|cluster| cluster.create_topic(topic, partitions));
        Ok(())
    }

    fn count(&self, topic: &str) -> Result<u64> {
        Ok(self.0.with(|cluster| cluster.record_count(topic)))
    }

    fn kill(&self, broker: i32) -> Result<()> {
        self.0.kill(broker);
        Ok(())
    }

    fn restart(&self, broker: i32) -> Result<()> {
        self.0.restart(broker).map_err(|error| format!("broker {broker} cannot be restarted: {error}"))
    }

    fn read(&self, topic: &str) -> Result<Vec<Stored>> {
        let log = |partition: u32| self.0.with(|cluster| cluster.log(topic, partition));
        let partitions = self.0.with(|cluster| cluster.partition_count(topic));
        let records = (0..partitions).flat_map(|partition| log(partition).into_iter().map(move |r| (partition, r)));
        Ok(records
            .map(|(partition, record)| Stored {
                partition: partition as i32,
                key: record.key,
                value: record.value,
                headers: record.headers,
            })
            .collect())
    }
}

/// Apache Kafka, read back by its own consumer.
pub(crate) struct Real(Kafka);

impl Real {
    pub(crate) fn start(brokers: i32) -> Result<Self> {
        let builder = Kafka::builder().brokers(brokers).listener(GUEST_LISTENER, "PLAINTEXT");
        let kafka = builder.advertised_host(GUEST_LISTENER, HOST).start();
        kafka.map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn version(&self) -> String {
        self.0.version().to_string()
    }
}

impl Cluster for Real {
    fn bootstrap(&self) -> Result<String> {
        let port = self.0.port(1, GUEST_LISTENER).ok_or("broker 1 has no listener for guests")?;
        Ok(format!("{HOST}:{port}"))
    }

    fn advertise(&self, _: &str) -> Result<()> {
        Err("what Kafka advertises is settled when it starts".into())
    }

    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        let created = self.0.create_topic(topic, partitions as i32, 3, &[("min.insync.replicas", "2")]);
        created.map_err(|error| error.to_string())
    }

    fn count(&self, topic: &str) -> Result<u64> {
        let count = reader::count_topic(&self.0.bootstrap_servers(), topic);
        count.map_err(|error| format!("cannot count {topic}: {error}"))
    }

    fn kill(&self, broker: i32) -> Result<()> {
        self.0.kill(broker).map_err(|error| error.to_string())
    }

    fn restart(&self, broker: i32) -> Result<()> {
        self.0.restart(broker).map_err(|error| error.to_string())
    }

    fn read(&self, topic: &str) -> Result<Vec<Stored>> {
        let mut records = self.0.read_back(topic).map_err(|error| error.to_string())?;
        records.sort_by_key(|record| (record.partition, record.offset));
        let stored = records.into_iter().map(|record| Stored {
            partition: record.partition,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        Ok(stored.collect())
    }
}
