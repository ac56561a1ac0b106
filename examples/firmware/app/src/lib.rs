//! A sensor that publishes its readings to Kafka: what it measures, what it is told, how its producer is set up, what it counts and
//! what it says. It knows neither board nor network stack; nor does it care whether the firmware is one loop (`polled`, beside this
//! folder) or several tasks (`embassy`).
#![no_std]
#![forbid(unsafe_code)]

mod memory;
pub mod report;
pub mod sensor;
mod settings;
mod setup;
mod tally;
mod text;

pub use memory::{CONNECTIONS, RECEIVE_MAX, TRANSMIT_MAX, Tables};
pub use settings::Settings;
pub use setup::{CLOSE_WITHIN, Ended, begin, producer};
pub use tally::Tally;
pub use text::Text;
