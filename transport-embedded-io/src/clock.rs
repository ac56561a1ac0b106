//! Time, as the platform has it.

use klamm_core::Instant;

/// The platform's monotonic clock, which can be read and waited for.
///
/// One trait for both, so that they cannot disagree: the core's deadlines are points in time, and a wait for a point does not drift.
/// (`DelayNs` of embedded-hal-async counts relative to a moment that nobody names, in 32 bits.) With embassy-time:
///
/// ```
/// # use klamm_core::Instant;
/// # use klamm_embedded_io::Clock;
/// struct EmbassyClock;
///
/// impl Clock for EmbassyClock {
///     fn now(&self) -> Instant {
///         Instant::from_micros(embassy_time::Instant::now().as_micros())
///     }
///     async fn sleep_until(&self, at: Instant) {
///         embassy_time::Timer::at(embassy_time::Instant::from_micros(at.as_micros())).await;
///     }
/// }
/// ```
pub trait Clock {
    /// Microseconds since an origin of the platform's choice; never less than before.
    fn now(&self) -> Instant;

    /// Ends at `at` or a little later; at once if that is past. Dropped at any time.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        (**self).sleep_until(at)
    }
}
