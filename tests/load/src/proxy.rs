//! Passes bytes on between clients and a broker, and breaks connections when told to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// In the middle of a request: the broker gets half of the next piece.
    Request = 1,
    /// In the middle of an answer: the broker did the work, and the client does not hear of it.
    Answer = 2,
}

/// A proxy in front of one broker, on 127.0.0.1. It runs until the process ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    links: Mutex<Vec<Arc<Link>>>,
    cuts: AtomicU64,
}

/// One connection through the proxy.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// A [`Cut`] that is to happen, 0 or [`BROKEN`].
    cut: AtomicU8,
}

/// The cut has happened.
const BROKEN: u8 = u8::MAX;

impl Link {
    /// Closes both sides with a reset: what is under way is lost.
    fn reset(&self) {
        self.cut.store(BROKEN, Ordering::Relaxed);
        for stream in [&self.client, &self.server] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            // Says nothing to the peer, but ends the other direction's thread; the reset follows when the last handle is dropped.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts a proxy to `to`.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new().name("proxy".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that cannot be passed on sees its connection closed.
                let _ = connect(&own, client, to);
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks one connection, as soon as bytes pass in the direction that `cut` names; the one that was opened last.
    pub fn cut(&self, cut: Cut) {
        if let Some(link) = lock(&self.shared.links).last() {
            link.cut.store(cut as u8, Ordering::Relaxed);
        }
    }

    /// How many connections were broken.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let link = Arc::new(Link { client, server, cut: AtomicU8::new(0) });
    lock(&shared.links).push(Arc::clone(&link));
    for direction in [Cut::Request, Cut::Answer] {
        let (shared, link) = (Arc::clone(shared), Arc::clone(&link));
        thread::Builder::new().name("proxy-link".into()).spawn(move || {
            pass(&shared, &link, direction);
            lock(&shared.links).retain(|open| !Arc::ptr_eq(open, &link));
        })?;
    }
    Ok(())
}

fn pass(shared: &Shared, link: &Link, direction: Cut) {
    let (mut from, mut to) = match direction {
        Cut::Request => (&link.client, &link.server),
        Cut::Answer => (&link.server, &link.client),
    };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer) {
        let broken = link.cut.load(Ordering::Relaxed) == direction as u8;
        let passed = if broken { count / 2 } else { count };
        if to.write_all(&buffer[..passed]).is_err() || count == 0 {
            break;
        }
        if broken {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            link.reset();
            return;
        }
    }
    if link.cut.load(Ordering::Relaxed) != BROKEN {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
