//! Why connections failed lately, so that a timeout can name its cause.

use std::fmt::{self, Write as _};
use std::io;
use std::time::Duration;

use klamm_core::{ConnId, Disconnect, Instant};

/// Failures kept at most; a large cluster that is down altogether fails in one way.
const KEPT: usize = 16;
/// Failures named in one text.
const NAMED: usize = 3;
/// What is older says nothing: a target that is needed is tried again much sooner.
const FRESH: Duration = Duration::from_secs(60);

/// The last failure of each target, until it works again.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    last: Vec<Failure>,
}

#[derive(Debug)]
struct Failure {
    target: Target,
    text: String,
    at: Instant,
}

/// Who a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `None` for a bootstrap server.
    pub(crate) broker: Option<i32>,
    /// `host:port`, as configured or advertised.
    pub(crate) address: String,
}

impl Target {
    /// The other end of a connection.
    pub(crate) fn of(core: &klamm_core::Producer<'_>, conn: ConnId) -> Self {
        let address = match core.connection_host(conn) {
            Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((host, port)) => format!("{host}:{port}"),
            None => "an unknown address".to_owned(),
        };
        Self { broker: core.connection_broker(conn), address }
    }
}

/// `broker 2 (host:9092)`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.broker {
            None => write!(f, "bootstrap server {}", self.address),
            Some(id) => write!(f, "broker {id} ({})", self.address),
        }
    }
}

impl Failures {
    pub(crate) fn note(&mut self, now: Instant, target: &Target, text: impl Into<String>) {
        self.clear(target);
        if self.last.len() >= KEPT {
            self.last.remove(0);
        }
        self.last.push(Failure { target: target.clone(), text: text.into(), at: now });
    }

    /// The target works.
    pub(crate) fn clear(&mut self, target: &Target) {
        self.last.retain(|failure| failure.target != *target);
    }

    /// Appends the latest failures to `text`; false if there are none.
    pub(crate) fn describe(&self, now: Instant, text: &mut String) -> bool {
        let fresh = || self.last.iter().rev().filter(|failure| now.since(failure.at) < FRESH);
        for (position, failure) in fresh().take(NAMED).enumerate() {
            if position > 0 {
                text.push_str("; ");
            }
            let Failure { target, text: why, .. } = failure;
            let _ = write!(text, "{target}: {why}");
        }
        let more = fresh().count().saturating_sub(NAMED);
        if more > 0 {
            let _ = write!(text, "; and {more} more");
        }
        fresh().next().is_some()
    }
}

/// What the core is told about an I/O error.
pub(crate) fn disconnect(error: &io::Error) -> Disconnect {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Disconnect::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            Disconnect::Unreachable
        }
        Kind::TimedOut => Disconnect::TimedOut,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => Disconnect::Closed,
        _ => Disconnect::Other,
    }
}

/// What a person is told about an I/O error.
pub(crate) fn words(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let text = match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::HostUnreachable | Kind::NetworkUnreachable => "no route to it",
        Kind::TimedOut => "it does not answer (connection timed out)",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => "it reset the connection",
        Kind::UnexpectedEof => "it closed the connection",
        _ => return error.to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_failures_are_named() {
        let mut failures = Failures::default();
        let mut text = String::new();
        assert!(!failures.describe(Instant::ZERO, &mut text));
        let target = |broker, address: &str| Target { broker, address: address.to_owned() };
        let (foo, bar) = (target(None, "foo:9092"), target(Some(2), "bar:1"));
        failures.note(Instant::ZERO, &foo, "old");
        failures.note(Instant::ZERO, &foo, "name cannot be resolved");
        failures.note(Instant::ZERO, &bar, words(&io::ErrorKind::ConnectionRefused.into()));
        assert!(failures.describe(Instant::ZERO, &mut text));
        assert_eq!(text, "broker 2 (bar:1): connection refused; bootstrap server foo:9092: name cannot be resolved");
        assert!(!failures.describe(Instant::from_millis(60_000), &mut String::new()));
        failures.clear(&foo);
        failures.clear(&bar);
        assert!(!failures.describe(Instant::ZERO, &mut text));
        for id in 0..100 {
            failures.note(Instant::ZERO, &target(Some(id), ""), "x");
        }
        failures.describe(Instant::ZERO, &mut text);
        assert!(text.ends_with("; and 13 more"), "{text}");
    }
}
