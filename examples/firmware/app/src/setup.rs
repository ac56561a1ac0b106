//! How the producer is set up, whatever drives it.

use core::time::Duration;

use klamm_core::{Config, ConfigError, Instant, Producer, SendError, TopicId};

use crate::{Settings, Tables};

/// How long a batch waits for more readings, in milliseconds.
const LINGER_MS: u32 = 5;
/// Bytes of a batch: four blocks of the arena, so that three partitions can fill one each.
const BATCH_SIZE: u32 = 1000;
/// How long an answer may take, in milliseconds. A dead broker is noticed after so long at the latest.
const REQUEST_TIMEOUT_MS: u32 = 10_000;
/// How long the end waits for outcomes.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(120);

/// How the application ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every reading is stored.
    AllStored,
    /// Some readings failed, or the producer gave up; the statistics say how many.
    SomeFailed,
    /// The settings cannot work.
    BadSettings(ConfigError),
    /// The topic's name cannot work.
    BadTopic(SendError),
}

impl Ended {
    /// What is wrong with the settings, if that is why.
    #[must_use]
    pub const fn complaint(&self) -> Option<&'static str> {
        match self {
            Self::AllStored | Self::SomeFailed => None,
            Self::BadSettings(ConfigError::BadBootstrapServer { .. }) => Some("a bootstrap server is not HOST:PORT"),
            Self::BadSettings(ConfigError::HostTooLong { .. }) => Some("a bootstrap server's host is too long"),
            Self::BadSettings(ConfigError::NoBootstrapServers) => Some("there is no bootstrap server"),
            Self::BadSettings(_) => Some("the producer's settings contradict its memory"),
            Self::BadTopic(_) => Some("the topic's name is empty, or too long"),
        }
    }
}

fn config(settings: &Settings<'static>) -> Config<'static> {
    let mut config = Config::new(settings.bootstrap);
    config.client_id = "klamm-firmware".into();
    config.linger_ms = LINGER_MS;
    config.batch_size = BATCH_SIZE;
    config.request_timeout_ms = REQUEST_TIMEOUT_MS;
    config
}

/// The producer. `seed` is unpredictable.
///
/// # Errors
/// Settings that cannot work.
#[inline(always)] // it is large: whoever calls this puts it where it is to be
pub fn producer(
    tables: &'static mut Tables,
    settings: &Settings<'static>,
    seed: [u8; 32],
    now: Instant,
) -> Result<Producer<'static>, ConfigError> {
    let Some(storage) = tables.storage() else {
        return Err(ConfigError::StorageTooSmall { part: "tables", min: 1 });
    };
    Producer::new(config(settings), storage, seed, now)
}

/// Tells the producer what is known before there is a network: the calendar, if the board has one, in milliseconds since 1970; the
/// topic, and how many partitions it has, so that keyed readings can be taken at once.
///
/// # Errors
/// [`Ended::BadTopic`].
pub fn begin(
    producer: &mut Producer<'_>,
    settings: &Settings<'_>,
    now: Instant,
    unix_millis: Option<i64>,
) -> Result<TopicId, Ended> {
    if let Some(unix_millis) = unix_millis {
        producer.set_wall_clock(now, unix_millis);
    }
    let topic = producer.topic(settings.topic).map_err(Ended::BadTopic)?;
    if let Some(count) = settings.partitions {
        producer.declare_partitions(topic, count);
    }
    Ok(topic)
}
