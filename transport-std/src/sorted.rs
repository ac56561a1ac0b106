//! A small map: sorted pairs. A hash map's code for each type of key and value is several times as large, and these
//! maps hold little or are looked at rarely.

/// Values by key, in the order of the keys.
#[derive(Debug)]
pub(crate) struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord, V> Sorted<K, V> {
    /// Where `key` is, or belongs.
    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        Some(&self.0[self.place(key).ok()?].1)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// The value of `key`, made if there is none.
    pub(crate) fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = self.place(key).unwrap_or_else(|place| {
            self.0.insert(place, (key, make()));
            place
        });
        &mut self.0[place].1
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let place = self.place(key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Drops what `keep` does not name.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(K) -> bool) {
        self.0.retain(|(key, _)| keep(*key));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Takes all values.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = V> {
        self.0.drain(..).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_keys_whatever_the_order_they_came_in() {
        let mut map = Sorted::default();
        for key in [5, -1, 9, 3, 5] {
            *map.or_insert_with(key, || 0) += key * 10;
        }
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [-10, 30, 100, 90]);
        assert_eq!((map.get(5), map.get(4), map.len()), (Some(&100), None, 4));
        assert_eq!(map.get_mut(9), Some(&mut 90));
        assert_eq!((map.remove(3), map.remove(3)), (Some(30), None));
        map.retain(|key| key > 0);
        map.values_mut().for_each(|value| *value += 1);
        assert_eq!(map.drain().collect::<Vec<_>>(), [101, 91]);
        assert_eq!(map.len(), 0);
    }
}
