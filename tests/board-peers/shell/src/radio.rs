//! The board's radio: one frame each way at a time, in buffers that its library fills and empties.

use core::hint::black_box;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

/// Largest frame, in bytes.
const FRAME: usize = 1514;

/// The radio.
pub struct Radio {
    receive: [u8; FRAME],
    transmit: [u8; FRAME],
}

impl Radio {
    /// A radio with empty buffers.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self { receive: [0; FRAME], transmit: [0; FRAME] }
    }
}

impl Device for Radio {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received<'_>, Slot<'_>)> {
        let len = black_box(FRAME); // of the frame that came, if one did
        Some((Received(black_box(&self.receive).get(..len)?), Slot(&mut self.transmit)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Slot<'_>> {
        black_box(true).then_some(Slot(&mut self.transmit)) // while the radio takes frames
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// A frame that came.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, see: F) -> R {
        see(self.0)
    }
}

/// Room for a frame to send.
pub struct Slot<'a>(&'a mut [u8; FRAME]);

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let frame = self.0.get_mut(..len).unwrap_or_default();
        let result = fill(frame);
        black_box(frame); // to the air
        result
    }
}
