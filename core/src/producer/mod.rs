//! The producer as its driver sees it: commands, inputs, outputs.

mod commands;
mod inputs;
#[cfg(feature = "metrics")]
mod measures;
mod outputs;

use crate::error::ConfigError;
use crate::state::State;
use crate::state::storage::Storage;
use crate::{Config, Instant};

/// An Apache Kafka producer without I/O: it decides everything and touches nothing.
///
/// # Contract
///
/// A driver (a thread, a main loop, an async task) moves bytes and time between the producer and the
/// world. There are four families of methods:
///
/// * **Commands** (`topic`, `send`, `flush`, `close`, …): what the application wants. They never block
///   and never need a connection.
/// * **Inputs** (`handle_…`): what happened outside: names resolved, streams opened and closed, bytes
///   arrived, bytes taken, time passed.
/// * **Outputs** (`poll_…`): what to do next. After any command or input, poll in this order until each
///   is exhausted: [`poll_action`](Self::poll_action), then [`poll_writable`](Self::poll_writable)
///   with [`poll_transmit`](Self::poll_transmit) for each connection, then
///   [`poll_event`](Self::poll_event), then once [`poll_timeout`](Self::poll_timeout). With the
///   feature `codecs` also `poll_compress`, before and after the writable connections.
/// * **Observers** (`stats`, `partition_count`, …): plain looks.
///
/// **Time** is monotonic and a parameter. A `now` before an earlier one is clamped to it.
///
/// **Bytes out** are lent, not given: `poll_transmit` shows a slice that stays where it is until
/// [`handle_transmitted`](Self::handle_transmitted) says how many bytes the transport took. A short
/// write, a dropped future or a lost connection therefore loses nothing: every method is cancel-safe.
///
/// **Bytes in** are consumed whole, in pieces of any size.
///
/// **Work per call is bounded** by the bytes given and the storage's sizes; the polls are O(1) in
/// partitions and brokers. **Memory** never grows beyond the [`Storage`]. **No input panics.**
///
/// ```
/// # use klamm_core::*;
/// # fn drive(mut producer: Producer<'_>, now: Instant) -> Result<(), SendError> {
/// let readings = producer.topic("readings")?;
/// producer.send(now, readings, &Record::value(b"21.5"))?;
/// // One round of a driver:
/// while let Some(action) = producer.poll_action() {
///     match action { // resolve, connect, disconnect
///         _ => {}
///     }
/// }
/// while let Some(conn) = producer.poll_writable() {
///     while let Some(transmit) = producer.poll_transmit(now, conn) {
///         let taken = transmit.bytes.len(); // socket.write(transmit.bytes)
///         producer.handle_transmitted(now, conn, taken);
///     }
/// }
/// while let Some(event) = producer.poll_event() {
///     if let Event::Batch(outcome) = event { let _ = outcome.result; }
/// }
/// let _sleep_until = producer.poll_timeout();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Producer<'a> {
    state: State<'a>,
}

impl<'a> Producer<'a> {
    /// A producer in the given memory. `seed` feeds jitter and partition choice: the same seed, inputs
    /// and times give the same bytes on every platform.
    ///
    /// # Errors
    /// A setting or a part of the storage that cannot work, by name.
    pub fn new(config: Config<'a>, storage: Storage<'a>, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        Ok(Self { state: State::new(config, storage, seed, now)? })
    }
}
