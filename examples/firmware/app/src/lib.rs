//! A sensor that publishes its readings to Kafka, for any board: no heap, no operating system, one loop.
//!
//! A board gives a network device, a clock and a way to sleep ([`Board`]), and room for [`Tables`] and [`Memory`]; [`run`] does the rest:
//! address and name servers by DHCP, readings from the first moment on (offline if need be), outcomes counted, statistics at
//! the end. The same source runs on every board; `lm3s6965` beside this folder is one of them.
#![no_std]
#![forbid(unsafe_code)]

mod application;
mod board;
mod memory;
mod network;
mod report;
pub mod sensor;
mod settings;
mod text;

pub use application::{Ended, run};
pub use board::Board;
pub use memory::{CONNECTIONS, Memory, RECEIVE_MAX, TRANSMIT_MAX, Tables};
pub use settings::Settings;
pub use text::Text;
