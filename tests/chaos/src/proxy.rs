//! Stands between clients and a broker, and behaves as badly as networks do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use klamm_kafka_harness::free_port;
use socket2::SockRef;

use crate::Result;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    Request = 0,
    /// From the broker to the client.
    Answer = 1,
}

/// Both of them.
pub const BOTH: [Direction; 2] = [Direction::Request, Direction::Answer];

/// A connection without work costs two threads: small stacks, and buffers that hold a request of ordinary size.
const STACK: usize = 128 << 10;
const BUFFER: usize = 16 << 10;
/// How often a thread that waits looks whether it still must.
const GLANCE: Duration = Duration::from_millis(5);
/// No cut is planned.
const NEVER: i64 = i64::MAX;

/// A proxy in front of one broker, on a port of its own that stays the same. It runs until the process ends.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    /// 0 while there is no broker.
    target: AtomicU16,
    began: Instant,
    /// A cut that the next connection gets on which bytes pass: after how many bytes, per direction.
    cut: [AtomicI64; 2],
    /// Until when bytes wait, per direction; milliseconds since it began.
    stalled: [AtomicU64; 2],
    /// Until when bytes of all connections vanish.
    hole: AtomicU64,
    /// Until when nobody listens.
    refusing: AtomicU64,
    links: Mutex<Vec<Arc<Link>>>,
    cuts: AtomicU64,
}

/// One connection through the proxy.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// How many more bytes pass before the connection is cut, per direction.
    left: [AtomicI64; 2],
    /// It lost bytes in a hole: nothing passes any more, as after a router forgot it.
    doomed: AtomicBool,
    closed: AtomicBool,
}

impl Link {
    /// Ends both sides with a reset: what is under way is lost.
    fn reset(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for stream in [&self.client, &self.server] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            // Says nothing to the peer, but wakes the other direction's thread; the reset follows when the last handle is dropped.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// Ends both sides in an orderly way.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for stream in [&self.client, &self.server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts to listen; connections are refused by closing them until there is a [`target`](Self::set_target).
    ///
    /// # Errors
    /// No port, socket or thread is to be had.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared {
            port: free_port()?,
            target: AtomicU16::new(0),
            began: Instant::now(),
            cut: [AtomicI64::new(NEVER), AtomicI64::new(NEVER)],
            stalled: Default::default(),
            hole: AtomicU64::new(0),
            refusing: AtomicU64::new(0),
            links: Mutex::default(),
            cuts: AtomicU64::new(0),
        });
        let listener = shared.listen()?;
        let own = Arc::clone(&shared);
        thread::Builder::new().name("proxy".into()).stack_size(STACK).spawn(move || own.serve(listener))?;
        Ok(Self { shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The port to pass connections on to.
    pub fn set_target(&self, port: u16) {
        self.shared.target.store(port, Ordering::Relaxed);
    }

    /// How many connections were cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Cuts one connection, the next on which bytes pass in this direction, after so many of them.
    pub fn cut(&self, direction: Direction, after: u32) {
        self.shared.cut[direction as usize].store(i64::from(after), Ordering::Relaxed);
    }

    /// Resets every connection at once; how many there were.
    pub fn cut_all(&self) -> u64 {
        let links = lock(&self.shared.links);
        links.iter().for_each(|link| link.reset());
        self.shared.cuts.fetch_add(links.len() as u64, Ordering::Relaxed);
        links.len() as u64
    }

    /// Bytes of this direction wait for so long.
    pub fn stall(&self, direction: Direction, time: Duration) {
        self.shared.stalled[direction as usize].store(self.shared.until(time), Ordering::Relaxed);
    }

    /// All bytes vanish for so long, new connections' too. A connection that lost some is dead ever after, and nobody tells its ends.
    pub fn swallow(&self, time: Duration) {
        self.shared.hole.store(self.shared.until(time), Ordering::Relaxed);
    }

    /// Nobody listens for so long; open connections go on.
    pub fn refuse(&self, time: Duration) {
        self.shared.refusing.store(self.shared.until(time), Ordering::Relaxed);
    }

    /// No trouble any more; connections that are dead are reset, so that both ends know.
    pub fn calm(&self) {
        let shared = &self.shared;
        shared.cut.iter().for_each(|cut| cut.store(NEVER, Ordering::Relaxed));
        for deadline in shared.stalled.iter().chain([&shared.hole, &shared.refusing]) {
            deadline.store(0, Ordering::Relaxed);
        }
        for link in &*lock(&shared.links) {
            if link.doomed.load(Ordering::Relaxed) {
                link.reset();
            }
            BOTH.iter().for_each(|&direction| link.left[direction as usize].store(NEVER, Ordering::Relaxed));
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn until(&self, time: Duration) -> u64 {
        self.now() + time.as_millis() as u64
    }

    fn lasts(&self, deadline: &AtomicU64) -> bool {
        let deadline = deadline.load(Ordering::Relaxed);
        deadline > 0 && self.now() < deadline
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn serve(self: &Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            if self.lasts(&self.refusing) {
                listener = None;
                thread::sleep(GLANCE);
                continue;
            }
            let Some(open) = &listener else {
                // The port is below those that systems hand out, so it is still ours.
                listener = self.listen().ok();
                thread::sleep(GLANCE);
                continue;
            };
            match open.accept() {
                // A client that cannot be passed on sees its connection closed.
                Ok((client, _)) => drop(self.connect(client)),
                Err(_) => thread::sleep(GLANCE),
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, self.target.load(Ordering::Relaxed)));
        let server = TcpStream::connect_timeout(&target, Duration::from_secs(1))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let link = Arc::new(Link {
            client,
            server,
            left: [AtomicI64::new(NEVER), AtomicI64::new(NEVER)],
            doomed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        lock(&self.links).push(Arc::clone(&link));
        for direction in BOTH {
            let (shared, own) = (Arc::clone(self), Arc::clone(&link));
            let pass = move || {
                shared.pass(&own, direction);
                lock(&shared.links).retain(|open| !Arc::ptr_eq(open, &own));
            };
            let thread = thread::Builder::new().name("proxy-link".into()).stack_size(STACK).spawn(pass);
            if let Err(error) = thread {
                link.reset();
                lock(&self.links).retain(|open| !Arc::ptr_eq(open, &link));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Passes the bytes of one direction on until the connection ends.
    fn pass(&self, link: &Link, direction: Direction) {
        let (mut from, mut to) = match direction {
            Direction::Request => (&link.client, &link.server),
            Direction::Answer => (&link.server, &link.client),
        };
        let left = &link.left[direction as usize];
        let mut buffer = [0; BUFFER];
        loop {
            let read = from.read(&mut buffer);
            while self.lasts(&self.stalled[direction as usize]) && !link.is_closed() {
                thread::sleep(GLANCE);
            }
            if self.lasts(&self.hole) {
                link.doomed.store(true, Ordering::Relaxed);
            }
            let count = match read {
                Ok(count) if count > 0 => count,
                // The end of a connection goes into the hole, too: the client finds out by itself.
                _ if direction == Direction::Answer && link.doomed.load(Ordering::Relaxed) => return,
                _ => break,
            };
            if link.doomed.load(Ordering::Relaxed) {
                continue;
            }
            let planned = self.cut[direction as usize].swap(NEVER, Ordering::Relaxed);
            if planned != NEVER {
                left.store(planned, Ordering::Relaxed);
            }
            let before = left.load(Ordering::Relaxed);
            let passed = usize::try_from(before).unwrap_or(0).min(count);
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            if before == NEVER {
                continue;
            }
            if passed < count {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                link.reset();
                return;
            }
            let _ = left.compare_exchange(before, before - passed as i64, Ordering::Relaxed, Ordering::Relaxed);
        }
        if !link.is_closed() {
            link.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut reader = client.try_clone().unwrap();
                    let _ = io::copy(&mut reader, &mut client);
                });
            }
        });
        port
    }

    fn proxied() -> (Proxy, TcpStream) {
        let proxy = Proxy::start().unwrap();
        proxy.set_target(echo());
        let mut client = connect(&proxy).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(ask(&mut client, 3), Some(3));
        (proxy, client)
    }

    fn connect(proxy: &Proxy) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
    }

    /// How many bytes come back.
    fn ask(client: &mut TcpStream, count: usize) -> Option<usize> {
        client.write_all(&vec![7; count]).ok()?;
        let mut back = 0;
        let mut buffer = [0; 100];
        while back < count {
            match client.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(more) => back += more,
            }
        }
        Some(back)
    }

    #[test]
    fn a_connection_is_cut_after_so_many_bytes() {
        for direction in BOTH {
            let (proxy, mut client) = proxied();
            proxy.cut(direction, 12);
            assert_eq!(ask(&mut client, 10), Some(10));
            assert!(ask(&mut client, 10).is_none_or(|back| back <= 2));
            assert_eq!(proxy.cuts(), 1);
        }
    }

    #[test]
    fn stalled_bytes_come_later() {
        let (proxy, mut client) = proxied();
        let began = Instant::now();
        proxy.stall(Direction::Answer, Duration::from_millis(200));
        assert_eq!(ask(&mut client, 5), Some(5));
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn swallowed_bytes_never_come() {
        let (proxy, mut client) = proxied();
        proxy.swallow(Duration::from_millis(200));
        client.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        assert_eq!(ask(&mut client, 5), Some(0));
        assert_eq!(ask(&mut client, 5), Some(0), "it is dead ever after");
        assert_eq!(ask(&mut connect(&proxy).unwrap(), 5), Some(5));
    }

    #[test]
    fn refusal_ends() {
        let (proxy, mut client) = proxied();
        proxy.refuse(Duration::from_secs(2));
        thread::sleep(Duration::from_millis(100));
        assert!(connect(&proxy).is_err());
        assert_eq!(ask(&mut client, 5), Some(5));
        proxy.calm();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(ask(&mut connect(&proxy).unwrap(), 5), Some(5));
    }
}
