//! Code of the application's that klamm calls: on which thread it runs, and what if it panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_IO_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// This thread is a producer's I/O thread from now on.
pub(crate) fn become_io_thread() {
    IS_IO_THREAD.set(true);
}

/// Whether the caller runs on an I/O thread, in a callback, an interceptor or a waker: nothing may wait
/// there (PITFALLS 22). Any producer's thread counts: two that wait for each other would hang too.
pub(crate) fn on_io_thread() -> bool {
    IS_IO_THREAD.get()
}

/// Runs code of the application's; a panic becomes its message.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "a panic without words".to_owned(),
        };
        // The payload's destructor is the application's as well.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(another);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_words() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("in the destructor");
            }
        }
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(caught(|| panic!("number {}", 7)), Err::<(), _>("number 7".to_owned()));
        assert!(caught(|| std::panic::panic_any(Panics)).is_err());
    }
}
