//! The simulated cluster behind loopback sockets, in real time.
//!
//! One listener and one thread per broker, one thread per connection; all of them share the [`Cluster`] behind a mutex.

use crate::cluster::{Cluster, ClusterOptions, ConnectionId};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a connection waits for bytes before it looks whether the cluster has something for it.
const POLL: Duration = Duration::from_millis(20);
/// How long a write to a client that does not read may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long [`TcpCluster::restart`] tries to get its port back.
const REBIND: Duration = Duration::from_secs(5);
const READ_BUFFER: usize = 256 << 10;

/// A running cluster on 127.0.0.1. Dropping it closes all sockets and joins all threads.
///
/// ```
/// use klamm_sim::{ClusterOptions, tcp::TcpCluster};
///
/// let cluster = TcpCluster::start(ClusterOptions { brokers: 2, ..ClusterOptions::default() })?;
/// cluster.with(|cluster| cluster.create_topic("events", 4));
/// println!("bootstrap.servers={}", cluster.bootstrap_servers());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpCluster {
    shared: Arc<Shared>,
    listeners: Mutex<BTreeMap<i32, Listener>>,
}

#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    /// `None` while the broker is dead.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    cluster: Mutex<Cluster>,
    started: Instant,
    peers: Mutex<Vec<Peer>>,
}

/// One connection's thread and its socket, to break it from outside.
#[derive(Debug)]
struct Peer {
    broker: i32,
    stream: TcpStream,
    thread: JoinHandle<()>,
}

/// A panic in [`TcpCluster::with`] must not take the cluster from the other threads.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl TcpCluster {
    /// Starts a cluster. Host, ports and wall clock of the options are replaced by the real ones.
    ///
    /// # Errors
    /// If a listener or a thread cannot be had.
    pub fn start(mut options: ClusterOptions) -> io::Result<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        options.wall_clock_base_ms = since_epoch.map_or(0, |since| since.as_millis() as i64);
        let cluster = Self {
            shared: Arc::new(Shared {
                cluster: Mutex::new(Cluster::new(options)),
                started: Instant::now(),
                peers: Mutex::new(Vec::new()),
            }),
            listeners: Mutex::new(BTreeMap::new()),
        };
        let brokers: Vec<i32> = cluster.with(|cluster| cluster.brokers().collect());
        for broker in brokers {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            cluster.with(|cluster| {
                cluster.set_address(broker, &address.ip().to_string(), address.port());
            });
            let running = Some(listen(&cluster.shared, broker, listener)?);
            lock(&cluster.listeners).insert(broker, Listener { address, running });
        }
        Ok(cluster)
    }

    /// All addresses in the form of Kafka's `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.with(|cluster| cluster.bootstrap_servers())
    }

    /// The socket address of a broker, dead or alive.
    #[must_use]
    pub fn address(&self, broker: i32) -> Option<SocketAddr> {
        lock(&self.listeners).get(&broker).map(|listener| listener.address)
    }

    /// Milliseconds since the start: the `now_ms` of the cluster inside.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.now_ms()
    }

    /// Runs something on the cluster inside, while all connections wait.
    ///
    /// A broker that is killed here rather than by [`kill`](Self::kill) keeps its listener: it accepts and closes at once.
    pub fn with<T>(&self, run: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut cluster = lock(&self.shared.cluster);
        cluster.advance(self.shared.now_ms());
        run(&mut cluster)
    }

    /// Kills a broker: its sockets close, and new connections to it are refused.
    pub fn kill(&self, broker: i32) {
        self.with(|cluster| cluster.kill(broker));
        let mut listeners = lock(&self.listeners);
        let Some(listener) = listeners.get_mut(&broker) else {
            return;
        };
        let running = listener.running.take();
        let address = listener.address;
        drop(listeners);
        if let Some(running) = running {
            running.stop(address);
        }
        self.break_connections(|peer| peer.broker == broker);
    }

    /// Starts a killed broker again, on the same port.
    ///
    /// # Errors
    /// If the port cannot be had within a few seconds.
    pub fn restart(&self, broker: i32) -> io::Result<()> {
        let mut listeners = lock(&self.listeners);
        let Some(listener) = listeners.get_mut(&broker) else {
            return Err(io::Error::new(ErrorKind::NotFound, "no such broker"));
        };
        if listener.running.is_none() {
            let socket = bind_again(listener.address)?;
            listener.running = Some(listen(&self.shared, broker, socket)?);
        }
        drop(listeners);
        let now_ms = self.now_ms();
        self.with(|cluster| cluster.restart(now_ms, broker));
        Ok(())
    }

    /// Closes connections from outside and waits for their threads.
    fn break_connections(&self, which: impl Fn(&Peer) -> bool) {
        let mut peers = lock(&self.shared.peers);
        let (broken, kept) = std::mem::take(&mut *peers).into_iter().partition(which);
        *peers = kept;
        drop(peers);
        let broken: Vec<Peer> = broken;
        for peer in &broken {
            // It may be gone already.
            let _ = peer.stream.shutdown(Shutdown::Both);
        }
        for peer in broken {
            let _ = peer.thread.join();
        }
    }
}

impl Drop for TcpCluster {
    fn drop(&mut self) {
        let listeners = std::mem::take(&mut *lock(&self.listeners));
        for listener in listeners.into_values() {
            if let Some(running) = listener.running {
                running.stop(listener.address);
            }
        }
        self.break_connections(|_| true);
    }
}

impl Running {
    /// Ends the thread, which closes the listener.
    fn stop(self, address: SocketAddr) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(address);
        let _ = self.thread.join();
    }
}

/// The port may still be held for a moment by the other ends of broken connections.
fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + REBIND;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(POLL);
            }
            other => return other,
        }
    }
}

fn listen(shared: &Arc<Shared>, broker: i32, listener: TcpListener) -> io::Result<Running> {
    let stop = Arc::new(AtomicBool::new(false));
    let (shared, stopped) = (Arc::clone(shared), Arc::clone(&stop));
    let thread = thread::Builder::new().name(format!("sim-broker-{broker}")).spawn(move || {
        for stream in listener.incoming() {
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            // A connection that cannot be set up is one that the client sees closed.
            let _ = stream.and_then(|stream| accept(&shared, broker, stream));
        }
    })?;
    Ok(Running { stop, thread })
}

fn accept(shared: &Arc<Shared>, broker: i32, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let handle = stream.try_clone()?;
    let Some(id) = lock(&shared.cluster).connect(shared.now_ms(), broker) else {
        return Ok(());
    };
    let own = Arc::clone(shared);
    let thread = thread::Builder::new().name(format!("sim-connection-{broker}")).spawn(move || {
        // Whatever ends it, the connection is over.
        let _ = serve(&own, id, &stream);
        lock(&own.cluster).disconnect(id);
        let _ = stream.shutdown(Shutdown::Both);
    })?;
    let mut peers = lock(&shared.peers);
    peers.retain(|peer| !peer.thread.is_finished());
    peers.push(Peer { broker, stream: handle, thread });
    Ok(())
}

/// Moves bytes between a socket and the cluster until either side closes.
fn serve(shared: &Shared, id: ConnectionId, mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; READ_BUFFER];
    let mut out = Vec::new();
    let mut timeout = POLL;
    loop {
        let received = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => 0,
                _ => return Err(error),
            },
        };
        let mut cluster = lock(&shared.cluster);
        let now_ms = shared.now_ms();
        cluster.receive(now_ms, id, &buffer[..received]);
        let open = cluster.transmit(now_ms, id, &mut out);
        let due_ms = cluster.next_due_of(id).into_iter().chain(cluster.next_event()).min();
        drop(cluster);
        if !out.is_empty() {
            stream.write_all(&out)?;
            out.clear();
        }
        if !open {
            return Ok(());
        }
        let until_due = due_ms.map(|due| Duration::from_millis(due.saturating_sub(now_ms).max(1)));
        let wanted = until_due.map_or(POLL, |until| until.min(POLL));
        if wanted != timeout {
            stream.set_read_timeout(Some(wanted))?;
            timeout = wanted;
        }
    }
}
