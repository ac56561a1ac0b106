//! Randomness from the caller's seed: jitter, sticky partitions, nonces. xoshiro256++, public domain
//! by Blackman and Vigna; the same seed gives the same choices on every platform.

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut state = [0u64; 4];
        let (words, _) = seed.as_chunks::<8>();
        for (to, word) in state.iter_mut().zip(words) {
            *to = u64::from_le_bytes(*word);
        }
        // The all-zero state is the one that never leaves itself.
        if state == [0; 4] {
            state = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 1];
        }
        Self { state }
    }

    #[inline(never)] // rarely called, and four 64-bit words are a lot of code on a 32-bit core
    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let c = c ^ a;
        let d = d ^ b;
        self.state = [a ^ d, b ^ c, c ^ (b_shifted(self.state)), d.rotate_left(45)];
        result
    }

    /// Evenly below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // Multiply-shift (Lemire): the bias is below 2^-32.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }
}

const fn b_shifted(state: [u64; 4]) -> u64 {
    let [_, b, _, _] = state;
    b << 17
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_even_and_bounded() {
        let mut random = Random::new([7; 32]);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn a_zero_seed_works_too() {
        let mut random = Random::new([0; 32]);
        assert_ne!(random.next(), random.next());
    }

    /// First outputs of the reference implementation for the state {1, 2, 3, 4}.
    #[test]
    fn is_xoshiro256_plus_plus() {
        let mut seed = [0; 32];
        for (index, byte) in [1, 2, 3, 4].into_iter().enumerate() {
            seed[index * 8] = byte;
        }
        let mut random = Random::new(seed);
        assert_eq!(random.next(), 41_943_041);
        assert_eq!(random.next(), 58_720_359);
        assert_eq!(random.next(), 3_588_806_011_781_223);
    }
}
