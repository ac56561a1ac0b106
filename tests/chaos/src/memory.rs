//! Whether memory stays flat.

use crate::Result;

/// Memory may grow by this much and 5 percent: the producers' buffers are first used to the full when brokers are away.
const SLACK_KIB: u64 = 8 << 10;

/// Samples of this process's memory in RAM.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    samples: Vec<u64>,
}

impl Memory {
    /// Adds a sample, in KiB.
    pub fn add(&mut self, kib: u64) {
        self.samples.push(kib);
    }

    /// The median of the last third of the samples must not be above that of the first third by more than 5 percent and 8 MiB.
    ///
    /// # Errors
    /// It is, or there are too few samples.
    pub fn flat(&self) -> Result<String> {
        let third = self.samples.len() / 3;
        if third == 0 {
            return Err("too short to say anything of memory".into());
        }
        let (first, last) = (median(&self.samples[..third]), median(&self.samples[self.samples.len() - third..]));
        let most = first + first / 20 + SLACK_KIB;
        let highest = self.samples.iter().max().copied().unwrap_or(0);
        let mib = |kib: u64| kib as f64 / 1024.0;
        let text = format!(
            "median {:.1} MiB in the first third, {:.1} in the last (at most {:.1} allowed), {:.1} at the highest",
            mib(first),
            mib(last),
            mib(most),
            mib(highest)
        );
        if last > most { Err(format!("memory grows: {text}").into()) } else { Ok(text) }
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(samples: &[u64]) -> bool {
        Memory { samples: samples.to_vec() }.flat().is_ok()
    }

    #[test]
    fn memory_that_grows_is_noticed() {
        assert!(flat(&[30_000, 30_100, 30_200, 30_300, 31_000, 30_900]));
        assert!(!flat(&[30_000, 30_000, 33_000, 34_000, 40_000, 41_000]));
        assert!(!flat(&[30_000, 30_000]));
    }
}
