//! Accepting connections, and the order to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::connection;
use crate::dial::{Resolve, SystemResolver};
use crate::metrics::Metrics;
use crate::secrets::Secrets;
use crate::slots::{Slot, Slots};
use crate::target::AllowList;

/// Connections at once to the admin listener.
const ADMIN_CONNECTIONS: usize = 64;
/// After an accept that failed: mostly there are no more file descriptors, and trying on at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a bridge cannot start.
#[derive(Debug)]
pub enum StartError {
    /// No listening at this address.
    Listen(SocketAddr, io::Error),
    /// Tokens or certificate cannot be used; the text says which and why.
    Secrets(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen at {address}: {error}"),
            Self::Secrets(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) allow: AllowList,
    pub(crate) secrets: Secrets,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) resolver: Box<dyn Resolve>,
    /// Requests that are not answered yet, per address that they come from.
    pending: Slots,
    /// Tunnels per client address.
    pub(crate) open: Slots,
    pub(crate) tunnels: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    ids: AtomicU64,
}

impl Shared {
    pub(crate) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A bridge that listens. [`run`](Self::run) serves.
pub struct Bridge {
    listener: TcpListener,
    admin: Option<TcpListener>,
    shared: Arc<Shared>,
}

/// Steers a bridge while it runs.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Stops accepting, closes all tunnels with code 1001, and lets [`Bridge::run`] end.
    pub fn shut_down(&self) {
        self.0.stop.send_replace(true);
    }

    /// Reads tokens and certificate again. Connections that are open stay.
    ///
    /// # Errors
    ///
    /// What is wrong; the old ones stay in use then.
    pub fn reload(&self) -> Result<(), String> {
        let result = self.0.secrets.reload(&self.0.config);
        let counter = if result.is_ok() { &self.0.metrics.reloads } else { &self.0.metrics.reloads_failed };
        counter.add(1);
        result
    }

    /// All metrics, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.0.metrics.render(self.0.is_stopping())
    }
}

impl Bridge {
    /// Reads tokens and certificate, and listens.
    ///
    /// # Errors
    ///
    /// An address is taken, or a file cannot be used.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        Self::bind_with(config, SystemResolver).await
    }

    /// The same with another resolver for names of targets.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub async fn bind_with(config: Config, resolver: impl Resolve) -> Result<Self, StartError> {
        let secrets = Secrets::load(&config).map_err(StartError::Secrets)?;
        let listener = listen(config.listen).await?;
        let admin = match config.admin_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let limits = &config.limits;
        let shared = Shared {
            allow: AllowList { targets: config.allow.clone(), resolves_to: config.resolves_to.clone() },
            secrets,
            metrics: Arc::default(),
            resolver: Box::new(resolver),
            pending: Slots::new(limits.max_connections_per_ip),
            open: Slots::new(limits.max_connections_per_ip),
            tunnels: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
            handshakes: Arc::new(Semaphore::new(limits.max_handshakes.min(Semaphore::MAX_PERMITS))),
            stop: watch::Sender::new(false),
            ids: AtomicU64::new(0),
            config,
        };
        Ok(Self { listener, admin, shared: Arc::new(shared) })
    }

    /// Where WebSockets are accepted.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where health and metrics are answered besides.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// For steering it from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Serves until [`Handle::shut_down`]; then waits for the tunnels to close, no longer than the limit for it. Gives the number of
    /// those that had to be cut off.
    pub async fn run(self) -> usize {
        let Self { listener, admin, shared } = self;
        let admin = admin.map(|listener| tokio::spawn(serve_admin(listener, Arc::clone(&shared))));
        let mut tasks = serve(listener, &shared).await;
        info!(open = shared.metrics.open.get(), pending = shared.metrics.pending.get(), "shutting down");
        let deadline = Instant::now() + shared.config.limits.shutdown;
        while let Ok(Some(ended)) = timeout_at(deadline, tasks.join_next()).await {
            note(&shared, ended);
        }
        let cut_off = tasks.len();
        tasks.shutdown().await;
        if let Some(admin) = admin {
            admin.abort();
            drop(admin.await);
        }
        info!(cut_off, "shut down");
        cut_off
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

/// Accepts until the order to stop, and gives what still runs. The listener is closed then.
async fn serve(listener: TcpListener, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut stop = shared.stop();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return tasks,
            Some(ended) = tasks.join_next() => note(shared, ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accept(shared, stream, peer, &mut tasks),
                Err(error) => {
                    shared.metrics.accept_errors.add(1);
                    warn!(%error, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// What a connection holds until its request is answered.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
    _slot: Option<Slot>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.metrics.pending.change(-1);
    }
}

fn accept(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr, tasks: &mut JoinSet<()>) {
    shared.metrics.accepted.add(1);
    let Some(pending) = pending(shared, peer) else {
        shared.metrics.dropped.add(1);
        debug!(%peer, "dropped: too many connections whose request is not answered yet");
        return;
    };
    drop(stream.set_nodelay(true));
    tasks.spawn(connection::serve(Arc::clone(shared), stream, peer, pending));
}

fn pending(shared: &Arc<Shared>, peer: SocketAddr) -> Option<Pending> {
    let permit = Arc::clone(&shared.handshakes).try_acquire_owned().ok()?;
    // All clients of a proxy have its address.
    let is_proxy = shared.config.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
    let slot = if is_proxy { None } else { Some(shared.pending.take(peer.ip())?) };
    shared.metrics.pending.change(1);
    Some(Pending { shared: Arc::clone(shared), _permit: permit, _slot: slot })
}

/// Until the order to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

fn note(shared: &Shared, ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        shared.metrics.panics.add(1);
        error!("a connection's task panicked: this is a bug in the bridge");
    }
}

/// Health and metrics, also while the bridge shuts down.
async fn serve_admin(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    tokio::spawn(connection::serve_admin(Arc::clone(&shared), stream, place));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
