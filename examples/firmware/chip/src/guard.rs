//! The stack: a guard below it, and how much of it was used.

use crate::machine::{mpu, stack, untouched_stack};

/// Bytes that nobody may touch, below all that the stack may use. Less would be jumped over by a large frame.
const GUARD: usize = 2048;

/// The guard's first address: regions of the memory protection unit begin at multiples of their size.
fn guard() -> usize {
    stack().0.next_multiple_of(GUARD)
}

/// Puts the guard up. Without it the stack would grow into the variables and nobody would know.
pub fn raise() {
    if mpu::TYPE.read() == 0 {
        return; // a chip without the unit
    }
    const NO_EXECUTE: u32 = 1 << 28;
    const SIZE: u32 = GUARD.trailing_zeros() - 1;
    const VALID: u32 = 1 << 4;
    mpu::BASE.write(guard() as u32 | VALID);
    mpu::ATTRIBUTES.write(NO_EXECUTE | SIZE << 1 | 1);
    // On, with the usual rights everywhere else.
    mpu::CONTROL.write(0b101);
}

/// Says how deep the stack was, and how much was left to the guard.
pub(crate) fn report() {
    let bottom = guard() + GUARD;
    let left = untouched_stack(bottom);
    let used = stack().1 - bottom - left;
    #[cfg(feature = "defmt")]
    defmt::info!("stack: used {=usize} left {=usize}", used, left);
    #[cfg(not(feature = "defmt"))]
    {
        let mut line = klamm_firmware_app::Text::<48>::new();
        line.text("stack:").field("used", used as u32).field("left", left as u32);
        crate::say(line.as_str());
    }
}
