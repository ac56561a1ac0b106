use super::murmur2::{murmur2, to_positive};

#[test]
fn hashes_equal_the_java_clients() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/data/primitives.json");
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = vectors["murmur2"].as_array().unwrap();
    assert!(keys.len() >= 31);
    for vector in keys {
        let hex = vector["key_hex"].as_str().unwrap();
        let key: std::vec::Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect();
        assert_eq!(i64::from(murmur2(&key) as i32), vector["hash_i32"].as_i64().unwrap(), "{hex}");
        for (count, partition) in vector["partition"].as_object().unwrap() {
            let count: u32 = count.parse().unwrap();
            assert_eq!(u64::from(to_positive(murmur2(&key)) % count), partition.as_u64().unwrap());
        }
    }
}

/// Kafka's `testMurmur2Checksum`: the sum over 100 arrays of each length from 0 to 1000.
#[test]
fn the_checksum_over_many_keys_is_kafkas() {
    let mut state = 0u64;
    let mut splitmix = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut sum = 0u64;
    for len in 0..=1000usize {
        for _ in 0..100 {
            let mut key = std::vec::Vec::with_capacity(len + 8);
            while key.len() < len {
                key.extend_from_slice(&splitmix().to_le_bytes());
            }
            key.truncate(len);
            sum = sum.wrapping_add(u64::from(murmur2(&key)));
        }
    }
    assert_eq!(sum, 0xc3b8_cf7c_99fc);
}
