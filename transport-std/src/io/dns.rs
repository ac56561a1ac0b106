//! Name resolution, by the operating system, outside the I/O thread.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use klamm_core::ConnId;

use crate::failures::Target;
use crate::shared::Inner;

/// The answer to one connection's question.
pub(super) struct Resolved {
    pub(super) conn: ConnId,
    pub(super) target: Target,
    /// Empty if the name cannot be resolved.
    pub(super) addresses: Arc<[IpAddr]>,
}

/// Look-ups under way, each in a thread of its own, since the operating system may take its time.
/// There is one per name at most. It outlives the producer if the operating system does not answer.
pub(super) struct Names {
    open: Vec<LookUp>,
    answers: Arc<Answers>,
}

/// Names and their addresses, until the I/O thread takes them. Nobody waits here: a channel would bring the means for that along.
#[derive(Default)]
struct Answers(Mutex<Vec<(String, Vec<IpAddr>)>>);

impl Answers {
    fn push(&self, host: String, addresses: Vec<IpAddr>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((host, addresses));
    }

    fn take(&self) -> Vec<(String, Vec<IpAddr>)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct LookUp {
    host: String,
    askers: Vec<(ConnId, Target)>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), answers: Arc::default() }
    }

    /// Looks `host` up for `conn`; [`take`](Self::take) has the answer some time after `inner` was woken.
    pub(super) fn ask(&mut self, inner: &Arc<Inner>, conn: ConnId, host: String, target: Target) {
        if let Some(open) = self.open.iter_mut().find(|open| open.host == host) {
            open.askers.push((conn, target));
            return;
        }
        self.open.push(LookUp { host: host.clone(), askers: vec![(conn, target)] });
        if spawn(Arc::clone(inner), Arc::clone(&self.answers), host.clone()).is_err() {
            // No thread, no answer: as if the name could not be resolved.
            self.answers.push(host, Vec::new());
            inner.wake_io();
        }
    }

    /// The answers so far.
    pub(super) fn take(&mut self, mut tell: impl FnMut(Resolved)) {
        if self.open.is_empty() {
            return;
        }
        for (host, addresses) in self.answers.take() {
            let Some(at) = self.open.iter().position(|open| open.host == host) else { continue };
            let addresses: Arc<[IpAddr]> = addresses.into();
            for (conn, target) in self.open.swap_remove(at).askers {
                tell(Resolved { conn, target, addresses: Arc::clone(&addresses) });
            }
        }
    }
}

fn spawn(inner: Arc<Inner>, answers: Arc<Answers>, host: String) -> io::Result<()> {
    let work = move || {
        let mut addresses = Vec::new();
        for address in (host.as_str(), 0).to_socket_addrs().into_iter().flatten() {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        answers.push(host, addresses);
        inner.wake_io();
    };
    super::spawn("klamm-dns", Box::new(work)).map(drop)
}
