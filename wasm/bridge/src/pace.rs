//! Bytes per second.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much may come at once after a rest.
const BURST: Duration = Duration::from_secs(1);

/// Holds one direction of a tunnel to its rate. Bytes are taken first and paid for by waiting before the next.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    /// All bytes so far are paid for then.
    paid: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, paid: Instant::now() }
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        let oldest = now.checked_sub(BURST).unwrap_or(now);
        self.paid = self.paid.max(oldest) + price;
    }

    /// Until more may come. Can be dropped and called again.
    pub(crate) async fn wait(&self) {
        if self.rate.is_some() {
            sleep_until(self.paid).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_over_time() {
        let mut pace = Pace::new(NonZeroU64::new(1000));
        let start = Instant::now();
        for _ in 0..100 {
            pace.wait().await;
            pace.spend(100);
        }
        let took = start.elapsed();
        // 10 000 bytes at 1000 per second; the last are not waited for.
        assert!((Duration::from_millis(8_900)..Duration::from_millis(10_100)).contains(&took), "{took:?}");
        // A long rest saves up no more than a burst.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let start = Instant::now();
        for _ in 0..50 {
            pace.wait().await;
            pace.spend(100);
        }
        assert!(start.elapsed() >= Duration::from_millis(3_800), "{:?}", start.elapsed());
    }
}
