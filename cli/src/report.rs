//! What became of each record: a thread that takes deliveries in the order of the lines and reports them.

use std::collections::VecDeque;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};
use std::thread::JoinHandle;

use klamm::{Delivery, DeliveryError, Fate, RecordMetadata};

use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::tally::Tally;

/// Records handed over at once.
const CHUNK: usize = 1000;
/// Chunks on the way. With one being filled and one being reported, 100 000 records are outstanding at most.
const CHUNKS: usize = 98;

/// What is known of a line when it leaves the reading side.
pub(crate) enum Outcome {
    /// Accepted; the delivery tells the rest.
    Accepted(Delivery),
    /// Delivered (`--sync`).
    Delivered(RecordMetadata),
    /// Failed, or never accepted.
    Failed(Failure),
}

impl From<Result<RecordMetadata, DeliveryError>> for Outcome {
    fn from(result: Result<RecordMetadata, DeliveryError>) -> Self {
        match result {
            Ok(metadata) => Self::Delivered(metadata),
            Err(error) => Self::Failed(error.into()),
        }
    }
}

struct Entry {
    line: u64,
    outcome: Outcome,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) delivered: u64,
    pub(crate) not_written: u64,
    pub(crate) unknown: u64,
}

/// The reading side's end: records go in, in order.
pub(crate) struct Reporter {
    chunk: Vec<Entry>,
    sender: SyncSender<Vec<Entry>>,
    thread: JoinHandle<Summary>,
    delivered: Arc<AtomicU64>,
}

impl Reporter {
    /// Starts the thread. With `json` it prints a line per record on standard output.
    pub(crate) fn start(json: bool, progress: Progress) -> Self {
        let (sender, receiver) = sync_channel(CHUNKS);
        let delivered = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&delivered);
        let thread = std::thread::spawn(move || Printer::new(json, progress, shared).run(&receiver));
        Self { chunk: Vec::with_capacity(CHUNK), sender, thread, delivered }
    }

    /// Adds a record; waits if too many are outstanding.
    pub(crate) fn add(&mut self, line: u64, outcome: Outcome) {
        self.chunk.push(Entry { line, outcome });
        if self.chunk.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Lets the thread see every record added so far.
    pub(crate) fn hand_over(&mut self) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
            // It fails only if the thread panicked; `finish` tells.
            drop(self.sender.send(chunk));
        }
    }

    /// Whether anything was delivered so far.
    pub(crate) fn any_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed) > 0
    }

    /// Waits until every record added is reported.
    pub(crate) fn finish(mut self) -> Summary {
        self.hand_over();
        drop(self.sender);
        match self.thread.join() {
            Ok(summary) => summary,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Printer {
    /// Standard output, while it is wanted and open.
    out: Option<BufWriter<StdoutLock<'static>>>,
    /// The last topic as JSON: as a rule there is only one.
    topic: (Arc<str>, String),
    progress: Progress,
    summary: Summary,
    failures: Tally,
    delivered: Arc<AtomicU64>,
}

impl Printer {
    fn new(json: bool, progress: Progress, delivered: Arc<AtomicU64>) -> Self {
        let out = json.then(|| BufWriter::with_capacity(64 * 1024, io::stdout().lock()));
        let topic = (Arc::from(""), json_text(""));
        Self { out, topic, progress, summary: Summary::default(), failures: Tally::default(), delivered }
    }

    fn run(mut self, chunks: &Receiver<Vec<Entry>>) -> Summary {
        let mut waiting = VecDeque::new();
        loop {
            match chunks.try_recv() {
                Ok(chunk) => waiting.extend(chunk),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    match chunks.recv() {
                        Ok(chunk) => waiting.extend(chunk),
                        Err(_) => break,
                    }
                }
            }
            for entry in waiting.drain(..) {
                self.settle(entry);
            }
            self.progress.set(self.summary.delivered);
            self.delivered.store(self.summary.delivered, Ordering::Relaxed);
        }
        self.flush();
        self.failures.sum_up(&self.progress);
        self.summary
    }

    fn settle(&mut self, entry: Entry) {
        let outcome = match entry.outcome {
            Outcome::Accepted(delivery) => self.wait(delivery).into(),
            other => other,
        };
        match outcome {
            Outcome::Delivered(metadata) => self.delivered(entry.line, &metadata),
            Outcome::Failed(failure) => self.failed(entry.line, &failure),
            Outcome::Accepted(_) => unreachable!("waited for above"),
        }
    }

    fn wait(&mut self, delivery: Delivery) -> Result<RecordMetadata, DeliveryError> {
        if let Some(done) = delivery.try_get() {
            return done;
        }
        // What is known is shown before waiting for more.
        self.flush();
        self.delivered.store(self.summary.delivered, Ordering::Relaxed);
        delivery.wait()
    }

    fn delivered(&mut self, line: u64, metadata: &RecordMetadata) {
        self.summary.delivered += 1;
        if self.out.is_none() {
            return;
        }
        if self.topic.0 != metadata.topic {
            self.topic = (Arc::clone(&metadata.topic), json_text(&metadata.topic));
        }
        let topic = std::mem::take(&mut self.topic.1);
        let RecordMetadata { partition, offset, timestamp, .. } = metadata;
        self.print(format_args!(
            r#"{{"topic":{topic},"partition":{partition},"offset":{offset},"timestamp":{timestamp},"line":{line}}}"#
        ));
        self.topic.1 = topic;
    }

    fn failed(&mut self, line: u64, failure: &Failure) {
        let fate = match failure.fate {
            Fate::NotWritten => {
                self.summary.not_written += 1;
                "not-written"
            }
            Fate::Unknown => {
                self.summary.unknown += 1;
                "unknown"
            }
        };
        if self.out.is_some() {
            let error = json_text(&failure.message);
            self.print(format_args!(r#"{{"error":{error},"fate":"{fate}","line":{line}}}"#));
        }
        self.failures.add(line, failure, &self.progress);
    }

    /// Prints a line, until the reader of standard output goes away: records matter more than their report.
    fn print(&mut self, line: std::fmt::Arguments<'_>) {
        if let Some(out) = &mut self.out
            && let Err(error) = writeln!(out, "{line}")
        {
            self.close(&error);
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.out.as_mut().map(|out| out.flush()) {
            self.close(&error);
        }
    }

    /// Records are sent all the same.
    fn close(&mut self, error: &io::Error) {
        output::note(error);
        if let Some(out) = self.out.take() {
            // Not dropped: that would try to write once more.
            drop(out.into_parts());
        }
    }
}

/// The text as a JSON string, quotes included.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
