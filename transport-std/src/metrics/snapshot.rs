//! A snapshot, and ways to look at it.

use std::fmt;
use std::sync::Arc;

use klamm_core::{NodeStats, TopicStats};

use crate::metrics::catalog::{self, Definition};
use crate::metrics::totals::Totals;
use crate::metrics::windows::View;

const PRODUCER: &str = "producer-metrics";
const NODE: &str = "producer-node-metrics";
const TOPIC: &str = "producer-topic-metrics";
const APP_INFO: &str = "app-info";

/// A producer's metrics at one moment, under Kafka's names; from [`Producer::metrics`](crate::Producer::metrics).
///
/// `…-total` counts since the producer was made. `…-rate` is per second, `…-avg` and `…-max` are of what was measured,
/// all three over the last `metrics.num.samples` windows of `metrics.sample.window.ms`, the current one included. **A rate of
/// nothing is 0; an average or a maximum of nothing is NaN**, as in Java.
///
/// | group | tags besides `client-id` | what |
/// |---|---|---|
/// | `producer-metrics` | – | the producer as a whole |
/// | `producer-node-metrics` | `node-id` (`node-1`) | one broker; `node--1` is bootstrap servers not known by id yet |
/// | `producer-topic-metrics` | `topic` | one topic |
/// | `app-info` | – | `version`, `commit-id`, `start-time-ms` |
///
/// ```no_run
/// # fn example(producer: klamm::Producer) {
/// let metrics = producer.metrics();
/// println!("{:?} records/s", metrics.get("record-send-rate"));
/// println!("{:?} of them to payments", metrics.topic("payments", "record-send-rate"));
/// println!("broker 1 answers within {:?} ms", metrics.node(1, "request-latency-avg"));
/// for metric in metrics.iter().filter(|metric| metric.name.ends_with("-total")) {
///     println!("{metric}");
/// }
/// # }
/// ```
///
/// # What differs from Java
///
/// * `record-size-max` is the largest *mean* size over one batch, and `record-size-avg` the mean of all: to look at each
///   record would slow down `send`. Sizes are those on the wire, not Java's upper bounds.
/// * `record-queue-time` is of a batch's first request only; retries do not count again.
/// * `record-retry-total` counts a record when it leaves again, not when that is decided; the halves of a split count.
/// * `metadata-age` is NaN before the first metadata.
/// * `network-io` counts requests and responses, not system calls.
/// * Windows begin with the producer, not with the first event of each metric.
/// * Metrics of transactions and authentication are not there: klamm has neither yet.
#[derive(Clone)]
pub struct Metrics {
    client_id: Arc<str>,
    start_ms: u64,
    all: View<Totals>,
    /// By id: the tag's value and the counters.
    nodes: Vec<(i32, String, View<NodeStats>)>,
    /// By name.
    topics: Vec<(Arc<str>, View<TopicStats>)>,
}

impl Metrics {
    pub(super) fn new(
        client_id: Arc<str>,
        start_ms: u64,
        all: View<Totals>,
        nodes: Vec<(i32, View<NodeStats>)>,
        topics: Vec<(Arc<str>, View<TopicStats>)>,
    ) -> Self {
        let nodes = nodes.into_iter().map(|(id, view)| (id, format!("node-{id}"), view)).collect();
        Self { client_id, start_ms, all, nodes, topics }
    }

    /// In order, without the lock under which the counters were copied.
    pub(crate) fn sorted(mut self) -> Self {
        self.nodes.sort_unstable_by_key(|(id, ..)| *id);
        self.topics.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self
    }

    /// `client.id`, the tag that all metrics have.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A metric of the producer as a whole (`producer-metrics`), such as `record-send-rate`; `None` if there is none of
    /// that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        find(catalog::PRODUCER, name).map(|definition| (definition.value)(&self.all))
    }

    /// A metric of one topic (`producer-topic-metrics`); `None` if the producer does not know the topic, or there is
    /// no metric of that name.
    #[must_use]
    pub fn topic(&self, topic: &str, name: &str) -> Option<f64> {
        let at = self.topics.binary_search_by(|(known, _)| (**known).cmp(topic)).ok()?;
        let (_, view) = self.topics.get(at)?;
        find(catalog::TOPIC, name).map(|definition| (definition.value)(view))
    }

    /// A metric of one broker (`producer-node-metrics`), by its node id; −1 means bootstrap servers whose ids are not
    /// known yet. `None` if nothing was ever sent there, or there is no metric of that name.
    #[must_use]
    pub fn node(&self, node_id: i32, name: &str) -> Option<f64> {
        let at = self.nodes.binary_search_by_key(&node_id, |(id, ..)| *id).ok()?;
        let (.., view) = self.nodes.get(at)?;
        find(catalog::NODE, name).map(|definition| (definition.value)(view))
    }

    /// The topics that have metrics, in alphabetical order.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|(name, _)| &**name)
    }

    /// The node ids that have metrics, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = i32> {
        self.nodes.iter().map(|(id, ..)| *id)
    }

    /// All metrics, group by group.
    pub fn iter(&self) -> impl Iterator<Item = Metric<'_>> {
        let tags = |own| Tags { client_id: &self.client_id, own };
        let producer = metrics_of(catalog::PRODUCER, PRODUCER, tags(None), &self.all);
        let nodes = self.nodes.iter();
        let nodes =
            nodes.flat_map(move |(_, id, view)| metrics_of(catalog::NODE, NODE, tags(Some(("node-id", id))), view));
        let topics = self.topics.iter();
        let topics =
            topics.flat_map(move |(name, view)| metrics_of(catalog::TOPIC, TOPIC, tags(Some(("topic", name))), view));
        self.app_info().into_iter().chain(producer).chain(nodes).chain(topics)
    }

    fn app_info(&self) -> [Metric<'_>; 3] {
        let tags = Tags { client_id: &self.client_id, own: None };
        let say = |name, text, description| Metric {
            group: APP_INFO,
            name,
            tags,
            value: f64::NAN,
            text: Some(text),
            description,
        };
        let started = Metric {
            group: APP_INFO,
            name: "start-time-ms",
            tags,
            value: self.start_ms as f64,
            text: None,
            description: "when the producer was made, in milliseconds since 1970-01-01 UTC",
        };
        [
            say("commit-id", "unknown", "klamm does not know the commit that it was built from"),
            started,
            say("version", env!("CARGO_PKG_VERSION"), "klamm's version"),
        ]
    }
}

fn find<'d, T>(definitions: &'d [Definition<T>], name: &str) -> Option<&'d Definition<T>> {
    let at = definitions.binary_search_by(|definition| definition.name.cmp(name)).ok()?;
    definitions.get(at)
}

fn metrics_of<'m, T>(
    definitions: &'static [Definition<T>],
    group: &'static str,
    tags: Tags<'m>,
    view: &'m View<T>,
) -> impl Iterator<Item = Metric<'m>> {
    definitions.iter().map(move |definition| Metric {
        group,
        name: definition.name,
        tags,
        value: (definition.value)(view),
        text: None,
        description: definition.about,
    })
}

/// As `kafka-producer-perf-test --print-metrics` prints them: a line per metric, sorted by name, such as
/// `producer-metrics:batch-size-avg:{client-id=me} : 123.456`.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<_> = self.iter().map(|metric| (metric.full_name(), metric)).collect();
        lines.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:<width$}   Value", "Metric Name")?;
        for (name, metric) in &lines {
            writeln!(f, "{name:<width$} : {}", metric.worded())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|metric| (metric.full_name(), metric.worded()))).finish()
    }
}

/// One metric of a snapshot. [`Display`](fmt::Display) writes it as Kafka's tools do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric<'m> {
    /// `producer-metrics`, `producer-node-metrics`, `producer-topic-metrics` or `app-info`.
    pub group: &'static str,
    /// The name within the group, such as `record-send-rate`.
    pub name: &'static str,
    /// Whose metric it is.
    pub tags: Tags<'m>,
    /// Its value; NaN for an average or a maximum of nothing, and for what is text.
    pub value: f64,
    /// The value of a metric that is no number: `version` and `commit-id` of `app-info`.
    pub text: Option<&'m str>,
    /// What it means, with its unit.
    pub description: &'static str,
}

impl Metric<'_> {
    fn full_name(&self) -> String {
        format!("{}:{}:{}", self.group, self.name, self.tags)
    }

    /// The value as Kafka's tools print it: three decimals, but for what is text or a whole number by nature.
    fn worded(&self) -> String {
        match self.text {
            Some(text) => text.to_owned(),
            None if self.group == APP_INFO => format!("{:.0}", self.value),
            None => format!("{:.3}", self.value),
        }
    }
}

impl fmt::Display for Metric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} : {}", self.full_name(), self.worded())
    }
}

/// Whose metric it is: `client-id`, and `node-id` or `topic` if it is one node's or one topic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags<'m> {
    client_id: &'m str,
    own: Option<(&'static str, &'m str)>,
}

impl<'m> Tags<'m> {
    /// Names and values, `client-id` first.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, &'m str)> {
        [("client-id", self.client_id)].into_iter().chain(self.own)
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'m str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// `{client-id=me, topic=payments}`
impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{client-id={}", self.client_id)?;
        if let Some((name, value)) = self.own {
            write!(f, ", {name}={value}")?;
        }
        f.write_str("}")
    }
}
