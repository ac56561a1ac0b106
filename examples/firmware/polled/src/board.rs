//! What the application asks of a board.

use klamm_core::Instant;
use smoltcp::phy::Device;

/// A board with a network.
pub trait Board {
    /// Its network device, as smoltcp sees it.
    type Device: Device;

    /// The network device.
    fn device(&mut self) -> &mut Self::Device;

    /// Ethernet address of that device.
    fn hardware_address(&self) -> [u8; 6];

    /// Time since the start, in steps no longer than a millisecond; it never runs back.
    fn now(&mut self) -> Instant;

    /// Sleeps until a frame has come or `until` is reached, whichever is first; without `until`, until a frame has come. May
    /// return early, and must if a frame came since the device was last asked for one.
    fn sleep(&mut self, until: Option<Instant>);

    /// Unpredictable bytes: two boards, and two starts of one board, must not get the same ones.
    fn seed(&mut self) -> [u8; 32];

    /// The calendar, in milliseconds since 1970; `None` if the board does not know it. Readings have no timestamp then.
    fn unix_millis(&mut self) -> Option<i64>;

    /// Shows a line of text to whoever looks on.
    fn say(&mut self, line: &str);
}
