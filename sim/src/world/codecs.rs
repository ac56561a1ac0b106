//! Codecs outside the producer's core: jobs that are done at once, late, in another order, twice, or never.

use std::ops::RangeInclusive;

#[cfg(feature = "codecs")]
use klamm_core::{CodecJob, CodecTask, Instant, JobId};

#[cfg(feature = "codecs")]
use super::World;
#[cfg(feature = "codecs")]
use crate::compression::{Codec, compress, decompress};

/// What becomes of the producer's compression jobs. By default each is done well and at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codecs {
    /// How long a job takes, in microseconds. Jobs with different times overtake each other.
    pub delay_us: RangeInclusive<u64>,
    /// Jobs of which nothing is ever heard.
    pub lost_permille: u32,
    /// Jobs that end without a result, or, on the way back, with a wrong one.
    pub failed_permille: u32,
    /// Results that are told once more, as much later.
    pub repeated_permille: u32,
}

impl Default for Codecs {
    fn default() -> Self {
        Self { delay_us: 0..=0, lost_permille: 0, failed_permille: 0, repeated_permille: 0 }
    }
}

/// A job that is being done.
pub(super) struct Job {
    pub(super) due_us: u64,
    #[cfg(feature = "codecs")]
    id: JobId,
    #[cfg(feature = "codecs")]
    result: Option<Vec<u8>>,
}

/// What a codec makes of a job.
#[cfg(feature = "codecs")]
fn work(job: &CodecJob<'_>) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = job.bytes.clone().flatten().copied().collect();
    match job.task {
        CodecTask::Compress => compress(Codec::from(job.codec), &bytes),
        CodecTask::Expand { .. } => decompress(Codec::from(job.codec), &bytes).ok(),
        _ => None,
    }
}

#[cfg(not(feature = "codecs"))]
impl super::World {
    pub(super) const fn begin_jobs(&mut self) -> u32 {
        0
    }

    pub(super) const fn end_due_jobs(&mut self) -> bool {
        false
    }
}

#[cfg(feature = "codecs")]
impl World {
    /// Begins the jobs that the producer has; those that take no time are done. How many.
    pub(super) fn begin_jobs(&mut self) -> u32 {
        let mut begun = 0;
        while let Some(job) = self.producer.poll_compress() {
            begun += 1;
            let (id, task, mut result) = (job.id, job.task, work(&job));
            let delay_us = self.random.within(&self.codecs.delay_us);
            let due_us = self.now_us + delay_us;
            self.trace.push(self.now_us, format_args!("{id:?} {task:?}, done at {due_us}"));
            if self.random.chance(self.codecs.lost_permille) {
                self.jobs_lost += 1;
                continue;
            }
            if self.random.chance(self.codecs.failed_permille) {
                result = result.filter(|_| task != CodecTask::Compress && delay_us.is_multiple_of(2));
                if let Some(wrong) = &mut result {
                    wrong.pop();
                }
            }
            if self.random.chance(self.codecs.repeated_permille) {
                self.jobs.push(Job { due_us: due_us + delay_us, id, result: result.clone() });
            }
            if delay_us == 0 {
                self.end_job(id, result.as_deref());
            } else {
                self.jobs.push(Job { due_us, id, result });
            }
        }
        begun
    }

    /// Tells the producer what became of the jobs that are done by now. Whether there were any.
    pub(super) fn end_due_jobs(&mut self) -> bool {
        let mut ended = false;
        while let Some(at) = self.jobs.iter().position(|job| job.due_us <= self.now_us) {
            let job = self.jobs.remove(at);
            self.end_job(job.id, job.result.as_deref());
            self.poll_all();
            ended = true;
        }
        ended
    }

    fn end_job(&mut self, id: JobId, result: Option<&[u8]>) {
        self.trace.push(self.now_us, format_args!("{id:?} gives {:?}", result.map(<[u8]>::len)));
        let before = self.next_deadline_us();
        let wake = self.producer.handle_compressed(Instant::from_micros(self.now_us), id, result);
        let after = self.next_deadline_us();
        if !wake && after < before {
            self.fail(format_args!("wake: false, but the deadline moved from {before} to {after}"));
        }
    }

    fn next_deadline_us(&self) -> u64 {
        self.producer.poll_timeout().map_or(u64::MAX, |deadline| deadline.at.as_micros())
    }
}
