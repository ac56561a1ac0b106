//! Waking tasks.

use std::task::Waker;

use crate::events;
use crate::inside::caught;

/// Wakes everyone. A waker is code of somebody's executor: a panic in one must not cost the others their wake.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        if caught(|| waker.wake()).is_err() {
            events::warn_user_code("a waker panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("on purpose, in what was thrown");
        }
    }

    /// Panics unless it is told to count.
    struct Executor(Option<Arc<AtomicU32>>);

    impl Wake for Executor {
        fn wake(self: Arc<Self>) {
            match &self.0 {
                Some(count) => _ = count.fetch_add(1, Ordering::Relaxed),
                None => std::panic::panic_any(PanicsWhenDropped),
            }
        }
    }

    #[test]
    fn a_panic_in_a_waker_costs_nobody_their_wake() {
        let count = Arc::new(AtomicU32::new(0));
        let waker = |count| Waker::from(Arc::new(Executor(count)));
        let wakers = vec![waker(None), waker(Some(Arc::clone(&count))), waker(None), waker(Some(Arc::clone(&count)))];
        assert_eq!(caught(|| wake_all(wakers)), Ok(()));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
