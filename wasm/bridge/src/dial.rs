//! From the name of a target to a connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::end::End;
use crate::target::{AllowList, Host, Target};

/// What a look-up gives, later.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Looks up names of targets; what it gives is checked before it is used.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`, with `port`.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a>;
}

/// The system's own resolver.
#[derive(Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move { Ok(lookup_host((name, port)).await?.collect()) })
    }
}

/// Connects to the first address of `target` that is allowed and answers. What was checked is what is connected to: there is no second
/// look-up in which a name could change. The error says how the tunnel ends.
pub(crate) async fn dial(
    target: &Target,
    allow: &AllowList,
    resolver: &dyn Resolve,
    limit: Duration,
) -> Result<TcpStream, End> {
    let deadline = Instant::now() + limit;
    let addresses = match &target.host {
        Host::Address(address) => vec![SocketAddr::new(*address, target.port)],
        Host::Name(name) => match timeout_at(deadline, resolver.resolve(name, target.port)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
            Ok(_) => return Err(End::Unresolved),
            Err(_) => return Err(End::ConnectTimeout),
        },
    };
    let allowed: Vec<SocketAddr> = addresses.into_iter().filter(|a| allow.allows_address(target, a.ip())).collect();
    if allowed.is_empty() {
        return Err(End::ForbiddenAddress);
    }
    let mut end = End::Unreachable;
    for (at, address) in allowed.iter().enumerate() {
        // Each gets its share of the time that is left, so that one that is silent leaves some for the others.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(allowed.len() - at).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests of Kafka's protocol are whole when they come: waiting for more only adds latency.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Ok(Err(_)) => end = End::Unreachable,
            Err(_) => end = End::ConnectTimeout,
        }
    }
    Err(end)
}
