//! Sockets and a resolver with the traits of embedded-io-async and embedded-nal-async, as strict as the traits allow: a dropped future
//! leaves no waker behind, and a socket that is written to or read from by two futures at a time fails the test.

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use std::future::{pending, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use crate::world::{Link, Nap, Reach, World, WorldState};

/// The first broker's port.
const FIRST_PORT: u16 = 9092;

/// A stack's TCP.
#[derive(Clone, Debug)]
pub struct SimTcp(pub(crate) World);

/// A stack's resolver.
#[derive(Clone, Debug)]
pub struct SimDns(pub(crate) World);

/// An open socket.
#[derive(Debug)]
pub struct SimStream {
    world: World,
    id: u64,
    _count: Counted,
}

/// Counts sockets, those that are still opening included.
#[derive(Debug)]
struct Counted(World);

impl Counted {
    fn new(world: &World) -> Self {
        world.with(|state| {
            state.attempts += 1;
            state.sockets += 1;
            state.most_sockets = state.most_sockets.max(state.sockets);
        });
        Self(world.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.with(|state| state.sockets -= 1);
    }
}

async fn wait(world: &World) {
    let at = world.with(|state| state.now_us + 2 * state.latency());
    Nap::until(world, at).await;
}

impl TcpConnect for SimTcp {
    type Error = ErrorKind;
    type Connection<'a> = SimStream;

    async fn connect(&self, remote: SocketAddr) -> Result<SimStream, ErrorKind> {
        let count = Counted::new(&self.0);
        wait(&self.0).await;
        match self.0.with(|state| state.reach.get(&remote.ip()).copied()) {
            Some(Reach::Open) => {
                let broker = i32::from(remote.port() - FIRST_PORT) + 1;
                let id = self.0.with(|state| state.open(broker)).ok_or(ErrorKind::ConnectionRefused)?;
                Ok(SimStream { world: self.0.clone(), id, _count: count })
            }
            Some(Reach::Refusing) => Err(ErrorKind::ConnectionRefused),
            Some(Reach::Silent) => pending().await,
            None => Err(ErrorKind::AddrNotAvailable),
        }
    }
}

impl Dns for SimDns {
    type Error = ErrorKind;

    async fn get_host_by_name(&self, host: &str, _: AddrType) -> Result<IpAddr, ErrorKind> {
        wait(&self.0).await;
        let asked = self.0.with(|state| {
            state.asked += 1;
            state.asked
        });
        if self.0.with(|state| state.names_silent) {
            return pending().await;
        }
        self.0.with(|state| {
            let addresses = state.names.get(host).ok_or(ErrorKind::NotFound)?;
            addresses.get(asked % addresses.len().max(1)).copied().ok_or(ErrorKind::NotFound)
        })
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
}

/// Takes its waker back when the future that left it is dropped.
struct Interest<'s>(&'s SimStream, fn(&mut Link));

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        self.0.world.with(|state| state.links.get_mut(&self.0.id).map(self.1));
    }
}

impl SimStream {
    fn with<R>(&self, f: impl FnOnce(&mut WorldState, &mut Link) -> R) -> R {
        self.world.with(|state| {
            let mut link = state.links.remove(&self.id).expect("the socket is open");
            let result = f(state, &mut link);
            state.links.insert(self.id, link);
            result
        })
    }
}

impl ErrorType for SimStream {
    type Error = ErrorKind;
}

impl Read for &SimStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let interest = Interest(self, |link| link.reader = None);
        poll_fn(|cx| {
            interest.0.with(|state, link| {
                if link.inbox.is_empty() && !link.ended {
                    link.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                let most = state.random.within(&state.weather.read) as usize;
                let count = link.inbox.len().min(most).min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(link.inbox.drain(..count)) {
                    *to = from;
                }
                Poll::Ready(Ok(count))
            })
        })
        .await
    }
}

impl Write for &SimStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let interest = Interest(self, |link| link.writer = None);
        let count = poll_fn(|cx| {
            interest.0.with(|state, link| {
                if link.ended {
                    return Poll::Ready(Err(ErrorKind::ConnectionReset));
                }
                let room = state.weather.window.saturating_sub(link.under_way);
                if room == 0 {
                    link.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                let most = state.random.within(&state.weather.write) as usize;
                Poll::Ready(Ok(bytes.len().min(room).min(most)))
            })
        })
        .await?;
        drop(interest);
        self.world.with(|state| state.write(self.id, &bytes[..count]));
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl ErrorType for &SimStream {
    type Error = ErrorKind;
}

impl Read for SimStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut stream = &*self;
        stream.read(buffer).await
    }
}

impl Write for SimStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let mut stream = &*self;
        stream.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.world.with(|state| state.abandon(self.id));
    }
}
