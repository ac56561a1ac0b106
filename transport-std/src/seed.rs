//! Randomness for the core: partition choice, backoff jitter, nonces.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// 32 bytes from the keys that std draws from the operating system for its hash maps.
///
/// Each word is a SipHash under a key of 128 random bits; the time and the process are mixed in, so
/// that a forked child differs from its parent.
pub(crate) fn seed() -> [u8; 32] {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut seed = [0; 32];
    for (word, bytes) in seed.chunks_exact_mut(8).enumerate() {
        // New keys for each word.
        let random = RandomState::new().hash_one((word, nanos, std::process::id()));
        bytes.copy_from_slice(&random.to_le_bytes());
    }
    seed
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_differ() {
        assert_ne!(super::seed(), super::seed());
    }
}
