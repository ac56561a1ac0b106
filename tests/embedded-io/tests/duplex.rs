//! A socket shared by two tasks that know nothing of each other.

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use klamm_core::Disconnect;
use klamm_embedded_io::{Duplex, disconnect_of, refusal_of};
use klamm_embedded_io_tests::{Executor, Weather, World};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A socket: bytes come when the test says so, and a dropped read leaves no waker behind.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<Ends>>);

#[derive(Default)]
struct Ends {
    arrived: VecDeque<u8>,
    reader: Option<Waker>,
    written: Vec<u8>,
}

impl Line {
    fn arrive(&self, byte: u8) {
        let mut ends = self.0.borrow_mut();
        ends.arrived.push_back(byte);
        ends.reader.take().into_iter().for_each(Waker::wake);
    }
}

struct Interest<'l>(&'l Line);

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().reader = None;
    }
}

impl ErrorType for Line {
    type Error = ErrorKind;
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let interest = Interest(self);
        poll_fn(|cx| {
            let mut ends = interest.0.0.borrow_mut();
            match ends.arrived.pop_front() {
                Some(byte) => {
                    buffer[0] = byte;
                    Poll::Ready(Ok(1))
                }
                None => {
                    ends.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.borrow_mut().written.extend(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

#[test]
fn two_tasks_share_a_socket() {
    for write_ms in 1..8 {
        let world = World::new(1, 1, Weather::default());
        let line = Line::default();
        let duplex = Duplex::new(line.clone());
        let mut got = Vec::new();
        {
            let mut executor = Executor::new(&world);
            executor.spawn(async {
                let (mut half, mut byte) = (&duplex, [0]);
                while got.len() < 50 {
                    assert_eq!(half.read(&mut byte).await, Ok(1));
                    got.push(byte[0]);
                }
            });
            executor.spawn(async {
                let mut half = &duplex;
                for byte in 0..50 {
                    world.sleep_ms(write_ms).await;
                    let before = world.with(|state| state.now_us);
                    assert_eq!(half.write(&[byte]).await, Ok(1));
                    assert_eq!(world.with(|state| state.now_us), before, "a read makes room at once");
                }
                assert_eq!(half.flush().await, Ok(()));
            });
            executor.spawn(async {
                for byte in 0..50 {
                    world.sleep_ms(4).await;
                    line.arrive(byte);
                }
            });
            assert!(executor.run_ms(1_000), "somebody was not woken");
        }
        assert_eq!(got, (0..50).collect::<Vec<_>>());
        assert_eq!(line.0.borrow().written, got);
    }
}

#[test]
fn errors_are_told_apart() {
    assert_eq!(refusal_of(ErrorKind::ConnectionReset), Disconnect::Refused);
    assert_eq!(refusal_of(ErrorKind::TimedOut), Disconnect::TimedOut);
    assert_eq!(disconnect_of(ErrorKind::ConnectionReset), Disconnect::Closed);
    assert_eq!(disconnect_of(ErrorKind::NotConnected), Disconnect::Unreachable);
    assert_eq!(disconnect_of(ErrorKind::InvalidData), Disconnect::Other);
}
