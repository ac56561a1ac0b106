//! One connection, from its accept to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::{debug, info, warn};

use crate::admission::{self, Admitted, Service};
use crate::dial::dial;
use crate::end::End;
use crate::forwarded;
use crate::http::{Answer, Head, HeadError};
use crate::metrics::Traffic;
use crate::refusal::Refusal;
use crate::server::{Pending, Shared, stopped};
use crate::slots::Slot;
use crate::stream::ClientStream;
use crate::tunnel;

/// Most characters of a client's own words in a log line.
const MAX_LOGGED: usize = 128;
/// For an answer to leave.
const ANSWER: Duration = Duration::from_secs(2);

/// Serves a connection to the main listener.
pub(crate) async fn serve(shared: Arc<Shared>, socket: TcpStream, peer: SocketAddr, pending: Pending) {
    let mut stop = shared.stop();
    let received = tokio::select! {
        received = receive(&shared, socket, peer) => received,
        () = stopped(&mut stop) => None,
    };
    let Some((mut stream, head)) = received else {
        shared.metrics.handshakes_failed.add(1);
        return;
    };
    match head.and_then(|head| decide(&shared, head, peer)) {
        Ok(Decision::Answer(answer, is_head)) => {
            shared.metrics.answered.add(1);
            drop(timeout(ANSWER, answer.send(&mut stream, is_head)).await);
        }
        Ok(Decision::Tunnel(admitted)) => {
            let (passage, head) = *admitted;
            shared.metrics.upgraded.add(1);
            let open = Open::new(&shared, peer, &passage, &head);
            drop(pending);
            carry(&shared, stream, head, passage, open).await;
        }
        Err(refusal) => {
            shared.metrics.refuse(refusal);
            drop(timeout(ANSWER, refusal.answer().send(&mut stream, false)).await);
        }
    }
}

/// A head that could be read, or the reason why it is refused.
type Received = Option<(ClientStream, Result<Head, Refusal>)>;

/// TLS and the head of the request. `None` if the client broke off, or was too slow for TLS: nobody is there to be answered.
async fn receive(shared: &Shared, socket: TcpStream, peer: SocketAddr) -> Received {
    let deadline = Instant::now() + shared.config.limits.handshake;
    let mut stream = match shared.secrets.current().acceptor() {
        None => ClientStream::plain(socket),
        Some(acceptor) => match timeout_at(deadline, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => ClientStream::tls(stream),
            Ok(Err(error)) => {
                debug!(%peer, %error, "TLS failed");
                return None;
            }
            Err(_) => {
                debug!(%peer, "TLS took too long");
                return None;
            }
        },
    };
    let head = match timeout_at(deadline, Head::read(&mut stream)).await {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(HeadError::Gone)) => return None,
        Ok(Err(HeadError::TooLarge)) => Err(Refusal::TooLarge),
        Ok(Err(HeadError::Malformed)) => Err(Refusal::Malformed),
        Err(_) => Err(Refusal::Slow),
    };
    if let Err(refusal) = &head {
        warn!(%peer, reason = refusal.label(), status = refusal.status(), "refused");
    }
    Some((stream, head))
}

enum Decision {
    /// And whether it goes without its body.
    Answer(Answer, bool),
    Tunnel(Box<(Passage, Head)>),
}

/// An admitted request, and the places that it takes.
struct Passage {
    admitted: Admitted,
    client: IpAddr,
    _slot: Slot,
    _permit: OwnedSemaphorePermit,
}

/// What becomes of a request. Refusals are logged here, with what the client asked for.
fn decide(shared: &Shared, head: Head, peer: SocketAddr) -> Result<Decision, Refusal> {
    let config = &shared.config;
    let client = forwarded::client(peer.ip(), &head, &config.trusted_proxies);
    let decided = match admission::service(&head, &config.path_prefix) {
        Ok(Service::Health) => Ok(Decision::Answer(health(shared), head.method == "HEAD")),
        Ok(Service::Metrics) if config.metrics => Ok(Decision::Answer(metrics(shared), head.method == "HEAD")),
        Ok(Service::Metrics) => Err(Refusal::NotFound),
        Ok(Service::Tunnel) => {
            return admit(shared, &head, client, peer).map(|passage| Decision::Tunnel(Box::new((passage, head))));
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &decided {
        // Not the path: somebody may have put a token there.
        warn!(%peer, %client, reason = refusal.label(), status = refusal.status(), "refused");
    }
    decided
}

fn admit(shared: &Shared, head: &Head, client: IpAddr, peer: SocketAddr) -> Result<Passage, Refusal> {
    let secrets = shared.secrets.current();
    let judged = admission::judge(head, &shared.config, &shared.allow, &secrets.tokens);
    let passage = judged.and_then(|admitted| {
        if shared.is_stopping() {
            return Err(Refusal::ShuttingDown);
        }
        let slot = shared.open.take(client).ok_or(Refusal::PerIp)?;
        let permit = Arc::clone(&shared.tunnels).try_acquire_owned().map_err(|_| Refusal::Full)?;
        Ok(Passage { admitted, client, _slot: slot, _permit: permit })
    });
    if let Err(refusal) = &passage {
        let origin = shorten(head.one("origin").ok().flatten().unwrap_or_default());
        let to =
            admission::target(head, &shared.config.path_prefix).map_or_else(|_| "?".to_owned(), |to| to.to_string());
        // The origin is the client's own words: quoted, with what is not printable escaped.
        warn!(%peer, %client, ?origin, to, reason = refusal.label(), status = refusal.status(), "refused");
    }
    passage
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_LOGGED).collect()
}

fn health(shared: &Shared) -> Answer {
    if shared.is_stopping() {
        Answer::text(503, "shutting down\n".to_owned())
    } else {
        Answer::text(200, "ok\n".to_owned())
    }
}

fn metrics(shared: &Shared) -> Answer {
    let mut answer = Answer::text(200, shared.metrics.render(shared.is_stopping()));
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer
}

/// A tunnel that is counted as open; its end is counted and logged when this is dropped, however that comes.
struct Open {
    shared: Arc<Shared>,
    traffic: Arc<Traffic>,
    id: u64,
    to: String,
    since: Instant,
    end: OnceLock<End>,
}

impl Open {
    fn new(shared: &Arc<Shared>, peer: SocketAddr, passage: &Passage, head: &Head) -> Self {
        shared.metrics.open.change(1);
        let (id, client, to) = (shared.next_id(), passage.client, passage.admitted.target.to_string());
        let origin = shorten(head.one("origin").ok().flatten().unwrap_or_default());
        info!(id, %peer, %client, ?origin, to, "tunnel opened");
        let traffic = Arc::new(Traffic::new(Arc::clone(&shared.metrics)));
        Self { shared: Arc::clone(shared), traffic, id, to, since: Instant::now(), end: OnceLock::new() }
    }

    /// The first end counts.
    fn ends(&self, end: End) {
        self.end.get_or_init(|| end);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let end = self.end.get().copied().unwrap_or(End::Aborted);
        let lasted = self.since.elapsed();
        let metrics = &self.shared.metrics;
        metrics.open.change(-1);
        metrics.close(end);
        metrics.tunnels.add(lasted);
        let flow = self.traffic.own();
        let (to_target, to_client) = (flow.to_target.get(), flow.to_client.get());
        let code = end.close_frame().map(|frame| u16::from(frame.code));
        let ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        info!(id = self.id, to = self.to, reason = end.label(), code, to_target, to_client, ms, "tunnel closed");
    }
}

/// Completes the upgrade, connects to the target, and carries bytes until the end.
async fn carry(shared: &Shared, mut stream: ClientStream, mut head: Head, passage: Passage, open: Open) {
    let limits = &shared.config.limits;
    let response = passage.admitted.response();
    if !matches!(timeout(ANSWER, stream.write_all(response.as_bytes())).await, Ok(Ok(()))) {
        open.ends(End::ClientGone);
        return;
    }
    let rest = std::mem::take(&mut head.rest);
    drop(head);
    let config = tunnel::websocket_config(limits);
    let client = WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    let mut stop = shared.stop();
    let target = &passage.admitted.target;
    let since = Instant::now();
    let dialled = tokio::select! {
        dialled = dial(target, &shared.allow, shared.resolver.as_ref(), limits.connect) => dialled,
        () = stopped(&mut stop) => Err(End::ShuttingDown),
    };
    match dialled {
        Ok(connection) => {
            shared.metrics.connects.add(since.elapsed());
            let traffic = Arc::clone(&open.traffic);
            tunnel::run(client, connection, limits, traffic, stop, |end| open.ends(end)).await;
        }
        Err(end) => {
            open.ends(end);
            tunnel::close_early(client, end, limits.close).await;
        }
    }
}

/// Answers a request for health or metrics, and nothing else.
pub(crate) async fn serve_admin(shared: Arc<Shared>, mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let Ok(Ok(head)) = timeout(shared.config.limits.handshake, Head::read(&mut stream)).await else { return };
    let answer = match admission::service(&head, "") {
        Ok(Service::Health) => health(&shared),
        Ok(Service::Metrics) => metrics(&shared),
        Ok(Service::Tunnel) => Refusal::NotFound.answer(),
        Err(refusal) => refusal.answer(),
    };
    drop(timeout(ANSWER, answer.send(&mut stream, head.method == "HEAD")).await);
}
