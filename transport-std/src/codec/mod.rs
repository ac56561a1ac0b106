//! The codecs behind `compression.type`. The core asks for them as jobs; they run without its lock.
//!
//! A job's bytes are copied out of the arena under the lock, as the bytes of requests are, and
//! compressed by the thread that filled the batch, in [`Inner::compress`](crate::shared::Inner::compress);
//! the I/O thread compresses the batches that `linger.ms` or a flush ended. Buffers and compressors are
//! lent from a pool, so that a job allocates nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use klamm_core::{CodecJob, CodecTask, Compression, JobId};

use crate::levels::Levels;

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(all(test, feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
mod tests;
#[cfg(feature = "zstd")]
mod zstd;

/// Idle benches that are kept: as many as threads compress at a time, within reason.
const KEPT: usize = 16;
/// What a bench may hold on to when it is put back; larger buffers are for rare large batches.
const BUFFER_KEPT: usize = 1 << 20;

/// One codec with its tables and contexts, ready for the next batch.
enum Codec {
    #[cfg(feature = "gzip")]
    Gzip(gzip::Gzip),
    #[cfg(feature = "snappy")]
    Snappy(snappy::Snappy),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Lz4),
    #[cfg(feature = "zstd")]
    Zstd(zstd::Zstd),
    #[cfg(test)]
    #[allow(dead_code, reason = "the tests need all the other codecs too")]
    Panics,
}

impl Codec {
    /// `None` if this build has no such codec, or it cannot be set up.
    fn new(compression: Compression, levels: Levels) -> Option<Self> {
        let _ = levels; // some codecs have none
        match compression {
            #[cfg(feature = "gzip")]
            Compression::Gzip => Some(Self::Gzip(gzip::Gzip::new(levels.gzip))),
            #[cfg(feature = "snappy")]
            Compression::Snappy => Some(Self::Snappy(snappy::Snappy::new())),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => Some(Self::Lz4(lz4::Lz4::new())),
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::Zstd::new(levels.zstd).map(Self::Zstd),
            _ => None,
        }
    }

    /// Writes `raw`, compressed, to the empty `out`. `None` if the library fails.
    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(codec) => codec.compress(raw, out),
            #[cfg(feature = "snappy")]
            Self::Snappy(codec) => codec.compress(raw, out),
            #[cfg(feature = "lz4")]
            Self::Lz4(codec) => codec.compress(raw, out),
            #[cfg(feature = "zstd")]
            Self::Zstd(codec) => codec.compress(raw, out),
            #[cfg(test)]
            Self::Panics => panic!("a codec that panics"),
        }
    }

    /// Turns what [`Self::compress`] wrote back into `bytes` bytes.
    fn expand(&mut self, packed: &[u8], bytes: usize, out: &mut Vec<u8>) -> Option<()> {
        out.reserve(bytes);
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(_) => gzip::expand(packed, out),
            #[cfg(feature = "snappy")]
            Self::Snappy(_) => snappy::expand(packed, out),
            #[cfg(feature = "lz4")]
            Self::Lz4(_) => lz4::expand(packed, out),
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => zstd::expand(packed, out),
            #[cfg(test)]
            Self::Panics => panic!("a codec that panics"),
        }
    }
}

/// A job that was taken from the core, and all that is needed to do it.
pub(crate) struct Bench {
    codec: Option<Codec>,
    job: Option<(JobId, CodecTask)>,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Bench {
    /// Takes a job over; its bytes are copied.
    fn load(&mut self, job: CodecJob<'_>) {
        self.job = Some((job.id, job.task));
        self.from.clear();
        self.from.reserve(job.bytes.bytes_left());
        for chunk in job.bytes {
            self.from.extend_from_slice(chunk);
        }
    }

    /// Does the job. A codec that fails or panics leaves it without a result, and is not used again.
    pub(crate) fn work(&mut self) {
        let Some((_, task)) = self.job else { return };
        let Self { codec, from, to, .. } = self;
        to.clear();
        let worked = catch_unwind(AssertUnwindSafe(|| match (task, codec.as_mut()) {
            (CodecTask::Compress, Some(codec)) => codec.compress(from, to),
            (CodecTask::Expand { bytes }, Some(codec)) => codec.expand(from, bytes as usize, to),
            _ => None,
        }));
        if !matches!(worked, Ok(Some(()))) {
            (*codec, *to) = (None, Vec::new());
        }
    }

    /// The job and its result.
    pub(crate) fn done(&mut self) -> Option<(JobId, Option<&[u8]>)> {
        let (id, _) = self.job.take()?;
        Some((id, self.codec.is_some().then_some(&self.to[..])))
    }
}

/// Benches that nobody works at.
pub(crate) struct Pool {
    compression: Compression,
    levels: Levels,
    idle: Mutex<Vec<Bench>>,
}

impl Pool {
    pub(crate) fn new(compression: Compression, levels: Levels) -> Self {
        Self { compression, levels, idle: Mutex::default() }
    }

    /// A bench with the core's next job on it, if it has one.
    pub(crate) fn take_job(&self, core: &mut klamm_core::Producer<'static>) -> Option<Bench> {
        let job = core.poll_compress()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bench = idle.unwrap_or_else(|| Bench { codec: None, job: None, from: Vec::new(), to: Vec::new() });
        if bench.codec.is_none() {
            bench.codec = Codec::new(self.compression, self.levels);
        }
        bench.load(job);
        Some(bench)
    }

    /// Puts a bench back.
    pub(crate) fn put_back(&self, mut bench: Bench) {
        for buffer in [&mut bench.from, &mut bench.to] {
            buffer.clear();
            buffer.shrink_to(BUFFER_KEPT);
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(bench);
        }
    }
}
