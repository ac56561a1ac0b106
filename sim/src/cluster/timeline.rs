//! A value as it was decided over time, for those who learn of decisions late.

/// A value and what it was before, by metadata version.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    since: u64,
    now: T,
    /// Older values with the version they held from, oldest first; only what some broker may still believe.
    past: Vec<(u64, T)>,
}

impl<T> Timeline<T> {
    pub(super) fn new(since: u64, value: T) -> Self {
        Self { since, now: value, past: Vec::new() }
    }

    /// What was decided last.
    pub(super) fn latest(&self) -> &T {
        &self.now
    }

    /// The version that decided it.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// The value at a version, with the version that decided it; `None` before the first.
    pub(super) fn at(&self, version: u64) -> Option<(u64, &T)> {
        if self.since <= version {
            return Some((self.since, &self.now));
        }
        self.past.iter().rev().find(|(since, _)| *since <= version).map(|(since, value)| (*since, value))
    }

    /// Decides anew. Nobody will ask for a version before `oldest` any more.
    pub(super) fn set(&mut self, version: u64, value: T, oldest: u64) {
        let before = std::mem::replace(&mut self.now, value);
        if version > self.since {
            self.past.push((self.since, before));
            self.since = version;
        }
        // An entry is over where the next one begins.
        let over = self.past.iter().skip(1).take_while(|(since, _)| *since <= oldest).count();
        self.past.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::Timeline;

    #[test]
    fn old_values_stay_as_long_as_somebody_may_ask() {
        let mut line = Timeline::new(3, 'a');
        line.set(5, 'b', 0);
        line.set(5, 'c', 0);
        line.set(8, 'd', 4);
        let seen = |version| line.at(version).map(|(since, value)| (since, *value));
        assert_eq!([2, 3, 4, 5, 7, 8, 99].map(seen)[..3], [None, Some((3, 'a')), Some((3, 'a'))]);
        assert_eq!([5, 7, 8, 99].map(seen), [Some((5, 'c')), Some((5, 'c')), Some((8, 'd')), Some((8, 'd'))]);
        line.set(9, 'e', 8);
        assert_eq!(line.at(7), None);
        assert_eq!(line.at(8), Some((8, &'d')));
        assert_eq!((line.since(), *line.latest()), (9, 'e'));
    }
}
