//! The board's clock, its sleep, and the one alarm of futures.

use core::future::poll_fn;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;

/// When the next alarm is due, in milliseconds.
static ALARM: AtomicU32 = AtomicU32::new(u32::MAX);

/// Microseconds since the start.
#[must_use]
pub fn now_us() -> u64 {
    black_box(0) // a counter
}

/// Sleeps until a frame has come, or until then.
pub fn sleep(until_us: Option<u64>) {
    black_box(until_us); // sets a timer, then `wfi`
}

/// Something is due at this time: the executor does not sleep beyond.
pub fn alarm(at_us: u64) {
    let at = u32::try_from(at_us / 1000).unwrap_or(u32::MAX);
    ALARM.store(at.min(ALARM.load(Ordering::Relaxed)), Ordering::Relaxed);
}

/// The earliest alarm since the last call.
pub(crate) fn take_alarm() -> Option<u64> {
    let at = ALARM.load(Ordering::Relaxed);
    ALARM.store(u32::MAX, Ordering::Relaxed);
    (at != u32::MAX).then_some(u64::from(at) * 1000)
}

/// Waits until something is there, no longer than until then; says what it is, if it came in time.
pub async fn until<T>(at_us: u64, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    poll_fn(|_| match look() {
        Some(there) => Poll::Ready(Some(there)),
        None if now_us() >= at_us => Poll::Ready(None),
        None => {
            alarm(at_us);
            Poll::Pending
        }
    })
    .await
}
