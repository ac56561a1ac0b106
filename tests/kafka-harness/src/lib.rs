//! Real Apache Kafka for tests: one broker in a few seconds, three in about ten, killed and cleaned up for certain.
//!
//! Kafka's jars are fetched by Maven into `target/kafka/<version>` on first use. A cluster runs in KRaft mode on free
//! loopback ports, with its data in a temporary folder, and lives no longer than the process that started it
//! (see [`Guard`] for how).
//!
//! ```no_run
//! use klamm_kafka_harness::Kafka;
//!
//! let kafka = Kafka::builder().brokers(3).config("auto.create.topics.enable", "false").start()?;
//! kafka.create_topic("t", 4, 3, &[("min.insync.replicas", "2")])?;
//! let address = kafka.bootstrap_servers();
//! kafka.kill(2)?;
//! // … produce to `address` …
//! kafka.restart(2)?;
//! assert_eq!(kafka.read_back("t")?.len(), 1000);
//! # Ok::<(), klamm_kafka_harness::Error>(())
//! ```

mod batches;
mod builder;
mod cluster;
mod dist;
mod error;
mod guard;
mod node;
mod ports;
mod records;
mod run;
mod tools;
mod wire;

pub use batches::LogBatch;
pub use builder::Builder;
pub use cluster::{Detached, Kafka};
pub use dist::{DEFAULT_VERSION, Dist, TESTED_VERSIONS, Version, cache_dir};
pub use error::{Error, Result};
pub use guard::{Guard, signal};
pub use ports::free_port;
pub use records::ReadRecord;
pub use run::tool_command;
pub use tools::TOOL_NAMES;
pub use wire::{Metadata, Partition};
