//! The bytes of one connection.

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::RawMutex;
use embedded_io_async::{Error, Read, Write};
use klamm_core::{ConnId, Disconnect};

use crate::desk::Desk;
use crate::{Clock, Shared, disconnect_of};

/// Slices of a request that are looked at together: its header, topic and batch header, and some blocks.
const SLICES: usize = 8;

/// What is to flow over a connection that a [`Connector`](crate::Connector) opens: Kafka's protocol, both ways. Made by the driver.
pub trait Traffic: sealed::Sealed + Sized {
    /// The connection's slot, below the driver's `N`. No other connection has it at the same time, so memory that a connector keeps
    /// for each slot (TLS records, say) is free.
    fn slot(&self) -> usize;

    /// The name by which the cluster knows the broker: a TLS certificate must be valid for it.
    fn host(&self) -> &str;

    /// For streams that hold bytes back until they are flushed, as TLS does to fill its records: they are flushed whenever there is
    /// nothing more to send. Sockets of embassy-net, edge-net and ESP-IDF do not need it; and embassy-net's `flush` ends only when the
    /// peer has acknowledged everything, which would leave one request in flight at a time.
    #[must_use]
    fn flushing(self) -> Self;

    /// Flows over a stream that reads and writes by turns, until it ends; why it did.
    ///
    /// The stream's `read` is dropped whenever there is something to write, so it must be cancel-safe: a dropped `read` has taken
    /// nothing from the stream. That is so for sockets of embassy-net and edge-net, and not for embedded-tls. While a
    /// `write` waits, nothing is read: a broker that has stopped reading until an answer is taken would be waited for in vain, which ends by
    /// `request.timeout.ms`. It takes more bytes in flight than the broker's socket buffers hold, 100 KiB by default, to get there.
    fn by_turns(self, stream: impl Read + Write) -> impl Future<Output = Disconnect>;

    /// Flows over the two halves of a stream, independently, until either ends; why it did. Each way has half of the driver's `CHUNK`.
    ///
    /// The halves' futures are dropped together with them, never sooner.
    fn both_ways(self, reader: impl Read, writer: impl Write) -> impl Future<Output = Disconnect>;
}

mod sealed {
    /// Only the driver has traffic.
    pub trait Sealed {}
}

/// One connection's traffic.
pub(crate) struct Flow<'s, 'a, M: RawMutex, C, const WAITERS: usize> {
    pub(crate) ends: Ends<'s, 'a, M, C, WAITERS>,
    /// Bytes on their way in or out; before that, the host's name.
    pub(crate) chunk: &'s mut [u8],
    pub(crate) host_length: usize,
}

/// The core's side of a connection.
pub(crate) struct Ends<'s, 'a, M: RawMutex, C, const WAITERS: usize> {
    pub(crate) shared: &'s Shared<'a, M, C, WAITERS>,
    pub(crate) desk: &'s Desk,
    pub(crate) conn: ConnId,
    pub(crate) flushing: bool,
}

impl<M: RawMutex, C, const WAITERS: usize> sealed::Sealed for Flow<'_, '_, M, C, WAITERS> {}

impl<M: RawMutex, C: Clock, const WAITERS: usize> Traffic for Flow<'_, '_, M, C, WAITERS> {
    fn slot(&self) -> usize {
        self.ends.conn.slot()
    }

    fn host(&self) -> &str {
        self.chunk.get(..self.host_length).and_then(|host| core::str::from_utf8(host).ok()).unwrap_or("")
    }

    fn flushing(mut self) -> Self {
        self.ends.flushing = true;
        self
    }

    async fn by_turns(self, mut stream: impl Read + Write) -> Disconnect {
        let Self { ends, chunk, .. } = self;
        ends.begin();
        loop {
            // Writing goes first: what the core has to send is bounded by the requests that it keeps in flight.
            if let Err(why) = ends.send_all(&mut stream, chunk).await {
                return why;
            }
            match select(stream.read(chunk), ends.desk.until_writable()).await {
                Either::First(read) => {
                    if let Err(why) = ends.take_in(read, chunk) {
                        return why;
                    }
                    ends.desk.step().await;
                }
                Either::Second(()) => {}
            }
        }
    }

    async fn both_ways(self, mut reader: impl Read, mut writer: impl Write) -> Disconnect {
        let Self { ends, chunk, .. } = self;
        ends.begin();
        let (inward, outward) = chunk.split_at_mut(chunk.len() / 2);
        let reading = async {
            loop {
                let read = reader.read(inward).await;
                if let Err(why) = ends.take_in(read, inward) {
                    return why;
                }
                ends.desk.step().await;
            }
        };
        let writing = async {
            loop {
                if let Err(why) = ends.send_all(&mut writer, outward).await {
                    return why;
                }
                ends.desk.until_writable().await;
            }
        };
        match select(reading, writing).await {
            Either::First(why) | Either::Second(why) => why,
        }
    }
}

impl<M: RawMutex, C: Clock, const WAITERS: usize> Ends<'_, '_, M, C, WAITERS> {
    fn begin(&self) {
        debug!("slot {}: connected", self.conn.slot());
        self.shared.input(|producer, now| producer.handle_connected(now, self.conn));
        self.desk.stir();
    }

    /// Writes until the core has nothing more to send.
    async fn send_all(&self, writer: &mut impl Write, chunk: &mut [u8]) -> Result<(), Disconnect> {
        let mut unflushed = false;
        loop {
            let peeked = self.peek(chunk);
            let Some(bytes @ [_, ..]) = chunk.get(..peeked) else { break };
            let written = writer.write(bytes).await.map_err(|error| disconnect_of(error.kind()))?;
            if written == 0 {
                return Err(Disconnect::Closed);
            }
            self.shared.input(|producer, now| producer.handle_transmitted(now, self.conn, written.min(peeked)));
            unflushed = self.flushing;
            self.desk.step().await;
        }
        if unflushed {
            writer.flush().await.map_err(|error| disconnect_of(error.kind()))?;
        }
        Ok(())
    }

    /// Copies the next bytes to send into the chunk; they stay the core's until they are written. Returns how many.
    fn peek(&self, chunk: &mut [u8]) -> usize {
        self.desk.set_written();
        let copied = self.shared.look(|producer, now| {
            let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
            let count = producer.poll_transmit_vectored(now, self.conn, &mut slices);
            gather(slices.get(..count).unwrap_or(&slices), chunk)
        });
        copied.unwrap_or(0)
    }

    /// Hands to the core what a read brought.
    fn take_in<E: Error>(&self, read: Result<usize, E>, chunk: &[u8]) -> Result<(), Disconnect> {
        let count = read.map_err(|error| disconnect_of(error.kind()))?;
        let Some(bytes @ [_, ..]) = chunk.get(..count) else { return Err(Disconnect::Closed) };
        let heard = self.shared.input(|producer, now| producer.handle_input(now, self.conn, bytes));
        if let Some(Err(error)) = heard {
            // The core ends the connection itself.
            warning!("slot {}: {:?}", self.conn.slot(), error);
        }
        Ok(())
    }
}

/// Copies as much of the slices as there is room for; returns how much.
fn gather(slices: &[&[u8]], mut room: &mut [u8]) -> usize {
    let mut copied = 0;
    for slice in slices {
        let length = slice.len().min(room.len());
        let (Some((to, behind)), Some(from)) = (room.split_at_mut_checked(length), slice.get(..length)) else { break };
        to.copy_from_slice(from);
        copied += length;
        room = behind;
    }
    copied
}
