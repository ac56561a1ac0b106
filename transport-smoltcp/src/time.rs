//! Both clocks count microseconds; only the types differ.

use klamm_core::Instant;

/// The same point in time for smoltcp, which counts up to 2⁶³ − 1 µs (292 000 years); later is that.
#[must_use]
pub fn to_smoltcp(instant: Instant) -> smoltcp::time::Instant {
    let micros = i64::try_from(instant.as_micros()).unwrap_or(i64::MAX);
    smoltcp::time::Instant::from_micros_const(micros)
}

/// The same point in time for the core; what lies before the clock's origin is the origin.
#[must_use]
pub fn from_smoltcp(instant: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(instant.total_micros()).unwrap_or(0))
}
