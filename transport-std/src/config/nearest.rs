//! Guessing which name was meant.

/// The known name nearest to `name`, if it is near enough to be meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], ".");
    let wanted = plain(name);
    let most = 2 + wanted.len() / 8;
    // So many letters at least are missing.
    let possible = known.filter(|known| known.chars().count().abs_diff(wanted.chars().count()) <= most);
    let (distance, nearest) =
        possible.map(|known| (distance(&wanted, &plain(known)), known)).min_by_key(|found| found.0)?;
    (distance <= most).then_some(nearest)
}

/// How many letters must change to get from one name to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn typing_errors_are_guessed_and_nonsense_is_not() {
        let known = || ["linger.ms", "batch.size", "bootstrap.servers"].into_iter();
        assert_eq!(nearest("linger_ms", known()), Some("linger.ms"));
        assert_eq!(nearest("Linger.m", known()), Some("linger.ms"));
        assert_eq!(nearest("BATCH-SIZE", known()), Some("batch.size"));
        assert_eq!(nearest("fetch.min.bytes", known()), None);
    }
}
