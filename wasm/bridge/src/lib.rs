//! klamm-bridge: a server that carries bytes between one WebSocket and one TCP connection, so that browsers and edge workers
//! reach Apache Kafka's brokers. It never reads what it carries.
//!
//! It is a program first; see the crate's README for how to run it, what it defends against, and its metrics. As a library it is the same
//! server inside another program:
//!
//! ```no_run
//! use klamm_bridge::{Bridge, Config};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     allow: vec!["localhost:9092".parse()?],
//!     origins: vec!["http://localhost:8000".parse()?],
//!     ..Config::default()
//! };
//! let bridge = Bridge::bind(config).await?;
//! let handle = bridge.handle();
//! tokio::spawn(async move {
//!     tokio::signal::ctrl_c().await.ok();
//!     handle.shut_down();
//! });
//! bridge.run().await;
//! # Ok(())
//! # }
//! ```
//!
//! Clients open `ws://BRIDGE/tcp/HOST/PORT`; each binary message is a piece of the byte stream, and where one message ends and the next
//! begins means nothing.

#![forbid(unsafe_code)]

mod activity;
mod admission;
mod config;
mod connection;
mod dial;
mod end;
mod forwarded;
mod http;
mod metrics;
mod network;
mod origin;
mod pace;
mod refusal;
mod secrets;
mod server;
mod slots;
mod stream;
mod target;
mod tls;
mod token;
mod tunnel;
mod units;

pub use admission::SUBPROTOCOL;
pub use config::{Config, Limits, TlsFiles};
pub use dial::{Resolve, Resolved, SystemResolver};
pub use network::Network;
pub use origin::OriginPattern;
pub use server::{Bridge, Handle, StartError};
pub use target::TargetPattern;
pub use token::{MIN_TOKEN_LEN, TokenSource};
pub use units::{parse_duration, parse_size};
