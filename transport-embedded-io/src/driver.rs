//! Moves bytes and time between the producer and the network.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use embassy_futures::join::join_array;
use embassy_sync::blocking_mutex::raw::RawMutex;
use klamm_core::{Disconnect, Instant};

use crate::desk::Desk;
use crate::slot::Slot;
use crate::{Clock, Connector, Shared};

/// How often all slots are polled in one poll of the driver before other tasks have their turn.
const ROUNDS: usize = 16;

/// Drives the connections of a shared producer: `N` of them at a time, each with `CHUNK` bytes of memory.
///
/// * `N` is the storage's `connections`. With fewer, connections in the slots beyond fail.
/// * `CHUNK`, at least 256, is how many bytes go between core and socket at a time, either way. Larger chunks mean fewer calls; the
///   socket's own buffers are the limit of what helps.
///
/// One driver per [`Shared`].
pub struct Driver<'s, 'a, M: RawMutex, C, K, const N: usize, const CHUNK: usize, const WAITERS: usize = 8> {
    shared: &'s Shared<'a, M, C, WAITERS>,
    connector: K,
    places: [Place<CHUNK>; N],
}

/// One connection slot's memory.
struct Place<const CHUNK: usize> {
    desk: Desk,
    chunk: [u8; CHUNK],
}

impl<'s, 'a, M, C, K, const N: usize, const CHUNK: usize, const WAITERS: usize>
    Driver<'s, 'a, M, C, K, N, CHUNK, WAITERS>
where
    M: RawMutex,
    C: Clock,
    K: Connector,
{
    /// A driver that opens streams by `connector`.
    pub const fn new(shared: &'s Shared<'a, M, C, WAITERS>, connector: K) -> Self {
        const { assert!(CHUNK >= 256, "a chunk holds any host name") };
        Self { shared, connector, places: [const { Place { desk: Desk::new(), chunk: [0; CHUNK] } }; N] }
    }

    /// Drives the producer until it is closed and [`Event::Closed`](klamm_core::Event::Closed) was taken. Wakes up for the stack, for the
    /// core's deadlines, and when the application did something; else never.
    ///
    /// May be dropped at any time, and called again: connections end then, the core is told so, and what they carried is sent again over
    /// new ones. While it does not run, records are accepted for as long as there is room, and no deadline is kept.
    pub async fn run(&mut self) {
        let (shared, connector) = (self.shared, &self.connector);
        let pairs = self.places.each_mut().map(|Place { desk, chunk }| (&*desk, chunk));
        let desks = pairs.each_ref().map(|(desk, _)| *desk);
        let run = Run { shared, desks };
        run.let_go(); // of what a run left that was forgotten rather than dropped
        let slots = pairs.map(|(desk, chunk)| Slot { shared, connector, desk, chunk }.serve());
        let mut slots = pin!(join_array(slots));
        let mut sleep = pin!(None);
        let mut alarm = None;
        poll_fn(|cx| {
            shared.register_driver(cx.waker());
            for _ in 0..ROUNDS {
                if run.direct() {
                    return Poll::Ready(());
                }
                let _endless = slots.as_mut().poll(cx);
                if run.take_stirred() {
                    continue;
                }
                let deadline = run.deadline();
                if deadline != alarm {
                    alarm = deadline;
                    sleep.set(deadline.map(|at| shared.clock().sleep_until(at)));
                }
                if sleep.as_mut().as_pin_mut().is_none_or(|sleep| sleep.poll(cx).is_pending()) {
                    return Poll::Pending;
                }
                alarm = None;
                sleep.set(None);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// What is to be put in order when a run ends, however it ends.
struct Run<'s, 'a, M: RawMutex, C: Clock, const N: usize, const WAITERS: usize> {
    shared: &'s Shared<'a, M, C, WAITERS>,
    desks: [&'s Desk; N],
}

impl<M: RawMutex, C: Clock, const N: usize, const WAITERS: usize> Run<'_, '_, M, C, N, WAITERS> {
    /// Passes on what the core wants done. True once the producer is closed.
    fn direct(&self) -> bool {
        self.shared.pass_time();
        while let Some((conn, job)) = self.shared.next_action() {
            match (self.desks.get(conn.slot()), job) {
                (Some(desk), Some(job)) => desk.assign(conn, job),
                (Some(desk), None) => desk.end(conn),
                (None, Some(_)) => {
                    warning!("slot {}: the driver has only {}", conn.slot(), N);
                    self.shared.input(|producer, now| producer.handle_disconnected(now, conn, Disconnect::Other));
                }
                (None, None) => {}
            }
        }
        while let Some(conn) = self.shared.look(|producer, _| producer.poll_writable()).flatten() {
            if let Some(desk) = self.desks.get(conn.slot()) {
                desk.mark_writable(conn);
            }
        }
        self.shared.look(|producer, _| producer.is_closed()).unwrap_or(false)
    }

    fn take_stirred(&self) -> bool {
        self.desks.iter().fold(false, |stirred, desk| desk.take_stirred() | stirred)
    }

    fn deadline(&self) -> Option<Instant> {
        self.shared.look(|producer, _| producer.poll_timeout()).flatten().map(|deadline| deadline.at)
    }

    /// Tells the core that all connections are gone.
    fn let_go(&self) {
        for conn in self.desks.iter().filter_map(|desk| desk.clear()) {
            self.shared.input(|producer, now| producer.handle_disconnected(now, conn, Disconnect::Other));
        }
    }
}

impl<M: RawMutex, C: Clock, const N: usize, const WAITERS: usize> Drop for Run<'_, '_, M, C, N, WAITERS> {
    fn drop(&mut self) {
        self.let_go();
        self.shared.forget_driver();
    }
}

impl<M: RawMutex, C, K, const N: usize, const CHUNK: usize, const WAITERS: usize> core::fmt::Debug
    for Driver<'_, '_, M, C, K, N, CHUNK, WAITERS>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").field("connections", &N).field("chunk", &CHUNK).finish_non_exhaustive()
    }
}
