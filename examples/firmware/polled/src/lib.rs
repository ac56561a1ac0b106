//! The sensor's application as one loop over smoltcp, for any board: no heap, no operating system, no interrupt handlers.
//!
//! A board gives a network device, a clock and a way to sleep ([`Board`]), and room for [`Tables`](klamm_firmware_app::Tables) and
//! [`Memory`]; [`run`] does the rest: address and name servers by DHCP, readings from the first moment on (offline if need be), outcomes
//! counted, statistics at the end. The same source runs on every board; `lm3s6965` beside this folder is one of them.
#![no_std]
#![forbid(unsafe_code)]

mod application;
mod board;
mod memory;
mod network;

pub use application::run;
pub use board::Board;
pub use memory::Memory;
