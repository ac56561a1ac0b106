//! A socket that cannot be split, for those who need two halves.

use core::cell::{Cell, RefCell, RefMut};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use embassy_futures::select::{Either, select};
use embedded_io_async::{ErrorType, Read, Write};

/// A stream that two futures use at a time, one to read and one to write: `&Duplex` does both, and can be copied. Under a TLS session
/// whose halves want a socket each, such as embedded-tls's, while the stack has sockets that cannot be split, such as those of
/// embedded-nal-async.
///
/// The socket's `read` makes room for every `write`, so it must be cancel-safe: a dropped `read` has taken nothing from the stream. To
/// whoever reads through this, it just waits a little longer. While a `write` waits, nothing is read;
/// [`Traffic::by_turns`](crate::Traffic::by_turns) says what that can mean.
pub struct Duplex<S> {
    stream: RefCell<S>,
    /// Somebody writes, or wants to.
    writing: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl<S> Duplex<S> {
    /// For this stream.
    pub const fn new(stream: S) -> Self {
        Self {
            stream: RefCell::new(stream),
            writing: Cell::new(false),
            reader: Cell::new(None),
            writer: Cell::new(None),
        }
    }

    fn poll_reader<R>(&self, cx: &Context<'_>, ready: impl FnOnce() -> Option<R>) -> Poll<R> {
        self.reader.set(Some(cx.waker().clone()));
        ready().map_or(Poll::Pending, Poll::Ready)
    }

    fn claim(&self) -> Turn<'_> {
        self.writing.set(true);
        wake(&self.reader);
        Turn { writing: &self.writing, reader: &self.reader }
    }

    #[expect(clippy::await_holding_refcell_ref, reason = "whoever else wants the stream tries to borrow it, and waits")]
    async fn write_with<R>(&self, write: impl AsyncFnOnce(&mut S) -> R) -> R {
        let _turn = self.claim();
        let mut stream = poll_fn(|cx| {
            self.writer.set(Some(cx.waker().clone()));
            self.stream.try_borrow_mut().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        write(&mut stream).await
    }
}

/// The stream in the reader's hands. Who wants to write is told when it is free.
struct Held<'d, S> {
    stream: RefMut<'d, S>,
    writer: &'d Cell<Option<Waker>>,
}

impl<S> Drop for Held<'_, S> {
    fn drop(&mut self) {
        wake(self.writer);
    }
}

/// The writer's turn. The reader is told when it ends.
struct Turn<'d> {
    writing: &'d Cell<bool>,
    reader: &'d Cell<Option<Waker>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writing.set(false);
        wake(self.reader);
    }
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl<S: ErrorType> ErrorType for &Duplex<S> {
    type Error = S::Error;
}

impl<S: Read> Read for &Duplex<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, S::Error> {
        loop {
            let stream = poll_fn(|cx| {
                self.poll_reader(cx, || if self.writing.get() { None } else { self.stream.try_borrow_mut().ok() })
            })
            .await;
            let mut held = Held { stream, writer: &self.writer };
            let claimed = poll_fn(|cx| self.poll_reader(cx, || self.writing.get().then_some(())));
            if let Either::First(read) = select(held.stream.read(buffer), claimed).await {
                return read;
            }
        }
    }
}

impl<S: Write> Write for &Duplex<S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, S::Error> {
        self.write_with(async |stream: &mut S| stream.write(bytes).await).await
    }

    async fn flush(&mut self) -> Result<(), S::Error> {
        self.write_with(async |stream: &mut S| stream.flush().await).await
    }
}

impl<S> core::fmt::Debug for Duplex<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Duplex").field("writing", &self.writing).finish_non_exhaustive()
    }
}
