//! Randomness for the core: partition choice, backoff jitter, nonces.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// 32 bytes from the keys that std draws from the operating system for its hash maps.
///
/// Each word is a SipHash under a key of 128 random bits; the time and the process are mixed in, so
/// that a forked child differs from its parent.
pub(crate) fn seed() -> [u8; 32] {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    seed_at(nanos, std::process::id())
}

fn seed_at(nanos: u128, process: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    for (word, bytes) in seed.chunks_exact_mut(8).enumerate() {
        // New keys for each word.
        let random = RandomState::new().hash_one((word, nanos, process));
        bytes.copy_from_slice(&random.to_le_bytes());
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn seeds_differ() {
        assert_ne!(seed(), seed());
    }

    /// Another client made its nonces of a counter, an address and the clock (docs/pitfalls.md B8): whoever knows these knows the
    /// nonce. Here they are held still, in several threads, and every word differs all the same.
    #[test]
    fn b08_seeds_come_from_the_system_and_not_from_the_clock() {
        let many = || (0..250).map(|_| seed_at(1, 1)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(many)).collect();
        let seeds: Vec<[u8; 32]> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let words: BTreeSet<&[u8]> = seeds.iter().flat_map(|seed| seed.chunks_exact(8)).collect();
        assert_eq!(words.len(), 4 * seeds.len());
        // Each of the 256 bits is set in about half of 1 000 seeds: ±16 is the standard deviation.
        for bit in 0..256 {
            let set = seeds.iter().filter(|seed| seed[bit / 8] >> (bit % 8) & 1 == 1).count();
            assert!((380..=620).contains(&set), "bit {bit}: {set}");
        }
    }
}
