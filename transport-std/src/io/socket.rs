//! One connection: its socket, and the bytes on their way out.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use klamm_core::{ConnId, Instant};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use crate::failures::Target;

/// Most bytes taken from the core at a time. Large writes are what makes a record cheap: 64 KiB and
/// more cost half of what 16 KiB do.
const CHUNK: usize = 256 << 10;
/// Most bytes taken while the lock is held: callers wait meanwhile, and a short wait costs less than
/// putting their thread to sleep.
const PIECE: usize = 64 << 10;
/// Slices asked for at a time.
const SLICES: usize = 24;

/// `send.buffer.bytes` and the like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) send_buffer: Option<usize>,
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) keepalive: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { send_buffer: None, receive_buffer: None, keepalive: true }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Open,
    /// It failed; the core is about to be told.
    Failed,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) target: Target,
    pub(super) phase: Phase,
    stream: TcpStream,
    /// Bytes that the core has handed over, and how many of them are written.
    out: Vec<u8>,
    written: usize,
    /// The core may have more for this connection.
    pub(super) wanted: bool,
    /// As far as known, the socket would take or give bytes.
    pub(super) writable: bool,
    pub(super) readable: bool,
}

/// The result of a read.
pub(super) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// None now.
    Nothing,
    /// None ever again.
    End(io::Error),
}

impl Conn {
    /// Begins to connect.
    pub(super) fn open(
        id: ConnId,
        address: SocketAddr,
        target: Target,
        options: &SocketOptions,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        // Sizes and keepalive are wishes: a system that refuses them still carries the bytes.
        if let Some(bytes) = options.send_buffer {
            let _ = socket.set_send_buffer_size(bytes);
        }
        if let Some(bytes) = options.receive_buffer {
            let _ = socket.set_recv_buffer_size(bytes);
        }
        if options.keepalive {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)));
        }
        registry.register(&mut stream, Token(id.slot()), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            id,
            target,
            phase: Phase::Connecting,
            stream,
            out: Vec::new(),
            written: 0,
            wanted: false,
            writable: false,
            readable: false,
        })
    }

    /// Takes note of what the poller said.
    pub(super) fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether the connection is established by now; an error if it will not be.
    pub(super) fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Got {
        loop {
            return match self.stream.read(into) {
                Ok(0) => Got::End(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => Got::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Got::Nothing
                }
                Err(error) => Got::End(error),
            };
        }
    }

    /// Whether handed-over bytes are not written yet.
    pub(super) fn has_output(&self) -> bool {
        self.written < self.out.len()
    }

    /// Whether a turn of the loop can move bytes out of here.
    pub(super) fn can_progress(&self) -> bool {
        self.phase == Phase::Open && self.writable && (self.wanted || self.has_output())
    }

    /// Whether bytes of the core can be taken: none of the earlier ones was tried to be written in vain.
    pub(super) fn can_fill(&self) -> bool {
        self.wanted && self.phase == Phase::Open && self.written == 0 && self.out.len() < CHUNK
    }

    /// Takes a piece of what the core has. Returns its size.
    pub(super) fn fill(&mut self, core: &mut klamm_core::Producer<'static>, now: Instant) -> usize {
        let before = self.out.len();
        let limit = CHUNK.min(before + PIECE);
        while self.can_fill() && self.out.len() < limit {
            let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
            let count = core.poll_transmit_vectored(now, self.id, &mut slices);
            let start = self.out.len();
            for slice in slices.iter().take(count) {
                let room = limit - self.out.len();
                self.out.extend_from_slice(slice.get(..room).unwrap_or(slice));
                if slice.len() >= room {
                    break;
                }
            }
            let taken = self.out.len() - start;
            if taken == 0 {
                // That re-arms `poll_writable`.
                self.wanted = false;
            } else {
                core.handle_transmitted(now, self.id, taken);
            }
        }
        self.out.len() - before
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.writable && self.has_output() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        if !self.has_output() {
            self.out.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Closes the socket. With `linger`, bytes handed over are still written, by a thread of their own
    /// that gives up after that time: with `acks=0` they count as delivered already.
    pub(super) fn close(mut self, registry: &Registry, linger: Option<Duration>) {
        let _ = registry.deregister(&mut self.stream);
        let Some(linger) = linger.filter(|_| self.has_output() && self.phase == Phase::Open) else { return };
        let socket = SockRef::from(&self.stream);
        if socket.set_nonblocking(false).is_err() || socket.set_write_timeout(Some(linger)).is_err() {
            return;
        }
        // Without a thread the bytes are lost, as `acks=0` allows.
        let work = move || drop(self.stream.write_all(&self.out[self.written..]));
        let _ = super::spawn("klamm-linger", Box::new(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With Nagle's algorithm and delayed acknowledgements a request waits some 40 ms for its last piece
    /// (docs/pitfalls.md B10, PITFALLS 44).
    #[test]
    fn b10_connections_do_without_nagles_algorithm() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let poll = mio::Poll::new().unwrap();
        let mut core = klamm_core::Producer::new(
            klamm_core::Config::new("127.0.0.1:1"),
            klamm_core::Storage::heap(&klamm_core::Limits::default()),
            [1; 32],
            Instant::ZERO,
        )
        .unwrap();
        core.topic("t").unwrap(); // something to ask for
        let Some(klamm_core::Action::Connect { conn, .. }) = core.poll_action() else { panic!("no connection") };
        let target = Target::of(&core, conn);
        let address = listener.local_addr().unwrap();
        for options in [SocketOptions::default(), SocketOptions { keepalive: false, ..SocketOptions::default() }] {
            let opened = Conn::open(conn, address, target.clone(), &options, poll.registry()).unwrap();
            assert!(SockRef::from(&opened.stream).tcp_nodelay().unwrap());
            opened.close(poll.registry(), None);
        }
    }
}
