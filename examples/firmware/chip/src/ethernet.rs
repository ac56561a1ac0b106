//! The chip's Ethernet controller.
//!
//! Frames go through one register, word by word: a length that shares its word with the first bytes of the frame, then the
//! rest. Both ways a frame passes through one buffer in RAM, since network stacks want it in one piece.

use crate::machine::{CLOCK_GATES_2, mac, nvic};

/// Largest frame without its checksum, in bytes.
pub const FRAME: usize = 1514;
/// What stands before a frame in the controller's FIFO: a length.
const LENGTH: usize = 2;
/// What stands behind a frame that came.
const CHECKSUM: usize = 4;
/// The words of the FIFO that the largest frame takes; the frame itself lies askew in them.
const WORDS: usize = LENGTH + FRAME + CHECKSUM;
/// The header of a frame, which the length of one to send does not count.
const HEADER: usize = 14;
/// The flags of the controller's interrupt: a frame came, a frame has gone.
const RECEIVED: u32 = 1;
const SENT: u32 = 4;
/// The number of that interrupt.
pub const IRQ: u32 = 42;

/// The controller and its two buffers.
pub struct Ethernet {
    receive: [u8; WORDS],
    transmit: [u8; WORDS],
    loss: Loss,
}

/// Frames to lose, for tests: no cable of the emulator's does.
struct Loss {
    percent: u32,
    random: u32,
}

impl Loss {
    /// Whether the next frame is one.
    fn strikes(&mut self) -> bool {
        // Marsaglia's xorshift: the same frames at each start.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random % 100 < self.percent
    }
}

impl Default for Ethernet {
    fn default() -> Self {
        Self::new()
    }
}

impl Ethernet {
    /// The controller, switched off.
    #[must_use]
    pub const fn new() -> Self {
        Self { receive: [0; WORDS], transmit: [0; WORDS], loss: Loss { percent: 0, random: 0 } }
    }

    /// Loses so many percent of all frames, each way.
    pub fn lose(&mut self, percent: u32) {
        // Not from the start: a variable that is all zeros takes no flash.
        self.loss = Loss { percent, random: 1 };
    }

    /// Switches the controller on.
    pub fn start(&mut self, address: [u8; 6]) {
        let [a, b, c, d, e, f] = address;
        CLOCK_GATES_2.write(CLOCK_GATES_2.read() | 1 << 28 | 1 << 30);
        mac::RECEIVE_CONTROL.write(0x10); // empties the FIFO
        mac::INTERRUPT.write(0x7f);
        mac::ADDRESS_LOW.write(u32::from_le_bytes([a, b, c, d]));
        mac::ADDRESS_HIGH.write(u32::from_le_bytes([e, f, 0, 0]));
        mac::THRESHOLD.write(0x3f); // sends when told to, not before
        mac::INTERRUPT_MASK.write(RECEIVED);
        mac::TRANSMIT_CONTROL.write(0x0f); // full duplex, checksums and padding by the controller
        mac::RECEIVE_CONTROL.write(0x0b); // frames for us and for many, none that is damaged
        nvic::ENABLE[1].write(1 << (IRQ - 32));
    }

    /// Whether a frame waits. If none does, the next one is an interrupt. For firmware without handlers.
    pub fn has_frame(&mut self) -> bool {
        mac::INTERRUPT.write(RECEIVED);
        nvic::CLEAR_PENDING[1].write(1 << (IRQ - 32));
        // After that, not before: what came in between has its interrupt still.
        mac::PACKETS.read() != 0
    }

    /// The next frame that came, and room for an answer; `None` if none came, or as long as one is on its way out.
    pub fn receive(&mut self) -> Option<(Received<'_>, Slot<'_>)> {
        if mac::PACKETS.read() == 0 || is_sending() {
            return None;
        }
        let mut len = self.take();
        if self.loss.strikes() {
            len = 0; // which is no frame to anyone
        }
        let frame = self.receive.get_mut(LENGTH..LENGTH + len)?;
        Some((Received(frame), Slot { words: &mut self.transmit, loss: &mut self.loss }))
    }

    /// Room for a frame; `None` as long as one is on its way out.
    pub fn transmit(&mut self) -> Option<Slot<'_>> {
        (!is_sending()).then_some(Slot { words: &mut self.transmit, loss: &mut self.loss })
    }

    /// Takes a frame out of the FIFO, all of it. Says how long it is.
    fn take(&mut self) -> usize {
        let first = mac::DATA.read();
        // It counts itself and the checksum.
        let len = (first & 0xffff) as usize;
        let (words, _) = self.receive.as_chunks_mut();
        let mut words = words.iter_mut();
        if let Some(word) = words.next() {
            *word = first.to_le_bytes();
        }
        for _ in 1..len.div_ceil(4) {
            let word = mac::DATA.read().to_le_bytes();
            // What is too long for a frame has to leave the FIFO as well.
            if let Some(to) = words.next() {
                *to = word;
            }
        }
        len.saturating_sub(LENGTH + CHECKSUM).min(FRAME)
    }
}

/// What the interrupt's handler has to do: it was heard.
pub fn acknowledge() {
    mac::INTERRUPT_MASK.write(RECEIVED);
    mac::INTERRUPT.write(RECEIVED | SENT);
}

/// Has the interrupt tell when a frame can be sent again: at once, if that is by now.
pub fn tell_when_sent() {
    mac::INTERRUPT_MASK.write(RECEIVED | SENT);
}

/// Whether a frame is on its way out.
#[must_use]
pub fn is_sending() -> bool {
    mac::TRANSMIT_REQUEST.read() & 1 != 0
}

/// A frame that came.
pub struct Received<'a>(&'a mut [u8]);

impl Received<'_> {
    /// Lends the frame, which is gone then.
    pub fn consume<R>(self, see: impl FnOnce(&mut [u8]) -> R) -> R {
        see(self.0)
    }
}

/// Room for a frame to send.
pub struct Slot<'a> {
    words: &'a mut [u8; WORDS],
    loss: &'a mut Loss,
}

impl Slot<'_> {
    /// Sends a frame of `len` bytes, which `fill` writes.
    pub fn consume<R>(self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let len = len.min(FRAME);
        let [first, second] = (len.saturating_sub(HEADER) as u16).to_le_bytes();
        [self.words[0], self.words[1]] = [first, second];
        let result = fill(self.words.get_mut(LENGTH..LENGTH + len).unwrap_or_default());
        if self.loss.strikes() {
            return result;
        }
        let (words, _) = self.words.as_chunks();
        for word in words.iter().take((LENGTH + len).div_ceil(4)) {
            mac::DATA.write(u32::from_le_bytes(*word));
        }
        mac::TRANSMIT_REQUEST.write(1);
        result
    }
}
