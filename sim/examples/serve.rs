//! Serves a simulated cluster on loopback until standard input ends, for any Kafka client to try.
//!
//! `cargo run -p klamm-sim --example serve -- [release] [topic:partitions …]`, such as `serve 3.9 events:4`. Topics that a client asks for
//! are created with 4 partitions.

use klamm_sim::tcp::TcpCluster;
use klamm_sim::{ClusterOptions, VersionSet};
use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let versions = match arguments.peek().map(String::as_str) {
        Some("2.1") => VersionSet::kafka_2_1(),
        Some("2.4") => VersionSet::kafka_2_4(),
        Some("2.8") => VersionSet::kafka_2_8(),
        Some("3.3") => VersionSet::kafka_3_3(),
        Some("3.9") => VersionSet::kafka_3_9(),
        Some("4.0") => VersionSet::kafka_4_0(),
        Some("4.4") => VersionSet::kafka_4_4(),
        _ => VersionSet::kafka_4_3(),
    };
    let cluster = TcpCluster::start(ClusterOptions {
        versions,
        auto_create_topics: true,
        default_partitions: 4,
        keep_history: false,
        ..ClusterOptions::default()
    })?;
    for argument in arguments {
        if let Some((name, partitions)) = argument.split_once(':') {
            let partitions = partitions.parse().unwrap_or(1);
            cluster.with(|cluster| cluster.create_topic(name, partitions));
        }
    }
    println!("{}", cluster.bootstrap_servers());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
