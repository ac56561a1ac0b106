//! A transport without sockets and without a clock.

use std::iter::Cycle;
use std::vec::IntoIter;

use bytes::{BufMut, BytesMut};
use kafka_protocol::compression::{Compressor, Gzip, Snappy, Zstd};
use klamm_core::{Action, BatchOutcome, Compression, ConnId, Disconnect, Event, Instant, PeerError, Producer, Target};

/// Sizes of the pieces in which bytes go by, over and over.
#[derive(Clone, Debug)]
pub struct Pieces(Cycle<IntoIter<usize>>);

impl Pieces {
    /// Pieces of these sizes in turn; a size of 0 counts as everything there is, and so does an empty list.
    #[must_use]
    pub fn of(sizes: &[usize]) -> Self {
        let sizes = if sizes.is_empty() { vec![0] } else { sizes.to_vec() };
        Self(sizes.into_iter().cycle())
    }

    /// The next piece of `available` bytes.
    pub fn next(&mut self, available: usize) -> usize {
        match self.0.next() {
            None | Some(0) => available,
            Some(size) => size.min(available),
        }
    }
}

/// Bytes of a request, and where they went.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The connection.
    pub conn: ConnId,
    /// Port at its other end.
    pub port: u16,
    /// What stands behind the size.
    pub bytes: Vec<u8>,
}

/// An outcome with the broker's words on it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The outcome.
    pub outcome: BatchOutcome,
    /// The words, empty if there were none.
    pub text: String,
}

struct Socket {
    conn: ConnId,
    port: u16,
    unread: Vec<u8>,
}

/// Drives a producer: connections open at once, names resolve to the loopback address, time passes only in
/// [`Driver::sleep`].
pub struct Driver {
    /// The producer.
    pub producer: Producer<'static>,
    now_us: u64,
    sockets: Vec<Socket>,
    writes: Pieces,
    reads: Pieces,
    /// Every outcome so far.
    pub told: Vec<Told>,
    /// Every other event so far.
    pub events: Vec<Event>,
    /// What the core found wrong with its peers.
    pub peer_errors: Vec<PeerError>,
    /// Names that were asked for.
    pub resolved: Vec<String>,
}

impl Driver {
    /// A driver at time zero that writes and reads in pieces.
    #[must_use]
    pub fn new(producer: Producer<'static>, writes: Pieces, reads: Pieces) -> Self {
        Self {
            producer,
            now_us: 0,
            sockets: Vec::new(),
            writes,
            reads,
            told: Vec::new(),
            events: Vec::new(),
            peer_errors: Vec::new(),
            resolved: Vec::new(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.now_us)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Polls everything until the producer has nothing more to say. The requests that were written whole.
    pub fn turn(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let mut moved = false;
            while self.act() || self.compress() {
                moved = true;
            }
            while let Some(conn) = self.producer.poll_writable() {
                moved = true;
                self.write(conn);
            }
            while let Some(event) = self.producer.poll_event() {
                moved = true;
                match event {
                    Event::Batch(outcome) => {
                        let text = self.producer.error_text().to_owned();
                        self.told.push(Told { outcome, text });
                    }
                    other => self.events.push(other),
                }
            }
            self.take_frames(&mut frames);
            if !moved {
                return frames;
            }
        }
    }

    /// Does a compression job, with kafka-protocol's codec.
    fn compress(&mut self) -> bool {
        let Some(job) = self.producer.poll_compress() else { return false };
        let raw = job.bytes.collect::<Vec<_>>().concat();
        let mut packed = BytesMut::new();
        let done = match job.codec {
            Compression::Gzip => Gzip::compress(&mut packed, |out| put(out, &raw)),
            Compression::Snappy => Snappy::compress(&mut packed, |out| put(out, &raw)),
            Compression::Zstd => Zstd::compress(&mut packed, |out| put(out, &raw)),
            other => panic!("{other:?} is done in place"),
        };
        done.expect("kafka-protocol compresses");
        let (id, now) = (job.id, self.now());
        self.producer.handle_compressed(now, id, Some(&packed));
        true
    }

    fn act(&mut self) -> bool {
        let now = self.now();
        let Some(action) = self.producer.poll_action() else { return false };
        match action {
            Action::Resolve { conn, host } => {
                self.resolved.push(host.to_owned());
                self.producer.handle_resolved(now, conn, &[[127, 0, 0, 1].into()]);
            }
            Action::Connect { conn, target, .. } => {
                let port = match target {
                    Target::Address(address) => address.port(),
                    Target::Name { port, .. } => port,
                };
                self.sockets.push(Socket { conn, port, unread: Vec::new() });
                self.producer.handle_connected(now, conn);
            }
            Action::Disconnect { conn } => self.sockets.retain(|socket| socket.conn != conn),
            other => panic!("an action that this driver does not know: {other:?}"),
        }
        true
    }

    fn write(&mut self, conn: ConnId) {
        let now = self.now();
        while let Some(transmit) = self.producer.poll_transmit(now, conn) {
            let taken = self.writes.next(transmit.bytes.len());
            let socket = self.sockets.iter_mut().find(|socket| socket.conn == conn).expect("an open connection");
            socket.unread.extend_from_slice(&transmit.bytes[..taken]);
            self.producer.handle_transmitted(now, conn, taken);
        }
    }

    fn take_frames(&mut self, frames: &mut Vec<Frame>) {
        for socket in &mut self.sockets {
            while let Some((size, rest)) = socket.unread.split_first_chunk::<4>() {
                let size = u32::from_be_bytes(*size) as usize;
                if rest.len() < size {
                    break;
                }
                frames.push(Frame { conn: socket.conn, port: socket.port, bytes: rest[..size].to_vec() });
                socket.unread.drain(..4 + size);
            }
        }
    }

    /// Whether the connection is open.
    #[must_use]
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.sockets.iter().any(|socket| socket.conn == conn)
    }

    /// Gives the producer bytes of its peer, in pieces. Stops where the producer refuses them.
    pub fn feed(&mut self, conn: ConnId, mut bytes: &[u8]) {
        let now = self.now();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.reads.next(bytes.len()));
            if let Err(error) = self.producer.handle_input(now, conn, piece) {
                self.peer_errors.push(error);
                return;
            }
            bytes = rest;
        }
    }

    /// The peer closes the connection.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.sockets.retain(|socket| socket.conn != conn);
        let now = self.now();
        self.producer.handle_disconnected(now, conn, Disconnect::Closed);
    }

    /// Sleeps until the producer's next deadline, unless that is after `until_ms`. Whether there was one.
    pub fn sleep(&mut self, until_ms: u64) -> bool {
        let Some(deadline) = self.producer.poll_timeout() else { return false };
        let at_us = deadline.at.as_micros();
        if at_us > until_ms * 1000 {
            return false;
        }
        self.now_us = at_us.max(self.now_us);
        let now = self.now();
        self.producer.handle_timeout(now);
        true
    }
}

fn put<E>(out: &mut impl BufMut, raw: &[u8]) -> Result<(), E> {
    out.put_slice(raw);
    Ok(())
}
