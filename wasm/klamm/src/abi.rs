//! The functions that the host calls, and all that is unsafe.
//!
//! Times are milliseconds with fractions, of `performance.now()`. Lists and lent bytes are valid until the next call. A function
//! that answers with a length has put a list of so many bytes at [`words`].
#![allow(unsafe_code, reason = "exported names, and a static for the one thread there is")]

use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write;

use klamm_core::Instant;

use crate::client::Client;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::settings;
use crate::words::Words;

#[global_allocator]
static MEMORY: Memory = Memory::new();

struct Module {
    staging: Vec<u8>,
    words: Words,
    client: Option<Client>,
}

struct OneThread<T>(RefCell<T>);

// SAFETY: an instance has one thread: its memory is not shared, and the target has no threads.
unsafe impl<T> Sync for OneThread<T> {}

static MODULE: OneThread<Module> =
    OneThread(RefCell::new(Module { staging: Vec::new(), words: Words::new(), client: None }));

/// The last words of an instance.
struct Panic {
    text: [u8; 512],
    len: usize,
}

static PANIC: OneThread<Panic> = OneThread(RefCell::new(Panic { text: [0; 512], len: 0 }));

impl Write for Panic {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let free = self.text.get_mut(self.len..).unwrap_or_default();
        let len = free.len().min(text.len());
        free[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Ok(mut panic) = PANIC.0.try_borrow_mut() {
        panic.len = 0;
        let _ = write!(panic, "{}", info.message());
        if let Some(place) = info.location() {
            let _ = write!(panic, " ({}:{})", place.file(), place.line());
        }
    }
    core::arch::wasm32::unreachable()
}

/// Where the words of a panic are.
#[unsafe(no_mangle)]
extern "C" fn panic_text() -> *const u8 {
    PANIC.0.as_ptr().cast_const().cast::<u8>().wrapping_add(core::mem::offset_of!(Panic, text))
}

/// How long they are; 0 if there was no panic.
#[unsafe(no_mangle)]
extern "C" fn panic_len() -> usize {
    PANIC.0.try_borrow().map_or(0, |panic| panic.len)
}

fn instant(now_ms: f64) -> Instant {
    Instant::from_micros((now_ms * 1000.0) as u64)
}

/// Runs something on the module, with an empty list; gives the list's length.
fn listing(run: impl FnOnce(Option<&mut Client>, &[u8], &mut Words)) -> usize {
    let Module { staging, words, client } = &mut *MODULE.0.borrow_mut();
    words.clear();
    run(client.as_mut(), staging, words);
    words.bytes().len()
}

/// Runs something on the client; does nothing if there is none.
fn with(run: impl FnOnce(&mut Client, &[u8])) {
    let Module { staging, client, .. } = &mut *MODULE.0.borrow_mut();
    if let Some(client) = client {
        run(client, staging);
    }
}

/// The staging area, of at least `len` bytes; what was there is kept only if it was as long.
#[unsafe(no_mangle)]
extern "C" fn stage(len: usize) -> *mut u8 {
    let staging = &mut MODULE.0.borrow_mut().staging;
    if staging.len() < len {
        *staging = Vec::new(); // nothing to be copied
        staging.resize(len, 0);
    }
    staging.as_mut_ptr()
}

/// Where the last list is.
#[unsafe(no_mangle)]
extern "C" fn words() -> *const u8 {
    MODULE.0.borrow().words.bytes().as_ptr()
}

/// Makes the producer. Staged: 32 random bytes, then the settings. A failure is listed.
#[unsafe(no_mangle)]
extern "C" fn open(now_ms: f64, len: usize) -> usize {
    let Module { staging, words, client } = &mut *MODULE.0.borrow_mut();
    words.clear();
    let make = || {
        let staged = staging.get(..len).and_then(|staged| staged.split_first_chunk::<32>());
        let (seed, settings) = staged.ok_or_else(|| Failure::internal("no seed"))?;
        Client::new(settings::read(settings)?, *seed, instant(now_ms))
    };
    match make() {
        Ok(made) => *client = Some(made),
        Err(failure) => failure.write(words),
    }
    words.bytes().len()
}

/// The number of the topic whose name is staged. −1: a failure is listed.
#[unsafe(no_mangle)]
extern "C" fn topic(len: usize) -> i32 {
    let mut number = -1;
    listing(|client, staged, words| {
        let name = staged.get(..len).and_then(|name| core::str::from_utf8(name).ok());
        match (client, name) {
            (Some(client), Some(name)) => match client.topic(name) {
                Ok(known) => number = known as i32,
                Err(failure) => failure.write(words),
            },
            _ => Failure::internal("no producer, or no UTF-8").write(words),
        }
    });
    number
}

/// Sends the staged records; see [`Client::send`].
#[unsafe(no_mangle)]
extern "C" fn send(now_ms: f64, len: usize) -> usize {
    listing(|client, staged, words| {
        if let Some(client) = client {
            client.send(instant(now_ms), staged.get(..len).unwrap_or_default(), words);
        }
    })
}

/// Nothing waits for more records.
#[unsafe(no_mangle)]
extern "C" fn flush(now_ms: f64) {
    with(|client, _| client.flush(instant(now_ms)));
}

/// No more records; what has no outcome within so many milliseconds fails.
#[unsafe(no_mangle)]
extern "C" fn close(now_ms: f64, within_ms: f64) {
    with(|client, _| client.close(instant(now_ms), within_ms));
}

/// What time it is, in Unix milliseconds.
#[unsafe(no_mangle)]
extern "C" fn wall_clock(now_ms: f64, unix_ms: f64) {
    with(|client, _| client.wall_clock(instant(now_ms), unix_ms));
}

/// The slot's stream is open.
#[unsafe(no_mangle)]
extern "C" fn connected(now_ms: f64, slot: usize) {
    with(|client, _| client.connected(instant(now_ms), slot));
}

/// The slot's stream ended, or could not be opened.
#[unsafe(no_mangle)]
extern "C" fn disconnected(now_ms: f64, slot: usize, why: u32) {
    with(|client, _| client.disconnected(instant(now_ms), slot, why));
}

/// So many bytes that the slot's stream brought are staged.
#[unsafe(no_mangle)]
extern "C" fn input(now_ms: f64, slot: usize, len: usize) {
    with(|client, staged| client.input(instant(now_ms), slot, staged.get(..len).unwrap_or_default()));
}

/// Lists what there is to do.
#[unsafe(no_mangle)]
extern "C" fn poll() -> usize {
    listing(|client, _, words| {
        if let Some(client) = client {
            client.poll(words);
        }
    })
}

/// Lists address and length of the slot's next bytes.
#[unsafe(no_mangle)]
extern "C" fn transmit(now_ms: f64, slot: usize) -> usize {
    listing(|client, _, words| {
        if let Some(client) = client {
            client.transmit(instant(now_ms), slot, words);
        }
    })
}

/// So many of the slot's bytes were taken.
#[unsafe(no_mangle)]
extern "C" fn transmitted(now_ms: f64, slot: usize, len: usize) {
    with(|client, _| client.transmitted(instant(now_ms), slot, len));
}

/// Lists what happened.
#[unsafe(no_mangle)]
extern "C" fn events() -> usize {
    listing(|client, _, words| {
        if let Some(client) = client {
            client.events(words);
        }
    })
}

/// When [`timeout`] is due; −1: never.
#[unsafe(no_mangle)]
extern "C" fn deadline() -> f64 {
    MODULE.0.borrow().client.as_ref().map_or(-1.0, Client::deadline)
}

/// Time passed.
#[unsafe(no_mangle)]
extern "C" fn timeout(now_ms: f64) {
    with(|client, _| client.timeout(instant(now_ms)));
}

/// Bytes of records that are held.
#[unsafe(no_mangle)]
extern "C" fn held() -> f64 {
    MODULE.0.borrow().client.as_ref().map_or(0.0, Client::held)
}

/// Lists the counters.
#[unsafe(no_mangle)]
extern "C" fn metrics() -> usize {
    listing(|client, _, words| {
        if let Some(client) = client {
            client.metrics(words);
        }
    })
}
