//! A Kafka cluster simulated at byte level.
//!
//! [`Cluster`] is a whole cluster in one value: brokers, their replicas' logs and producer state, leaders, ISRs, a controller. Bytes of
//! requests go in, bytes of answers come out; [`Cluster::advance`] does what is due inside. It reads no clock and starts no thread, uses integers and ordered maps only, and does the same on every
//! platform: a test that drives it from one seed can be replayed exactly. Its codec is its own, written from Kafka's schemas and
//! sharing nothing with the producer that it judges.
//!
//! [`World`](world::World) puts a klamm producer in front of it, with a simulated network and a virtual clock between them: tests of
//! applications, and of the producer itself, against a hostile cluster.
//!
//! [`FaultScript`] says what goes wrong. [`tcp`] puts the same cluster behind loopback sockets, for examples and for clients that cannot
//! be driven by hand. [`reader`] reads a topic back from any Kafka, a real one as well.
//!
//! ```
//! use klamm_sim::{Cluster, ClusterOptions};
//!
//! let mut cluster = Cluster::new(ClusterOptions::default());
//! cluster.create_topic("events", 2);
//! let connection = cluster.connect(0, 1).expect("broker 1 is alive");
//! // ApiVersions v0, correlation id 7, no client id.
//! cluster.receive(0, connection, b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff");
//! let mut answer = Vec::new();
//! assert!(cluster.transmit(0, connection, &mut answer));
//! assert_eq!(answer[4..10], [0, 0, 0, 7, 0, 0]);
//! ```
//!
//! # Test your own code
//!
//! Code that is written over [`klamm_core::Producer`], as firmware is, runs here against a hostile cluster, in milliseconds
//! and from a seed: [`World::with_producer`](world::World::with_producer) lends it the producer, the world does what a
//! transport does. What it sends is checked like the world's own records: one outcome each, in time, at a place of its own.
//!
//! ```
//! use klamm_core::{Producer, Record, SendError};
//! use klamm_sim::world::{World, WorldOptions};
//!
//! /// The code under test.
//! fn report(producer: &mut Producer<'_>, now: klamm_core::Instant, celsius: &str) -> Result<(), SendError> {
//!     let topic = producer.topic("readings")?;
//!     producer.send(now, topic, &Record::value(celsius.as_bytes())).map(|_| ())
//! }
//!
//! for seed in 0..10 {
//!     let mut world = World::new(WorldOptions::seeded(seed).configure(|config| config.linger_ms = 1000));
//!     world.cluster_mut().create_topic("readings", 1);
//!     for celsius in ["21.4", "21.5", "21.6"] {
//!         world.with_producer(|producer, now| report(producer, now, celsius)).unwrap();
//!         // Anything may go wrong in between.
//!         let broker = 1 + world.random().below(3) as i32;
//!         world.cluster_mut().kill(broker);
//!         world.run_for(10_000);
//!         world.calm();
//!     }
//!     assert!(world.run_until_idle(120_000));
//!     world.assert_delivered();
//!     assert_eq!(world.values("readings"), [b"21.4", b"21.5", b"21.6"]);
//!     assert!(world.activity().wakeups < 60, "the battery lasts");
//! }
//! ```
//!
//! `examples/sensor.rs` has a whole device: its 8 KiB of memory, an offline start, a dying broker, a lost link, what it may
//! lose and has to count, and how often it wakes up. A run that fails shows its seed and the last lines of what happened;
//! [`WorldOptions::trace_all`](world::WorldOptions::trace_all) shows them all.
//!
//! # What it does not do
//!
//! No transactions, consumer groups, SASL or TLS: FindCoordinator answers `COORDINATOR_NOT_AVAILABLE`, a transactional batch is refused.
//!
//! Replication follows Kafka's rules for leader epochs, ISRs, the high watermark and truncation (KIP-101, KIP-279, KAFKA-7128), but not its
//! requests: a fetch between brokers, or a leader's word with the controller, happens as a whole or not at all, and takes as long as
//! [`Replication`] says. A follower fetches all there is at once. Disks forget nothing in a crash, and nothing is ever compacted; there
//! are no eligible leader replicas (KIP-966), and the controller is one node that loses nothing when it stops. Producer ids come from
//! no controller: every broker has them. A quota is a plain account per broker and client id instead of Kafka's windows of samples.
#![forbid(unsafe_code)]

mod batch;
mod cluster;
mod compression;
pub mod error;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod history;
pub mod nemesis;
mod protocol;
pub mod reader;
pub mod tcp;
mod versions;
mod wire;
pub mod world;

pub use batch::StoredRecord;
pub use cluster::{CONTROLLER, Cluster, ClusterOptions, ConnectionId, Replication, TopicOptions};
pub use compression::Codec;
pub use fault::{Action, Fault, FaultScript};
pub use history::{SeenBatch, SeenRequest};
pub use nemesis::check;
pub use protocol::Api;
pub use versions::VersionSet;
