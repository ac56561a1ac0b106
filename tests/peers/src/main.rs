//! `klamm-peers base|threaded …`: one measured run of librdkafka, through the crate `rdkafka`.
//!
//! `base` sends and serves delivery reports on one thread (`BaseProducer`), `threaded` leaves the reports to a thread of the
//! crate (`ThreadedProducer`). Each record's report is counted in `ProducerContext::delivery`. librdkafka's call for
//! many records at once (`rd_kafka_produce_batch`) is not offered by the crate, so it cannot be measured here. All settings that
//! a workload does not name are librdkafka's defaults, but for the size of its queue, which is klamm's.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use klamm_load::Result;
use klamm_load::args::Args;
use klamm_load::workload::{Client, Outcomes, Settings, Task, TimedClient, Workload, latency, throughput};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// How many records are sent between two looks at the delivery reports.
const POLL_EVERY: u64 = 1_000;
/// How long a full queue is served before the next attempt.
const FULL: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let form = args.next().unwrap_or_default();
    let mut args = Args::parse(args)?;
    let workload = Workload::from_args(&mut args)?;
    args.finish()?;
    let (config, topic, size) = (config(&workload.settings), workload.settings.topic.clone(), workload.size);
    match (form.as_str(), workload.task) {
        ("base", Task::Throughput { warm_up, records }) => {
            let producer = config.create_with_context(Counts::default())?;
            throughput(&mut Base { producer, topic, sent: 0 }, warm_up, records, size)
        }
        ("threaded", Task::Throughput { warm_up, records }) => {
            let producer = config.create_with_context(Counts::default())?;
            throughput(&mut Threaded { producer, topic }, warm_up, records, size)
        }
        ("threaded", Task::Latency { rate, seconds }) => {
            let times = Arc::default();
            let context = Times { origin: Instant::now(), times: Arc::clone(&times) };
            let origin = context.origin;
            let producer = config.create_with_context(context)?;
            latency(Timed { producer, topic, origin, times }, rate, seconds, size)
        }
        _ => Err("usage: klamm-peers base|threaded --bootstrap B --topic T (--records N | --rate N) …".into()),
    }
}

fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("max.in.flight.requests.per.connection", "5")
        .set("batch.size", settings.batch_size.to_string())
        .set("linger.ms", settings.linger_ms.to_string())
        // As many bytes of values as klamm's `buffer.memory` takes. With librdkafka's limit of 100 000 records it is slower.
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", (32 << 10).to_string());
    config
}

/// Counts delivery reports.
#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    fn outcomes(&self) -> Outcomes {
        Outcomes { delivered: self.delivered.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }
}

impl ClientContext for Counts {}

impl ProducerContext for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.delivered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_full(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
}

/// One thread for sending and for delivery reports.
struct Base {
    producer: BaseProducer<Counts>,
    topic: String,
    sent: u64,
}

impl Client for Base {
    fn send(&mut self, value: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic).payload(value);
        while let Err((error, refused)) = self.producer.send(record) {
            if !is_full(&error) {
                return Err(error.into());
            }
            record = refused;
            self.producer.poll(FULL);
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.producer.flush(PATIENCE)?)
    }

    fn outcomes(&self) -> Outcomes {
        self.producer.client().context().outcomes()
    }
}

/// Delivery reports in a thread of the crate.
struct Threaded {
    producer: ThreadedProducer<Counts, NoCustomPartitioner>,
    topic: String,
}

impl Client for Threaded {
    fn send(&mut self, value: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic).payload(value);
        while let Err((error, refused)) = self.producer.send(record) {
            if !is_full(&error) {
                return Err(error.into());
            }
            record = refused;
            std::thread::sleep(FULL);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.producer.flush(PATIENCE)?)
    }

    fn outcomes(&self) -> Outcomes {
        self.producer.client().context().outcomes()
    }
}

/// Notes when each delivery report comes.
struct Times {
    origin: Instant,
    times: Arc<Mutex<Vec<Duration>>>,
}

impl ClientContext for Times {}

impl ProducerContext for Times {
    /// Nanoseconds from the origin to the send.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, begun: usize) {
        if result.is_ok() {
            let time = self.origin.elapsed().saturating_sub(Duration::from_nanos(begun as u64));
            self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
        }
    }
}

struct Timed {
    producer: ThreadedProducer<Times, NoCustomPartitioner>,
    topic: String,
    origin: Instant,
    times: Arc<Mutex<Vec<Duration>>>,
}

impl TimedClient for Timed {
    fn send(&mut self, value: &[u8], begun: Instant) -> Result<()> {
        let begun = begun.saturating_duration_since(self.origin).as_nanos() as usize;
        let record = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.topic, begun).payload(value);
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<Duration>> {
        self.producer.flush(PATIENCE)?;
        Ok(std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
