//! Chance from a seed: SplitMix64, of which every output is as good as the next.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A generator of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// One step of SplitMix64: mixes a number until no bit shows where it came from.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chance {
    /// The generator of this seed for one purpose: each purpose draws from its own, so that one's luck does not change another's.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(mix(seed ^ mix(purpose)))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number of the range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.number() % (high - low + 1)
    }

    /// So many milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// True with this probability, in percent.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.number() % 100 < percent
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.number() % choices.len() as u64) as usize]
    }

    /// One of these, each as likely as its weight says.
    ///
    /// # Panics
    /// If there are none.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let mut left = self.number() % choices.iter().map(|(weight, _)| weight).sum::<u64>();
        for &(weight, choice) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
        }
        choices[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let draw = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            [chance.number(), chance.within(3..=5), u64::from(chance.percent(50)), chance.pick(&[7, 8, 9])]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn weights_count() {
        let mut chance = Chance::new(5, 0);
        let draws: Vec<char> = (0..1000).map(|_| chance.weighted(&[(9, 'a'), (1, 'b'), (0, 'c')])).collect();
        let count = |wanted| draws.iter().filter(|&&drawn| drawn == wanted).count();
        assert!((850..950).contains(&count('a')) && count('c') == 0, "{} a", count('a'));
    }
}
