//! Makes a failure small.

use super::Case;
use klamm_sim::nemesis::Trouble;

/// Leaves out troubles, work and parts of the cluster, as long as it still fails. `fails` may be slow: it is asked a few dozen
/// times.
///
/// Which failure counts says `fails`: the same fault may show in several ways, and two faults in one world.
pub fn shrink(case: &Case, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    loop {
        let before = best.clone();
        leave_out(&mut best, &mut fails);
        bound(&mut best, &mut fails, 64, |case| &mut case.steps);
        bound(&mut best, &mut fails, 4, |case| &mut case.brokers);
        bound(&mut best, &mut fails, 12, |case| &mut case.topics);
        bound(&mut best, &mut fails, 8, |case| &mut case.partitions);
        bound(&mut best, &mut fails, 60, |case| &mut case.records);
        if best == before {
            return best;
        }
    }
}

/// Halves first, then one by one.
fn leave_out(best: &mut Case, fails: &mut impl FnMut(&Case) -> bool) {
    let mut size = Trouble::ALL.len();
    while size > 0 {
        let troubles = best.nemesis().troubles();
        for part in troubles.chunks(size) {
            let mut smaller = best.clone();
            smaller.without.extend(part);
            if fails(&smaller) {
                *best = smaller;
            }
        }
        size /= 2;
    }
    // Only those that the seed would have.
    let full = Case { without: Vec::new(), ..best.clone() }.nemesis().troubles();
    best.without.retain(|trouble| full.contains(trouble));
    best.without.sort_unstable();
    best.without.dedup();
}

/// The smallest bound with which it fails; not always, as fewer may fail where more do not.
fn bound(best: &mut Case, fails: &mut impl FnMut(&Case) -> bool, usual: u32, field: fn(&mut Case) -> &mut Option<u32>) {
    let (mut low, mut high) = (0, field(best).unwrap_or(usual));
    while low < high {
        let middle = low + (high - low) / 2;
        let mut smaller = best.clone();
        *field(&mut smaller) = Some(middle);
        if fails(&smaller) {
            *best = smaller;
            high = middle;
        } else {
            low = middle + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_takes() {
        let seed = (0..).find(|seed| Case::new(*seed).nemesis().troubles().len() > 12).unwrap();
        let troubles = Case::new(seed).nemesis().troubles();
        let needed = [troubles[2], troubles[9]];
        let fails = |case: &Case| {
            let left = case.nemesis().troubles();
            needed.iter().all(|trouble| left.contains(trouble)) && case.steps.unwrap_or(50) >= 17
        };
        let small = shrink(&Case::new(seed), fails);
        assert_eq!(small.nemesis().troubles(), needed);
        assert_eq!((small.steps, small.brokers), (Some(17), Some(0)));
    }
}
