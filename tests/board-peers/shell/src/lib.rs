//! What the images have in common, so that they differ in the client alone: a board that nobody emulates (where a product calls
//! its chip's library, a [`black_box`](core::hint::black_box) stands for it, so that the optimiser must expect anything from
//! there), smoltcp with an address by DHCP and names by DNS, a loop that sleeps, and for clients that are futures a stream and an
//! executor of one.
#![no_std]

mod network;
mod radio;
mod stream;
pub mod time;

pub use network::{Memory, Network};
pub use radio::Radio;
pub use stream::{Lost, Stream, run};

/// All of a static, for as long as the program runs.
///
/// # Safety
/// It must be called once for each static, and nobody else may use it.
pub unsafe fn take<T>(place: *mut T) -> &'static mut T {
    // SAFETY: a static lives for ever and is initialised; that nobody else has it is the caller's word.
    unsafe { &mut *place }
}

/// Where readings go: a name, and a port.
pub const SERVER: (&str, u16) = ("broker.example", 1883);
/// Readings to publish.
pub const READINGS: u32 = 10_000;
/// Bytes of each.
pub const BYTES: usize = 100;
/// Bytes for readings that are not stored yet.
pub const ROOM: usize = 4096;
/// Bytes that a socket can receive at a time.
pub const RECEIVE: usize = 1024;
/// Bytes that a socket holds until they are acknowledged.
pub const TRANSMIT: usize = 2048;
