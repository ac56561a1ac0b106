//! Sockets, names and the thread that owns them.

mod dns;
pub(crate) mod socket;
mod thread;

pub(crate) use thread::start;

/// Starts one of klamm's threads. Boxed, so that std's code for it is in a program once rather than per thread.
fn spawn(name: &str, work: Box<dyn FnOnce() + Send>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
