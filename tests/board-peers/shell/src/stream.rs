//! TCP as a stream of futures, for clients that are made of them, and the loop that runs one.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use smoltcp::socket::dns::{self, GetQueryResultError};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::{DnsQueryType, IpAddress};

use crate::network::Network;
use crate::time::{now_us, sleep, take_alarm, until};

/// How long a name or a connection may take, in microseconds.
const SET_UP_US: u64 = 10_000_000;

/// Runs a job to its end: packets in, the job, packets out, sleep.
pub fn run(network: &RefCell<Network<1>>, job: impl Future<Output = ()>) {
    let mut job = pin!(job);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let (came, _) = network.borrow_mut().turn();
        if job.as_mut().poll(&mut context).is_ready() {
            return;
        }
        let (went, next) = network.borrow_mut().turn();
        let alarm = take_alarm();
        if !came && !went {
            sleep([next, alarm].into_iter().flatten().min());
        }
    }
}

/// The connection is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl core::fmt::Display for Lost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("lost")
    }
}

impl core::error::Error for Lost {}

impl embedded_io_async::Error for Lost {
    fn kind(&self) -> ErrorKind {
        ErrorKind::ConnectionReset
    }
}

/// The one TCP connection.
#[derive(Clone, Copy)]
pub struct Stream(&'static RefCell<Network<1>>);

impl Stream {
    /// Connects to a server by name: to the first of its addresses that answers in time.
    pub async fn open(network: &'static RefCell<Network<1>>, (host, port): (&str, u16)) -> Option<Self> {
        let stream = Self(network);
        for address in stream.addresses(host).await? {
            if stream.connect(address, port).await.is_some() {
                return Some(stream);
            }
        }
        None
    }

    /// Whether something can be read, the end included.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.with(|socket| socket.can_recv() || !socket.may_recv())
    }

    async fn addresses(&self, host: &str) -> Option<impl Iterator<Item = IpAddress> + use<>> {
        let limit = now_us() + SET_UP_US;
        let ask = || {
            let network = &mut *self.0.borrow_mut();
            if network.interface.ip_addrs().is_empty() {
                return None;
            }
            let dns = network.sockets.get_mut::<dns::Socket<'_>>(network.dns);
            dns.start_query(network.interface.context(), host, DnsQueryType::A).ok()
        };
        let query = until(limit, ask).await?;
        let look = || {
            let network = &mut *self.0.borrow_mut();
            match network.sockets.get_mut::<dns::Socket<'_>>(network.dns).get_query_result(query) {
                Err(GetQueryResultError::Pending) => None,
                answer => Some(answer.ok()),
            }
        };
        match until(limit, look).await {
            Some(answer) => answer.map(IntoIterator::into_iter),
            None => {
                let network = &mut *self.0.borrow_mut();
                network.sockets.get_mut::<dns::Socket<'_>>(network.dns).cancel_query(query);
                None
            }
        }
    }

    async fn connect(&self, address: IpAddress, port: u16) -> Option<()> {
        {
            let network = &mut *self.0.borrow_mut();
            let socket = network.sockets.get_mut::<Socket<'_>>(network.tcp[0]);
            socket.abort();
            socket.set_nagle_enabled(false);
            let local = 49_152 + (now_us() % 16_384) as u16;
            socket.connect(network.interface.context(), (address, port), local).ok()?;
        }
        let look = || {
            self.with(|socket| match socket.state() {
                State::Established => Some(true),
                State::Closed => Some(false),
                _ => None,
            })
        };
        until(now_us() + SET_UP_US, look).await.filter(|is_open| *is_open).map(|_| ())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Socket<'_>) -> T) -> T {
        let network = &mut *self.0.borrow_mut();
        look(network.sockets.get_mut::<Socket<'_>>(network.tcp[0]))
    }
}

impl ErrorType for Stream {
    type Error = Lost;
}

impl Read for Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Lost> {
        let read = |socket: &mut Socket<'_>| match socket.can_recv() {
            true => Poll::Ready(socket.recv_slice(buffer).map_err(|_| Lost)),
            false if !socket.may_recv() => Poll::Ready(Ok(0)),
            false => Poll::Pending,
        };
        let mut read = read;
        poll_fn(|_| self.with(&mut read)).await
    }
}

impl Write for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        let write = |socket: &mut Socket<'_>| match socket.can_send() {
            true => Poll::Ready(socket.send_slice(bytes).map_err(|_| Lost)),
            false if !socket.may_send() => Poll::Ready(Err(Lost)),
            false => Poll::Pending,
        };
        poll_fn(|_| self.with(write)).await
    }

    async fn flush(&mut self) -> Result<(), Lost> {
        Ok(())
    }
}
