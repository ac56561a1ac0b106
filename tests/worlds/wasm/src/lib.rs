//! klamm's core as a WebAssembly module with a C interface: no allocator, no bindings generator. `worlds.mjs` drives it.
//!
//! Text and bytes from outside come through [`buffer`]; a slot number names a connection. Results below zero say "none" or
//! "no".
#![no_std]

use core::cell::RefCell;

use klamm_core::record::crc32c;
use klamm_core::{
    Action, Config, ConnId, Disconnect, Event, Instant, Producer, Record, SendError, Target, TopicId, static_storage,
};

type Memory = static_storage!(
    block: 1024, blocks: 32, batches: 16, partitions: 8, topics: 1, brokers: 4, connections: 4
);

const CONNECTIONS: usize = 4;
const BUFFER: usize = 64 << 10;

struct World {
    producer: Producer<'static>,
    topic: TopicId,
    /// Ids cannot be made from numbers: the slot's last one is kept for it.
    conns: [Option<ConnId>; CONNECTIONS],
}

/// What the host looks up after a call, at an address that it knows.
struct Shared {
    buffer: [u8; BUFFER],
    host_len: usize,
    port: u16,
}

struct OneThread<T>(RefCell<T>);

// SAFETY: a module instance has one thread: the target has no atomics.
unsafe impl<T> Sync for OneThread<T> {}

static WORLD: OneThread<Option<World>> = OneThread(RefCell::new(None));
static SHARED: OneThread<Shared> = OneThread(RefCell::new(Shared { buffer: [0; BUFFER], host_len: 0, port: 0 }));
static mut MEMORY: Memory = Memory::new();
static mut BOOTSTRAP: [u8; 256] = [0; 256];

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Milliseconds with fractions, as JavaScript has them.
fn instant(now_ms: f64) -> Instant {
    Instant::from_micros((now_ms * 1000.0) as u64)
}

/// Runs something on the producer; `missing` if there is none.
fn with<T>(missing: T, run: impl FnOnce(&mut World, &mut Shared) -> T) -> T {
    match (WORLD.0.try_borrow_mut(), SHARED.0.try_borrow_mut()) {
        (Ok(mut world), Ok(mut shared)) => world.as_mut().map_or(missing, |world| run(world, &mut shared)),
        _ => missing,
    }
}

/// Runs something for a connection.
fn with_conn<T>(slot: u32, missing: T, run: impl FnOnce(&mut World, &mut Shared, ConnId) -> T) -> T {
    with(None, |world, shared| {
        let conn = (*world.conns.get(slot as usize)?)?;
        Some(run(world, shared, conn))
    })
    .unwrap_or(missing)
}

/// Where bytes for this module go: 64 KiB.
#[unsafe(no_mangle)]
pub extern "C" fn buffer() -> *const u8 {
    SHARED.0.as_ptr().cast_const().cast::<u8>().wrapping_add(core::mem::offset_of!(Shared, buffer))
}

/// Makes the producer: the buffer holds `bootstrap.servers` and behind it the topic. 0 if that works.
#[unsafe(no_mangle)]
pub extern "C" fn start(now_ms: f64, unix_ms: f64, bootstrap_len: usize, topic_len: usize) -> i32 {
    let make = || {
        let shared = SHARED.0.try_borrow().ok()?;
        let bootstrap = shared.buffer.get(..bootstrap_len)?;
        let name = shared.buffer.get(bootstrap_len..)?.get(..topic_len)?;
        let mut world = WORLD.0.try_borrow_mut().ok().filter(|world| world.is_none())?;
        let (memory, text) = (&raw mut MEMORY, &raw mut BOOTSTRAP);
        // SAFETY: only this call borrows them: for good if it succeeds, which it does once; else not beyond its end.
        let (memory, text) = unsafe { (&mut *memory, &mut *text) };
        let text = text.get_mut(..bootstrap_len)?;
        text.copy_from_slice(bootstrap);
        let mut config = Config::new(core::str::from_utf8(text).ok()?);
        config.resolve_names = false;
        config.crc32c = crc32c::slice16;
        config.batch_size = 2048;
        let mut producer = Producer::new(config, memory.storage()?, [3; 32], instant(now_ms)).ok()?;
        producer.set_wall_clock(instant(now_ms), unix_ms as i64);
        let topic = producer.topic(core::str::from_utf8(name).ok()?).ok()?;
        *world = Some(World { producer, topic, conns: [None; CONNECTIONS] });
        Some(())
    };
    if make().is_some() { 0 } else { -1 }
}

/// Sends a record: the buffer holds its key and behind it its value. 0 accepted, 1 later, −1 never.
#[unsafe(no_mangle)]
pub extern "C" fn send(now_ms: f64, key_len: usize, value_len: usize) -> i32 {
    with(-1, |world, shared| {
        let key = shared.buffer.get(..key_len).unwrap_or(&[]);
        let value = shared.buffer.get(key_len..).and_then(|rest| rest.get(..value_len)).unwrap_or(&[]);
        match world.producer.send(instant(now_ms), world.topic, &Record::keyed(key, value)) {
            Ok(_) => 0,
            Err(SendError::Full | SendError::PartitionsUnknown) => 1,
            Err(_) => -1,
        }
    })
}

/// Nothing waits for more records.
#[unsafe(no_mangle)]
pub extern "C" fn flush(now_ms: f64) {
    with((), |world, _| world.producer.flush(instant(now_ms)));
}

/// The next action: the slot to connect, to the host in the buffer; or that plus 256 to close it; or −1.
#[unsafe(no_mangle)]
pub extern "C" fn next_action() -> i32 {
    with(-1, |world, shared| match world.producer.poll_action() {
        Some(Action::Connect { conn, target, tls_name: host }) => {
            // Literal hosts come as addresses; JavaScript takes text for either.
            let port = match target {
                Target::Name { port, .. } => port,
                Target::Address(address) => address.port(),
            };
            if let Some(to) = shared.buffer.get_mut(..host.len()) {
                to.copy_from_slice(host.as_bytes());
            }
            (shared.host_len, shared.port) = (host.len(), port);
            if let Some(known) = world.conns.get_mut(conn.slot()) {
                *known = Some(conn);
            }
            conn.slot() as i32
        }
        Some(Action::Disconnect { conn }) => conn.slot() as i32 + 256,
        _ => -1,
    })
}

/// Length of the host that the last action put into the buffer.
#[unsafe(no_mangle)]
pub extern "C" fn host_len() -> usize {
    with(0, |_, shared| shared.host_len)
}

/// The port of the last action.
#[unsafe(no_mangle)]
pub extern "C" fn port() -> u32 {
    with(0, |_, shared| shared.port.into())
}

/// The slot's socket is open.
#[unsafe(no_mangle)]
pub extern "C" fn connected(now_ms: f64, slot: u32) {
    with_conn(slot, (), |world, _, conn| world.producer.handle_connected(instant(now_ms), conn));
}

/// The slot's socket is gone.
#[unsafe(no_mangle)]
pub extern "C" fn disconnected(now_ms: f64, slot: u32) {
    with_conn(slot, (), |world, _, conn| {
        world.producer.handle_disconnected(instant(now_ms), conn, Disconnect::Closed);
    });
}

/// The buffer holds bytes that the slot's socket received. 0, or −1 if they break the protocol.
#[unsafe(no_mangle)]
pub extern "C" fn input(now_ms: f64, slot: u32, len: usize) -> i32 {
    with_conn(slot, 0, |world, shared, conn| {
        let bytes = shared.buffer.get(..len).unwrap_or(&[]);
        if world.producer.handle_input(instant(now_ms), conn, bytes).is_ok() { 0 } else { -1 }
    })
}

/// A slot that has bytes to send, or −1.
#[unsafe(no_mangle)]
pub extern "C" fn next_writable() -> i32 {
    with(-1, |world, _| world.producer.poll_writable().map_or(-1, |conn| conn.slot() as i32))
}

/// The slot's next bytes, where they lie: address in the upper and length in the lower half; 0 if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn output(now_ms: f64, slot: u32) -> u64 {
    with_conn(slot, 0, |world, _, conn| {
        let bytes = world.producer.poll_transmit(instant(now_ms), conn).map_or(&[][..], |transmit| transmit.bytes);
        if bytes.is_empty() { 0 } else { (bytes.as_ptr() as u64) << 32 | bytes.len() as u64 }
    })
}

/// So many of the slot's bytes were taken.
#[unsafe(no_mangle)]
pub extern "C" fn transmitted(now_ms: f64, slot: u32, len: usize) {
    with_conn(slot, (), |world, _, conn| world.producer.handle_transmitted(instant(now_ms), conn, len));
}

/// The next event: how many records were delivered, 0 for one that tells nothing of records, −1 for none, −2 for records
/// that failed.
#[unsafe(no_mangle)]
pub extern "C" fn next_event() -> i32 {
    with(-1, |world, _| match world.producer.poll_event() {
        None => -1,
        Some(Event::Batch(outcome)) if outcome.result.is_ok() => outcome.count as i32,
        Some(Event::Batch(_)) => -2,
        Some(_) => 0,
    })
}

/// When [`timeout`] is due, or −1.
#[unsafe(no_mangle)]
pub extern "C" fn deadline() -> f64 {
    with(-1.0, |world, _| {
        world.producer.poll_timeout().map_or(-1.0, |deadline| deadline.at.as_micros() as f64 / 1000.0)
    })
}

/// Time passed.
#[unsafe(no_mangle)]
pub extern "C" fn timeout(now_ms: f64) {
    with((), |world, _| world.producer.handle_timeout(instant(now_ms)));
}
