//! The Ethernet controller as a device of smoltcp's.

use klamm_lm3s6965_chip::ethernet::{self, Ethernet, FRAME};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// The controller.
pub(crate) struct Device(pub(crate) &'static mut Ethernet);

impl phy::Device for Device {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Slot<'_>)> {
        self.0.receive().map(|(received, slot)| (Received(received), Slot(slot)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot<'_>> {
        self.0.transmit().map(Slot)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        // No limit on bursts: with one frame at a time smoltcp would not let brokers send more than that before an answer.
        capabilities
    }
}

/// A frame that came.
pub(crate) struct Received<'a>(ethernet::Received<'a>);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, see: F) -> R {
        self.0.consume(|frame| see(frame))
    }
}

/// Room for a frame to send.
pub(crate) struct Slot<'a>(ethernet::Slot<'a>);

impl phy::TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.0.consume(len, fill)
    }
}
