//! A connection to one broker that asks one question at a time, each within a time limit.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use klamm::ErrorCode;

use super::wire::{self, APIS, Api, Cluster, METADATA, Range};

/// Longest answer; a cluster of a million partitions needs half of it.
const ANSWER_MAX: usize = 100 << 20;

/// Why a broker could not be asked; a sentence without its name.
#[derive(Clone, Debug)]
pub(super) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(text.into()))
}

const NOT_KAFKA: &str = "it does not answer as a Kafka broker does (a TLS listener, or another service?)";

/// Who asks, and how patiently.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) client_id: String,
    /// For resolving, connecting and all answers of a broker together.
    pub(super) patience: Duration,
}

/// A broker that told its API versions.
pub(super) struct Connection<'a> {
    asker: &'a Asker,
    stream: TcpStream,
    deadline: Instant,
    pub(super) ranges: Vec<Range>,
}

impl Asker {
    /// Connects, and asks for the API versions.
    pub(super) fn connect(&self, host: &str, port: u16) -> Result<Connection<'_>, Failure> {
        let deadline = Instant::now() + self.patience;
        let addresses = self.resolve(host, port)?;
        let stream = self.open(&addresses, deadline)?;
        let mut connection = Connection { asker: self, stream, deadline, ranges: Vec::new() };
        let request = wire::api_versions_request(1, &self.client_id);
        let answer = connection.ask(&request)?;
        match wire::api_versions_response(&answer) {
            Ok((0, ranges)) => connection.ranges = ranges,
            Ok((error, _)) => return fail(format!("it answered {}", ErrorCode::from(error))),
            Err(wire::Malformed) => return fail(NOT_KAFKA),
        }
        Ok(connection)
    }

    /// In a thread of its own: the operating system's resolver knows no time limit.
    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let (tell, told) = mpsc::channel();
        let host = host.to_owned();
        std::thread::spawn(move || tell.send((host.as_str(), port).to_socket_addrs().map(Vec::from_iter)));
        match told.recv_timeout(self.patience) {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(Ok(_)) => fail("its name has no address"),
            Ok(Err(error)) => fail(format!("its name cannot be resolved: {error}")),
            Err(_) => fail(self.too_late("its name was not resolved")),
        }
    }

    fn open(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
        let mut last = Failure(self.too_late("no connection"));
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(error) => last = Failure(format!("cannot connect to {address}: {error}")),
            }
        }
        Err(last)
    }

    fn too_late(&self, what: &str) -> String {
        format!("{what} within {} ms (--timeout)", self.patience.as_millis())
    }
}

impl Connection<'_> {
    /// The broker's versions of an API.
    pub(super) fn range(&self, api: &Api) -> Option<Range> {
        self.ranges.iter().copied().find(|range| range.key == api.key)
    }

    /// The cluster's metadata, with these topics, or all.
    pub(super) fn metadata(&mut self, topics: &[String]) -> Result<Cluster, Failure> {
        let Some(api) = APIS.iter().find(|api| api.key == METADATA) else { return fail(NOT_KAFKA) };
        let range = self.range(api);
        let Some(version) = range.and_then(|range| api.used(range)) else {
            let (min, max) = range.map_or((0, 0), |range| (range.min, range.max));
            return fail(format!(
                "it has Metadata {min} to {max}, klamm {} to {}: brokers from 2.1 on",
                api.min, api.max
            ));
        };
        let request = wire::metadata_request(version, 2, &self.asker.client_id, topics);
        let answer = self.ask(&request)?;
        wire::metadata_response(version, &answer).or_else(|_| fail(NOT_KAFKA))
    }

    /// Sends a request; its answer without size and correlation id.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut frame = (request.len() as u32).to_be_bytes().to_vec();
        frame.extend(request);
        self.set_timeout()?;
        self.stream.write_all(&frame).map_err(|error| self.failure(&error))?;
        let mut size = [0; 4];
        self.read(&mut size)?;
        let size = i32::from_be_bytes(size);
        if size < 4 || size as usize > ANSWER_MAX {
            return fail(NOT_KAFKA);
        }
        let mut correlation = [0; 4];
        self.read(&mut correlation)?;
        if correlation != request[4..8] {
            return fail(NOT_KAFKA);
        }
        let mut answer = Vec::new();
        let mut left = size as usize - 4;
        // As it comes: the size is only a claim.
        let mut chunk = vec![0; left.min(64 << 10)];
        while left > 0 {
            let take = left.min(chunk.len());
            self.read(&mut chunk[..take])?;
            answer.extend(&chunk[..take]);
            left -= take;
        }
        Ok(answer)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), Failure> {
        let mut filled = 0;
        while filled < into.len() {
            self.set_timeout()?;
            match self.stream.read(&mut into[filled..]) {
                Ok(0) => return fail("it closed the connection (a TLS or SASL listener, or not Kafka?)"),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    fn set_timeout(&self) -> Result<(), Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return fail(self.asker.too_late("no answer"));
        }
        let set = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.set_write_timeout(Some(left)));
        set.map_err(|error| Failure(error.to_string()))
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure(self.asker.too_late("no answer")),
            _ => Failure(error.to_string()),
        }
    }
}
