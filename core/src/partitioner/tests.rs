use super::murmur2::{murmur2, to_positive};

#[test]
fn hashes_equal_the_java_clients() {
    let text = klamm_vectors::read("primitives.json");
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

#[cfg(feature = "librdkafka-partitioners")]
mod librdkafka {
    use super::super::librdkafka::hash;
    use crate::Partitioner;

    fn partition(partitioner: Partitioner, key: Option<&[u8]>, count: u32) -> Option<u32> {
        hash(partitioner, key).map(|hash| hash % count)
    }

    #[test]
    fn keys_go_where_librdkafka_puts_them() {
        let text = klamm_vectors::read("partitioners_librdkafka.json");
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = vectors["rows"].as_array().unwrap();
        assert!(rows.len() >= 31);
        for row in rows {
            let hex = row["key_hex"].as_str().unwrap();
            let key: std::vec::Vec<u8> =
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect();
            for (name, sure, otherwise_random) in [
                ("consistent", Partitioner::Consistent, Partitioner::ConsistentRandom),
                ("murmur2", Partitioner::Murmur2, Partitioner::Murmur2Random),
                ("fnv1a", Partitioner::Fnv1a, Partitioner::Fnv1aRandom),
            ] {
                for (count, expected) in row[name].as_object().unwrap() {
                    let (count, expected) = (count.parse().unwrap(), expected.as_u64().map(|it| it as u32));
                    assert_eq!(partition(sure, Some(&key), count), expected, "{name} of {hex}");
                    // Only this one draws lots for an empty key.
                    let random = key.is_empty() && name == "consistent";
                    let expected = if random { None } else { expected };
                    assert_eq!(partition(otherwise_random, Some(&key), count), expected, "{name}_random of {hex}");
                }
            }
        }
    }

    #[test]
    fn a_missing_key_is_an_empty_one_or_goes_anywhere() {
        for sure in [Partitioner::Consistent, Partitioner::Murmur2, Partitioner::Fnv1a] {
            assert!(hash(sure, None).is_some());
            assert_eq!(hash(sure, None), hash(sure, Some(b"")));
        }
        for random in [Partitioner::ConsistentRandom, Partitioner::Murmur2Random, Partitioner::Fnv1aRandom] {
            assert_eq!(hash(random, None), None);
        }
    }

    /// The one key hash whose negation is itself.
    #[test]
    fn the_least_number_has_an_absolute_value_too() {
        assert_eq!(i32::MIN.unsigned_abs(), 0x8000_0000);
        assert_eq!(hash(Partitioner::Fnv1a, Some(b"")), Some((0x811c_9dc5u32 as i32).unsigned_abs()));
    }
}
