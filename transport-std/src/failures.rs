//! Why connections failed lately, so that a timeout can name its cause.

use std::fmt::Write as _;
use std::io;

use klamm_core::{ConnId, Disconnect};

/// Failures kept at most; a large cluster that is down altogether fails in one way.
const KEPT: usize = 16;
/// Failures named in one text.
const NAMED: usize = 3;

/// The last failure of each target, until it works again.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    last: Vec<Failure>,
}

#[derive(Debug)]
struct Failure {
    target: Target,
    text: String,
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

impl Failures {
    pub(crate) fn note(&mut self, target: &Target, text: impl Into<String>) {
        self.clear(target);
        if self.last.len() >= KEPT {
            self.last.remove(0);
        }
        self.last.push(Failure { target: target.clone(), text: text.into() });
    }

    /// The target works.
    pub(crate) fn clear(&mut self, target: &Target) {
        self.last.retain(|failure| failure.target != *target);
    }

    /// Appends the latest failures to `text`; false if there are none.
    pub(crate) fn describe(&self, text: &mut String) -> bool {
        for (position, failure) in self.last.iter().rev().take(NAMED).enumerate() {
            if position > 0 {
                text.push_str("; ");
            }
            let Failure { target: Target { broker, address }, text: why } = failure;
            let _ = match broker {
                None => write!(text, "bootstrap server {address}: {why}"),
                Some(id) => write!(text, "broker {id} ({address}): {why}"),
            };
        }
        let more = self.last.len().saturating_sub(NAMED);
        if more > 0 {
            let _ = write!(text, "; and {more} more");
        }
        !self.last.is_empty()
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
        assert!(!failures.describe(&mut text));
        let target = |broker, address: &str| Target { broker, address: address.to_owned() };
        let (foo, bar) = (target(None, "foo:9092"), target(Some(2), "bar:1"));
        failures.note(&foo, "old");
        failures.note(&foo, "name cannot be resolved");
        failures.note(&bar, words(&io::ErrorKind::ConnectionRefused.into()));
        assert!(failures.describe(&mut text));
        assert_eq!(text, "broker 2 (bar:1): connection refused; bootstrap server foo:9092: name cannot be resolved");
        failures.clear(&foo);
        failures.clear(&bar);
        assert!(!failures.describe(&mut text));
        for id in 0..100 {
            failures.note(&target(Some(id), ""), "x");
        }
        failures.describe(&mut text);
        assert!(text.ends_with("; and 13 more"), "{text}");
    }
}
