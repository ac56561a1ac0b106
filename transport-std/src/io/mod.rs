//! Sockets, names and the thread that owns them.

mod dns;
pub(crate) mod socket;
mod thread;

pub(crate) use thread::start;
