//! What this process uses, as the operating system counts it.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::Result;

/// CPU time of all threads of this process, those that ended included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the program and its libraries.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl CpuTime {
    /// So far.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(Self { user: duration(usage.user_time()), system: duration(usage.system_time()) })
    }

    /// User and system time together.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    /// Since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Memory in RAM now, in KiB.
#[must_use]
pub fn resident_kib() -> u64 {
    status("VmRSS:")
}

/// The most memory in RAM so far, in KiB.
#[must_use]
pub fn peak_kib() -> u64 {
    status("VmHWM:")
}

/// 0 where there is no such file.
fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How many threads this process has.
#[must_use]
pub fn threads() -> usize {
    entries("/proc/self/task")
}

/// How many file descriptors are open.
#[must_use]
pub fn descriptors() -> usize {
    entries("/proc/self/fd")
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory() {
        let before = CpuTime::now().unwrap();
        let memory = vec![1_u8; 32 << 20];
        let mut sum = 0_u64;
        while CpuTime::now().unwrap().since(before).user < Duration::from_millis(20) {
            sum += memory.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        }
        assert!(sum > 0);
        if cfg!(target_os = "linux") {
            assert!(resident_kib() > 32 << 10 && peak_kib() >= resident_kib() / 2);
            assert!(threads() > 0 && descriptors() > 0);
        }
    }
}
