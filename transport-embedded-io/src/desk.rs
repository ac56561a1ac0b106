//! What the driver has decided for one connection slot, for the slot's own future to carry out.

use core::cell::Cell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::Poll;

use klamm_core::ConnId;

/// Something to do for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// Look up its host.
    Resolve,
    /// Open its stream.
    Connect(SocketAddr),
    /// The same to a host by name, at this port (`Config::resolve_names` is off).
    ConnectByName(u16),
}

/// One slot's mailbox. All futures that look at it are parts of [`Driver::run`](crate::Driver::run), and are polled one after the other:
/// whoever changes something here calls for another round ([`stir`](Self::stir)) instead of waking anyone.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The connection that has the slot, from its first action until the core or the transport ended it.
    conn: Cell<Option<ConnId>>,
    job: Cell<Option<Job>>,
    /// The core has bytes to send, and did not say `None` since.
    writable: Cell<bool>,
    stirred: Cell<bool>,
}

impl Desk {
    pub(crate) const fn new() -> Self {
        Self { conn: Cell::new(None), job: Cell::new(None), writable: Cell::new(false), stirred: Cell::new(false) }
    }

    // ---- the driver's side ----

    pub(crate) fn assign(&self, conn: ConnId, job: Job) {
        if self.conn.get() != Some(conn) {
            self.conn.set(Some(conn));
            self.writable.set(false);
        }
        self.job.set(Some(job));
    }

    pub(crate) fn mark_writable(&self, conn: ConnId) {
        if self.conn.get() == Some(conn) {
            self.writable.set(true);
        }
    }

    /// The connection is over; says which it was.
    pub(crate) fn clear(&self) -> Option<ConnId> {
        self.job.set(None);
        self.writable.set(false);
        self.conn.take()
    }

    pub(crate) fn end(&self, conn: ConnId) {
        if self.conn.get() == Some(conn) {
            self.clear();
        }
    }

    /// Whether something happened that may bring the driver or another slot work.
    pub(crate) fn take_stirred(&self) -> bool {
        self.stirred.take()
    }

    // ---- the slot's side ----

    pub(crate) fn stir(&self) {
        self.stirred.set(true);
    }

    pub(crate) fn set_written(&self) {
        self.writable.set(false);
    }

    pub(crate) async fn next_job(&self) -> (ConnId, Job) {
        poll_fn(|_| match (self.conn.get(), self.job.take()) {
            (Some(conn), Some(job)) => Poll::Ready((conn, job)),
            _ => Poll::Pending,
        })
        .await
    }

    /// Ends when the slot is no longer this connection's.
    pub(crate) async fn until_over(&self, conn: ConnId) {
        poll_fn(|_| if self.conn.get() == Some(conn) { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    pub(crate) async fn until_writable(&self) {
        poll_fn(|_| if self.writable.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Lets the driver see what just happened, and all others have their turn.
    pub(crate) async fn step(&self) {
        self.stir();
        let mut stepped = false;
        poll_fn(|_| if core::mem::replace(&mut stepped, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}
