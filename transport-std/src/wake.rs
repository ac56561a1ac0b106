//! Waking tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::events;

/// Wakes everyone. A waker is code of somebody's executor: a panic in one must not cost the others their wake.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            events::warn_user_code("a waker panicked");
        }
    }
}
