//! The Ethernet controller as a device of embassy-net's.

use core::task::Context;

use embassy_net::driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;
use klamm_lm3s6965_chip::ADDRESS;
use klamm_lm3s6965_chip::ethernet::{self, Ethernet, FRAME};

/// The network stack's task.
static STACK: AtomicWaker = AtomicWaker::new();

/// The controller.
pub(crate) struct Device(pub(crate) &'static mut Ethernet);

/// The controller's interrupt: a frame came, or can be sent.
pub(crate) fn interrupt() {
    ethernet::acknowledge();
    STACK.wake();
}

impl Driver for Device {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Slot<'_>)> {
        // Before the look: what comes after that look wakes.
        STACK.register(context.waker());
        if ethernet::is_sending() {
            ethernet::tell_when_sent();
            return None;
        }
        self.0.receive().map(|(received, slot)| (Received(received), Slot(slot)))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Slot<'_>> {
        STACK.register(context.waker());
        if ethernet::is_sending() {
            ethernet::tell_when_sent();
            return None;
        }
        self.0.transmit().map(Slot)
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        // The emulated PHY says nothing of the cable.
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        // No limit on bursts: with one frame at a time the stack would not let brokers send more than that before an answer.
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(ADDRESS)
    }
}

/// A frame that came.
pub(crate) struct Received<'a>(ethernet::Received<'a>);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, see: F) -> R {
        self.0.consume(see)
    }
}

/// Room for a frame to send.
pub(crate) struct Slot<'a>(ethernet::Slot<'a>);

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.0.consume(len, fill)
    }
}
