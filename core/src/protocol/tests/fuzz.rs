//! Damaged responses: no panic, an end, and the same result however the bytes are cut.

use std::vec::Vec;

use super::super::ApiKey;
use super::{decode, hex, vectors};

/// splitmix64: the same damage on every run and platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 => bytes.truncate(at.max(9)),
                4 => bytes.insert(at, self.next() as u8),
                _ => bytes.extend(std::iter::repeat_n(self.next() as u8, 1 + self.below(9))),
            }
        }
        // Mostly a size that is right, so that the damage is met inside the body.
        if self.below(4) > 0 {
            let size = bytes.len() as u32 - 4;
            bytes[..4].copy_from_slice(&size.to_be_bytes());
        }
    }
}

#[test]
fn damaged_responses_never_panic_and_always_end() {
    let rounds = std::env::var("KLAMM_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut random = Random(20_260_101);
    for (name, _, api, version) in vectors("response") {
        let whole = hex(&name);
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            random.damage(&mut bytes);
            let at_once = decode(api, version, &bytes, bytes.len());
            // No more is told than bytes arrive: each event has a byte of its own, begin and end of an element share.
            if let Ok(decoded) = &at_once {
                assert!(decoded.told.len() <= 3 * bytes.len(), "{name}");
            }
            let piece = 1 + random.below(bytes.len());
            assert_eq!(decode(api, version, &bytes, piece), at_once, "{name} in pieces of {piece}: {bytes:02x?}");
        }
    }
}

#[test]
fn noise_never_panics() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let len = 8 + random.below(200);
        let mut bytes: Vec<u8> = (0..len).map(|_| (random.next() >> (8 * random.below(8))) as u8 & 0x83).collect();
        bytes[..4].copy_from_slice(&(len as u32 - 4).to_be_bytes());
        for api in ApiKey::ALL {
            // Versions beyond ours too: a caller's mistake may not panic either.
            let version = random.below(20) as i16 - 2;
            let at_once = decode(api, version, &bytes, len);
            assert_eq!(decode(api, version, &bytes, 1), at_once);
        }
    }
}
